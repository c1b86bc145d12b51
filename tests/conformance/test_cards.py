"""Cards, extensions and decisions of people, as official clients and curl meet them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import official as sdk
import outside
import pytest
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import ClientCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors
from a2a.utils.signing import create_signature_verifier
from google.protobuf import json_format
from joserfc import jwk, jws
from joserfc.errors import BadSignatureError
from jwt.api_jwk import PyJWK

from running import AGENTS, Running, start_platform

HITL = "https://kagent.dev/extensions/hitl/v1"
CITATIONS = "https://example.com/extensions/citations/v1"
SEALED = "https://example.com/extensions/sealed/v1"
V1 = {"A2A-Version": "1.0"}


@pytest.fixture(scope="module")
def carded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform with the agents carded (public) and demanding."""
    folders = [AGENTS / "carded", AGENTS / "demanding", AGENTS / "desk"]
    running = start_platform(folders, tmp_path_factory.mktemp("carded"))
    yield running
    running.stop()


def verifier(base: str) -> Callable[[pb.AgentCard], None]:
    """Checks signatures with keys of the card's own origin."""
    origin = "/".join(base.split("/")[:3])

    def key(kid: str | None, jku: str | None) -> PyJWK:
        assert jku == f"{origin}/.well-known/jwks.json"
        keys = httpx.get(jku).json()["keys"]
        (found,) = [one for one in keys if one["kid"] == kid]
        return PyJWK(found)

    return create_signature_verifier(key, ["ES256"])


# --- the card ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/.well-known/agent-card.json", "/.well-known/agent.json", "/card"])
def test_the_official_client_verifies_the_card(carded: Running, path: str) -> None:
    async def fetch(base: str, headers: dict[str, str]) -> pb.AgentCard:
        async with httpx.AsyncClient(headers=headers) as http:
            resolver = A2ACardResolver(http, base, path)
            return await resolver.get_agent_card(signature_verifier=verifier(base))

    base = carded.agent("carded")
    card = asyncio.run(fetch(base, {}))
    assert [skill.id for skill in card.skills] == ["cite", "greet", "choose", "reach"]
    assert card.capabilities.extended_agent_card
    assert asyncio.run(fetch(carded.agent("demanding"), carded.auth)).name == "demanding"


def test_the_official_0_3_client_reads_the_same_card_and_finds_it_signed(carded: Running) -> None:
    base = carded.agent("carded")
    paths = ["/.well-known/agent-card.json", "/.well-known/agent.json"]
    program = [outside.python("a2a-0.3"), outside.PROGRAMS / "old_card.py"]
    keys = httpx.get(f"{carded.url}/.well-known/jwks.json").json()["keys"]
    (key,) = [jwk.ECKey.import_key(one) for one in keys if one["kty"] == "EC"]
    for card in outside.lines([*program, base, *paths]):
        assert (card["url"], card["transport"], card["version"]) == (base, "JSONRPC", "0.3.0")
        assert card["schemes"] == {"bearer": "http", "apiKey": "apiKey", "oauth2": "openIdConnect"}
        assert card["security"] is None
        assert card["extended"] is card["states"] is True
        assert CITATIONS in card["extensions"]
        payload = base64.urlsafe_b64encode(card["canonical"].encode()).rstrip(b"=").decode()
        held = 0
        for protected, signature in card["signatures"]:
            with suppress(BadSignatureError):
                jws.deserialize_compact(f"{protected}.{payload}.{signature}", key, ["ES256"])
                held += 1
        assert held == 1


def test_the_states_of_a_task_are_shown_to_older_clients(carded: Running) -> None:
    """`stateTransitionHistory`, which the card of 0.3 promises; 1.0 knows no such thing."""
    task = begun(carded, "choose")
    old = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": task["id"]}}
    base = carded.agent("carded")
    found = httpx.post(base, json=old, headers=carded.auth).json()["result"]["metadata"]["a2a-cloud/states"]
    assert [one["state"] for one in found] == ["submitted", "working", "input-required"]
    assert sorted(one["timestamp"] for one in found) == [one["timestamp"] for one in found]
    new = {**old, "method": "GetTask"}
    shown = httpx.post(base, json=new, headers={**V1, **carded.auth}).json()["result"]
    assert "a2a-cloud/states" not in shown["metadata"]


