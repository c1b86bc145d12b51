"""`a2a limits …`: what is asked, what is shown, and what a wrong line says."""

from __future__ import annotations

import json

import pytest
from cli_platform import Played
from cli_running import Run

pytest_plugins = ["cli_fixtures"]

PATH = "/api/v1/limits"
OWN = {"requests": "30000/min", "calls": "6000/min", "runs": 1000, "day": 100000, "month": 2000000}


def test_show(played: Played, a2a: Run) -> None:
    agent = {
        "rate": {"quota": 20000, "window": 1},
        "skills": {
            "greet": {
                "rate": {"quota": 5, "window": 60},
                "budget": {"day": 12, "month": 90},
                "latency": {"p50": 0.3, "p95": 1.2, "runs": 256},
            }
        },
        "used": {"greet": {"day": [3, 12], "month": [40, 90]}, "": {"day": [0, 9], "month": [1, 9]}},
    }
    rules = {"callers": {"calls": "100/s"}, "caller:a\x1b[2J": {"day": 5}}
    played.json("GET", PATH, {"limits": OWN, "running": 7, "agent": agent, "rules": rules})
    code, out, _ = a2a("limits", "show", "greeter")
    assert code == 0
    assert played.last("GET", PATH).query == {"agent": "greeter"}
    for words in (
        "6000/min",
        "1000, 7 now",
        "3 of 12",
        "40 of 90",
        "5 in 60 s",
        "0.3 s, 1.2 s",
        "(messages)",
    ):
        assert words in out
    assert "\x1b" not in out
    assert json.loads(a2a("limits", "show", "greeter", "--json")[1])["running"] == 7


def test_show_says_how_to_set(played: Played, a2a: Run) -> None:
    played.json("GET", PATH, {"limits": OWN, "running": 0, "rules": {}})
    assert "a2a limits set callers" in a2a("limits", "show")[2]
    played.json("GET", PATH, {"limits": OWN, "running": 0})
    assert a2a("limits", "show")[2] == ""


def test_set_and_rm(played: Played, a2a: Run) -> None:
    path = f"{PATH}/caller%3Aada"
    played.json("PUT", f"{PATH}/caller:ada", {"target": "caller:ada", "limits": {"calls": "10/s", "day": 5}})
    code, out, _ = a2a("limits", "set", "caller:ada", "calls=10/s", "day=5", "runs=", "--org", "acme")
    assert (code, out) == (0, "caller:ada: calls 10/s, day 5\n")
    asked = played.asked[-1]
    assert asked.path in (path, f"{PATH}/caller:ada")
    assert asked.query == {"org": "acme"}
    assert json.loads(asked.body) == {"calls": "10/s", "day": 5, "runs": None}
    played.json("DELETE", f"{PATH}/callers", {"target": "callers", "removed": True})
    assert a2a("limits", "rm", "callers")[0] == 0


@pytest.mark.parametrize("value", ["day", "hour=5", "day=many", "day=-1", "=5"])
def test_a_wrong_value_is_a_mistake_of_usage(a2a: Run, value: str) -> None:
    code, _, err = a2a("limits", "set", "callers", value)
    assert code == 2
    assert "day=" in err
