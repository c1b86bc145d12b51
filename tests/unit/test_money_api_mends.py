"""The control API of money, and what a call says of its budget, grant and priority: what was wrong once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web
from cli_platform import Played, playing
from msgspec import Raw

from a2a_cloud.callers.cli import root as cli
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.model.invoice import Statement, StatementLine
from a2a_cloud.model.principal import Permission, Principal, Role
from a2a_cloud.model.problem import AgentNotFound, Forbidden, Malformed, RunNotFound, TooLarge
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.ops.rooms import Rooms
from a2a_cloud.surface import narrowing, priority, spending
from a2a_cloud.surface.api import credits as crediting
from a2a_cloud.surface.api import erasures, invoices, payouts
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

ADA = Principal(2, 2, "ada", "acme", Role.ADMIN, priority=10)
EVE = Principal(3, 3, "eve", "globex")
#: Roles of their own: billing.manage alone.
BEA = Principal(4, 2, "bea", "acme", "payer", permissions=frozenset({Permission.MANAGE_BILLING}))
ROOT = Principal(1, 1, "root", "default", "payer", permissions=frozenset({Permission.MANAGE_BILLING}))
ORGS = {"default": 1, "acme": 2, "globex": 3}


class Asked:
    """A request, as far as these handlers look at it."""

    def __init__(self, principal: Principal, body: Any = None, **query: str) -> None:
        self.principal = principal
        self.accept = b""
        self.idempotency_key = b""
        self.sent: list[Any] = []
        self._body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self._query = query

    def query(self) -> dict[str, str]:
        return self._query

    def expect_json(self) -> None:
        pass

    async def body(self, _most: int) -> bytes:
        return self._body

    async def send(self, message: Any) -> None:
        self.sent.append(message)


Handler = Callable[[Services, Request, list[str]], Coroutine[Any, Any, Any]]


async def ask(handler: Handler, services: Any, asked: Asked, *values: str) -> Any:
    return await handler(cast("Services", services), cast("Request", asked), list(values))


# --- a key in another spelling ------------------------------------------------------------------------------


@pytest.mark.parametrize("dash", ["-", r"\u002d", r"\u002D"])
@pytest.mark.parametrize("slash", ["/", r"\/", r"\u002f"])
def test_an_escaped_key_of_metadata_is_the_same_key(dash: str, slash: str) -> None:
    def said(name: str, value: str) -> Raw:
        return Raw(f'{{"a": 1, "a2a{dash}cloud{slash}{name}": {value}}}'.encode())

    spend = spending.of_metadata(said("budget", '"1.00USD"'))
    assert spend is not None
    assert spend.currency == "USD"
    narrow = narrowing.of_metadata(said("grant", '{"write": []}'))
    assert narrow is not None
    assert narrow.write == ()
    assert priority.of_metadata(ADA, said("priority", "7")) == 7


def test_metadata_with_escapes_and_no_key_says_nothing() -> None:
    raw = Raw(rb'{"note": "a\nb", "a2a-cloud\/other": 1}')
    assert spending.of_metadata(raw) is None
    assert narrowing.of_metadata(raw) is None
    assert priority.of_metadata(ADA, raw) == 0


# --- erasing ------------------------------------------------------------------------------------------------


class Erasures:
    """Of one run of eve's in acme."""

    async def erase(self, scope: Scope, run_id: str, **_more: Any) -> list[Any]:
        if scope != Scope(2, EVE.no) or run_id != "run_1":
            raise RunNotFound(f"There is no run {run_id!a}.", remedy=erasures.REMEDY)
        return [(run_id, SimpleNamespace(at=1.0, by="eve@globex", reason=""))]


def gone(name: str) -> Any:
    raise AgentNotFound.of(name)


ERASING = SimpleNamespace(
    erasures=Erasures(),
    identity=SimpleNamespace(org_no=ORGS.get),
    registry=SimpleNamespace(serving=gone),
)


def test_a_run_of_a_deleted_agent_is_still_its_owners_to_erase() -> None:
    asked = Asked(EVE, {"agent": "acme.desk"})
    status, told = asyncio.run(ask(erasures.erase, ERASING, asked, "run_1"))
    assert (status, told["erased"][0]["id"]) == (200, "run_1")


def test_not_there_and_not_yours_are_the_same_words() -> None:
    told: list[tuple[str, str]] = []
    for who, agent in ((EVE, "nobody.desk"), (EVE, "desk"), (EVE, "globex.desk"), (ADA, "acme.desk")):
        by = Principal(who.no, who.org_no, who.name, who.org)
        with pytest.raises(RunNotFound) as caught:
            asyncio.run(ask(erasures.erase, ERASING, Asked(by, {"agent": agent}), "run_1"))
        told.append((caught.value.detail, caught.value.remedy))
    assert len(set(told)) == 1


# --- statements ---------------------------------------------------------------------------------------------


class Payouts:
    """Statements of so many lines, and how many were read at a time."""

    def __init__(self, lines: int = 1) -> None:
        self.line = StatementLine("revenue", "2026-10-01", "desk", "ask", 1, "USD", 2, 100)
        self.lines = lines
        self.now = self.most = 0

    async def statement(self, _org: int, month: str) -> Statement:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return Statement("acme", month, (self.line,) * self.lines, ())


def accounts(**parts: Any) -> Any:
    return SimpleNamespace(
        accounting=SimpleNamespace(clock=SimpleNamespace(now=lambda: 1.8e9), **parts),
        identity=SimpleNamespace(org_no=ORGS.get),
    )


