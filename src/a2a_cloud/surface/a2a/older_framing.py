"""Streams of the generations before 1.0. There a status update says whether it is the stream's last:
`final` (specification 0.3.0, section 7.2.2).

A task that asks ends its stream, unless the question was answered already, as when a stream catches up.
So an update that says that the task asks is held back until it is known which of the two it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.run import StatusEvent
from a2a_cloud.model.task import INTERRUPTED, Message, Task
from a2a_cloud.surface.framing import TaskFraming
from a2a_cloud.wire import a2a_early, a2a_render, a2a_v03, a2a_v03_rest, jsonrpc, sse
from a2a_cloud.wire.a2a_render import StreamResponse
from a2a_cloud.wire.views import Delivered, PartLinks

_encode = msgspec.json.Encoder().encode


class OlderFraming(TaskFraming):
    """One connection's stream. `prefix` and `suffix` stand around each event's JSON; events are kept
    encoded under `shared`, where they are the same for every subscriber."""

    def __init__(self, prefix: bytes, suffix: bytes, shared: str = "") -> None:
        self._prefix = prefix
        self._suffix = suffix
        self._shared = shared
        self._held: tuple[Delivered, StreamResponse] | None = None
        #: What was said last, and for which event: where it could not be written it is asked for again.
        self._last: tuple[tuple[int, int], bytes] = ((0, 0), b"")

    def tell(self, shown: StreamResponse, final: bool) -> Any:
        """An event in the dialect's words."""
        raise NotImplementedError

    def first(self, shown: Task | Message) -> bytes:
        """See TaskFraming."""
        return self._framed(_encode(self.tell(a2a_render.response(shown), False)))

    def event(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        """See Framing."""
        at = (delivered.ordinal, delivered.seq)
        if self._last[0] != at:
            self._last = at, self._next(delivered, links, first_text)
        return self._last[1]

    def _next(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        before = b"" if self._held is None else self._line(*self._held, False)
        self._held = None
        name = f"{self._shared} {links.base}"
        body = delivered.cache.get(name) if self._shared else None
        if body is None:
            shown = a2a_render.stream_shape(delivered, links, first_text)
            if shown is None:
                return before
            if isinstance(delivered.event, StatusEvent) and delivered.event.state in INTERRUPTED:
                self._held = delivered, shown
                return before
            body = _encode(self.tell(shown, delivered.closes))
            if self._shared:
                delivered.cache[name] = body
        return before + sse.id_line(delivered) + self._framed(body)

    def end(self) -> bytes:
        """See Framing."""
        return b"" if self._held is None else self._line(*self._held, True)

    def _line(self, delivered: Delivered, shown: StreamResponse, final: bool) -> bytes:
        return sse.id_line(delivered) + self._framed(_encode(self.tell(shown, final)))

    def _framed(self, body: bytes) -> bytes:
        return self._prefix + sse.one_line(body) + self._suffix


class V03Framing(OlderFraming):
    """0.3 over JSON-RPC."""

    def __init__(self, request_id: bytes) -> None:
        super().__init__(jsonrpc.stream_prefix(request_id), b"}\n\n", "a2a-0.3")

    def tell(self, shown: StreamResponse, final: bool) -> Any:
        """See OlderFraming."""
        return a2a_v03.shown(shown, final)


class V03RestFraming(OlderFraming):
    """0.3 over HTTP+JSON."""

    def __init__(self) -> None:
        super().__init__(b"data: ", b"\n\n", "a2a-0.3-rest")

    def tell(self, shown: StreamResponse, final: bool) -> Any:
        """See OlderFraming."""
        return a2a_v03_rest.shown(shown, final)


class EarlyFraming(OlderFraming):
    """Before that: by the caller's own name for the task, and artifacts by an index."""

    def __init__(self, request_id: bytes, name: str) -> None:
        super().__init__(jsonrpc.stream_prefix(request_id), b"}\n\n")
        self._telling = a2a_early.Telling(name)

    def tell(self, shown: StreamResponse, final: bool) -> Any:
        """See OlderFraming."""
        return self._telling.shown(shown, final)

    def first(self, shown: Task | Message) -> bytes:
        """See TaskFraming: an event for the status, one for each artifact."""
        assert isinstance(shown, Task)
        return b"".join(self._framed(_encode(one)) for one in self._telling.first(shown))
