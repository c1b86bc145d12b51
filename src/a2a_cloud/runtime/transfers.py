"""Files on their way to and from workers: pieces that a run reads, objects that it makes. Bounded, so
that no agent uses up the platform's descriptors or disk."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from a2a_cloud.model.problem import LimitExceeded, Problem
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.runtime.live import Run
from a2a_cloud.wire.worker import CHUNK, MAX_READS, MAX_UPLOADS, Data, Put, Read, Trouble

if TYPE_CHECKING:
    from a2a_cloud.runtime.process import Worker
    from a2a_cloud.runtime.runs import Runs
    from a2a_cloud.storage.objects.port import ObjectWriter


class Transfers:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._loop = asyncio.get_running_loop()
        self._uploads: dict[tuple[int, int], ObjectWriter] = {}
        self._finishing: set[tuple[int, int]] = set()
        self._reads: dict[Worker, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def read(self, run: Run, frame: Read) -> None:
        """The run reads a piece of a file that it got or made."""
        worker = run.worker
        if worker is None:
            return
        reads = self._reads.get(worker, 0)
        if reads >= MAX_READS:
            worker.breach(f"it has more than {MAX_READS} reads open")
            return
        self._reads[worker] = reads + 1

        def done(_: object) -> None:
            left = self._reads[worker] - 1
            if left:
                self._reads[worker] = left
            else:
                del self._reads[worker]

        self._spawn(self._read(run, frame)).add_done_callback(done)

    def put(self, run: Run, frame: Put) -> None:
        """The run makes an object, chunk by chunk."""
        worker = run.worker
        if worker is None:
            return
        if len(frame.chunk) > CHUNK:
            worker.breach(f"it sent a chunk of {len(frame.chunk)} bytes")
            return
        key = (run.no, frame.n)
        if key in self._finishing:
            worker.breach(f"it sent more of object {frame.n} after its last chunk")
            return
        # Counted at once, also while it is finished: many frames come in one piece.
        if key not in self._uploads and self._of(worker) >= MAX_UPLOADS:
            worker.breach(f"it makes more than {MAX_UPLOADS} objects at once")
            return
        if run.ending is not None:
            return
        writer = self._uploads.get(key)
        try:
            self.count(run, len(frame.chunk))
            if writer is None:
                writer = self._uploads[key] = self._runs.objects.writer()
            writer.write(frame.chunk)
        except Problem as problem:
            self._give_up(key)
            self._refuse(run, frame.n, problem)
            return
        if not frame.last:
            self._reply(run, Data(run.no, frame.n, b""))
            return
        del self._uploads[key]
        self._finishing.add(key)
        self._spawn(self._finish(run, frame.n, writer))

    def _of(self, worker: Worker) -> int:
        """How many objects the worker's runs make now."""
        making = [*self._uploads, *self._finishing]
        return sum(1 for number, _ in making if number in worker.runs)

    async def _finish(self, run: Run, n: int, writer: ObjectWriter) -> None:
        try:
            ref = await writer.finish()
            run.objects = run.objects | {(ref.sha256, ref.size)}
            self._reply(run, Data(run.no, n, msgspec.json.encode(ref)))
        except Problem as problem:
            writer.abort()
            self._refuse(run, n, problem)
        finally:
            self._finishing.discard((run.no, n))

    async def _read(self, run: Run, frame: Read) -> None:
        size = next((size for sha256, size in run.objects if sha256 == frame.sha256), None)
        if size is None:
            self._reply(run, Data(run.no, frame.n, b"", Trouble("not_found", "The run has no such file.")))
            return
        try:
            length = min(max(frame.length, 0), CHUNK)
            data = await self._runs.objects.read(ObjectRef(frame.sha256, size), max(frame.offset, 0), length)
            self._reply(run, Data(run.no, frame.n, data))
        except Problem as problem:
            self._refuse(run, frame.n, problem)

    def count(self, run: Run, size: int) -> None:
        """The run stores `size` more bytes, whatever becomes of them: an artifact, which counts as one too,
        a file of its workspace, or nothing. Raises LimitExceeded."""
        limit = run.call.release.manifest.limits.upload_bytes
        if run.uploaded + size > limit:
            raise LimitExceeded(
                f"The run would store more than {limit} bytes of files.",
                remedy="Raise `upload_bytes` under [limits] in a2a.toml, or make less.",
            )
        run.uploaded += size

    def forget(self, run: Run) -> None:
        """The run is gone: what it was uploading is too."""
        for key in [key for key in self._uploads if key[0] == run.no]:
            self._give_up(key)

    def _give_up(self, key: tuple[int, int]) -> None:
        writer = self._uploads.pop(key, None)
        if writer is not None:
            writer.abort()

    def _refuse(self, run: Run, n: int, problem: Problem) -> None:
        self._reply(run, Data(run.no, n, b"", Trouble(problem.code, problem.detail, problem.remedy)))

    def _reply(self, run: Run, frame: Data) -> None:
        if run.worker is not None:
            run.worker.send(frame)
