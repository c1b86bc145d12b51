"""Paid calls from outside: every dialect is refused in its own words before anything begins; prices, budgets
and credits are set by who may; receipts say what was paid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from calling import Said, request, wait_for
from google.protobuf import json_format

from a2a_cloud.control.billing.check import CHECKS, RAILS
from running import SOURCE, Running, start_platform

PRICED = Path(__file__).parents[1] / "agents" / "priced"


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("priced")
    running = start_platform([PRICED], home, A2A_CURRENCIES="USD:6", A2A_PLATFORM_SHARE="1000")
    yield running
    running.stop()


def key_of(running: Running, name: str, **more: Any) -> dict[str, str]:
    made = request(running, "POST", "/api/v1/keys", {"principal": name, **more})
    assert made.status == 201, made.body
    return {"Authorization": f"Bearer {made.json['key']}"}


def price(running: Running, skill: str, **terms: Any) -> Said:
    body = {"currency": "USD", **terms}
    said = request(running, "PUT", f"/api/v1/agents/priced/prices/{skill}", body)
    assert said.status == 200, said.body
    return said


def credit(running: Running, amount: str, **more: Any) -> Said:
    body = {"org": "default", "amount": amount, "currency": "USD", **more}
    return request(running, "POST", "/api/v1/credits", body)


def rich(running: Running, name: str, amount: str = "10.00", **more: Any) -> dict[str, str]:
    """A caller's key, with an account of their own."""
    key = key_of(running, name, **more)
    assert credit(running, amount, caller=name).status == 200
    return key


def call(running: Running, skill: str, key: dict[str, str], headers: dict[str, str] | None = None, /, **arguments: Any) -> Said:  # noqa: E501  # fmt: skip
    return request(running, "POST", f"/agents/priced/invoke/{skill}", arguments, {**key, **(headers or {})})


def left(running: Running, name: str) -> str:
    accounts = request(running, "GET", "/api/v1/credits").json["accounts"]
    return next(one["available"] for one in accounts if one.get("caller") == name)


def message(skill: str, **arguments: Any) -> dict[str, Any]:
    data = {"skill": skill, "arguments": arguments}
    return {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [{"data": data}]}


def told(running: Running) -> set[str]:
    """The kinds of the newest events of the audit log."""
    return {one["kind"] for one in request(running, "GET", "/api/v1/audit").json["events"]}


def receipt(running: Running, said: Said) -> dict[str, Any]:
    return request(running, "GET", f"/agents/priced/runs/{said.run}/receipt").json


