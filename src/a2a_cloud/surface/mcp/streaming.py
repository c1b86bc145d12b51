"""A call's event stream: progress, log lines and questions as they come, the answer last.

Until 2025-11-25 each event's id names the call and its position in the run's journal, so that a stream that
broke off is taken up after a restart of the platform too (basic/transports, "Resumability"). Since 2026-07-28
a client that goes away has canceled the call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from a2a_cloud.model.problem import Problem, TaskNotFound
from a2a_cloud.model.run import StatusEvent
from a2a_cloud.model.task import INTERRUPTED, TERMINAL
from a2a_cloud.surface.mcp import questions
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.events import McpFraming
from a2a_cloud.surface.mcp.following import Following, Identity
from a2a_cloud.surface.mcp.questions import Declined
from a2a_cloud.surface.mcp.work import Look, Work
from a2a_cloud.surface.streams import Stream
from a2a_cloud.wire.mcp_schema import Json
from a2a_cloud.wire.views import Delivered

log = logging.getLogger("a2a_cloud.surface")


class CallStream(Stream):
    """The stream of one call. Its end is put together apart, because that may read objects."""

    __slots__ = ("_ending", "_framed", "asking", "calls", "canceled", "identity", "work")

    #: Log lines are wanted too, which other subscribers don't see.
    logs = True

    def __init__(
        self, calls: Calls, asking: Asking, work: Work, framing: McpFraming, identity: Identity
    ) -> None:
        request = asking.request
        super().__init__(
            calls.streams, request.principal, request.receive, request.send, framing, work.caller.links
        )
        self.calls = calls
        self.asking = asking
        self.work = work
        self.identity = identity
        #: The client took the call back, and wants no answer to it.
        self.canceled = False
        self._framed = framing
        self._ending: asyncio.Task[None] | None = None

    def deliver(self, delivered: Delivered) -> None:
        """See Stream. What ends the call is not an event of its own: the answer takes its place."""
        if self._ending is not None:
            return
        if not self.over and self._lagging is None and self._ends(delivered):
            self.position = (delivered.ordinal, delivered.seq)
            self._ending = self._streams.spawn(self._end())
            return
        # An event whose task ends is for the call one like others: the answer is what ends it.
        super().deliver(cast(Delivered, _Open(delivered)) if delivered.closes else delivered)

    def _ends(self, delivered: Delivered) -> bool:
        event = delivered.event
        if delivered.ordinal != self.work.ordinal or not isinstance(event, StatusEvent):
            return False
        if event.state in TERMINAL:
            return True
        if event.state not in INTERRUPTED:
            return False
        if self.asking.modern:
            return True
        look = self.work.look()
        return look.state in INTERRUPTED and not questions.for_client(
            questions.opened(look), self.asking.client
        )

    async def _end(self) -> None:
        try:
            body = None
            if not self.canceled:
                body = await self.calls.following.conclude(self.asking, self.work, self.identity)
                if body is None and self.work.look().state not in TERMINAL:
                    self._ending = None
                    self._detach()
                    self._attach()
                    return
            frame = b"" if body is None else self._framed.framed(self.position, body)
            async with asyncio.timeout(self._streams.drain_seconds):
                await self._send({"type": "http.response.body", "body": frame, "more_body": False})
            self.reason = "ended"
            self.over = True
        except TimeoutError:
            self._drop("too-slow")
        except Exception:
            log.exception("The answer to a call could not be sent")
            self._drop("internal")

    def conclude_if_ended(self, look: Look) -> None:
        """Ends at once when there is nothing more to come."""
        if self._ending is None and look.state in TERMINAL:
            self._ending = self._streams.spawn(self._end())

    def ask_again(self, look: Look) -> None:
        """Puts the open question to the client once more."""
        if not self.over and self._lagging is None and self._ending is None:
            self._write(self._framed.requests(look))


class _Open:
    """An event whose task ends elsewhere: for the call it is one like others."""

    __slots__ = ("_of",)

    closes = False

    def __init__(self, of: Delivered) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


class Calls:
    """The calls that are under way, by session and request; and the open streams, by their tasks."""

    __slots__ = ("_by_task", "_pending", "following", "operations", "streams")

    def __init__(self, following: Following) -> None:
        self.following = following
        self.operations = following.operations
        self.streams = following.operations.streams
        self._pending: dict[tuple[str, bytes], Work] = {}
        self._by_task: dict[str, CallStream] = {}

    @contextmanager
    def pending(self, nonce: str, request_id: bytes, work: Work) -> Generator[None]:
        """While it lasts, the session can take the call back."""
        key = (nonce, request_id)
        self._pending[key] = work
        try:
            yield
        finally:
            if self._pending.get(key) is work:
                del self._pending[key]

    async def stream(
        self, asking: Asking, work: Work, identity: Identity, after: tuple[int, int] | None = None
    ) -> None:
        """Answers with a stream; returns when it is over. Raises Busy."""
        self.streams.check(asking.principal)
        framing = McpFraming(asking, work)
        stream = CallStream(self, asking, work, framing, identity)
        position = (work.ordinal, 0) if after is None else after
        self._by_task[work.task_id] = stream
        asking.request.started = True
        asking.request.status = 200
        try:
            await stream.start(framing.prime(position))
            try:
                self._begin(stream, work, position)
            except BaseException:
                stream.fail()
                raise
            finally:
                await stream.wait()
        finally:
            if self._by_task.get(work.task_id) is stream:
                del self._by_task[work.task_id]
        if asking.modern and stream.reason != "ended" and self.operations.services.ready():
            await self.cancel(work)

    def _begin(self, stream: CallStream, work: Work, position: tuple[int, int]) -> None:
        stream.subscribe(work.scope, work.caller.release.agent_no, work.task_id, position)
        look = work.look()
        if position >= (work.ordinal, look.seq) and not stream.over:
            # Nothing may come any more, after a position at the end: then what there is, is the answer.
            stream.conclude_if_ended(look)

    async def cancel(self, work: Work) -> None:
        """Ends a run that nobody waits for any more, if it has not ended."""
        try:
            if work.look().state not in TERMINAL:
                runs = self.operations.services.runs
                await runs.cancel(work.scope, work.caller.release.agent_no, work.task_id)
        except Problem as problem:
            log.debug("A call could not be canceled: %s", problem.detail)

    async def canceled(self, nonce: str, request_id: bytes) -> None:
        """notifications/cancelled: the call with that id, of that session, if it is under way."""
        work = self._pending.get((nonce, request_id))
        if work is None:
            return
        stream = self._by_task.get(work.task_id)
        if stream is not None and stream.asking.id == request_id:
            stream.canceled = True
        await self.cancel(work)

    async def answered(self, work: Work, seq: int, name: str, given: Json) -> bool:
        """What a client answered to the request `name` of the question at `seq`. False: it doesn't fit, and
        is asked again. Raises Problem."""
        look = work.look()
        if look.state not in INTERRUPTED or look.seq != seq:
            return True  # Answered already, by somebody else or by this client before.
        found = questions.opened(look)
        stream = self._by_task.get(work.task_id)
        client = stream.asking.client if stream is not None else None
        wanted = found.requests if client is None else questions.for_client(found, client)
        if name not in wanted:
            raise TaskNotFound("Nobody asked that.", remedy="Answer the requests that come on the stream.")
        collected = self.following.collected
        said = collected.add(work, seq, {name: given})
        if said.keys() < wanted.keys():
            return True
        collected.drop(work, seq)
        try:
            fits = await questions.answer(work, found, said)
        except Declined:
            await self.cancel(work)
            return True
        if not fits and stream is not None:
            stream.ask_again(look)
        return fits
