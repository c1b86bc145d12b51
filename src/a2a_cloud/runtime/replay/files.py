"""The files of a replay: what the code reads is compared with the pinned version of the workspace, what it
writes goes to a draft that nobody commits, and what it uploads is hashed and let go."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from a2a_cloud.model.problem import FileNotFound, Internal, NotFound, Problem
from a2a_cloud.model.receipt import WorkspaceFacts
from a2a_cloud.model.replay import Difference, Missing
from a2a_cloud.model.run import AttemptEvent, EffectEnded, EffectStarted, RunEvent
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change, File, Folder
from a2a_cloud.runtime.live import Run
from a2a_cloud.runtime.replay.shown import brief
from a2a_cloud.runtime.workfiles import Asked, Held
from a2a_cloud.wire.worker import CHUNK, MAX_READS, MAX_UPLOADS, Data, Effect, Put, Read, Trouble

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs
    from a2a_cloud.runtime.workspace.draft import Draft
    from a2a_cloud.runtime.workspace.service import Workspace

log = logging.getLogger("a2a_cloud.runs")

#: Bytes of contents that are in memory alone, kept for a later reading.
RECALLED = 32 << 20

_asked = msgspec.json.Decoder(Asked)
_held = msgspec.json.Decoder(Held)


class _Page(msgspec.Struct):
    entries: list[File | Folder]


_page = msgspec.json.Decoder(_Page)
_stat: msgspec.json.Decoder[File | Folder] = msgspec.json.Decoder(File | Folder)  # type: ignore[arg-type]


class Files:
    """Of one replay. `stop` hears of the first difference, or of what is not there any more."""

    def __init__(
        self,
        runs: Runs,
        run: Run,
        facts: WorkspaceFacts | None,
        events: list[tuple[int, RunEvent]],
        stop: Callable[[Difference | Missing], None],
    ) -> None:
        self._runs, self._run, self._facts, self._stop = runs, run, facts, stop
        self._workspace: Workspace | None = None
        self._draft: Draft | None = None
        self._ends: dict[int, bytes] = {}
        #: Operations that succeeded, as they began; those that came again, until it is their turn.
        self._order: deque[int] = deque()
        self._due: dict[int, Effect] = {}
        self._recall: OrderedDict[str, bytes] = OrderedDict()
        self._recalled = 0
        self._uploads: dict[int, tuple[Any, int]] = {}
        self._reads = 0
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        #: Operations that were compared.
        self.compared = 0
        self._known(events)

    def _known(self, events: list[tuple[int, RunEvent]]) -> None:
        """What the last attempt's operations gave, and the contents that it might read by them."""
        begun: dict[int, str] = {}
        objects = set[tuple[str, int]]()
        for seq, event in events:
            if isinstance(event, AttemptEvent):
                begun.clear()
                self._ends.clear()
                objects.clear()
            elif isinstance(event, EffectStarted) and event.kind == "ws":
                begun[seq] = event.name
            elif isinstance(event, EffectEnded) and event.effect in begun and not event.problem_code:
                self._ends[event.effect] = bytes(event.value)
                if begun[event.effect] in ("read", "write", "append", "adopt", "copy"):
                    held = _held.decode(event.value)
                    if held.sha256:
                        objects.add((held.sha256, held.size))
        self._order.extend(sorted(self._ends))
        self._run.objects = self._run.objects | objects

    async def open(self) -> None:
        """Check out what the run read from; the record's trouble ends the replay."""
        facts = self._facts
        if facts is None:
            return
        try:
            self._workspace = await self._runs.workspaces.open(self._run.task.org_no, facts.name)
            base = self._workspace.version(facts.base_version)
        except NotFound as problem:
            self._stop(Missing("workspace", problem.sentence))
            return
        if base.tree != facts.base_tree:
            self._stop(
                Difference(0, "record", "workspace", f"tree {facts.base_tree}", f"tree {base.tree}"),
            )
            return
        self._draft = self._workspace.draft(base)

    def close(self) -> None:
        """Let everything go."""
        for task in self._tasks:
            task.cancel()
        if self._draft is not None:
            self._draft.close()
        self._recall.clear()

    # --- operations ---------------------------------------------------------------------------------

    def operate(self, seq: int, frame: Effect) -> None:
        """An operation that is recorded has come again. Its answer is the recorded one; whether it is right
        is looked at in the order of the record."""
        if seq in self._ends and self._draft is not None:
            self._due[seq] = frame
            if self._task is None:
                self._task = self._spawn(self._compare(self._draft))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What a task did not get to was not compared, and whoever reads waits for an answer."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: its files could not be compared", self._run.id, exc_info=error)
            self._stop(Missing("workspace", "The platform failed while it compared the files."))

    async def idle(self) -> None:
        """Return once all operations that came were looked at."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _compare(self, draft: Draft) -> None:
        try:
            while self._order and self._order[0] in self._due:
                seq = self._order.popleft()
                frame = self._due.pop(seq)
                asked = _asked.decode(frame.input)
                try:
                    sides = await self._one(draft, seq, frame.name, asked, frame.data)
                except FileNotFound as problem:
                    sides = "a file or folder", problem.sentence
                except (NotFound, Internal) as problem:
                    self._stop(Missing("workspace", problem.sentence))
                    return
                except Problem as problem:
                    sides = "what is recorded", problem.sentence
                self.compared += 1
                if sides is not None:
                    path = asked.path or asked.target or asked.folder or asked.pattern
                    expected, got = (brief(f"{path}: {side}") for side in sides)
                    self._stop(Difference(seq, "ws", frame.name, expected, got))
                    return
        finally:
            self._task = None

    async def _one(
        self, draft: Draft, seq: int, name: str, asked: Asked, data: bytes
    ) -> tuple[str, str] | None:
        """(what is recorded, what the draft has instead); None when they agree."""
        value = self._ends[seq]
        match name:
            case "read":
                return await self._read_one(draft, _held.decode(value), asked)
            case "stat":
                return await _same(draft, _stat.decode(value), asked.path)
            case "list" | "glob":
                for entry in _page.decode(value).entries:
                    other = await _same(draft, entry, entry.path)
                    if other is not None:
                        return other
                return None
            case "write" | "append" | "adopt" | "copy" | "delete":
                change = await self._change(draft, name, asked, data)
                held = _held.decode(value)
                wanted = ObjectRef(held.sha256, held.size) if held.sha256 else None
                return None if change.after == wanted else (_content(wanted), _content(change.after))
            case _:
                return None  # What it is told of itself, and that it keeps what it wrote.

    async def _read_one(self, draft: Draft, held: Held, asked: Asked) -> tuple[str, str] | None:
        found = await draft.stat(asked.path)
        wanted = ObjectRef(held.sha256, held.size)
        if not isinstance(found, File) or found.ref != wanted:
            return _content(wanted), _entry(found)
        only = draft.unstored(found.ref)
        if only is not None:
            self._recalled += len(only) - len(self._recall.pop(held.sha256, b""))
            self._recall[held.sha256] = only
            while self._recalled > RECALLED:
                self._recalled -= len(self._recall.popitem(last=False)[1])
        return None

    async def _change(self, draft: Draft, name: str, asked: Asked, data: bytes) -> Change:
        if name == "copy":
            return await draft.copy(asked.source, asked.target)
        if name == "delete":
            return await draft.delete(asked.path)
        self._run.uploaded += len(data)
        if data or not asked.size:
            return await (draft.append if name == "append" else draft.write)(asked.path, data)
        ref = ObjectRef(asked.sha256, asked.size)
        if name == "append":
            return await draft.append_object(asked.path, ref)
        return await draft.adopt(asked.path, ref)

    async def result(self) -> None:
        """Compare what the draft holds now with what the run committed, if it did."""
        facts, draft, workspace = self._facts, self._draft, self._workspace
        if facts is None or draft is None or workspace is None or facts.result_version is msgspec.UNSET:
            return
        try:
            version = workspace.version(facts.result_version)
            if version.tree != facts.result_tree:
                trees = f"tree {facts.result_tree}", f"tree {version.tree}"
                self._stop(Difference(0, "record", "workspace", *trees))
                return
            tree, made = workspace.at(version), draft.differing()
            for change in made:
                content = await tree.content(change.path)
                if content != change.after:
                    sides = _content(content), _content(change.after)
                    self._stop(Difference(0, "workspace", change.path, *sides))
                    return
            if version.number == facts.base_version + 1:  # Nobody else wrote in between.
                for change in await workspace.diff(draft.base, version, limit=len(made) + 1):
                    if all(change.path != one.path for one in made):
                        sides = _content(change.after), _content(change.before)
                        self._stop(Difference(0, "workspace", change.path, *sides))
                        return
        except NotFound as problem:
            self._stop(Missing("workspace", problem.sentence))

    # --- objects --------------------------------------------------------------------------------------

    def read(self, frame: Read) -> None:
        """The code reads a piece of a file that the run got or made."""
        worker = self._run.worker
        if self._reads >= MAX_READS and worker is not None:
            worker.breach(f"it has more than {MAX_READS} reads open")
            return
        self._reads += 1
        self._spawn(self._read(frame))

    async def _read(self, frame: Read) -> None:
        try:
            await self.idle()
            known = next((size for sha256, size in self._run.objects if sha256 == frame.sha256), None)
            if known is None:
                trouble = Trouble("not_found", "The run has no such file.")
                self._reply(Data(self._run.no, frame.n, b"", trouble))
                return
            offset, length = max(frame.offset, 0), min(max(frame.length, 0), CHUNK)
            data = self._recall.get(frame.sha256)
            if data is None:
                data = await self._runs.objects.read(ObjectRef(frame.sha256, known), offset, length)
            else:
                data = data[offset : offset + length]
            self._reply(Data(self._run.no, frame.n, data))
        except NotFound:
            self._stop(Missing("object", f"The file with SHA-256 {frame.sha256} is not stored any more."))
        except Problem as problem:
            self._stop(Missing("object", problem.sentence))
        finally:
            self._reads -= 1

    def put(self, frame: Put) -> None:
        """The code makes an object: hashed, and not kept."""
        run, worker = self._run, self._run.worker
        if worker is None:
            return
        if len(frame.chunk) > CHUNK or (frame.n not in self._uploads and len(self._uploads) >= MAX_UPLOADS):
            worker.breach("it uploads more at once than it may")
            return
        digest, size = self._uploads.pop(frame.n, (hashlib.sha256(), 0))
        try:
            self._runs.frames.transfers.count(run, len(frame.chunk))
        except Problem as problem:
            trouble = Trouble(problem.code, problem.detail, problem.remedy)
            self._reply(Data(run.no, frame.n, b"", trouble))
            return
        digest.update(frame.chunk)
        size += len(frame.chunk)
        if not frame.last:
            self._uploads[frame.n] = digest, size
            self._reply(Data(run.no, frame.n, b""))
            return
        ref = ObjectRef(digest.hexdigest(), size)
        run.objects = run.objects | {(ref.sha256, ref.size)}
        self._reply(Data(run.no, frame.n, msgspec.json.encode(ref)))

    def _reply(self, frame: Data) -> None:
        if self._run.worker is not None:
            self._run.worker.send(frame)


async def _same(draft: Draft, recorded: File | Folder, path: str) -> tuple[str, str] | None:
    """(recorded, what the draft has at that path) when they differ. Of folders a run may have been told
    less."""
    found = await draft.stat(path)
    if found == recorded or (isinstance(recorded, Folder) and isinstance(found, Folder)):
        return None
    return _entry(recorded), _entry(found)


def _entry(found: File | Folder) -> str:
    return _content(found.ref) if isinstance(found, File) else "a folder"


def _content(ref: ObjectRef | None) -> str:
    return "no file" if ref is None else f"{ref.size} bytes with SHA-256 {ref.sha256}"
