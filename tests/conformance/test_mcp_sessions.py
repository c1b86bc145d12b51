"""MCP with a handshake (2025-11-25 and before), spoken by hand: sessions, streams that are taken up again,
questions on the stream, tasks, subscriptions, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from mcp_speaker import LATEST, Speaker, hang_up, text_of, until_result

from running import Running


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    hang_up()


@pytest.fixture
def speaker(toolkit: Running) -> Speaker:
    """A session with a client that can ask its user."""
    made = Speaker(toolkit.agent("toolkit") + "/mcp", toolkit.key, {"elicitation": {}})
    made.initialize()
    return made


@pytest.fixture
def mute(toolkit: Running) -> Speaker:
    """A session with a client that can't."""
    made = Speaker(toolkit.agent("toolkit") + "/mcp", toolkit.key)
    made.initialize()
    return made


def key_of(running: Running, name: str) -> str:
    """A key of another principal."""
    body = {"principal": name}
    return httpx.post(running.url + "/api/v1/keys", json=body, headers=running.auth).json()["key"]


# --- sessions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [(LATEST, LATEST), ("2025-06-18", "2025-06-18"), ("2025-03-26", "2025-03-26"), ("1999-01-01", LATEST)],
)
def test_a_revision_is_agreed_on(toolkit: Running, asked: str, given: str) -> None:
    made = Speaker(toolkit.agent("toolkit") + "/mcp", toolkit.key)
    assert made.initialize(asked)["protocolVersion"] == given
    assert made.tell({"method": "notifications/initialized"}).status_code == 202
    assert made.ask("ping") == {}


def test_a_session_that_was_ended_is_gone(speaker: Speaker) -> None:
    assert speaker.http.delete(speaker.url, headers=speaker.headers()).status_code == 204
    status, fault = speaker.fault("tools/list")
    assert (status, fault["data"]["code"]) == (404, "mcp_session_not_found")


@pytest.mark.parametrize("change", ["tail", "none", "other server", "other key"])
def test_a_session_is_good_for_who_began_it(toolkit: Running, speaker: Speaker, change: str) -> None:
    stranger = Speaker(speaker.url, speaker.key, session=speaker.session, version=LATEST)
    match change:
        case "tail":
            stranger.session = speaker.session[:-2] + "xx"
        case "none":
            stranger.session = ""
        case "other server":
            stranger.url = toolkit.agent("open") + "/mcp"
        case _:
            stranger.key = key_of(toolkit, f"stranger{id(stranger)}")
    status, _ = stranger.fault("tools/list")
    assert status == (400 if change == "none" else 404)


def test_an_unknown_revision_in_the_header_is_refused(speaker: Speaker) -> None:
    status, fault = speaker.fault("tools/list", **{"MCP-Protocol-Version": "1900-01-01"})
    assert (status, fault["code"]) == (400, -32022)
    assert "2026-07-28" in fault["data"]["supported"]


# --- what is no message -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, -32700),
        (b"\xff", 400, -32700),
        (b"[]", 400, -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, -32600),
        (b"7", 400, -32600),
        (b"{}", 400, -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"gone"}', 200, -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","_meta":7}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{"cursor":"x"}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}', 200, -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}', 200, -32601),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":"what","result":{}}', 400, -32600),
        (b'{"jsonrpc":"2.0","id":"a2a|x|y|z","result":{}}', 400, -32602),
        (b'{"jsonrpc":"2.0","id":"a2a|task_x|1.2|answer","result":{}}', 400, -32602),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b"[" * 70 + b"]" * 70 + b"}",
            400,
            -32600,
        ),
    ],
    ids=lambda value: value[:60].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_what_is_no_message_is_refused_in_json_rpc(
    speaker: Speaker, body: bytes, status: int, code: int
) -> None:
    headers = speaker.headers() | {"Content-Type": "application/json"}
    answer = speaker.http.post(speaker.url, content=body, headers=headers)
    found = answer.json()
    assert found["jsonrpc"] == "2.0"
    assert found["error"]["code"] == code, found
    if not body.startswith(b'{"jsonrpc":"2.0","id":"'):  # To a wrong answer nothing but the refusal is said.
        assert answer.status_code == status
    assert answer.status_code < 500


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Origin", "http://evil.example.com", 403),
        ("Origin", "null", 403),
        ("Origin", "http://[", 403),
        ("Origin", "http://user@localhost", 403),
        ("Origin", "file://localhost", 403),
        ("Host", "evil.example.com", 400),
        ("Accept", "text/html", 406),
        ("Content-Type", "text/plain", 415),
        ("Authorization", "Bearer wrong", 401),
    ],
)
def test_what_http_itself_refuses(speaker: Speaker, header: str, value: str, status: int) -> None:
    answer = speaker.post("ping", **{header: value})
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("origin", ["own", "http://localhost:9999", "http://toolkit.localhost:1"])
def test_our_own_pages_may_speak(speaker: Speaker, origin: str) -> None:
    own = origin if origin != "own" else speaker.url.split("/agents")[0]
    assert speaker.post("ping", Origin=own).status_code == 200