@pytest.mark.parametrize(("callers", "most"), [([ADA], 2), ([ADA, EVE], 3)])
def test_statements_are_read_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, callers: list[Principal], most: int
) -> None:
    monkeypatch.setattr(payouts, "_rooms", Rooms(2, 3))  # Of this loop.
    found = Payouts()
    readers = [Principal(who.no, who.org_no, who.name, who.org, Role.VIEWER) for who in callers]

    async def many() -> None:
        services = accounts(payouts=found)
        await asyncio.gather(
            *(ask(payouts.statement, services, Asked(who)) for who in readers for _ in range(6))
        )

    asyncio.run(many())
    assert found.most == most


def test_a_statement_that_is_too_long_is_for_csv() -> None:
    services = accounts(payouts=Payouts(10_001))
    for kind in ("json", "html"):
        with pytest.raises(TooLarge) as caught:
            asyncio.run(ask(payouts.statement, services, Asked(ADA, format=kind)))
        assert "csv" in caught.value.remedy
    table = Asked(ADA, format="csv")
    asyncio.run(ask(payouts.statement, services, table))
    assert b"".join(one.get("body", b"") for one in table.sent).count(b"\n") == 10_002


# --- who may ------------------------------------------------------------------------------------------------


class Invoices:
    """None, and whose were asked for."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def listed(self, scope: Scope, _before: int, _limit: int) -> list[Any]:
        self.scopes.append(scope)
        return []

    def party(self, org: int) -> int:
        return org


def test_who_handles_billing_reads_what_they_change() -> None:
    made = Invoices()
    services = accounts(invoices=made, payouts=Payouts())
    for who in (BEA, ROOT):
        asyncio.run(ask(invoices.listed, services, Asked(who)))
        assert asyncio.run(ask(invoices.party, services, Asked(who))) == (200, who.org_no)
        assert asyncio.run(ask(payouts.statement, services, Asked(who)))[0] == 200
    assert made.scopes == [Scope(2), SYSTEM]
    assert asyncio.run(ask(invoices.party, services, Asked(ROOT, org="globex"))) == (200, 3)


def test_others_read_no_money() -> None:
    services = accounts(invoices=Invoices(), payouts=Payouts())
    for handler in (invoices.listed, invoices.party, invoices.clock, payouts.statement):
        with pytest.raises(Forbidden):
            asyncio.run(ask(handler, services, Asked(EVE)))
    for handler in (invoices.listed, invoices.party, payouts.statement):
        with pytest.raises(Forbidden):  # Another organisation's.
            asyncio.run(ask(handler, services, Asked(BEA, org="globex")))
    for handler in (invoices.make, payouts.make, crediting.grant):
        with pytest.raises(Forbidden) as caught:  # The platform's.
            asyncio.run(ask(handler, services, Asked(BEA)))
        assert "permission" in (caught.value.info or {})


def test_a_body_that_nests_too_deep_to_read_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    def deep(*_given: Any, **_more: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(msgspec.json, "decode", deep)
    with pytest.raises(Malformed):
        asyncio.run(ask(crediting.refund, accounts(), Asked(ADA, b"{}")))


# --- a lost answer ------------------------------------------------------------------------------------------


GRANT = ("credits", "grant", "acme", "25.00", "USD")
REFUND = ("credits", "refund", "run_1")
PAYOUT = ("payouts", "make", "acme", "--currency", "USD", "--amount", "5.00")
MOVES = [
    (GRANT, "/api/v1/credits"),
    (REFUND, "/api/v1/credits/refund"),
    (PAYOUT, "/api/v1/payouts"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    with playing() as played:
        yield played


@pytest.fixture
def played(server: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    server.asked.clear()
    server.answers.clear()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("A2A_URL", server.url)
    monkeypatch.setenv("A2A_KEY", "k-test")
    return server


def key_sent(played: Played, path: str) -> str:
    return played.last("POST", path).headers["Idempotency-Key"]


@pytest.mark.parametrize(("words", "path"), MOVES, ids=["grant", "refund", "payout"])
def test_a_lost_answer_names_the_key_to_repeat_with(
    played: Played, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], path: str
) -> None:
    async def lost(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    played.answers["POST", path] = lost
    assert cli.run(list(words)) == Exit.UNREACHABLE
    key = key_sent(played, path)
    assert f"--key {key}" in capfd.readouterr().err
    played.json("POST", path, {"code": "internal", "detail": "Broken."}, 500)
    assert cli.run([*words, "--json"]) == Exit.FAILED
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["idempotency_key"] == key_sent(played, path) != key
    played.json("POST", path, {"account": "prepaid/acme:USD"})
    assert cli.run([*words, "--key", key]) == Exit.OK
    assert key_sent(played, path) == key


def test_ctrl_c_names_the_key_to_repeat_with(played: Played, capfd: pytest.CaptureFixture[str]) -> None:
    async def patient(_request: web.Request) -> web.StreamResponse:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.5)
        return web.Response()

    played.answers["POST", "/api/v1/credits"] = patient
    assert cli.run([*GRANT, "--json"]) == Exit.INTERRUPTED
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["idempotency_key"] == key_sent(played, "/api/v1/credits")
    assert f"--key {error['idempotency_key']}" in error["remedy"]


def test_a_refusal_names_no_key(played: Played, capfd: pytest.CaptureFixture[str]) -> None:
    played.json("POST", "/api/v1/credits", {"code": "forbidden", "detail": "No."}, 403)
    assert cli.run(list(GRANT)) == Exit.DENIED
    assert "--key" not in capfd.readouterr().err


def test_a_payouts_key_keeps_its_older_name(played: Played) -> None:
    played.json("POST", "/api/v1/payouts", {})
    assert cli.run([*PAYOUT, "--idempotency-key", "october"]) == Exit.OK
    assert key_sent(played, "/api/v1/payouts") == "october"
