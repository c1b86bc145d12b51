"""The bookkeeper in the kit's test client: what it sums, what it asks for, what it makes of a no."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from example_paths import EXAMPLES

# isort: split
import pytest
from bookkeeper_agent.ledger import BrokenLedgerError, cents_of, read_detail, read_rows
from bookkeeper_agent.summary import amount
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud import Refuse
from a2a_cloud.agent.problem import Problem, ScopeDenied
from a2a_cloud.testing import AgentTest

FOLDER = EXAMPLES / "bookkeeper"
MAY = {"rent": "-1150.00", "sales": "3280.50", "travel": "-96.40"}


@pytest.fixture
def agent() -> Iterator[AgentTest]:
    with AgentTest(FOLDER) as agent:
        agent.workspace.load(FOLDER / "samples")
        yield agent


def test_a_month_is_summed_and_written(agent: AgentTest) -> None:
    result = agent.call("close_month", month="2026-05")
    path = f"outputs/{result.run_id}/2026-05.md"
    assert result.value == {
        "month": "2026-05",
        "rows": 4,
        "accounts": MAY,
        "total": "2034.10",
        "pending": [],
        "finance": "not needed",
        "file": path,
    }
    assert agent.workspace.text(path) == result.artifacts["2026-05.md"].text
    assert "| sales | 3280.50 |" in agent.workspace.text(path)
    assert result.scopes == []
    again = agent.call("close_month", month="2026-05")
    assert agent.workspace.text(again.value["file"]) == agent.workspace.text(path)


def test_the_months_that_there_are(agent: AgentTest) -> None:
    assert agent.call("months").value == ["2026-05", "2026-06"]


def test_it_asks_for_finance_when_a_month_needs_it(agent: AgentTest) -> None:
    result = agent.using(approve=True).call("close_month", month="2026-06")
    (asked,) = result.scopes
    assert asked.read == ("finance/**",)
    assert asked.reason == "2026-06 refers to finance/2026-06/payroll.csv"
    assert result.value["accounts"]["payroll"] == "-2220.25"
    assert (result.value["total"], result.value["finance"]) == ("-270.25", "allowed")


@pytest.mark.parametrize("narrowed", [["finance/2026-06/**"], ["finance/2026-07/**"]])
def test_less_than_it_asked_for(agent: AgentTest, narrowed: list[str]) -> None:
    result = agent.using(approve=lambda _: {"read": narrowed}).call("close_month", month="2026-06")
    if narrowed == ["finance/2026-06/**"]:
        assert (result.value["total"], result.value["pending"]) == ("-270.25", [])
    else:
        assert result.value["total"] == "1950.00"
        (pending,) = result.value["pending"]
        assert pending.startswith("payroll: finance/2026-06/payroll.csv can't be read")


def no_in_time(_: Any) -> bool:
    raise ScopeDenied("Nobody decided in time.", code="scope_expired")


@pytest.mark.parametrize("decision", [False, no_in_time])
def test_without_finance_the_rest_is_closed(agent: AgentTest, decision: Any) -> None:
    result = agent.using(approve=decision).call("close_month", month="2026-06")
    assert (result.value["finance"], result.value["total"]) == ("refused", "1950.00")
    assert result.value["pending"] == ["payroll: finance/2026-06/payroll.csv may not be read"]
    assert "payroll" not in result.value["accounts"]
    assert "Not counted:" in agent.workspace.text(result.value["file"])


def test_it_goes_on_after_a_crash_at_any_event(agent: AgentTest) -> None:
    result = agent.using(approve=True).call("close_month", month="2026-06")
    for keep in range(len(result.events) + 1):
        again = agent.using(approve=True).replay(result, keep=keep)
        assert again.problem is None, keep
        assert again.value == result.value


def test_what_it_is_not_allowed_by_itself(agent: AgentTest) -> None:
    agent.workspace["ledger/2026-07.csv"] = "date,account,text,amount\n2026-07-01,x,y,@finance/../keys/a\n"
    with pytest.raises(Problem, match="no amount"):
        agent.call("close_month", month="2026-07")
    with pytest.raises(Refuse, match="no ledger of 2025-01"):
        agent.call("close_month", month="2025-01")
    with pytest.raises(Problem):
        agent.call("close_month", month="../secrets")
    less = agent.using(grant={"read": ["ledger/2026-05.csv"]})
    assert less.call("months").value == ["2026-05"]


@given(st.integers(-(10**13), 10**13))
def test_no_cent_is_lost(cents: int) -> None:
    assert cents_of(amount(cents), 1) == cents


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("date,account,amount\n", "first line"),
        ("date,account,text,amount\n1,2,3\n", "line 2 has 3 cells"),
        ("date,account,text,amount\n1,,3,4\n", "names no account"),
        ("date,account,text,amount\n1,a,b,1e3\n", "no amount"),
        ("date,account,text,amount\n1,a,b,1.005\n", "no amount"),
        ("date,account,text,amount\n1,a,b,NaN\n", "no amount"),
        ("date,account,text,amount\n1,a,b,@ledger/x\n", "no amount"),
        ('date,account,text,amount\n1,a,"b,1\n', "no CSV"),
    ],
)
def test_a_ledger_that_is_none(text: str, said: str) -> None:
    with pytest.raises(BrokenLedgerError, match=said):
        read_rows(text)


def test_a_detail_is_its_last_column() -> None:
    assert read_detail("name,hours,amount\na,3,-1.5\n\nb,4,-2\n") == -350


def test_the_folder_is_whole(tmp_path: Path) -> None:
    """It is served from a copy: nothing outside of it is needed."""
    with AgentTest(Path(shutil.copytree(FOLDER, tmp_path / "copy"))) as copy:
        assert copy.call("months").value == []
