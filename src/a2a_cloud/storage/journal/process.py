"""The journal on SQLite with its writer in a process of its own, which is this module run with `-m`.

Statements, signatures and commits then run beside the loop and not in turns with it, on another
core. The two speak over a socket pair: a 4-byte length and msgpack. The writer holds the data
folder's lock too, so that nobody opens the database while a group of a dead platform is still on
its way; it ends with its socket and with its parent. If the writer dies, another is started, and
the commit counter tells whether the group in flight took effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.storage.journal.group import GroupJournal, Settled
from a2a_cloud.storage.journal.port import Op, Params, Statement
from a2a_cloud.storage.journal.writer import Checkpoints, Followers, SqliteWriter, Verdicts, prepare
from a2a_cloud.storage.sql import statements

log = logging.getLogger("a2a_cloud.journal")


class _Numbers(dict[Statement, int]):
    """A number for each statement on the wire. Those that storage does not know itself, slices' of other
    planes, get theirs when they first come, and the writer is told what they are."""

    def __init__(self) -> None:
        super().__init__((statement, number) for number, statement in enumerate(statements.ALL))
        self.others: list[Statement] = []
        self.untold: list[Statement] = []

    def __missing__(self, statement: Statement) -> int:
        number = self[statement] = len(self)
        self.others.append(statement)
        self.untold.append(statement)
        return number


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()
#: Groups between looks at the WAL's size.
CHECKPOINT_GROUPS = 64
#: Seconds that the writer has to fold the WAL into the database and end.
CLOSE_SECONDS = 10.0
#: Writers that may die in a row before the platform gives up.
MAX_DEATHS = 5


class ProcessCommitter(asyncio.Protocol):
    """See `storage.journal.group.Committer`: a writer in another process."""

    def __init__(self, path: Path, seed: bytes, lock: int) -> None:
        self._path = path
        self._numbers = _Numbers()
        self._seed = seed
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()
        self._settled: Settled | None = None
        self._group: list[Sequence[Op]] = []
        self._bad: dict[int, str] = {}
        self._after: Followers = ()
        self._sent = False
        self._ready = False
        self._commits = -1
        self._deaths = 0
        self._closing = False
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._start()

    def _start(self) -> None:
        task = self._loop.create_task(self._spawn())
        self._tasks.add(task)
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("The journal's writer could not be started: %s", error)
            self._died()

    async def _spawn(self) -> None:
        if self._closing:
            return
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        descriptors = [theirs.fileno(), *([self._lock] if self._lock >= 0 else [])]
        # ASYNC220: it forks and returns, nothing is waited for. S603: our own interpreter and module.
        self._process = subprocess.Popen(  # noqa: ASYNC220, S603
            [sys.executable, "-I", "-m", __name__, str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
        )
        theirs.close()
        self._buffer.clear()
        await self._loop.create_unix_connection(lambda: self, sock=ours)
        self._write(_encoder.encode([str(self._path), self._seed]))

    # --- asyncio's callbacks ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers: first (commits, verdicts) of the database as it is, then one per group."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 4 and len(buffer) - 4 >= (size := int.from_bytes(buffer[:4], "big")):
            body = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            self._answer(_decoder.decode(body))

    def connection_lost(self, exc: Exception | None) -> None:
        """The writer is gone: by our wish, or it died."""
        self._transport = None
        self._ready = False
        if self._closing:
            if not self._gone.done():
                self._gone.set_result(None)
            return
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # It may have lost its socket alone; two never write.
            threading.Thread(target=process.wait, daemon=True).start()
        self._died()

    def _died(self) -> None:
        self._deaths += 1
        log.critical("The journal's writer died (%d in a row); starting another.", self._deaths)
        if self._deaths > MAX_DEATHS:
            log.critical("The journal's writer dies again and again: the platform ends.")
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._loop.call_later(0.1 * self._deaths, self._start)

    def _answer(self, answer: Any) -> None:
        kind, number, verdicts = answer
        if kind == "hello":
            settled, before = self._settled, self._commits
            self._commits = number
            self._ready = True
            self._numbers.untold = list(self._numbers.others)  # It is new, and knows only storage's own.
            if settled is None:
                return
            if self._sent and before >= 0 and number == before + 1:
                self._settled = None
                settled(self._verdicts(verdicts))
            else:
                self._send()
            return
        settled, self._settled = self._settled, None
        self._sent = False
        self._deaths = 0
        if settled is None:
            return
        if kind == "failed":
            settled(sqlite3.OperationalError(number))
        else:
            self._commits = number
            settled(self._verdicts(verdicts))

    def _verdicts(self, answered: list[str | None]) -> Verdicts:
        verdicts: Verdicts = answered or [None for _ in self._group]
        for place, why in self._bad.items():
            verdicts[place] = why
        return verdicts

    # --- the committer ------------------------------------------------------------------------------

    def commit(self, group: list[Sequence[Op]], settled: Settled, after: Followers) -> None:
        """See the port."""
        self._group, self._settled, self._sent, self._after = group, settled, False, after
        if self._ready:  # Else it goes out once the writer has said where the database stands.
            self._send()

    def _send(self) -> None:
        numbers = self._numbers
        if self._bad:
            self._bad = {}
        try:
            rows = [[(numbers[op[0]], op[1]) for op in ops] for ops in self._group]
            body = _encoder.encode(rows if not (numbers.untold or self._after) else self._told(rows))
        except (OverflowError, TypeError, ValueError, msgspec.MsgspecError):
            body = self._send_apart()
        self._sent = True
        self._numbers.untold = []
        self._write(body)

    def _send_apart(self) -> bytes:
        """A value in the group has no form on the wire: its write is refused, its neighbours go."""
        rows: list[list[tuple[int, Params]]] = []
        for place, ops in enumerate(self._group):
            plain = [(self._numbers[op[0]], op[1]) for op in ops]
            try:
                _encoder.encode(plain)
                rows.append(plain)
            except (OverflowError, TypeError, ValueError, msgspec.MsgspecError) as error:
                rows.append([])
                self._bad[place] = f"{type(error).__name__}: {error}"
        for place, followed in self._after:
            if followed in self._bad:
                rows[place] = []
                self._bad[place] = f"What it follows was refused: {self._bad[followed]}"
        return _encoder.encode(self._told(rows))

    def _told(self, rows: object) -> dict[str, object]:
        untold = self._numbers.untold
        return {
            "new": [(one.name, one.sql, one.rank, one.signs) for one in untold],
            "group": rows,
            "after": self._after,
        }

    def _write(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(len(body).to_bytes(4, "big") + body)

    async def close(self) -> None:
        """See the port."""
        self._closing = True
        if self._tasks:  # A writer that is just being started must be there to be told.
            await asyncio.wait(self._tasks)
        if self._transport is not None:
            self._transport.write_eof()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone, CLOSE_SECONDS)
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, CLOSE_SECONDS)
            process.kill()
            await asyncio.to_thread(process.wait)


class ProcessJournal(GroupJournal):
    """See `storage.journal.port.Journal`. Makes or migrates the database at `path`.

    `seed` is the private key that signs receipts; `lock` a descriptor that the writer holds open.
    """

    def __init__(self, path: Path, seed: bytes, lock: int = -1) -> None:
        prepare(path)
        super().__init__(ProcessCommitter(path, seed, lock))


# --- the process ------------------------------------------------------------------------------------


def main() -> None:
    """Serve one platform until its socket closes."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # The platform says when it is over.
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    hello = _receive(connection)
    if hello is None:
        return
    path, seed = _decoder.decode(hello)
    try:
        serve(connection, Path(path), seed)
    except Unavailable as problem:
        sys.exit(f"a2a journal: {problem.sentence}")


