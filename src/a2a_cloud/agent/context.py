"""What a skill does through the platform: the `Context` that it gets as a parameter.

Everything here is an effect: recorded by the runtime, so that a run that waits for a person or is
caught by a crash can go on by replay. What a skill does outside its context may happen again then;
`ctx.step` is the cure. In an async skill `text`, `artifact`, `ask`, `call`, `route`, `step`, `sleep`,
`request_scope` and the methods of `state` and `workspace` are awaited; in a sync skill, which runs in a
thread of its own, the same methods block and return the value. `progress`, `log`, `usage`, `now` and
`reply` never wait.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from a2a_cloud.agent.files import File
from a2a_cloud.agent.messages import Caller, EarlierTask, Message
from a2a_cloud.agent.outputs import artifact_parts, extended, message_parts
from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.scope import Patterns, asked, request
from a2a_cloud.agent.values import answer_of, clean, question_schema, read_step, step_arguments, to_json
from a2a_cloud.agent.workspace import Workspace
from a2a_cloud.wire.worker import VALUE_LIMIT, FileFrame, Log, Made, Now, Progress, Trouble, Usage

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution

T = TypeVar("T")

#: Characters of a log line, of a stage, of a progress message.
LINE_LIMIT = 8192


class Context:
    """A run, as its skill sees it.

    `run_id`, `task_id`, `context_id`, `attempt` (from 1); `caller`; `message` (what the caller
    said) and `history` (earlier messages of the task); `random`, the same on a replay; `state`,
    durable per contextId and owner; `workspace`, files that outlive the run; `deadline` (UTC); `cancelled`.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.run_id: str = execution.start.run_id
        self.task_id: str = execution.start.task_id
        self.context_id: str = execution.start.context_id
        self.attempt: int = execution.start.attempt
        self.state = State(execution)
        self.workspace = Workspace(execution)

    def __repr__(self) -> str:
        return f"<Context of {self.run_id}>"

    # --- what is known ----------------------------------------------------------------------------

    @property
    def caller(self) -> Caller:
        """Who called."""
        start = self._execution.start
        return Caller(start.caller, start.org, start.parent_agent, tuple(start.actors))

    @property
    def message(self) -> Message:
        """What the caller said."""
        return self._execution.message

    @property
    def history(self) -> list[Message]:
        """Earlier messages of the task, oldest first; empty for its first run."""
        return self._execution.history

    @property
    def references(self) -> list[EarlierTask]:
        """The tasks that the message refers to: those of the caller with this agent that had ended."""
        return self._execution.references

    @property
    def extensions(self) -> frozenset[str]:
        """URIs of the extensions of A2A that are active: the card declares them, and the caller named them.

        What one of them says goes into the `metadata` of an artifact or a reply, under its URI.
        """
        return frozenset(self._execution.start.extensions)

    @property
    def output_modes(self) -> list[str]:
        """Media types that the caller accepts; empty: any."""
        return list(self._execution.start.output_modes)

    @property
    def deadline(self) -> datetime:
        """When the run will be stopped, UTC. Time spent waiting for answers is added."""
        return self._execution.deadline

    @property
    def cancelled(self) -> bool:
        """The run was canceled, or its time is up: stop soon. Async skills get CancelledError too."""
        return self._execution.cancelled

    @property
    def random(self) -> random.Random:
        """Random numbers that are the same on a replay."""
        return self._execution.random

    def now(self) -> datetime:
        """The time, UTC; the recorded one on a replay."""
        execution = self._execution
        at = execution.clock()
        execution.send(Now(execution.run, at))
        return datetime.fromtimestamp(at, UTC)

    # --- outputs ----------------------------------------------------------------------------------

    def progress(self, stage: str, percent: float | None = None, message: str = "") -> Done:
        """Say how far the work is: a stage, percent from 0 to 100 if known, a sentence."""
        value = -1.0 if percent is None else float(percent)
        said = clean(str(message))[:LINE_LIMIT]
        self._execution.send(Progress(self._execution.run, clean(str(stage))[:LINE_LIMIT], value, said))
        return DONE

    def log(self, line: str, level: str = "info") -> Done:
        """Write a line to the run's log; `level` is debug, info, warning or error."""
        self._execution.send(Log(self._execution.run, clean(level), "log", clean(str(line))[:LINE_LIMIT]))
        return DONE

    def usage(self, meter: str, qty: float | int | str | Decimal, unit: str = "") -> Done:
        """Report that the run used `qty` of `meter`, such as `usage("tokens", 812)`.

        Raises Problem unless `qty` is a decimal number below 10**30, and `meter` a name of 1 to 64
        characters. Beyond 18 digits after the point it is rounded.
        """
        quantity = _decimal(qty)
        if not 0 < len(meter) <= 64 or len(unit) > 32:
            raise Problem("A meter is a name of 1 to 64 characters, its unit has at most 32.")
        self._execution.send(Usage(self._execution.run, meter, quantity, unit))
        return DONE

    def text(self, delta: str) -> Any:
        """Stream a piece of text. Waits when the journal lags."""
        return self._execution.face(self._text(delta))

    async def _text(self, delta: str) -> None:
        await self._execution.text(delta)

    def artifact(
        self,
        name: str,
        content: Any = None,
        media_type: str = "",
        *,
        url: str = "",
        append: bool = False,
        last: bool = True,
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Give the caller an artifact: text (str), bytes, a File, a `url`, or data (anything else).

        The same name again replaces it, or with `append` adds to it; `last=False` says that more
        will come. Bytes over 64 KiB go to the object store. Waits when the journal lags. `metadata` may
        hold what active extensions say, under their URIs.
        """
        said = extended(self.extensions, metadata)
        if description:
            said["description"] = clean(description)
        return self._execution.face(self._artifact(name, content, media_type, url, append, last, said))

    async def _artifact(
        self,
        name: str,
        content: Any,
        media_type: str,
        url: str,
        append: bool,
        last: bool,
        said: dict[str, Any],
    ) -> None:
        execution = self._execution
        name = clean(name)
        parts = await artifact_parts(execution, content, clean(media_type), clean(url))
        body = to_json({"artifactId": name, "name": name, "parts": parts, **said})
        if len(body) > VALUE_LIMIT:
            raise Problem(
                f"The artifact's name, url, description and metadata are larger than {VALUE_LIMIT} bytes."
            )
        await execution.credit(len(body))
        execution.send(Made(execution.run, body, append, last))

    def reply(
        self,
        content: Any,
        *,
        media_type: str = "",
        task: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> Done:
        """Answer with a Message and no task: text, or data. Return after it; nothing else may be put out.

        With `task` the answer is a task, and this the message of its last status; other output may come
        before. `metadata` may hold what active extensions say, under their URIs.
        """
        self._execution.reply_status = "said" if task else "reply"
        self._execution.reply = to_json(
            {
                "messageId": f"{self.run_id}-reply",
                "role": "ROLE_AGENT",
                "parts": message_parts(content, media_type),
                **extended(self.extensions, metadata),
            }
        )
        return DONE

    # --- effects ----------------------------------------------------------------------------------

    def ask(self, question: str, schema: Any = None) -> Any:
        """Ask the caller, and wait for the answer, also over a restart.

        `schema` is a type (`bool`, a dataclass, a Literal…) or a JSON Schema; without it the answer
        is text. Returns the answer as that type.
        """
        return self._execution.face(self._ask(question, schema))

    async def _ask(self, question: str, schema: Any) -> Any:
        declared, read = question_schema(schema)
        body = to_json({"question": question, "schema": declared})
        answer = await self._execution.effect("ask", "", body, body)
        return answer_of(answer, read)

    def call(self, agent: str, skill: str = "", /, **arguments: Any) -> Any:
        """Call another agent's skill, and return its result. Raises Problem when that run fails.

        Arguments may be a File (its own, or one that this run got).
        """
        return self._execution.face(self._call(agent, skill, arguments))

    async def _call(self, agent: str, skill: str, arguments: dict[str, Any]) -> Any:
        files: list[FileFrame] = []
        plain: dict[str, Any] = {}
        for name, value in arguments.items():
            if isinstance(value, File):
                reference, size, inline = await self._execution.keep(value)
                files.append(FileFrame(name, value.name, value.media_type, size, inline, reference))
            else:
                plain[name] = value
        body = to_json({"agent": agent, "skill": skill, "arguments": plain, "files": files})
        answer = await self._execution.effect("call", f"{agent}/{skill}", body, body)
        return msgspec.json.decode(answer)

    def route(self, skill: str, /, **arguments: Any) -> Any:
        """Go on as another skill of this agent, in the same run, and return its result.

        Arguments may be a File that this run got, or a list of them.
        """
        return self._execution.face(self._route(skill, arguments))

    async def _route(self, skill: str, arguments: dict[str, Any]) -> Any:
        files: dict[str, File | list[File]] = {}
        plain: dict[str, Any] = {}
        for name, value in arguments.items():
            if _are_files(value):
                files[name] = value
            else:
                plain[name] = value
        return await self._execution.route(skill, to_json(plain), files)

    def step(self, fn: Callable[..., T], /, *args: Any, name: str = "", **kwargs: Any) -> Any:
        """Run `fn` once, however often the skill is replayed, and return what it returned.

        The result travels as JSON; with a return annotation it comes back as that type. What it
        raises comes back as a Problem, on a replay too.
        """
        label = name or getattr(fn, "__qualname__", "") or "step"
        identity = step_arguments(label, args, kwargs)
        if self._execution.blocking:
            return self._step_here(fn, label, identity, args, kwargs)
        return self._step(fn, label, identity, args, kwargs)

    async def _step(self, fn: Callable[..., Any], label: str, identity: bytes, args: Any, kwargs: Any) -> Any:
        execution = self._execution
        n, go, value = await execution.face(execution.begin_step(label, identity))
        if go:
            result: bytes = b"null"
            trouble: Trouble | None = None
            try:
                made = fn(*args, **kwargs)
                if inspect.isawaitable(made):
                    made = await made
                result = to_json(made)
            except Exception as error:
                trouble = execution.trouble_of(error)
            value = await execution.face(execution.end_step(n, result, trouble))
        return read_step(fn, value)

    def _step_here(self, fn: Callable[..., Any], label: str, identity: bytes, args: Any, kwargs: Any) -> Any:
        execution = self._execution
        n, go, value = execution.face(execution.begin_step(label, identity))
        if go:
            result: bytes = b"null"
            trouble: Trouble | None = None
            try:
                made = fn(*args, **kwargs)
                if inspect.isawaitable(made):
                    made = execution.face(_awaited(made))
                result = to_json(made)
            except Exception as error:
                trouble = execution.trouble_of(error)
            value = execution.face(execution.end_step(n, result, trouble))
        return read_step(fn, value)

    def sleep(self, seconds: float) -> Any:
        """Wait, without holding a slot; the time is kept over a restart."""
        return self._execution.face(self._sleep(seconds))

    async def _sleep(self, seconds: float) -> None:
        body = to_json({"seconds": float(seconds)})
        await self._execution.effect("sleep", "", body, body)

    def request_scope(
        self,
        *,
        read: Patterns = (),
        write: Patterns = (),
        skills: Patterns = (),
        egress: Patterns = (),
        reason: str = "",
        seconds: float = 0,
    ) -> Any:
        """Ask for more than the run may do, and wait until a rule or a person decides, also over a restart.

        `read` and `write` are patterns of paths, `skills` of `agent/skill`, `egress` hosts; `reason` is for
        who decides, `seconds` how long it is needed (0: as long as the run). Returns the `Scope` that was
        allowed, which may be less. Raises ScopeDenied.
        """
        body = asked(read, write, skills, egress, reason, seconds)
        return self._execution.face(request(self._execution, body))


class State:
    """What the agent remembers per contextId and owner: JSON values under names."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`, or `default`."""
        return self._execution.face(self._get(key, default))

    async def _get(self, key: str, default: Any) -> Any:
        answer = await self._execution.effect("get", _key(key), b"", b"null")
        found = msgspec.json.decode(answer)
        return default if found is None else found["value"]

    def set(self, key: str, value: Any) -> Any:
        """Keep `value` (JSON, at most 1 MiB) under `key`."""
        return self._execution.face(self._set(key, to_json({"value": value})))

    async def _set(self, key: str, body: bytes) -> None:
        await self._execution.effect("set", _key(key), body, body)

    def delete(self, key: str) -> Any:
        """Forget what is under `key`."""
        return self._execution.face(self._delete(key))

    async def _delete(self, key: str) -> None:
        await self._execution.effect("drop", _key(key), b"null", b"null")


def _key(key: str) -> str:
    if not key or len(key) > 512:
        raise Problem("A key of ctx.state has 1 to 512 characters.")
    return key


def _are_files(value: Any) -> bool:
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, File) for one in values)


async def _awaited(value: Awaitable[T]) -> T:
    return await value


def _decimal(qty: float | int | str | Decimal) -> str:
    """The quantity as a receipt holds it: 30 digits before the point and 18 after it."""
    with localcontext() as context:
        context.prec = 60
        try:
            number = Decimal(str(qty).strip())
            if number.is_finite() and abs(number) < 10**30:
                return format(round(number, 18) if number != round(number, 18) else number, "f")
        except ArithmeticError:
            pass
    raise Problem(f"ctx.usage needs a decimal quantity, not {str(qty)[:40]!r}.")


class Done:
    """What methods return that never wait: `await` on it is allowed and does nothing."""

    __slots__ = ()

    def __await__(self) -> Any:
        return iter(())


DONE = Done()
