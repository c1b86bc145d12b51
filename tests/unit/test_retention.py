"""What is cleared away after how long, in which steps, and what never is."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from a2a_cloud.ops.clearing import GONE
from a2a_cloud.ops.retention import EVERY, Retention
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.notary import Kept
from a2a_cloud.runtime.stored import StoredCall
from a2a_cloud.settings import Keeping
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.objects.folder import FolderObjects

NOW = 2_000_000_000.0
DAY = 86_400.0


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Site:
    """A database with runs of several ages, and objects."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self.folder = folder
        self.clock = Clock()
        self.journal = SqliteJournal(folder / "journal.db")
        self.objects = FolderObjects(folder / "objects", TimeIds(SystemClock(), SystemEntropy()))
        self.keeping = keeping
        self.held = False
        self.retention = self.opened()

    def opened(self) -> Retention:
        return Retention(
            self.journal,
            self.folder / "journal.db",
            self.objects,
            self.clock,
            self.keeping,
            self.folder / "retention",
            lambda: self.held,
        )

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / "journal.db", isolation_level=None)
        try:
            return connection.execute(sql, params).fetchall()
        finally:
            connection.close()

    def run(self, no: int, age: float, *, state: str = "TASK_STATE_COMPLETED", file: str = "") -> None:
        """A run that ended `age` days ago, with a receipt, two events, a key and a log line."""
        at = NOW - age * DAY
        ended = at if state == "TASK_STATE_COMPLETED" else None
        call = json.dumps(
            {
                "message": {"messageId": f"m{no}", "role": "ROLE_USER", "parts": []},
                "arguments": {"file": file},
                "key": f"k{no}",
            }
        ).encode()
        self.rows(
            "INSERT INTO task(no, id, org, owner, agent, context, state, at) VALUES(?,?,1,2,3,'c',?,?)",
            *(no, f"t{no}", state, at),
        )
        self.rows(
            "INSERT INTO run(no, id, org, owner, agent, release, task, task_id, ordinal, context, skill,"
            " state, attempt, created, ended, call) VALUES(?,?,1,2,3,1,?,?,1,'c','s',?,1,?,?,?)",
            *(no, f"r{no}", no, f"t{no}", state, at, ended, call),
        )
        end = b'{"k":"status","state":"TASK_STATE_COMPLETED","at":1.0,"message":{"parts":[{"text":"bye"}]}}'
        for seq, body in ((1, b'{"k":"text"}'), (2, end)):
            self.rows("INSERT INTO event(id, org, body) VALUES(?,1,?)", no << 20 | seq, body)
        kept = msgspec.msgpack.encode(Kept(bytes(range(128)), b"{}"))
        self.rows(
            "INSERT INTO receipt(run, org, leaf, leaf_hash, id, body, protected, signature, sections)"
            " VALUES(?,1,?,?,?,?,'','',?)",
            *(no, no, b"l%d" % no, b"i%d" % no, b"{}", kept),
        )
        digest = hashlib.blake2b(f"1\x002\x003\x00k{no}".encode(), digest_size=16).digest()
        self.rows("INSERT INTO idempotency(key, org, run, fingerprint) VALUES(?,1,?,?)", digest, no, b"f")
        self.rows(
            "INSERT INTO log(org, agent, run, at, level, source, line) VALUES(1,3,?,?,'info','x','y')", no, at
        )

    async def whole(self) -> int:
        """A pass to its end; returns its steps."""
        for count in range(1, 5_000):
            if await self.retention.step():
                return count
        raise AssertionError("a pass has no end")

    def left(self, table: str, column: str) -> list[Any]:
        return [row[0] for row in self.rows(f"SELECT {column} FROM {table} ORDER BY 1")]  # noqa: S608


