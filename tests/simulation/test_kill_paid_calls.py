"""The real process, killed at random moments while clients make calls that cost money: nothing is charged
twice, and nothing is lost. A2A_KILLS says how often; 30 take some two minutes."""

from __future__ import annotations

import base64
import os
import random
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ledger import Ledger, settle
from witness import Cut, Said, Witness
from world import World

from a2a_cloud.control.billing.check import CHECKS, RAILS, check, trial
from a2a_cloud.model.task import TaskState
from a2a_cloud.wire.merkle import verify_consistency
from a2a_cloud.wire.note import read_checkpoint

KILLS = int(os.environ.get("A2A_KILLS", "4"))
CLIENTS = 8
#: By skill: its price, and what a call costs that completes, in cents.
PRICES: dict[str, tuple[dict[str, Any], int]] = {
    "say": ({"call": "0.07", "platform_share": 3333}, 7),
    "pour": ({"meters": {"drops": {"each": "0.01"}}, "most": "0.05", "platform_share": 5000}, 2),
    "lasting": ({"call": "0.03", "platform_share": 1}, 3),
    "again": ({"call": "0.11", "charge_failed": True, "platform_share": 9999}, 11),
    "quick": ({"tiers": [{"each": "0.05", "up_to": 10}, {"each": "0.02"}], "platform_share": 0}, -1),
}
SKILLS = ["say", "say", "pour", "lasting", "again", "quick", "family"]
GRANTED = 100_000


class Load:
    """Clients that call until the platform dies."""

    def __init__(self, witness: Witness, round_: int) -> None:
        self.witness = witness
        self.done = 0
        self.refused: list[bytes] = []
        self._round = round_
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _client(self, client: int) -> None:
        draw = random.Random(self._round * 100 + client)
        for n in range(10_000):
            skill = draw.choice(SKILLS)
            try:
                said = self._call(skill, f"{self._round}-{client}-{n}")
            except Cut:
                return
            with self._lock:
                self.done += said.status == 200
                if said.status == 402:
                    self.refused.append(said.body)

    def _call(self, skill: str, key: str) -> Said:
        arguments = {"text": "hello"} if skill == "say" else {}
        if skill != "family":
            return self.witness.invoke(skill, key, **arguments)
        headers = {"Idempotency-Key": key, "A2A-Budget": "0.50USD"}
        return self.witness.request("POST", "/agents/crash/invoke/family", arguments, **headers)


def pay(witness: Witness) -> None:
    """Prices, money and budgets."""
    for skill, (price, _) in PRICES.items():
        said = witness.request("PUT", f"/api/v1/agents/crash/prices/{skill}", {"currency": "USD", **price})
        assert said.status == 200, said.body
    for amount, priority in (("1.23", 5), (f"{(GRANTED - 123) / 100:.2f}", 0)):
        body = {"org": "default", "amount": amount, "currency": "USD", "priority": priority}
        assert witness.request("POST", "/api/v1/credits", body).status == 200
    for name, each in (("all", False), ("everybody", True)):
        body = {"amount": "900.00", "currency": "USD", "period": "total", "each": each}
        assert witness.request("PUT", f"/api/v1/budgets/{name}", body).status == 200


class Log:
    """The checkpoints of the organisation's log that anybody saw."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._seen: tuple[int, bytes] | None = None

    def look(self) -> None:
        """The log as it is now continues what was seen before."""
        said = self._witness.request("GET", "/api/v1/log/default/checkpoint")
        assert said.status == 200, said.body
        now, _ = read_checkpoint(said.body)
        if self._seen is not None and self._seen[0] and self._seen[0] != now.size:
            size, root = self._seen
            path = f"/api/v1/log/default/consistency?old={size}&new={now.size}"
            proof = [base64.b64decode(one) for one in self._witness.request("GET", path).json["proof"]]
            verify_consistency(size, root, now.size, now.root, proof)
        elif self._seen is not None:
            assert self._seen == (now.size, now.root)
        self._seen = (now.size, now.root)


@contextmanager
def rows(data: Path) -> Generator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{data / 'journal.db'}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def adds_up(world: World, ledger: Ledger, witness: Witness) -> int:
    """Every invariant holds, and what was charged is what the runs cost: how much in all."""
    broken = {one.name: one.broken for one in check(world.data / "journal.db") if one.broken}
    assert not broken, broken
    with rows(world.data) as connection:
        found = connection.execute("SELECT run, state, captured FROM ledger_hold").fetchall()
        usage = dict(connection.execute("SELECT run, SUM(amount) FROM usage WHERE line=0 GROUP BY run"))
    holds = {run: (state, captured) for run, state, captured in found}
    quick = 0
    for run in ledger.runs:
        if run.skill not in PRICES:
            assert run.no not in holds
            continue
        price, cost = PRICES[run.skill]
        state, captured = holds.pop(run.no)
        charged = run.state is TaskState.COMPLETED or (
            run.state is TaskState.FAILED and price.get("charge_failed", False)
        )
        assert state == ("captured" if charged else "released" if run.ended else "open"), run
        if run.skill == "quick" and charged:
            assert captured in (5, 2)
            quick += captured
        else:
            assert captured == (cost if charged else 0), (run, captured)
        assert run.ended is None or usage[run.no] == captured
    assert not holds, "holds of runs that are not there"
    calls = sum(run.skill == "quick" and run.state is TaskState.COMPLETED for run in ledger.runs)
    assert quick == min(calls, 10) * 5 + max(0, calls - 10) * 2, "tiers count each call once"
    for run in witness.results:
        assert ledger.by_id[run].skill == "family" or usage[ledger.by_id[run].no] >= 0
    total = sum(usage.values())
    balances = {account: balance for account, _, _, balance in trial(world.data / "journal.db").accounts}
    assert balances["prepaid/default:USD"] == GRANTED - total
    assert sum(balances.values()) == 0
    return total


@pytest.mark.timeout(60 + 20 * KILLS)
def test_kill_paid_calls(tmp_path: Path) -> None:
    world = World(tmp_path, real=True)
    witness = Witness(world)
    log = Log(witness)
    draw = random.Random(11)
    world.start()
    caught = done = total = 0
    try:
        pay(witness)
        for round_ in range(KILLS):
            load = Load(witness, round_)
            time.sleep(draw.uniform(0.2, 1.2))
            world.kill()
            for thread in load.threads:
                thread.join(30)
            assert not load.refused, load.refused[0]
            with rows(world.data) as connection:
                (held,) = connection.execute("SELECT COUNT(*) FROM ledger_hold WHERE state='open'").fetchone()
            caught, done = caught + held, done + load.done
            world.start()
            log.look()
            before, total = total, adds_up(world, settle(world), witness)
            assert total >= before
        assert caught, "no kill caught a call that had not ended"
        assert done > KILLS
        answer = witness.request("GET", "/api/v1/ledger/check").json
        assert answer["holds"], answer
        assert len(answer["checks"]) == len(CHECKS) + len(RAILS)
        log.look()
        assert world.stop() == 0
    finally:
        world.close()
