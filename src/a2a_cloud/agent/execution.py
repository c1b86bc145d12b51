"""One run inside the worker: the skill's coroutine or thread, and the effects it waits for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import random
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from a2a_cloud.agent.context import Context
from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.files import File
from a2a_cloud.agent.limits import ran_out
from a2a_cloud.agent.messages import EarlierTask, Message, decode_history, decode_message, decode_tasks
from a2a_cloud.agent.problem import SCOPE_CODES, InvalidArguments, Problem, Refuse, ScopeDenied
from a2a_cloud.agent.skill import Declared
from a2a_cloud.agent.trace import author_trace
from a2a_cloud.agent.uploads import Upload
from a2a_cloud.agent.values import answer_of, clean
from a2a_cloud.wire.worker import (
    CHUNK,
    INLINE_LIMIT,
    RESULT_LIMIT,
    VALUE_LIMIT,
    WINDOW,
    Answer,
    Data,
    Effect,
    FileFrame,
    Log,
    Put,
    Read,
    Result,
    Start,
    Text,
    ToRuntime,
    Trouble,
)
from a2a_cloud.wire.worker import Done as DoneFrame

T = TypeVar("T")

#: A file of an async skill up to this size is fetched before it starts, so that it can be opened
#: like any other; a larger one must be awaited, because opening it would block every run.
PREFETCH = 4 << 20

#: The run that code belongs to, for lines that it prints.
current_run: contextvars.ContextVar[int] = contextvars.ContextVar("current_run", default=0)


class Cancelled(BaseException):
    """Raised in a sync skill at its next use of the context once the run was canceled."""


class Link(Protocol):
    """How an execution reaches the runtime, and what all runs of a worker share."""

    loop: asyncio.AbstractEventLoop
    threads: ThreadPoolExecutor
    reads: asyncio.Semaphore
    uploads: asyncio.Semaphore
    writers: asyncio.Semaphore

    def send(self, frame: ToRuntime) -> None:
        """Send a frame; from any thread."""
        ...

    def now(self) -> float:
        """Wall seconds."""
        ...


class Execution:
    """A run: what it got, what it waits for, and how it ends."""

    def __init__(self, start: Start, declared: Declared, link: Link) -> None:
        self.start = start
        self.run = start.run
        self.declared = declared
        self.link = link
        self.send: Callable[[ToRuntime], None] = link.send
        self.cancelled = False
        self.over = False
        self.reply: bytes | None = None
        self.reply_status = "reply"
        self.task: asyncio.Task[None] | None = None
        #: Called when the run ends: what it left open lets go.
        self.at_end: set[Callable[[], None]] = set()
        self._clock = list(start.now)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._blocked: set[concurrent.futures.Future[Any]] = set()
        self._n = 0
        self._sent = 0
        self._credit: list[asyncio.Future[None]] = []
        self._message: Message | None = None
        self._random: random.Random | None = None
        self._began = link.now()
        self._waited = 0.0

    # --- what the context reads ---------------------------------------------------------------------

    @property
    def message(self) -> Message:
        """The caller's message, decoded when first wanted."""
        if self._message is None:
            self._message = decode_message(self.start.message)
        return self._message

    @property
    def references(self) -> list[EarlierTask]:
        """See Context."""
        return decode_tasks(self.start.references) if self.start.references else []

    @property
    def history(self) -> list[Message]:
        """Earlier messages of the task."""
        return decode_history(self.start.history) if self.start.history else []

    @property
    def random(self) -> random.Random:
        """Seeded by the run: a replay draws the same numbers."""
        if self._random is None:
            self._random = random.Random(f"{self.start.run_id}:{self.start.attempt}")
        return self._random

    @property
    def deadline(self) -> datetime:
        """When the run's time is up, UTC."""
        seconds = self.start.timeout + self._waited
        return datetime.fromtimestamp(self._began, UTC) + timedelta(seconds=seconds)

    def clock(self) -> float:
        """The time that the skill sees: recorded values first."""
        return self._clock.pop(0) if self._clock else self.link.now()

    # --- the run ------------------------------------------------------------------------------------

    async def execute(self) -> None:
        """Run the skill to its end and send its result. Never raises."""
        try:
            result = await self._result()
        except BaseException as error:
            result = self._unfinished(error)
        self.end(result)

    def _unfinished(self, error: BaseException) -> Result:
        if self.cancelled or isinstance(error, asyncio.CancelledError | Cancelled):
            return Result(self.run, "canceled")
        status = "refused" if isinstance(error, Refuse) else "failed"
        return Result(self.run, status, b"null", self.trouble_of(error))

    def end(self, result: Result) -> None:
        """Send the run's result. What the skill left running can say nothing more."""
        self.over = True
        if len(result.value) > RESULT_LIMIT:
            detail = f"The result of {len(result.value)} bytes is larger than {RESULT_LIMIT}."
            trouble = Trouble("invalid_agent_response", detail, "Give it to the caller with ctx.artifact.")
            result = Result(self.run, "failed", b"null", trouble)
        self.link.send(result)
        self.send = _too_late
        self.task = None  # Its context knows the run: together they would wait for a collection.
        for let_go in tuple(self.at_end):
            let_go()
        for future in self._waiting.values():
            future.cancel()

    async def _result(self) -> Result:
        declaration = self.declaration()
        value = await self._invoke(declaration, self.start.arguments, self._files(declaration))
        if self.reply is not None:
            return Result(self.run, self.reply_status, self.reply)
        return Result(self.run, "ok", value)

    def declaration(self) -> Declaration:
        """The skill that the run is for, or the message handler."""
        if not self.start.skill:
            if self.declared.message is None:
                raise InvalidArguments("This agent has no message handler: name a skill.")
            return self.declared.message
        return self._skill(self.start.skill)

    def _skill(self, name: str) -> Declaration:
        declaration = self.declared.skills.get(name)
        if declaration is None:
            known = ", ".join(sorted(self.declared.skills))
            raise InvalidArguments(f"There is no skill {name!r}.", remedy=f"There are: {known}.")
        return declaration

    async def route(self, skill: str, arguments: bytes, files: dict[str, File | list[File]]) -> Any:
        """Run another skill of this agent within this run; returns its result as JSON values."""
        value = await self._invoke(self._skill(skill), arguments, files)
        return answer_of(value, msgspec.json.decode)

    async def _invoke(
        self, declaration: Declaration, arguments: bytes, files: dict[str, File | list[File]]
    ) -> bytes:
        if files and declaration.is_async:
            files = await self._prefetched(files)
        context = Context(self) if declaration.wants_context else None
        if declaration is self.declared.message:
            args, kwargs = declaration.bind_text(self.message.text, files, context)
        else:
            args, kwargs = declaration.bind(arguments, files, context)
        if declaration.is_generator:
            return await self._stream(declaration, args, kwargs)
        if declaration.is_async:
            value = await declaration.function(*args, **kwargs)
        else:
            value = await self._in_thread(lambda: declaration.function(*args, **kwargs))
        # A reply is the whole answer: nothing was returned, whatever the skill says that it returns.
        return b"null" if self.reply is not None and value is None else declaration.dump(value)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        work = self.link.threads.submit(contextvars.copy_context().run, call)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            # A thread can't be interrupted: the run has ended when it has.
            while not work.cancel() and not work.done():
                await _done(work)
            raise

    async def _stream(self, declaration: Declaration, args: Any, kwargs: Any) -> bytes:
        items: list[Any] = []
        texts = declaration.yields_text

        async def take(item: Any) -> None:
            if texts and isinstance(item, str):
                await self.text(item)
            else:
                declaration.dump_item(item)
            if not texts:
                items.append(item)

        if declaration.is_async:
            async for item in declaration.function(*args, **kwargs):
                await take(item)
        else:

            def pull() -> None:
                for item in declaration.function(*args, **kwargs):
                    self.face(take(item))

            await self._in_thread(pull)
        # The text has been streamed already; it is the result.
        return b"null" if texts else declaration.dump(items)

    # --- effects ------------------------------------------------------------------------------------

    def face(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        """In a thread the value, once it is there; in async code the awaitable, also in that of a loop
        which a sync skill runs itself."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.link.loop:
            return coroutine
        if self.cancelled or self.over:
            coroutine.close()
            raise Cancelled
        work = asyncio.run_coroutine_threadsafe(coroutine, self.link.loop)
        self._blocked.add(work)
        work.add_done_callback(self._blocked.discard)
        if running is not None:
            return asyncio.wrap_future(work)
        if self.cancelled:  # In the moment between.
            work.cancel()
        try:
            return work.result()
        except concurrent.futures.CancelledError:
            raise Cancelled from None

    @property
    def blocking(self) -> bool:
        """The caller is in a thread without a loop: what would be awaited blocks."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return True
        return False

    def _next(self) -> tuple[int, asyncio.Future[Any]]:
        self._n += 1
        future: asyncio.Future[Any] = self.link.loop.create_future()
        self._waiting[self._n] = future
        return self._n, future

    async def effect(self, kind: str, name: str, args: bytes, body: bytes) -> bytes:
        """Ask the runtime, and wait for the answer's JSON. Raises Problem when there is trouble."""
        return (await self.answer(kind, name, args, body)).value

    async def answer(self, kind: str, name: str, args: bytes, body: bytes, data: bytes = b"") -> Answer:
        """The same, and what came beside the JSON. `data` is a file's content, at most INLINE_LIMIT bytes."""
        if len(args) > VALUE_LIMIT or len(body) > VALUE_LIMIT:
            raise Problem(
                f"What ctx was given is larger than {VALUE_LIMIT} bytes.",
                remedy="Pass large content as a File, or put it out with ctx.artifact.",
            )
        n, future = self._next()
        since = self.link.now()
        self.send(Effect(self.run, n, kind, clean(name), args, body, data))
        answer: Answer = await future
        if kind in ("ask", "sleep", "scope"):
            self._waited += max(0.0, self.link.now() - since)
        if answer.trouble is not None:
            raise problem_of(answer.trouble)
        return answer

    async def begin_step(self, label: str, identity: bytes) -> tuple[int, bool, bytes]:
        """(number, whether to run the body, else the recorded value)."""
        n, future = self._next()
        self.send(Effect(self.run, n, "step", clean(label), identity))
        answer: Answer = await future
        if answer.trouble is not None:
            raise problem_of(answer.trouble)
        return n, answer.go, answer.value

    async def end_step(self, n: int, value: bytes, trouble: Trouble | None) -> bytes:
        """Have the step's result recorded; returns it, or raises it."""
        if len(value) > VALUE_LIMIT:
            detail = f"A step's result of {len(value)} bytes is larger than {VALUE_LIMIT}."
            trouble = Trouble(
                "skill_failed", detail, "Give large content to ctx.artifact, and a name to the step."
            )
            value = b"null"
        future: asyncio.Future[Any] = self.link.loop.create_future()
        self._waiting[n] = future
        self.send(DoneFrame(self.run, n, value, trouble))
        answer: Answer = await future
        if answer.trouble is not None:
            raise problem_of(answer.trouble)
        return answer.value

    def answered(self, frame: Answer | Data) -> None:
        """The runtime answers."""
        future = self._waiting.pop(frame.n, None)
        if future is not None and not future.done():
            future.set_result(frame)

    def cancel(self, reason: str) -> None:
        """Stop: async code gets CancelledError, a thread Cancelled where it waits or next uses the
        context."""
        self.cancelled = True
        for work in tuple(self._blocked):
            work.cancel()
        if self.task is not None:
            self.task.cancel()

    # --- backpressure -------------------------------------------------------------------------------

    async def text(self, delta: str) -> None:
        """Send text in pieces that fit the window."""
        for at in range(0, len(delta), 65536):
            piece = delta[at : at + 65536]
            if piece.isascii():
                size = len(piece)
            else:
                raw = piece.encode("utf-8", "replace")
                piece, size = raw.decode(), len(raw)
            await self.credit(size)
            self.send(Text(self.run, piece))

    async def credit(self, size: int) -> None:
        """Wait until `size` more bytes may be on their way to the journal."""
        while self._sent and self._sent + size > WINDOW:
            future: asyncio.Future[None] = self.link.loop.create_future()
            self._credit.append(future)
            await future
        self._sent += size

    def acked(self, size: int) -> None:
        """That many bytes are durable."""
        self._sent = max(0, self._sent - size)
        waiting, self._credit = self._credit, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # --- files --------------------------------------------------------------------------------------

    def _files(self, declaration: Declaration) -> dict[str, File | list[File]]:
        if not self.start.files:
            return {}
        many = {wanted.name for wanted in declaration.files if wanted.many}
        files: dict[str, File | list[File]] = {}
        for frame in self.start.files:
            file = self._file(frame)
            if frame.param in many:
                kept = files.setdefault(frame.param, [])
                assert isinstance(kept, list)
                kept.append(file)
            else:
                files[frame.param] = file
        return files

    def _file(self, frame: FileFrame) -> File:
        if not frame.sha256:
            return File(frame.name, frame.media_type, frame.size, data=frame.inline)
        return self.stored(frame.name, frame.media_type, frame.size, frame.sha256)

    def stored(self, name: str, media_type: str, size: int, sha256: str) -> File:
        """A file whose content the runtime holds for this run."""

        async def aread(offset: int, length: int) -> bytes:
            return await self.read(sha256, offset, length)

        def read(offset: int, length: int) -> bytes:
            if not self.blocking:
                raise Problem(
                    f"The file `{name}` can't be opened in an async skill.",
                    remedy="Write `await file.aread()` or `async for block in file.aiter_chunks()`.",
                )
            return self.face(aread(offset, length))

        run_id = self.start.run_id
        return File(name, media_type, size, reader=read, areader=aread, ref=sha256, run_id=run_id)

    async def _prefetched(self, files: dict[str, File | list[File]]) -> dict[str, File | list[File]]:
        return {
            name: [await self._fetched(file) for file in value]
            if isinstance(value, list)
            else await self._fetched(value)
            for name, value in files.items()
        }

    async def _fetched(self, file: File) -> File:
        if not file.ref or file.size > PREFETCH:
            return file
        data = await file.aread()
        return File(file.name, file.media_type, file.size, data=data, ref=file.ref, run_id=file.run_id)

    async def read(self, sha256: str, offset: int, length: int) -> bytes:
        """Bytes of an object that this run may have: at most CHUNK, b"" only past its end."""
        async with self.link.reads:
            n, future = self._next()
            self.send(Read(self.run, n, sha256, offset, min(length, CHUNK)))
            data: Data = await future
        if data.trouble is not None:
            raise problem_of(data.trouble)
        return data.data

    async def keep(self, file: File) -> tuple[str, int, bytes]:
        """(reference, size, b"") of a file that is stored, or ("", size, bytes) of one that is small.

        A reference counts in the run that got it alone: a file may live longer than a run.
        """
        if file.ref and file.run_id == self.start.run_id:
            return file.ref, file.size, b""
        if file.size <= INLINE_LIMIT:
            data = await file.aread()
            if len(data) <= INLINE_LIMIT:
                return "", len(data), data
        async with self.link.uploads:
            upload = Upload(self)
            try:
                async for block in file.aiter_chunks():
                    await upload.write(block)
                file.ref, file.size = await upload.finish()
            except Exception:
                if not self.cancelled:  # Else nobody answers any more.
                    await upload.abort()
                raise
        file.run_id = self.start.run_id
        return file.ref, file.size, b""

    def number(self) -> int:
        """A number for a new object."""
        self._n += 1
        return self._n

    async def put(self, n: int, chunk: bytes, last: bool) -> bytes:
        """Send a chunk of object `n`, and wait until it is taken; of the last one the object's JSON."""
        future: asyncio.Future[Any] = self.link.loop.create_future()
        self._waiting[n] = future
        self.send(Put(self.run, n, chunk, last))
        data: Data = await future
        if data.trouble is not None:
            raise problem_of(data.trouble)
        return data.data

    # --- trouble ------------------------------------------------------------------------------------

    def trouble_of(self, error: BaseException) -> Trouble:
        """What the caller is told of an exception. Of one that the author did not mean for them it
        is the type alone; the traceback goes to the run's log."""
        if isinstance(error, Problem):
            detail, remedy = clean(error.detail)[:2000], clean(error.remedy)[:2000]
            return Trouble(clean(error.code)[:64], detail, remedy, error.retry)
        for line in author_trace(error):
            self.link.send(Log(self.run, "error", "stderr", clean(line)[:8192]))
        # Its frames hold the skill's locals: after a MemoryError all that filled the worker.
        traceback.clear_frames(error.__traceback__)
        code = ran_out(error) or "skill_failed"
        return Trouble(code, f"The skill raised {type(error).__name__}.", "Its log says more.")


async def _done(work: concurrent.futures.Future[Any]) -> None:
    """Return when the thread has ended, however often this is cancelled before."""
    future = asyncio.wrap_future(work)
    try:
        await asyncio.wait([future])
    except asyncio.CancelledError:
        return


def problem_of(trouble: Trouble) -> Problem:
    """A runtime's trouble as the kit's Problem."""
    if trouble.code in SCOPE_CODES:
        return ScopeDenied(trouble.detail, code=trouble.code, remedy=trouble.remedy)
    return Problem(trouble.detail, code=trouble.code, remedy=trouble.remedy, retry=trouble.retry)


def _too_late(frame: ToRuntime) -> None:
    raise Problem("The run has ended: nothing more can be said in its name.")