# --- streams ----------------------------------------------------------------------------------------------


def test_a_stream_that_broke_off_is_taken_up_where_it_was(speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 0.8}}
    seen = []
    with speaker.stream("tools/call", params, {"progressToken": "p"}) as messages:
        for event in messages:
            seen.append(event)
            if event.message.get("params", {}).get("message") == "working: step 1":
                break
    assert seen[0].message == {}, "the first event only has an id"
    with speaker.listen(seen[-1].id) as messages:
        seen += until_result(messages)[1:]  # The first one has an id alone again.
    told = [event.message["params"]["message"] for event in seen if "params" in event.message]
    steps = [f"working: step {n}" for n in range(4)]
    assert [text for text in told if text in steps] == steps
    assert text_of(seen[-1].message["result"]) == "0 1 2 3 "
    assert seen[-1].message["id"] == speaker._last
    assert len({event.id for event in seen}) == len(seen)


def test_an_answer_that_was_missed_is_still_there(speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 0.2}}
    with speaker.stream("tools/call", params, {"progressToken": 1}) as messages:
        first = next(messages)
        seen = until_result(messages)
    for last in (first.id, seen[-2].id, seen[-1].id):
        with speaker.listen(last) as messages:
            assert until_result(messages)[-1].message["result"] == seen[-1].message["result"]


@pytest.mark.parametrize("last", ["x", "1.1", "e30~1.1", "~1.1"])
def test_an_event_id_that_is_none_is_refused(speaker: Speaker, last: str) -> None:
    answer = speaker.http.get(speaker.url, headers=speaker.headers(**{"Last-Event-ID": last}))
    assert answer.json()["error"]["code"] == -32602


def test_another_callers_stream_is_not_taken_up(toolkit: Running, speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 0.2}}
    with speaker.stream("tools/call", params, {"progressToken": 1}) as messages:
        last = next(messages).id
        until_result(messages)
    other = Speaker(speaker.url, key_of(toolkit, "nosy"))
    other.initialize()
    answer = other.http.get(other.url, headers=other.headers(**{"Last-Event-ID": last}))
    assert answer.json()["error"]["code"] == -32602


def test_log_lines_come_when_they_are_asked_for(speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 0.2}}
    answer = speaker.post("tools/call", params)
    assert answer.headers["content-type"] == "application/json"
    speaker.ask("logging/setLevel", {"level": "warning"})
    with speaker.stream("tools/call", params) as messages:
        seen = until_result(messages)
    lines = [
        event.message["params"] for event in seen if event.message.get("method") == "notifications/message"
    ]
    assert [(line["level"], line["data"]) for line in lines] == [("warning", "line 1"), ("warning", "line 3")]


def test_a_call_is_taken_back(speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 20}}
    with speaker.stream("tools/call", params, {"progressToken": "p"}) as messages:
        next(messages)
        next(messages)
        told = speaker.tell(
            {"method": "notifications/cancelled", "params": {"requestId": speaker._last, "reason": "enough"}}
        )
        assert told.status_code == 202
        assert not any("result" in event.message for event in messages), "no answer to what was taken back"
    newest = speaker.ask("tasks/list")["tasks"][0]
    assert newest["status"] == "cancelled"


def test_a_call_that_is_waited_for_is_taken_back_too(speaker: Speaker) -> None:
    answers: list[httpx.Response] = []
    waiter = threading.Thread(
        target=lambda: answers.append(
            speaker.post("tools/call", {"name": "slow", "arguments": {"seconds": 2.5}})
        )
    )
    waiter.start()
    while waiter.is_alive():
        speaker.tell({"method": "notifications/cancelled", "params": {"requestId": 1}})
    assert answers[0].json()["result"]["isError"]


