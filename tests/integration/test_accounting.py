"""Usage, invoices, payouts and prices from outside: a month's cycle on a platform with a test clock, who sees
what of it, and what a call costs before one makes it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import Said, invoke, request

from running import AGENTS, SOURCE, Running, start_platform

DAY = 86_400
PRICING = "urn:a2a-cloud:pricing:v1"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform(
        [AGENTS / "open"],
        tmp_path_factory.mktemp("house"),
        A2A_TEST_CLOCK="1",
        A2A_SELLER_NAME="Seller GmbH",
        A2A_SELLER_ADDRESS="Street 1\\nTown",
    )
    yield running
    running.stop()


def key_of(running: Running, name: str, **more: Any) -> dict[str, str]:
    made = request(running, "POST", "/api/v1/keys", {"principal": name, **more})
    assert made.status == 201, made.body
    return {"Authorization": f"Bearer {made.json['key']}"}


def card(running: Running) -> tuple[dict[str, Any], str]:
    said = request(running, "GET", "/agents/open/.well-known/agent-card.json")
    return said.json, said.headers["etag"]


def priced(document: dict[str, Any]) -> dict[str, Any] | None:
    found = [one for one in document["capabilities"]["extensions"] if one["uri"] == PRICING]
    return found[0]["params"] if found else None


def now(running: Running) -> str:
    return request(running, "GET", "/api/v1/billing/clock").json["now"]


def command(running: Running, *words: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "A2A_URL": running.url, "A2A_KEY": running.key, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words], env=env, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def paid(house: Running) -> Running:
    """Three calls: one free, two paid; and what the card said before and after."""
    before, etag = card(house)
    assert priced(before) is None
    terms = {"currency": "USD", "call": "0.25", "free_calls": 1}
    put = request(house, "PUT", "/api/v1/agents/open/prices/shout", terms)
    assert put.status in (200, 201), put.body
    after, changed = card(house)
    assert changed != etag
    assert priced(after) == {
        "skills": {
            "shout": {
                "version": 1,
                "currency": "USD",
                "scale": 2,
                "model": "per_call",
                "about": "0.25 USD a call; the first call of a month is free.",
                "call": "0.25",
                "freeCalls": 1,
            }
        }
    }
    grant = {"org": "default", "amount": "5.00", "currency": "USD"}
    made = request(house, "POST", "/api/v1/credits", grant)
    assert made.status in (200, 201), made.body
    for _ in range(3):
        assert invoke(house, "open", "shout", text="x").status == 200
    return house


def test_what_a_call_costs_is_said_wherever_an_agent_is_shown(paid: Running) -> None:
    price = (priced(card(paid)[0]) or {})["skills"]["shout"]
    shown = request(paid, "GET", "/api/v1/agents/open").json
    assert shown["skills"][0]["price"] == price
    found = request(paid, "GET", "/api/v1/search?q=louder&by=words").json
    assert found["agents"][0]["skills"][0]["price"] == price
    api = request(paid, "GET", "/agents/open/openapi.json").json
    assert api["paths"]["/invoke/shout"]["post"]["x-a2a-cloud-price"] == price
    assert price["about"] in request(paid, "GET", "/agents/open/docs").body.decode()
    early = request(paid, "GET", "/agents/open/.well-known/agent.json").json
    assert priced(early) == priced(card(paid)[0])
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": _MCP}}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/list",
    }
    tools = request(paid, "POST", "/agents/open/mcp", asked, headers)
    (tool,) = [one for one in tools.json["result"]["tools"] if one["name"] == "shout"]
    assert tool["_meta"]["a2a-cloud/price"] == price
    assert price["about"].encode() in command(paid, "show", "open").stdout


_MCP = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def test_usage_as_json_and_csv(paid: Running) -> None:
    found = request(paid, "GET", "/api/v1/usage?by=agent,skill,caller").json
    (line,) = [one for one in found["lines"] if one["caller"] == "admin@default"]
    assert (line["agent"], line["skill"], line["completed"]) == ("open", "shout", 3)
    assert line["money"] == [{"currency": "USD", "scale": 2, "amount": 50, "value": "0.50"}]
    said = request(paid, "GET", "/api/v1/usage?by=skill,day", headers={"Accept": "text/csv"})
    assert said.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(said.body.decode()))
    assert (row["skill"], row["calls"], row["amount USD"]) == ("shout", "3", "0.50")
    keys = request(paid, "GET", "/api/v1/usage?by=key").json["lines"]
    assert keys[0]["key"] == paid.key.split("_")[1]
    first = request(paid, "GET", "/api/v1/usage?by=run&limit=2").json
    second = request(paid, "GET", f"/api/v1/usage?by=run&limit=2&cursor={first['next']}").json
    assert len({one["run"] for one in first["lines"] + second["lines"]}) == 3
    assert second["next"] == ""
    shown = command(paid, "usage", "--json")
    assert json.loads(shown.stdout)["total"]["calls"] == 3


@pytest.mark.parametrize(
    "query",
    [
        "by=colour",
        "by=day,day",
        "since=yesterday",
        "since=2026-02-01&until=2026-01-01",
        "side=all",
        "limit=0",
        "format=xml",
    ],
    ids=range(7),
)
def test_a_question_that_makes_no_sense_says_why(house: Running, query: str) -> None:
    said = request(house, "GET", f"/api/v1/usage?{query}")
    assert (said.status, said.code) == (400, "invalid_params")


def test_usage_of_others_is_for_who_may_read_it(paid: Running) -> None:
    member = key_of(paid, "mia")
    assert invoke(paid, "open", "shout", text="x").status == 200
    own = request(paid, "GET", "/api/v1/usage", headers=member).json
    assert (own["side"], own["total"]["calls"]) == ("own", 0)
    assert request(paid, "GET", "/api/v1/usage?side=agents", headers=member).code == "forbidden"
    assert request(paid, "GET", "/api/v1/usage", headers={"Authorization": ""}).status == 401
    for method, path in (
        ("GET", "/api/v1/invoices"),
        ("GET", "/api/v1/invoices/1"),
        ("GET", "/api/v1/payouts"),
        ("GET", "/api/v1/billing/party"),
        ("GET", "/api/v1/billing/clock"),
        ("GET", "/billing"),
    ):
        assert request(paid, method, path, headers=member).code == "forbidden", path
    viewer = key_of(paid, "vic", role="viewer")
    assert request(paid, "GET", "/api/v1/invoices", headers=viewer).status == 200
    for path, body in (
        ("/api/v1/invoices", {"month": "2026-01"}),
        ("/api/v1/payouts", {"org": "default", "currency": "USD"}),
        ("/api/v1/billing/clock", {"seconds": 1}),
    ):
        assert request(paid, "POST", path, body, viewer).code == "forbidden", path
    manager = key_of(paid, "mia", role="billing", scopes=["billing.manage"])
    assert request(paid, "GET", "/billing", headers=manager).status == 200
    narrowed = key_of(paid, "nat", role="admin", scopes=["agents.call"])
    assert request(paid, "GET", "/api/v1/usage", headers=narrowed).code == "forbidden"


def test_a_month_s_cycle(paid: Running) -> None:
    month = now(paid)[:7]
    early = request(paid, "POST", "/api/v1/invoices", {"month": month})
    assert early.code == "invalid_params"
    assert "is not over" in early.detail
    made = request(paid, "POST", "/api/v1/orgs", {"name": "globex"})
    assert made.status == 201, made.body
    address = {"name": "Käufer <b>", "address": ["Gasse 2"], "tax_id": "T2"}
    assert request(paid, "PUT", "/api/v1/billing/party", address).json["name"] == "Käufer <b>"

    moved = request(paid, "POST", "/api/v1/billing/clock", {"seconds": 31 * DAY}).json
    assert moved["ahead"] == 31 * DAY
    assert moved["now"][:7] > month
    first = request(paid, "POST", "/api/v1/invoices", {"month": month, "org": "default"})
    assert first.status == 201, first.body
    (invoice,) = first.json["invoices"]
    assert (invoice["number"], invoice["buyer"]["name"]) == ("INV-1", "Käufer <b>")
    assert (invoice["seller"]["name"], invoice["seller"]["address"]) == ("Seller GmbH", ["Street 1", "Town"])
    paid_calls = sum(line["calls"] for line in invoice["lines"])
    assert invoice["totals"][0]["total"] == 25 * paid_calls >= 50
    assert (
        request(paid, "POST", "/api/v1/invoices", {"month": month, "org": "default"}).code == "already_exists"
    )
    again = request(paid, "POST", "/api/v1/invoices", {"month": month})
    assert (again.status, again.json["invoices"]) == (200, [])
    assert request(paid, "GET", "/api/v1/invoices/1/verify").json["same"] is True
    check_files(paid)
    check_others(paid)

    # What is refunded now is a credit note of the next month.
    run = request(paid, "GET", "/api/v1/usage?by=run").json
    charged = next(one["run"] for one in run["lines"] if one["money"])
    back = request(paid, "POST", "/api/v1/credits/refund", {"run": charged})
    assert back.status in (200, 201), back.body
    second = now(paid)[:7]
    request(paid, "POST", "/api/v1/billing/clock", {"seconds": 31 * DAY})
    (note,) = request(paid, "POST", "/api/v1/invoices", {"month": second}).json["invoices"]
    assert (note["kind"], note["of"], note["totals"][0]["total"]) == ("credit_note", "INV-1", -25)

    statement = request(paid, "GET", f"/api/v1/payouts?month={second}").json
    left = statement["totals"][0]["closing"]
    assert left == 25 * (paid_calls - 1)
    key = {"Idempotency-Key": "p1"}
    wish = {"org": "default", "currency": "USD", "ref": "wire"}
    out = request(paid, "POST", "/api/v1/payouts", wish, key)
    assert out.status == 201
    assert out.json["left"] == "0.00"
    assert request(paid, "POST", "/api/v1/payouts", wish, key).json["txn"] == out.json["txn"]
    assert request(paid, "POST", "/api/v1/payouts", wish).code == "invalid_params"

    # All of it survives a restart, and the ledger still adds up.
    paid.stop()
    paid.restart()
    assert request(paid, "GET", "/api/v1/billing/clock").json["ahead"] == 62 * DAY
    assert [one["no"] for one in request(paid, "GET", "/api/v1/invoices").json["invoices"]] == [2, 1]
    assert command(paid, "invoices", "verify", "INV-2").returncode == 0
    assert command(paid, "ledger", "check").returncode == 0
    assert b"billing clock" in command(paid, "doctor").stdout


def check_files(running: Running) -> None:
    """The same document as HTML and PDF, the same bytes each time, and nothing in it runs."""

    def get(kind: str) -> Said:
        return request(running, "GET", f"/api/v1/invoices/1?format={kind}")

    page = get("html")
    assert "Käufer &lt;b&gt;" in page.body.decode()
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.body == get("html").body
    paper = get("pdf")
    assert paper.headers["content-type"] == "application/pdf"
    assert paper.body.startswith(b"%PDF")
    assert paper.body == get("pdf").body
    by_accept = request(running, "GET", "/api/v1/invoices/1", headers={"Accept": "application/pdf"})
    assert by_accept.body == paper.body
    shown = command(running, "invoices", "show", "INV-1")
    assert b"Seller GmbH" in shown.stdout
    look = request(running, "GET", "/billing")
    assert "INV-1" in look.body.decode()
    assert "script-src 'self'" in look.headers["content-security-policy"]
    stranger = request(running, "GET", "/billing", headers={"Authorization": ""})
    assert (stranger.status, stranger.headers["location"]) == (303, "/login?next=/billing")


def check_others(running: Running) -> None:
    """Another organisation sees nothing of it."""
    other = key_of(running, "gil", org="globex", role="admin")
    assert request(running, "GET", "/api/v1/invoices", headers=other).json["invoices"] == []
    assert request(running, "GET", "/api/v1/invoices/1", headers=other).code == "not_found"
    assert request(running, "GET", "/api/v1/invoices/1/verify", headers=other).code == "not_found"
    assert request(running, "GET", "/api/v1/invoices?org=default", headers=other).code == "forbidden"
    assert request(running, "GET", "/api/v1/payouts?org=default", headers=other).code == "forbidden"
    assert (
        request(running, "PUT", "/api/v1/billing/party?org=default", {"name": "x"}, other).code == "forbidden"
    )
    assert request(running, "GET", "/api/v1/usage", headers=other).json["lines"] == []
    assert request(running, "POST", "/api/v1/invoices", {"month": "2026-01"}, other).code == "forbidden"
    for no in ("0", "-1", "x", "99999999999999"):
        assert request(running, "GET", f"/api/v1/invoices/{no}").code == "not_found"


def test_without_the_setting_billing_s_clock_stays(tmp_path: Path) -> None:
    running = start_platform([], tmp_path)
    try:
        said = request(running, "POST", "/api/v1/billing/clock", {"seconds": 60})
        assert said.code == "forbidden"
        assert "A2A_TEST_CLOCK" in said.json["remedy"]
        assert request(running, "GET", "/api/v1/billing/clock").json["movable"] is False
        assert b"billing clock" not in command(running, "doctor").stdout
    finally:
        running.stop()
