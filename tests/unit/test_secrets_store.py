"""control/secrets: sealed at rest, versions, and a key that is nobody else's; `/api/v1/secrets` and
`a2a secrets` over it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sqlite3
import stat
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, cast

import pytest
from cli_running import Run

from a2a_cloud.control.secrets.key import KEY_FILE, open_key
from a2a_cloud.control.secrets.rows import SqliteSecretRows
from a2a_cloud.control.secrets.store import MAX_VALUE, Secrets
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import Internal, InvalidParams, NotFound, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Services

pytest_plugins = ["cli_fixtures"]

VALUE = "s3cret-value-ä-of-the-test"


class Site:
    """A data folder with a store in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "journal.db"
        self.journal = SqliteJournal(self.database)
        self.connection = connect(self.database, readonly=True)
        self.rows = SqliteSecretRows(self.connection)
        try:
            self.secrets = Secrets.open(
                folder / "keys", self.rows, self.journal, SystemClock(), SystemEntropy()
            )
        except BaseException:
            self.connection.close()
            raise

    async def close(self) -> None:
        self.connection.close()
        await self.journal.close()


def at_site(folder: Path, work: Callable[[Site], Awaitable[None]]) -> None:
    async def whole() -> None:
        site = Site(folder)
        try:
            await work(site)
        finally:
            await site.close()

    asyncio.run(whole())


def test_set_rotate_list_remove_and_a_restart(tmp_path: Path) -> None:
    async def first(site: Site) -> None:
        one = await site.secrets.put(1, "KEY", VALUE, by="ada@default")
        assert (one.version, one.by) == (1, "ada@default")
        two = await site.secrets.put(1, "KEY", VALUE + "2", by="bob@default", rotate=True)
        assert (two.version, two.created) == (2, one.created)
        await site.secrets.put(1, "A", "x", by="ada@default")
        await site.secrets.put(2, "KEY", "of another organisation", by="eve@other")
        assert [row.name for row in site.secrets.listed(1)] == ["A", "KEY"]
        assert VALUE not in repr(site.secrets.listed(1))
        both = await asyncio.gather(*(site.secrets.put(1, "A", str(n), by="x") for n in range(5)))
        assert sorted(row.version for row in both) == [2, 3, 4, 5, 6]

    async def second(site: Site) -> None:
        assert site.secrets.value(1, "KEY") == VALUE + "2"
        assert site.secrets.value(2, "KEY") == "of another organisation"
        await site.secrets.drop(1, "KEY", by="ada@default")
        for missing in (lambda: site.secrets.value(1, "KEY"), lambda: site.secrets.value(3, "A")):
            with pytest.raises(NotFound):
                missing()
        with pytest.raises(NotFound):
            await site.secrets.drop(1, "KEY", by="ada@default")
        with pytest.raises(NotFound):
            await site.secrets.put(1, "KEY", "x", by="x", rotate=True)
        assert site.secrets.value(2, "KEY") == "of another organisation"

    at_site(tmp_path, first)
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"s3cret-value" not in raw
    assert b"another organisation" not in raw
    at_site(tmp_path, second)


def test_what_is_no_name_or_value_is_refused(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        for name in ("", "1A", "A-B", "A B", "A" * 101, "Ä", "A\n", "../A"):
            with pytest.raises(InvalidParams) as caught:
                await site.secrets.put(1, name, VALUE, by="x")
            assert VALUE not in caught.value.sentence
        for value in ("", "marker\0", "m" * (MAX_VALUE + 1), "marker\ud800"):
            with pytest.raises(InvalidParams) as caught:
                await site.secrets.put(1, "KEY", value, by="x")
            assert "marker" not in caught.value.sentence
        await site.secrets.put(1, "KEY", "m" * MAX_VALUE, by="x")
        with pytest.raises(Internal):
            site.rows.secrets(SYSTEM)
        with pytest.raises(Internal):
            site.rows.any(Scope(org=1))

    at_site(tmp_path, work)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secret SET org=2 WHERE org=1",
        "UPDATE secret SET name='B' WHERE name='KEY'",
        "UPDATE secret SET version=7",
        "UPDATE secret SET sealed=substr(sealed, 1, length(sealed)-1)",
        "UPDATE secret SET sealed=x'00'",
        "UPDATE secret SET sealed=x''",
        "UPDATE secret SET sealed=(SELECT sealed FROM secret WHERE name='OTHER') WHERE name='KEY'",
    ],
)
def test_a_row_that_was_moved_or_changed_opens_nothing(tmp_path: Path, change: str) -> None:
    async def store(site: Site) -> None:
        await site.secrets.put(1, "KEY", VALUE, by="x")
        await site.secrets.put(1, "OTHER", "of another name", by="x")

    async def read(site: Site) -> None:
        for org, name in ((1, "KEY"), (2, "KEY"), (1, "B")):
            if site.rows.secret(Scope(org=org), name) is not None:
                with pytest.raises(Unavailable) as caught:
                    site.secrets.value(org, name)
                assert "a2a secrets set" in caught.value.remedy

    at_site(tmp_path, store)
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        assert connection.execute(change).rowcount
    connection.close()
    at_site(tmp_path, read)