def test_the_keys_are_where_the_card_is(carded: Running) -> None:
    """Also on an agent's own host name, and without a key where the card needs one."""
    host = {"Host": f"demanding.localhost:{carded.port}"}
    card = httpx.get(f"{carded.url}/.well-known/agent-card.json", headers={**host, **carded.auth}).json()
    assert card["url"] == f"http://demanding.localhost:{carded.port}"
    keys = httpx.get(f"{carded.url}/.well-known/jwks.json", headers=host)
    assert keys.status_code == 200
    assert {key["alg"] for key in keys.json()["keys"]} >= {"Ed25519", "ES256"}
    assert not any("d" in key for key in keys.json()["keys"])


def test_a_card_that_the_caller_has_is_not_sent_again(carded: Running) -> None:
    url = carded.agent("carded") + "/.well-known/agent-card.json"
    first = httpx.get(url)
    assert first.headers["cache-control"] == "public, max-age=60"
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    assert httpx.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert httpx.get(url, headers={"If-Modified-Since": modified}).status_code == 304
    assert httpx.get(url, headers={"If-None-Match": '"other"'}).content == first.content
    private = httpx.get(carded.agent("demanding") + "/card", headers=carded.auth)
    assert private.headers["cache-control"] == "private, max-age=60"
    assert httpx.get(carded.agent("demanding") + "/card").status_code == 401


# --- the extended card ------------------------------------------------------------------------------------


@pytest.mark.parametrize("binding", sdk.BINDINGS)
def test_the_official_client_gets_the_extended_card(carded: Running, binding: str) -> None:
    async def inside() -> pb.AgentCard:
        base = carded.agent("carded")
        async with sdk.client(base, carded.auth, binding) as client:
            return await client.get_extended_agent_card(
                pb.GetExtendedAgentCardRequest(), signature_verifier=verifier(base)
            )

    card = asyncio.run(inside())
    (found,) = [skill for skill in card.skills if skill.id == "inside"]
    assert [list(one.schemes) for one in found.security_requirements] == [["bearer"], ["apiKey"], ["oauth2"]]


def test_who_gets_the_extended_card(carded: Running) -> None:
    url = carded.agent("carded") + "/extendedAgentCard"
    assert httpx.get(url, headers=V1).status_code == 401
    found = httpx.get(url, headers={**V1, **carded.auth})
    again = httpx.get(url, headers={**V1, **carded.auth, "If-None-Match": found.headers["etag"]})
    assert again.status_code == 304
    without = httpx.get(carded.agent("desk") + "/extendedAgentCard", headers={**V1, **carded.auth})
    assert without.json()["error"]["details"][0]["reason"] == "UNSUPPORTED_OPERATION"
    body = {"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard"}
    answer = httpx.post(carded.agent("desk"), json=body, headers={**V1, **carded.auth}).json()
    assert answer["error"]["code"] == -32004


def test_a_skill_for_callers_with_a_key_is_not_there_for_others(carded: Running) -> None:
    base = carded.agent("carded")
    said = {"text": "x"}
    assert httpx.post(f"{base}/invoke/inside", json=said, headers=carded.auth).json() == "inside x"
    refused = httpx.post(f"{base}/invoke/inside", json=said)
    assert (refused.status_code, refused.json()["code"]) == (404, "skill_not_found")
    assert "inside" not in refused.json()["remedy"]
    missing = httpx.post(f"{base}/invoke/other", json=said).json()
    assert refused.json()["detail"].replace("inside", "other") == missing["detail"]
    part = {"data": {"skill": "inside", "arguments": said}}
    assert "error" in send(carded, "carded", {"parts": [part]}, auth={})
    assert send(carded, "carded", {"parts": [part]})["result"]["task"]["status"]["state"] == (
        "TASK_STATE_COMPLETED"
    )
    for path, word in (("/openapi.json", "/invoke/inside"), ("/docs", "For callers with a key")):
        assert word not in httpx.get(base + path).text
        assert word in httpx.get(base + path, headers=carded.auth).text


