"""A call as a caller lives through it: one ordered stream of events, over broken connections.

The plain SSE dialect of `/invoke/{skill}` and `/sse/{task}`. When a stream breaks, it is taken up
at `/sse/{task}` after the last event that came, so a restart of the platform in the middle of a
run is a pause and no more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

import aiohttp

from a2a_cloud.client.errors import NotWaiting, ServerProblem, Unreachable, read_problem
from a2a_cloud.client.events import SseParser, StreamBroken
from a2a_cloud.client.http import SILENCE, Platform, agent_path
from a2a_cloud.client.shapes import obj, objs, text

TERMINAL = frozenset({"completed", "failed", "canceled", "rejected"})
INTERRUPTED = frozenset({"input-required", "auth-required"})
#: Seconds before each further attempt to take up a broken stream; about 25 s in all.
PAUSES = (0.2, 0.4, 0.8, 1.6, 3.0, 4.0, 5.0, 5.0, 5.0)


@dataclass(frozen=True)
class CallEvent:
    """One event: `id` is `{ordinal}.{seq}`, or "" for the status at the stream's start."""

    id: str
    kind: str
    data: dict[str, Any]
    raw: bytes = b""

    @property
    def state(self) -> str:
        """The state of a status event, else ""."""
        return str(self.data.get("state", "")) if self.kind == "status" else ""


