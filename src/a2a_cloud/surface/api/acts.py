"""What a run did through its context, out of its stored events, for those who look at it afterwards: each
operation with its target and, where it was refused, why; each connection; each decision about more rights.
Callers of the agent do not get this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from a2a_cloud.model.run import ApprovalEvent, AttemptEvent, EffectEnded, EffectStarted, EgressEvent, RunEvent
from a2a_cloud.model.stamp import stamp

#: Lines that one answer has; of a run that did more, the first ones.
MOST = 10_000
#: Characters of a target.
_TARGET = 1000

_fields = msgspec.json.Decoder(dict[str, Any])


def record(events: Iterable[tuple[int, RunEvent]]) -> list[dict[str, Any]]:
    """Lines `{"seq", "kind", "what", "state", …}` in order. `state` is `open` (it has not ended), `done` or
    `refused`, the latter with `code` and `detail`; of a further attempt the earlier ones' stay."""
    lines: list[dict[str, Any]] = []
    waiting: dict[int, dict[str, Any]] = {}
    for seq, event in events:
        line: dict[str, Any] | None = None
        if isinstance(event, EffectStarted):
            if event.kind != "now":
                line = {"kind": event.kind, "what": _what(event), "state": "open"}
                waiting[seq] = line
        elif isinstance(event, EffectEnded):
            begun = waiting.pop(event.effect, None)
            if begun is not None:
                begun["state"] = "refused" if event.problem_code else "done"
                if event.problem_code:
                    begun |= {"code": event.problem_code, "detail": event.problem_detail}
        elif isinstance(event, AttemptEvent):
            waiting.clear()
        elif isinstance(event, EgressEvent):
            line = _connection(event)
        elif isinstance(event, ApprovalEvent):
            line = {
                "kind": "approval",
                "what": f"{event.approval} {event.state} by {event.by}",
                "state": "done",
                "at": stamp(event.at),
                "approval": event.approval,
                "by": event.by,
                "grant": event.grant,
                "prior": event.prior,
            }
        if line is not None and len(lines) < MOST:
            line["seq"] = seq
            lines.append(line)
    return lines


def _connection(event: EgressEvent) -> dict[str, Any]:
    line: dict[str, Any] = {
        "kind": "egress",
        "what": f"{event.host}:{event.port}",
        "state": "refused" if event.refused else "done",
        "at": stamp(event.at),
        "address": event.address,
        "sent": event.sent,
        "received": event.received,
        "shared": event.shared,
    }
    return line | {"code": "egress_refused", "detail": event.refused} if event.refused else line


def _what(event: EffectStarted) -> str:
    """An effect in a line: its name, and what it was about."""
    about: dict[str, Any] = {}
    if event.kind in ("ws", "call", "scope"):
        try:
            about = _fields.decode(event.input)
        except msgspec.MsgspecError:  # Of an agent that speaks the protocol by itself.
            about = {}
    if event.kind == "ws":
        named = [str(about[key]) for key in ("path", "from", "to", "folder", "pattern") if about.get(key)]
        text = " ".join([event.name, *named])
    elif event.kind == "call":
        text = f"{about.get('agent', '')}/{about.get('skill', '') or 'message'}"
    elif event.kind == "scope":
        text = "; ".join(
            f"{key} {', '.join(map(str, cast('list[object]', about[key])))}"
            for key in ("read", "write", "skills", "egress")
            if isinstance(about.get(key), list) and about[key]
        )
    else:
        text = event.name
    return text[:_TARGET]
