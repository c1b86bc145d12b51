"""JSON-RPC, HTTP+JSON and gRPC say the same to the same request: one table of cases, each sent through all
three, compared but for ids, times and signatures (A2A 1.0, section 5.1).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import bindings
import httpx
import pytest
from bindings import Alike, Refused, Spoken

from running import AGENTS, Running, start_platform

EXTENSION = "https://example.com/extensions/sealed/v1"
SCHEMAS = "urn:a2a-cloud:skill-schemas:v1"
#: The codes of the specification's table (section 5.4), by reason.
CODES: dict[str, tuple[int, int, str]] = {
    "TASK_NOT_FOUND": (-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (-32004, 400, "FAILED_PRECONDITION"),
    "CONTENT_TYPE_NOT_SUPPORTED": (-32005, 400, "INVALID_ARGUMENT"),
    "EXTENDED_AGENT_CARD_NOT_CONFIGURED": (-32007, 400, "FAILED_PRECONDITION"),
    "EXTENSION_SUPPORT_REQUIRED": (-32008, 400, "FAILED_PRECONDITION"),
    "VERSION_NOT_SUPPORTED": (-32009, 400, "FAILED_PRECONDITION"),
    "INVALID_PARAMS": (-32602, 400, "INVALID_ARGUMENT"),
    "SKILL_NOT_FOUND": (-32602, 404, "NOT_FOUND"),
    "IDEMPOTENCY_CONFLICT": (-32602, 409, "ALREADY_EXISTS"),
    "UNAUTHENTICATED": (-32041, 401, "UNAUTHENTICATED"),
    "FORBIDDEN": (-32043, 403, "PERMISSION_DENIED"),
    "AGENT_NOT_FOUND": (-32044, 404, "NOT_FOUND"),
    "NOT_FOUND": (-32601, 404, "NOT_FOUND"),
    "INVALID_REQUEST": (-32600, 400, "INVALID_ARGUMENT"),
}


class Talk:
    """A case's conversation through one binding; `heard` is what came back, made comparable."""

    def __init__(self, site: Site, spoken: Spoken, gate: str) -> None:
        self.site = site
        self.spoken = spoken
        self.gate = gate
        self.heard: list[Any] = []
        self._alike = Alike()

    def __call__(self, method: str, **params: Any) -> Any:
        result = self.spoken.call(method, params)
        self.hear(result)
        return result

    def hear(self, result: Any) -> None:
        """Keeps what came, and checks that a refusal has its binding's code."""
        self.heard.append(self._alike(bindings.whole_texts(result) if isinstance(result, list) else result))
        for one in result if isinstance(result, list) else [result]:
            if isinstance(one, Refused):
                assert self.spoken.status == CODES[one.reason][bindings.NAMES.index(self.spoken.name)]

    def other(self, agent: str = "desk", headers: Mapping[str, str] | None = None) -> Talk:
        """The same binding for another agent or caller; what it hears is part of this conversation."""
        spoken = Spoken(
            self.spoken.name,
            self.spoken.url,
            self.spoken.grpc_at,
            agent,
            self.site.admin if headers is None else headers,
        )
        talk = Talk(self.site, spoken, self.gate)
        talk.heard, talk._alike = self.heard, self._alike
        return talk

    def open_gate(self) -> None:
        """Lets a skill `hold` go on."""
        with open(self.gate, "x"):
            pass

    def until(self, task_id: str, state: str) -> None:
        """Returns once the task is in `state`; nothing of the wait is kept."""
        end = time.monotonic() + 20
        while self.spoken.call("GetTask", {"id": task_id})["status"]["state"] != f"TASK_STATE_{state}":
            assert time.monotonic() < end
            time.sleep(0.01)


class Site:
    """A platform for all cases, and a second caller's key."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.admin = running.auth
        made = httpx.post(
            running.url + "/api/v1/keys", headers=running.auth, json={"principal": "bob", "label": "b"}
        ).json()
        self.bob = {"Authorization": f"Bearer {made['key']}"}

    def spoken(self, name: str, agent: str = "desk") -> Spoken:
        return Spoken(name, self.running.url, self.running.grpc, agent, self.admin)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    names = ("desk", "open", "talker", "demanding", "carded")
    running = start_platform(
        [AGENTS / name for name in names], tmp_path_factory.mktemp("agree"), A2A_PUSH_PRIVATE="127.0.0.1:9"
    )
    yield Site(running)
    running.stop()


# --- what is said ----------------------------------------------------------------------------------------


def message(*parts: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A message of its own id."""
    return {"messageId": f"m-{uuid4()}", "role": "ROLE_USER", "parts": list(parts), **fields}


