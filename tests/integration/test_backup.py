"""Copies of a working platform, what comes of them, and archives that don't hold."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from a2a_cloud.ops.backup import Broken
from a2a_cloud.ops.restore import restore, verify
from running import AGENTS, Running, start_platform


def shout(platform: Running, text: str) -> str:
    """A call; returns its run."""
    answer = httpx.post(
        f"{platform.agent('open')}/invoke/shout", json={"text": text}, headers=platform.auth, timeout=20
    )
    assert answer.json() == text.upper()
    return answer.headers["a2a-run"]


def receipt(platform: Running, run: str, path: Path) -> Path:
    """The receipt of a run, in a file."""
    done = platform.a2a("receipt", "get", run, "--out", str(path))
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "open"], tmp_path_factory.mktemp("copied"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def archive(platform: Running) -> bytes:
    """A good one."""
    put = httpx.put(
        f"{platform.url}/api/v1/workspaces/default/files/notes/a.txt",
        content=b"what is kept",
        headers=platform.auth,
        timeout=20,
    )
    assert put.status_code < 300, put.text
    shout(platform, "first")
    answer = httpx.post(f"{platform.url}/api/v1/backup", headers=platform.auth, timeout=60)
    assert answer.headers["content-type"] == "application/x-tar"
    return answer.content


def test_a_copy_under_load_is_a_platform_of_one_moment(platform: Running, tmp_path: Path) -> None:
    first = receipt(platform, shout(platform, "before"), tmp_path / "first.json")
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            shout(platform, "on and on")

    thread = threading.Thread(target=load)
    thread.start()
    try:
        done = platform.a2a("backup", str(tmp_path / "all.tar"))
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert "whole" in done.stdout
    last = receipt(platform, shout(platform, "after"), tmp_path / "last.json")
    done = platform.a2a(
        *("restore", str(tmp_path / "all.tar"), str(tmp_path / "again" / "data")),
        *("--receipt", str(first), "--receipt", str(last)),
    )
    assert done.returncode == 0, done.stderr
    assert "is in it" in done.stdout
    assert "is later than this copy" in done.stdout
    again = start_platform([], tmp_path / "again")
    try:
        assert again.key == platform.key
        assert shout(again, "back") is not None
        theirs = httpx.get(f"{again.url}/.well-known/jwks.json", timeout=10).json()
        jwks = tmp_path / "jwks.json"
        jwks.write_text(json.dumps(theirs))
        done = again.a2a("receipt", "verify", str(first), "--key", str(jwks))
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        again.stop()


def test_a_log_that_went_another_way_is_no_beginning(platform: Running, tmp_path: Path) -> None:
    """A platform was restored and went on; a copy of it is none of the one that it was restored from."""
    done = platform.a2a("backup", str(tmp_path / "all.tar"))
    assert done.returncode == 0, done.stderr
    theirs = receipt(platform, shout(platform, "after the copy"), tmp_path / "theirs.json")
    done = platform.a2a("restore", str(tmp_path / "all.tar"), str(tmp_path / "again" / "data"))
    assert done.returncode == 0, done.stderr
    again = start_platform([], tmp_path / "again")
    try:
        shout(again, "something else")
        done = again.a2a("backup", str(tmp_path / "other.tar"))
        assert done.returncode == 0, done.stderr
    finally:
        again.stop()
    done = platform.a2a("restore", "--verify", str(tmp_path / "other.tar"), "--receipt", str(theirs))
    assert done.returncode != 0
    assert "not a beginning of the log" in done.stderr


def test_what_was_kept_is_there_again(archive: bytes, tmp_path: Path) -> None:
    found = restore(io.BytesIO(archive), tmp_path / "data", [])
    assert found["objects"]
    assert found["receipts"] == found["logs"][0]["receipts"] > 0
    data = tmp_path / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "keys" / "receipt.jwk").stat().st_mode & 0o777 == 0o600
    assert any(path.read_bytes() == b"what is kept" for path in data.glob("objects/sha256/*/*"))


def test_a_folder_that_is_there_stays_as_it_is(archive: bytes, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine").write_text("mine")
    with pytest.raises(Broken, match="there already"):
        restore(io.BytesIO(archive), data, [])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def changed(
    archive: bytes, change: dict[str, bytes | None], extra: list[tarfile.TarInfo] | None = None
) -> bytes:
    """The archive with other content in some members (None: without it), and with further ones."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for entry in old.getmembers():
            content = old.extractfile(entry)
            assert content is not None
            body = change.get(entry.name, content.read())
            if body is None:
                continue
            if entry.name == "SHA256SUMS":
                for one in extra or ():
                    new.addfile(one, io.BytesIO(b""))
            entry.size = len(body)
            new.addfile(entry, io.BytesIO(body))
    return out.getvalue()


def _entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    return entry


@pytest.mark.parametrize("name", ["cut", "key", "no-database", "no-list", "no-first"])
def test_what_was_changed_is_refused_and_leaves_nothing(archive: bytes, tmp_path: Path, name: str) -> None:
    bad = {
        "cut": lambda: archive[: len(archive) // 2],
        "key": lambda: changed(archive, {"keys/links.key": bytes(32)}),
        "no-database": lambda: changed(archive, {"journal.db": None}),
        "no-list": lambda: changed(archive, {"SHA256SUMS": None}),
        "no-first": lambda: changed(archive, {"a2a-backup.json": None}),
    }[name]()
    with pytest.raises(Broken):
        restore(io.BytesIO(bad), tmp_path / "data", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "entry",
    [
        _entry("../outside"),
        _entry("/etc/cron.d/x"),
        _entry("releases/../../x"),
        _entry("keys/link", tarfile.SYMTYPE),
        _entry("releases/link", tarfile.LNKTYPE),
        _entry("keys/fifo", tarfile.FIFOTYPE),
        _entry("surprise"),
        _entry("admin.key"),
        _entry("objects/sha256/ab/../../x"),
    ],
    ids=["dots", "absolute", "dots-inside", "symlink", "hardlink", "fifo", "unknown", "twice", "object"],
)
def test_members_that_no_backup_has(archive: bytes, tmp_path: Path, entry: tarfile.TarInfo) -> None:
    with pytest.raises(Broken, match="No backup has"):
        restore(io.BytesIO(changed(archive, {}, [entry])), tmp_path / "data", [])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_archive(tmp_path: Path) -> None:
    for data in (b"", b"hello", bytes(10_240)):
        with pytest.raises(Broken):
            verify(io.BytesIO(data), tmp_path, [])


def test_only_who_keeps_the_platform_gets_a_copy(platform: Running) -> None:
    made = httpx.post(
        f"{platform.url}/api/v1/keys",
        json={"principal": "someone"},
        headers=platform.auth,
        timeout=10,
    )
    key = made.json()["key"]
    another = httpx.post(
        f"{platform.url}/api/v1/keys",
        json={"principal": "second", "role": "admin"},
        headers=platform.auth,
        timeout=10,
    ).json()["key"]
    # All keys are in a copy, so an admin could become an owner with it.
    admin = {"Authorization": f"Bearer {another}"}
    assert httpx.get(f"{platform.url}/api/v1/config", headers=admin, timeout=10).status_code == 200
    assert httpx.post(f"{platform.url}/api/v1/backup", headers=admin, timeout=10).status_code == 403
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {key}"}, 403)):
        for method, path in (("POST", "backup"), ("GET", "config")):
            answer = httpx.request(method, f"{platform.url}/api/v1/{path}", headers=headers, timeout=10)
            assert answer.status_code == status, answer.text
