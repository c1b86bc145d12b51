"""Differences as people read them: what the record has and what came instead, short and printable."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from a2a_cloud.model.replay import Difference
from a2a_cloud.model.run import (
    ArtifactEvent,
    EffectStarted,
    LogEvent,
    ProgressEvent,
    RunEvent,
    TextEvent,
    UsageEvent,
)
from a2a_cloud.wire.worker import Effect, Log, Made, Now, Progress, Text, ToRuntime, Usage

#: Characters of what is shown of either side, and of those in front of the first that differs.
MOST, LEAD = 200, 40
#: What stands for nothing.
NOTHING = "nothing"

_sorted = msgspec.json.Encoder(order="sorted").encode


def brief(text: str) -> str:
    """At most MOST characters, all of them printable."""
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[: MOST + 1])
    return shown if len(shown) <= MOST else f"{shown[:MOST]}…"


def pair(expected: str, got: str) -> tuple[str, str]:
    """Both in brief, from a little before the first character that differs."""
    if len(expected) <= MOST and len(got) <= MOST:
        return brief(expected), brief(got)
    same = next(
        (at for at, (one, other) in enumerate(zip(expected, got, strict=False)) if one != other),
        min(len(expected), len(got)),
    )
    start = max(0, same - LEAD)
    lead = "…" if start else ""
    return lead + brief(expected[start:]), lead + brief(got[start:])


def of_event(seq: int, event: RunEvent | None) -> tuple[str, str, str]:
    """(kind, name, content) of something recorded."""
    match event:
        case EffectStarted():
            said = bytes(event.input).decode("utf-8", "replace")
            if event.kind in ("now", "sleep") or said == "null":
                said = "" if event.kind in ("now", "sleep") else f"arguments with hash {event.args.hex()}"
            return event.kind, event.name, said
        case TextEvent():
            return "text", "", event.delta
        case ProgressEvent():
            return "progress", event.stage, _progress(event.stage, event.percent, event.message)
        case ArtifactEvent():
            return "artifact", event.artifact.artifact_id, _sorted(event.artifact).decode()
        case LogEvent():
            return "log", event.level, event.line
        case UsageEvent():
            return "usage", event.meter, f"{event.qty} {event.unit}".strip()
        case _:
            return "", "", NOTHING


def of_frame(frame: ToRuntime) -> tuple[str, str, str]:
    """(kind, name, content) of what the code did."""
    match frame:
        case Effect():
            said = frame.input if frame.input != b"null" else frame.args
            if frame.kind in ("now", "sleep"):
                said = b""
            return frame.kind, frame.name, said.decode("utf-8", "replace")
        case Text():
            return "text", "", frame.delta
        case Progress():
            return "progress", frame.stage, _progress(frame.stage, frame.percent, frame.message)
        case Made():
            try:
                name = str(msgspec.json.decode(frame.artifact, type=dict[str, Any]).get("artifactId", ""))
            except msgspec.MsgspecError:
                name = ""
            return "artifact", name, frame.artifact.decode("utf-8", "replace")
        case Log():
            return "log", frame.level, frame.line
        case Usage():
            return "usage", frame.meter, f"{frame.qty} {frame.unit}".strip()
        case Now():
            return "now", "", ""
        case _:
            return type(frame).__name__.lower(), "", ""


def unmatched(seq: int, due: RunEvent | None, frame: ToRuntime) -> Difference:
    """That the code did what the record does not have, where it has `due`."""
    kind, name, said = of_frame(frame)
    wanted, named, content = of_event(seq, due)
    if due is None:
        return Difference(seq, kind, name, NOTHING, _worded(kind, name, said))
    if (kind, name) == (wanted, named):
        expected, got = pair(content, said)
        return Difference(seq, wanted, named, expected, got)
    if kind == "step" or wanted == "step":  # Of the arguments of a step only a hash is recorded.
        said, content = ("" if kind == "step" else said), ("" if wanted == "step" else content)
    return Difference(seq, wanted, named, _worded(wanted, named, content), _worded(kind, name, said))


def missing(seq: int, due: RunEvent | None, did: str) -> Difference:
    """That the code did not do what the record has next."""
    kind, name, said = of_event(seq, due)
    return Difference(seq, kind, name, _worded(kind, name, said), did)


def _progress(stage: str, percent: float, message: str) -> str:
    known = f" {percent:g} %" if 0 <= percent <= 100 else ""
    return f"{stage}{known}{': ' + message if message else ''}"


def _worded(kind: str, name: str, said: str) -> str:
    if kind in ("progress", "log", "text"):
        return brief(f"{kind} {said!r}")
    return brief(" ".join(filter(None, (kind, repr(name) if name else "", said))))


def values_differ(expected: Any, got: Any) -> tuple[str, Any, Any] | None:
    """(JSON pointer, expected, got) of the first place in which two JSON values differ; None: they don't."""
    left: list[tuple[str, Any, Any]] = [("", expected, got)]
    while left:
        path, one, other = left.pop()
        had, has = _members(one), _members(other)
        if had is not None and has is not None and isinstance(one, dict) == isinstance(other, dict):
            for key in reversed(list(dict.fromkeys((*had, *has)))):
                step = key.replace("~", "~0").replace("/", "~1")
                left.append((f"{path}/{step}", had.get(key, ABSENT), has.get(key, ABSENT)))
        elif (had is None) != (has is None) or type(one) is not type(other) or one != other:
            return path, one, other
    return None


def _members(found: Any) -> dict[str, Any] | None:
    """What an object or an array holds, by the steps of a JSON pointer; None for what holds nothing."""
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if isinstance(found, list):
        return {str(at): each for at, each in enumerate(cast("list[Any]", found))}
    return None


class _Absent:
    """What stands where there is no value."""


ABSENT = _Absent()


def value(found: Any) -> str:
    """A JSON value as text."""
    return NOTHING if found is ABSENT else _sorted(found).decode("utf-8", "replace")