def with_site(folder: Path, keeping: Keeping, check: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        site = Site(folder, keeping)
        try:
            await check(site)
        finally:
            site.retention.close()
            await site.journal.close()

    asyncio.run(main())


def test_each_kind_has_its_own_time(tmp_path: Path) -> None:
    keeping = Keeping(events=20 * DAY, payloads=10 * DAY, logs=5 * DAY)

    async def check(site: Site) -> None:
        for no, age in ((1, 30), (2, 15), (3, 7), (4, 1)):
            site.run(no, age)
        await site.whole()
        assert [(row >> 20, row & 3) for row in site.left("event", "id")] == [
            *((1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2))
        ]
        ((body,),) = site.rows("SELECT body FROM event WHERE id=?", 1 << 20 | 2)
        assert json.loads(body) == {"k": "status", "state": "TASK_STATE_COMPLETED", "at": 1.0}
        calls = site.rows("SELECT no, call FROM run ORDER BY no")
        assert [no for no, call in calls if call == GONE] == [1, 2]
        assert site.left("log", "run") == [4]
        assert site.left("receipt", "run") == [1, 2, 3, 4]  # They stay, and so does the log over them.
        assert site.left("run", "no") == [1, 2, 3, 4]
        assert site.left("idempotency", "run") == [3, 4]
        now = site.retention.now
        assert (now.runs, now.calls, now.lines) == (1, 2, 3)

    with_site(tmp_path, keeping, check)


def test_a_salt_goes_with_its_payload(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        site.run(1, 30)
        await site.whole()
        ((sections,),) = site.rows("SELECT sections FROM receipt")
        salts = msgspec.msgpack.decode(sections, type=Kept).salts
        assert salts[:64] == bytes(64)
        assert salts[64:] == bytes(range(64, 128))

    with_site(tmp_path, Keeping(events=DAY, payloads=DAY), check)


def test_what_stands_in_the_place_of_a_call_can_be_read() -> None:
    stored = msgspec.json.decode(GONE, type=StoredCall)
    assert (stored.message.parts, bytes(stored.arguments), stored.key) == ([], b"null", "")


def test_what_is_not_over_is_not_touched(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        site.run(1, 300, state="TASK_STATE_INPUT_REQUIRED")
        site.run(2, 300)
        site.rows("UPDATE task SET state='TASK_STATE_WORKING' WHERE no=2")  # A follow-up is under way.
        await site.whole()
        assert len(site.left("event", "id")) == 4
        assert GONE not in site.left("run", "call")

    with_site(tmp_path, Keeping(events=DAY, payloads=DAY), check)


def test_zero_keeps_for_ever(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        site.run(1, 9_999)
        await site.whole()
        assert len(site.left("event", "id")) == 2
        assert site.left("log", "run") == [1]

    with_site(tmp_path, Keeping(events=0, payloads=0, logs=0), check)


def test_files_that_nothing_refers_to_go_and_others_stay(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        refs = [await site.objects.put(f"file {number}".encode()) for number in range(5)]
        asked, said, lost, kept, gone = (ref.sha256 for ref in refs)
        site.run(1, 1, file=asked)
        site.rows(
            "INSERT INTO event(id, org, body) VALUES(?,1,?)",
            1 << 20 | 3,
            json.dumps({"k": "text", "at": said}).encode(),
        )
        site.run(
            2, 90, file=lost
        )  # What it was asked is cleared away, and with it the last word of the file.
        site.rows(
            "INSERT INTO event(id, org, body) VALUES(?,1,?)",
            2 << 20 | 3,
            json.dumps({"k": "text", "at": gone}).encode(),
        )
        leaf = {"node": "leaf", "entries": [["a.txt", "file", kept, 6, 1]]}
        tree = await site.objects.put(json.dumps(leaf).encode())
        top = {"node": "leaf", "entries": [["sub", "folder", tree.sha256, 6, 1]]}
        head = await site.objects.put(json.dumps(top).encode())
        site.rows(
            "INSERT INTO workspace_version(workspace, number, org, tree, files, size, at, made_by, run,"
            " message, base, restored, changed) VALUES(1,1,1,?,1,6,0,'','','',0,0,1)",
            head.sha256,
        )
        fresh = await site.objects.put(b"of a run that is just being asked")
        place = tmp_path / "objects" / "sha256" / fresh.sha256[:2] / fresh.sha256
        os.utime(place, (NOW - 60, NOW - 60))  # All others are years old.
        await site.whole()
        left = {path.name for path in (tmp_path / "objects" / "sha256").glob("*/*")}
        assert left == {asked, said, kept, tree.sha256, head.sha256, fresh.sha256}
        assert site.retention.now.files == 2

    with_site(tmp_path, Keeping(events=30 * DAY, payloads=30 * DAY), check)


def test_a_pass_goes_on_in_the_next_life_and_is_not_due_again_at_once(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        for no in range(1, 4):
            site.run(no, 30)
        lost = await site.objects.put(b"nobody's")
        place = tmp_path / "objects" / "sha256" / lost.sha256[:2] / lost.sha256
        assert place.exists()
        steps = 0
        while not await site.retention.step():
            steps += 1
            site.retention.close()
            site.retention = site.opened()  # as after a crash, after every single step
        assert steps > 256
        assert site.left("event", "id & 3") == [2] * len(site.left("run", "no"))
        assert not place.exists()
        assert not await site.retention.step()
        assert not site.retention.now.began
        site.clock.at += EVERY + 1
        assert await site.whole() > 256
        assert site.retention.now.runs == 0  # Nothing is cleared away twice.

    with_site(tmp_path, Keeping(events=DAY, payloads=DAY), check)


def test_nothing_goes_while_a_copy_is_made(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        site.run(1, 30)
        site.held = True
        for _ in range(10):
            assert not await site.retention.step()
        assert len(site.left("event", "id")) == 2
        site.held = False
        await site.whole()
        assert site.left("event", "id & 3") == [2] * len(site.left("run", "no"))

    with_site(tmp_path, Keeping(events=DAY), check)


@pytest.mark.parametrize("text", ["", "{", '{"stage": "none", "began": 1}', '{"odd": 1}', "[]"])
def test_a_damaged_note_begins_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "retention").mkdir()
    (tmp_path / "retention" / "pass.json").write_text(text)

    async def check(site: Site) -> None:
        site.run(1, 30)
        await site.whole()
        assert site.left("event", "id & 3") == [2] * len(site.left("run", "no"))

    with_site(tmp_path, Keeping(events=DAY), check)


def test_a_pass_that_is_wanted_comes_at_once(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        await site.whole()
        assert not site.retention.busy
        site.retention.hasten()
        assert site.opened().busy  # The next life knows it too.
        await site.retention.step()
        site.retention.hasten()  # This pass may have been by what was erased: another one follows.
        await site.whole()
        assert site.retention.busy
        await site.whole()
        assert not site.retention.busy

    with_site(tmp_path, Keeping(), check)
