"""A2A 0.3, earlier, and sessions against a running platform: what each dialect's caller sees."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_cloud.client.events import SseParser
from running import Running

Json = dict[str, Any]


@pytest.fixture
def http(desk: Running) -> Iterator[httpx.Client]:
    with httpx.Client(headers=desk.auth, timeout=30) as client:
        yield client


@pytest.fixture
def other(desk: Running, http: httpx.Client) -> Iterator[httpx.Client]:
    """Somebody else of the same organisation."""
    made = http.post(f"{desk.url}/api/v1/keys", json={"principal": "other", "role": "member"}).json()
    with httpx.Client(headers={"Authorization": f"Bearer {made['key']}"}, timeout=30) as client:
        yield client


@pytest.fixture
def base(desk: Running) -> str:
    return desk.agent("desk")


def rpc(http: httpx.Client, base: str, method: str, params: Json, **headers: str) -> Json:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = http.post(base, json=body, headers=headers)
    document = answer.json()
    assert document["id"] == 7
    return document


def result(http: httpx.Client, base: str, method: str, params: Json) -> Any:
    document = rpc(http, base, method, params)
    assert "result" in document, document
    return document["result"]


def code(http: httpx.Client, base: str, method: str, params: Json, **headers: str) -> int:
    return rpc(http, base, method, params, **headers)["error"]["code"]


def message(*parts: Json, **more: Any) -> Json:
    return {"kind": "message", "messageId": uuid.uuid4().hex, "role": "user", "parts": list(parts), **more}


def text(words: str) -> Json:
    return {"kind": "text", "text": words}


def data(skill: str, **arguments: Any) -> Json:
    return {"kind": "data", "data": {"skill": skill, "arguments": arguments}}


def events(answer: httpx.Response) -> list[tuple[str, Json]]:
    """(id, data) of an event stream that was read to its end."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    return [(event.id, json.loads(event.data)) for event in SseParser().feed(answer.content)]


def streamed(http: httpx.Client, base: str, method: str, params: Json, **headers: str) -> list[Json]:
    body = {"jsonrpc": "2.0", "id": "s", "method": method, "params": params}
    found = [one for _, one in events(http.post(base, json=body, headers=headers))]
    assert all(one["id"] == "s" for one in found)
    return [one["result"] for one in found]


def finals(stream: list[Json]) -> list[bool]:
    return [event["final"] for event in stream if "final" in event]


# --- which generation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "0.3", "0.3.0", "1.0"])
@pytest.mark.parametrize("where", ["header", "query"])
def test_a_method_tells_its_generation(http: httpx.Client, base: str, version: str, where: str) -> None:
    params = {"message": message(text("hi"))}
    headers = {"A2A-Version": version} if where == "header" else {}
    address = f"{base}?A2A-Version={version}" if where == "query" else base
    assert rpc(http, address, "message/send", params, **headers)["result"]["kind"] == "task"
    assert "tasks" in rpc(http, address, "ListTasks", {}, **headers)["result"]


@pytest.mark.parametrize("version", ["1.2", "0.2", "2.0", "abc", "1", "v1.0"])
def test_a_version_that_is_not_spoken_is_refused(http: httpx.Client, base: str, version: str) -> None:
    headers = {"A2A-Version": version}
    params = {"message": message(text("hi"))}
    for method in ("message/send", "tasks/send", "ListTasks"):
        assert code(http, base, method, params, **headers) == -32009
    for path in ("/v1/tasks/x", "/tasks"):
        answer = http.get(base + path, headers=headers)
        assert (answer.status_code, "not spoken" in answer.text) == (400, True)


def test_a_method_of_no_generation(http: httpx.Client, base: str) -> None:
    error = rpc(http, base, "tasks/list", {})["error"]
    assert error["code"] == -32601
    assert "SendMessage" in error["message"]
    assert "message/send" in error["message"]


def test_every_run_notes_its_dialect(desk: Running, http: httpx.Client, base: str) -> None:
    """The stored call says which, and with it the receipt's hash of the request."""
    import sqlite3

    asked = {
        "a2a-0.3": lambda: result(http, base, "message/send", {"message": message(text("one"))}),
        "a2a-0.2": lambda: early(http, base, "tasks/send", uuid.uuid4().hex, text("two")),
    }
    opened = http.post(base + "/sessions", json={}).headers["location"]
    asked["session"] = lambda: say(http, opened, "three")
    with sqlite3.connect(f"file:{desk.data}/journal.db?mode=ro", uri=True) as database:
        for dialect, ask in asked.items():
            run_id = ask()["metadata"]["a2a-cloud/run"]
            (stored,) = database.execute("SELECT call FROM run WHERE id=?", (run_id,)).fetchone()
            assert json.loads(stored)["dialect"] == dialect
    database.close()


