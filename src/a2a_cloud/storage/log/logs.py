"""The platform's logs: one per organisation and one of its own. Whenever something was committed, a tick
later the new leaves are taken in, the tiles written, the checkpoint signed and stored, and only then shown.

Calls wait for none of it: a receipt has its leaf by its own transaction. Nothing runs while nothing is
committed. Proofs are made from stored rows, on the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Internal, NotFound, Problem, Unavailable
from a2a_cloud.storage.journal.port import Op, Refusal
from a2a_cloud.storage.log.rows import (
    PLATFORM_NAME,
    PLATFORM_NO,
    PUT_CHECKPOINT,
    PUT_TILE,
    PUT_WITNESSED,
    Entry,
    LogRows,
    StoredLog,
)
from a2a_cloud.storage.log.sequencer import Sequencer, Step
from a2a_cloud.storage.log.tiles_store import TileStore
from a2a_cloud.storage.log.tree import Tree
from a2a_cloud.wire import merkle
from a2a_cloud.wire.note import (
    Checkpoint,
    NoteError,
    RawSigner,
    add_lines,
    checkpoint_text,
    open_note,
    read_signatures,
    sign_note,
    signature_line,
)
from a2a_cloud.wire.tiles import WIDTH, TileError, read_path
from a2a_cloud.wire.tlog_proof import write_proof

log = logging.getLogger("a2a_cloud.log")

#: Seconds from a commit to the checkpoint that covers it.
TICK = 0.2
#: Seconds between tries while a checkpoint can't be stored: the first, and the longest.
RETRY, RETRY_MOST = 1.0, 30.0


class Journal(Protocol):
    """What is used of the journal."""

    heard: Callable[[], None]

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit. Raises Refusal, Problem."""
        ...


class Signing(RawSigner, Protocol):
    """A key that signs checkpoints."""

    @property
    def kid(self) -> str:
        """Its RFC 7638 thumbprint."""
        ...


class Keys(Protocol):
    """The logs' keys."""

    def signers(self) -> Sequence[Signing]:
        """Those that sign now: the current one, and in an overlap the one before."""
        ...


class Place(NamedTuple):
    """A log as its readers know it: `size` leaves are covered by a checkpoint."""

    org: str
    origin: str
    size: int
    root: bytes
    at: float


#: (organisation, origin, size, note): a checkpoint that is stored and shown.
OnCheckpoint = Callable[[int, str, int, bytes], None]


