"""wire/a2a_v03, a2a_v03_rest, a2a_early, sessions: what older dialects say, in 1.0's shapes and back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import InvalidParams, Problem, TaskNotFound
from a2a_cloud.model.task import Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from a2a_cloud.wire import (
    a2a_early,
    a2a_early_client,
    a2a_render,
    a2a_v03,
    a2a_v03_client,
    a2a_v03_rest,
    a2a_v03_rest_client,
    sessions,
)
from a2a_cloud.wire.a2a_v1 import SendMessageParams, convert_params
from a2a_cloud.wire.members import Members

MESSAGE = {"messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hi"}]}


def plain(value: Any) -> Any:
    """As it is on the wire."""
    return msgspec.json.decode(msgspec.json.encode(value))


def send(**configuration: Any) -> SendMessageParams:
    return a2a_v03.read_send(Members({"message": MESSAGE, "configuration": configuration}))


# --- 0.3 over JSON-RPC --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocking", "at_once"), [(None, False), (True, False), (False, True)], ids=["absent", "true", "false"]
)
def test_an_answer_waits_unless_blocking_is_false(blocking: bool | None, at_once: bool) -> None:
    assert send(blocking=blocking).configuration.return_immediately is at_once
    assert not a2a_v03.read_send(Members({"message": MESSAGE})).configuration.return_immediately


def test_a_history_length_of_zero_sets_no_limit() -> None:
    assert send(historyLength=0).configuration.history_length is UNSET
    assert send(historyLength=3).configuration.history_length == 3


def test_names_may_be_in_snake_case_and_null_is_absent() -> None:
    given = {**MESSAGE, "messageId": None, "message_id": "snake", "contextId": None, "task_id": "t"}
    message = a2a_v03.read_message(Members(given))
    assert (message.message_id, message.context_id, message.task_id) == ("snake", UNSET, "t")


@pytest.mark.parametrize(
    "part",
    [
        {"kind": "video", "video": "x"},
        {"kind": "text"},
        {"kind": "text", "text": 5},
        {"kind": "data"},
        {"kind": "file", "file": {}},
        {"kind": "file", "file": {"bytes": "eA==", "uri": "https://x"}},
        {"kind": "file", "file": "x"},
        {"kind": "text", "text": "x", "metadata": [1]},
        {},
        "text",
        None,
    ],
    ids=str,
)
def test_parts_of_no_kind_are_refused(part: Any) -> None:
    with pytest.raises(InvalidParams) as refused:
        a2a_v03.read_send(Members({"message": {**MESSAGE, "parts": [part]}}))
    assert refused.value.info["field"].startswith("message.parts[0]")


def test_a_push_config_goes_both_ways() -> None:
    inner = {
        "id": "p",
        "url": "https://x/y",
        "token": "t",
        "authentication": {"schemes": ["Bearer", "Basic"], "credentials": "c"},
    }
    config = a2a_v03.read_push(Members(inner), "task_1")
    assert (config.id, config.task_id, config.token) == ("p", "task_1", "t")
    inner["authentication"] = {"schemes": ["Bearer"], "credentials": "c"}
    assert plain(a2a_v03.push(config)) == {"taskId": "task_1", "pushNotificationConfig": inner}
    rest = plain(a2a_v03_rest.push(config))
    assert rest["name"] == "tasks/task_1/pushNotificationConfigs/p"
    for body in (rest, {"config": rest, "configId": "p", "parent": "tasks/x"}, inner):
        assert a2a_v03_rest.read_push(Members(body), "task_1") == config


# --- round trips --------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
some = texts.filter(bool)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(some.filter(lambda name: name != a2a_v03.SCALAR), values, min_size=1, max_size=3)


def absent_or(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | strategy


def raw(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Raw]:
    return strategy.map(lambda value: Raw(msgspec.json.encode(value)))


named = {"filename": absent_or(some), "media_type": absent_or(some), "metadata": absent_or(raw(tables))}
parts = st.one_of(
    st.builds(Part, text=texts, metadata=absent_or(raw(tables))),
    st.builds(Part, data=raw(values), metadata=absent_or(raw(tables))),
    st.builds(Part, raw=st.binary(max_size=9).map(lambda body: base64.b64encode(body).decode()), **named),
    st.builds(Part, url=some, **named),
)
lists = st.lists(some, min_size=1, max_size=3)
messages = st.builds(
    Message,
    message_id=some,
    role=st.sampled_from(Role),
    parts=st.lists(parts, max_size=3),
    context_id=absent_or(some),
    task_id=absent_or(some),
    metadata=absent_or(raw(tables)),
    extensions=absent_or(lists),
    reference_task_ids=absent_or(lists),
)
artifacts = st.builds(
    Artifact,
    artifact_id=some,
    parts=st.lists(parts, max_size=3),
    name=absent_or(some),
    description=absent_or(some),
    metadata=absent_or(raw(tables)),
    extensions=absent_or(lists),
)
tasks = st.builds(
    Task,
    id=some,
    context_id=some,
    status=st.builds(
        TaskStatus,
        state=st.sampled_from(TaskState),
        timestamp=absent_or(st.just("2026-01-31T12:00:00.000Z")),
        message=absent_or(messages),
    ),
    artifacts=absent_or(st.lists(artifacts, min_size=1, max_size=3)),
    history=absent_or(st.lists(messages, min_size=1, max_size=3)),
    metadata=absent_or(st.dictionaries(some, texts, min_size=1, max_size=2)),
)


def said(task: Task) -> Any:
    """A task's JSON, without what a reader of 0.3 can't tell from absence."""
    return plain(task)


@given(tasks)
def test_a_task_says_in_0_3_what_it_says_in_1_0(task: Task) -> None:
    assert a2a_v03_client.task_from_v03(plain(a2a_v03.task(task))) == said(task)


@given(messages)
def test_a_message_that_1_0_says_in_0_3_is_read_as_it_was(message: Message) -> None:
    for side in (a2a_v03.message(message), a2a_v03_client.message_to_v03(plain(message))):
        assert plain(a2a_v03.read_message(Members(plain(side)))) == plain(message)


@given(messages, st.booleans(), absent_or(lists), absent_or(st.integers(1, 50)), absent_or(raw(tables)))
def test_a_call_survives_the_way_through_0_3(
    message: Message, at_once: bool, modes: Any, length: Any, metadata: Any
) -> None:
    configuration: dict[str, Any] = {"returnImmediately": at_once}
    if modes is not UNSET:
        configuration["acceptedOutputModes"] = modes
    if length is not UNSET:
        configuration["historyLength"] = length
    params: dict[str, Any] = {"message": plain(message), "configuration": configuration}
    if metadata is not UNSET:
        params["metadata"] = plain(metadata)
    found = a2a_v03_client.call("SendMessage", params)
    assert found is not None
    assert plain(a2a_v03.read_send(Members(found[1]))) == plain(convert_params(params, SendMessageParams))


@given(tasks)
def test_the_proto_of_0_3_says_the_same(task: Task) -> None:
    """But for what its Message has no member for."""
    got = a2a_v03_rest_client.result("GetTask", plain(a2a_v03_rest.task(task)))
    wanted = said(task)
    for message in [*wanted.get("history", []), wanted["status"].get("message", {})]:
        message.pop("referenceTaskIds", None)
    assert got == wanted


def test_states_have_the_names_that_their_time_gave_them() -> None:
    for state in TaskState:
        assert a2a_v03.state(state) == state.short
        assert a2a_v03_client.state_from_v03(state.short) == state.value
    assert a2a_v03_rest.state(TaskState.CANCELED) == "TASK_STATE_CANCELLED"
    assert [a2a_early.state(state) for state in (TaskState.REJECTED, TaskState.AUTH_REQUIRED)] == [
        "failed",
        "input-required",
    ]


def test_unknown_is_rendered_for_what_nobody_here_says() -> None:
    assert a2a_v03.state("TASK_STATE_UNSPECIFIED") == a2a_early.state("what") == "unknown"
    assert a2a_v03_client.state_from_v03("unknown") == a2a_v03_client.UNSPECIFIED


def test_text_with_a_file_name_is_a_file() -> None:
    part = Part(text="a,b", filename="t.csv", media_type="text/csv")
    assert plain(a2a_v03.part(part)) == {
        "kind": "file",
        "file": {"bytes": "YSxi", "mimeType": "text/csv", "name": "t.csv"},
    }


def test_base64_leaves_in_the_alphabet_that_everybody_reads() -> None:
    assert a2a_v03.part(Part(raw="-_8"))["file"]["bytes"] == "+/8="


# --- 0.3 over HTTP+JSON -------------------------------------------------------------------------------

BODY = {"message": {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "hi"}]}}


@pytest.mark.parametrize(
    ("configuration", "at_once"),
    [(None, False), ({}, True), ({"blocking": True}, False), ({"blocking": False}, True)],
    ids=["none", "empty", "true", "false"],
)
def test_absent_is_false_in_protojson(configuration: Any, at_once: bool) -> None:
    read = a2a_v03_rest.read_send(Members({**BODY, "configuration": configuration}))
    assert read.configuration.return_immediately is at_once


def test_a_body_in_the_words_of_the_other_binding_is_understood() -> None:
    read = a2a_v03_rest.read_send(Members({"message": MESSAGE, "configuration": {}}))
    assert read.message.parts[0].text == "hi"
    assert not read.configuration.return_immediately


def test_the_names_of_the_proto_itself_are_understood() -> None:
    """As the official 1.x client writes them when it speaks 0.3."""
    body = {
        "request": {
            "message_id": "m",
            "role": "ROLE_USER",
            "context_id": "c",
            "content": [{"file": {"file_with_uri": "https://x/y", "mime_type": "text/plain"}}],
        },
        "configuration": {"accepted_output_modes": ["text/plain"], "push_notification": {"url": "https://z"}},
    }
    read = a2a_v03_rest.read_send(Members(body))
    assert (read.message.context_id, read.message.parts[0].url) == ("c", "https://x/y")
    assert read.configuration.accepted_output_modes == ["text/plain"]
    assert read.configuration.task_push_notification_config.url == "https://z"  # type: ignore[union-attr]


def b64(body: bytes, layers: int = 1) -> str:
    for _ in range(layers):
        body = base64.b64encode(body)
    return body.decode()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"test", "text/plain"),
        (b"test", ""),
        (b"true", "application/json"),
        (b"word", "text/plain; charset=utf-8"),
        (b"%PDF-1.7 \x00\xff", "application/pdf"),
        (bytes(range(256)), "application/octet-stream"),
        ("größer".encode(), "text/plain"),
        (b"", "text/plain"),
    ],
    ids=str,
)
def test_bytes_are_read_whether_their_base64_was_encoded_again(
    body: bytes, media_type: str, layers: int
) -> None:
    if not body and layers == 1:
        return  # Nothing at all is no file.
    file = Members({"fileWithBytes": b64(body, layers)}, "file")
    text = b64(body, layers)
    if text:
        assert base64.b64decode(a2a_v03_rest.one_layer(text, media_type, file)) == body


def test_what_is_no_base64_is_refused() -> None:
    with pytest.raises(InvalidParams, match="base64"):
        a2a_v03_rest.one_layer("a!b", "", Members({}, "file"))


def test_an_error_names_its_type_and_code() -> None:
    told = plain(msgspec.json.decode(a2a_v03_rest.error(TaskNotFound("No.", remedy="Look."))))
    assert (told["type"], told["code"], told["message"]) == ("TaskNotFoundError", -32001, "No. Look.")
    assert told["data"]["reason"] == "TASK_NOT_FOUND"


# --- early --------------------------------------------------------------------------------------------

EARLY = {"id": "mine", "message": {"role": "user", "parts": [{"type": "text", "text": "hi"}]}}


def test_a_session_is_the_context_and_a_name_is_no_id() -> None:
    sent = a2a_early.read_send(Members({**EARLY, "sessionId": "s", "historyLength": 2}))
    assert (sent.name, sent.params.message.context_id, sent.params.message.task_id) == ("mine", "s", UNSET)
    assert sent.params.message.message_id == ""
    assert sent.params.configuration.history_length == 2
    assert a2a_early.read_send(Members(EARLY)).params.configuration.history_length == 0


def test_a_file_may_be_called_data() -> None:
    part = {"type": "file", "file": {"mimeType": "a/b", "data": "eA=="}}
    sent = a2a_early.read_send(Members({"id": "x", "message": {"role": "user", "parts": [part]}}))
    assert (sent.params.message.parts[0].raw, sent.params.message.parts[0].media_type) == ("eA==", "a/b")


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", 5, None], ids=repr)
def test_a_name_is_printable_and_short(name: Any) -> None:
    with pytest.raises(InvalidParams):
        a2a_early.read_send(Members({**EARLY, "id": name}))


def test_an_early_stream_begins_with_a_status_and_numbers_its_artifacts() -> None:
    def made(name: str, **more: Any) -> a2a_render.StreamResponse:
        update = a2a_render.ArtifactUpdate("task_1", "c", Artifact(name, [Part(text="x")]), **more)
        return a2a_render.StreamResponse(artifact_update=update)

    telling = a2a_early.Telling("mine")
    task = Task("task_1", "c", TaskStatus(TaskState.WORKING), artifacts=[Artifact("a", [Part(text="1")])])
    status, artifact = telling.first(task)
    assert plain(status) == {"id": "mine", "status": {"state": "working"}, "final": False}
    assert artifact["artifact"]["index"] == 0
    told = [plain(telling.shown(shape, False)) for shape in (made("b"), made("a"), made("b", append=True))]
    assert [one["artifact"]["index"] for one in told] == [1, 0, 1]
    assert [one["artifact"]["append"] for one in told] == [False, False, True]


@given(messages, st.integers(0, 9))
def test_a_call_survives_the_way_through_early_words(message: Message, length: int) -> None:
    """But for what there was no member for then."""
    message.task_id = "mine"
    params = {"message": plain(message), "configuration": {"historyLength": length}}
    found = a2a_early_client.call("SendMessage", params)
    assert found is not None
    sent = a2a_early.read_send(Members(found[1]))
    got, wanted = plain(sent.params.message), plain(message)
    assert sent.name == wanted.pop("taskId")
    assert sent.params.configuration.history_length == length
    for lost in ("extensions", "referenceTaskIds"):
        wanted.pop(lost, None)
    # The client keeps the message's id in the metadata, where it had no place of its own.
    wanted["metadata"] = {**wanted.get("metadata", {}), "messageId": wanted["messageId"]}
    assert got == wanted


# --- sessions -----------------------------------------------------------------------------------------


def test_content_is_text_or_the_one_value() -> None:
    telling = sessions.Telling("ctx_1", "desk", "me@default")
    for parts, content in (([Part(text="a"), Part(text="b")], "a\nb"), ([Part(data=Raw(b"[1]"))], [1])):
        told = plain(telling.message(Message("m", Role.AGENT, parts)))
        assert (told["content"], told["attachments"]) == (content, [])
        assert (told["sender"], told["receiver"]) == ("desk", "me@default")
    mixed = [Part(text="a"), Part(data=Raw(b"{}")), Part(raw="eA==", filename="x", media_type="a/b")]
    told = plain(telling.message(Message("m", Role.AGENT, mixed)))
    assert told["content"] == "a"
    assert told["attachments"] == [
        {"media_type": "application/json", "data": {}},
        {"name": "x", "media_type": "a/b", "content": "eA=="},
    ]


@pytest.mark.parametrize("said", ["x", 5, {"sender": 5}, None, [1]], ids=repr)
def test_what_another_dialect_put_in_the_senders_place_does_no_harm(said: Any) -> None:
    metadata = Raw(msgspec.json.encode({sessions.SAID: said, "mine": 1}))
    told = sessions.Telling("c", "desk", "me").message(Message("m", Role.USER, [], metadata=metadata))
    assert (told["sender"], told["metadata"]) == ("me", {"mine": 1})


# --- anything -----------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = [
    *(
        "message",
        "request",
        "configuration",
        "id",
        "parts",
        "content",
        "kind",
        "type",
        "text",
        "data",
        "file",
    ),
    *(
        "bytes",
        "uri",
        "fileWithBytes",
        "metadata",
        "role",
        "messageId",
        "sessionId",
        "pushNotificationConfig",
    ),
    *("authentication", "schemes", "url", "taskId", "historyLength", "blocking", "attachments", "sender"),
]
shaped = st.recursive(
    json_values | st.sampled_from(["user", "ROLE_USER", "text", "file", "data", "dGVzdA==", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6),
    max_leaves=20,
)
READERS: dict[str, Callable[[Members], Any]] = {
    "v03-send": a2a_v03.read_send,
    "v03-query": a2a_v03.read_query,
    "v03-id": a2a_v03.read_id,
    "v03-push": a2a_v03.read_push,
    "rest-send": a2a_v03_rest.read_send,
    "rest-push": lambda given: a2a_v03_rest.read_push(given, "t"),
    "early-send": a2a_early.read_send,
    "session": lambda given: sessions.read_message(given, "m", "c", ("desk",)),
}


@pytest.mark.parametrize("reader", READERS)
@given(value=shaped)
def test_readers_raise_nothing_but_problems(reader: str, value: Any) -> None:
    try:
        found = READERS[reader](Members(value))
    except Problem:
        return
    msgspec.json.encode(found)