# --- 0.3 over JSON-RPC ------------------------------------------------------------------------------------


def test_a_task_in_the_words_of_0_3(http: httpx.Client, base: str) -> None:
    task = result(http, base, "message/send", {"message": message(data("add", a=2, b=3))})
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    assert task["artifacts"][0]["parts"] == [{"kind": "data", "data": {"sum": 5}}]
    assert task["history"][0]["role"] == "user"
    again = result(http, base, "tasks/get", {"id": task["id"], "historyLength": 1})
    assert again["id"] == task["id"]
    assert code(http, base, "tasks/cancel", {"id": task["id"]}) == -32002
    assert code(http, base, "tasks/get", {"id": "task_none"}) == -32001
    assert code(http, base, "tasks/resubscribe", {"id": task["id"]}) == -32004


def test_an_error_of_0_3_has_an_object_as_its_data(http: httpx.Client, base: str) -> None:
    error = rpc(http, base, "tasks/get", {"id": "task_none"})["error"]
    assert error["data"]["reason"] == "TASK_NOT_FOUND"


def test_an_answer_that_is_a_message(http: httpx.Client, base: str) -> None:
    said = result(http, base, "message/send", {"message": message(data("greet", name="Bo"))})
    assert (said["kind"], said["role"], said["parts"]) == ("message", "agent", [text("Hello Bo")])


def test_a_question_and_its_answer(http: httpx.Client, base: str) -> None:
    task = result(http, base, "message/send", {"message": message(data("advise", topic="x"))})
    assert task["status"]["state"] == "input-required"
    answer = message(text("England"), taskId=task["id"])
    task = result(http, base, "message/send", {"message": answer})
    assert task["artifacts"][0]["parts"] == [text("x under the law of England")]
    assert [said["role"] for said in task["history"]] == ["user", "agent", "user"]


def test_a_retry_finds_its_run_in_every_generation(http: httpx.Client, base: str) -> None:
    said = message(text("once"))
    first = result(http, base, "message/send", {"message": said})
    again = result(http, base, "message/send", {"message": said})
    in_1_0 = {"messageId": said["messageId"], "role": "ROLE_USER", "parts": [{"text": "once"}]}
    later = result(http, base, "SendMessage", {"message": in_1_0})["task"]
    assert first["id"] == again["id"] == later["id"]


def test_a_stream_ends_with_final(http: httpx.Client, base: str) -> None:
    stream = streamed(http, base, "message/stream", {"message": message(data("words", text="a b"))})
    assert [event["kind"] for event in stream] == [
        "task",
        *["artifact-update"] * (len(stream) - 2),
        "status-update",
    ]
    assert finals(stream) == [True]
    stream = streamed(http, base, "message/stream", {"message": message(data("advise", topic="x"))})
    assert (stream[-1]["status"]["state"], finals(stream)) == ("input-required", [True])


def test_a_retried_stream_over_an_answered_question(http: httpx.Client, base: str) -> None:
    said = message(data("advise", topic="x"))
    (first, *_, asked) = streamed(http, base, "message/stream", {"message": said})
    assert asked["final"] is True
    answer = message(text("England"), taskId=first["id"])
    result(http, base, "message/send", {"message": answer})
    again = streamed(http, base, "message/stream", {"message": said})
    states = [(event["status"]["state"], event["final"]) for event in again if "final" in event]
    assert ("input-required", False) in states
    assert (states[-1], sum(final for _, final in states)) == (("completed", True), 1)