def text(words: str, **fields: Any) -> dict[str, Any]:
    return message({"text": words}, **fields)


def skill(which: str, *more: Mapping[str, Any], **arguments: Any) -> dict[str, Any]:
    return message({"data": {"skill": which, "arguments": arguments}}, *more)


def said(found: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The same message with more fields."""
    return {**found, **fields}


NESTED = {"a": {"b": [1, 2.5, None, True, "ü😀", {}, []], "": "empty"}, "n": -3, "z": None}
CASES: dict[str, Callable[[Talk], None]] = {}


def case(run: Callable[[Talk], None]) -> Callable[[Talk], None]:
    CASES[run.__name__.replace("_", "-")] = run
    return run


# --- SendMessage -----------------------------------------------------------------------------------------


@case
def data_and_a_result(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("add", a=2, b=3))["task"]
    assert task["artifacts"][0]["parts"][0]["data"] == {"sum": 5}


@case
def text_for_the_default_skill(talk: Talk) -> None:
    talk("SendMessage", message=text("hello"))


@case
def an_answer_that_is_a_message(talk: Talk) -> None:
    assert "message" in talk("SendMessage", message=skill("greet", name="Bo"))


@case
def nested_metadata(talk: Talk) -> None:
    part = {"text": "x", "metadata": NESTED, "mediaType": "text/plain"}
    sent = message(part, metadata=NESTED, extensions=[SCHEMAS], referenceTaskIds=["task_x"])
    task = talk("SendMessage", message=sent, metadata={"own": NESTED})["task"]
    assert task["history"][0]["metadata"] == NESTED
    talk("GetTask", id=task["id"])


@case
def a_context_of_the_callers(talk: Talk) -> None:
    context = f"{talk.spoken.name}-ctx-{uuid4()}"
    task = talk("SendMessage", message=text("x", contextId=context))["task"]
    assert task["contextId"] == context
    talk.heard.clear()  # The context's name is the binding's own here.


@case
def polling(talk: Talk) -> None:
    wanted = {"returnImmediately": True}
    task = talk("SendMessage", message=skill("hold", gate=talk.gate), configuration=wanted)["task"]
    talk.heard.clear()  # Submitted, or working already.
    talk.open_gate()
    talk.until(task["id"], "COMPLETED")
    talk("GetTask", id=task["id"])


@case
def history_lengths(talk: Talk) -> None:
    sent = skill("advise", topic="tea")
    task = talk("SendMessage", message=sent, configuration={"historyLength": 0})["task"]
    assert "history" not in task
    found = talk("SendMessage", message=text("England", taskId=task["id"]))["task"]
    assert len(found["history"]) == 3
    for length in (0, 1, 2, 99):
        talk("GetTask", id=task["id"], historyLength=length)
    talk("GetTask", id=task["id"], historyLength=-1)
    talk("SendMessage", message=text("x"), configuration={"historyLength": -1})


@case
def accepted_output(talk: Talk) -> None:
    talk("SendMessage", message=text("x"), configuration={"acceptedOutputModes": ["image/png"]})
    talk("SendMessage", message=text("x"), configuration={"acceptedOutputModes": ["text/*"]})


@case
def a_run_that_fails_and_one_that_is_refused(talk: Talk) -> None:
    talk("SendMessage", message=skill("fail", why="x"))
    talk("SendMessage", message=skill("refuse", why="not today"))


@case
def the_same_message_twice(talk: Talk) -> None:
    sent = text("once")
    first = talk("SendMessage", message=sent)
    assert talk("SendMessage", message=sent) == first
    talk("SendMessage", message=said(sent, parts=[{"text": "another"}]))


@case
def arguments_that_do_not_fit(talk: Talk) -> None:
    talk("SendMessage", message=skill("add", a="x"))
    talk("SendMessage", message=skill("add"))
    talk("SendMessage", message=skill("nobody", a=1))
    talk("SendMessage", message=message({"data": {"skill": "add", "arguments": [1]}}))
    talk("SendMessage", message=said(text("x"), metadata={"skill": 7}))


@case
def messages_that_do_not_fit(talk: Talk) -> None:
    talk("SendMessage", message=message())
    talk("SendMessage", message=message({"text": "x"}, role="ROLE_AGENT"))
    talk("SendMessage", message=message({"filename": "x"}))
    talk("SendMessage", message=message(*[{"text": "x"}] * 101))
    talk("SendMessage", message=said(text("x"), messageId="m" * 257))
    talk("SendMessage", message=said(text("x"), contextId="c\nc"))


@case
def free_text_for_a_message_handler(talk: Talk) -> None:
    other = talk.other("talker")
    other("SendMessage", message=text("hello"))
    other("SendMessage", message=message({"text": "a"}, {"text": "b"}))


# --- files -----------------------------------------------------------------------------------------------


@case
def files_inline_and_large(talk: Talk) -> None:
    for size in (0, 1, 1000, 200_000):
        body = base64.b64encode(bytes(n % 251 for n in range(size))).decode()
        part = {"raw": body, "filename": "x.bin", "mediaType": "application/x-test"}
        task = talk("SendMessage", message=skill("measure", part, unit="b"))["task"]
        assert task["artifacts"][0]["parts"][0]["data"]["size"] == size
        talk("GetTask", id=task["id"])


@case
def a_file_of_text(talk: Talk) -> None:
    talk("SendMessage", message=skill("measure", {"text": "words", "filename": "x.txt"}))


@case
def a_file_by_its_address(talk: Talk) -> None:
    part = {"url": "http://169.254.169.254/x", "mediaType": "text/plain"}
    assert isinstance(talk("SendMessage", message=skill("measure", part)), Refused)
    assert isinstance(talk("SendMessage", message=skill("measure", {"url": "file:///etc/hosts"})), Refused)


@case
def a_file_that_nobody_wants(talk: Talk) -> None:
    talk("SendMessage", message=skill("add", {"raw": "AAAA"}, a=1))
    talk("SendMessage", message=skill("measure"))


@case
def an_artifact_that_is_large(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("make", size=200_000))["task"]
    parts = [artifact["parts"][0] for artifact in task["artifacts"]]
    (url,) = [part["url"] for part in parts if "url" in part]
    assert len(httpx.get(url).content) == 200_000


# --- tasks -----------------------------------------------------------------------------------------------


@case
def a_task_that_is_not_there(talk: Talk) -> None:
    for name in ("task_none", "x" * 300, "a b"):
        talk("GetTask", id=name)
        talk("CancelTask", id=name)
        talk("SubscribeToTask", id=name)
    talk("SendMessage", message=text("x", taskId="task_none"))
    talk("SendStreamingMessage", message=text("x", taskId="task_none"))


@case
def a_task_of_somebody_else(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("advise", topic="tea"))["task"]
    bob = talk.other(headers=talk.site.bob)
    bob("GetTask", id=task["id"])
    bob("CancelTask", id=task["id"])
    bob("SubscribeToTask", id=task["id"])
    bob("SendMessage", message=text("England", taskId=task["id"]))
    bob("SendStreamingMessage", message=text("England", taskId=task["id"]))
    bob("ListTasks", contextId=task["contextId"])
    bob("ListTaskPushNotificationConfigs", taskId=task["id"])
    talk("GetTask", id=task["id"])


@case
def a_task_of_another_agent(talk: Talk) -> None:
    task = talk("SendMessage", message=text("x"))["task"]
    talk.other("talker")("GetTask", id=task["id"])


@case
def a_follow_up_to_a_task_that_has_ended(talk: Talk) -> None:
    task = talk("SendMessage", message=text("x"))["task"]
    talk("SendMessage", message=text("more", taskId=task["id"]))
    talk("SendStreamingMessage", message=text("more", taskId=task["id"]))
    talk("SubscribeToTask", id=task["id"])
    talk("CancelTask", id=task["id"])


@case
def a_context_that_is_not_the_tasks(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("advise", topic="tea"))["task"]
    talk("SendMessage", message=text("England", taskId=task["id"], contextId="another"))
    talk("SendMessage", message=text("England", taskId=task["id"], contextId=task["contextId"]))


@case
def a_question_and_its_answers(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("advise", topic="tea"))["task"]
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    talk("SendMessage", message=text("France", taskId=task["id"]))
    talk("GetTask", id=task["id"])
    talk("SendMessage", message=text("England", taskId=task["id"]))


@case
def canceling_twice(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("advise", topic="tea"))["task"]
    talk("CancelTask", id=task["id"])
    talk("CancelTask", id=task["id"])
    talk("GetTask", id=task["id"])


@case
def lists(talk: Talk) -> None:
    context = f"ctx_{uuid4().hex}"
    for n in range(3):
        talk("SendMessage", message=text(f"n{n}", contextId=context))
    page = talk("ListTasks", contextId=context, pageSize=2)
    assert len(page["tasks"]) == 2
    token = page["nextPageToken"]
    rest = talk.spoken.call("ListTasks", {"contextId": context, "pageSize": 2, "pageToken": token})
    assert len(rest["tasks"]) == 1
    del talk.heard[-1]["nextPageToken"]  # A cursor holds times.
    talk("ListTasks", contextId=context, includeArtifacts=True, historyLength=0)
    talk("ListTasks", contextId=context, status="TASK_STATE_COMPLETED", historyLength=1)
    talk("ListTasks", contextId=context, status="TASK_STATE_WORKING")
    talk("ListTasks", contextId=context, statusTimestampAfter="2026-01-01T00:00:00Z")
    talk("ListTasks", contextId=context, statusTimestampAfter="2126-01-01T00:00:00.5Z")


@case
def lists_that_do_not_fit(talk: Talk) -> None:
    talk("ListTasks", pageSize=0)
    talk("ListTasks", pageSize=101)
    talk("ListTasks", pageSize=-1)
    talk("ListTasks", historyLength=-1)
    talk("ListTasks", pageToken="nonsense")
    talk("ListTasks", pageToken="x" * 600)
    talk("ListTasks", status=99)
    talk("ListTasks", contextId="a\nb")


# --- streams ---------------------------------------------------------------------------------------------


@case
def a_stream_of_words(talk: Talk) -> None:
    events = talk("SendStreamingMessage", message=skill("words", text="a b c"))
    assert "task" in events[0]
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


@case
def a_stream_of_an_answer_that_is_a_message(talk: Talk) -> None:
    talk("SendStreamingMessage", message=skill("greet", name="Bo"))


@case
def a_stream_that_asks(talk: Talk) -> None:
    events = talk("SendStreamingMessage", message=skill("advise", topic="tea"))
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    task_id = events[0]["task"]["id"]
    events = talk("SendStreamingMessage", message=text("England", taskId=task_id))
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


@case
def a_stream_of_a_run_that_fails(talk: Talk) -> None:
    talk("SendStreamingMessage", message=skill("fail", why="x"))
    talk("SendStreamingMessage", message=skill("refuse", why="not today"))
    talk("SendStreamingMessage", message=skill("make", size=200_000))


@case
def a_retry_of_a_stream(talk: Talk) -> None:
    sent = skill("words", text="a b c")
    task = talk("SendMessage", message=sent)["task"]
    events = talk("SendStreamingMessage", message=sent)
    assert events[0]["task"]["id"] == task["id"]
    reply = skill("greet", name="Bo")
    talk("SendMessage", message=reply)
    assert "message" in talk("SendStreamingMessage", message=reply)[0]


@case
def subscribing(talk: Talk) -> None:
    stream = talk.spoken.opened("SendStreamingMessage", {"message": skill("hold", gate=talk.gate, words=3)})
    seen = [next(stream)]
    while "word2" not in str(seen[-1]):
        seen.append(next(stream))
    task_id = seen[0]["task"]["id"]
    second = talk.spoken.opened("SubscribeToTask", {"id": task_id})
    now = next(second)
    assert now["task"]["artifacts"][0]["parts"][0]["text"] == "word0 word1 word2 "
    talk.open_gate()
    rest = list(stream)
    assert list(second) == rest
    talk.hear([*seen, *rest])
    talk.hear([now, *rest])


@case
def a_stream_of_a_task_that_is_canceled(talk: Talk) -> None:
    stream = talk.spoken.opened("SendStreamingMessage", {"message": skill("hold", gate=talk.gate)})
    seen = [next(stream)]
    talk("CancelTask", id=seen[0]["task"]["id"])
    talk.heard.clear()  # It may have begun to wait, or not.
    last = list(stream)[-1]
    talk.hear([seen[0], last])


@case
def streams_that_do_not_begin(talk: Talk) -> None:
    talk("SendStreamingMessage", message=message())
    talk("SendStreamingMessage", message=skill("add", a="x"))
    talk("SendStreamingMessage", message=text("x"), configuration={"acceptedOutputModes": ["image/png"]})


# --- push notifications, cards, extensions, versions, tenants, callers ------------------------------------


@case
def push_configs(talk: Talk) -> None:
    task = talk("SendMessage", message=skill("advise", topic="tea"))["task"]
    config = {
        "taskId": task["id"],
        "id": "mine",
        "url": "http://127.0.0.1:9/hook?a=b",
        "token": "t",
        "authentication": {"scheme": "Bearer", "credentials": "secret"},
    }
    talk("CreateTaskPushNotificationConfig", **config)
    talk("CreateTaskPushNotificationConfig", taskId=task["id"], url="http://127.0.0.1:9/other")
    talk("GetTaskPushNotificationConfig", taskId=task["id"], id="mine")
    talk("ListTaskPushNotificationConfigs", taskId=task["id"])
    talk("ListTaskPushNotificationConfigs", taskId=task["id"], pageSize=1)
    talk("DeleteTaskPushNotificationConfig", taskId=task["id"], id="mine")
    talk("DeleteTaskPushNotificationConfig", taskId=task["id"], id="mine")
    talk("GetTaskPushNotificationConfig", taskId=task["id"], id="mine")
    talk("CreateTaskPushNotificationConfig", taskId=task["id"], url="http://10.0.0.1/")
    talk("CreateTaskPushNotificationConfig", taskId="task_none", url="http://127.0.0.1:9/")
    talk("ListTaskPushNotificationConfigs", taskId=task["id"], pageSize=-1)
    talk("CancelTask", id=task["id"])


@case
def push_in_a_message(talk: Talk) -> None:
    wanted = {"taskPushNotificationConfig": {"url": "http://10.0.0.1/"}}
    talk("SendMessage", message=text("x"), configuration=wanted)
    wanted = {"taskPushNotificationConfig": {"id": "c", "url": "http://127.0.0.1:9/"}}
    task = talk("SendMessage", message=text("x"), configuration=wanted)["task"]
    talk("GetTaskPushNotificationConfig", taskId=task["id"], id="c")


@case
def extended_cards(talk: Talk) -> None:
    talk("GetExtendedAgentCard")
    talk.other("carded", {})("GetExtendedAgentCard")
    card = talk.other("carded")("GetExtendedAgentCard")
    assert "inside" in [found["id"] for found in card["skills"]]


@case
def extensions(talk: Talk) -> None:
    other = talk.other("demanding")
    other("SendMessage", message=text("x"))
    other("SendStreamingMessage", message=text("x"))
    named = talk.other("demanding", {**talk.site.admin, "A2A-Extensions": f"urn:x, {EXTENSION}"})
    named("SendMessage", message=text("x"))
    talk.heard.append(named.spoken.extensions)
    assert named.spoken.extensions == EXTENSION
    named("SendStreamingMessage", message=text("x"))
    talk.heard.append(named.spoken.extensions)
    other("SendMessage", message=text("x", extensions=[EXTENSION]))


@case
def versions(talk: Talk) -> None:
    for version in ("1.2", "9.0", "x"):
        refused = talk.other(headers={**talk.site.admin, "A2A-Version": version})("ListTasks")
        assert refused.reason == "VERSION_NOT_SUPPORTED"
    talk.heard.clear()  # gRPC speaks 1.0 alone, and says so.
    for version in ("1.0", "1.0.7"):
        talk.other(headers={**talk.site.admin, "A2A-Version": version})("SendMessage", message=text("x"))


@case
def tenants(talk: Talk) -> None:
    talk("SendMessage", tenant="desk", message=text("x"))
    task = talk("SendMessage", tenant="default.desk", message=text("x"))["task"]
    talk("GetTask", tenant="desk", id=task["id"])
    talk("ListTasks", tenant="desk", contextId=task["contextId"])
    talk("SendStreamingMessage", tenant="desk", message=text("x"))


@case
def callers(talk: Talk) -> None:
    talk.other(headers={})("SendMessage", message=text("x"))
    talk.other(headers={"Authorization": "Bearer nonsense"})("SendMessage", message=text("x"))
    talk.other(headers={"Authorization": "Basic eDp5"})("SendMessage", message=text("x"))
    talk.other(headers={"X-API-Key": "nonsense"})("ListTasks")
    key = talk.site.running.key
    talk.other(headers={"X-API-Key": key})("SendMessage", message=text("x"))
    talk.other(headers={"X-API-Key": "another", **talk.site.admin})("SendMessage", message=text("x"))
    talk.other("nobody")("SendMessage", message=text("x"))
    talk.other("nobody", {})("SendMessage", message=text("x"))


@case
def anybody_may_call_a_public_agent(talk: Talk) -> None:
    anybody = talk.other("open", {})
    task = anybody("SendMessage", message=text("x"))["task"]
    anybody("GetTask", id=task["id"])
    anybody("ListTasks")


# --- the comparison --------------------------------------------------------------------------------------


def converse(site: Site, name: str, run: Callable[[Talk], None], gate: str) -> list[Any]:
    talk = Talk(site, site.spoken(name), gate)
    run(talk)
    return talk.heard


@pytest.mark.parametrize("name", CASES)
def test_the_bindings_agree(site: Site, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    gates = [str(tmp_path_factory.mktemp("gate") / "g") for _ in bindings.NAMES]
    heard = [
        _without(converse(site, binding, CASES[name], gate), gate)
        for binding, gate in zip(bindings.NAMES, gates, strict=True)
    ]
    assert heard[1] == heard[0]
    assert heard[2] == heard[0]


def _without(heard: Any, gate: str) -> Any:
    """What was heard, without what a message says of its own: its id, and its gate."""
    if isinstance(heard, list):
        return [_without(item, gate) for item in heard]
    if isinstance(heard, dict):
        return {
            name: "<said>" if name == "messageId" and str(item).startswith("m-") else _without(item, gate)
            for name, item in heard.items()
        }
    return "<gate>" if heard == gate else heard


def test_a_retry_may_take_another_binding(site: Site) -> None:
    """One message through all three is one task, whatever its data look like on the way."""
    raw = base64.b64encode(b"\xff\xfe\xfd" * 10)
    sent = message(
        {"data": {"skill": "measure", "arguments": {"unit": "b"}}, "metadata": {"b": 2, "a": 1.5}},
        {"raw": raw.decode(), "filename": "x", "metadata": {"param": "document", "n": 2}},
        metadata={"z": 3, "a": {"y": 1, "b": 0.5}},
    )
    results = [site.spoken(name).call("SendMessage", {"message": sent}) for name in bindings.NAMES]
    assert results[0]["task"]["id"] == results[1]["task"]["id"] == results[2]["task"]["id"]
    again = said(sent, metadata={"z": 3.0, "a": {"b": 0.5, "y": 1.0}})
    again["parts"] = [
        sent["parts"][0],
        {**sent["parts"][1], "raw": raw.translate(bytes.maketrans(b"+/", b"-_")).decode()},
    ]
    for name in bindings.NAMES[:2]:
        assert site.spoken(name).call("SendMessage", {"message": again}) == results[0]


def test_a_tenant_that_is_not_there(site: Site) -> None:
    """By gRPC the tenant is the address; elsewhere the address names the agent, and any other is refused."""
    reasons = {
        name: site.spoken(name).call(method, {"tenant": "nobody", **params}).reason
        for name in bindings.NAMES
        for method, params in (("SendMessage", {"message": text("x")}), ("GetTask", {"id": "task_x"}))
    }
    assert set(reasons.values()) == {"AGENT_NOT_FOUND"}
