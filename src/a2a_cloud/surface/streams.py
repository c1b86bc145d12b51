"""Open event streams over raw ASGI: no task and no queue for each.

`deliver` drives the server's `send` by hand: it either writes at once, or would wait because the client
reads too slowly. Then the stream lags: it stops writing, one task waits for the client for up to 10 s,
and the stream catches up from the journal at the position that it had reached; a client that stays
behind is dropped, with a reason that is counted. One timer sends the keep-alive comments of all
streams, a slice of them each second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import Busy, Problem
from a2a_cloud.model.run import AttemptEvent, StatusEvent, TextEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import INTERRUPTED
from a2a_cloud.surface.framing import Framing
from a2a_cloud.surface.metrics import Metrics
from a2a_cloud.surface.ports import SurfaceLimits
from a2a_cloud.surface.runs_port import Runs, Subscription
from a2a_cloud.wire import sse
from a2a_cloud.wire.views import Delivered, PartLinks

log = logging.getLogger("a2a_cloud.surface")

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_SLICES = 15


class Counted(Protocol):
    """An open stream, as `Streams` knows it: whose it is, and how its connection is kept."""

    @property
    def whose(self) -> int | str: ...

    def keep_alive(self) -> None:
        """Called every 15 s."""
        ...


def whose(principal: Principal) -> int | str:
    """Among whose streams one is counted: strangers' go by their address."""
    return principal.no or principal.address


class Streams:
    """All open streams: their number by principal, their keep-alive timer."""

    __slots__ = ("_by_principal", "_limits", "_next", "_slices", "_tasks", "_timer", "metrics", "runs")

    def __init__(self, runs: Runs, limits: SurfaceLimits, metrics: Metrics) -> None:
        self.runs = runs
        self.metrics = metrics
        self._limits = limits
        self._by_principal: defaultdict[int | str, int] = defaultdict(int)
        self._slices: list[set[Counted]] = [set() for _ in range(_SLICES)]
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def drain_seconds(self) -> float:
        """How long a client that reads too slowly is waited for."""
        return self._limits.drain_seconds

    def check(self, principal: Principal) -> None:
        """Raises Busy when `principal` has as many streams open as they may."""
        limits = self._limits
        most = limits.streams_admin if principal.may(Permission.MANAGE_RUNS) else limits.streams
        if self._by_principal[whose(principal)] >= most:
            raise Busy(
                f"{most} streams of yours are open already.",
                remedy="Close some, or follow tasks with GetTask.",
                retry_after=5,
            )

    def add(self, stream: Counted) -> None:
        """Counts a stream in."""
        self._by_principal[stream.whose] += 1
        self.metrics.streams_opened += 1
        self.metrics.streams_open += 1
        self._slices[self.metrics.streams_opened % _SLICES].add(stream)
        if self._timer is None:
            self._later()

    def remove(self, stream: Counted, reason: str) -> None:
        """Counts a stream out."""
        left = self._by_principal[stream.whose] - 1
        if left:
            self._by_principal[stream.whose] = left
        else:
            del self._by_principal[stream.whose]
        self.metrics.streams_open -= 1
        self.metrics.streams_closed[reason] += 1
        for part in self._slices:
            part.discard(stream)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Runs what only a lagging stream needs."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.keep_alive_seconds / _SLICES, self._tick)

    def _tick(self) -> None:
        self._next = (self._next + 1) % _SLICES
        for stream in tuple(self._slices[self._next]):
            stream.keep_alive()
        if self.metrics.streams_open:
            self._later()
        else:
            self._timer = None


