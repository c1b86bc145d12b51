"""What happens in a run, as messages of one call's stream, and the ids of its events (2025-11-25,
basic/transports, "Resumability"; basic/utilities/progress; server/utilities/logging).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from msgspec import Raw, Struct

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.run import (
    ArtifactEvent,
    AttemptEvent,
    LogEvent,
    ProgressEvent,
    RunEvent,
    StatusEvent,
    TextEvent,
)
from a2a_cloud.model.task import INTERRUPTED
from a2a_cloud.surface.framing import Framing
from a2a_cloud.surface.mcp import questions
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.work import Look, Work
from a2a_cloud.wire import sse
from a2a_cloud.wire.mcp import encode, is_id, notification, request
from a2a_cloud.wire.mcp_content import artifact_text, artifact_uri, progress_text
from a2a_cloud.wire.mcp_schema import Json
from a2a_cloud.wire.views import Delivered, PartLinks

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_RANK = {name: place for place, name in enumerate(LEVELS)}


class Place(Struct, array_like=True):
    """Which call an event's id belongs to: enough to go on with it."""

    task_id: str
    purpose: str
    name: str
    id: Raw
    token: Raw
    level: str


def read_event_id(text: str) -> tuple[Place, tuple[int, int]]:
    """(the call, the position) of an event's id. Raises InvalidParams."""
    head, _, position = text.partition("~")
    try:
        if len(text) > 4096:
            raise ValueError
        place = msgspec.json.decode(urlsafe_b64decode(head + "=" * (-len(head) % 4)), type=Place)
        if not is_id(bytes(place.id)) or not (bytes(place.token) == b"null" or is_id(bytes(place.token))):
            raise ValueError
        return place, sse.read_position(position)
    except (ValueError, msgspec.MsgspecError, InvalidParams):
        raise InvalidParams(
            "Last-Event-ID is no event's of this server.",
            remedy="Send the id of the last event that came, or none.",
            info={"field": "Last-Event-ID"},
        ) from None


class McpFraming(Framing):
    """What happens in a run, as messages to the client of one call. Fits `framing.Framing`."""

    __slots__ = ("_asking", "_last", "_mark", "_work")

    def __init__(self, asking: Asking, work: Work) -> None:
        self._asking = asking
        self._work = work
        self._last = -1.0
        self._mark = b""
        if not asking.modern:
            place = Place(
                work.task_id,
                work.purpose,
                work.name,
                Raw(asking.id),
                Raw(asking.token or b"null"),
                asking.level,
            )
            self._mark = b"id: " + urlsafe_b64encode(encode(place)).rstrip(b"=") + b"~"

    def prime(self, position: tuple[int, int]) -> bytes:
        """The first event: where there are ids, one that says nothing and has one."""
        return self._id(position) + b"data: \n\n" if self._mark else sse.KEEP_ALIVE

    def _id(self, position: tuple[int, int]) -> bytes:
        return self._mark + b"%d.%d\n" % position if self._mark else b""

    def framed(self, position: tuple[int, int], body: bytes) -> bytes:
        """A message as an event."""
        return self._id(position) + b"data: " + body + b"\n\n"

    def event(self, delivered: Delivered, links: PartLinks, first_text: bool) -> bytes:
        """See Framing."""
        if delivered.ordinal != self._work.ordinal:
            return b""
        event: RunEvent = delivered.event
        position = (delivered.ordinal, delivered.seq)
        if isinstance(event, LogEvent):
            return self._log(position, event)
        if isinstance(event, StatusEvent):
            return self._asks(position, event)
        if not self._asking.token:
            return b""
        meta: Json = {"a2a-cloud/event": f"{delivered.ordinal}.{delivered.seq}"}
        percent, text = -1.0, ""
        if isinstance(event, ProgressEvent):
            percent, text = event.percent, progress_text(event)
        elif isinstance(event, TextEvent):
            text = event.delta
            meta["a2a-cloud/text"] = event.delta
        elif isinstance(event, ArtifactEvent):
            text = f"Artifact {artifact_text(event.artifact)}"
            meta["a2a-cloud/artifact"] = artifact_uri(delivered.run_id, event.artifact.artifact_id)
        elif isinstance(event, AttemptEvent):
            text = f"Attempt {event.attempt} begins: {event.why}"
        else:
            return b""
        params: Json = {"progressToken": Raw(self._asking.token), "progress": self._further(percent)}
        if percent >= 0:
            params["total"] = 100
        if text:
            params["message"] = text
        params["_meta"] = meta
        return self.framed(position, notification("notifications/progress", params))

    def _further(self, percent: float) -> float:
        """Progress has to grow with each notification, whatever an agent says."""
        self._last = percent if percent > self._last else max(self._last, 0.0) + 0.001
        return round(self._last, 3)

    def _log(self, position: tuple[int, int], event: LogEvent) -> bytes:
        level = self._asking.level
        if not level or _RANK.get(event.level, 1) < _RANK[level]:
            return b""
        params: Json = {"level": event.level, "logger": self._work.offered.name, "data": event.line}
        return self.framed(position, notification("notifications/message", params))

    def _asks(self, position: tuple[int, int], event: StatusEvent) -> bytes:
        if event.state not in INTERRUPTED or self._asking.modern:
            return b""
        look = self._work.look()
        if look.seq != position[1] or look.state not in INTERRUPTED:
            return b""  # Answered already.
        return self.requests(look)

    def requests(self, look: Look) -> bytes:
        """What the run asks for, as requests to the client."""
        found = questions.opened(look)
        wanted = questions.for_client(found, self._asking.client)
        position = (self._work.ordinal, look.seq)
        return b"".join(
            self.framed(position, request(request_id(self._work, look, name), one["method"], _params(one)))
            for name, one in wanted.items()
        )


def _params(one: Json) -> Any:
    return one.get("params") or {}


def request_id(work: Work, look: Look, name: str) -> str:
    """The id of a request to the client: it says whose answer it brings."""
    return f"a2a|{work.task_id}|{work.ordinal}.{look.seq}|{name}"