@dataclass
class Watched:
    """A task being watched: its ids as they become known, and where the stream stands."""

    platform: Platform
    agent: str
    run_id: str = ""
    task_id: str = ""
    context_id: str = ""
    receipt_id: str = ""
    last_id: str = ""
    broken: Callable[[str], None] = field(default=lambda _why: None)
    #: Which question: the last that came with an id, the one that we answered, the one that was open
    #: when the stream began; whether the stream is past that one; the state when it began.
    asked: str = ""
    _answered: str = ""
    _open: str = ""
    _passed: bool = True
    _state: str = ""

    async def invoke(
        self,
        skill: str,
        *,
        body: bytes | AsyncIterator[bytes],
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[CallEvent]:
        """Call a skill; events up to the end or the question. Raises ServerProblem, Unreachable."""
        path = f"{agent_path(self.agent)}/invoke/{quote(skill, safe='')}"
        request = self.platform.open(
            "POST",
            path,
            params=params,
            headers={**headers, "Accept": "text/event-stream"},
            data=body,
            silence=SILENCE,
        )
        async with aclosing(self._follow(request, invoked=True)) as events:
            async for event in events:
                yield event

    async def watch(self, after: str = "") -> AsyncGenerator[CallEvent]:
        """The task from event `after` on ("": from its first); before all comes the status now."""
        self.last_id = after or self.last_id
        async with aclosing(self._follow(self._resume(self.last_id), invoked=False)) as events:
            async for event in events:
                yield event

    async def answer(
        self, message_for: Callable[[dict[str, Any]], dict[str, Any]], *, key: str = ""
    ) -> AsyncGenerator[CallEvent]:
        """Answer the open question and follow what comes of it. `message_for` makes the message from
        the question. Raises NotWaiting, ServerProblem, Unreachable.

        The stream is opened first, so nothing is missed; what it plays of the time before is left out.
        """
        sent = False
        question: dict[str, Any] = {}
        async with aclosing(self.watch(self.last_id)) as events:
            async for event in events:
                if sent:
                    yield event
                    continue
                if not event.id and event.kind == "status":
                    question = obj(event.data.get("question"))
                    if event.state not in INTERRUPTED:
                        raise NotWaiting(event.state, self.run_id)
                if self._open and self._passed:
                    sent, self._answered = True, self._open
                    self.run_id = text(event.data.get("run_id")) or self.run_id
                    await self.send(message_for(question), key=key)
        if not sent:
            raise NotWaiting(self._state, self.run_id)

    def _resume(self, after: str) -> Any:
        headers = {"Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = after
        path = f"{agent_path(self.agent)}/sse/{quote(self.task_id, safe='')}"
        return self.platform.open("GET", path, headers=headers, silence=SILENCE)

    async def _follow(self, request: Any, *, invoked: bool) -> AsyncGenerator[CallEvent]:
        tried = 0
        while True:
            why, state = "it closed early", ""
            try:
                async with request as response, aclosing(_events(response)) as events:
                    self._headers(response)
                    if response.content_type != "text/event-stream":
                        for event in await self._whole(response):
                            yield event
                        return
                    async for event in events:
                        if event.kind == "error":
                            raise read_problem(int(event.data.get("status", 500)), {}, event.raw)
                        state = event.state or state
                        if event.id:
                            tried = 0
                        self._note(event)
                        yield event
                        if event.id and self._settles(event, invoked=invoked):
                            return
                # A terminal status without an id says that the task had ended before: the backlog came, and
                # that was all. /invoke closes by itself when a question is open.
                if state in TERMINAL or (invoked and state in INTERRUPTED):
                    return
            except Unreachable as error:
                if not self.task_id:
                    raise
                why = error.detail
            except StreamBroken as error:
                raise Unreachable(self.platform.target, str(error)) from None
            except ServerProblem as problem:
                if not (tried and problem.status in (502, 503)):
                    raise
                why = problem.detail
            if not self.task_id:
                raise Unreachable(self.platform.target, "the stream ended before it named a task")
            if tried == len(PAUSES):
                raise Unreachable(self.platform.target, why)
            self.broken(why)
            await asyncio.sleep(PAUSES[tried])
            tried += 1
            invoked = False
            request = self._resume(self.last_id)

    def _settles(self, event: CallEvent, *, invoked: bool) -> bool:
        """Whether nothing is to be waited for: the task ended, or (on /sse, which stays open) our run asks.

        A question in the backlog may be one that was answered already: /invoke then goes on by itself;
        on /sse it is one that is not the question which was open when the stream began.
        """
        if event.state in TERMINAL:
            return True
        if event.state not in INTERRUPTED or invoked:
            return False
        if self.run_id and event.data.get("run_id", self.run_id) != self.run_id:
            return False
        return self._passed and self.asked != self._answered and self._state not in TERMINAL

    def _headers(self, response: aiohttp.ClientResponse) -> None:
        self.run_id = self.run_id or response.headers.get("A2A-Run", "")
        self.task_id = self.task_id or response.headers.get("A2A-Task", "")
        self.context_id = self.context_id or response.headers.get("A2A-Context", "")
        self.receipt_id = self.receipt_id or response.headers.get("A2A-Receipt", "")

    async def _whole(self, response: aiohttp.ClientResponse) -> list[CallEvent]:
        """The events of a call that made no task: its answer was a bare Message (a repeated call)."""
        try:
            message = obj(json.loads(await response.read()))
        except (ValueError, RecursionError):
            message = {}
        if "parts" not in message:
            raise Unreachable(
                self.platform.target, f"an event stream was asked for, {response.content_type} came"
            )
        return bare_reply(message)

    def _note(self, event: CallEvent) -> None:
        if event.id:
            self.last_id = event.id
        if event.kind != "status":
            return
        data = event.data
        for name in ("run_id", "task_id", "context_id"):
            if not getattr(self, name) and data.get(name):
                setattr(self, name, str(data[name]))
        if data.get("run_id") == self.run_id and data.get("receipt_id"):
            self.receipt_id = str(data["receipt_id"])
        waits = event.state in INTERRUPTED
        if not event.id:
            self._state, self._open = event.state, _question_id(data) if waits else ""
            self._passed = not waits or self.asked == self._open
        elif waits:
            self.asked = _question_id(data)
            self._passed = self._passed or self.asked == self._open

    async def send(self, message: dict[str, Any], *, key: str = "") -> dict[str, Any]:
        """POST /tasks: a message (SendMessage's params), at once answered with the Task, whose ids are noted.

        A Message comes back, and no task, when an earlier identical call was answered by one. `key` is
        the idempotency key, which A2A calls messageId.
        """
        if key:
            message = {**message, "messageId": key}
        answer: Any = await self.platform.json(
            "POST",
            f"{agent_path(self.agent)}/tasks",
            headers={"A2A-Version": "1.0", **({"Idempotency-Key": key} if key else {})},
            body={"message": message, "configuration": {"returnImmediately": True}},
        )
        task = obj(obj(answer).get("task"))
        if not task:
            return obj(obj(answer).get("message"))
        metadata = obj(task.get("metadata"))
        self.task_id = str(task.get("id", self.task_id))
        self.context_id = str(task.get("contextId", self.context_id))
        self.run_id = str(metadata.get("a2a-cloud/run", self.run_id))
        return task


def _question_id(data: dict[str, Any]) -> str:
    """What tells one question from another: the id of the message that asked it, else its time."""
    return text(obj(data.get("message")).get("messageId")) or text(data.get("at")) or "?"


def bare_reply(message: dict[str, Any]) -> list[CallEvent]:
    """A Message that came instead of a task, as the events that it stands for."""
    return [CallEvent("", "reply", {"message": message}), CallEvent("", "status", {"state": "completed"})]


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[CallEvent]:
    parser = SseParser()
    async for chunk in response.content.iter_any():
        for event in parser.feed(chunk):
            try:
                data: Any = json.loads(event.data)
            except (ValueError, RecursionError):
                raise StreamBroken(f"An event's data is not JSON: {event.data[:80]!r}.") from None
            if not isinstance(data, dict):
                raise StreamBroken("An event's data is not a JSON object.")
            raw = event.data.encode() if event.kind == "error" else b""
            yield CallEvent(event.id, event.kind, cast("dict[str, Any]", data), raw)


def text_of(message: Any) -> str:
    """The text of a Message's parts, data parts as JSON, one a line."""
    lines: list[str] = []
    for each in objs(obj(message).get("parts")):
        if isinstance(each.get("text"), str):
            lines.append(each["text"])
        elif "data" in each:
            lines.append(json.dumps(each["data"], ensure_ascii=False))
    return "\n".join(lines)