# --- extensions -------------------------------------------------------------------------------------------


def send(
    platform: Running,
    agent: str,
    message: dict[str, Any],
    *,
    auth: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    method: str = "SendMessage",
) -> dict[str, Any]:
    """The JSON-RPC answer to a message; of a stream all its events, as `{"events": […]}`."""
    said = {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": "hello"}], **message}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": said}}
    own = platform.auth if auth is None else auth
    answer = httpx.post(platform.agent(agent), json=body, headers={**V1, **own, **(headers or {})})
    if answer.headers["content-type"].startswith("text/event-stream"):
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        return {"events": [json.loads(line)["result"] for line in lines]}
    return answer.json()


@pytest.mark.parametrize("header", ["A2A-Extensions", "X-A2A-Extensions"])
def test_extensions_are_activated_by_the_header_and_echoed(carded: Running, header: str) -> None:
    said = {"message": {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": "hi"}]}}
    url = carded.agent("carded") + "/message:send"
    answer = httpx.post(url, json=said, headers={**V1, header: f"urn:unknown, {CITATIONS}"})
    assert answer.headers["a2a-extensions"] == CITATIONS
    artifacts = {one["artifactId"]: one for one in answer.json()["task"]["artifacts"]}
    assert artifacts["said"]["extensions"] == [CITATIONS]
    assert artifacts["said"]["metadata"][CITATIONS] == {"sources": ["https://example.com/book"]}
    assert artifacts["result"]["parts"][0]["data"] == [CITATIONS]


def test_extensions_are_activated_by_the_message(carded: Running) -> None:
    artifacts = send(carded, "carded", {"extensions": [CITATIONS]})["result"]["task"]["artifacts"]
    assert artifacts[0]["extensions"] == [CITATIONS]
    part = {"data": {"skill": "greet", "arguments": {"name": "Bo"}}}
    message = send(carded, "carded", {"parts": [part], "extensions": [CITATIONS, "urn:x"]})["result"][
        "message"
    ]
    assert message["metadata"][CITATIONS] == {"named": [CITATIONS, "urn:x"]}
    assert message["extensions"] == [CITATIONS]


def test_without_them_nothing_of_them_is_there(carded: Running) -> None:
    task = send(carded, "carded", {})["result"]["task"]
    assert "metadata" not in task["artifacts"][0]
    assert task["artifacts"][1]["parts"][0]["data"] == []


@pytest.mark.parametrize("binding", sdk.BINDINGS)
def test_the_official_client_has_to_name_what_is_required(carded: Running, binding: str) -> None:
    async def inside(context: ClientCallContext | None) -> list[pb.StreamResponse]:
        async with sdk.client(carded.agent("demanding"), carded.auth, binding) as client:
            return await sdk.all_of(client.send_message(sdk.text("hi"), context=context))

    with pytest.raises(errors.ExtensionSupportRequiredError):
        asyncio.run(inside(None))
    context = ClientCallContext(service_parameters={"A2A-Extensions": SEALED})
    (event,) = asyncio.run(inside(context))
    assert json_format.MessageToDict(event.task.artifacts[0].parts[0].data) == {
        "text": "hi",
        "extensions": [SEALED],
    }


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
def test_what_is_required_is_required_of_each_way_to_send(carded: Running, method: str) -> None:
    error = send(carded, "demanding", {}, method=method)["error"]
    assert error["code"] == -32008
    assert error["data"][0]["metadata"]["extensions"] == SEALED
    said = {"message": {"messageId": "a", "role": "ROLE_USER", "parts": [{"text": "hi"}]}}
    refused = httpx.post(carded.agent("demanding") + "/tasks", json=said, headers={**V1, **carded.auth})
    assert refused.json()["error"]["details"][0]["reason"] == "EXTENSION_SUPPORT_REQUIRED"
    assert "a2a-extensions" not in refused.headers


# --- people in the loop -----------------------------------------------------------------------------------

WANTS = {"headers": {"A2A-Extensions": HITL}}


def payload(task: dict[str, Any]) -> dict[str, Any]:
    message = task["status"]["message"]
    assert message["extensions"] == [HITL]
    return message["metadata"][HITL]


def respond(
    platform: Running, task: dict[str, Any], response: dict[str, Any], **kwargs: Any
) -> dict[str, Any]:
    said = {
        "taskId": task["id"],
        "parts": [{"text": "see the metadata"}],
        "extensions": [HITL],
        "metadata": {HITL: response},
    }
    return send(platform, "carded", said, **kwargs)


def answered(ident: str, *answers: list[str]) -> dict[str, Any]:
    return {"type": "ask_user_response", "id": ident, "answers": [{"answer": one} for one in answers]}


def decided(ident: str, approved: bool, reason: str = "") -> dict[str, Any]:
    one = {"id": ident, "approved": approved, **({"rejection_reason": reason} if reason else {})}
    return {"type": "tool_approval_response", "approvals": [one]}


def begun(platform: Running, skill: str, **kwargs: Any) -> dict[str, Any]:
    return send(platform, "carded", {"parts": [{"data": {"skill": skill}}]}, **kwargs)["result"]["task"]


def test_questions_are_asked_and_answered_in_the_extensions_words(carded: Running) -> None:
    task = begun(carded, "choose", **WANTS)
    request = payload(task)
    assert request["type"] == "ask_user_request"
    assert sorted(request["questions"][0]["choices"]) == ["blue", "green", "red"]
    wrong = respond(carded, task, answered("other", ["green"]))["error"]
    assert wrong["code"] == -32602
    assert request["id"] in wrong["message"]
    assert respond(carded, task, answered(request["id"], ["pink"]))["error"]["code"] == -32602
    task = respond(carded, task, answered(request["id"], ["green"]))["result"]["task"]
    task = respond(carded, task, answered(payload(task)["id"], ["yes"]))["result"]["task"]
    request = payload(task)
    given = {"width": ["30"], "sides": ["left", "right"]}
    names = [one["question"].split(" — ")[1].split(":")[0] for one in request["questions"]]
    answers = [given.get(name, []) for name in names]
    task = respond(carded, task, answered(request["id"], *answers))["result"]["task"]
    assert task["artifacts"][0]["parts"][0]["data"] == [
        "green",
        True,
        {"width": 30, "sides": ["left", "right"]},
    ]


def test_a_question_can_be_answered_by_plain_text_too(carded: Running) -> None:
    task = begun(carded, "choose", **WANTS)
    plain = {"taskId": task["id"], "parts": [{"text": "red"}]}
    task = send(carded, "carded", plain)["result"]["task"]
    assert task["status"]["message"]["parts"][0]["text"] == "Sure?"
    # The run knows that its caller understands the extension, whoever forgot to name it in between.
    assert payload(task)["questions"][0]["choices"] == ["yes", "no"]


def test_a_question_outlives_a_restart_in_those_words(platform: Callable[..., Running]) -> None:
    running = platform(["carded"])
    task = begun(running, "choose", **WANTS)
    running.kill()
    running.restart()
    task = respond(running, task, answered(payload(task)["id"], ["green"]))["result"]["task"]
    assert payload(task)["questions"][0]["question"] == "Sure?"


def test_who_does_not_name_the_extension_sees_nothing_of_it(carded: Running) -> None:
    for skill in ("choose", "reach"):
        message = begun(carded, skill)["status"]["message"]
        assert "extensions" not in message
        assert HITL not in message["metadata"]


def key_of(platform: Running, principal: str, role: str) -> dict[str, str]:
    wanted = {"principal": principal, "org": "default", "role": role, "label": ""}
    made = httpx.post(f"{platform.url}/api/v1/keys", json=wanted, headers=platform.auth).json()
    return {"Authorization": f"Bearer {made['key']}"}


def test_approvals_are_decided_by_those_who_may(carded: Running) -> None:
    task = begun(carded, "reach", **WANTS)
    assert task["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
    request = payload(task)
    (tool,) = request["tools"]
    assert (request["type"], request["hint"]) == (
        "tool_approval_request",
        "The run asks to read finance/** (the report).",
    )
    assert (tool["name"], tool["args"]) == ("request_scope", {"read": ["finance/**"]})
    yes = decided(tool["id"], True)
    bob, eve = key_of(carded, "bob", "admin"), key_of(carded, "eve", "member")
    # Nobody approves their own request; others who may not decide do not see the task.
    assert respond(carded, task, yes)["error"]["data"][0]["reason"] == "FORBIDDEN"
    for auth in ({}, eve):
        assert respond(carded, task, yes, auth=auth)["error"]["code"] == -32001
    for response in (decided("appr_other", True), {**yes, "approvals": yes["approvals"] * 2}):
        assert respond(carded, task, response)["error"]["code"] == -32602
    said = respond(carded, task, yes, auth=bob)["result"]["message"]
    assert said["parts"][0]["text"] == "It is approved: the run goes on."
    found = send(carded, "carded", {"taskId": task["id"]})["error"]
    assert "ended" in found["message"] or "completed" in found["message"]
    closed = respond(carded, task, decided(tool["id"], False), auth=bob)["error"]
    assert closed["data"][0]["reason"] == "APPROVAL_CLOSED"


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"tenant": "nobody"}, 404),
        ({"configuration": {"historyLength": -1}}, -32602),
        ({"configuration": {"taskPushNotificationConfig": {"url": "http://127.0.0.1/"}}}, -32001),
    ],
    ids=["tenant", "history", "push"],
)
@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
def test_a_decision_is_checked_as_every_message_is(
    carded: Running, method: str, extra: dict[str, Any], code: int
) -> None:
    task = begun(carded, "reach", **WANTS)
    (tool,) = payload(task)["tools"]
    body = {
        "messageId": uuid4().hex,
        "role": "ROLE_USER",
        "taskId": task["id"],
        "parts": [{"text": "decided"}],
        "extensions": [HITL],
        "metadata": {HITL: decided(tool["id"], True)},
    }
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": body, **extra}}
    auth = key_of(carded, "grace", "admin")
    answer = httpx.post(carded.agent("carded"), json=call, headers={**V1, **auth})
    assert answer.status_code == 404 if code == 404 else answer.json()["error"]["code"] == code
    waits = httpx.get(f"{carded.agent('carded')}/tasks/{task['id']}", headers={**V1, **carded.auth}).json()
    assert waits["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
def test_a_rejection_and_its_reason_reach_the_skill(carded: Running, method: str) -> None:
    task = begun(carded, "reach", **WANTS)
    no = decided(payload(task)["tools"][0]["id"], False, "not this year")
    answer = respond(carded, task, no, method=method)
    if method == "SendMessage":
        artifacts = answer["result"]["task"]["artifacts"]
    else:
        events = answer["events"]
        assert events[0]["task"]["status"]["state"] == "TASK_STATE_WORKING"
        assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
        artifacts = [event["artifactUpdate"]["artifact"] for event in events if "artifactUpdate" in event]
    text = artifacts[-1]["parts"][0]["text"]
    assert text.startswith("scope_denied: It was denied by ")
    assert text.endswith(": not this year.")