class Stream:
    """One open stream. Use: `start`, `subscribe`, `wait`, which returns when it is over.

    `until_input`: it also closes when the task waits for input. `text_begun`: the run whose text the
    first event shows (0: none). Positions are (ordinal, seq).
    """

    __slots__ = (
        "_agent_no",
        "_catching_up",
        "_framing",
        "_lagging",
        "_links",
        "_receive",
        "_scope",
        "_send",
        "_streams",
        "_subscription",
        "_task_id",
        "_text",
        "_until_input",
        "_waits",
        "over",
        "position",
        "reason",
        "whose",
    )

    def __init__(
        self,
        streams: Streams,
        principal: Principal,
        receive: Receive,
        send: Send,
        framing: Framing,
        links: PartLinks,
        *,
        until_input: bool = False,
        text_begun: int = 0,
    ) -> None:
        self._streams = streams
        self.whose = whose(principal)
        self._receive = receive
        self._send = send
        self._framing = framing
        self._links = links
        self._until_input = until_input
        self._subscription: Subscription | None = None
        self._scope: Scope | None = None
        self._agent_no = 0
        self._task_id = ""
        self._lagging: asyncio.Task[None] | None = None
        self._catching_up = False
        self._waits = False
        self._text = text_begun
        self.over = False
        self.position = (0, 0)
        self.reason = "disconnected"

    async def start(self, first: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Sends the head and the first event (framed already)."""
        self._streams.add(self)
        try:
            await self._send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": HEADERS if headers is None else HEADERS + headers,
                }
            )
            await self._send({"type": "http.response.body", "body": first, "more_body": True})
        except BaseException:
            self._streams.remove(self, self.reason)
            raise

    def subscribe(self, scope: Scope, agent_no: int, task_id: str, after: tuple[int, int]) -> None:
        """Delivers what the task has after `after` and whatever comes. Raises TaskNotFound."""
        self._scope, self._agent_no, self._task_id = scope, agent_no, task_id
        self.position = after
        self._attach()

    def _attach(self) -> None:
        assert self._scope is not None
        # In what happened before now a question may be answered already: no reason to close.
        self._catching_up = True
        subscription = self._streams.runs.subscribe(
            self._scope, self._agent_no, self._task_id, self, self.position
        )
        self._catching_up = False
        self._subscription = subscription
        if self._waits and self._until_input and not self.over and self._lagging is None:
            self._finish("input-required")

    async def wait(self) -> None:
        """Returns when the stream is over or the client is gone. A disconnect ends only the subscription."""
        try:
            while not self.over:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    break
        finally:
            self.over = True
            self._detach()
            if self._lagging is not None:
                self._lagging.cancel()
            self._streams.remove(self, self.reason)

    def _detach(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def fail(self) -> None:
        """Ends a stream that can't go on."""
        if not self.over:
            self._drop("internal")

    # --- events ---------------------------------------------------------------------------------------

    def deliver(self, delivered: Delivered) -> None:
        """Writes an event, or starts to lag. Never raises, never blocks, never closes a subscription."""
        if self.over or self._lagging is not None:
            return
        try:
            body = self._framing.event(delivered, self._links, self._text != delivered.ordinal)
        except Exception:
            log.exception("An event of run %s could not be rendered", delivered.run_id)
            self._finish("internal")
            return
        event = delivered.event
        last = delivered.closes
        if (body or last) and not self._write(body, last=last):
            # What was not written comes again when the client has caught up: nothing is moved yet.
            return
        self.position = (delivered.ordinal, delivered.seq)
        kind = type(event)
        if kind is TextEvent:
            self._text = delivered.ordinal
        elif kind is AttemptEvent:
            self._text = 0
        self._waits = isinstance(event, StatusEvent) and event.state in INTERRUPTED
        if last:
            self.over = True
            self.reason = "ended"
        elif self._waits and self._until_input and not self._catching_up:
            self._finish("input-required")

    def keep_alive(self) -> None:
        """Writes a comment, so that proxies keep the connection."""
        if not self.over and self._lagging is None:
            self._write(sse.KEEP_ALIVE)

    def _write(self, body: bytes, *, last: bool = False) -> bool:
        """Whether `body` was written. `send` waits only before it writes, so a wait means nothing was."""
        step: Any = self._send({"type": "http.response.body", "body": body, "more_body": not last})
        try:
            step.send(None)
        except StopIteration:
            return True
        except Exception:
            log.debug("A stream's connection failed", exc_info=True)
            self.over = True
            return False
        step.close()
        if self._lagging is None:
            self._streams.metrics.streams_lagged += 1
            self._lagging = self._streams.spawn(self._catch_up())
        return False

    def _finish(self, reason: str) -> None:
        """Ends the answer; `wait` then returns, since the server tells it that the answer is complete."""
        self.reason = reason
        if self._write(self._framing.end() if reason == "input-required" else b"", last=True):
            self.over = True

    async def _catch_up(self) -> None:
        """Waits for a slow client, then goes on from the position that it had reached, or drops it."""
        try:
            async with asyncio.timeout(self._streams.drain_seconds):
                await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        except TimeoutError:
            self._lagging = None
            self._drop("too-slow")
            return
        if self.over:
            return
        self._lagging = None
        # What was delivered in the meantime was dropped: it comes again from the journal.
        self._detach()
        try:
            self._attach()
        except Problem as problem:
            log.info("A stream could not go on: %s", problem.detail)
            self._drop("lost")

    def _drop(self, reason: str) -> None:
        """Cuts the connection: half a stream must not look like a whole one. `receive` then tells it."""
        self.reason = reason
        self.over = True
        exchange = getattr(self._send, "__self__", None)
        transport = getattr(getattr(exchange, "connection", exchange), "transport", None)
        if transport is not None:
            transport.abort()
