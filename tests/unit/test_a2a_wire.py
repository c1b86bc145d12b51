"""Parameters in and tasks out: wire/a2a_v1.py, wire/a2a_render.py, wire/sse.py."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.run import (
    AnswerEvent,
    ArtifactEvent,
    AttemptEvent,
    ProgressEvent,
    ReplyEvent,
    ResultEvent,
    RunEvent,
    StatusEvent,
    TextEvent,
)
from a2a_cloud.model.task import Artifact, Message, ObjectRef, Part, Role, TaskState
from a2a_cloud.wire import a2a_render, sse
from a2a_cloud.wire.a2a_v1 import (
    ListTasksParams,
    SendMessageParams,
    convert_params,
    decode_params,
    read_timestamp,
    task_state,
)

AT = 1763716992.5


class Run(Struct):
    run_id: str
    ordinal: int
    skill: str
    receipt_id: str
    message: Message
    events: list[tuple[int, RunEvent]]


class View(Struct):
    id: str
    context_id: str
    agent: str
    state: TaskState
    at: float
    runs: list[Run]


class Delivered(Struct):
    event: RunEvent
    seq: int = 1
    closes: bool = False
    receipt_id: str = ""
    task_id: str = "task_1"
    context_id: str = "ctx_1"
    run_id: str = "run_1"
    ordinal: int = 1
    cache: dict[str, bytes] = {}


class Links:
    base = "http://h/agents/a"

    def part(self, run_id: str, seq: int, index: int) -> str:
        return f"{self.base}/runs/{run_id}/parts/{seq}.{index}"

    def artifact(self, run_id: str, artifact_id: str, index: int) -> str:
        return f"{self.base}/runs/{run_id}/artifacts/{artifact_id}?part={index}"


LINKS = Links()
SAID = Message("m1", Role.USER, [Part(text="hello")])
COMPLETED = StatusEvent(state=TaskState.COMPLETED, at=AT)


def message(text: str) -> Message:
    return Message("x", Role.AGENT, [Part(text=text)])


def view(*events: RunEvent, state: TaskState = TaskState.COMPLETED, ordinal: int = 1) -> View:
    run = Run("run_1", ordinal, "s", "rcpt_1", SAID, list(enumerate(events, 1)))
    return View("task_1", "ctx_1", "a", state, AT, [run])


def shown(shape: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(shape))


def render(*events: RunEvent, **kwargs: Any) -> dict[str, Any]:
    state = kwargs.pop("state", TaskState.COMPLETED)
    return shown(a2a_render.task(view(*events, state=state), LINKS, **kwargs))


def stream(event: RunEvent, **kwargs: Any) -> dict[str, Any]:
    body = a2a_render.stream_event(Delivered(event, cache={}, **kwargs), LINKS)
    return msgspec.json.decode(body)


# --- parameters -----------------------------------------------------------------------------------------


def test_the_usual_shape() -> None:
    params = decode_params(
        b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"data":{"a":1}}],"later":true},'
        b'"configuration":{"historyLength":3,"returnImmediately":true,"acceptedOutputModes":["text/plain"]}}',
        SendMessageParams,
    )
    assert params.configuration.history_length == 3
    assert params.configuration.return_immediately
    assert isinstance(params.message.parts[0].data, Raw)


def test_what_protojson_allows_besides() -> None:
    params = decode_params(
        b'{"message":{"message_id":"m","role":1,"parts":[{"data":null,"media_type":"a/b","object":5}],'
        b'"contextId":null,"metadata":{"snake_key":[1]}},'
        b'"configuration":{"historyLength":"3","acceptedOutputModes":null}}',
        SendMessageParams,
    )
    assert params.message.message_id == "m"
    assert params.message.role is Role.USER
    assert params.message.context_id is UNSET
    assert bytes(params.message.metadata) == b'{"snake_key":[1]}'  # type: ignore[arg-type]
    part = params.message.parts[0]
    assert bytes(part.data) == b"null"  # type: ignore[arg-type]
    assert part.media_type == "a/b"
    assert part.object is UNSET
    assert params.configuration.history_length == 3


def test_a_misfit_names_its_field() -> None:
    with pytest.raises(InvalidParams) as caught:
        decode_params(b'{"message":{"messageId":5,"role":"ROLE_USER","parts":[]}}', SendMessageParams)
    assert caught.value.info == {"field": "message.messageId"}


def test_states_in_full_and_short() -> None:
    assert task_state("") is None
    assert task_state("TASK_STATE_INPUT_REQUIRED") is TaskState.INPUT_REQUIRED
    assert task_state("input-required") is TaskState.INPUT_REQUIRED
    assert task_state(convert_params({"status": 2}, ListTasksParams).status) is TaskState.WORKING
    with pytest.raises(InvalidParams):
        task_state("sleeping")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("2025-11-21T09:23:12.500Z", AT),
        ("2025-11-21T10:23:12.5+01:00", AT),
        ("2025-11-21t09:23:12.500000000z", AT),
    ],
)
def test_timestamps_are_read(text: str, seconds: float) -> None:
    assert read_timestamp(text, "x") == seconds


@given(st.text(max_size=40))
def test_other_texts_are_no_timestamps(text: str) -> None:
    with contextlib.suppress(InvalidParams):
        assert isinstance(read_timestamp(text, "x"), float)


# --- tasks ------------------------------------------------------------------------------------------------


def test_a_simple_task() -> None:
    assert render(ResultEvent(value=Raw(b'{"n":1}')), COMPLETED) == {
        "id": "task_1",
        "contextId": "ctx_1",
        "status": {"state": "TASK_STATE_COMPLETED", "timestamp": "2025-11-21T09:23:12.500Z"},
        "artifacts": [
            {
                "artifactId": "result",
                "name": "result",
                "parts": [{"data": {"n": 1}, "mediaType": "application/json"}],
            }
        ],
        "history": [{"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}],
        "metadata": {"a2a-cloud/run": "run_1", "a2a-cloud/receipt": "rcpt_1"},
    }


def test_a_string_is_text_and_null_is_nothing() -> None:
    parts = render(ResultEvent(value=Raw(b'"a\\u00e9"')), COMPLETED)["artifacts"][0]["parts"]
    assert parts == [{"text": "aé", "mediaType": "text/plain"}]
    assert "artifacts" not in render(ResultEvent(value=Raw(b"null")), COMPLETED)


def test_history_length() -> None:
    question = StatusEvent(state=TaskState.INPUT_REQUIRED, at=AT, message=message("Which law?"))
    answer = AnswerEvent(effect=1, value=Raw(b'"X"'), message=message("X"), by="b@o", at=AT)
    events = (question, answer, ResultEvent(value=Raw(b"1")), COMPLETED)
    texts = [m["parts"][0]["text"] for m in render(*events)["history"]]
    assert texts == ["hello", "Which law?", "X"]
    assert "history" not in render(*events, history_length=0)
    assert len(render(*events, history_length=1)["history"]) == 1
    assert "artifacts" not in render(*events, include_artifacts=False)


def test_a_question_is_the_status_message() -> None:
    question = StatusEvent(state=TaskState.INPUT_REQUIRED, at=AT, message=message("Which law?"))
    rendered = render(question, state=TaskState.INPUT_REQUIRED)
    assert rendered["status"]["message"]["parts"] == [{"text": "Which law?"}]
    assert len(rendered["history"]) == 1


def test_a_failure_says_why() -> None:
    failed = StatusEvent(
        state=TaskState.FAILED, at=AT, problem_code="worker_lost", problem_detail="The worker was lost."
    )
    rendered = render(failed, state=TaskState.FAILED)
    assert rendered["status"]["message"]["parts"] == [{"text": "The worker was lost."}]
    assert rendered["metadata"]["a2a-cloud/error"] == "worker_lost"


def test_progress_shows_while_it_works() -> None:
    progress = ProgressEvent(stage="reading", percent=40.0, at=AT)
    rendered = render(progress, state=TaskState.WORKING)
    assert rendered["status"]["message"]["parts"] == [{"text": "reading 40 %"}]
    assert "message" not in render(progress, ResultEvent(value=Raw(b"1")), COMPLETED)["status"]


def test_text_comes_together_and_an_attempt_voids_it() -> None:
    events = (
        TextEvent(delta="lost"),
        ArtifactEvent(artifact=Artifact("a", [Part(text="x")])),
        AttemptEvent(attempt=2, why="retry"),
        TextEvent(delta="Hel"),
        TextEvent(delta="lo", at=3),
    )
    artifacts = render(*events, state=TaskState.WORKING)["artifacts"]
    assert [(a["artifactId"], a["parts"][0]["text"]) for a in artifacts] == [("text", "Hello")]


def test_pieces_of_an_artifact_come_together() -> None:
    def piece(text: str, append: bool) -> ArtifactEvent:
        return ArtifactEvent(
            artifact=Artifact("log", [Part(text=text)], name="log"), append=append, last=False
        )

    artifacts = render(piece("a", False), piece("b", True), state=TaskState.WORKING)["artifacts"]
    assert [part["text"] for part in artifacts[0]["parts"]] == ["a", "b"]
    artifacts = render(piece("a", False), piece("b", False), state=TaskState.WORKING)["artifacts"]
    assert [part["text"] for part in artifacts[0]["parts"]] == ["b"]


def test_objects_leave_as_links() -> None:
    part = Part(object=ObjectRef("ab", 99), media_type="application/pdf", filename="c.pdf")
    rendered = render(ArtifactEvent(artifact=Artifact("a", [part])), COMPLETED)
    assert rendered["artifacts"][0]["parts"] == [
        {
            "url": "http://h/agents/a/runs/run_1/artifacts/a?part=0",
            "mediaType": "application/pdf",
            "filename": "c.pdf",
        }
    ]
    event = stream(ArtifactEvent(artifact=Artifact("a", [part])), seq=4)
    assert event["artifactUpdate"]["artifact"]["parts"][0]["url"].endswith("/runs/run_1/parts/4.0")
    assert b"object" not in msgspec.json.encode(rendered) + msgspec.json.encode(event)


def test_a_second_run_keeps_the_first_ones_artifacts() -> None:
    both = view(ResultEvent(value=Raw(b"1")), COMPLETED)
    second = Run("run_2", 2, "s", "", SAID, [(1, ResultEvent(value=Raw(b"2"))), (2, COMPLETED)])
    both.runs.append(second)
    rendered = shown(a2a_render.task(both, LINKS))
    assert [a["artifactId"] for a in rendered["artifacts"]] == ["result", "result-2"]
    assert rendered["metadata"] == {"a2a-cloud/run": "run_2"}


# --- stream events ----------------------------------------------------------------------------------------


def test_the_last_status_names_the_receipt() -> None:
    event = stream(COMPLETED, closes=True, receipt_id="rcpt_1")["statusUpdate"]
    assert event["status"]["state"] == "TASK_STATE_COMPLETED"
    assert event["metadata"] == {"a2a-cloud/run": "run_1", "a2a-cloud/receipt": "rcpt_1"}
    assert "final" not in event


def test_a_run_that_ends_before_its_task_leaves_it_working() -> None:
    assert stream(COMPLETED, closes=False)["statusUpdate"]["status"]["state"] == "TASK_STATE_WORKING"


def test_text_is_appended_after_its_first_piece() -> None:
    first = a2a_render.stream_event(Delivered(TextEvent(delta="a"), cache={}), LINKS, first_text=True)
    assert b"append" not in first
    assert stream(TextEvent(delta="b"))["artifactUpdate"]["append"] is True
    assert a2a_render.text_begun(view(TextEvent(delta="a"), COMPLETED)) == 1
    assert a2a_render.text_begun(view(TextEvent(delta="a"), AttemptEvent(attempt=2, why="w"))) == 0
    assert a2a_render.text_begun(view(COMPLETED)) == 0


def test_an_event_is_encoded_once() -> None:
    delivered = Delivered(COMPLETED, cache={})
    assert a2a_render.stream_event(delivered, LINKS) is a2a_render.stream_event(delivered, LINKS)


def test_every_visible_event_has_both_dialects() -> None:
    events: list[RunEvent] = [
        COMPLETED,
        ProgressEvent(stage="x", percent=5.0, message="m", at=AT),
        TextEvent(delta="x\ny"),
        ArtifactEvent(artifact=Artifact("a", [Part(text="x")])),
        ResultEvent(value=Raw(b'{"a":\n\r 1}')),
        ReplyEvent(message=message("r")),
        AttemptEvent(attempt=2, why="w"),
        AnswerEvent(effect=1, value=Raw(b'"X"'), message=message("X"), by="b@o", at=AT),
    ]
    for event in events:
        a2a = sse.event(a2a_render.stream_event(Delivered(event, cache={}), LINKS))
        assert a2a.count(b"\n") == 2, a2a
        assert a2a.endswith(b"\n\n")
        plain = sse.plain_event(Delivered(event, seq=7, ordinal=2, cache={}), LINKS)
        lines = plain.split(b"\n")
        assert lines[0] == b"id: 2.7"
        assert lines[1].startswith(b"event: ")
        assert lines[2].startswith(b"data: ")
        assert lines[3:] == [b"", b""]
        assert b"\r" not in plain
        msgspec.json.decode(lines[2][6:])


def test_the_plain_status() -> None:
    asked = Message(
        "q",
        Role.AGENT,
        [Part(text="Law?")],
        metadata=Raw(b'{"a2a-cloud/question":{"schema":{"type":"string"}}}'),
    )
    question = StatusEvent(state=TaskState.INPUT_REQUIRED, at=AT, message=asked)
    body = sse.plain_event(Delivered(question, cache={}), LINKS)
    data = msgspec.json.decode(body.split(b"data: ")[1])
    assert data["state"] == "input-required"
    assert data["question"] == {"text": "Law?", "schema": {"type": "string"}}
    first = sse.plain_first(view(question, state=TaskState.INPUT_REQUIRED), LINKS)
    assert first.startswith(b"event: status\ndata: ")


def test_positions() -> None:
    assert sse.read_position("1.7") == (1, 7)
    for text in ("", "1", "1.", "a.b", "1.7.2", "-1.2", "1.7 ", "٣.1"):
        with pytest.raises(InvalidParams):
            sse.read_position(text)


def test_a_reply_names_its_run() -> None:
    given_metadata = Message("r", Role.AGENT, [Part(text="hi")], metadata=Raw(b'{"k":1}'))
    rendered = shown(a2a_render.reply(given_metadata, LINKS, "run_1", "rcpt_1", "ctx_1"))
    assert rendered["metadata"] == {"k": 1, "a2a-cloud/run": "run_1", "a2a-cloud/receipt": "rcpt_1"}
    assert rendered["contextId"] == "ctx_1"
