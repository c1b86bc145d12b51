"""A line to an agent: one operation after the other over the interface that was chosen, with what a careful
caller does when something fails.

An operation is tried again only where that does no harm: when nothing was sent, when it changes nothing,
when the agent refused it as busy, or when the agent answers a message of the same id only once. A refusal
that says that this interface is not the one (its version, its methods) goes on to the agent's next. A
broken stream is taken up by SubscribeToTask, which begins with the task as it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from a2a_cloud.client.a2a_card import Card, Interface
from a2a_cloud.client.a2a_choice import connect
from a2a_cloud.client.a2a_dialects import REPEATABLE
from a2a_cloud.client.a2a_http import Web, web_origin
from a2a_cloud.client.a2a_shapes import INTERRUPTED, TERMINAL, Event, Json, Task, read_event, read_task
from a2a_cloud.client.a2a_transport import Transport
from a2a_cloud.client.errors import NoAnswer, ServerProblem
from a2a_cloud.model.card import IDEMPOTENCY

#: Seconds before each further attempt at what may be repeated, and at a broken stream (about 25 s in all).
RETRIES = (0.2, 0.8, 2.0)
PAUSES = (0.2, 0.4, 0.8, 1.6, 3.0, 4.0, 5.0, 5.0, 5.0)
#: Seconds between two looks at a task that can't be watched: the first, and the longest.
LOOK, LOOK_MOST = 0.25, 5.0
_LONGEST_WAIT = 30.0
#: Operations that every version has: who knows none of them by name does not speak the version.
_COMMON = frozenset({"SendMessage", "SendStreamingMessage", "GetTask", "CancelTask"})
_LATER = frozenset({429, 502, 503, 504})
_SENDS = frozenset({"SendMessage", "SendStreamingMessage"})


class Line:
    """`home`: the address whose key goes to a gRPC interface of the same host too ("" for none)."""

    def __init__(
        self,
        web: Web,
        card: Card,
        interfaces: Sequence[Interface],
        extensions: Sequence[str],
        broken: Callable[[str], None],
        home: str,
    ) -> None:
        self._web = web
        self._card = card
        self._extensions = tuple(extensions)
        self._broken = broken
        self._home = home
        self.interface, *self._left = interfaces
        #: Whether the interface has answered: then it is the one.
        self._proved = False
        self._transport: Transport = connect(web, card, self.interface, home=home)

    async def close(self) -> None:
        """Give back the connection."""
        await self._transport.close()

    @property
    def repeats_safely(self) -> bool:
        """Whether a message may be sent again under its id: the agent says so, and knows who we are."""
        return self._card.extension(IDEMPOTENCY) is not None and self._web.has_key(self.interface.url)

    def _may_repeat(self, operation: str, params: Json) -> bool:
        if operation in REPEATABLE:
            return True
        return operation in _SENDS and self.repeats_safely

    async def call(self, operation: str, params: Json) -> Json:
        """One operation, again where that does no harm, on the next interface where this one refuses it."""
        tried = 0
        while True:
            try:
                answer = await self._transport.call(operation, params, self._extensions)
                self._proved = True
                return answer
            except NoAnswer as error:
                if await self._elsewhere(error, operation):
                    continue
                if tried == len(RETRIES) or (error.sent and not self._may_repeat(operation, params)):
                    raise
                pause = RETRIES[tried]
            except ServerProblem as problem:
                if await self._elsewhere(problem, operation):
                    continue
                pause = self._pause(problem, operation, params, tried)
                if pause is None:
                    raise
            tried += 1
            await asyncio.sleep(pause)

    def _pause(self, problem: ServerProblem, operation: str, params: Json, tried: int) -> float | None:
        """Seconds until a refused operation is tried again, None for never. 429: nothing was done."""
        if problem.status not in _LATER or tried == len(RETRIES):
            return None
        if problem.status != 429 and not self._may_repeat(operation, params):
            return None
        try:
            wait = float(problem.retry_after) if problem.retry_after else RETRIES[tried]
        except ValueError:
            wait = RETRIES[tried]
        return wait if 0 <= wait <= _LONGEST_WAIT else None

    async def _elsewhere(self, error: NoAnswer | ServerProblem, operation: str) -> bool:
        """Go on to the agent's next interface, when this one has not answered yet and `error` says that
        another may, with nothing done so far; False when it stays."""
        if self._proved:
            return False
        if isinstance(error, NoAnswer):
            # The same server by another protocol is away too.
            here = web_origin(self.interface.url)
            left = [] if error.sent else [each for each in self._left if web_origin(each.url) != here]
        elif error.code == "version_not_supported" or (
            error.code == "method_not_found" and operation in _COMMON
        ):
            left = self._left
        else:
            return False
        if not left:
            return False
        await self._transport.close()
        self.interface, *self._left = left
        self._transport = connect(self._web, self._card, self.interface, home=self._home)
        return True

    async def follow(
        self, operation: str, params: Json, *, task_id: str = "", after: str = "", wait: bool = False
    ) -> AsyncGenerator[Event]:
        """The events of a stream, over breaks, until the task settles (with `wait`: ends)."""
        tried = 0
        state, last = "", after
        resumed = operation == "SubscribeToTask"
        while True:
            why, first = "it closed early", True
            try:
                stream = self._transport.stream(operation, params, self._extensions, after=last)
                async with aclosing(stream) as values:
                    async for ident, value in values:
                        event = read_event(value, ident)
                        if event is None:
                            continue
                        self._proved = True
                        last = ident or last
                        task_id = event.task_id or task_id
                        state = event.state or state
                        if not (resumed and first):
                            tried = 0  # what a stream begins with is no news when it was taken up
                        first = False
                        yield event
                        if ends(event, wait):
                            return
            except NoAnswer as error:
                if await self._elsewhere(error, operation):
                    continue
                if not task_id and error.sent and not self._may_repeat(operation, params):
                    raise
                why = error.why
            except ServerProblem as problem:
                if await self._elsewhere(problem, operation):
                    continue
                if resumed and problem.code in ("unsupported_operation", "method_not_found"):
                    # Ended meanwhile, or an agent whose streams can't be taken up.
                    task = await self._get(task_id)
                    yield as_event(task)
                    if not ends(as_event(task), wait):
                        async with aclosing(self.looked_at(task, wait)) as events:
                            async for event in events:
                                yield event
                    return
                if not (resumed and problem.status in _LATER):
                    raise
                why = problem.detail
            if state in INTERRUPTED:
                # It ended at a question, and we are to wait until that is answered.
                task = await self._get(task_id)
                async with aclosing(self.looked_at(task, wait)) as events:
                    async for event in events:
                        yield event
                return
            if not task_id and not self._may_repeat(operation, params):
                raise NoAnswer(self.interface.url, "the stream ended before it named a task")
            if tried == len(PAUSES):
                raise NoAnswer(self.interface.url, why)
            self._broken(why)
            await asyncio.sleep(PAUSES[tried])
            tried += 1
            if task_id:
                operation, params, resumed = "SubscribeToTask", {"id": task_id}, True

    async def looked_at(self, task: Task, wait: bool) -> AsyncGenerator[Event]:
        """A task that can't be watched: each change of it, until it settles."""
        pause = LOOK
        seen = task.json
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LOOK_MOST)
            now = await self._get(task.id)
            if now.json != seen:
                seen, pause = now.json, LOOK
                event = as_event(now)
                yield event
                if ends(event, wait):
                    return

    async def _get(self, task_id: str) -> Task:
        return read_task(await self.call("GetTask", {"id": task_id}))


def ends(event: Event, wait: bool) -> bool:
    """Whether nothing more comes: the task settled, or (with `wait`) ended."""
    return event.kind == "message" or event.state in TERMINAL or (not wait and event.settles)


def as_event(task: Task) -> Event:
    """A task as the event that it is."""
    found = read_event({"task": task.json})
    assert found is not None
    return found
