"""Limits from outside: every dialect is refused in its own words, and no road leads around them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from calling import Said, begin, invoke, request, wait_for
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from running import Running, start_platform

Start = Callable[..., Running]
METED = Path(__file__).parents[1] / "agents" / "meted"
NOBODY = {"Authorization": ""}


@pytest.fixture(scope="module")
def meted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([METED], tmp_path_factory.mktemp("meted"))
    # The one call that it may have in an hour.
    assert invoke(running, "meted", "rare", text="first").status == 200
    yield running
    running.stop()


def key_of(running: Running, name: str, **more: Any) -> str:
    made = request(running, "POST", "/api/v1/keys", {"principal": name, **more})
    assert made.status == 201, made.body
    return made.json["key"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def message(skill: str, **more: Any) -> dict[str, Any]:
    return {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": skill, "arguments": {"text": "x"}}}],
        **more,
    }


def refused_by_grpc(running: Running, skill: str, authorization: str, *more: tuple[str, str]) -> Any:
    """The error of a call that is too much."""
    said = pb.SendMessageRequest()
    json_format.ParseDict({"tenant": "meted", "message": message(skill)}, said)
    with grpc.insecure_channel(running.grpc) as channel:
        send: Any = channel.unary_unary("/lf.a2a.v1.A2AService/SendMessage")
        metadata = [*more, *([("authorization", authorization)] if authorization else [])]
        with pytest.raises(grpc.RpcError) as caught:
            send(said.SerializeToString(), metadata=metadata, timeout=20)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return error


def said_so(answer: Said, limit: str) -> None:
    """The fields that go with a refusal, in every dialect."""
    assert answer.headers["ratelimit-policy"].startswith(f'"{limit}";q=1;w=')
    assert answer.headers["ratelimit"].startswith(f'"{limit}";r=0;t=')
    assert 0 < int(answer.headers["retry-after"]) <= 3600


def test_invoke(meted: Running) -> None:
    answer = invoke(meted, "meted", "rare", text="x")
    assert (answer.status, answer.code) == (429, "rate_limited")
    said_so(answer, "skill")
    assert answer.json["limit"] == "skill"
    assert answer.json["again"].endswith("Z")
    assert "Retry-After" in answer.json["remedy"]


def test_http_json(meted: Running) -> None:
    for path in ("message:send", "message:stream"):
        answer = request(meted, "POST", f"/agents/meted/{path}", {"message": message("rare")})
        assert answer.status == 429
        said_so(answer, "skill")
        details = answer.json["error"]["details"]
        assert details[0]["reason"] == "RATE_LIMITED"
        assert details[-1]["retryDelay"].endswith("s")


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
def test_json_rpc(meted: Running, method: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message("rare")}}
    answer = request(meted, "POST", "/agents/meted", body, {"A2A-Version": "1.0"})
    assert answer.status == 429
    said_so(answer, "skill")
    assert answer.json["error"]["code"] == -32030
    assert answer.json["error"]["data"][0]["metadata"]["limit"] == "skill"


def test_json_rpc_of_0_3(meted: Running) -> None:
    parts = [{"kind": "data", "data": {"skill": "rare", "arguments": {"text": "x"}}}]
    said = {"kind": "message", "messageId": "m1", "role": "user", "parts": parts}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": said}}
    answer = request(meted, "POST", "/agents/meted", body)
    assert answer.status == 429
    said_so(answer, "skill")


def test_mcp(meted: Running) -> None:
    head = {"Accept": "application/json, text/event-stream"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    first = request(
        meted,
        "POST",
        "/agents/meted/mcp",
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        head,
    )
    head |= {"Mcp-Session-Id": first.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    params = {"name": "rare", "arguments": {"text": "x"}}
    answer = request(
        meted,
        "POST",
        "/agents/meted/mcp",
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params},
        head,
    )
    assert answer.status == 429
    said_so(answer, "skill")
    assert answer.json["error"]["data"]["code"] == "rate_limited"


def test_grpc(meted: Running) -> None:
    error = refused_by_grpc(meted, "rare", f"Bearer {meted.key}")
    trailing = dict(error.trailing_metadata())
    assert trailing["ratelimit"].startswith('"skill";r=0')
    assert int(trailing["retry-after"]) > 0
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds > 0


def test_a_hook(meted: Running) -> None:
    made = request(meted, "POST", "/api/v1/hooks", {"agent": "meted", "skill": "rare", "scheme": "none"})
    assert made.status == 201, made.body
    path = "/" + made.json["url"].split("/", 3)[3]
    answer = request(meted, "POST", path, {"text": "x"}, NOBODY)
    assert answer.status == 429
    said_so(answer, "skill")


def test_a_child(meted: Running) -> None:
    key = key_of(meted, "parent")
    answer = request(meted, "POST", "/agents/meted/invoke/asks_others", {"times": 3}, bearer(key))
    assert answer.json == ["0", "1", "budget_spent"]


def test_a_budget_is_for_each_caller_whatever_key_they_show(meted: Running) -> None:
    one, two, other = key_of(meted, "spender"), key_of(meted, "spender"), key_of(meted, "saver")
    path = "/agents/meted/invoke/twice_a_day"
    assert request(meted, "POST", path, {"text": "a"}, bearer(one)).status == 200
    sent = message("twice_a_day")
    first = request(meted, "POST", "/agents/meted/message:send", {"message": sent}, bearer(two))
    assert first.status == 200
    for key in (one, two):
        answer = request(meted, "POST", path, {"text": "c"}, bearer(key))
        assert (answer.status, answer.code) == (429, "budget_spent")
        assert answer.headers["ratelimit"].startswith('"day";r=0;t=')
        assert answer.json["again"].endswith("T00:00:00.000Z")
    # What was taken before is answered as before.
    again = request(meted, "POST", "/agents/meted/message:send", {"message": sent}, bearer(two))
    assert (again.status, again.json["task"]["id"]) == (200, first.json["task"]["id"])
    assert request(meted, "POST", path, {"text": "d"}, bearer(other)).status == 200
    # A repeat cost nothing.
    key = key_of(meted, "repeater")
    for _ in range(4):
        assert (
            request(meted, "POST", path, {"text": "e"}, {**bearer(key), "Idempotency-Key": "k"}).status == 200
        )
    assert request(meted, "POST", path, {"text": "f"}, bearer(key)).status == 200
    shown = request(meted, "GET", "/api/v1/limits?agent=meted", headers=bearer(key)).json
    assert shown["agent"]["used"]["twice_a_day"]["day"] == [2, 2]
    assert "rules" not in shown


def test_runs_at_a_time_and_the_seat_is_given_back(meted: Running, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    held = [begin(meted, "meted", "hold", gate=str(gate)) for _ in range(3)]
    wait_for(lambda: request(meted, "GET", "/api/v1/limits").json["running"] == 3)
    answer = invoke(meted, "meted", "free", text="x")
    assert (answer.status, answer.json["limit"]) == (429, "agent-runs")
    assert answer.headers["ratelimit-policy"] == '"agent-runs";q=3;qu="concurrent-requests"'
    assert request(meted, "POST", "/agents/meted/invoke/free", {"text": "x"}, NOBODY).status == 200
    gate.touch()
    assert [each.result(20).status for each in held] == [200] * 3
    assert invoke(meted, "meted", "free", text="x").status == 200
    assert request(meted, "GET", "/api/v1/limits").json["running"] == 0


def test_what_somebody_set_holds_at_once(meted: Running) -> None:
    key = key_of(meted, "busy")
    who, path = bearer(key), "/agents/meted/invoke/free"
    assert request(meted, "PUT", "/api/v1/limits/caller:busy", {"calls": "2/h"}, who).code == "forbidden"
    made = request(meted, "PUT", "/api/v1/limits/caller:busy", {"calls": "2/h", "requests": "8/h"})
    assert made.json == {"target": "caller:busy", "limits": {"requests": "8/h", "calls": "2/h"}}
    codes = [request(meted, "POST", path, {"text": "x"}, who) for _ in range(8)]
    assert [each.status for each in codes] == [200, 200, *[429] * 6]
    # Who has used more than half of their requests is told so, on good answers and bad.
    assert "ratelimit" not in codes[0].headers
    assert codes[5].headers["ratelimit"].startswith('"calls";r=0')
    last = request(meted, "GET", "/agents/meted/card", headers=who)
    assert (last.status, last.json["limit"]) == (429, "requests")
    assert request(meted, "GET", "/api/v1/whoami", headers=who).status == 429
    assert request(meted, "DELETE", "/api/v1/limits/caller:busy").json["removed"] is True
    # The same part of the new rate is used: there is some of it a moment later.
    wait_for(lambda: request(meted, "GET", "/agents/meted/card", headers=who).status == 200)
    assert request(meted, "DELETE", "/api/v1/limits/caller:busy").status == 404


def test_how_much_is_left_is_said_past_the_half(meted: Running) -> None:
    key = key_of(meted, "half")
    request(meted, "PUT", "/api/v1/limits/caller:half", {"requests": "10/h"})
    said = [
        request(meted, "GET", "/agents/meted/card", headers=bearer(key)).headers.get("ratelimit", "")
        for _ in range(10)
    ]
    assert said[:5] == [""] * 5
    assert [each.split(";")[1] for each in said[5:]] == ["r=4", "r=3", "r=2", "r=1", "r=0"]


def test_other_organisations_are_set_by_who_runs_the_platform(meted: Running) -> None:
    boss = bearer(key_of(meted, "boss", org="acme", role="admin"))
    worker = bearer(key_of(meted, "worker", org="acme"))
    put = {"calls": "50/s"}
    assert request(meted, "PUT", "/api/v1/limits/callers", put, boss).status == 200
    assert request(meted, "GET", "/api/v1/limits", headers=worker).json["limits"]["calls"] == "50/s"
    for target in ("ceiling", "anonymous", "sign-in"):
        assert request(meted, "PUT", f"/api/v1/limits/{target}", put, boss).code == "forbidden"
    for path in ("callers?org=default", "callers?org=nowhere"):
        assert request(meted, "PUT", f"/api/v1/limits/{path}", put, boss).code == "forbidden"
    assert request(meted, "GET", "/api/v1/limits?org=default", headers=boss).code == "forbidden"
    assert request(meted, "PUT", "/api/v1/limits/ceiling?org=acme", {"calls": "5/s"}).status == 200
    assert request(meted, "GET", "/api/v1/limits", headers=boss).json["limits"]["calls"] == "5/s"
    assert request(meted, "GET", "/api/v1/limits?org=acme").json["rules"] == {
        "callers": {"calls": "50/s"},
        "ceiling": {"calls": "5/s"},
    }
    assert "callers" not in request(meted, "GET", "/api/v1/limits").json["rules"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"calls": 1}', b'{"day": "x"}', b'{"x": 1}', b'{"day": 1e400}', b"\xff"],
    ids=["empty", "open", "list", "number", "text", "unknown", "infinite", "no-utf8"],
)
def test_bad_rules_are_refused(meted: Running, body: bytes) -> None:
    head = {"Content-Type": "application/json"}
    answer = request(meted, "PUT", "/api/v1/limits/callers", body, head)
    assert answer.status == 400
    assert answer.json["remedy"] or answer.code in ("malformed", "invalid_request")


def test_the_card_says_what_holds(meted: Running) -> None:
    card = request(meted, "GET", "/agents/meted/.well-known/agent-card.json", headers=NOBODY)
    found = [
        one for one in card.json["capabilities"]["extensions"] if one["uri"] == "urn:a2a-cloud:limits:v1"
    ]
    params = found[0]["params"]
    assert params["skills"]["rare"]["rate"] == {"quota": 1, "window": 3600}
    assert params["skills"]["twice_a_day"]["budget"]["day"] == 2
    assert params["caller"]["runs"] == 3
    assert params["anonymous"]["rate"]["quota"] > 0
    again = request(
        meted,
        "GET",
        "/agents/meted/.well-known/agent-card.json",
        headers={**NOBODY, "If-None-Match": card.headers["etag"]},
    )
    assert again.status == 304


def test_strangers_and_guessers_go_by_address(platform: Start) -> None:
    running = platform(["meted"])
    put = request(running, "PUT", "/api/v1/limits/anonymous", {"requests": "5/h"})
    assert put.status == 200
    path = "/agents/meted/invoke/free"
    assert request(running, "POST", path, {"text": "x"}, NOBODY).status == 200
    for number in range(4):
        guessed = bearer(f"a2a_{number:012x}_{'x' * 43}")
        assert request(running, "POST", path, {"text": "x"}, guessed).status == 401
    guessed = bearer(f"a2a_{9:012x}_{'x' * 43}")
    assert request(running, "POST", path, {"text": "x"}, guessed).status == 429
    for authorization in ("", guessed["Authorization"]):
        refused_by_grpc(running, "free", authorization)
    answer = request(running, "GET", "/api/v1/agents", headers=NOBODY)
    assert (answer.status, answer.json["limit"]) == (429, "address")
    # Who has a key is not held up by the others of their address.
    assert invoke(running, "meted", "free", text="x").status == 200


def test_behind_a_proxy_the_address_is_the_callers_own(platform: Start) -> None:
    running = platform(["meted"], A2A_TRUSTED_PROXIES="127.0.0.1")
    request(running, "PUT", "/api/v1/limits/anonymous", {"requests": "1/h"})
    path = "/agents/meted/card"
    one, two = {**NOBODY, "X-Forwarded-For": "192.0.2.1"}, {**NOBODY, "X-Forwarded-For": "192.0.2.2"}
    assert request(running, "GET", path, headers=one).status == 200
    assert request(running, "GET", path, headers=one).status == 429
    refused_by_grpc(running, "free", "", ("x-forwarded-for", "192.0.2.1"))
    # What the client itself wrote in front of what the proxy wrote helps nobody.
    lie = {**NOBODY, "X-Forwarded-For": "192.0.2.2, 192.0.2.1"}
    assert request(running, "GET", path, headers=lie).status == 429
    assert request(running, "GET", path, headers=two).status == 200


def test_budgets_outlive_a_restart_and_a_crash_loses_a_second_at_most(platform: Start) -> None:
    running = platform(["meted"])
    assert invoke(running, "meted", "twice_a_day", text="1").status == 200
    running.stop()
    running.restart()
    assert invoke(running, "meted", "twice_a_day", text="2").status == 200
    # It is written by itself, a second later.
    database = running.data / "journal.db"
    wait_for(lambda: _used(database) == 2)
    running.kill()
    running.restart()
    assert invoke(running, "meted", "twice_a_day", text="3").code == "budget_spent"


def test_a_run_of_the_last_life_takes_its_seat(platform: Start, tmp_path: Path) -> None:
    running = platform(["kitchen"])
    parts: Any = [{"data": {"skill": "questions", "arguments": {}}}]
    sent = {"message": message("questions", parts=parts)}
    task = request(running, "POST", "/agents/kitchen/message:send", sent)
    assert task.json["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    running.kill()
    running.restart()
    assert request(running, "GET", "/api/v1/limits").json["running"] == 1
    request(running, "PUT", "/api/v1/limits/callers", {"runs": 1})
    assert invoke(running, "kitchen", "facts").json["limit"] == "runs"
    path = f"/agents/kitchen/tasks/{task.json['task']['id']}:cancel"
    assert request(running, "POST", path, {}).status == 200
    assert request(running, "GET", "/api/v1/limits").json["running"] == 0
    assert invoke(running, "kitchen", "facts").status == 200


def test_limits_can_be_off(platform: Start) -> None:
    running = platform(["meted"], A2A_LIMITS="off")
    for _ in range(3):
        assert invoke(running, "meted", "rare", text="x").status == 200
    assert request(running, "GET", "/api/v1/limits").code == "unavailable"
    card = request(running, "GET", "/agents/meted/card").json
    assert "urn:a2a-cloud:limits:v1" not in json.dumps(card)


def _used(database: Path) -> int:
    import sqlite3

    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        row = connection.execute(
            "SELECT MAX(used) FROM budget_use WHERE skill='twice_a_day' AND LENGTH(span)=10"
        ).fetchone()
    finally:
        connection.close()
    return row[0] or 0