# --- questions --------------------------------------------------------------------------------------------


def answering(speaker: Speaker, answer: Callable[[dict[str, Any]], Any]) -> Callable[[Any], dict[str, Any]]:
    """Reads a stream to its end and answers what is asked on it."""

    def read(messages: Any) -> dict[str, Any]:
        for event in messages:
            message = event.message
            if "method" in message and "id" in message:
                speaker.tell({"id": message["id"], "result": answer(message)})
            elif "result" in message or "error" in message:
                return message
        raise AssertionError("no answer came")

    return read


def test_a_question_that_is_answered_wrongly_is_asked_again(speaker: Speaker) -> None:
    asked: list[str] = []

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        asked.append(message["params"]["message"])
        return {
            "action": "accept",
            "content": {"answer": 0 if len(asked) == 1 else "red" if len(asked) > 2 else 5},
        }

    with speaker.stream("tools/call", {"name": "ask_twice"}) as messages:
        found = answering(speaker, answer)(messages)
    assert asked == ["How many?", "How many?", "Which colour?"]
    assert text_of(found["result"]) == "5 red"


@pytest.mark.parametrize("said", [{"action": "decline"}, {"action": "cancel"}])
def test_a_question_that_is_declined_ends_the_run(speaker: Speaker, said: dict[str, Any]) -> None:
    with speaker.stream("tools/call", {"name": "ask_name"}) as messages:
        found = answering(speaker, lambda _: said)(messages)
    assert found["result"]["isError"]
    assert "canceled" in text_of(found["result"])


def test_a_question_is_asked_again_on_a_stream_that_is_taken_up(speaker: Speaker) -> None:
    with speaker.stream("tools/call", {"name": "ask_name"}) as messages:
        first = next(messages)
        question = next(messages)
        assert question.message["method"] == "elicitation/create"
    with speaker.listen(first.id) as messages:
        again = next(event for event in messages if event.message)
        assert again.message == question.message
        said = {"action": "accept", "content": {"answer": "Eve"}}
        assert speaker.tell({"id": again.message["id"], "result": said}).status_code == 202
        assert text_of(until_result(messages)[-1].message["result"]) == "Hello, Eve"
    # A second answer changes nothing, and is no fault.
    assert speaker.tell({"id": again.message["id"], "result": said}).status_code == 202


def test_nobody_else_answers(toolkit: Running, speaker: Speaker) -> None:
    other = Speaker(speaker.url, key_of(toolkit, "helpful"), {"elicitation": {}})
    other.initialize()
    with speaker.stream("tools/call", {"name": "ask_name"}) as messages:
        question = [next(messages), next(messages)][1].message
        said = {"action": "accept", "content": {"answer": "Mallory"}}
        assert "error" in other.tell({"id": question["id"], "result": said}).json()
        said["content"]["answer"] = "Ada"
        speaker.tell({"id": question["id"], "result": said})
        assert text_of(until_result(messages)[-1].message["result"]) == "Hello, Ada"


def test_a_client_that_cannot_ask_is_told_how_to_answer(mute: Speaker) -> None:
    tools = {tool["name"] for tool in mute.ask("tools/list")["tools"]}
    assert "a2a_answer" in tools
    asked = mute.call("ask_name")
    assert asked["isError"]
    task = asked["_meta"]["a2a-cloud/task"]
    assert task in text_of(asked)
    assert asked["_meta"]["a2a-cloud/question"]["text"] == "What is your name?"
    wrong = mute.call("a2a_answer", {"task_id": "task_gone", "answer": "x"})
    assert wrong["isError"]
    assert text_of(mute.call("a2a_answer", {"task_id": task, "answer": "Ada"})) == "Hello, Ada"
    # Asked again, it says what came of it.
    assert text_of(mute.call("a2a_answer", {"task_id": task, "answer": "Eve"})) == "Hello, Ada"


