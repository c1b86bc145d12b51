"""`releases`, `diff`, `rollback`, `promote`, `deprecate`, `delete`, `restore`, `env`, `open`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played
from cli_running import Run, make_agent, release

pytest_plugins = ["cli_fixtures"]

AGENT = "/api/v1/agents/greeter"


def test_releases_tell_which_serves_and_why_one_failed(played: Played, a2a: Run) -> None:
    cause = {"code": "build_failed", "detail": "no", "remedy": "", "step": "environment", "lines": []}
    page = {
        "agent": "greeter",
        "serving": 6,
        "canary": {"release": 7, "weight": 10},
        "majors": [
            {"major": 1, "release": 5, "until": "2027-01-01T00:00:00.000Z"},
            {"major": 2, "release": 6, "until": None},
        ],
        "releases": [
            release(8, state="failed", serving=False, cause=cause),
            release(7, serving=False),
            release(6),
            release(5, serving=False),
        ],
    }
    played.json("GET", f"{AGENT}/releases", page)
    code, out, err = a2a("releases", "greeter", "--limit", "4", "--before", "9")
    assert code == 0
    rows = out.splitlines()
    columns = ["RELEASE", "STATE", "SERVES", "VERSION", "SCORE", "CREATED", "BY", "DIGEST", "NOTE"]
    assert rows[0].split() == columns
    assert "build_failed at environment" in rows[1]
    assert " 10 % " in rows[2]
    assert " 90 % " in rows[3]
    assert "@1 until 2027-01-01" in rows[4]
    assert "abababababab" in rows[1]
    assert "a2a logs greeter --release 8" in err
    assert "--before 5" in err
    assert played.last("GET", f"{AGENT}/releases").query == {"limit": "4", "before": "9"}
    assert json.loads(a2a("releases", "greeter", "--json")[1]) == page


def test_the_folder_one_stands_in_names_the_agent(played: Played, a2a: Run) -> None:
    code, _, err = a2a("releases")
    assert code == 2
    assert "a2a ls" in err
    played.json("GET", f"{AGENT}/releases", {"releases": []})
    make_agent(Path.cwd())
    code, _, err = a2a("releases")
    assert code == 0
    assert "a2a deploy" in err
    assert a2a("releases", ".")[0] == 0
    (Path.cwd() / "a2a.toml").unlink()
    (Path.cwd() / "pyproject.toml").write_text('[tool.a2a]\nname = "greeter"\n')
    assert a2a("releases")[0] == 0
    played.json("POST", f"{AGENT}/rollback", {"agent": "greeter", "from": 6, "to": 5})
    assert a2a("rollback")[0] == 0
    assert a2a("rollback", "5")[0] == 0
    assert json.loads(played.last("POST", f"{AGENT}/rollback").body) == {"release": 5}


def test_an_agent_that_is_not_there(a2a: Run) -> None:
    assert a2a("releases", "nobody")[0] == 5
    assert a2a("rollback", "nobody", "3")[0] == 5


def test_a_difference_in_three_parts(played: Played, a2a: Run) -> None:
    answer = {
        "from": 1,
        "to": 2,
        "source": [
            {
                "path": "agent.py",
                "change": "changed",
                "diff": "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\x1b[2J\n",
            },
            {"path": "logo.png", "change": "added", "diff": ""},
        ],
        "card": [{"skill": "greet", "where": "input.name", "breaking": True, "detail": "was removed"}],
        "environment": [
            {"name": "msgspec", "before": "0.20", "after": "0.21"},
            {"name": "rich", "before": "", "after": "14"},
            {"name": "attrs", "before": "25", "after": ""},
        ],
    }
    played.json("GET", f"{AGENT}/diff", answer)
    code, out, _ = a2a("diff", "greeter", "1", "2")
    assert code == 0
    assert played.last("GET", f"{AGENT}/diff").query == {"from": "1", "to": "2"}
    for line in ("changed: agent.py", "-old", "added: logo.png", "  breaking  greet.input.name: was removed"):
        assert line in out.splitlines()
    assert "msgspec 0.20 → 0.21" in out
    assert "+ rich 14" in out
    assert "- attrs 25" in out
    assert json.loads(a2a("diff", "greeter", "1", "2", "--json")[1]) == answer
    played.json("GET", f"{AGENT}/diff", {"source": [], "card": [], "environment": []})
    assert "do not differ" in a2a("diff", "greeter", "1", "2")[2]


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "greeter", "1"),
        ("diff", "greeter", "1", "2", "3"),
        ("diff", "greeter", "1", "two"),
        ("rollback", "greeter", "0"),
        ("rollback", "greeter", "5", "6"),
        ("promote", "greeter"),
        ("promote", "greeter", "5", "--weight", "101"),
        ("deprecate", "greeter", "--until", "2027-01-01"),
        ("deprecate", "greeter@1"),
        ("deprecate", "greeter@1", "--until", "2027-01-01", "--undo"),
        ("deprecate", "greeter@1", "--until", "soon"),
        ("deprecate", "greeter@one", "--undo"),
        ("delete", "greeter"),
        ("delete", "greeter", "--yes", "--grace", "soon"),
        ("env", "greeter", "put", "A=1"),
        ("env", "greeter", "set"),
        ("env", "greeter", "set", "A"),
        ("env", "greeter", "set", "A=1", "A=2"),
        ("env", "greeter", "ls", "A"),
    ],
)
def test_a_wrong_command_line_asks_nothing(played: Played, a2a: Run, words: tuple[str, ...]) -> None:
    code, _, err = a2a(*words)
    assert code == 2
    assert len(err.splitlines()) >= 2
    assert played.asked == []


def test_moves_of_the_pointer(played: Played, a2a: Run) -> None:
    played.json("POST", f"{AGENT}/rollback", {"agent": "greeter", "from": 6, "to": 5})
    code, out, _ = a2a("rollback", "greeter")
    assert code == 0
    assert "Release 5 of greeter serves instead of 6" in out
    assert "a2a rollback greeter 6" in out
    assert json.loads(played.last("POST", f"{AGENT}/rollback").body) == {}
    played.json("POST", f"{AGENT}/rollback", {"agent": "greeter", "from": 5, "to": 5})
    assert "serves already" in a2a("rollback", "greeter", "5")[1]
    played.json("POST", f"{AGENT}/promote", {"agent": "greeter", "from": 5, "to": 7, "weight": 10})
    code, out, _ = a2a("promote", "greeter", "7", "--weight", "10")
    assert code == 0
    assert json.loads(played.last("POST", f"{AGENT}/promote").body) == {"release": 7, "weight": 10}
    assert "gets 10 % of new calls" in out
    assert "a2a promote greeter 7 --weight 0" in out
    assert "serves." in a2a("promote", "greeter", "7")[1]
    assert json.loads(played.last("POST", f"{AGENT}/promote").body) == {"release": 7, "weight": 100}
    assert a2a("promote", "greeter", "7", "--weight", "0")[0] == 0


def test_a_release_that_is_not_there(played: Played, a2a: Run) -> None:
    problem = {
        "code": "release_not_found",
        "detail": "No release 9.",
        "remedy": "See `a2a releases greeter`.",
    }
    played.json("POST", f"{AGENT}/rollback", problem, 404)
    code, out, err = a2a("rollback", "greeter", "9", "--json")
    assert code == 5
    assert json.loads(out)["error"]["code"] == "release_not_found"
    assert "a2a releases greeter" in err


def test_deprecation_and_back(played: Played, a2a: Run) -> None:
    played.json("POST", f"{AGENT}/deprecate", {"agent": "greeter", "major": 1})
    assert a2a("deprecate", "greeter@1", "--until", "2027-01-31")[0] == 0
    sent = json.loads(played.last("POST", f"{AGENT}/deprecate").body)
    assert sent == {"major": 1, "until": "2027-01-31T00:00:00Z"}
    assert a2a("deprecate", "greeter@1", "--until", "2027-01-31T12:00:00+02:00")[0] == 0
    sent = json.loads(played.last("POST", f"{AGENT}/deprecate").body)
    assert sent["until"] == "2027-01-31T10:00:00Z"
    code, out, _ = a2a("deprecate", "greeter@1", "--undo")
    assert code == 0
    assert "not deprecated any more" in out
    assert json.loads(played.last("POST", f"{AGENT}/deprecate").body) == {"major": 1, "until": None}


def test_delete_and_restore(played: Played, a2a: Run) -> None:
    gone = {"agent": "greeter", "deleted": "2026-11-21T12:00:00Z", "until": "2026-11-28T12:00:00Z"}
    played.json("DELETE", AGENT, gone)
    code, out, _ = a2a("delete", "greeter", "--grace", "7d", "--yes")
    assert code == 0
    assert played.last("DELETE", AGENT).query == {"grace": "604800"}
    assert "2026-11-28T12:00:00Z" in out
    assert "a2a restore greeter" in out
    played.json("POST", f"{AGENT}/restore", {"agent": "greeter", "deleted": None, "serving": 6})
    assert a2a("restore", "greeter")[0] == 0


def test_settings_are_listed_set_and_removed(played: Played, a2a: Run) -> None:
    kept: dict[str, str] = {"MODE": "slow"}

    async def ls(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"env": [{"name": n, "value": v, "at": "now"} for n, v in kept.items()]})

    def one(name: str) -> None:
        async def put(request: web.Request) -> web.StreamResponse:
            kept[name] = json.loads(played.asked[-1].body)["value"]
            return web.json_response({"name": name})

        async def drop(request: web.Request) -> web.StreamResponse:
            kept.pop(name)
            return web.json_response({"name": name})

        played.answers["PUT", f"{AGENT}/env/{name}"] = put
        played.answers["DELETE", f"{AGENT}/env/{name}"] = drop

    played.answers["GET", f"{AGENT}/env"] = ls
    for name in ("MODE", "API_KEY"):
        one(name)
    assert "MODE" in a2a("env", "greeter")[1]
    code, out, err = a2a("env", "greeter", "set", "MODE=a=b", "API_KEY=")
    assert code == 0
    assert kept == {"MODE": "a=b", "API_KEY": ""}
    assert "API_KEY: settings are kept as plain text" in err
    code, out, _ = a2a("env", "greeter", "rm", "API_KEY", "--json")
    assert json.loads(out)["env"] == [{"name": "MODE", "value": "a=b", "at": "now"}]
    make_agent(Path.cwd())
    assert a2a("env", "set", "MODE=fast")[0] == 0
    code, out, err = a2a("env", "set", "MODE=x", "OTHER=y")
    assert code == 5
    assert "Done before that: set MODE" in err


def test_open_prints_where_nothing_can_be_shown(
    played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    played.json("GET", AGENT, {"name": "greeter", "documentation_url": "http://x/docs"})
    assert a2a("open", "greeter")[:2] == (0, "http://x/docs\n")
    assert json.loads(a2a("open", "greeter", "--json")[1]) == {
        "agent": "greeter",
        "url": "http://x/docs",
        "opened": False,
    }
    played.json("GET", AGENT, {"name": "greeter"})
    code, _, err = a2a("open", "greeter")
    assert code == 5
    assert "a2a show greeter" in err
    monkeypatch.setenv("BROWSER", "true")
    played.json("GET", AGENT, {"name": "greeter", "documentation_url": "file:///etc/passwd"})
    assert a2a("open", "greeter")[0] == 1
    assert a2a("open", "greeter", "--print")[:2] == (0, "file:///etc/passwd\n")


def test_every_answer_is_for_programs_too(played: Played, a2a: Run) -> None:
    answers: list[tuple[tuple[str, ...], str, str, dict[str, Any]]] = [
        (("rollback", "greeter", "5"), "POST", f"{AGENT}/rollback", {"from": 6, "to": 5}),
        (("promote", "greeter", "5"), "POST", f"{AGENT}/promote", {"from": 6, "to": 5}),
        (("deprecate", "greeter@1", "--undo"), "POST", f"{AGENT}/deprecate", {"major": 1}),
        (("delete", "greeter", "--yes"), "DELETE", AGENT, {"until": "x"}),
        (("restore", "greeter"), "POST", f"{AGENT}/restore", {"deleted": None}),
        (("env", "greeter"), "GET", f"{AGENT}/env", {"env": []}),
    ]
    for words, method, path, answer in answers:
        played.json(method, path, answer)
        code, out, err = a2a(*words, "--json")
        assert (code, json.loads(out), err) == (0, answer, "")
