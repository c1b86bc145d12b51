"""surface/a2a/older_framing.py: `final` is true on what ends the stream, and on nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct, field

from a2a_cloud.model.run import AnswerEvent, StatusEvent, TextEvent
from a2a_cloud.model.task import Message, Part, Role, Task, TaskState, TaskStatus
from a2a_cloud.surface.a2a.older_framing import EarlyFraming, OlderFraming, V03Framing, V03RestFraming


class Event(Struct):
    """A delivered event."""

    seq: int
    event: Any
    closes: bool = False
    ordinal: int = 1
    task_id: str = "task_1"
    context_id: str = "ctx_1"
    run_id: str = "run_1"
    receipt_id: str = ""
    cache: dict[str, bytes] = field(default_factory=dict)


class Links:
    base = "http://here"

    def part(self, run_id: str, seq: int, index: int) -> str:
        return f"{run_id}/{seq}/{index}"

    def artifact(self, run_id: str, artifact_id: str, index: int) -> str:
        return f"{run_id}/{artifact_id}/{index}"


SAID = Message("m", Role.AGENT, [Part(text="Which?")])


def status(state: TaskState, seq: int, closes: bool = False) -> Event:
    message = SAID if state is TaskState.INPUT_REQUIRED else None
    return Event(seq, StatusEvent(state=state, at=1.0, message=message), closes)


def text(seq: int) -> Event:
    return Event(seq, TextEvent(delta="x"))


def answered(seq: int) -> Event:
    return Event(seq, AnswerEvent(effect=1, value=b"1", message=SAID, by="me", at=1.0))  # type: ignore[arg-type]


def told(body: bytes) -> list[tuple[str, bool | None]]:
    """(id, final) of each event in `body`; None for one that has no such member."""
    found: list[tuple[str, bool | None]] = []
    for block in body.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        data = json.loads(lines["data"])
        data = data.get("result", data)
        data = data.get("statusUpdate", data)
        known = "status" in data
        found.append((lines.get("id", ""), data.get("final", False) if known else None))
    return found


FRAMINGS = {
    "rpc": lambda: V03Framing(b"1"),
    "rest": V03RestFraming,
    "early": lambda: EarlyFraming(b"1", "mine"),
}
pytestmark = pytest.mark.parametrize("make", FRAMINGS.values(), ids=FRAMINGS)


def feed(framing: OlderFraming, *events: Event) -> list[tuple[str, bool | None]]:
    return told(b"".join(framing.event(one, Links(), False) for one in events))


def test_the_end_of_the_task_is_final(make: Any) -> None:
    framing = make()
    events = status(TaskState.WORKING, 1), text(2), status(TaskState.COMPLETED, 3, closes=True)
    assert feed(framing, *events) == [("1.1", False), ("1.2", None), ("1.3", True)]
    assert framing.end() == b""


def test_a_run_that_ends_while_a_follow_up_waits_is_not(make: Any) -> None:
    assert feed(make(), status(TaskState.COMPLETED, 3)) == [("1.3", False)]


def test_a_question_is_final_when_the_stream_ends_with_it(make: Any) -> None:
    framing = make()
    assert feed(framing, text(1), status(TaskState.INPUT_REQUIRED, 2)) == [("1.1", None)]
    assert told(framing.end()) == [("1.2", True)]
    assert framing.end() == framing.end()  # Where it could not be written it is asked for again.


def test_a_question_that_was_answered_is_not(make: Any) -> None:
    framing = make()
    events = status(TaskState.INPUT_REQUIRED, 1), answered(2), text(3)
    assert feed(framing, *events) == [("1.1", False), ("1.2", False), ("1.3", None)]
    assert framing.end() == b""


def test_two_questions_one_after_the_other(make: Any) -> None:
    framing = make()
    events = status(TaskState.INPUT_REQUIRED, 1), status(TaskState.AUTH_REQUIRED, 2)
    assert feed(framing, *events) == [("1.1", False)]
    assert told(framing.end()) == [("1.2", True)]


def test_what_could_not_be_written_comes_again_whole(make: Any) -> None:
    framing = make()
    question, next_one = status(TaskState.INPUT_REQUIRED, 1), text(2)
    framing.event(question, Links(), False)
    lost = framing.event(next_one, Links(), False)
    assert framing.event(next_one, Links(), False) == lost
    assert told(lost) == [("1.1", False), ("1.2", None)]
    assert told(framing.event(text(3), Links(), False)) == [("1.3", None)]


def test_the_first_event_is_never_final(make: Any) -> None:
    task = Task("task_1", "ctx_1", TaskStatus(TaskState.INPUT_REQUIRED))
    assert all(not final for _, final in told(make().first(task)))


def test_events_are_encoded_once_for_all(make: Any) -> None:
    event: Event = text(1)
    one, other = make(), make()
    assert one.event(event, Links(), True) == other.event(event, Links(), True)
    shared = [name for name in event.cache if name != "id"]
    assert len(shared) == (0 if isinstance(one, EarlyFraming) else 1)
