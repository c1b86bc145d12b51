"""What a skill does through the platform: the `Context` that it gets as a parameter.

Everything here is an effect: recorded by the runtime, so that a run that waits for a person or is
caught by a crash can go on by replay. What a skill does outside its context may happen again then;
`ctx.step` is the cure. In an async skill `text`, `artifact`, `ask`, `call`, `route`, `step`, `sleep`
and the methods of `state` are awaited; in a sync skill, which runs in a thread of its own, the same
methods block and return the value. `progress`, `log`, `usage`, `now` and `reply` never wait.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from a2a_cloud.agent.files import File
from a2a_cloud.agent.messages import Caller, Message
from a2a_cloud.agent.outputs import artifact_parts, message_parts
from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.values import answer_of, question_schema, read_step, step_arguments, to_json
from a2a_cloud.wire.worker import FileFrame, Log, Made, Now, Progress, Text, Trouble, Usage

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution

T = TypeVar("T")


class Context:
    """A run, as its skill sees it.

    `run_id`, `task_id`, `context_id`, `attempt` (from 1); `caller`; `message` (what the caller
    said) and `history` (earlier messages of the task); `random`, the same on a replay; `state`,
    durable per contextId and owner; `deadline` (UTC); `cancelled`.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.run_id: str = execution.start.run_id
        self.task_id: str = execution.start.task_id
        self.context_id: str = execution.start.context_id
        self.attempt: int = execution.start.attempt
        self.state = State(execution)

    def __repr__(self) -> str:
        return f"<Context of {self.run_id}>"

    # --- what is known ----------------------------------------------------------------------------

    @property
    def caller(self) -> Caller:
        """Who called."""
        start = self._execution.start
        return Caller(start.caller, start.org, start.parent_agent)

    @property
    def message(self) -> Message:
        """What the caller said."""
        return self._execution.message

    @property
    def history(self) -> list[Message]:
        """Earlier messages of the task, oldest first; empty for its first run."""
        return self._execution.history

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
        self._execution.send(Progress(self._execution.run, str(stage), value, str(message)))
        return DONE

    def log(self, line: str, level: str = "info") -> Done:
        """Write a line to the run's log; `level` is debug, info, warning or error."""
        self._execution.send(Log(self._execution.run, level, "log", str(line)))
        return DONE

    def usage(self, meter: str, qty: float | int | str | Decimal, unit: str = "") -> Done:
        """Report that the run used `qty` of `meter`, such as `usage("tokens", 812)`."""
        quantity = format(Decimal(str(qty)), "f")
        self._execution.send(Usage(self._execution.run, meter, quantity, unit))
        return DONE

    def text(self, delta: str) -> Any:
        """Stream a piece of text. Waits when the journal lags."""
        return self._execution.face(self._text(delta))

    async def _text(self, delta: str) -> None:
        execution = self._execution
        for at in range(0, len(delta), 65536):
            piece = delta[at : at + 65536]
            await execution.credit(len(piece.encode("utf-8", "replace")))
            execution.send(Text(execution.run, piece))

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
    ) -> Any:
        """Give the caller an artifact: text (str), bytes, a File, a `url`, or data (anything else).

        The same name again replaces it, or with `append` adds to it; `last=False` says that more
        will come. Bytes over 64 KiB go to the object store. Waits when the journal lags.
        """
        return self._execution.face(self._artifact(name, content, media_type, url, append, last, description))

    async def _artifact(
        self, name: str, content: Any, media_type: str, url: str, append: bool, last: bool, description: str
    ) -> None:
        execution = self._execution
        parts = await artifact_parts(execution, content, media_type, url)
        artifact: dict[str, Any] = {"artifactId": name, "name": name, "parts": parts}
        if description:
            artifact["description"] = description
        body = to_json(artifact)
        await execution.credit(len(body))
        execution.send(Made(execution.run, body, append, last))

    def reply(self, content: Any, *, media_type: str = "") -> Done:
        """Answer with a Message and no task: text, or data. Return after it; nothing else may be put out."""
        self._execution.reply = to_json(
            {
                "messageId": f"{self.run_id}-reply",
                "role": "ROLE_AGENT",
                "parts": message_parts(content, media_type),
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
                reference, inline = await self._execution.keep(value)
                files.append(FileFrame(name, value.name, value.media_type, value.size, inline, reference))
            else:
                plain[name] = value
        body = to_json({"agent": agent, "skill": skill, "arguments": plain, "files": files})
        answer = await self._execution.effect("call", f"{agent}/{skill}", body, body)
        return msgspec.json.decode(answer)

    def route(self, skill: str, /, **arguments: Any) -> Any:
        """Go on as another skill of this agent, in the same run, and return its result."""
        return self._execution.face(self._execution.route(skill, to_json(arguments)))

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
        n, go, value = await execution.begin_step(label, identity)
        if go:
            result: bytes = b"null"
            trouble: Trouble | None = None
            try:
                made = fn(*args, **kwargs)
                if inspect.isawaitable(made):
                    made = await cast("Awaitable[Any]", made)
                result = to_json(made)
            except Exception as error:
                trouble = execution.trouble_of(error)
            value = await execution.end_step(n, result, trouble)
        return read_step(fn, value)

    def _step_here(self, fn: Callable[..., Any], label: str, identity: bytes, args: Any, kwargs: Any) -> Any:
        execution = self._execution
        n, go, value = execution.face(execution.begin_step(label, identity))
        if go:
            result: bytes = b"null"
            trouble: Trouble | None = None
            try:
                result = to_json(fn(*args, **kwargs))
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
        """Keep `value` (JSON) under `key`."""
        body = to_json({"value": value})
        return self._execution.face(self._change("set", key, body))

    def delete(self, key: str) -> Any:
        """Forget what is under `key`."""
        return self._execution.face(self._change("drop", key, b"null"))

    async def _change(self, kind: str, key: str, body: bytes) -> None:
        await self._execution.effect(kind, _key(key), body, body)


def _key(key: str) -> str:
    if not key or len(key) > 512:
        raise Problem("A key of ctx.state has 1 to 512 characters.")
    return key


class Done:
    """What methods return that never wait: `await` on it is allowed and does nothing."""

    __slots__ = ()

    def __await__(self) -> Any:
        return iter(())


DONE = Done()
