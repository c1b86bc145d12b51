"""Buyer and seller on a real platform, one slot each: they call each other to and fro, and always end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import begin, invoke

from running import Running, start_platform

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = [EXAMPLES / "mesh_buyer", EXAMPLES / "mesh_seller"]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    for folder in FOLDERS:
        assert "concurrency = 1\n" in (folder / "a2a.toml").read_text()
    running = start_platform(FOLDERS, tmp_path_factory.mktemp("market"))
    yield running
    running.stop()


def buy(running: Running, **arguments: Any) -> Any:
    said = invoke(running, "mesh_buyer", "buy", **arguments)
    assert said.status == 200, said.body
    return said.json


@pytest.mark.parametrize(
    ("arguments", "outcome", "by", "cents", "offers"),
    [
        ({"item": "desk"}, "agreed", "seller", 26000, 7),
        ({"item": "chair"}, "agreed", "buyer", 9233, 6),
        ({"item": "chair", "quantity": 20}, "agreed", "seller", 8333, 5),
        ({"item": "lamp"}, "out_of_rounds", "buyer", None, 8),
        ({"item": "safe"}, "walked_away", "buyer", None, 4),
        ({"item": "shelf"}, "walked_away", "seller", None, 1),
        ({"item": "desk", "quantity": 41}, "walked_away", "seller", None, 1),
        ({"item": "desk", "rounds": 1}, "agreed", "seller", 26000, 1),
    ],
)
def test_how_negotiations_end(
    market: Running, arguments: Any, outcome: str, by: str, cents: int | None, offers: int
) -> None:
    found = buy(market, **arguments)
    assert (found["outcome"], found["ended_by"], found["cents"], len(found["offers"])) == (
        outcome,
        by,
        cents,
        offers,
    )
    assert found["total_cents"] == (cents and cents * found["quantity"])


def test_many_at_once_through_one_slot_each(market: Running) -> None:
    alone = {item: buy(market, item=item, rounds=8) for item in ("desk", "chair", "lamp", "safe")}
    calls = [(item, begin(market, "mesh_buyer", "buy", item=item, rounds=8)) for item in list(alone) * 6]
    for item, call in calls:
        said = call.result(60)
        assert said.status == 200, said.body
        assert said.json == alone[item]


def test_limits_can_not_be_felt_for_from_outside(market: Running) -> None:
    offers = [{"by": "buyer", "cents": 18000}, {"by": "seller", "cents": 25000}]
    for agent, said in (("mesh_buyer", offers), ("mesh_seller", offers[:1])):
        found = invoke(market, agent, "consider", item="desk", quantity=1, rounds=6, offers=said)
        assert found.code == "refused"
        assert "alone" in found.detail


@pytest.mark.parametrize(
    "wrong", [{"rounds": 13}, {"rounds": 0}, {"quantity": 0}, {"item": ""}, {"item": "x" * 61}]
)
def test_arguments_have_bounds(market: Running, wrong: Any) -> None:
    assert invoke(market, "mesh_buyer", "buy", **{"item": "desk", **wrong}).code == "invalid_params"


def test_what_nobody_deals_in(market: Running) -> None:
    assert "It buys: desk" in invoke(market, "mesh_buyer", "buy", item="boat").detail
    assert "It has: desk" in invoke(market, "mesh_seller", "quote", item="boat").detail
    assert invoke(market, "mesh_seller", "quote", item=" Desk", quantity=10).json["cents"] == 29440


def test_the_depth_limit_ends_a_negotiation_in_order(
    platform: Callable[..., Running], tmp_path: Path
) -> None:
    shallow = [_copy(folder, tmp_path, ("depth = 9\nmemory", "depth = 3\nmemory")) for folder in FOLDERS]
    found = buy(platform(shallow), item="desk")
    # The fourth offer would have been one call too deep.
    assert (found["outcome"], found["ended_by"], len(found["offers"])) == ("broken_off", "seller", 4)
    assert "3 deep at most" in found["reason"]


def test_the_other_side_may_be_missing_or_lie(platform: Callable[..., Running], tmp_path: Path) -> None:
    running = platform(FOLDERS[:1])
    found = buy(running, item="desk")
    assert (found["outcome"], found["ended_by"]) == ("broken_off", "buyer")
    assert "mesh_seller" in found["reason"]
    agreed = '"agreed", "seller", f"The seller takes {asked} apiece.", item, quantity, offers'
    dear = agreed.replace("offers", 'offers + [Offer(by="seller", cents=99_999)]')
    liar = _copy(FOLDERS[1], tmp_path, (agreed, dear), file="agent.py")
    found = buy(platform([FOLDERS[0], liar]), item="desk", rounds=1)
    assert found["outcome"] == "broken_off"
    assert "a price beyond the buyer's limit" in found["reason"]


def _copy(folder: Path, home: Path, change: tuple[str, str], file: str = "a2a.toml") -> Path:
    made = home / folder.name
    shutil.copytree(folder, made, ignore=shutil.ignore_patterns("__pycache__"))
    text = (made / file).read_text()
    assert change[0] in text
    (made / file).write_text(text.replace(*change))
    return made
