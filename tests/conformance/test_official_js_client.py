"""The official JavaScript SDK's client works with an agent, through node, over both bindings that it has."""

from __future__ import annotations

from typing import Any

import outside
import pytest

from running import Running


@pytest.fixture(scope="module", params=["JSONRPC", "HTTP+JSON"])
def did(request: pytest.FixtureRequest, tester: Running) -> dict[str, dict[str, Any]]:
    """What the client did, by step."""
    program = outside.PROGRAMS / "client.mjs"
    command = [outside.node(), program, outside.modules(), tester.agent("tester"), request.param]
    token = tester.auth["Authorization"].removeprefix("Bearer ")
    return {one["step"]: one for one in outside.lines(command, A2A_TOKEN=token)}


def test_tasks_and_messages(did: dict[str, dict[str, Any]]) -> None:
    assert (did["complete"]["state"], did["complete"]["said"]) == ("completed", ["hello"])
    assert did["answer"]["said"] == ["hi"]
    assert (did["get"]["same"], did["get"]["state"]) == (True, "completed")
    assert (did["list"]["ids"], did["list"]["total"]) == ([True], 1)
    assert did["cancel"]["state"] == "canceled"


def test_parts_of_each_kind(did: dict[str, dict[str, Any]]) -> None:
    assert did["text"]["words"] == did["file"]["words"] == [["leaf"]]
    assert did["url"]["words"] == [["https://example.com/note.txt"]]
    assert did["data"]["words"] == [[{"word": "tea", "nested": {"list": [1, 2.5, True], "none": []}}]]


def test_a_question_and_its_answer(did: dict[str, dict[str, Any]]) -> None:
    assert (did["ask"]["state"], did["ask"]["said"]) == ("input", ["Which law governs?"])
    assert (did["answered"]["same"], did["answered"]["state"]) == (True, "completed")
    assert did["answered"]["words"] == [["Answered: England"]]


def test_streams(did: dict[str, dict[str, Any]]) -> None:
    first, *updates, last = did["stream"]["events"]
    assert (first["kind"], last) == ("task", {"kind": "statusUpdate", "state": "completed"})
    pieces = [one for one in updates if one["kind"] == "artifactUpdate"]
    assert [(one["words"], one["append"], one["last"]) for one in pieces] == [
        (["one "], False, False),
        (["two "], True, False),
        (["three"], True, True),
    ]
    begun, again = did["resubscribe"]["first"], did["resubscribe"]["again"]
    assert again[0]["kind"] == "task"
    assert again[-1] == begun[-1] == {"kind": "statusUpdate", "state": "completed"}


def test_refusals_are_the_clients_own(did: dict[str, dict[str, Any]]) -> None:
    assert did["get unknown"]["error"] == "TaskNotFoundError"
    assert did["cancel again"]["error"] == "TaskNotCancelableError"
