"""One run inside the worker: the skill's coroutine or thread, and the effects it waits for."""

from __future__ import annotations

import asyncio
import contextvars
import random
import traceback
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from a2a_cloud.agent.context import Context
from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.files import File
from a2a_cloud.agent.messages import Message, decode_history, decode_message
from a2a_cloud.agent.problem import InvalidArguments, Problem, Refuse
from a2a_cloud.agent.skill import Declared
from a2a_cloud.agent.values import answer_of
from a2a_cloud.wire.worker import (
    CHUNK,
    INLINE_LIMIT,
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
    """How an execution reaches the runtime."""

    loop: asyncio.AbstractEventLoop

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
        self.send = link.send
        self.cancelled = False
        self.reply: bytes | None = None
        self.blocking = False
        self.task: asyncio.Task[None] | None = None
        self._clock = list(start.now)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._n = 0
        self._sent = 0
        self._credit: list[asyncio.Future[None]] = []
        self._message: Message | None = None
        self._random: random.Random | None = None
        self._began = link.now()

    # --- what the context reads ---------------------------------------------------------------------

    @property
    def message(self) -> Message:
        """The caller's message, decoded when first wanted."""
        if self._message is None:
            self._message = decode_message(self.start.message)
        return self._message

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
        return datetime.fromtimestamp(self._began, UTC) + timedelta(seconds=self.start.timeout)

    def clock(self) -> float:
        """The time that the skill sees: recorded values first."""
        return self._clock.pop(0) if self._clock else self.link.now()

    # --- the run ------------------------------------------------------------------------------------

    async def execute(self) -> None:
        """Run the skill to its end and send its result. Never raises."""
        try:
            result = await self._result()
        except asyncio.CancelledError:
            result = Result(self.run, "canceled")
        except Refuse as refusal:
            result = Result(self.run, "refused", b"null", self.trouble_of(refusal))
        except BaseException as error:
            if isinstance(error, Cancelled):
                result = Result(self.run, "canceled")
            else:
                result = Result(self.run, "failed", b"null", self.trouble_of(error))
        if result.status != "ok" and self.cancelled:
            result = Result(self.run, "canceled")
        self.send(result)

    async def _result(self) -> Result:
        declaration = self.declaration()
        value = await self._invoke(declaration, self.start.arguments, self._files(declaration))
        if self.reply is not None:
            return Result(self.run, "reply", self.reply)
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

    async def route(self, skill: str, arguments: bytes) -> Any:
        """Run another skill of this agent within this run; returns its result as JSON values."""
        value = await self._invoke(self._skill(skill), arguments, {})
        return answer_of(value, msgspec.json.decode)

    async def _invoke(
        self, declaration: Declaration, arguments: bytes, files: dict[str, File | list[File]]
    ) -> bytes:
        blocking, self.blocking = self.blocking, not declaration.is_async
        try:
            if files and declaration.is_async:
                await self._prefetch(files)
            context = Context(self) if declaration.wants_context else None
            if declaration is self.declared.message:
                args, kwargs = declaration.bind_text(self.message.text, files, context)
            else:
                args, kwargs = declaration.bind(arguments, files, context)
            if declaration.is_generator:
                return await self._stream(declaration, args, kwargs)
            if declaration.is_async:
                return declaration.dump(await declaration.function(*args, **kwargs))
            result = await self._in_thread(lambda: declaration.function(*args, **kwargs))
            return declaration.dump(result)
        finally:
            self.blocking = blocking

    async def _in_thread(self, call: Any) -> Any:
        context = contextvars.copy_context()
        return await self.link.loop.run_in_executor(None, lambda: context.run(call))

    async def _stream(self, declaration: Declaration, args: Any, kwargs: Any) -> bytes:
        items: list[Any] = []
        texts = declaration.yields_text

        async def take(item: Any) -> None:
            if texts and isinstance(item, str):
                await self.credit(len(item.encode("utf-8", "replace")))
                self.send(Text(self.run, item))
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
        """In a sync skill the value, once it is there; in an async one the awaitable."""
        if not self.blocking:
            return coroutine
        if self.cancelled:
            coroutine.close()
            raise Cancelled
        return asyncio.run_coroutine_threadsafe(coroutine, self.link.loop).result()

    def _next(self) -> tuple[int, asyncio.Future[Any]]:
        self._n += 1
        future: asyncio.Future[Any] = self.link.loop.create_future()
        self._waiting[self._n] = future
        return self._n, future

    async def effect(self, kind: str, name: str, args: bytes, body: bytes) -> bytes:
        """Ask the runtime, and wait for the answer's JSON. Raises Problem when there is trouble."""
        n, future = self._next()
        self.send(Effect(self.run, n, kind, name, args, body))
        answer: Answer = await future
        if answer.trouble is not None:
            raise problem_of(answer.trouble)
        return answer.value

    async def begin_step(self, label: str, identity: bytes) -> tuple[int, bool, bytes]:
        """(number, whether to run the body, else the recorded value)."""
        n, future = self._next()
        self.send(Effect(self.run, n, "step", label, identity))
        answer: Answer = await future
        if answer.trouble is not None:
            raise problem_of(answer.trouble)
        return n, answer.go, answer.value

    async def end_step(self, n: int, value: bytes, trouble: Trouble | None) -> bytes:
        """Have the step's result recorded; returns it, or raises it."""
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
        """Stop: async skills are cancelled, sync ones at their next use of the context."""
        self.cancelled = True
        if self.blocking:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Cancelled())
        elif self.task is not None:
            self.task.cancel()

    # --- backpressure -------------------------------------------------------------------------------

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

        async def aread(offset: int, length: int) -> bytes:
            return await self._read(frame.sha256, offset, length)

        def read(offset: int, length: int) -> bytes:
            return asyncio.run_coroutine_threadsafe(aread(offset, length), self.link.loop).result()

        return File(
            frame.name,
            frame.media_type,
            frame.size,
            reader=read if self.blocking or not self.declaration().is_async else None,
            areader=aread,
            ref=frame.sha256,
        )

    async def _prefetch(self, files: dict[str, File | list[File]]) -> None:
        for name, value in files.items():
            if isinstance(value, list):
                files[name] = [await self._fetched(file) for file in value]
            else:
                files[name] = await self._fetched(value)

    async def _fetched(self, file: File) -> File:
        if not file.ref or file.size > PREFETCH:
            return file
        return File(file.name, file.media_type, file.size, data=await file.aread(), ref=file.ref)

    async def _read(self, sha256: str, offset: int, length: int) -> bytes:
        n, future = self._next()
        self.send(Read(self.run, n, sha256, offset, min(length, CHUNK)))
        data: Data = await future
        if data.trouble is not None:
            raise problem_of(data.trouble)
        return data.data

    async def keep(self, file: File) -> tuple[str, bytes]:
        """(reference, b"") of a file that is stored, or ("", bytes) of one that is small."""
        if file.ref:
            return file.ref, b""
        if file.size <= INLINE_LIMIT:
            return "", await file.aread()
        n = self._n = self._n + 1
        chunk = b""
        async for block in file.aiter_chunks():
            chunk += block
            if len(chunk) >= CHUNK:
                await self._put(n, chunk, False)
                chunk = b""
        data = await self._put(n, chunk, True)
        file.ref = str(msgspec.json.decode(data)["sha256"])
        return file.ref, b""

    async def _put(self, n: int, chunk: bytes, last: bool) -> bytes:
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
            return Trouble(error.code, error.detail, error.remedy, error.retry)
        for line in traceback.format_exception(error)[-40:]:
            for piece in line.rstrip("\n").split("\n"):
                self.send(Log(self.run, "error", "stderr", piece))
        return Trouble("skill_failed", f"The skill raised {type(error).__name__}.", "Its log says more.")


def problem_of(trouble: Trouble) -> Problem:
    """A runtime's trouble as the kit's Problem."""
    return Problem(trouble.detail, code=trouble.code, remedy=trouble.remedy, retry=trouble.retry)
