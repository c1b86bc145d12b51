"""What is kept for how long, and its clearing away, in small steps: log lines, what runs were asked, what
they said and did, and files that nothing refers to any more. Receipts, the log over them, the audit log and
workspaces with all their versions stay.

A pass goes through stages in order of row numbers; each step is bounded, reads on a thread and deletes by the
journal's one writer. Where a pass stands is kept in a file, so that the next life of the platform goes on
there. What a pass meets twice is deleted once: every step may be repeated.

What refers to a file is found without knowing how: whatever stands in 64 hex digits in a call, an event, a
workspace's tree or a state is taken for one. A file is deleted when no such digits were found in a whole
pass, and it was not written again since a day before the pass began.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import NotFound
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.ops.clearing import GONE, Payloads, clear
from a2a_cloud.settings import Keeping
from a2a_cloud.storage.journal.port import Journal, Op, Statement
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.sql.schema import SEQ_BITS

log = logging.getLogger("a2a_cloud.retention")

#: Seconds between two passes, and those that a file must have been left alone.
EVERY = 86_400.0
GRACE = 86_400.0
#: Rows of one step. A step that reads whole calls and events takes fewer.
ROWS, BODIES, TREES = 1_000, 1_000, 20
MOST_BYTES = 8 << 20
_NUMBER_BITS = 32
STAGES = ("logs", "runs", "workspaces", "calls", "events", "states", "files")

_TERMINAL = (
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_REJECTED",
)
_HASH = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

_TRIM_LOGS = Statement("trim_old_logs", "DELETE FROM log WHERE org=? AND no>? AND no<=? AND at<?", 9)
_RUNS = f"""
    SELECT r.no, r.org, r.owner, r.agent, length(r.call) > {len(GONE)}, COALESCE(t.at, r.ended),
        EXISTS(SELECT 1 FROM event e WHERE e.id >= r.no << {SEQ_BITS} AND e.id < (r.no + 1) << {SEQ_BITS}
            AND (instr(e.body, '"k":"status"') = 0 OR instr(e.body, '"message":') > 0))
    FROM run r LEFT JOIN task t ON t.no = r.task
    WHERE r.no > ? AND r.ended IS NOT NULL AND (t.no IS NULL OR t.state IN {_TERMINAL})
        AND NOT EXISTS(SELECT 1 FROM erasure x WHERE x.run = r.no)
    ORDER BY r.no LIMIT ?