class Logs:
    """See the module. Made inside the loop; `rows` are read on its thread."""

    def __init__(
        self,
        database: Path,
        connection: sqlite3.Connection,
        journal: Journal,
        keys: Keys,
        tiles: TileStore,
        clock: Clock,
        *,
        name: str,
    ) -> None:
        """`name` begins the origins of all logs; the one that was settled before stays."""
        self._loop = asyncio.get_running_loop()
        self._rows = LogRows(connection)
        self._tree = Tree(self._rows)
        self._journal = journal
        self._keys = keys
        self._clock = clock
        self._sequencer = Sequencer(database, tiles)
        self._thread = ThreadPoolExecutor(1, "log")
        self._shown: dict[int, StoredLog] = self._rows.logs()
        platform = self._shown.get(PLATFORM_NO)
        self.name = name if platform is None else platform.origin.removesuffix(f"/log/{PLATFORM_NAME}")
        self._due: asyncio.TimerHandle | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._news = self._closed = self._again = False
        self._retry = RETRY
        self._waiting: set[asyncio.Future[None]] = set()
        #: Held by who changes a note that witnesses have cosigned, from reading to storing.
        self._witnessing = asyncio.Lock()
        #: Why checkpoints can't be stored at the moment; "" when they can.
        self.trouble = ""
        self.on_checkpoint: list[OnCheckpoint] = []

    def start(self) -> None:
        """Take in what there is, and from now on whatever is committed."""
        self._journal.heard = self.hear
        self.hear()

    async def close(self) -> None:
        """Publish what there is, if that goes at once, and end."""
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        if self._ticking is not None:
            await asyncio.wait([self._ticking])
        await self._tick()
        self._sequencer.stop()
        await self._loop.run_in_executor(self._thread, self._sequencer.close)
        self._thread.shutdown(wait=False)
        for waiting in self._waiting:
            waiting.cancel()

    # --- ticks ------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Something was committed: look at it a tick later."""
        self._news = True
        if self._due is None and self._ticking is None and not self._closed:
            self._due = self._loop.call_later(TICK, self._begin)

    def resign(self) -> None:
        """The keys have changed: sign every checkpoint anew."""
        self._again = True
        self.hear()

    def _begin(self) -> None:
        self._due = None
        self._ticking = self._loop.create_task(self._tick())
        self._ticking.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ticking = None
        wait = TICK
        if self.trouble:
            wait, self._retry = self._retry, min(self._retry * 2, RETRY_MOST)
            self._news = True
        else:
            self._retry = RETRY
        if self._news and not self._closed:
            self._due = self._loop.call_later(wait, self._begin)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("The logs have no new checkpoint: %s", error, exc_info=error)

    async def _tick(self) -> None:
        more = True
        while more:
            self._news = False
            again, self._again = self._again, False
            try:
                advance = self._sequencer.advance
                steps, more = await self._loop.run_in_executor(self._thread, advance, again)
                # All of them end before the next tick: an older state must not come after a newer one.
                # What witnesses say while what they have seen is signed anew comes after it.
                async with self._witnessing if again else contextlib.nullcontext():
                    publishing = (self._publish(step, again) for step in steps)
                    ends = await asyncio.gather(*publishing, return_exceptions=True)
                for failure in filter(None, ends):
                    raise failure
            except (Problem, OSError, sqlite3.Error) as error:
                if not self.trouble:
                    log.error("The logs have no new checkpoint for now: %s", error)
                self.trouble = str(error) or type(error).__name__
                self._again = self._again or again
                return
            self.trouble = ""
            if self._closed:
                return

    async def _publish(self, step: Step, again: bool) -> None:
        """Sign the state of a log, store it, then show it. `again`: the keys are others now, and what
        witnesses have seen is signed anew too."""
        before = self._shown.get(step.org)
        origin = self.origin(step.name) if before is None else before.origin
        now = self._clock.now()
        text = checkpoint_text(Checkpoint(origin, step.size, step.root))
        note = sign_note(text, [(origin, signer) for signer in self._keys.signers()])
        shown = StoredLog(step.org, origin, step.size, step.root, now, note, b"")
        ops: list[Op] = [(PUT_TILE, (step.org, *tile)) for tile in step.tiles]
        ops.append((PUT_CHECKPOINT, (step.org, origin, step.size, step.root, now, note)))
        seen = witnessed = b"" if before is None else before.witnessed
        if again and seen:
            witnessed = sign_note(open_note(seen).text, [(origin, each) for each in self._keys.signers()])
            witnessed = add_lines(witnessed, _cosignatures(seen))
            ops.append((PUT_WITNESSED, (witnessed, step.org)))
        try:
            await self._journal.write(ops)
        except Refusal as refusal:
            self._sequencer.diverged[step.org] = f"its state was refused: {refusal}"
            log.critical("The log of %s is not continued: its state was refused: %s", step.name, refusal)
            return
        await self._loop.run_in_executor(self._thread, self._sequencer.stored, step)
        since = self._shown.get(step.org)
        if since is not None and since.witnessed != seen:  # A witness has answered meanwhile.
            witnessed = since.witnessed
        shown = shown._replace(witnessed=witnessed)
        self._shown[step.org] = shown
        for told in self.on_checkpoint:
            told(step.org, origin, step.size, note)
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def cosigned(self, org: int, size: int, lines: Iterable[bytes]) -> None:
        """Keep witnesses' lines under the checkpoint of that size, which the caller has checked; those under
        the newest size stay. Raises Problem."""
        async with self._witnessing:
            shown = self._shown.get(org)
            if shown is None or not 0 < size <= shown.size:
                return
            before = _size_of(shown.witnessed)
            if size < before:
                return
            text = checkpoint_text(Checkpoint(shown.origin, size, self.root(org, size)))
            note = sign_note(text, [(shown.origin, signer) for signer in self._keys.signers()])
            note = add_lines(note, _cosignatures(shown.witnessed if size == before else b"", list(lines)))
            await self._journal.write([(PUT_WITNESSED, (note, org))])
            self._shown[org] = self._shown[org]._replace(witnessed=note)

    # --- what readers ask -------------------------------------------------------------------------------

    def origin(self, org_name: str) -> str:
        """The origin of an organisation's log, which is its key's name too."""
        return f"{self.name}/log/{org_name}"

    def place(self, org: int, org_name: str) -> Place:
        """The log as it is shown; of one that has no checkpoint yet: empty."""
        shown = self._shown.get(org)
        if shown is None:
            return Place(org_name, self.origin(org_name), 0, merkle.EMPTY_ROOT, 0.0)
        return Place(org_name, shown.origin, shown.size, shown.root, shown.at)

    def size(self, org: int) -> int:
        """How many leaves the shown checkpoint covers."""
        shown = self._shown.get(org)
        return 0 if shown is None else shown.size

    async def covered(self, org: int, index: int, seconds: float) -> bool:
        """Whether a checkpoint covers the leaf, waiting for it so long. Raises NotFound for a leaf that is
        not stored: nothing says that it will ever be."""
        if self.size(org) <= index and not self._rows.opened(org, index, index + 1):
            raise NotFound(f"The log has no entry {index}.", remedy="Its entries are counted from 0.")
        try:
            async with asyncio.timeout(seconds):
                while self.size(org) <= index:
                    if self._closed or org in self._sequencer.diverged:
                        return False
                    waiting: asyncio.Future[None] = self._loop.create_future()
                    self._waiting.add(waiting)
                    try:
                        await waiting
                    finally:  # No checkpoint may come for long, and those who ask give up.
                        self._waiting.discard(waiting)
        except TimeoutError:
            pass
        return self.size(org) > index

    def checkpoint(self, org: int, org_name: str, *, witnessed: bool = False) -> bytes:
        """The last signed checkpoint, with witnesses' lines if they have seen it; `witnessed`: the last one
        that any of them has seen. Raises NotFound when there is none."""
        shown = self._shown.get(org)
        if shown is None:
            if witnessed:
                raise NotFound("No witness has cosigned this log yet.")
            text = checkpoint_text(Checkpoint(self.origin(org_name), 0, merkle.EMPTY_ROOT))
            return sign_note(text, [(self.origin(org_name), signer) for signer in self._keys.signers()])
        if witnessed and not shown.witnessed:
            raise NotFound("No witness has cosigned this log yet.", remedy="Set A2A_WITNESSES.")
        if witnessed or _size_of(shown.witnessed) == shown.size:
            return shown.witnessed
        return shown.note

    async def tile(self, org: int, org_name: str, path: str) -> tuple[bytes, bool]:
        """(the tile at `tile/…`, whether it is whole and so never changes). Raises NotFound, Internal,
        Unavailable (the log is not continued)."""
        try:
            tile = read_path(path)
            self._check(org)
            make = self._sequencer.tile
            data = await self._loop.run_in_executor(self._thread, make, org, org_name, tile, self.size(org))
        except TileError as error:
            raise NotFound(
                f"There is no such tile: {error}.", remedy="Fetch the checkpoint first: it says the size."
            ) from None
        return data, tile.width == WIDTH

    def entry(self, org: int, index: int) -> Entry:
        """What stands at an index that a checkpoint covers. Raises NotFound."""
        found = self._rows.opened(org, index, index + 1).get(index) if index < self.size(org) else None
        if found is None:
            raise NotFound(
                f"The log has no entry {index} under its last checkpoint.",
                remedy=f"It has {self.size(org)} entries, counted from 0.",
            )
        return found

    def opened(self, org: int, path: str) -> tuple[list[tuple[int, Entry]], bool]:
        """(What the entries of a tile are, by index; whether the tile is whole) at `opened/N[.p/W].jsonl`.
        Raises NotFound, Internal."""
        try:
            tile = read_path(f"tile/entries/{path.removeprefix('opened/').removesuffix('.jsonl')}")
            if not path.endswith(".jsonl") or tile.start + tile.width > self.size(org):
                raise TileError("the log has no such tile")
        except TileError as error:
            raise NotFound(
                f"There is no such file: {error}.", remedy="Fetch the checkpoint first: it says the size."
            ) from None
        found = sorted(self._rows.opened(org, tile.start, tile.start + tile.width).items())
        if len(found) != tile.width:
            raise Internal("A log has a gap.", operator=f"organisation {org} from {tile.start}")
        return found, tile.width == WIDTH

    def root(self, org: int, size: int) -> bytes:
        """The root over the log's first `size` leaves. Raises NotFound."""
        self._reaches(org, size)
        return merkle.root(self._tree.read(org, size), size)

    def consistency(self, org: int, old: int, new: int) -> list[bytes]:
        """The proof that the first `old` leaves are the beginning of the first `new`. Raises NotFound."""
        self._reaches(org, new)
        if not 0 <= old <= new:
            raise NotFound(f"A log of {old} entries is no beginning of one of {new}.")
        return merkle.prove_consistency(self._tree.read(org, new), old, new)

    def proof(self, org: int, index: int) -> bytes:
        """The `.tlog-proof` of a leaf, under the last checkpoint that witnesses have seen if it covers the
        leaf, else the last one. b"" while none covers it. Raises Unavailable (the log is not continued)."""
        shown = self._shown.get(org)
        if shown is None or index >= shown.size:
            return b""
        self._check(org)
        size, note = shown.size, self.checkpoint(org, "")
        if index < (seen := _size_of(shown.witnessed)):
            size, note = seen, shown.witnessed
        return write_proof(index, merkle.prove_inclusion(self._tree.read(org, size), index, size), note)

    def proof_text(self, org: int, index: int) -> str:
        """As `proof`, for a receipt: "" too when the log is in trouble."""
        try:
            return self.proof(org, index).decode()
        except Problem as problem:
            log.warning("A receipt has no proof of its place: %s", problem)
            return ""

    def cose(self, org: int, index: int, subject: str) -> bytes:
        """The COSE receipt (RFC 9942) of a leaf; `subject` names its entry. b"" while no checkpoint covers
        it. Raises Unavailable (the log is not continued)."""
        from a2a_cloud.wire.cose_receipt import write_receipt

        shown = self._shown.get(org)
        if shown is None or index >= shown.size:
            return b""
        self._check(org)
        signer = self._keys.signers()[0]
        return write_receipt(
            index=index,
            size=shown.size,
            root=shown.root,
            path=merkle.prove_inclusion(self._tree.read(org, shown.size), index, shown.size),
            origin=shown.origin,
            subject=subject,
            kid=signer.kid,
            signer=signer,
        )

    def of_run(self, org: int, run: str) -> int:
        """The index of a run's receipt. Raises NotFound."""
        found = self._rows.of_run(org, run)
        if found is None:
            raise NotFound("The log has no receipt of such a run.")
        return found

    def troubles(self) -> list[tuple[str, str]]:
        """(what, remedy) of logs that are not continued, and of checkpoints that can't be stored."""
        names = {number: name for number, name, _ in self._rows.sizes()} if self._sequencer.diverged else {}
        found = [
            (
                f"the log of {names.get(org, org)} is not continued: {why}",
                "Put back a copy of the data folder (docs/audit-log.md): this one was changed from outside.",
            )
            for org, why in self._sequencer.diverged.items()
        ]
        if self.trouble:
            found.append((f"no new checkpoints for now: {self.trouble}", "They go on by themselves."))
        return found

    def _reaches(self, org: int, size: int) -> None:
        self._check(org)
        if not 0 <= size <= self.size(org):
            raise NotFound(
                f"The log's last checkpoint covers {self.size(org)} entries, not {size}.",
                remedy="Ask again a moment later.",
            )

    def _check(self, org: int) -> None:
        if org in self._sequencer.diverged:
            raise Unavailable(
                "This log is not continued: its entries are not those that it published.",
                remedy="Whoever runs the platform sees more with `a2a doctor`.",
                operator=self._sequencer.diverged[org],
            )


def _size_of(note: bytes) -> int:
    """The size that a stored checkpoint says; 0 for none."""
    return int(note.split(b"\n", 2)[1]) if note else 0


def _cosignatures(note: bytes, new: Sequence[bytes] = ()) -> list[bytes]:
    """The witnesses' lines of a stored checkpoint and new ones: the newest of each, because a quiet log is
    cosigned again at each start, and a note with a hundred lines is one that nobody reads."""
    try:
        old = open_note(note) if note else None
        origin = note.split(b"\n", 1)[0].decode()
        found = [] if old is None else [each for each in old.signatures if each.name != origin]
        found += [each for line in new for each in read_signatures(line)]
    except NoteError as error:
        raise Internal("A stored checkpoint can't be read.", operator=str(error)) from error
    newest = {(each.name, each.id): each for each in found}
    return [signature_line(each) for each in newest.values()]


__all__ = ["PLATFORM_NAME", "PLATFORM_NO", "TICK", "Entry", "Logs", "Place"]
