"""`a2a logs`: filters, pages, following over broken connections without a line twice or missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played
from cli_running import Run

from a2a_cloud.client import deploys

pytest_plugins = ["cli_fixtures"]

LOGS = "/api/v1/agents/greeter/logs"


def line(no: int, text: str = "", **more: Any) -> dict[str, Any]:
    return {
        "no": no,
        "at": f"2026-11-21T12:00:{no:02}.000Z",
        "level": "info",
        "source": "stdout",
        "line": text or f"line {no}",
        "run_id": "",
        "release": 7,
        **more,
    }


def test_the_latest_release_with_its_filters(played: Played, a2a: Run) -> None:
    played.json("GET", LOGS, {"lines": [line(1), line(2, run_id="run_1")], "release": 7})
    code, out, err = a2a("logs", "greeter")
    assert code == 0
    assert out.splitlines() == [
        "2026-11-21T12:00:01.000Z info    line 1",
        "2026-11-21T12:00:02.000Z info    run_1 line 2",
    ]
    assert "release 7:" in err
    assert played.last("GET", LOGS).query == {"limit": "200"}
    before = datetime.now(UTC)
    a2a("logs", "greeter", "--release", "6", "--run", "run_1", "--level", "warning", "--since", "10m")
    query = played.last("GET", LOGS).query
    assert (query["release"], query["run"], query["level"]) == ("6", "run_1", "warning")
    assert abs(datetime.fromisoformat(query["since"]) + timedelta(minutes=10) - before) < timedelta(
        seconds=20
    )
    a2a("logs", "greeter", "--since", "2026-11-21")
    assert played.last("GET", LOGS).query["since"] == "2026-11-21T00:00:00Z"


def test_a_full_page_says_that_there_may_be_more(played: Played, a2a: Run) -> None:
    played.json("GET", LOGS, {"lines": [line(1)], "release": 7})
    assert "--limit" in a2a("logs", "greeter", "--limit", "1")[2]
    played.json("GET", LOGS, {"lines": [], "release": 7})
    assert "Nothing was logged." in a2a("logs", "greeter")[2]
    assert json.loads(a2a("logs", "greeter", "--json")[1]) == {"lines": [], "release": 7}


def test_following_survives_a_restart(played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploys, "PATIENCE", 0.05)
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        match len(asked):
            case 1:
                return web.json_response({"lines": [line(1), line(2)], "release": 7})
            case 2:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case 3:
                return web.json_response({"code": "unavailable", "detail": "Draining."}, status=503)
            case 4:
                return web.json_response({"lines": [line(2), line(3)], "release": 7})
            case 5:
                return web.json_response({"lines": [line(4, release=8)], "release": 8})
            case _:
                return web.json_response({"code": "unavailable", "detail": "Draining."}, status=503)

    played.answers["GET", LOGS] = answer
    code, out, err = a2a("logs", "greeter", "-f")
    assert code == 9
    assert [each.split()[-1] for each in out.splitlines()] == ["1", "2", "3", "4"]
    assert [each.get("after") for each in asked[:5]] == [None, "2", "2", "2", "3"]
    assert "wait" not in asked[0]
    assert asked[1]["wait"] == "20"
    assert "connected again" in err
    assert "release 8:" in err
    asked.clear()
    out = a2a("logs", "greeter", "-f", "--json")[1]
    assert [json.loads(each)["no"] for each in out.splitlines()[:-1]] == [1, 2, 3, 4]


def test_no_platform_is_said_at_once_with_f_too(a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2A_URL", "http://127.0.0.1:1")
    assert a2a("logs", "greeter", "-f")[0] == 3


def test_lines_of_a_run_are_filtered_here(played: Played, a2a: Run) -> None:
    lines = [line(1, level="debug"), line(2), line(3, level="error")]
    played.json("GET", "/api/v1/runs/run_1/logs", {"lines": lines})
    assert len(a2a("logs", "run_1", "--level", "info")[1].splitlines()) == 2
    out = a2a("logs", "run_1", "--since", "2026-11-21T12:00:03Z")[1]
    assert out.splitlines() == ["2026-11-21T12:00:03.000Z error   line 3"]


@pytest.mark.parametrize(
    "words",
    [
        ("run_1", "--release", "3"),
        ("greeter", "--release", "three"),
        ("greeter", "--since", "yesterday"),
        ("greeter", "--level", "loud"),
        (),
    ],
)
def test_a_wrong_command_line_asks_nothing(played: Played, a2a: Run, words: tuple[str, ...]) -> None:
    assert a2a("logs", *words)[0] == 2
    assert played.asked == []
