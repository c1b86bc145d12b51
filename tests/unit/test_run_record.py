"""What the operator's view of a run tells of its effects, connections and decisions."""

from __future__ import annotations

import msgspec

from a2a_cloud.model.run import (
    ApprovalEvent,
    AttemptEvent,
    EffectEnded,
    EffectStarted,
    EgressEvent,
    RunEvent,
    TextEvent,
)
from a2a_cloud.surface.api.acts import MOST, record


def start(kind: str, name: str = "", **fields: object) -> EffectStarted:
    return EffectStarted(kind=kind, name=name, args=b"", input=msgspec.Raw(msgspec.json.encode(fields)))


def test_each_operation_has_a_line_with_its_end() -> None:
    events: list[RunEvent] = [
        start("ws", "read", path="a/b"),
        start("ws", "copy", **{"from": "a", "to": "b"}),
        EffectEnded(effect=2, problem_code="forbidden", problem_detail="No."),
        EffectEnded(effect=1),
        start("call", "", agent="pricing", skill=""),
        start("scope", "", read=["finance/**"], write=[], skills=["a/*", "b/c"]),
        start("now"),
        TextEvent(delta="x"),
    ]
    lines = record(enumerate(events, 1))
    assert lines == [
        {"seq": 1, "kind": "ws", "what": "read a/b", "state": "done"},
        {"seq": 2, "kind": "ws", "what": "copy a b", "state": "refused",
         "code": "forbidden", "detail": "No."},
        {"seq": 5, "kind": "call", "what": "pricing/message", "state": "open"},
        {"seq": 6, "kind": "scope", "what": "read finance/**; skills a/*, b/c", "state": "open"},
    ]  # fmt: skip


def test_connections_and_decisions_have_theirs() -> None:
    events: list[RunEvent] = [
        EgressEvent(host="evil.example", port=443, at=1.0, refused="no grant"),
        EgressEvent(host="api.example", port=443, at=1.0, sent=5, received=7),
        ApprovalEvent(approval="appr_1", state="approved", by="bea@acme", at=2.0, grant="g2", prior="g1"),
    ]
    refused, made, decided = record(enumerate(events, 1))
    assert (refused["what"], refused["state"], refused["code"]) == (
        "evil.example:443", "refused", "egress_refused",
    )  # fmt: skip
    assert (made["state"], made["sent"], made["received"]) == ("done", 5, 7)
    assert (decided["grant"], decided["prior"], decided["at"]) == ("g2", "g1", "1970-01-01T00:00:02.000Z")


def test_input_that_nobody_understands_is_shown_as_far_as_it_goes() -> None:
    events: list[RunEvent] = [
        EffectStarted(kind="scope", name="", args=b"", input=msgspec.Raw(b'{"read":7,"write":"x"}')),
        EffectStarted(kind="ws", name="read", args=b"", input=msgspec.Raw(b"[1]")),
        EffectStarted(kind="ws", name="read", args=b"", input=msgspec.Raw(b'{"path":["x"]}')),
    ]
    assert [line["what"] for line in record(enumerate(events, 1))] == ["", "read", "read ['x']"]


def test_of_a_further_attempt_the_earlier_ends_stay_and_a_long_record_is_cut() -> None:
    events: list[RunEvent] = [start("step", "one"), AttemptEvent(attempt=2, why=""), start("step", "one")]
    events += [EffectEnded(effect=1), EffectEnded(effect=3)]
    assert [line["state"] for line in record(enumerate(events, 1))] == ["open", "done"]
    many = ((seq, start("step")) for seq in range(MOST + 5))
    assert len(record(many)) == MOST
