"""Push notifications as a user sees them: in order, signed, over crashes and failures, and in nobody's way
(A2A 1.0, sections 3.1.7 to 3.1.10 and 4.3.3)."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from calling import request
from joserfc import jwt
from joserfc.jwk import KeySet
from push_site import Receiver, Told, message, receiving, rpc, wants

from running import Running

Start = Callable[..., Running]
LOCAL = {"A2A_PUSH_PRIVATE": "127.0.0.0/8", "A2A_FETCH_PRIVATE": "127.0.0.1"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One platform for the tests that leave it as it is."""
    from running import AGENTS, start_platform

    folders = [AGENTS / "desk", AGENTS / "open", AGENTS / "talker", AGENTS / "ticker"]
    running = start_platform(folders, tmp_path_factory.mktemp("push"), **LOCAL)
    yield running
    running.stop()


def ended(all_of_it: list[Told]) -> bool:
    return bool(all_of_it) and all_of_it[-1].state in ("completed", "failed", "canceled", "rejected")


def events(stream: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]


def without_signatures(value: Any) -> Any:
    """Signed links are made anew for each reader: they are compared without their queries."""
    if isinstance(value, dict):
        return {name: without_signatures(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_signatures(each) for each in value]
    return value.partition("?")[0] if isinstance(value, str) and "sig=" in value else value


# --- what is said ---------------------------------------------------------------------------------------


def test_a_receiver_sees_what_a_stream_shows(told: Running, receiver: Receiver, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    config = {"url": f"{receiver.url}/hook", "token": "t0k3n"}
    config["authentication"] = {"scheme": "Bearer", "credentials": "s3cret"}  # type: ignore[assignment]
    params = {
        "message": message("pour", {"gate": str(gate), "pieces": 20, "size": 10}, id="same-as-a-stream"),
        "configuration": {"taskPushNotificationConfig": config},
    }
    threading.Timer(0.3, gate.touch).start()
    stream = request(
        told, "POST", "/agents/desk/message:stream", params, {"Accept": "text/event-stream"}
    ).body
    seen = events(stream)
    got = receiver.until(ended)
    assert [without_signatures(each.json) for each in got] == [without_signatures(each) for each in seen[1:]]
    task = seen[0]["task"]["id"]
    assert [each.id.rpartition(".")[0] for each in got] == [f"{task}.1"] * len(got)
    assert len(set(receiver.ids)) == len(got)
    for each in got:
        assert each.path == "/hook"
        assert each.headers["authorization"] == "Bearer s3cret"
        assert each.headers["x-a2a-notification-token"] == "t0k3n"
        assert each.headers["a2a-version"] == "1.0"
        assert each.headers["content-type"] == "application/json"


def test_the_signature_holds_for_this_body_and_receiver(told: Running, receiver: Receiver) -> None:
    rpc(
        told,
        "desk",
        "SendMessage",
        {"message": message("shout", {"text": "a"}), "configuration": wants(receiver.url)},
    )
    keys = KeySet.import_key_set(request(told, "GET", "/.well-known/jwks.json").json)
    for each in receiver.until(ended):
        token = jwt.decode(each.headers["a2a-notification-signature"], keys, algorithms=["ES256"])
        assert token.header["typ"] == "JWT"
        claims = token.claims
        assert claims["aud"] == receiver.url
        assert claims["iss"] == told.url
        assert claims["jti"] == each.id
        assert claims["sub"] == each.id.split(".")[0]
        assert claims["exp"] - claims["iat"] == 300
        assert claims["request_body_sha256"] == sha256(each.body).hexdigest()


def test_a_reply_becomes_the_status_of_a_task(told: Running, receiver: Receiver) -> None:
    said = rpc(
        told,
        "desk",
        "SendMessage",
        {
            "message": message("greet", {"name": "Ada"}),
            "configuration": {"taskPushNotificationConfig": {"url": receiver.url}},
        },
    )
    assert said["task"]["status"]["message"]["parts"][0]["text"] == "Hello Ada"
    last = receiver.until(ended)[-1]
    assert last.json["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "Hello Ada"


def test_0_3_gets_the_task_at_each_status(told: Running, receiver: Receiver) -> None:
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "message/send",
        "params": {
            "message": {
                "kind": "message",
                "messageId": "old-1",
                "role": "user",
                "parts": [{"kind": "data", "data": {"skill": "shout", "arguments": {"text": "hi"}}}],
            },
            "configuration": {"pushNotificationConfig": {"url": receiver.url, "token": "t"}},
        },
    }
    said = request(told, "POST", "/agents/desk", body).json["result"]
    (got,) = receiver.until(lambda all_of_it: len(all_of_it) > 0)
    assert got.headers["a2a-version"] == "0.3"
    assert got.json["kind"] == "task"
    assert got.json["status"]["state"] == "completed"
    assert got.json["artifacts"] == said["artifacts"]
    assert got.json["id"] == said["id"]


def test_the_early_dialect_is_told_by_its_own_name_for_the_task(told: Running, receiver: Receiver) -> None:
    def call(method: str, params: Any) -> Any:
        return request(
            told, "POST", "/agents/desk", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        ).json["result"]

    part = {"type": "data", "data": {"skill": "advise", "arguments": {"topic": "x"}}}
    params = {
        "id": "my-task",
        "message": {"role": "user", "parts": [part]},
        "pushNotification": {"url": receiver.url, "token": "t"},
    }
    assert call("tasks/send", params)["status"]["state"] == "input-required"
    (first,) = receiver.until(lambda all_of_it: len(all_of_it) == 1)
    assert (first.json["id"], first.json["status"]["state"]) == ("my-task", "input-required")
    call(
        "tasks/pushNotification/set",
        {"id": "my-task", "pushNotificationConfig": {"url": f"{receiver.url}/set"}},
    )
    call(
        "tasks/send",
        {"id": "my-task", "message": {"role": "user", "parts": [{"type": "text", "text": "England"}]}},
    )
    got = receiver.until(lambda all_of_it: all_of_it[-1].json["status"]["state"] == "completed")
    assert {(each.path, each.json["id"]) for each in got[1:]} == {("/set", "my-task")}


# --- multi-turn -----------------------------------------------------------------------------------------


def test_a_config_that_comes_with_an_answer_hears_from_the_answer_on(
    told: Running, receiver: Receiver
) -> None:
    task = rpc(told, "desk", "SendMessage", {"message": message("advise", {"topic": "Tax"}, id="adv-1")})[
        "task"
    ]
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    answer = {"messageId": "adv-2", "role": "ROLE_USER", "taskId": task["id"], "parts": [{"text": "England"}]}
    configuration = {"taskPushNotificationConfig": {"url": receiver.url}}
    rpc(told, "desk", "SendMessage", {"message": answer, "configuration": configuration})
    got = receiver.until(ended)
    assert [each.state for each in got] == ["working", "working", "", "completed"]
    assert "law" in json.dumps(got[2].json)


def test_a_task_that_asks_is_told_and_goes_on(told: Running, receiver: Receiver) -> None:
    params = {
        "message": message("advise", {"topic": "Ships"}, id="adv-3"),
        "configuration": wants(receiver.url),
    }
    task = rpc(told, "desk", "SendMessage", params)["task"]
    receiver.until(lambda all_of_it: any(each.state == "input_required" for each in all_of_it))
    answer = {
        "messageId": "adv-4",
        "role": "ROLE_USER",
        "taskId": task["id"],
        "parts": [{"text": "Delaware"}],
    }
    rpc(told, "desk", "SendMessage", {"message": answer})
    got = receiver.until(ended)
    positions = [tuple(map(int, each.id.split(".")[1:])) for each in got]
    assert positions == sorted(positions)


# --- configs --------------------------------------------------------------------------------------------


def test_configs_are_made_read_listed_and_removed(told: Running, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    params = {
        "message": message("hold", {"gate": str(gate)}, id="crud"),
        "configuration": {"returnImmediately": True},
    }
    task = rpc(told, "desk", "SendMessage", params)["task"]["id"]
    made = rpc(
        told, "desk", "CreateTaskPushNotificationConfig", {"taskId": task, "url": "https://hooks.example/a"}
    )
    assert made == {"url": "https://hooks.example/a", "id": task, "taskId": task}
    full = {
        "taskId": task,
        "id": "mine",
        "url": "https://hooks.example/b?key=1",
        "token": "t",
        "authentication": {"scheme": "Basic", "credentials": "YTpi"},
    }
    assert rpc(told, "desk", "CreateTaskPushNotificationConfig", full) == full
    named = {"taskId": task, "id": "mine"}
    assert rpc(told, "desk", "GetTaskPushNotificationConfig", named) == full
    listed = rpc(told, "desk", "ListTaskPushNotificationConfigs", {"taskId": task})
    assert {each["id"] for each in listed["configs"]} == {task, "mine"}
    assert listed["nextPageToken"] == ""
    page = rpc(told, "desk", "ListTaskPushNotificationConfigs", {"taskId": task, "pageSize": 1})
    rest = rpc(
        told,
        "desk",
        "ListTaskPushNotificationConfigs",
        {"taskId": task, "pageSize": 1, "pageToken": page["nextPageToken"]},
    )
    assert page["configs"] + rest["configs"] == listed["configs"]
    for _ in range(2):
        assert rpc(told, "desk", "DeleteTaskPushNotificationConfig", named) is None
    gone = rpc(told, "desk", "GetTaskPushNotificationConfig", named)
    assert gone["code"] == -32001
    gate.touch()


def test_http_json_serves_the_same(told: Running) -> None:
    task = rpc(told, "desk", "SendMessage", {"message": message("shout", {"text": "a"}, id="rest-push")})[
        "task"
    ]["id"]
    path = f"/agents/desk/tasks/{task}/pushNotificationConfigs"
    config = {"id": "a/b", "url": "https://hooks.example/"}
    made = request(told, "POST", path, config)
    assert (made.status, made.json) == (200, {**config, "taskId": task})
    assert request(told, "GET", f"{path}/a%2Fb").json == made.json
    assert request(told, "GET", path).json == {"configs": [made.json], "nextPageToken": ""}
    assert request(told, "DELETE", f"{path}/a%2Fb").json == {}
    assert request(told, "DELETE", f"{path}/a%2Fb").json == {}
    assert request(told, "GET", f"{path}/a%2Fb").status == 404
    assert request(told, "PUT", path, config).status == 405
    assert request(told, "POST", "/agents/desk/tasks/none/pushNotificationConfigs", config).status == 404


def test_a_config_is_its_owner_s(told: Running, receiver: Receiver) -> None:
    key = request(told, "POST", "/api/v1/keys", {"principal": "mallory"}).json["key"]
    params = {
        "message": message("shout", {"text": "a"}, id="own"),
        "configuration": wants(receiver.url, id="mine"),
    }
    task = rpc(told, "desk", "SendMessage", params)["task"]["id"]
    receiver.until(ended)
    for method in ("Get", "Delete"):
        named = {"taskId": task, "id": "mine"}
        error = rpc(told, "desk", f"{method}TaskPushNotificationConfig", named, Authorization=f"Bearer {key}")
        assert error["code"] == -32001
    for method, more in (("Create", {"url": "https://x.example"}), ("List", {})):
        suffix = "" if method == "Create" else "s"
        error = rpc(
            told,
            "desk",
            f"{method}TaskPushNotificationConfig{suffix}",
            {"taskId": task, **more},
            Authorization=f"Bearer {key}",
        )
        assert error["code"] == -32001
    mine = request(told, "GET", "/api/v1/push", headers={"Authorization": f"Bearer {key}"}).json
    assert mine["push"] == []
    row = next(each for each in request(told, "GET", "/api/v1/push").json["push"] if each["task_id"] == task)
    retry = f"/api/v1/push/{row['id']}/retry"
    assert request(told, "POST", retry, {}, {"Authorization": f"Bearer {key}"}).status == 404


def test_where_strangers_share_their_tasks_they_see_no_secrets(
    told: Running, receiver: Receiver, tmp_path: Path
) -> None:
    """ticker lists the tasks of all callers without a key to each of them (`anonymous_list`)."""
    config = {"url": receiver.url, "token": "t0k3n"}
    config["authentication"] = {"scheme": "Bearer", "credentials": "s3cret"}  # type: ignore[assignment]
    gate = tmp_path / "gate"
    for auth, seen in (({}, False), (told.auth, True)):
        params = {
            "message": message("tick", {"gate": str(gate), "steps": 1}, id=f"shared-{seen}"),
            "configuration": {"taskPushNotificationConfig": config, "returnImmediately": True},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
        sent = {"A2A-Version": "1.0", "Authorization": "", **auth}
        task = request(told, "POST", "/agents/ticker", body, sent).json["result"]["task"]["id"]
        where = f"/agents/ticker/tasks/{task}/pushNotificationConfigs"
        shown = [
            request(told, "GET", where, headers=sent).body,
            request(told, "GET", f"{where}/{task}", headers=sent).body,
        ]
        for each in shown:
            assert receiver.url.encode() in each
            assert (b"t0k3n" in each, b"s3cret" in each) == (seen, seen)
    gate.touch()
    got = receiver.until(lambda all_of_it: sum(ended([each]) for each in all_of_it) == 2)
    assert {each.headers["authorization"] for each in got} == {"Bearer s3cret"}


def test_a_config_of_an_ended_task_is_kept_and_hears_nothing(told: Running, receiver: Receiver) -> None:
    task = rpc(told, "desk", "SendMessage", {"message": message("shout", {"text": "a"}, id="late")})["task"][
        "id"
    ]
    config = {"taskId": task, "id": "late", "url": receiver.url}
    assert rpc(told, "desk", "CreateTaskPushNotificationConfig", config) == config
    row = next(each for each in request(told, "GET", "/api/v1/push").json["push"] if each["task_id"] == task)
    assert row["state"] == "done"
    assert receiver.told == []


def test_what_is_wrong_with_a_config_is_said(told: Running) -> None:
    task = rpc(told, "desk", "SendMessage", {"message": message("shout", {"text": "a"}, id="wrong")})["task"][
        "id"
    ]

    def refused(**config: Any) -> str:
        error = rpc(told, "desk", "CreateTaskPushNotificationConfig", {"taskId": task, **config})
        assert error["code"] == -32602, error
        return error["message"]

    assert "https://" in refused(url="ftp://example.com")
    assert "password" in refused(url="https://a:b@example.com")
    assert "private" in refused(url="http://10.0.0.1/hook")
    assert "A2A_PUSH_PRIVATE" in refused(url="http://169.254.169.254/latest")
    assert "private" in refused(url="http://[::1]:8080/")
    assert "another spelling" in refused(url="http://2130706433/")
    assert "header" in refused(url="https://hooks.example", token="a\r\nX-Evil: 1")
    assert "scheme" in refused(url="https://hooks.example", authentication={"credentials": "x"})
    assert "url" in refused()
    config = {"message": message("shout", {"text": "a"}), "configuration": wants("http://10.0.0.1/")}
    error = rpc(told, "desk", "SendMessage", config)
    assert error["code"] == -32602
    assert error["data"][0]["metadata"]["field"] == "configuration.taskPushNotificationConfig.url"
    for n in range(19):
        rpc(
            told,
            "desk",
            "CreateTaskPushNotificationConfig",
            {"taskId": task, "id": f"c{n}", "url": "https://h.example"},
        )
    rpc(
        told,
        "desk",
        "CreateTaskPushNotificationConfig",
        {"taskId": task, "id": "c19", "url": "https://h.example"},
    )
    assert "20 push configs" in refused(id="c20", url="https://h.example")


def test_no_secret_is_in_the_database_or_the_log(told: Running, receiver: Receiver) -> None:
    receiver.answers = lambda _n, _told: (410, {})
    secret = "c4nary-credentials"
    config = wants(f"{receiver.url}/{secret}?k={secret}", token=secret)
    config["taskPushNotificationConfig"]["authentication"] = {"scheme": "Bearer", "credentials": secret}
    rpc(
        told,
        "desk",
        "SendMessage",
        {"message": message("shout", {"text": "a"}, id="leak"), "configuration": config},
    )
    receiver.until(lambda all_of_it: bool(all_of_it))
    while not request(told, "GET", "/api/v1/push?dead=1").json["push"]:
        pass
    shown = request(told, "GET", "/api/v1/push?dead=1").body
    assert secret.encode() not in shown
    for path in (*told.data.glob("journal.db*"), told.log):
        assert secret.encode() not in path.read_bytes(), path
        assert base64.b64encode(secret.encode()) not in path.read_bytes()


# --- failures -------------------------------------------------------------------------------------------


def test_503_is_tried_again_in_order(told: Running, receiver: Receiver) -> None:
    receiver.answers = lambda n, _told: (503, {}) if n in (0, 2) else (200, {})
    rpc(
        told,
        "desk",
        "SendMessage",
        {"message": message("words", {"text": "a b c"}, id="503"), "configuration": wants(receiver.url)},
    )
    ids = [each.id for each in receiver.until(lambda all_of_it: len(all_of_it) > 3 and ended(all_of_it))]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    unique = list(dict.fromkeys(ids))
    assert unique == sorted(unique, key=lambda each: int(each.rpartition(".")[2]))


def test_what_is_gone_is_given_up_and_can_be_told_again(told: Running, receiver: Receiver) -> None:
    receiver.answers = lambda _n, _told: (410, {})
    params = {"message": message("shout", {"text": "dead"}, id="410"), "configuration": wants(receiver.url)}
    task = rpc(told, "desk", "SendMessage", params)["task"]["id"]

    def row() -> Any:
        page = request(told, "GET", "/api/v1/push?dead=1").json["push"]
        return next((each for each in page if each["task_id"] == task), None)

    receiver.until(lambda all_of_it: bool(all_of_it))
    while (dead := row()) is None:
        pass
    assert (dead["state"], dead["attempts"]) == ("dead", 1)
    assert "410" in dead["reason"]
    receiver.answers = lambda _n, _told: (200, {})
    again = request(told, "POST", f"/api/v1/push/{dead['id']}/retry", {}).json
    assert again["state"] == "open"
    got = receiver.until(ended)
    assert got[0].id == got[1].id
    while row() is not None:
        pass
    done = request(told, "POST", f"/api/v1/push/{dead['id']}/retry", {})
    assert done.status in (200, 400)  # open until the last cursor is written, then done


def test_a_new_address_gets_what_the_old_one_lacks(told: Running, receiver: Receiver) -> None:
    receiver.answers = lambda _n, told: (410 if told.path == "/old" else 200, {})
    params = {
        "message": message("advise", {"topic": "x"}, id="moved"),
        "configuration": wants(f"{receiver.url}/old", id="c"),
    }
    task = rpc(told, "desk", "SendMessage", params)["task"]["id"]
    receiver.until(lambda all_of_it: bool(all_of_it))
    while not any(row["task_id"] == task for row in request(told, "GET", "/api/v1/push?dead=1").json["push"]):
        pass
    config = {"taskId": task, "id": "c", "url": f"{receiver.url}/new"}
    rpc(told, "desk", "CreateTaskPushNotificationConfig", config)
    got = receiver.until(lambda all_of_it: len(all_of_it) > 1)
    assert [(each.path, each.state) for each in got] == [
        ("/old", "input_required"),
        ("/new", "input_required"),
    ]
    assert got[0].id == got[1].id


def test_a_removed_config_hears_nothing_more(told: Running, receiver: Receiver) -> None:
    params = {
        "message": message("advise", {"topic": "y"}, id="removed"),
        "configuration": wants(receiver.url, id="c"),
    }
    task = rpc(told, "desk", "SendMessage", params)["task"]["id"]
    receiver.until(lambda all_of_it: bool(all_of_it))
    rpc(told, "desk", "DeleteTaskPushNotificationConfig", {"taskId": task, "id": "c"})
    answer = {"messageId": "removed-2", "role": "ROLE_USER", "taskId": task, "parts": [{"text": "England"}]}
    with receiving() as other:
        configuration = {"taskPushNotificationConfig": {"url": other.url}}
        rpc(told, "desk", "SendMessage", {"message": answer, "configuration": configuration})
        other.until(ended)
    assert len(receiver.told) == 1


def test_a_redirect_is_not_followed(told: Running, receiver: Receiver) -> None:
    receiver.answers = lambda n, told: (
        (307, {"Location": f"{receiver.url}/elsewhere"}) if n == 0 else (200, {})
    )
    rpc(
        told,
        "desk",
        "SendMessage",
        {"message": message("shout", {"text": "r"}, id="307"), "configuration": wants(receiver.url)},
    )
    got = receiver.until(ended)
    assert {each.path for each in got} == {"/"}
    assert got[0].id == got[1].id


def test_a_slow_receiver_slows_no_stream_and_no_other(told: Running, receiver: Receiver) -> None:
    open_gate = threading.Event()

    def answer(_n: int, _told: Told) -> tuple[int, dict[str, str]]:
        open_gate.wait(60)
        return 200, {}

    receiver.answers = answer
    with receiving() as quick:
        task = rpc(
            told,
            "desk",
            "SendMessage",
            {
                "message": message("words", {"text": "a b c d"}, id="slow"),
                "configuration": wants(receiver.url),
            },
        )["task"]["id"]
        stream = request(
            told,
            "POST",
            "/agents/desk/message:stream",
            {
                "message": message("words", {"text": "x y z"}, id="stream"),
                "configuration": wants(receiver.url),
            },
        ).body
        assert b"TASK_STATE_COMPLETED" in stream  # while the receiver still holds the first notification
        rpc(
            told,
            "desk",
            "SendMessage",
            {"message": message("words", {"text": "q"}, id="quick"), "configuration": wants(quick.url)},
        )
        quick.until(ended)
        while rpc(told, "desk", "GetTask", {"id": task})["status"]["state"] != "TASK_STATE_COMPLETED":
            pass
        assert not open_gate.is_set()
        open_gate.set()
    receiver.until(lambda all_of_it: sum(each.state == "completed" for each in all_of_it) == 2)


# --- crashes --------------------------------------------------------------------------------------------


def test_a_killed_platform_delivers_the_rest_after_its_restart(platform: Start, receiver: Receiver) -> None:
    running = platform(["desk"], **LOCAL)
    reached = threading.Event()

    def answer(n: int, _told: Told) -> tuple[int, dict[str, str]]:
        if n == 1:
            reached.set()
            threading.Event().wait(1)
            return 500, {}
        return 200, {}

    receiver.answers = answer
    params = {
        "message": message("words", {"text": "one two three four five"}, id="kill"),
        "configuration": wants(receiver.url),
    }
    task = rpc(running, "desk", "SendMessage", params)["task"]["id"]
    while rpc(running, "desk", "GetTask", {"id": task})["status"]["state"] != "TASK_STATE_COMPLETED":
        pass
    assert reached.wait(30)
    running.kill()
    before = len(receiver.told)
    receiver.answers = lambda _n, _told: (200, {})
    running.restart()
    got = receiver.until(lambda all_of_it: len(all_of_it) > before and ended(all_of_it))
    ids = list(dict.fromkeys(each.id for each in got))
    seqs = [int(each.rpartition(".")[2]) for each in ids]
    stored = request(running, "GET", f"/api/v1/runs?task={task}").json["runs"][0]["id"]
    visible = [each["seq"] for each in request(running, "GET", f"/api/v1/runs/{stored}").json["events"]]
    assert seqs == visible  # none is missing, and none came before an earlier one
    bodies = {each.id: each.body for each in got}
    assert all(bodies[each.id] == each.body for each in got)  # and what came twice was the same


def test_more_than_are_taken_up_together_are_all_taken_up(platform: Start, receiver: Receiver) -> None:
    running = platform(["desk"], **LOCAL)
    receiver.answers = lambda _n, _told: (503, {})
    tasks = {
        rpc(
            running,
            "desk",
            "SendMessage",
            {"message": message("shout", {"text": "a"}, id=f"m{n}"), "configuration": wants(receiver.url)},
        )["task"]["id"]
        for n in range(40)
    }
    running.kill()
    receiver.answers = lambda _n, _told: (200, {})
    running.restart()
    receiver.until(lambda got: {each.id.split(".")[0] for each in got if ended([each])} == tasks)


def test_a_crash_before_anything_was_delivered_loses_nothing(platform: Start, receiver: Receiver) -> None:
    running = platform(["desk"], **LOCAL)
    receiver.answers = lambda _n, _told: (503, {"Retry-After": "3600"})
    params = {"message": message("shout", {"text": "kept"}, id="kept"), "configuration": wants(receiver.url)}
    task = rpc(running, "desk", "SendMessage", params)["task"]["id"]
    receiver.until(lambda all_of_it: bool(all_of_it))

    def row() -> Any:
        return next(
            each for each in request(running, "GET", "/api/v1/push").json["push"] if each["task_id"] == task
        )

    while row()["attempts"] != 1:
        pass
    running.kill()
    running.restart()
    waiting = row()
    assert (waiting["state"], waiting["attempts"]) == ("open", 1)
    assert waiting["next"] is not None
    assert len(receiver.told) == 1  # it asked for an hour
    receiver.answers = lambda _n, _told: (200, {})
    request(running, "POST", f"/api/v1/push/{waiting['id']}/retry", {})
    receiver.until(ended)


# --- files behind addresses -----------------------------------------------------------------------------


def sent_file(part: dict[str, Any], message_id: str, skill: str = "measure") -> dict[str, Any]:
    call = {"data": {"skill": skill, "arguments": {}}}
    return {"message": {"messageId": message_id, "role": "ROLE_USER", "parts": [call, part]}}


def result(said: Any) -> Any:
    return next(each for each in said["task"]["artifacts"] if each["name"] == "result")["parts"][0]["data"]


def test_a_file_behind_an_address_reaches_the_skill(told: Running, receiver: Receiver) -> None:
    body = b"%PDF-1.7" + b"x" * 100_000
    receiver.files["/a/contract.pdf"] = (200, {"Content-Type": "application/pdf"}, body)
    receiver.files["/moved"] = (302, {"Location": "/a/contract.pdf"}, b"")
    said = result(
        rpc(told, "desk", "SendMessage", sent_file({"url": f"{receiver.url}/a/contract.pdf"}, "f1"))
    )
    assert (said["name"], said["media_type"]) == ("contract.pdf", "application/pdf")
    assert (said["size"], said["sha256"]) == (len(body), sha256(body).hexdigest())
    part = {"url": f"{receiver.url}/moved", "filename": "mine.bin", "mediaType": "application/x-mine"}
    moved = result(rpc(told, "desk", "SendMessage", sent_file(part, "f2")))
    assert (moved["name"], moved["media_type"], moved["size"]) == (
        "mine.bin",
        "application/x-mine",
        len(body),
    )
    plain = result(rpc(told, "desk", "SendMessage", sent_file({"url": f"{receiver.url}/moved"}, "f4")))
    assert (plain["name"], plain["media_type"]) == ("contract.pdf", "application/pdf")
    inline = result(rpc(told, "desk", "SendMessage", sent_file({"url": "data:text/csv;base64,YSxi"}, "f3")))
    assert (inline["media_type"], inline["size"]) == ("text/csv", 3)


def test_a_repeat_fetches_nothing(told: Running, receiver: Receiver) -> None:
    receiver.files["/once"] = (200, {"Content-Type": "text/plain"}, b"once")
    call = sent_file({"url": f"{receiver.url}/once"}, "once")
    first = rpc(told, "desk", "SendMessage", call)
    receiver.files["/once"] = (404, {}, b"")
    again = rpc(told, "desk", "SendMessage", call)
    assert again["task"]["id"] == first["task"]["id"]
    assert receiver.asked == ["/once"]
    other = sent_file({"url": f"{receiver.url}/other"}, "once")
    assert rpc(told, "desk", "SendMessage", other)["data"][0]["reason"] == "IDEMPOTENCY_CONFLICT"


def test_a_file_that_can_not_be_had_is_refused(told: Running, receiver: Receiver) -> None:
    def refused(url: str) -> str:
        error = rpc(told, "desk", "SendMessage", sent_file({"url": url}, f"r-{url}"))
        assert error["code"] == -32602, error
        return error["message"]

    assert "answered 404" in refused(f"{receiver.url}/none")
    assert "private" in refused("http://10.1.2.3/file")
    assert "A2A_FETCH_PRIVATE" in refused("http://169.254.169.254/latest/meta-data")
    receiver.files["/in"] = (302, {"Location": "http://10.1.2.3/file"}, b"")
    assert "private" in refused(f"{receiver.url}/in")
    receiver.files["/loop"] = (302, {"Location": "/loop"}, b"")
    assert "redirects more than" in refused(f"{receiver.url}/loop")
    receiver.files["/large"] = (200, {"Content-Length": str(1 << 30)}, b"")
    assert "larger than" in refused(f"{receiver.url}/large")
    assert "file:///" not in refused("file:///etc/passwd")
    assert "can't be read" in refused("data:nothing")


def test_a_skill_without_files_fetches_nothing(told: Running, receiver: Receiver) -> None:
    error = rpc(told, "desk", "SendMessage", sent_file({"url": f"{receiver.url}/x"}, "no-files", "shout"))
    assert error["code"] in (-32602, -32005)
    assert receiver.asked == []
