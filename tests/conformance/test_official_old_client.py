"""The official SDK's 0.3 client, which knows nothing of 1.0, works over both of its bindings."""

from __future__ import annotations

from typing import Any

import outside
import pytest

from running import Running


@pytest.fixture(scope="module", params=["JSONRPC", "HTTP+JSON"])
def did(request: pytest.FixtureRequest, tester: Running) -> dict[str, dict[str, Any]]:
    """What the client did, by step. It is sent to a push address that nobody listens at."""
    program = outside.PROGRAMS / "old_client.py"
    command = [outside.python("a2a-0.3"), program, tester.agent("tester"), request.param]
    token = tester.auth["Authorization"].removeprefix("Bearer ")
    return {one["step"]: one for one in outside.lines([*command, "http://127.0.0.1:9/"], A2A_TOKEN=token)}


def test_the_card_is_accepted(did: dict[str, dict[str, Any]], tester: Running) -> None:
    card = did["card"]
    assert card["url"] == tester.agent("tester")
    assert (card["transport"], card["version"], card["history"]) == ("JSONRPC", "0.3.0", True)
    assert "ask" in card["skills"]


def test_tasks_and_messages(did: dict[str, dict[str, Any]]) -> None:
    assert (did["complete"]["state"], did["complete"]["said"]) == ("completed", ["hello"])
    assert (did["answer"]["kind"], did["answer"]["role"], did["answer"]["said"]) == (
        "message",
        "agent",
        ["hi"],
    )
    assert (did["reject"]["state"], did["fail"]["state"]) == ("rejected", "failed")
    assert (did["get"]["same"], did["get"]["state"]) == (True, "completed")
    assert did["cancel"]["state"] == "canceled"


def test_parts_of_each_kind(did: dict[str, dict[str, Any]]) -> None:
    assert did["text"]["words"] == [["leaf"]]
    assert did["file"]["words"] == [[{"bytes": "bGVhZg==", "mimeType": "text/plain", "name": "note.txt"}]]
    assert did["url"]["words"][0][0]["uri"] == "https://example.com/note.txt"
    assert did["data"]["words"] == [[{"word": "tea", "nested": {"list": [1, 2.5, True], "none": []}}]]


def test_a_question_and_its_answer(did: dict[str, dict[str, Any]]) -> None:
    assert (did["ask"]["state"], did["ask"]["said"]) == ("input-required", ["Which law governs?"])
    answered = did["answered"]
    assert (answered["same"], answered["state"]) == (True, "completed")
    assert answered["words"] == [["Answered: England"]]
    assert answered["history"] == [["begin"], ["Which law governs?"], ["England"]]


def test_a_stream_in_pieces(did: dict[str, dict[str, Any]]) -> None:
    first, *updates, last = did["stream"]["events"]
    assert first["kind"] == "task"
    pieces = [one for one in updates if one["kind"] == "artifact-update"]
    assert [(one["words"], one["append"], one["last"]) for one in pieces] == [
        (["one "], False, False),
        (["two "], True, False),
        (["three"], True, True),
    ]
    assert (last["kind"], last["state"], last["final"]) == ("status-update", "completed", True)
    assert not any(one.get("final") for one in updates)


def test_a_second_stream_of_the_task(did: dict[str, dict[str, Any]]) -> None:
    first, again = did["resubscribe"]["first"], did["resubscribe"]["again"]
    assert again
    assert first[-len(again) :] == again
    assert (again[-1]["state"], again[-1]["final"], again[-1]["said"]) == ("completed", True, ["later"])


def test_refusals_are_the_clients_own(did: dict[str, dict[str, Any]]) -> None:
    unknown, again = did["get unknown"], did["cancel again"]
    if unknown["error"] == "A2AClientJSONRPCError":
        assert (unknown["code"], again["code"]) == (-32001, -32002)
    else:
        assert unknown["error"] == again["error"] == "A2AClientHTTPError"
        assert "404" in unknown["text"]


def test_a_push_configuration(did: dict[str, dict[str, Any]]) -> None:
    assert did["push"] == {"step": "push", "url": "http://127.0.0.1:9/", "task": True}
