"""What senders of webhooks write: bodies, delivery ids, events, trials; and how that fills a skill's
parameters."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.hook import Checks, Scheme
from a2a_cloud.model.problem import InvalidRequest, Malformed, Problem
from a2a_cloud.model.release import SkillSpec
from a2a_cloud.surface.arguments import Gate
from a2a_cloud.surface.http.hooks import arguments_of
from a2a_cloud.wire.webhooks import Delivery, read, shown_headers, trial

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json; charset=utf-8"}


def of(
    scheme: Scheme, body: Any, headers: dict[str, str] | None = None, checks: Checks | None = None
) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(scheme, checks or Checks(), headers if headers is not None else JSON, raw)


@pytest.mark.parametrize(
    ("scheme", "body", "headers", "ident", "event"),
    [
        pytest.param(
            Scheme.GITHUB,
            {"action": "opened"},
            {**JSON, "x-github-delivery": "72d3162e", "x-github-event": "issues"},
            "72d3162e",
            "issues",
            id="github",
        ),
        pytest.param(
            Scheme.GITHUB,
            b"payload=%7B%22action%22%3A%22opened%22%7D",
            {**FORM, "x-github-delivery": "72d3162e", "x-github-event": "issues"},
            "72d3162e",
            "issues",
            id="github-form",
        ),
        pytest.param(
            Scheme.STRIPE, {"id": "evt_1", "type": "charge.paid"}, JSON, "evt_1", "charge.paid", id="stripe"
        ),
        pytest.param(
            Scheme.SLACK,
            {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}},
            JSON,
            "Ev1",
            "app_mention",
            id="slack-event",
        ),
        pytest.param(
            Scheme.SLACK, b"command=%2Fask&text=hi&trigger_id=1.2", FORM, "1.2", "/ask", id="slack-command"
        ),
        pytest.param(
            Scheme.SLACK,
            b"payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%22%3A%223.4%22%7D",
            FORM,
            "3.4",
            "block_actions",
            id="slack-action",
        ),
        pytest.param(
            Scheme.STANDARD,
            {"type": "user.made"},
            {**JSON, "webhook-id": "msg_1"},
            "msg_1",
            "user.made",
            id="standard",
        ),
        pytest.param(Scheme.NONE, {"id": 7}, JSON, "", "", id="none"),
    ],
)
def test_which_delivery_and_which_event(
    scheme: Scheme, body: Any, headers: dict[str, str], ident: str, event: str
) -> None:
    delivery = of(scheme, body, headers)
    assert (delivery.id, delivery.event) == (ident, event)


def test_a_header_of_ones_own_names_the_delivery() -> None:
    delivery = of(Scheme.HMAC, {}, {**JSON, "x-id": " d-1 "}, Checks(header="X-Sig", id_header="X-Id"))
    assert delivery.id == "d-1"


def test_bodies() -> None:
    assert of(Scheme.NONE, b"a=1&a=2&b=x%20y", FORM).content == {"a": ["1", "2"], "b": "x y"}
    assert of(Scheme.NONE, b"payload={no", FORM).content == {"payload": "{no"}
    assert of(Scheme.NONE, b"plain words", {"content-type": "text/plain"}).content == "plain words"
    assert of(Scheme.NONE, b"", {}).content == {}
    assert of(Scheme.NONE, b"[1]", {}).content == [1]


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        pytest.param(b"{", JSON, Malformed, id="json"),
        pytest.param(b"words", {}, Malformed, id="no-type"),
        pytest.param(b"\xff", FORM, Malformed, id="utf8"),
        pytest.param(b"a=%ff", FORM, Malformed, id="form-utf8"),
        pytest.param(b"&".join(b"a=1" for _ in range(2000)), FORM, Malformed, id="many-fields"),
        pytest.param(b"[" * 100 + b"]" * 100, JSON, InvalidRequest, id="deep"),
    ],
)
def test_what_is_no_body(body: bytes, headers: dict[str, str], problem: type[Problem]) -> None:
    with pytest.raises(problem):
        of(Scheme.NONE, body, headers)


@given(st.sampled_from(Scheme), st.binary(), st.sampled_from([JSON, FORM, {"content-type": "text/x"}, {}]))
def test_no_body_raises_anything_but_a_problem(scheme: Scheme, body: bytes, headers: dict[str, str]) -> None:
    with suppress(Problem):
        trial(scheme, of(scheme, body, headers))


def test_trials() -> None:
    challenge = {"type": "url_verification", "challenge": "3eZbrw1a"}
    assert trial(Scheme.SLACK, of(Scheme.SLACK, challenge)) == {"challenge": "3eZbrw1a"}
    assert trial(Scheme.NONE, of(Scheme.NONE, challenge)) is None
    ping = of(Scheme.GITHUB, {"zen": "…"}, {**JSON, "x-github-event": "ping"})
    assert trial(Scheme.GITHUB, ping) == {"pong": True}
    assert trial(Scheme.GITHUB, of(Scheme.GITHUB, {}, {**JSON, "x-github-event": "push"})) is None


def test_a_skill_sees_no_header_that_proves_who_sends() -> None:
    headers = {
        "x-github-event": "push",
        "authorization": "Basic x",
        "cookie": "a",
        "x-sig": "1",
        "x-api-key": "k",
    }
    assert shown_headers(headers, Checks(header="X-Sig")) == {"x-github-event": "push"}


# --- a skill's parameters ---------------------------------------------------------------------------------


def gate(required: list[str], **properties: Any) -> Gate:
    schema = {"type": "object", "properties": properties, "required": required}
    return Gate(SkillSpec("s", "s", "", msgspec.Raw(json.dumps(schema).encode()), msgspec.Raw(b"true")))


DELIVERY = Delivery("d1", "push", {"ref": "main", "event": 1, "text": "hi"}, '{"ref": "main"}')
TEXT = {"type": "string"}
OBJECT = {"type": "object"}


@pytest.mark.parametrize(
    ("gate", "arguments"),
    [
        pytest.param(gate(["event"], event=OBJECT), {"event": DELIVERY.content}, id="event-is-the-whole"),
        pytest.param(
            gate([], event_type=TEXT, delivery_id=TEXT, headers=OBJECT),
            {"event_type": "push", "delivery_id": "d1", "headers": {"a": "b"}},
            id="about-it",
        ),
        pytest.param(gate(["ref"], ref=TEXT, other=TEXT), {"ref": "main"}, id="members-by-name"),
        pytest.param(gate(["push"], push=OBJECT), {"push": DELIVERY.content}, id="the-one-parameter"),
        pytest.param(gate(["words"], words=TEXT), {"words": DELIVERY.text}, id="the-one-text"),
        pytest.param(
            gate(["push", "event_type"], push=OBJECT, event_type=TEXT),
            {"push": DELIVERY.content, "event_type": "push"},
            id="the-one-beside-what-is-about-it",
        ),
        pytest.param(gate([], unknown=TEXT), {}, id="nothing"),
    ],
)
def test_what_fills_a_skills_parameters(gate: Gate, arguments: dict[str, Any]) -> None:
    assert arguments_of(gate, DELIVERY, {"a": "b"}) == arguments
