"""A task's committed events as an async iterator, for whoever writes them at a pace of their own.

Memory is bounded: at most 64 events wait for the reader. Where that is not enough the rest is dropped, and
comes again from the journal, after the position that the reader has reached.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.run import AttemptEvent, StatusEvent, TextEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import INTERRUPTED
from a2a_cloud.surface.runs_port import Subscription
from a2a_cloud.surface.streams import Streams, whose
from a2a_cloud.wire.views import Delivered

_MOST = 64


class Feed:
    """Use: `async with Feed(…) as feed: async for delivered, first_text in feed: …`.

    `after` is the position (ordinal, seq) that the reader knows already, `text_begun` the run whose streamed
    text it has (0: none). It ends when the task has ended, or, with `until_input`, when the task asks.
    `first_text`: the event is the first text of its attempt that this reader gets. Entering counts the stream
    in and may raise TaskNotFound; so may a step. `reason` is what the end is counted as.
    """

    __slots__ = (
        "_after",
        "_agent_no",
        "_behind",
        "_catching_up",
        "_over",
        "_queue",
        "_scope",
        "_streams",
        "_subscription",
        "_task_id",
        "_text",
        "_until_input",
        "_waiter",
        "_waits",
        "reason",
        "whose",
    )

    def __init__(
        self,
        streams: Streams,
        principal: Principal,
        scope: Scope,
        agent_no: int,
        task_id: str,
        *,
        after: tuple[int, int] = (0, 0),
        text_begun: int = 0,
        until_input: bool = False,
    ) -> None:
        self._streams = streams
        self.whose = whose(principal)
        self._scope = scope
        self._agent_no = agent_no
        self._task_id = task_id
        self._after = after
        self._text = text_begun
        self._until_input = until_input
        self._queue: deque[Delivered] = deque()
        self._subscription: Subscription | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._behind = False
        self._catching_up = False
        self._waits = False
        self._over = False
        self.reason = "disconnected"

    async def __aenter__(self) -> Self:
        self._streams.add(self)
        try:
            self._attach()
        except BaseException:
            self._streams.remove(self, "lost")
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._detach()
        self._streams.remove(self, self.reason)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[Delivered, bool]:
        while not self._queue:
            if self._behind:
                self._streams.metrics.streams_lagged += 1
                self._detach()
                self._attach()
            elif self._over:
                raise StopAsyncIteration
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        delivered = self._queue.popleft()
        first = self._text != delivered.ordinal
        kind = type(delivered.event)
        if kind is TextEvent:
            self._text = delivered.ordinal
        elif kind is AttemptEvent:
            self._text = 0
        self._after = (delivered.ordinal, delivered.seq)
        return delivered, first

    def deliver(self, delivered: Delivered) -> None:
        """Takes an event; called by the runtime. Never raises and never blocks."""
        if self._over or self._behind:
            return
        if len(self._queue) >= _MOST:
            self._behind = True
            return
        self._queue.append(delivered)
        event = delivered.event
        self._waits = isinstance(event, StatusEvent) and event.state in INTERRUPTED
        if delivered.closes:
            self._end("ended")
        elif self._waits and self._until_input and not self._catching_up:
            self._end("input-required")
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def keep_alive(self) -> None:
        """Nothing: who writes the events keeps the connection."""

    def _end(self, reason: str) -> None:
        self._over = True
        self.reason = reason

    def _attach(self) -> None:
        self._behind = False
        # In what happened before now a question may be answered already: no reason to end.
        self._catching_up = True
        self._subscription = self._streams.runs.subscribe(
            self._scope, self._agent_no, self._task_id, self, self._after
        )
        self._catching_up = False
        if self._waits and self._until_input and not self._behind and not self._over:
            self._end("input-required")

    def _detach(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