def test_every_dialect_is_refused_in_its_own_words(priced: Running) -> None:
    price(priced, "echo", call="0.25")
    poor = key_of(priced, "poor")
    refused = call(priced, "echo", poor, text="x")
    assert (refused.status, refused.code) == (402, "payment_required")
    assert {"amount": "0.250000", "left": "0.000000", "currency": "USD"}.items() <= refused.json.items()
    rest = request(
        priced, "POST", "/agents/priced/message:send", {"message": message("echo", text="x")}, poor
    )
    assert rest.status == 402
    assert rest.json["error"]["details"][0]["reason"] == "PAYMENT_REQUIRED"
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "SendMessage",
        "params": {"message": message("echo", text="x")},
    }
    rpc = request(priced, "POST", "/agents/priced", body, {**poor, "A2A-Version": "1.0"})
    assert rpc.json["error"]["code"] == -32032
    head = {**poor, "Accept": "application/json, text/event-stream"}
    capable = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    mcp = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": capable}
    first = request(priced, "POST", "/agents/priced/mcp", mcp, head)
    head |= {"Mcp-Session-Id": first.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    told = {"name": "echo", "arguments": {"text": "x"}}
    mcp = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": told}
    tool = request(priced, "POST", "/agents/priced/mcp", mcp, head)
    assert "may cost 0.250000 USD" in tool.body.decode(), tool.body
    said = pb.SendMessageRequest()
    json_format.ParseDict({"tenant": "priced", "message": message("echo", text="x")}, said)
    with grpc.insecure_channel(priced.grpc) as channel:
        send: Any = channel.unary_unary("/lf.a2a.v1.A2AService/SendMessage")
        with pytest.raises(grpc.RpcError) as caught:
            send(said.SerializeToString(), metadata=[("authorization", poor["Authorization"])], timeout=20)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    stranger = call(priced, "echo", {"Authorization": ""}, text="x")
    assert (stranger.status, stranger.code) == (402, "payment_required")
    runs = request(priced, "GET", "/api/v1/runs", headers=poor).json["runs"]
    assert runs == []


def test_a_paid_call_and_its_receipt(priced: Running) -> None:
    version = price(priced, "echo", call="0.000015").json["version"]
    ada = rich(priced, "ada", "1.00")
    said = call(priced, "echo", ada, text="x")
    assert said.status == 200
    assert left(priced, "ada") == "0.999985"
    document = receipt(priced, said)
    assert document["body"]["price"] == {"amount": 15, "currency": "USD", "scale": 6, "version": version}
    lines = document["sections"]["ledger"]["value"]
    assert [(one["account"], one["amount"]) for one in lines] == [
        ("prepaid/default/ada:USD", -15),
        ("owner/default:USD", 13),
        ("platform/fees:USD", 1),
        ("platform/rounding:USD", 1),
    ]
    own = request(priced, "GET", f"/agents/priced/runs/{said.run}/receipt", headers=ada).json
    assert "sections" not in own
    assert own["body"]["ledger"]["txn_id"] == document["body"]["ledger"]["txn_id"]
    path = f"/api/v1/ledger/{document['body']['ledger']['txn_id']}"
    txn = request(priced, "GET", path, headers=key_of(priced, "auditor", role="auditor"))
    assert [one["account"] for one in txn.json["entries"]] == [
        "prepaid/default/ada:USD",
        "owner/default:USD",
    ]
    assert txn.json["run"] == said.run
    assert len(request(priced, "GET", f"{path}?org=*").json["entries"]) == 4


def test_what_fails_costs_nothing_and_a_repeat_costs_once(priced: Running) -> None:
    price(priced, "fails", call="1.00")
    price(priced, "echo", call="0.60")
    eve = rich(priced, "eva", "1.00")
    assert call(priced, "fails", eve, text="no").status == 500
    first = call(priced, "echo", eve, {"Idempotency-Key": "once"}, text="x")
    again = call(priced, "echo", eve, {"Idempotency-Key": "once"}, text="x")
    assert (first.status, again.status, again.run) == (200, 200, first.run)
    assert call(priced, "echo", eve, {"Idempotency-Key": "more"}, text="x").code == "payment_required"
    assert left(priced, "eva") == "0.400000"


def test_meters_and_what_the_platform_measures(priced: Running) -> None:
    meters = {"tokens": {"each": "2.00", "units": 1_000_000}, "seconds": {"each": "0.001"}}
    price(priced, "words", meters=meters, most="0.50")
    mia = rich(priced, "mia", "1.00")
    said = call(priced, "words", mia, count=100_000)
    document = receipt(priced, said)
    used = {one["meter"]: one for one in document["body"]["usage"]}
    assert used["tokens"]["qty"] == "100000"
    assert (used["seconds"]["unit"], float(used["seconds"]["qty"]) < 60) == ("s", True)
    wanted = 200_000 + round(float(used["seconds"]["qty"]) * 1000)
    assert document["body"]["price"]["amount"] == wanted
    assert receipt(priced, call(priced, "words", mia, count=10**9))["body"]["price"]["amount"] == 500_000


def test_a_run_that_waits_keeps_its_hold_and_pays_for_no_waiting(priced: Running) -> None:
    price(priced, "waits", meters={"seconds": {"each": "0.10"}}, most="0.90")
    wim = rich(priced, "wim", "1.00")
    said = request(priced, "POST", "/agents/priced/message:send", {"message": message("waits")}, wim)
    task = said.json["task"]
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert left(priced, "wim") == "0.100000"
    assert call(priced, "waits", wim).code == "payment_required"
    time.sleep(1.5)
    part = {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "taskId": task["id"],
        "parts": [{"text": "now"}],
    }
    done = request(priced, "POST", "/agents/priced/message:send", {"message": part}, wim)
    assert done.json["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert float(left(priced, "wim")) > 0.88


def test_a_canceled_run_gives_back_what_was_held(priced: Running, tmp_path: Path) -> None:
    price(priced, "gated", call="0.80")
    cam = rich(priced, "cam", "1.00")
    begun = request(priced, "POST", "/agents/priced/invoke/gated?async=1", {"gate": str(tmp_path / "g")}, cam)
    assert left(priced, "cam") == "0.200000"
    assert request(priced, "POST", f"/api/v1/runs/{begun.run}/cancel", {}).status == 200
    wait_for(lambda: left(priced, "cam") == "1.000000")


def test_what_a_run_calls_spends_what_the_call_was_given(priced: Running) -> None:
    price(priced, "echo", call="0.40")
    pia = rich(priced, "pia", "2.00")
    said = call(priced, "plan", pia, {"A2A-Budget": "1.00USD"}, times=3)
    assert said.json == ["0", "1", "over_budget"]
    assert left(priced, "pia") == "1.200000"
    told = message("plan", times=2)
    told["metadata"] = {"a2a-cloud/budget": "0.50 usd"}
    body = {"message": told}
    answered = request(priced, "POST", "/agents/priced/message:send", body, pia).json["task"]
    assert answered["artifacts"][0]["parts"][0]["data"] in (
        ["0", "over_budget"],
        {"result": ["0", "over_budget"]},
    )
    for wrong in ("1.00", "lots USD", "1.00 ABC"):
        assert call(priced, "plan", pia, {"A2A-Budget": wrong}, times=1).code == "invalid_params"
    whole = receipt(priced, said)
    assert "price" not in whole["body"]
    assert len(whole["sections"]["children"]["value"]) == 2


def test_budgets_say_what_is_left_and_when_there_is_more(priced: Running) -> None:
    price(priced, "echo", call="0.40")
    bea, bob = rich(priced, "bea"), rich(priced, "bob")
    body = {"amount": "1.00", "currency": "USD", "period": "month", "callers": ["bea", "bob"]}
    made = request(priced, "PUT", "/api/v1/budgets/two", body)
    assert made.status == 200, made.body
    assert made.json["resets"].endswith("-01T00:00:00.000Z")
    assert [call(priced, "echo", who, text="x").status for who in (bea, bob, bea)] == [200, 200, 402]
    refused = call(priced, "echo", bob, text="x")
    assert (refused.code, refused.json["budget"], refused.json["left"]) == ("over_budget", "two", "0.200000")
    assert refused.json["again"] == made.json["resets"]
    shown = request(priced, "GET", "/api/v1/budgets").json["budgets"]
    assert [one["used"] for one in shown if one["name"] == "two"] == [
        [{"spent": "0.800000", "held": "0.000000", "left": "0.200000"}]
    ]
    assert request(priced, "DELETE", "/api/v1/budgets/two").status == 200
    assert {"budget.set", "budget.removed"} <= told(priced)
    assert call(priced, "echo", bob, text="x").status == 200


def test_refunds(priced: Running) -> None:
    price(priced, "echo", call="0.40")
    rob = rich(priced, "rob", "1.00")
    said = call(priced, "echo", rob, text="x")
    done = request(priced, "POST", "/api/v1/credits/refund", {"run": said.run, "amount": "0.10"})
    assert (done.json["refunded"], done.json["charged"]) == ("0.100000", "0.400000")
    once = {"Idempotency-Key": "r1"}
    for _ in range(2):
        done = request(priced, "POST", "/api/v1/credits/refund", {"run": said.run}, once)
        assert done.json["refunded"] == "0.400000"
    assert left(priced, "rob") == "1.000000"
    assert request(priced, "POST", "/api/v1/credits/refund", {"run": said.run}).code == "invalid_params"
    assert request(priced, "POST", "/api/v1/credits/refund", {"run": "run_0"}).code == "run_not_found"
    assert "charge.refunded" in told(priced)


def test_who_may(priced: Running) -> None:
    member, viewer = key_of(priced, "mo"), key_of(priced, "vi", role="viewer")
    clerk = key_of(priced, "clerk", role="billing")
    paths = ["/api/v1/budgets", "/api/v1/ledger", "/api/v1/ledger/accounts"]
    assert [request(priced, "GET", path, headers=member).status for path in paths] == [403] * 3
    assert [request(priced, "GET", path, headers=viewer).status for path in paths] == [200] * 3
    terms = {"currency": "USD", "call": "0.01"}
    for key, status in ((member, 403), (viewer, 403), (clerk, 200)):
        assert request(priced, "PUT", "/api/v1/agents/priced/prices/plan", terms, key).status == status
        body = {"amount": "900", "currency": "USD"}
        assert request(priced, "PUT", "/api/v1/budgets/wide", body, key).status == status
        assert request(priced, "GET", "/api/v1/ledger/check", headers=key).status == status
        paid = {"org": "default", "amount": "1", "currency": "EUR"}
        assert request(priced, "POST", "/api/v1/credits", paid, key).status == status
    assert request(priced, "DELETE", "/api/v1/agents/priced/prices/plan", headers=clerk).status == 200
    assert request(priced, "DELETE", "/api/v1/budgets/wide", headers=clerk).status == 200
    shown = request(priced, "GET", "/api/v1/agents/priced/prices", headers=member).json["prices"]
    assert "plan" not in {one["skill"] for one in shown}
    assert request(priced, "GET", "/api/v1/credits", headers=member).json == {"accounts": []}
    narrow = key_of(priced, "na", scopes=["agents.call"])
    assert request(priced, "GET", "/api/v1/agents/priced/prices", headers=narrow).status == 200
    assert request(priced, "PUT", "/api/v1/agents/priced/prices/plan", terms, narrow).status == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("PUT", "/api/v1/agents/priced/prices/echo", {"currency": "USD"}, "invalid_params"),
        ("PUT", "/api/v1/agents/priced/prices/echo", {"currency": "ABC", "call": "1"}, "invalid_params"),
        ("PUT", "/api/v1/agents/priced/prices/echo", {"currency": "USD", "call": 1}, "invalid_params"),
        ("PUT", "/api/v1/agents/priced/prices/echo", {"currency": "USD", "each": "1"}, "invalid_params"),
        ("PUT", "/api/v1/agents/priced/prices/none", {"currency": "USD", "call": "1"}, "skill_not_found"),
        ("PUT", "/api/v1/agents/nobody/prices/echo", {"currency": "USD", "call": "1"}, "agent_not_found"),
        ("PUT", "/api/v1/budgets/b", {"amount": "1", "currency": "USD", "period": "year"}, "invalid_params"),
        ("PUT", "/api/v1/budgets/b%20c", {"amount": "1", "currency": "USD"}, "invalid_params"),
        ("POST", "/api/v1/credits", {"org": "no", "amount": "1", "currency": "USD"}, "not_found"),
        ("POST", "/api/v1/credits", {"org": "default", "amount": "0", "currency": "USD"}, "invalid_params"),
        ("POST", "/api/v1/credits", {"org": "default", "amount": "-1", "currency": "USD"}, "invalid_params"),
        (
            "POST",
            "/api/v1/credits",
            {"org": "default", "amount": "1", "currency": "USD", "expires": "soon"},
            "invalid_params",
        ),
        (
            "POST",
            "/api/v1/credits",
            {"org": "default", "amount": "1", "currency": "USD", "expires": "2020-01-01"},
            "invalid_params",
        ),
        ("GET", "/api/v1/ledger/txn_0", None, "not_found"),
        ("DELETE", "/api/v1/budgets/none", None, "not_found"),
    ],
    ids=lambda one: one if isinstance(one, str) and one.startswith("/") else "",
)
def test_bad_input(priced: Running, method: str, path: str, body: Any, code: str) -> None:
    said = request(priced, method, path, body)
    assert said.code == code, said.body
    assert said.json["remedy"]


