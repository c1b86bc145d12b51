"""`ctx.workspace`: each operation checked against the run's grant, done on the run's own view of one pinned
version, recorded, and committed once at the end, in the same write as the run's result and receipt.

What a run wrote is on disk before anything says so that outlives the process: a question, a long sleep, an
effect of a durable skill. So a replay after a restart begins from the same files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.grant import Operation
from a2a_cloud.model.problem import FileNotFound, Internal, InvalidParams, Problem
from a2a_cloud.model.receipt import WorkspaceEntry, WorkspaceFacts
from a2a_cloud.model.run import AttemptEvent, EffectEnded, EffectStarted, RunEvent
from a2a_cloud.model.task import ObjectRef, TaskState
from a2a_cloud.model.workspace import Change, File, Folder
from a2a_cloud.runtime.live import Outcome, Run
from a2a_cloud.runtime.workspace.commits import Pending
from a2a_cloud.runtime.workspace.draft import Draft
from a2a_cloud.runtime.workspace.service import Workspace, Workspaces
from a2a_cloud.wire.glob import check_path
from a2a_cloud.wire.worker import INLINE_LIMIT, Effect, Trouble

if TYPE_CHECKING:
    from a2a_cloud.runtime.process import Worker
    from a2a_cloud.runtime.runs import Runs

log = logging.getLogger("a2a_cloud.workfiles")

#: Operations of one worker that are done at once.
UNDER_WAY = 128
#: Entries of one page of a list.
PAGE = 1000
#: Contents of at most 64 KiB each that were read back, kept in memory until the run waits.
RECALLED = 16
#: Operations that a receipt names.
NAMED = 10_000

#: Operations that change the run's view.
_CHANGES = frozenset({"write", "append", "adopt", "copy", "delete"})
_OPERATIONS = _CHANGES | {"read", "stat", "list", "glob", "keep", "info"}


class Asked(Struct):
    """`input` of a ws effect: which fields count depends on the operation."""

    path: str = ""
    offset: int = 0
    length: int = -1
    sha256: str = ""
    size: int = 0
    source: str = msgspec.field(default="", name="from")
    target: str = msgspec.field(default="", name="to")
    folder: str = ""
    after: str = ""
    limit: int = PAGE
    pattern: str = ""


class Held(Struct, omit_defaults=True):
    """What a path holds after an operation; the value of most ws effects."""

    path: str
    sha256: str = ""
    size: int = 0


_asked = msgspec.json.Decoder(Asked)
_held = msgspec.json.Decoder(Held)
_encode = msgspec.json.Encoder().encode


class Work:
    """A run's view of its workspace, and what was done to it."""

    __slots__ = (
        "draft",
        "entries",
        "keep",
        "outcomes",
        "pending",
        "recall",
        "stored",
        "tasks",
        "workspace",
    )

    def __init__(self, workspace: Workspace, draft: Draft) -> None:
        self.workspace = workspace
        self.draft = draft
        #: Its changes are committed even if the run fails.
        self.keep = False
        #: Every content that it holds, or that was read of it, is on disk.
        self.stored = True
        #: Contents that were read while they were in memory alone, by hash: a replay reads them again, also
        #: when no path holds them any more.
        self.recall: dict[str, bytes] = {}
        self.entries: list[WorkspaceEntry] = []
        #: Effects that were done: one that a replay opens again is not done twice.
        self.outcomes: dict[int, tuple[bytes, Trouble | None, bytes]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.pending: Pending | None = None


class Workfiles:
    """See the module. One per engine."""

    def __init__(self, runs: Runs, workspaces: Workspaces) -> None:
        self._runs = runs
        self._workspaces = workspaces
        self._objects = runs.objects
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: dict[Worker, int] = {}
        self._holds: dict[Worker, Callable[[], None]] = {}

    def newest(self, org_no: int, name: str) -> int:
        """The number of the workspace's newest version; 0 when there is none."""
        return self._workspaces.newest(org_no, name)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it, and keep it until it is done."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- operations -------------------------------------------------------------------------------

    def begin(self, run: Run, frame: Effect, seq: int) -> None:
        """An operation begins. Raises msgspec.MsgspecError for an input that nobody understands."""
        if frame.name not in _OPERATIONS or len(frame.data) > INLINE_LIMIT:
            raise msgspec.ValidationError(f"ws {frame.name[:32]!r} is unknown or too large")
        self._start(run, seq, frame.name, _asked.decode(frame.input), frame.data)

    def _start(self, run: Run, seq: int, name: str, asked: Asked, data: bytes) -> None:
        """Do it; while a worker has too many under way, which hold their contents, no more of it is read."""
        task = self.spawn(self._do(run, seq, name, asked, data))
        worker = run.worker
        if worker is None:
            return
        count = self._under_way[worker] = self._under_way.get(worker, 0) + 1
        if count == UNDER_WAY:
            self._holds[worker] = worker.hold()

        def done(_: object) -> None:
            left = self._under_way[worker] = self._under_way[worker] - 1
            if left < UNDER_WAY and worker in self._holds:
                self._holds.pop(worker)()
            if not left:
                del self._under_way[worker]

        task.add_done_callback(done)

    def again(self, run: Run, seq: int, started: EffectStarted, data: bytes) -> None:
        """An operation that began and has no recorded end: done now, unless it was done in this life."""
        done = run.work.outcomes.get(seq) if run.work is not None else None
        if done is not None:
            self._runs.frames.end_now(run, seq, *done)
            return
        self._start(run, seq, started.name, _asked.decode(started.input), data)

    async def _do(self, run: Run, seq: int, name: str, asked: Asked, data: bytes) -> None:
        value, out, trouble = b"null", b"", None
        work: Work | None = None
        try:
            work = await self._open(run)
            value, out = await self._operate(run, work, seq, name, asked, data)
            if name in _CHANGES:
                work.stored = False
            if not work.stored and run.spec is not None and run.spec.durable:
                await self.store(run)
        except Problem as problem:
            trouble = Trouble(problem.code, problem.detail, problem.remedy, problem.retry)
        except Exception as error:  # Of our own making: the skill must hear something all the same.
            log.exception("run %s: ws %s failed", run.id, name)
            trouble = Trouble("internal", f"The operation failed on our side ({type(error).__name__}).")
        if work is not None and name in _CHANGES:
            work.outcomes[seq] = (value, trouble, b"")
        if run.work is work:  # Else it was of an attempt that is void.
            self._runs.frames.end_now(run, seq, value, trouble, out)

    async def _open(self, run: Run) -> Work:
        if run.work is not None:
            return run.work
        block = self._runs.granted.of(run).grant.root
        workspace = await self._workspaces.create(run.task.org_no, block.workspace, run.call.principal.label)
        if run.work is None:
            run.work = Work(workspace, workspace.draft(min(block.base, workspace.head().number)))
        return run.work

    async def _operate(
        self, run: Run, work: Work, seq: int, name: str, asked: Asked, data: bytes
    ) -> tuple[bytes, bytes]:
        """(value as JSON, content for the worker)."""
        path = asked.path
        match name:
            case "read":
                return await self._read(run, work, seq, asked)
            case "write" | "append" | "adopt":
                return await self._put(run, work, seq, name, asked, data), b""
            case "copy":
                return await self._copy(run, work, seq, asked), b""
            case "delete":
                self._check(run, Operation.DELETE, path)
                change = await work.draft.delete(path)
                self._note(work, seq, name, path, change, 0)
                return _encode(Held(path)), b""
            case "stat":
                return _encode(await self._stat(run, work, path)), b""
            case "list" | "glob":
                return await self._list(run, work, seq, name, asked), b""
            case "keep":
                work.keep = True
                return b"null", b""
            case _:
                grant = self._runs.granted.of(run).grant
                facts = {
                    "workspace": work.workspace.name,
                    "base": work.draft.base.number,
                    "prefix": grant.prefix,
                    "run": run.id,
                }
                return _encode(facts), b""

    def _check(self, run: Run, operation: Operation, path: str, size: int = 0) -> None:
        self._runs.granted.check(run, operation, path, size)

    async def _stat(self, run: Run, work: Work, path: str) -> File | Folder:
        granted = self._runs.granted
        if path:
            self._check(run, Operation.STAT, path)
        else:  # The root is no path, and every run may know that it is there.
            granted.among(run, [])
        found = await work.draft.stat(path)
        if isinstance(found, Folder) and not granted.whole(run, path):
            return Folder(path, 0, 0)  # Its sums would tell of what the run may not see.
        return found

    async def _read(self, run: Run, work: Work, seq: int, asked: Asked) -> tuple[bytes, bytes]:
        missing: Problem | None = None
        size = 0
        try:
            found = await work.draft.stat(asked.path)
            if isinstance(found, Folder):
                raise FileNotFound(f"{asked.path[:200]!a} is a folder.", remedy="Name a file, or list it.")
            size = _extent(found.size, asked)
        except Problem as problem:
            missing = problem
        self._check(run, Operation.READ, asked.path, size)  # First: what is forbidden does not exist.
        if missing is not None:
            raise missing
        out = b""
        if size <= INLINE_LIMIT:
            piece = await work.draft.read(asked.path, asked.offset, asked.length)
            file, out = piece.file, piece.data
            ref = file.ref
            only = work.draft.unstored(ref)
            if only is not None and ref.sha256 not in work.recall:
                work.recall[ref.sha256] = only
                work.stored = False
                if len(work.recall) >= RECALLED:
                    await self.store(run)
        else:
            ref = await work.draft.ref(asked.path)
        run.objects = run.objects | {(ref.sha256, ref.size)}
        held = Held(asked.path, ref.sha256, ref.size)
        self._looked(work, seq, "read", asked, held)
        return _encode(held), out

    async def _put(self, run: Run, work: Work, seq: int, name: str, asked: Asked, data: bytes) -> bytes:
        path = asked.path
        self._check(run, Operation.WRITE, path, asked.size)
        copied = await work.draft.copies(path) if name == "append" else 0
        if data or not asked.size:
            if len(data) != asked.size:
                raise InvalidParams(f"{len(data)} bytes came, and {asked.size} were announced.")
            self._runs.frames.transfers.count(run, copied + len(data))
            change = (
                await work.draft.append(path, data)
                if name == "append"
                else await work.draft.write(path, data)
            )
        else:
            ref = ObjectRef(asked.sha256, asked.size)
            if (ref.sha256, ref.size) not in run.objects:
                raise InvalidParams(
                    "The run neither got nor made an object with that content.",
                    remedy="Read the file, or upload its content, in this run.",
                )
            if name == "append":
                self._runs.frames.transfers.count(run, copied + ref.size)
                change = await work.draft.append_object(path, ref)
            else:
                change = await work.draft.adopt(path, ref)
        self._note(work, seq, name, path, change, asked.size)
        after = change.after
        assert after is not None
        return _encode(Held(path, after.sha256, after.size))

    async def _copy(self, run: Run, work: Work, seq: int, asked: Asked) -> bytes:
        # Both ends are checked: as reading and as writing.
        self._check(run, Operation.READ, asked.source)
        self._check(run, Operation.WRITE, asked.target)
        change = await work.draft.copy(asked.source, asked.target)
        after = change.after
        assert after is not None
        self._note(work, seq, "copy", asked.target, change, after.size)
        return _encode(Held(asked.target, after.sha256, after.size))

    async def _list(self, run: Run, work: Work, seq: int, name: str, asked: Asked) -> bytes:
        limit = min(max(asked.limit, 1), PAGE)
        after = asked.after
        if name == "list" and asked.folder:
            self._enter(run, asked.folder)
        shown: list[File | Folder] = []
        while len(shown) < limit:
            page: list[File | Folder]
            if name == "list":
                page = list(await work.draft.list(asked.folder, after.rpartition("/")[2], PAGE))
            else:
                page = list(await work.draft.glob(asked.pattern, after, PAGE))
            shown += self._visible(run, page)
            if len(page) < PAGE:
                break
            after = page[-1].path
        self._looked(work, seq, name, asked)
        return _encode({"entries": shown[:limit]})

    def _enter(self, run: Run, folder: str) -> None:
        """Raises Forbidden for a folder that the run may neither list nor pass through, whether or not it is
        there, and InvalidParams for what is no path; both are in the audit log."""
        try:
            leads = bool(self._runs.granted.leads(run, [check_path(folder)]))
        except InvalidParams:
            leads = False
        if not leads:
            self._check(run, Operation.LIST, folder)

    def _visible(self, run: Run, page: list[File | Folder]) -> list[File | Folder]:
        """What of a page the run may see. A folder that merely leads to something is shown without its
        sums, which would tell of what the run may not see."""
        granted = self._runs.granted
        allowed = granted.among(run, [entry.path for entry in page])
        folders = [entry.path for entry in page if isinstance(entry, Folder)]
        leads = granted.leads(run, folders) if folders else set[str]()
        shown: list[File | Folder] = []
        for entry in page:
            if isinstance(entry, File):
                if entry.path in allowed:
                    shown.append(entry)
            elif entry.path in allowed or entry.path in leads:
                shown.append(Folder(entry.path, 0, 0))
        return shown

    def _looked(self, work: Work, seq: int, op: str, asked: Asked, held: Held | None = None) -> None:
        """Something was read (`held`: from this file) or listed."""
        if held is None:
            path, size, before = asked.folder or asked.pattern, 0, UNSET
        else:
            path, size, before = held.path, _extent(held.size, asked), held.sha256
        self._entry(work, WorkspaceEntry(seq=seq, op=op, path=path, bytes=size, before=before))

    def _note(self, work: Work, seq: int, op: str, path: str, change: Change, size: int) -> None:
        self._entry(
            work,
            WorkspaceEntry(
                seq=seq,
                op=op,
                path=path,
                bytes=size,
                before=change.before.sha256 if change.before is not None else UNSET,
                after=change.after.sha256 if change.after is not None else UNSET,
            ),
        )

    def _entry(self, work: Work, entry: WorkspaceEntry) -> None:
        if len(work.entries) < NAMED:
            work.entries.append(entry)

    # --- what outlives the process ------------------------------------------------------------------

    def unstored(self, run: Run) -> bool:
        """Something that the run wrote is in memory alone."""
        return run.work is not None and not run.work.stored

    async def store(self, run: Run) -> None:
        """Have all that the run wrote on disk. Raises StorageFull, Unavailable."""
        if run.work is not None and not run.work.stored:
            work = run.work
            work.stored = True
            recall, work.recall = work.recall, {}
            try:
                for data in recall.values():
                    await self._objects.put(data)
                await work.draft.changes()
            except BaseException:
                work.stored = False
                work.recall = recall | work.recall
                raise

    async def rebuild(self, run: Run, events: Iterable[tuple[int, RunEvent]]) -> None:
        """Bring back the view of a run of an earlier life, from what it recorded. Raises Problem."""
        if run.work is not None or not run.grants:
            return
        started: dict[int, EffectStarted] = {}
        done: list[tuple[int, str, Asked, bytes]] = []
        for seq, event in events:
            if isinstance(event, AttemptEvent):  # What the attempt before did is void.
                started.clear()
                done.clear()
            elif isinstance(event, EffectStarted) and event.kind == "ws":
                started[seq] = event
            elif isinstance(event, EffectEnded) and event.effect in started and not event.problem_code:
                begun = started[event.effect]
                done.append((event.effect, begun.name, _asked.decode(begun.input), bytes(event.value)))
        if not started:
            return
        work = await self._open(run)
        base = work.draft.tree
        holds: dict[str, ObjectRef | None] = {}
        objects = set[tuple[str, int]]()
        for seq, name, asked, value in done:
            work.keep = work.keep or name == "keep"
            if name in ("list", "glob"):
                self._looked(work, seq, name, asked)
            elif name in _CHANGES or name == "read":
                held = _held.decode(value)
                path, after = held.path, ObjectRef(held.sha256, held.size) if held.sha256 else None
                if after is not None:
                    objects.add((after.sha256, after.size))
                if name == "read":
                    self._looked(work, seq, name, asked, held)
                    continue
                before = holds[path] if path in holds else await base.content(path)
                holds[path] = after
                size = held.size if name == "copy" else asked.size
                self._note(work, seq, name, path, Change(path, before, after), size)
        run.objects = run.objects | objects
        work.draft.resume([Change(path, await base.content(path), after) for path, after in holds.items()])

    def restart(self, run: Run) -> None:
        """A further attempt begins from scratch."""
        if run.work is not None:
            run.work.draft.close()
            run.work = None

    # --- the end ------------------------------------------------------------------------------------

    def commits(self, run: Run, outcome: Outcome) -> bool:
        """Whether the end of the run commits what it wrote. If so `commit` is under way, and the engine
        hears of it by `committed`."""
        work = run.work
        if work is None or work.draft.clean:
            return False
        if outcome.state is not TaskState.COMPLETED and not work.keep:
            return False
        self.spawn(self._commit(run, work))
        return True

    async def _commit(self, run: Run, work: Work) -> None:
        problem: Problem | None = None
        try:
            self._runs.granted.refuse_revoked(run)
            changes = await work.draft.changes()
            work.pending = await work.workspace.prepare(
                work.draft.base.number,
                changes,
                by=run.call.principal.label,
                run=run.id,
                message="/".join(filter(None, (run.call.release.name, run.call.skill))),
                merge=run.call.release.manifest.merge,
            )
        except Problem as error:
            problem = error
        except Exception as error:  # Of our own making: the run must end all the same.
            log.exception("run %s: its workspace could not be committed", run.id)
            problem = Internal("The workspace could not be written.", operator=str(error))
        self._runs.committed(run, problem)

    def facts(self, run: Run) -> WorkspaceFacts | None:
        """What the receipt says of the workspace."""
        work = run.work
        if work is None:
            return None
        base, version = work.draft.base, work.pending.version if work.pending is not None else None
        return WorkspaceFacts(
            base_tree=base.tree,
            base_version=base.number,
            name=work.workspace.name,
            ops=sorted(work.entries, key=_seq),
            result_tree=UNSET if version is None else version.tree,
            result_version=UNSET if version is None else version.number,
        )

    def written(self, run: Run, error: BaseException | None) -> None:
        """The write with the commit is on disk, or did not take effect."""
        work = run.work
        if work is not None and work.pending is not None:
            pending, work.pending = work.pending, None
            pending.done(error)

    def forget(self, run: Run) -> None:
        """The run is gone."""
        self.written(run, Internal("The run ended otherwise."))
        self.restart(run)


def _extent(size: int, asked: Asked) -> int:
    """Bytes that a read gives of a file of that size."""
    left = max(0, size - max(0, asked.offset))
    return left if asked.length < 0 else min(left, asked.length)


def _seq(entry: WorkspaceEntry) -> int:
    return entry.seq
