"""MCP without sessions (2026-07-28), spoken by hand: headers, input requests, request states, the tasks
extension, listening, and what is refused."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from mcp_speaker import MODERN, TASKS, Speaker, hang_up, text_of, until_result

from running import Running

FORM = {"elicitation": {}}
WITH_TASKS = {"elicitation": {}, "extensions": {TASKS: {}}}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    hang_up()


@pytest.fixture
def speaker(toolkit: Running) -> Speaker:
    """A client that can ask its user."""
    return Speaker(toolkit.agent("toolkit") + "/mcp", toolkit.key, dict(FORM))


@pytest.fixture
def tasker(toolkit: Running) -> Speaker:
    """A client that knows tasks too."""
    return Speaker(toolkit.agent("toolkit") + "/mcp", toolkit.key, dict(WITH_TASKS))


def key_of(running: Running, name: str) -> str:
    """A key of another principal."""
    body = {"principal": name}
    return httpx.post(running.url + "/api/v1/keys", json=body, headers=running.auth).json()["key"]


def accepted(answer: Any) -> dict[str, Any]:
    """What a user fills in."""
    return {"action": "accept", "content": {"answer": answer}}


# --- discovery and headers --------------------------------------------------------------------------------


def test_discovery_says_what_is_served(speaker: Speaker) -> None:
    found = speaker.ask("server/discover")
    assert found["resultType"] == "complete"
    assert found["supportedVersions"][:2] == [MODERN, "2025-11-25"]
    assert TASKS in found["capabilities"]["extensions"]
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "toolkit"
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == "2.1.0"


@pytest.mark.parametrize(
    "method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
)
def test_lists_say_how_long_they_are_good(speaker: Speaker, method: str) -> None:
    found = speaker.ask(method)
    assert found["cacheScope"] == "private"
    assert isinstance(found["ttlMs"], int)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Mcp-Method": "tools/list"}, -32020),
        ({"Mcp-Method": ""}, -32020),
        ({"Mcp-Name": "other"}, -32020),
        ({"Mcp-Name": ""}, -32020),
        ({"Mcp-Name": "=?base64?!!?="}, -32020),
        ({"MCP-Protocol-Version": "2025-11-25"}, -32600),
        ({"MCP-Protocol-Version": ""}, -32020),
        ({"MCP-Protocol-Version": "2030-01-01"}, -32020),
        ({"Mcp-Name": "=?base64?" + base64.b64encode(b"echo").decode() + "?="}, 0),
    ],
    ids=str,
)
def test_headers_say_what_the_body_says(speaker: Speaker, headers: dict[str, str], code: int) -> None:
    answer = speaker.post("tools/call", {"name": "echo", "arguments": {"text": "x"}}, **headers)
    if code:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"Mcp-Param-Region": "us-west1"}, True),
        ({"mcp-param-region": "=?base64?" + base64.b64encode(b"us-west1").decode() + "?="}, True),
        ({}, False),
        ({"Mcp-Param-Region": "eu"}, False),
        ({"Mcp-Param-Region": "us-west1", "Mcp-Param-Other": "x"}, True),
    ],
    ids=str,
)
def test_a_parameter_is_repeated_in_its_header(speaker: Speaker, headers: dict[str, str], good: bool) -> None:
    answer = speaker.post("tools/call", {"name": "query", "arguments": {"region": "us-west1"}}, **headers)
    assert (answer.status_code == 200) is good
    if not good:
        assert answer.json()["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({"io.modelcontextprotocol/protocolVersion": 7}, -32602),
        ({"io.modelcontextprotocol/protocolVersion": "1900-01-01"}, -32020),
        ({"io.modelcontextprotocol/clientCapabilities": 7}, -32602),
        ({"io.modelcontextprotocol/logLevel": "loud"}, -32602),
    ],
    ids=str,
)
def test_what_meta_says_has_to_be_readable(speaker: Speaker, meta: dict[str, Any], code: int) -> None:
    status, fault = speaker.fault("tools/list", {}, meta)
    assert (status, fault["code"]) == (400, code)


def test_a_revision_that_is_not_served_names_those_that_are(speaker: Speaker) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2030-01-01"}
    status, fault = speaker.fault("tools/list", {}, meta, **{"MCP-Protocol-Version": "2030-01-01"})
    assert (status, fault["code"]) == (400, -32022)
    assert fault["data"]["requested"] == "2030-01-01"
    assert MODERN in fault["data"]["supported"]


@pytest.mark.parametrize(
    "method", ["initialize", "ping", "logging/setLevel", "tasks/list", "tasks/result", "gone"]
)
def test_methods_of_other_revisions_are_not_there(tasker: Speaker, method: str) -> None:
    status, fault = tasker.fault(method)
    assert (status, fault["code"]) == (404, -32601)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_is_nothing_but_post(speaker: Speaker, method: str) -> None:
    answer = speaker.http.request(method, speaker.url, headers=speaker.headers())
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_a_notification_is_taken_and_an_answer_is_not(speaker: Speaker) -> None:
    assert speaker.tell({"method": "notifications/cancelled", "params": {"requestId": 1}}).status_code == 202
    assert speaker.tell({"id": 1, "result": {}}).status_code == 400


# --- input requests ---------------------------------------------------------------------------------------


def test_a_question_is_answered_by_a_retry(speaker: Speaker) -> None:
    first = speaker.call("ask_twice")
    assert first["resultType"] == "input_required"
    [(name, request)] = first["inputRequests"].items()
    assert request["params"]["message"] == "How many?"
    # Nothing, nonsense and what doesn't fit is asked again.
    for responses in ({}, {"other": accepted(1)}, {name: 7}, {name: accepted(0)}, {name: accepted("x")}):
        again = speaker.call("ask_twice", inputResponses=responses, requestState=first["requestState"])
        assert again["inputRequests"] == first["inputRequests"]
    second = speaker.call("ask_twice", inputResponses={name: accepted(5)}, requestState=first["requestState"])
    [(other, request)] = second["inputRequests"].items()
    assert request["params"]["message"] == "Which colour?"
    assert other != name
    assert second["requestState"] != first["requestState"]
    # The first answer once more leads to the second question: it is not taken for its answer.
    stale = speaker.call("ask_twice", inputResponses={name: accepted(6)}, requestState=first["requestState"])
    assert stale["inputRequests"] == second["inputRequests"]
    last = {"inputResponses": {other: accepted("red")}, "requestState": second["requestState"]}
    assert text_of(speaker.call("ask_twice", **last)) == "5 red"
    assert text_of(speaker.call("ask_twice", **last)) == "5 red", "a retry of the retry finds the same run"


@pytest.mark.parametrize("change", ["tail", "body", "tool", "arguments", "caller", "agent", "garbage"])
def test_a_request_state_is_good_for_its_request_and_caller(
    toolkit: Running, speaker: Speaker, change: str
) -> None:
    first = speaker.call("ask_name")
    state = first["requestState"]
    [name] = first["inputRequests"]
    call: dict[str, Any] = {"name": "ask_name", "arguments": {}}
    match change:
        case "tail":
            state = state[:-2] + "AA"
        case "body":
            state = "e30" + state[3:]
        case "tool":
            call["name"] = "ask_form"
        case "arguments":
            call["arguments"] = {"more": 1}
        case "caller":
            speaker = Speaker(speaker.url, key_of(toolkit, "other"), dict(FORM))
        case "agent":
            speaker = Speaker(toolkit.url + "/mcp", speaker.key, dict(FORM))
            call["name"] = "toolkit.ask_name"
        case _:
            state = "x" * 5000
    status, fault = speaker.fault(
        "tools/call", {**call, "inputResponses": {name: accepted("Eve")}, "requestState": state}
    )
    assert (status, fault["code"]) == (400, -32602)
    assert "requestState" in fault["message"]


def test_answers_that_are_sent_along_are_used_when_they_are_asked_for(speaker: Speaker) -> None:
    result = Speaker(speaker.url, speaker.key, {"sampling": {}}).call(
        "think",
        inputResponses={"thought": {"role": "assistant", "content": {"type": "text", "text": "early"}}},
    )
    assert text_of(result) == "early"


def test_what_a_tool_needs_of_the_client_is_said_at_once(speaker: Speaker) -> None:
    status, fault = speaker.fault("tools/call", {"name": "think"})
    assert (status, fault["code"]) == (400, -32021)
    assert fault["data"]["requiredCapabilities"] == {"sampling": {}}


@pytest.mark.parametrize("client", [{}, {"elicitation": {"url": {}}}, {"sampling": {}}], ids=str)
def test_a_client_that_cannot_ask_is_told_how_to_answer(toolkit: Running, client: dict[str, Any]) -> None:
    mute = Speaker(toolkit.agent("toolkit") + "/mcp", toolkit.key, client)
    asked = mute.call("ask_name")
    assert asked["resultType"] == "complete"
    assert asked["isError"]
    task = asked["_meta"]["a2a-cloud/task"]
    assert text_of(mute.call("a2a_answer", {"task_id": task, "answer": "Ada"})) == "Hello, Ada"


def test_a_declined_question_ends_the_run(speaker: Speaker) -> None:
    first = speaker.call("ask_name")
    [name] = first["inputRequests"]
    retry = {"inputResponses": {name: {"action": "decline"}}, "requestState": first["requestState"]}
    declined = speaker.call("ask_name", **retry)
    assert declined["isError"]
    assert speaker.call("ask_name", **retry)["isError"]


def test_an_approval_by_who_may_not_is_told_and_waits(toolkit: Running) -> None:
    member = Speaker(toolkit.agent("toolkit") + "/mcp", key_of(toolkit, "worker"), dict(FORM))
    first = member.call("want", {"path": "closed/**"})
    [name] = first["inputRequests"]
    retry = {
        "inputResponses": {name: {"action": "accept", "content": {"decision": "approve"}}},
        "requestState": first["requestState"],
    }
    refused = member.call("want", {"path": "closed/**"}, **retry)
    assert refused["isError"]
    approval = refused["_meta"]["a2a-cloud/approval"]
    done = httpx.post(f"{toolkit.url}/api/v1/approvals/{approval}/approve", json={}, headers=toolkit.auth)
    assert done.status_code == 200
    assert text_of(member.call("want", {"path": "closed/**"}, **retry)) == "allowed: closed/**"


# --- streams ----------------------------------------------------------------------------------------------


def test_a_stream_has_no_ids_and_ends_with_what_is_asked(speaker: Speaker) -> None:
    with speaker.stream("tools/call", {"name": "ask_late"}, {"progressToken": "p"}) as messages:
        seen = until_result(messages)
    assert {event.id for event in seen} == {""}
    assert [event.message.get("method") for event in seen] == ["notifications/progress", None]
    asked = seen[-1].message["result"]
    [name] = asked["inputRequests"]
    retry = {
        "name": "ask_late",
        "inputResponses": {name: accepted(True)},
        "requestState": asked["requestState"],
    }
    with speaker.stream("tools/call", {**retry, "arguments": {}}, {"progressToken": "q"}) as messages:
        seen = until_result(messages)
    told = [event.message["params"]["message"] for event in seen if "params" in event.message]
    assert told[-1] == "after"
    assert text_of(seen[-1].message["result"]) == "went on"


def test_log_lines_come_when_the_request_says_so(speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 0.2}}
    with speaker.stream("tools/call", params, {"io.modelcontextprotocol/logLevel": "info"}) as messages:
        seen = until_result(messages)
    lines = [event.message["params"]["data"] for event in seen if "params" in event.message]
    assert lines == [f"line {n}" for n in range(4)]


def test_a_client_that_goes_away_has_canceled_the_call(toolkit: Running, speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 30}}
    with speaker.stream("tools/call", params, {"progressToken": "p"}) as messages:
        next(messages)
    runs = toolkit.url + "/api/v1/runs?agent=toolkit&limit=1"
    while httpx.get(runs, headers=toolkit.auth).json()["runs"][0]["state"] != "canceled":
        pass  # The test's own time limit ends it.


def test_what_takes_long_becomes_a_stream(speaker: Speaker) -> None:
    with speaker.stream("tools/call", {"name": "slow", "arguments": {"seconds": 3.6}}) as messages:
        seen = until_result(messages)
    assert len(seen) == 1, "without a token nothing is reported"
    assert text_of(seen[0].message["result"]) == "0 1 2 3 "


def test_without_streams_an_answer_is_waited_for(speaker: Speaker) -> None:
    params = {"name": "slow", "arguments": {"seconds": 3.6}}
    answer = speaker.post("tools/call", params, {"progressToken": "p"}, Accept="application/json")
    assert answer.headers["content-type"] == "application/json"
    assert text_of(answer.json()["result"]) == "0 1 2 3 "


# --- the tasks extension ----------------------------------------------------------------------------------


def test_a_task_and_its_result(tasker: Speaker) -> None:
    made = tasker.call("job")
    assert made["resultType"] == "task"
    assert made["ttlMs"] is None
    while (shown := tasker.ask("tasks/get", {"taskId": made["taskId"]}))["status"] == "working":
        pass
    assert shown["status"] == "completed"
    assert shown["resultType"] == "complete"
    assert text_of(shown["result"]) == "job done"
    assert tasker.ask("tasks/cancel", {"taskId": made["taskId"]})["resultType"] == "complete"


def test_a_tool_that_takes_long_becomes_a_task(tasker: Speaker) -> None:
    made = tasker.call("slow", {"seconds": 4})
    assert made["resultType"] == "task"
    assert made["statusMessage"].startswith("working: step")
    tasker.ask("tasks/cancel", {"taskId": made["taskId"]})
    assert tasker.ask("tasks/get", {"taskId": made["taskId"]})["status"] == "cancelled"


def test_a_failed_run_is_a_completed_task_with_a_result_that_says_so(tasker: Speaker) -> None:
    made = tasker.call("job", {"seconds": "x"})
    assert made["isError"], "what doesn't fit never becomes a task"
    shown = tasker.call("fail")
    assert shown["isError"]
    found = tasker.ask("tasks/get", {"taskId": shown["_meta"]["a2a-cloud/task"]})
    assert (found["status"], found["result"]["isError"]) == ("completed", True)


def test_a_task_that_asks_is_answered_by_update(tasker: Speaker) -> None:
    made = tasker.call("job", {"ask": True})
    while (shown := tasker.ask("tasks/get", {"taskId": made["taskId"]}))["status"] == "working":
        pass
    [name] = shown["inputRequests"]
    assert shown["status"] == "input_required"
    for responses in ({"other": accepted("x")}, {name: 7}):
        tasker.ask("tasks/update", {"taskId": made["taskId"], "inputResponses": responses})
        assert tasker.ask("tasks/get", {"taskId": made["taskId"]})["inputRequests"].keys() == {name}
    tasker.ask("tasks/update", {"taskId": made["taskId"], "inputResponses": {name: accepted("this")}})
    while (shown := tasker.ask("tasks/get", {"taskId": made["taskId"]}))["status"] != "completed":
        pass
    assert text_of(shown["result"]) == "answered this"
    tasker.ask("tasks/update", {"taskId": made["taskId"], "inputResponses": {name: accepted("late")}})


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
def test_tasks_are_for_who_declares_them_and_owns_them(
    toolkit: Running, speaker: Speaker, tasker: Speaker, method: str
) -> None:
    made = tasker.call("job", {"ask": True})
    params = {"taskId": made["taskId"], "inputResponses": {}}
    status, fault = speaker.fault(method, params)
    assert (status, fault["code"]) == (400, -32021)
    assert fault["data"]["requiredCapabilities"] == {"extensions": {TASKS: {}}}
    other = Speaker(tasker.url, key_of(toolkit, f"nosy{method[6:]}"), dict(WITH_TASKS))
    assert other.fault(method, params)[1]["code"] == -32602
    assert tasker.fault(method, {"taskId": "", "inputResponses": {}})[1]["code"] == -32602
    tasker.ask("tasks/cancel", {"taskId": made["taskId"]})


# --- listening --------------------------------------------------------------------------------------------


def test_a_listener_hears_of_its_tasks_and_resources(tasker: Speaker) -> None:
    made = tasker.call("job", {"ask": True})
    task = made["taskId"]
    uri = f"task:///{task}"
    wanted = {
        "toolsListChanged": True,
        "resourceSubscriptions": [uri, "task:///gone"],
        "taskIds": [task, "task_gone"],
    }
    heard: list[dict[str, Any]] = []
    begun = threading.Event()

    def listen() -> None:
        listener = Speaker(tasker.url, tasker.key, dict(WITH_TASKS))
        with listener.stream("subscriptions/listen", {"notifications": wanted}) as messages:
            for event in messages:
                heard.append(event.message)
                begun.set()
                if event.message.get("params", {}).get("status") == "completed":
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(10)
    assert heard[0]["method"] == "notifications/subscriptions/acknowledged"
    assert heard[0]["params"]["notifications"] == {
        "toolsListChanged": True,
        "resourceSubscriptions": [uri],
        "taskIds": [task],
    }
    while (shown := tasker.ask("tasks/get", {"taskId": task}))["status"] != "input_required":
        pass
    [name] = shown["inputRequests"]
    tasker.ask("tasks/update", {"taskId": task, "inputResponses": {name: accepted("x")}})
    thread.join(20)
    methods = {message["method"] for message in heard[1:]}
    assert methods == {"notifications/resources/updated", "notifications/tasks"}
    assert {message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] for message in heard} == {1}
    assert heard[-1]["params"]["result"]["content"][0]["text"] == "answered x"


def test_listening_to_tasks_needs_the_extension(speaker: Speaker) -> None:
    status, fault = speaker.fault("subscriptions/listen", {"notifications": {"taskIds": ["task_x"]}})
    assert (status, fault["code"]) == (400, -32021)


# --- many agents ------------------------------------------------------------------------------------------


def test_the_catalogue_has_all_agents_that_one_sees(toolkit: Running) -> None:
    everything = Speaker(toolkit.url + "/mcp", toolkit.key, dict(FORM))
    names = {tool["name"] for tool in everything.ask("tools/list")["tools"]}
    assert {"toolkit.add", "open.shout"} <= names
    assert text_of(everything.call("open.shout", {"text": "x"})) == "X"
    anybody = Speaker(toolkit.url + "/mcp", client=dict(FORM))
    assert [tool["name"] for tool in anybody.ask("tools/list")["tools"]] == ["open.shout"]
    assert text_of(anybody.call("open.shout", {"text": "x"})) == "X"
    assert anybody.fault("tools/call", {"name": "toolkit.add", "arguments": {"a": 1}})[1]["code"] == -32602
    first = everything.call("toolkit.ask_name")
    [name] = first["inputRequests"]
    again = {"inputResponses": {name: accepted("Ada")}, "requestState": first["requestState"]}
    assert text_of(everything.call("toolkit.ask_name", **again)) == "Hello, Ada"
    made = everything.call("toolkit.make")["content"][1]["resource"]["uri"]
    assert everything.ask("resources/read", {"uri": made})["contents"][0]["text"] == "# Note"
    assert everything.ask("prompts/get", {"name": "toolkit.add-1"})["messages"][0]["role"] == "user"


def test_the_catalogue_is_searched(toolkit: Running) -> None:
    everything = Speaker(toolkit.url + "/mcp", toolkit.key, dict(FORM))
    found = everything.call("a2a_search", {"query": "measure files", "limit": 3})
    assert found["structuredContent"]["tools"][0]["name"] == "toolkit.measure"
    assert json.loads(text_of(found)) == found["structuredContent"]
    called = everything.call("a2a_call", {"name": "toolkit.echo", "arguments": {"text": "hi"}})
    assert text_of(called) == "hi"
    for wrong in ({}, {"name": "a2a_call"}, {"name": "gone"}):
        assert everything.fault("tools/call", {"name": "a2a_call", "arguments": wrong})[1]["code"] == -32602


def test_a_private_agent_asks_for_a_key(toolkit: Running) -> None:
    status, fault = Speaker(toolkit.agent("toolkit") + "/mcp").fault("tools/list")
    assert (status, fault["data"]["code"]) == (401, "unauthenticated")