def test_it_adds_up_over_a_restart(priced: Running, tmp_path: Path) -> None:
    price(priced, "gated", call="0.80")
    price(priced, "waits", call="0.30")
    zoe = rich(priced, "zoe", "2.00")
    said = request(priced, "POST", "/agents/priced/message:send", {"message": message("waits")}, zoe)
    request(priced, "POST", "/agents/priced/invoke/gated?async=1", {"gate": str(tmp_path / "g")}, zoe)
    assert left(priced, "zoe") == "0.900000"
    priced.kill()
    priced.restart()
    wait_for(lambda: left(priced, "zoe") == "1.700000")
    task = said.json["task"]["id"]
    part = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "taskId": task, "parts": [{"text": "now"}]}
    done = request(priced, "POST", "/agents/priced/message:send", {"message": part}, zoe)
    assert done.json["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert left(priced, "zoe") == "1.700000"
    accounts = request(priced, "GET", "/api/v1/credits").json["accounts"]
    assert next(one["balance"] for one in accounts if one.get("caller") == "zoe") == "1.700000"
    found = request(priced, "GET", "/api/v1/ledger/check").json
    assert found["holds"], [one for one in found["checks"] if not one["holds"]]
    balance = request(priced, "POST", "/api/v1/ledger/balance", {}).json
    assert set(balance["sums"].values()) == {0}
    assert {"ledger.balanced", "price.set", "credit.granted"} <= told(priced)


def test_nobody_pays_for_seconds_in_which_the_platform_was_down(priced: Running) -> None:
    price(priced, "waits", meters={"seconds": {"each": "0.01"}}, most="0.90")
    sam = rich(priced, "sam", "1.00")
    asked = {"message": message("waits", seconds=1.5)}
    task = request(priced, "POST", "/agents/priced/message:send", asked, sam).json["task"]["id"]
    part = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "taskId": task, "parts": [{"text": "now"}]}
    sent = {"message": part, "configuration": {"returnImmediately": True}}
    assert request(priced, "POST", "/agents/priced/message:send", sent, sam).status == 200
    time.sleep(0.5)
    priced.kill()
    time.sleep(3.0)
    priced.restart()
    path = f"/agents/priced/tasks/{task}"
    wait_for(
        lambda: request(priced, "GET", path, None, sam).json["status"]["state"] == "TASK_STATE_COMPLETED"
    )
    lines = request(priced, "GET", "/api/v1/usage?by=caller,run&caller=sam").json["lines"]
    body = request(priced, "GET", f"/agents/priced/runs/{lines[0]['run']}/receipt").json["body"]
    (used,) = body["usage"]
    took = datetime.fromisoformat(body["ended_at"]) - datetime.fromisoformat(body["started_at"])
    assert 1.5 <= float(used["qty"]) <= took.total_seconds() - 3.0


