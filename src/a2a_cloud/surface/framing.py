"""How a task's events become the bytes of one connection's event stream: one class per dialect.

A stream knows when something happens, its framing how that is said there. Bytes that are the same for
every subscriber are kept in the event's cache, so that an event is encoded once however many follow.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from a2a_cloud.model.task import Message, Task
from a2a_cloud.wire import a2a_render, jsonrpc, sse
from a2a_cloud.wire.views import Delivered, PartLinks

_encode = msgspec.json.Encoder().encode


class Framing(Protocol):
    """A dialect's way to say what happens."""

    def event(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        """An event, framed, with its position as its id; b"" for one that the dialect has no word for.

        `first_text`: it is the first text of its attempt that this subscriber sees.
        """
        ...

    def end(self) -> bytes:
        """What is still to be said, framed, when the stream ends because the task asks."""
        return b""


class TaskFraming(Framing, Protocol):
    """A dialect whose streams begin with a task, or with the answer that made none."""

    def first(self, shown: Task | Message) -> bytes:
        """The stream's first event, framed."""
        ...


class RestFraming(TaskFraming):
    """A2A 1.0 over HTTP+JSON: each event is a StreamResponse."""

    __slots__ = ()

    def first(self, shown: Task | Message) -> bytes:
        """See TaskFraming."""
        return sse.event(_encode(a2a_render.response(shown)))

    def event(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        """See Framing."""
        body = a2a_render.stream_event(delivered, links, first_text)
        if not body:
            return b""
        name = f"rest {links.base}"
        framed = delivered.cache.get(name)
        if framed is None:
            framed = delivered.cache[name] = sse.id_line(delivered) + sse.event(body)
        return framed


class RpcFraming(TaskFraming):
    """A2A 1.0 over JSON-RPC: each event is an answer to the request that opened the stream."""

    __slots__ = ("_prefix",)

    def __init__(self, request_id: bytes) -> None:
        self._prefix = jsonrpc.stream_prefix(request_id)

    def first(self, shown: Task | Message) -> bytes:
        """See TaskFraming."""
        return self._prefix + sse.one_line(_encode(a2a_render.response(shown))) + b"}\n\n"

    def event(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        """See Framing."""
        body = a2a_render.stream_event(delivered, links, first_text)
        if not body:
            return b""
        return sse.id_line(delivered) + self._prefix + sse.one_line(body) + b"}\n\n"


class PlainFraming(Framing):
    """Our own dialect: named events with ids (docs/http.md)."""

    __slots__ = ()

    def event(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        """See Framing."""
        return sse.plain_event(delivered, links)


REST = RestFraming()
PLAIN = PlainFraming()