def test_not_blocking_and_resubscribing(http: httpx.Client, base: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    params = {
        "message": message(data("hold", gate=str(gate), words=2)),
        "configuration": {"blocking": False, "historyLength": 0},
    }
    task = result(http, base, "message/send", params)
    assert task["status"]["state"] in ("submitted", "working")
    threading.Timer(0.3, gate.touch).start()
    stream = streamed(http, base, "tasks/resubscribe", {"id": task["id"]})
    assert (stream[0]["kind"], stream[0]["id"]) == ("task", task["id"])
    assert finals(stream)[-1] is True
    assert sum(finals(stream)) == 1
    task = result(http, base, "tasks/get", {"id": task["id"]})
    assert task["artifacts"][-1]["parts"] == [text("open")]


def test_a_cut_stream_goes_on_where_it_was(http: httpx.Client, base: str) -> None:
    params = {"message": message(data("words", text="a b c"))}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": params}
    whole = events(http.post(base, json=body))
    task_id = whole[0][1]["result"]["id"]
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/resubscribe", "params": {"id": task_id}}
    rest = events(http.post(base, json=body, headers={"Last-Event-ID": whole[1][0]}))
    assert rest == whole[2:]


def test_somebody_elses_task_does_not_exist(http: httpx.Client, other: httpx.Client, base: str) -> None:
    task = result(http, base, "message/send", {"message": message(data("advise", topic="x"))})
    params = {"id": task["id"]}
    for method in ("tasks/get", "tasks/cancel", "tasks/resubscribe", "tasks/pushNotificationConfig/list"):
        assert code(other, base, method, params) == -32001
    answer = message(text("England"), taskId=task["id"])
    assert code(other, base, "message/send", {"message": answer}) == -32001
    for path in (f"/v1/tasks/{task['id']}", f"/v1/tasks/{task['id']}:subscribe"):
        assert other.get(base + path).status_code == 404


def test_push_configs_of_0_3(http: httpx.Client, base: str) -> None:
    task = result(http, base, "message/send", {"message": message(data("advise", topic="x"))})
    config = {"id": "p1", "url": "https://example.com/hook", "token": "t"}
    given = {"taskId": task["id"], "pushNotificationConfig": config}
    assert result(http, base, "tasks/pushNotificationConfig/set", given) == given
    named = {"id": task["id"], "pushNotificationConfigId": "p1"}
    assert result(http, base, "tasks/pushNotificationConfig/get", named) == given
    assert result(http, base, "tasks/pushNotificationConfig/get", {"id": task["id"]}) == given
    assert result(http, base, "tasks/pushNotificationConfig/list", {"id": task["id"]}) == [given]
    rest = f"{base}/v1/tasks/{task['id']}/pushNotificationConfigs"
    shown = {"name": f"tasks/{task['id']}/pushNotificationConfigs/p1", "pushNotificationConfig": config}
    assert http.get(rest).json() == {"configs": [shown]}
    assert http.get(f"{rest}/p1").json() == shown
    made = http.post(
        rest, json={"configId": "p2", "config": {"pushNotificationConfig": {"url": config["url"]}}}
    )
    assert made.json()["name"].endswith("/p2")
    assert http.delete(f"{rest}/p2").status_code == 200
    assert result(http, base, "tasks/pushNotificationConfig/delete", named) is None
    assert http.get(rest).json() == {"configs": []}


# --- 0.3 over HTTP+JSON -----------------------------------------------------------------------------------


def proto(*parts: Json, **more: Any) -> Json:
    return {"message": {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "content": list(parts), **more}}


def test_the_paths_below_v1(http: httpx.Client, base: str) -> None:
    answer = http.post(
        base + "/v1/message:send", json=proto({"data": {"data": {"a": 1}}}, metadata={"skill": "add"})
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    task = answer.json()["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"][0]["parts"] == [{"data": {"data": {"sum": 1}}}]
    assert http.get(f"{base}/v1/tasks/{task['id']}?historyLength=1").json()["id"] == task["id"]
    answer = http.post(f"{base}/v1/tasks/{task['id']}:cancel", json={"name": f"tasks/{task['id']}"})
    assert (answer.status_code, answer.json()["type"]) == (400, "TaskNotCancelableError")
    answer = http.get(base + "/v1/tasks/none")
    assert (answer.status_code, answer.json()["code"], answer.json()["type"]) == (
        404,
        -32001,
        "TaskNotFoundError",
    )
    assert http.get(base + "/v1/tasks").status_code == 404
    assert http.get(base + "/v1/message:send").status_code == 405
    assert http.get(base + "/v1/card").json()["code"] == -32007


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_streams_below_v1(http: httpx.Client, base: str, tmp_path: Path, method: str) -> None:
    gate = tmp_path / "gate"
    body = proto({"data": {"data": {"skill": "hold", "arguments": {"gate": str(gate)}}}})
    task = http.post(base + "/v1/message:send", json={**body, "configuration": {}}).json()["task"]
    threading.Timer(0.3, gate.touch).start()
    stream = [one for _, one in events(http.request(method, f"{base}/v1/tasks/{task['id']}:subscribe"))]
    assert stream[0]["task"]["id"] == task["id"]
    assert stream[-1]["statusUpdate"]["final"] is True
    assert [one for one in stream[:-1] if one.get("statusUpdate", {}).get("final")] == []
    stream = [one for _, one in events(http.post(base + "/v1/message:stream", json=proto({"text": "hi"})))]
    assert [*stream[0], *stream[-1]] == ["task", "statusUpdate"]


# --- before 0.2 -------------------------------------------------------------------------------------------


def said(*parts: Json) -> Json:
    return {"role": "user", "parts": [{**part, "type": part["kind"]} for part in parts]}


def early(http: httpx.Client, base: str, method: str, name: str, *parts: Json, **more: Any) -> Any:
    return result(http, base, method, {"id": name, "message": said(*parts), **more})


def test_a_task_by_its_callers_name(http: httpx.Client, base: str) -> None:
    name, session = uuid.uuid4().hex, uuid.uuid4().hex
    task = early(http, base, "tasks/send", name, data("add", a=2, b=3), sessionId=session)
    assert (task["id"], task["sessionId"], task["status"]["state"]) == (name, session, "completed")
    assert task["artifacts"] == [
        {"index": 0, "name": "result", "parts": [{"type": "data", "data": {"sum": 5}}]}
    ]
    assert "history" not in task
    shown = result(http, base, "tasks/get", {"id": name, "historyLength": 5})
    assert (shown["id"], [one["role"] for one in shown["history"]]) == (name, ["user"])
    assert "kind" not in json.dumps(shown)
    assert code(http, base, "tasks/cancel", {"id": name}) == -32002
    assert code(http, base, "tasks/resubscribe", {"id": name}) == -32004


def test_the_same_name_again_is_a_follow_up(http: httpx.Client, base: str) -> None:
    name = uuid.uuid4().hex
    task = early(http, base, "tasks/send", name, data("advise", topic="x"))
    assert task["status"]["state"] == "input-required"
    task = early(http, base, "tasks/send", name, text("England"), sessionId=task["sessionId"])
    assert task["status"]["state"] == "completed"
    assert task["artifacts"][0]["parts"] == [{"type": "text", "text": "x under the law of England"}]


def test_after_its_end_the_name_begins_anew_in_its_session(http: httpx.Client, base: str) -> None:
    name = uuid.uuid4().hex
    one = early(http, base, "tasks/send", name, text("one"))
    two = early(http, base, "tasks/send", name, text("two"))
    assert one["sessionId"] == two["sessionId"]
    assert one["metadata"]["a2a-cloud/run"] != two["metadata"]["a2a-cloud/run"]
    assert result(http, base, "tasks/get", {"id": name})["artifacts"][0]["parts"][0]["text"] == "TWO"
    tasks = result(http, base, "ListTasks", {"contextId": one["sessionId"]})["tasks"]
    assert len(tasks) == 2


def test_a_refused_message_takes_no_name_away(http: httpx.Client, base: str) -> None:
    name = f"job-{uuid.uuid4().hex}"
    first = early(http, base, "tasks/send", name, text("one"))
    params = {"id": name, "message": said(data("nothing"))}
    assert code(http, base, "tasks/send", params) == -32602
    again = result(http, base, "tasks/get", {"id": name})
    run = "a2a-cloud/run"
    assert (again["metadata"][run], again["sessionId"]) == (first["metadata"][run], first["sessionId"])
    second = early(http, base, "tasks/send", name, text("two"))
    assert second["sessionId"] == first["sessionId"]
    again = result(http, base, "tasks/get", {"id": name})
    assert again["metadata"][run] == second["metadata"][run]


def test_somebody_elses_same_name_is_another_task(http: httpx.Client, other: httpx.Client, base: str) -> None:
    name = "weather"
    mine = early(http, base, "tasks/send", name, data("advise", topic="mine"))
    assert code(other, base, "tasks/get", {"id": name}) == -32001
    theirs = early(other, base, "tasks/send", name, data("advise", topic="theirs"))
    assert mine["sessionId"] != theirs["sessionId"]
    assert early(http, base, "tasks/send", name, text("England"))["artifacts"][0]["parts"][0][
        "text"
    ].startswith("mine")
    assert result(other, base, "tasks/get", {"id": name})["status"]["state"] == "input-required"


def test_many_at_once_under_one_name_make_one_task(desk: Running, base: str, tmp_path: Path) -> None:
    """Whoever comes second is a follow-up, also before the first one's acceptance is on disk."""
    name, gate = uuid.uuid4().hex, tmp_path / "gate"

    def send(_: int) -> Json:
        with httpx.Client(headers=desk.auth, timeout=30) as client:
            return early(client, base, "tasks/send", name, data("hold", gate=str(gate)))

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(send, n) for n in range(8)]
        threading.Timer(1.0, gate.touch).start()
        sessions = {call.result()["sessionId"] for call in calls}
    assert len(sessions) == 1
    with httpx.Client(headers=desk.auth, timeout=30) as client:
        (task,) = result(client, base, "ListTasks", {"contextId": sessions.pop()})["tasks"]
        assert len(task["history"]) == 8


def test_a_message_id_in_the_metadata_makes_a_retry_safe(http: httpx.Client, base: str) -> None:
    name = uuid.uuid4().hex
    params = {
        "id": name,
        "message": {**said(data("advise", topic="x")), "metadata": {"messageId": "m-" + name}},
    }
    one = result(http, base, "tasks/send", params)
    assert result(http, base, "tasks/send", params)["metadata"] == one["metadata"]
    answer = {"id": name, "message": {**said(text("England")), "metadata": {"messageId": "n-" + name}}}
    for _ in range(2):
        done = result(http, base, "tasks/send", answer)
        assert (done["status"]["state"], len(done["artifacts"])) == ("completed", 1)
    assert (
        result(http, base, "tasks/send", params)["metadata"]["a2a-cloud/run"]
        == one["metadata"]["a2a-cloud/run"]
    )


def test_an_early_stream(http: httpx.Client, base: str) -> None:
    name = uuid.uuid4().hex
    stream = streamed(
        http, base, "tasks/sendSubscribe", {"id": name, "message": said(data("words", text="a b"))}
    )
    assert {event["id"] for event in stream} == {name}
    assert stream[0] == {"id": name, "status": stream[0]["status"], "final": False}
    assert finals(stream) == [False, True]
    assert stream[-1]["status"]["state"] == "completed"
    assert {event["artifact"]["index"] for event in stream if "artifact" in event} <= {0, 1}


def test_an_early_answer_is_always_a_task(http: httpx.Client, base: str) -> None:
    task = early(http, base, "tasks/send", uuid.uuid4().hex, data("greet", name="Bo"))
    assert task["status"]["message"] == {"role": "agent", "parts": [{"type": "text", "text": "Hello Bo"}]}


def test_canceling_and_resubscribing_by_name(http: httpx.Client, base: str, tmp_path: Path) -> None:
    name, gate = uuid.uuid4().hex, tmp_path / "gate"
    params = {"id": name, "message": said(data("hold", gate=str(gate), words=1))}
    seen: list[Json] = []
    ready = threading.Event()

    def watch() -> None:
        body = {"jsonrpc": "2.0", "id": "s", "method": "tasks/sendSubscribe", "params": params}
        parser = SseParser()
        with http.stream("POST", base, json=body) as answer:
            for chunk in answer.iter_bytes():
                seen.extend(json.loads(event.data)["result"] for event in parser.feed(chunk))
                ready.set()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        assert ready.wait(10)
        assert result(http, base, "tasks/cancel", {"id": name})["status"]["state"] == "canceled"
        watching.result(20)
    assert (seen[-1]["status"]["state"], seen[-1]["final"]) == ("canceled", True)


def test_push_configs_by_name(http: httpx.Client, base: str) -> None:
    name = uuid.uuid4().hex
    early(http, base, "tasks/send", name, data("advise", topic="x"))
    config = {
        "url": "https://example.com/hook",
        "authentication": {"schemes": ["Bearer"], "credentials": "c"},
    }
    made = result(http, base, "tasks/pushNotification/set", {"id": name, "pushNotificationConfig": config})
    assert made["id"] == name
    assert made["pushNotificationConfig"]["url"] == config["url"]
    assert result(http, base, "tasks/pushNotification/get", {"id": name}) == made
    assert code(http, base, "tasks/pushNotification/get", {"id": "nobody"}) == -32001


def test_our_own_id_is_understood_as_a_name(http: httpx.Client, base: str) -> None:
    task = result(http, base, "message/send", {"message": message(data("advise", topic="x"))})
    done = early(http, base, "tasks/send", task["id"], text("England"))
    assert (done["id"], done["status"]["state"]) == (task["id"], "completed")
    params = {"id": "task_made_up", "message": said(text("x"))}
    assert code(http, base, "tasks/send", params) == -32602


@pytest.mark.parametrize(
    ("name", "taken"),
    [("weather", False), (str(uuid.uuid1()), False), (str(uuid.uuid4()), True), (uuid.uuid4().hex, True)],
    ids=["word", "uuid1", "uuid4", "hex"],
)
def test_without_a_key_a_name_has_to_be_unguessable(desk: Running, name: str, taken: bool) -> None:
    with httpx.Client(timeout=30) as nobody:
        document = rpc(nobody, desk.agent("open"), "tasks/send", {"id": name, "message": said(text("hi"))})
    assert ("result" in document) is taken
    if not taken:
        assert document["error"]["code"] == -32602
        assert "UUID" in document["error"]["message"]


def test_names_survive_a_crash(platform: Callable[..., Running]) -> None:
    running = platform(["desk"])
    base, name = running.agent("desk"), uuid.uuid4().hex
    with httpx.Client(headers=running.auth, timeout=30) as client:
        early(client, base, "tasks/send", name, data("advise", topic="x"))
        opened = client.post(base + "/sessions", json={}).json()
    running.kill()
    running.restart()
    base = running.agent("desk")
    with httpx.Client(headers=running.auth, timeout=30) as client:
        assert result(client, base, "tasks/get", {"id": name})["status"]["state"] == "input-required"
        assert early(client, base, "tasks/send", name, text("England"))["status"]["state"] == "completed"
        assert client.get(f"{base}/sessions/{opened['id']}").json()["state"] == "open"


# --- sessions ---------------------------------------------------------------------------------------------


@pytest.fixture
def session(http: httpx.Client, base: str) -> str:
    """The address of a session."""
    answer = http.post(base + "/sessions", json={"metadata": {"ticket": 5}})
    assert answer.status_code == 201, answer.text
    assert answer.json()["metadata"] == {"ticket": 5}
    assert answer.json()["state"] == "open"
    assert answer.headers["location"] == f"{base}/sessions/{answer.json()['id']}"
    return answer.headers["location"]


def say(http: httpx.Client, session: str, content: Any = None, **more: Any) -> Json:
    body = {"content": content, **more} if content is not None else more
    answer = http.post(session + "/messages", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_talk_in_a_session(http: httpx.Client, base: str, session: str) -> None:
    answer = say(http, session, "hello", sender="alice", metadata={"mine": 1})
    assert (answer["content"], answer["sender"], answer["state"]) == ("HELLO", "desk", "completed")
    answer = say(http, session, {"a": 1, "b": 2}, metadata={"skill": "add"})
    assert answer["content"] == {"sum": 3}
    assert say(http, session, {"name": "Bo"}, metadata={"skill": "greet"})["content"] == "Hello Bo"
    talk = http.get(session + "/messages").json()
    assert [one["sender"] for one in talk["messages"]] == ["alice", *["desk", "admin@default"] * 2, "desk"]
    assert talk["messages"][-1]["content"] == "Hello Bo"
    assert talk["messages"][0]["metadata"] == {"mine": 1}
    context = http.get(session).json()["id"]
    assert len(result(http, base, "ListTasks", {"contextId": context})["tasks"]) == 3


def test_an_attachment_is_a_file(http: httpx.Client, session: str) -> None:
    file = {"name": "a.txt", "media_type": "text/plain", "content": "dGVzdA=="}
    answer = say(http, session, metadata={"skill": "measure"}, attachments=[file])
    assert (answer["content"]["size"], answer["content"]["name"]) == (4, "a.txt")
    said_so = http.get(session + "/messages").json()["messages"][0]
    assert said_so["attachments"] == [file]


def test_a_retry_of_a_large_message_finds_its_run(http: httpx.Client, session: str) -> None:
    file = {"name": "a.bin", "content": base64.b64encode(bytes(100_000)).decode()}
    more = {"metadata": {"skill": "measure"}, "attachments": [file], "id": "large-" + session[-20:]}
    answers = [say(http, session, **more) for _ in range(2)]
    assert answers[0]["content"]["size"] == 100_000
    assert answers[0]["task_id"] == answers[1]["task_id"]


def test_the_next_message_answers_what_the_session_asks(http: httpx.Client, session: str) -> None:
    asked = say(http, session, {"topic": "x"}, metadata={"skill": "advise"})
    assert (asked["state"], asked["content"]) == ("input-required", "Which law governs?")
    answer = say(http, session, "England", id="reply-" + session[-20:])
    assert answer["content"] == "x under the law of England"
    assert answer["task_id"] == asked["task_id"]
    again = say(http, session, "England", id="reply-" + session[-20:])
    assert again["task_id"] == asked["task_id"]


def test_at_once(http: httpx.Client, session: str) -> None:
    answer = http.post(session + "/messages?async=1", json={"content": "hello"})
    assert (answer.status_code, answer.json()["state"] in ("submitted", "working", "completed")) == (
        202,
        True,
    )


def test_pages_of_a_talk(http: httpx.Client, session: str) -> None:
    for n in range(3):
        say(http, session, f"m{n}")
    page = http.get(session + "/messages?limit=2").json()
    assert [one["content"] for one in page["messages"]] == ["m1", "M1", "m2", "M2"]
    before = http.get(session + "/messages", params={"limit": 2, "before": page["next"]}).json()
    assert [one["content"] for one in before["messages"]] == ["m0", "M0"]
    assert before["next"] == ""
    assert http.get(session + "/messages?limit=0").status_code == 400
    assert http.get(session + "/messages?before=x").status_code == 400


def test_a_session_that_was_ended_is_gone(
    http: httpx.Client, base: str, session: str, tmp_path: Path
) -> None:
    asked = say(http, session, {"topic": "x"}, metadata={"skill": "advise"})
    gate = tmp_path / "gate"
    started = http.post(
        session + "/messages?async=1", json={"content": {"gate": str(gate)}, "metadata": {"skill": "hold"}}
    )
    assert started.status_code == 400  # The open question takes the message, and this is no answer to it.
    assert http.delete(session).status_code == 204
    assert http.delete(session).status_code == 204
    for answer in (
        http.get(session),
        http.get(session + "/messages"),
        http.post(session + "/messages", json={"content": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (410, "session_ended")
    assert result(http, base, "tasks/get", {"id": asked["task_id"]})["status"]["state"] == "canceled"


def test_a_message_whose_session_ends_while_it_comes_is_refused(
    desk: Running, http: httpx.Client, base: str, session: str
) -> None:
    body = b'{"content": "hello"}'
    line = HTTPConnection(desk.host, desk.port, timeout=30)
    line.putrequest("POST", f"{httpx.URL(session).path}/messages")
    for name, value in {
        **desk.auth,
        "Content-Length": str(len(body)),
        "Content-Type": "application/json",
    }.items():
        line.putheader(name, value)
    line.endheaders(body[:5])
    assert http.delete(session).status_code == 204
    line.send(body[5:])
    assert line.getresponse().status == 410
    line.close()
    context = session.rpartition("/")[2]
    assert http.get(f"{base}/tasks", params={"contextId": context}).json()["tasks"] == []


def test_somebody_elses_session_does_not_exist(
    http: httpx.Client, other: httpx.Client, desk: Running, session: str
) -> None:
    for answer in (
        other.get(session),
        other.delete(session),
        other.get(session + "/messages"),
        other.post(session + "/messages", json={"content": "x"}),
        http.get(session.replace("/desk/", "/talker/")),
        http.get(session + "x"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    with httpx.Client(timeout=30) as nobody:
        answer = nobody.post(desk.agent("open") + "/sessions", json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": "x", "receiver": "somebody"},
        {"content": "x", "metadata": 5},
        {"attachments": [{}]},
        [],
        5,
    ],
    ids=repr,
)
def test_what_is_no_message_is_refused(http: httpx.Client, session: str, body: Any) -> None:
    answer = http.post(session + "/messages", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert http.get(session + "/nothing").status_code == 404
    assert http.put(session).status_code == 405