def test_the_command_line(priced: Running) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    env |= {
        "A2A_URL": priced.url,
        "A2A_KEY": priced.key,
        "A2A_DATA": str(priced.data),
        "PYTHONPATH": str(SOURCE),
    }

    def a2a(*words: str, code: int = 0) -> Any:
        command = [sys.executable, "-m", "a2a_cloud.callers.cli", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return json.loads(done.stdout) if "--json" in words else done.stdout

    terms = ["--meter", "tokens=2.00/1000", "--free", "tokens=5", "--most", "0.50", "--charge-failed"]
    made = a2a("prices", "set", "priced/words", *terms, "--json")
    assert made["meters"] == {"tokens": {"each": "2.00", "units": 1000, "free": 5}}
    assert "2.00 USD for 1000 tokens, 5 tokens free, 0.50 USD at most" in a2a(
        "prices", "show", "priced/words"
    )
    assert (
        a2a("prices", "set", "priced/fails", "--tier", "10:0.05", "--tier", "0.03", "--json")["model"]
        == "tiered"
    )
    assert a2a("prices", "set", "priced/waits", "--flat", "1.00/day", "--json")["flat"]["period"] == "day"
    assert "a day" in a2a("prices", "ls", "priced")
    a2a("prices", "set", "priced/words", "--meter", "tokens", code=2)
    a2a("prices", "rm", "priced/fails")
    a2a("prices", "set", "priced/echo", "--call", "0.40")
    a2a("call", "priced", "echo", "text=x", code=4)
    assert "2.00" in a2a("credits", "grant", "default/admin", "2.00", "USD", "--memo", "for tests")
    assert a2a("budgets", "set", "mine", "--amount", "0.50", "--caller", "admin", "--json")["callers"] == [
        "admin"
    ]
    assert a2a("call", "priced", "echo", "text=x") == "x\n"
    refused = a2a("call", "priced", "echo", "text=x", "--json", code=4)
    assert refused["error"]["code"] == "over_budget"
    assert "0.100000" in a2a("budgets", "ls")
    a2a("budgets", "rm", "mine")
    a2a("call", "priced", "plan", "times:=1", "--budget", "nothing", code=2)
    assert a2a("call", "priced", "plan", "times:=1", "--budget", "0.10USD", "--json")["result"] == [
        "over_budget"
    ]
    assert "prepaid/default/admin:USD" in a2a("credits")
    newest = a2a("ledger", "ls", "--limit", "1", "--json")["transactions"][0]
    assert "given back" in a2a("credits", "refund", newest["run"], "--amount", "0.1")
    assert newest["id"] in a2a("ledger", "show", newest["id"], "--org", "*")
    assert "owner/default:USD" in a2a("ledger", "accounts")
    assert a2a("ledger", "check").count("ok ") == len(CHECKS) + len(RAILS)
    assert "sums: 0 USD" in a2a("ledger", "balance")