def test_the_key_is_ours_alone_and_is_never_replaced(tmp_path: Path) -> None:
    folder, entropy = tmp_path / "keys", SystemEntropy()
    key = open_key(folder, entropy, needed=False)
    path = folder / KEY_FILE
    assert (len(key), stat.S_IMODE(path.stat().st_mode)) == (32, 0o600)
    assert open_key(folder, entropy, needed=True) == key
    assert sorted(each.name for each in folder.iterdir()) == [KEY_FILE]
    text = path.read_bytes()

    def refused(needed: bool = False) -> str:
        with pytest.raises(Unavailable) as caught:
            open_key(folder, entropy, needed=needed)
        assert key.hex() not in caught.value.sentence
        return caught.value.sentence

    path.chmod(0o640)
    assert "chmod 600" in refused()
    path.chmod(0o600)
    for damaged in (b"", text[:-2], text + text, b"z" * 64 + b"\n"):
        path.write_bytes(damaged)
        assert "damaged" in refused()
        assert path.read_bytes() == damaged
    path.unlink()
    assert "gone" in refused(needed=True)
    path.symlink_to(tmp_path / "elsewhere")
    refused()
    path.unlink()
    os.mkfifo(path, 0o600)
    refused()
    path.unlink()
    folder.chmod(0o777)
    assert "chmod 700" in refused()
    folder.chmod(0o700)


def test_a_platform_with_secrets_and_no_key_does_not_start(tmp_path: Path) -> None:
    async def store(site: Site) -> None:
        await site.secrets.put(1, "KEY", VALUE, by="x")

    at_site(tmp_path, store)
    (tmp_path / "keys" / KEY_FILE).unlink()

    async def again() -> None:
        with pytest.raises(Unavailable):
            Site(tmp_path)

    asyncio.run(again())
    assert not (tmp_path / "keys" / KEY_FILE).exists()


# --- HTTP --------------------------------------------------------------------------------------------------


class Keys:
    """The key of an admin and that of a member."""

    def authenticate(self, token: str) -> Principal:
        role = Role.ADMIN if token == "admin" else Role.MEMBER
        return Principal(no=1, org_no=1, name="ada", org="default", role=role, key_id="key_1")


async def ask(
    door: FrontDoor, method: str, path: str, body: Any = None, key: str = "admin"
) -> tuple[int, dict[str, Any]]:
    sent: list[MutableMapping[str, Any]] = []
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer " + key.encode())],
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    await door(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(m.get("body", b"") for m in sent[1:]))


def test_over_http_values_come_in_and_never_go_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def work(site: Site) -> None:
        clock = SystemClock()
        none = cast("Any", None)
        services = Services(
            runs=none,
            identity=cast("Any", Keys()),
            registry=none,
            objects=none,
            deploys=none,
            parts=none,
            variables=none,
            renew=lambda _agent: None,
            clock=clock,
            ids=TimeIds(clock, SystemEntropy()),
            link_key=b"k" * 32,
            secrets=site.secrets,
        )
        door = FrontDoor(services)
        status, made = await ask(door, "PUT", "/api/v1/secrets/KEY", {"value": VALUE})
        assert (status, made["name"], made["version"], made["by"]) == (200, "KEY", 1, "ada@default")
        answers: list[Any] = [made]
        status, rotated = await ask(door, "PUT", "/api/v1/secrets/KEY", {"value": VALUE, "rotate": True})
        assert (status, rotated["version"]) == (200, 2)
        status, listed = await ask(door, "GET", "/api/v1/secrets")
        assert (status, listed) == (200, {"secrets": [rotated]})
        for body in (
            {"value": [VALUE]},
            {"value": VALUE, "x": 1},
            {"secret": VALUE},
            VALUE,
            json.dumps({"value": VALUE})[:-1].encode(),
            b"{\xff",
            {"value": VALUE + "\0"},
        ):
            status, said = await ask(door, "PUT", "/api/v1/secrets/KEY", body)
            assert status == 400, body
            answers.append(said)
        for method, path, body in (
            ("GET", "/api/v1/secrets", None),
            ("PUT", "/api/v1/secrets/KEY", {"value": "x"}),
            ("DELETE", "/api/v1/secrets/KEY", None),
        ):
            assert (await ask(door, method, path, body, key="member"))[0] == 403
        assert (await ask(door, "GET", "/api/v1/secrets/KEY"))[0] == 405
        assert (await ask(door, "PUT", "/api/v1/secrets/NONE", {"value": "x", "rotate": True}))[0] == 404
        assert site.secrets.value(1, "KEY") == VALUE
        assert (await ask(door, "DELETE", "/api/v1/secrets/KEY"))[0] == 200
        assert (await ask(door, "DELETE", "/api/v1/secrets/KEY"))[0] == 404
        assert "s3cret-value" not in json.dumps([*answers, rotated, listed])
        services.secrets = None
        assert (await ask(door, "GET", "/api/v1/secrets"))[0] == 503

    at_site(tmp_path, work)
    lines = [record.getMessage() for record in caplog.records if record.name == "a2a_cloud.audit"]
    assert lines == [
        "secret set: KEY version=1 by=ada@default key=key_1",
        "secret set: KEY version=2 by=ada@default key=key_1",
        "secret removed: KEY version=0 by=ada@default key=key_1",
    ]
    assert "s3cret-value" not in caplog.text