def test_an_approval_is_left_to_those_who_may(toolkit: Running) -> None:
    member = Speaker(toolkit.agent("toolkit") + "/mcp", key_of(toolkit, "member"), {"elicitation": {}})
    member.initialize()
    with member.stream("tools/call", {"name": "want", "arguments": {"path": "closed/**"}}) as messages:
        question = [next(messages), next(messages)][1].message
        assert question["params"]["requestedSchema"]["properties"]["decision"]["enum"] == ["approve", "deny"]
        refused = member.tell(
            {"id": question["id"], "result": {"action": "accept", "content": {"decision": "approve"}}}
        )
        assert refused.status_code == 403, "a member may not approve their own request"
        approval = httpx.get(toolkit.url + "/api/v1/approvals", headers=toolkit.auth).json()["approvals"][0][
            "id"
        ]
        decided = httpx.post(
            f"{toolkit.url}/api/v1/approvals/{approval}/approve", json={}, headers=toolkit.auth
        )
        assert decided.status_code == 200
        assert text_of(until_result(messages)[-1].message["result"]) == "allowed: closed/**"


# --- tasks ------------------------------------------------------------------------------------------------


def test_a_call_as_a_task(speaker: Speaker) -> None:
    made = speaker.call("slow", {"seconds": 0.3}, task={"ttl": 60000})["task"]
    assert made["status"] == "working"
    assert made["ttl"] is None
    known = speaker.ask("tasks/get", {"taskId": made["taskId"]})
    assert known["createdAt"] == made["createdAt"]
    result = speaker.ask("tasks/result", {"taskId": made["taskId"]})
    assert result["_meta"]["io.modelcontextprotocol/related-task"] == {"taskId": made["taskId"]}
    assert not result["isError"]
    assert speaker.ask("tasks/get", {"taskId": made["taskId"]})["status"] == "completed"
    assert made["taskId"] in [task["taskId"] for task in speaker.ask("tasks/list")["tasks"]]
    status, fault = speaker.fault("tasks/cancel", {"taskId": made["taskId"]})
    assert (status, fault["code"]) == (200, -32602)


def test_a_task_that_asks_is_answered_on_its_result(speaker: Speaker) -> None:
    made = speaker.call("ask_name", {}, task={})["task"]
    with speaker.stream("tasks/result", {"taskId": made["taskId"]}) as messages:
        assert speaker.ask("tasks/get", {"taskId": made["taskId"]})["status"] == "input_required"
        found = answering(speaker, lambda _: {"action": "accept", "content": {"answer": "Ada"}})(messages)
    assert text_of(found["result"]) == "Hello, Ada"


def test_a_failed_task_keeps_its_result(speaker: Speaker) -> None:
    made = speaker.call("fail", {}, task={})["task"]
    assert speaker.ask("tasks/result", {"taskId": made["taskId"]})["isError"]
    shown = speaker.ask("tasks/get", {"taskId": made["taskId"]})
    assert (shown["status"], shown["statusMessage"]) == ("failed", "The oven is cold. Light it.")


def test_a_task_is_canceled(speaker: Speaker) -> None:
    made = speaker.call("slow", {"seconds": 30}, task={})["task"]
    assert speaker.ask("tasks/cancel", {"taskId": made["taskId"]})["status"] == "cancelled"


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/cancel"])
def test_somebody_elses_task_does_not_exist(toolkit: Running, speaker: Speaker, method: str) -> None:
    made = speaker.call("ask_name", {}, task={})["task"]
    other = Speaker(speaker.url, key_of(toolkit, f"curious{method[6:]}"))
    other.initialize()
    assert other.fault(method, {"taskId": made["taskId"]})[1]["code"] == -32602
    assert other.fault(method, {"taskId": "task_gone"})[1]["code"] == -32602
    assert other.ask("tasks/list")["tasks"] == []
    speaker.ask("tasks/cancel", {"taskId": made["taskId"]})


# --- resources --------------------------------------------------------------------------------------------


def test_a_subscriber_hears_of_a_task(speaker: Speaker) -> None:
    made = speaker.call("slow", {"seconds": 0.6}, task={})["task"]
    uri = f"task:///{made['taskId']}"
    heard: list[dict[str, Any]] = []
    opened = threading.Event()

    def listen() -> None:
        with speaker.listen() as messages:
            opened.set()
            for event in messages:
                heard.append(event.message)
                if len(heard) == 3:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert opened.wait(10)
    assert speaker.ask("resources/subscribe", {"uri": uri}) == {}
    speaker.ask("tasks/result", {"taskId": made["taskId"]})
    listener.join(20)
    assert heard[0] == {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}
    task = json.loads(speaker.ask("resources/read", {"uri": uri})["contents"][0]["text"])
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert speaker.ask("resources/unsubscribe", {"uri": uri}) == {}