def serve(connection: socket.socket, path: Path, seed: bytes) -> None:
    """Apply groups as they come."""
    from a2a_cloud.wire.jws import Signer

    writer = SqliteWriter(path, sign=Signer(seed).sign if seed else None)
    wake, copied = threading.Event(), threading.Event()
    threading.Thread(target=_checkpoint, args=(path, wake, copied), daemon=True).start()
    commits, verdicts = writer.last()
    _send(connection, ["hello", commits, verdicts])
    groups = 0
    kinds = list(statements.ALL)
    while (body := _receive(connection)) is not None:
        rows, after = _decoder.decode(body), ()
        if isinstance(rows, dict):
            message = cast("dict[str, Any]", rows)
            kinds += [Statement(name, text, rank, signs) for name, text, rank, signs in message["new"]]
            rows, after = message["group"], message["after"]
        group: list[Sequence[Op]] = [[(kinds[number], params) for number, params in row] for row in rows]
        try:
            verdicts = writer.apply(group, after)
        except sqlite3.Error as error:
            _send(connection, ["failed", str(error), []])
            continue
        plain = all(verdict is None for verdict in verdicts)
        _send(connection, ["done", writer.commits, [] if plain else verdicts])
        groups += 1
        if groups % CHECKPOINT_GROUPS == 0:
            wake.set()
        if copied.is_set():
            copied.clear()
            writer.start_over()
    writer.close()


def _checkpoint(path: Path, wake: threading.Event, copied: threading.Event) -> None:
    checkpoints = Checkpoints(path, sync=True)
    while wake.wait():
        wake.clear()
        if checkpoints.run():
            copied.set()


def _send(connection: socket.socket, answer: list[Any]) -> None:
    body = _encoder.encode(answer)
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(len(body).to_bytes(4, "big") + body)


def _receive(connection: socket.socket) -> bytes | None:
    head = _exactly(connection, 4)
    return None if head is None else _exactly(connection, int.from_bytes(head, "big"))


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    """`count` bytes, or None when the platform is gone."""
    with contextlib.suppress(ConnectionError):
        return _received(connection, count)
    return None


def _received(connection: socket.socket, count: int) -> bytes | None:
    chunk = connection.recv(count)
    if len(chunk) == count:
        return chunk
    pieces = bytearray(chunk)
    while chunk and len(pieces) < count:
        chunk = connection.recv(count - len(pieces))
        pieces += chunk
    return bytes(pieces) if len(pieces) == count else None


__all__ = ["ProcessCommitter", "ProcessJournal", "Verdicts", "main", "serve"]

if __name__ == "__main__":
    main()