# --- the command line --------------------------------------------------------------------------------------

ROW = {"name": "KEY", "version": 2, "created": "c", "at": "2026-11-21T12:00:00.000Z", "by": "ada@default"}


def test_the_value_comes_from_a_file_or_a_pipe(
    played: Any, a2a: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.json("PUT", "/api/v1/secrets/KEY", ROW)
    (tmp_path / "value").write_bytes(VALUE.encode() + b"\r\n")
    code, out, err = a2a("secrets", "set", "KEY", "--file", str(tmp_path / "value"))
    assert (code, err) == (0, "")
    assert "version 2" in out
    assert VALUE not in out
    assert json.loads(played.last("PUT", "/api/v1/secrets/KEY").body) == {"value": VALUE}
    for words in (("--file", "-"), ()):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"two\nlines\n")))
        assert a2a("secrets", "rotate", "KEY", *words)[0] == 0
        sent = json.loads(played.last("PUT", "/api/v1/secrets/KEY").body)
        assert sent == {"value": "two\nlines", "rotate": True}
    for raw in (b"", b"\n", b"\xff", b"x" * (MAX_VALUE + 1)):
        (tmp_path / "value").write_bytes(raw)
        assert a2a("secrets", "set", "KEY", "--file", str(tmp_path / "value"))[0] == 2
    assert a2a("secrets", "set", "KEY", "--file", str(tmp_path / "none"))[0] == 2
    assert a2a("secrets", "set", "KEY", VALUE)[0] == 2  # never on the command line


def test_on_a_terminal_it_is_typed_without_echo(
    played: Any, a2a: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import a2a_cloud.callers.cli.secrets as command

    asked: list[dict[str, Any]] = []

    def typed(text: str, **options: Any) -> str:
        asked.append({"text": text, **options})
        return VALUE

    monkeypatch.setattr(command, "interactive", lambda: True)
    monkeypatch.setattr(command.click, "prompt", typed)
    played.json("PUT", "/api/v1/secrets/KEY", ROW)
    code, out, err = a2a("secrets", "set", "KEY")
    assert code == 0
    assert asked == [{"text": "Value of KEY", "hide_input": True, "err": True}]
    assert VALUE not in out + err


def test_list_and_remove(played: Any, a2a: Run) -> None:
    played.json("GET", "/api/v1/secrets", {"secrets": [ROW]})
    played.json("DELETE", "/api/v1/secrets/KEY", {"name": "KEY", "removed": True})
    code, out, _ = a2a("secrets", "ls")
    assert code == 0
    assert out.split() == ["NAME", "VERSION", "SET", "BY", "KEY", "2", ROW["at"], "ada@default"]
    assert a2a("secrets", "rm", "KEY")[:2] == (0, "Removed KEY.\n")
    played.json("GET", "/api/v1/secrets", {"secrets": []})
    assert "a2a secrets set NAME" in a2a("secrets", "ls")[2]
    missing = {"code": "not_found", "detail": "There is no secret 'NONE'."}
    played.json("DELETE", "/api/v1/secrets/NONE", missing, 404)
    assert a2a("secrets", "rm", "NONE")[0] == 5