"""  # noqa: S608


@dataclass
class Pass:
    """Where a pass stands: its stage, the last number that it looked at there, when it began, and how much it
    cleared away. `began` 0: none is on its way; `ended`: when the last one was through; `again`: another one
    is due at once."""

    stage: str = ""
    at: int = 0
    began: float = 0.0
    ended: float = 0.0
    lines: int = 0
    calls: int = 0
    runs: int = 0
    files: int = 0
    again: bool = False


class Retention:
    """One per platform. `held` says that nothing may be deleted just now."""

    def __init__(
        self,
        journal: Journal,
        database: Path,
        objects: ObjectStore,
        clock: Clock,
        keeping: Keeping,
        folder: Path,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._journal = journal
        self._database = database
        self._objects = objects
        self._clock = clock
        self._keeping = keeping
        self._folder = folder
        self._held = held
        self.now = _read(folder / "pass.json")
        self._marks: sqlite3.Connection | None = None

    @property
    def busy(self) -> bool:
        """Whether a pass is on its way, or due."""
        return bool(self.now.began) or self.now.again or self._clock.now() - self.now.ended >= EVERY

    def hasten(self) -> None:
        """A pass is due from now on, whenever the last one was: something was erased, and files that only
        that referred to are to go. One that is on its way may have passed by it, so another one follows."""
        if not self.now.again:
            self.now.again = True
            self._write()

    async def step(self) -> bool:
        """One bounded step of a pass, if it is time for one. True when the pass is through with it."""
        if self._held() or not self.busy:
            return False
        if not self.now.began:
            self._forget_marks()
            self._open_marks()
            self.now = Pass(STAGES[0], began=self._clock.now(), ended=self.now.ended)  # And `again` is met.
        stage = self.now.stage
        done = await getattr(self, f"_{stage}")()
        if not done:
            self._write()
            return False
        following = STAGES.index(stage) + 1
        if following < len(STAGES):
            self.now.stage, self.now.at = STAGES[following], 0
            self._write()
            return False
        now = self.now
        log.info(
            "Cleared away: %d log lines, what %d runs were asked and %d said, %d files.",
            now.lines,
            now.calls,
            now.runs,
            now.files,
        )
        self.now = Pass(
            ended=self._clock.now(),
            lines=now.lines,
            calls=now.calls,
            runs=now.runs,
            files=now.files,
            again=now.again,
        )
        self._forget_marks()
        self._write()
        return True

    def close(self) -> None:
        """Let go of what a pass holds open; the next life goes on with it."""
        if self._marks is not None:
            self._marks.close()
            self._marks = None

    # --- log lines ---------------------------------------------------------------------------------

    async def _logs(self) -> bool:
        if not self._keeping.logs:
            return True
        cutoff = self.now.began - self._keeping.logs
        rows = await self._rows(
            "SELECT no, org, at FROM log WHERE no>? ORDER BY no LIMIT ?", self.now.at, ROWS
        )
        old = [row for row in rows if row[2] < cutoff]
        if not old:
            return True
        first, last = self.now.at, rows[-1][0]
        await self._journal.write(
            [(_TRIM_LOGS, (org, first, last, cutoff)) for org in sorted({row[1] for row in old})]
        )
        self.now.lines += len(old)
        self.now.at = last
        return len(rows) < ROWS

    # --- runs --------------------------------------------------------------------------------------

    async def _runs(self) -> bool:
        keeping, began = self._keeping, self.now.began
        if not (keeping.events or keeping.payloads):
            return True
        rows = await self._rows(_RUNS, self.now.at, ROWS)
        for no, org, owner, agent, asked, at, said in rows:
            events = bool(keeping.events and said and at < began - keeping.events)
            call = bool(keeping.payloads and asked and at < began - keeping.payloads)
            if events or call:
                await self._journal.write(await self._clear(no, org, owner, agent, events=events, call=call))
                self.now.runs += events
                self.now.calls += call
        if rows:
            self.now.at = rows[-1][0]
        return len(rows) < ROWS

    async def _clear(
        self, no: int, org: int, owner: int, agent: int, *, events: bool, call: bool
    ) -> Sequence[Op]:
        """What clears a run's payloads away, with the salts by which they could be guessed."""
        found = await self._rows(
            "SELECT r.call, c.sections FROM run r LEFT JOIN receipt c ON c.run=r.no WHERE r.no=?", no
        )
        last = await self._rows(
            "SELECT id, body FROM event WHERE id>=? AND id<? ORDER BY id DESC LIMIT 1",
            no << SEQ_BITS,
            (no + 1) << SEQ_BITS,
        )
        asked, kept = found[0]
        run = Payloads(no, org, owner, agent, asked, (last[0][0], last[0][1]) if last else None, kept)
        return clear(run, events=events, call=call)

    # --- what refers to files ----------------------------------------------------------------------

    async def _workspaces(self) -> bool:
        """Everything below the trees of all versions."""
        at = self.now.at
        rows = await self._rows(
            "SELECT workspace, number, tree FROM workspace_version WHERE (workspace, number) > (?, ?)"
            " ORDER BY workspace, number LIMIT ?",
            at >> _NUMBER_BITS,
            at & ((1 << _NUMBER_BITS) - 1),
            TREES,
        )
        for workspace, number, tree in rows:
            await self._mark_tree(tree)
            self.now.at = workspace << _NUMBER_BITS | number
        return len(rows) < TREES

    async def _mark_tree(self, root: str) -> None:
        waiting = [bytes.fromhex(root)]
        while waiting:
            found: list[bytes] = []
            for address in self._mark(waiting):  # What is below one that had a mark has its marks too.
                try:
                    body = await self._objects.read(ObjectRef(address.hex(), 0))
                except NotFound:
                    continue
                files, folders = _node(body)
                self._mark(files)
                found += folders
            waiting = found
        self._settle()

    async def _calls(self) -> bool:
        return await self._mark_bodies("SELECT no, call FROM run WHERE no>? ORDER BY no")

    async def _events(self) -> bool:
        return await self._mark_bodies("SELECT id, body FROM event WHERE id>? ORDER BY id")

    async def _states(self) -> bool:
        return await self._mark_bodies("SELECT ?, value FROM state", most=1 << 62)

    async def _mark_bodies(self, sql: str, most: int = BODIES) -> bool:
        self.now.at, done = await asyncio.to_thread(self._mark_some, sql, self.now.at, most)
        return done

    def _mark_some(self, sql: str, at: int, most: int) -> tuple[int, bool]:
        """(the last row that was looked at, whether it was the last one)."""
        connection = self._connect()
        size = 0
        try:
            for number, body in connection.execute(sql, (at,)):
                raw: bytes = body.encode() if isinstance(body, str) else body
                self._mark(bytes.fromhex(found.decode()) for found in _HASH.findall(raw))
                at, size = number, size + len(raw) + MOST_BYTES // most
                if size >= MOST_BYTES and most < 1 << 62:
                    return at, False
            return at, True
        finally:
            connection.close()
            self._settle()

    async def _files(self) -> bool:
        """One of the 256 folders of objects."""
        prefix = f"{self.now.at:02x}"
        marked = self._marked(self.now.at)
        self.now.files += await self._objects.prune(
            prefix, self.now.began - GRACE, lambda sha256: bytes.fromhex(sha256) in marked
        )
        self.now.at += 1
        return self.now.at > 255

    # --- marks -------------------------------------------------------------------------------------

    def _mark(self, addresses: Iterable[bytes]) -> list[bytes]:
        """Those that had no mark yet."""
        execute = self._open_marks().execute
        return [
            one for one in addresses if execute("INSERT OR IGNORE INTO mark VALUES(?)", (one,)).rowcount > 0
        ]

    def _marked(self, first: int) -> frozenset[bytes]:
        low, high = bytes([first]), bytes([first, *[255] * 32])
        rows = self._open_marks().execute(
            "SELECT sha256 FROM mark WHERE sha256>=? AND sha256<=?", (low, high)
        )
        return frozenset(row[0] for row in rows)

    def _settle(self) -> None:
        self._open_marks().execute("COMMIT")
        self._open_marks().execute("BEGIN")

    def _open_marks(self) -> sqlite3.Connection:
        marks = self._marks
        if marks is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            path = self._folder / "marks.db"
            marks = self._marks = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            marks.execute("PRAGMA journal_mode=WAL")
            marks.execute("PRAGMA synchronous=NORMAL")
            marks.execute("CREATE TABLE IF NOT EXISTS mark(sha256 BLOB PRIMARY KEY) WITHOUT ROWID")
            marks.execute("BEGIN")
        return marks

    def _forget_marks(self) -> None:
        self.close()
        for path in self._folder.glob("marks.db*"):
            path.unlink(missing_ok=True)

    # --- rows and the file ----------------------------------------------------------------------------

    async def _rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._read_rows, sql, params)

    def _read_rows(self, sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        connection = self._connect()
        try:
            return connection.execute(sql, params).fetchall()
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{self._database.absolute().as_uri()}?mode=ro", uri=True)
        connection.execute("PRAGMA busy_timeout=5000")
        return connection

    def _write(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        aside = self._folder / "pass.new"
        aside.write_text(json.dumps(self.now.__dict__))
        aside.replace(self._folder / "pass.json")


def _read(path: Path) -> Pass:
    with suppress(OSError, ValueError, TypeError):
        found = Pass(**json.loads(path.read_text()))
        if not found.began or (found.stage in STAGES and path.with_name("marks.db").exists()):
            return found
    return Pass()


def _node(body: bytes) -> tuple[list[bytes], list[bytes]]:
    """The addresses of files and of further nodes that a node of a workspace's tree names."""
    found: Any = msgspec.json.decode(body)
    if "pages" in found:
        return [], [bytes.fromhex(page[1]) for page in found["pages"]]
    entries = [(entry[1], bytes.fromhex(entry[2])) for entry in found["entries"]]
    return (
        [address for kind, address in entries if kind == "file"],
        [address for kind, address in entries if kind != "file"],
    )