@pytest.mark.parametrize(
    "uri", ["gone://x", "task:///task_gone", "artifact:///run_gone/a", "artifact:///", "", "x" * 5000]
)
def test_a_resource_that_is_not_there(speaker: Speaker, uri: str) -> None:
    for method in ("resources/read", "resources/subscribe"):
        assert speaker.fault(method, {"uri": uri})[1]["code"] == -32002


def test_somebody_elses_artifact_does_not_exist(toolkit: Running, speaker: Speaker) -> None:
    made = speaker.call("make")
    uri = made["content"][1]["resource"]["uri"]
    assert speaker.ask("resources/read", {"uri": uri})["contents"][0]["text"] == "# Note"
    large = next(one for one in made["content"] if one.get("name") == "large.bin")
    assert len(speaker.ask("resources/read", {"uri": large["uri"]})["contents"][0]["blob"]) == 133_336
    other = Speaker(speaker.url, key_of(toolkit, "thief"))
    other.initialize()
    assert other.fault("resources/read", {"uri": uri})[1]["code"] == -32002
    assert other.call("measure", {"document": {"uri": uri}})["isError"]
    listed = other.ask("resources/list")["resources"]
    assert [one["uri"] for one in listed] == ["notes://index"]


def test_files_of_every_form(speaker: Speaker) -> None:
    uri = speaker.call("make")["content"][1]["resource"]["uri"]
    more = [
        "plain",
        {"data": "aGVsbG8=", "mediaType": "text/plain"},
        "data:text/plain,two%20words",
        {"uri": uri},
    ]
    result = speaker.call("measure", {"document": "first", "more": more})
    assert result["structuredContent"]["sizes"] == [5, 5, 5, 9, 6]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (7, "neither an object nor a text"),
        ({}, "one of text, data and uri"),
        ({"text": "a", "data": "b"}, "one of text, data and uri"),
        ({"text": 7}, "is no text"),
        ({"data": "%%%"}, "not base64"),
        ({"data": "AAAA", "mediaType": "image/png"}, "doesn't take"),
        ({"uri": "http://127.0.0.1:1/x"}, ""),
        (None, "needs a file"),
    ],
    ids=["number", "empty", "two", "typed", "base64", "kind", "private address", "null"],
)
def test_a_file_that_cannot_be_one_is_for_the_model_to_read(
    speaker: Speaker, document: Any, words: str
) -> None:
    result = speaker.call("measure", {"document": document})
    assert result["isError"]
    assert words in text_of(result)


# --- keys and grants --------------------------------------------------------------------------------------


def test_a_repeat_under_a_key_attaches_to_the_run(speaker: Speaker) -> None:
    first = speaker.call("echo", {"text": "once"}, {"a2a-cloud/key": "k1"})
    again = speaker.call("echo", {"text": "once"}, {"a2a-cloud/key": "k1"})
    assert first["_meta"]["a2a-cloud/run"] == again["_meta"]["a2a-cloud/run"]
    assert speaker.call("echo", {"text": "once"})["_meta"]["a2a-cloud/run"] != first["_meta"]["a2a-cloud/run"]
    fault = speaker.fault(
        "tools/call", {"name": "echo", "arguments": {"text": "twice"}}, {"a2a-cloud/key": "k1"}
    )[1]
    assert fault["data"]["code"] == "idempotency_conflict"


def test_the_run_says_which_dialect_it_was_called_in(toolkit: Running, speaker: Speaker) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    meta = {"traceparent": trace, "a2a-cloud/grant": {"read": []}}
    run = speaker.call("echo", {"text": "x"}, meta)["_meta"]["a2a-cloud/run"]
    grant = httpx.get(f"{toolkit.url}/api/v1/runs/{run}", headers=toolkit.auth)
    assert grant.status_code == 200
    fault = speaker.fault("tools/call", {"name": "echo"}, {"a2a-cloud/grant": {"reed": []}})[1]
    assert fault["code"] == -32602
