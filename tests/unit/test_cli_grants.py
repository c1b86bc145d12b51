"""`a2a grants …`: what is asked, what is drawn, and what a wrong line says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_platform import Played
from cli_running import Run

from a2a_cloud.callers.cli.grants import ago

pytest_plugins = ["cli_fixtures"]

PATH = "/api/v1/grants"


def stamp(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def grant(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "root": "grant_1",
        "parent": "",
        "prior": "",
        "run": "run_1",
        "holder": "agent:default/reviewer",
        "subject": "ada@default",
        "approval": "",
        "workspace": "default",
        "created": stamp(-200),
        "expires": stamp(400),
        "state": "active",
        "end": None,
        **more,
    }


def test_ls(played: Played, a2a: Run) -> None:
    page = {"grants": [grant("grant_2"), grant("grant_1", state="revoked")], "next": "grant_1"}
    played.json("GET", PATH, page)
    code, out, err = a2a("grants", "ls", "--agent", "reviewer", "--limit", "2", "--before", "grant_3")
    assert code == 0
    assert out.splitlines()[0].split() == ["GRANT", "STATE", "HOLDER", "FOR", "RUN", "MADE", "ENDS"]
    assert "3 min 20 s ago" in out
    assert "in 6 min" in out
    assert "--before grant_1" in err
    assert "a2a grants show grant_2" in err
    assert played.last("GET", PATH).query == {"agent": "reviewer", "limit": "2", "before": "grant_3"}
    assert json.loads(a2a("grants", "ls", "--json")[1]) == page
    played.json("GET", "/api/v1/runs", {"runs": [{"id": "run_9"}]})
    assert a2a("grants", "ls", "--run", "last")[0] == 0
    assert played.last("GET", PATH).query["run"] == "run_9"
    played.json("GET", PATH, {"grants": []})
    assert "No grants" in a2a("grants", "ls")[2]


def test_show_has_every_block_and_the_end(played: Played, a2a: Run) -> None:
    blocks = [
        {
            "by": "the agent's declaration",
            "sha256": "ab" * 32,
            "claims": {
                "read": ["contracts/**"],
                "write": [],
                "prefix": "outputs/run_1/",
                "max_uses": 9,
                "exp": 1 << 36,
            },
            "uses": 4,
            "bytes": 0,
        },
        {"by": "caller", "sha256": "cd" * 32, "claims": {"read": ["contracts/a\x1b[2J"], "exp": 1}},
    ]
    end = {"id": "grant_1", "at": stamp(-60), "by": "root@default", "reason": "leaked"}
    played.json("GET", f"{PATH}/grant_2", grant("grant_2", state="revoked", blocks=blocks, end=end))
    code, out, err = a2a("grants", "show", "grant_2")
    assert code == 0
    lines = out.splitlines()
    assert "  read        contracts/**" in lines
    assert "  write       nothing" in lines
    assert "  max_uses    9, 4 used" in lines
    assert any("60 s ago with grant_1 by root@default: leaked" in line for line in lines)
    assert "\x1b" not in out
    assert "revoke" not in err
    played.json("GET", f"{PATH}/grant_2", grant("grant_2", blocks=[]))
    assert "a2a grants revoke grant_2" in a2a("grants", "show", "grant_2")[2]


def test_the_tree_is_drawn(played: Played, a2a: Run) -> None:
    leaf = grant("grant_3", parent="grant_2", children=[])
    new = grant("grant_4", prior="grant_2", approval="appr_1", children=[])
    middle = grant("grant_2", parent="grant_1", children=[leaf, new])
    other = grant("grant_5", parent="grant_1", state="ended", children=[])
    top = grant("grant_1", children=[middle, other])
    played.json("GET", f"{PATH}/grant_3/tree", {"root": top, "complete": False})
    code, out, err = a2a("grants", "tree", "grant_3")
    assert code == 0
    assert out.splitlines() == [
        "grant_1  agent:default/reviewer  active",
        "├─ grant_2  agent:default/reviewer  active",
        "│  ├─ grant_3  agent:default/reviewer  active  ← this one",
        "│  └─ grant_4  agent:default/reviewer  active  replaces grant_2  approved by appr_1",
        "└─ grant_5  agent:default/reviewer  ended",
    ]
    assert "goes on" in err


def test_revoke(played: Played, a2a: Run) -> None:
    played.json("POST", f"{PATH}/grant_2/revoke", grant("grant_2", state="revoked"))
    code, _, err = a2a("grants", "revoke", "grant_2", "--reason", "leaked")
    assert code == 0
    assert json.loads(played.last("POST", f"{PATH}/grant_2/revoke").body) == {"reason": "leaked"}
    assert "revoked grant_2" in err
    assert "a2a grants tree grant_2" in err
    problem = {"code": "not_found", "detail": "There is no such grant.", "remedy": "See `a2a grants ls`."}
    played.json("POST", f"{PATH}/grant_x/revoke", problem, 404)
    code, _, err = a2a("grants", "revoke", "grant_x")
    assert code == 5
    assert "a2a grants ls" in err


def explained(allowed: bool, reason: str) -> dict[str, Any]:
    return {
        "grant": "grant_1",
        "holder": "agent:default/reviewer",
        "run": "run_1",
        "subject": "ada@default",
        "allowed": allowed,
        "reason": reason,
        "verdicts": [
            {"block": 0, "by": "the agent's declaration", "allowed": True, "reason": "read has **"},
            {"block": 1, "by": "caller", "allowed": allowed, "reason": reason},
        ],
    }


def test_who_and_why(played: Played, a2a: Run) -> None:
    answer = {
        "allowed": [explained(True, "read has contracts/**")],
        "refused": [explained(False, "read has shared/**")],
        "complete": True,
    }
    played.json("GET", f"{PATH}/explain", answer)
    code, out, err = a2a("grants", "explain", "contracts/acme.md", "--workspace", "main")
    assert code == 0
    assert "agent:default/reviewer may, for ada@default, run run_1, grant_1" in out
    assert "  block 1 (caller): yes, read has contracts/**" in out.splitlines()
    assert "shared/**" not in out
    assert "--all" in err
    query = {"path": "contracts/acme.md", "operation": "read", "workspace": "main"}
    assert played.last("GET", f"{PATH}/explain").query == query
    assert "may not" in a2a("grants", "explain", "contracts/acme.md", "--all")[1]
    played.json("GET", f"{PATH}/explain", {"allowed": [], "refused": [], "complete": False})
    _, _, err = a2a("grants", "explain", "a.b:443", "--operation", "egress")
    assert "No run under way may egress a.b:443." in err


def test_audit(played: Played, a2a: Run) -> None:
    event = {
        "no": 7,
        "at": stamp(-5),
        "kind": "check",
        "allowed": False,
        "caller": "agent:default/reviewer",
        "operation": "read",
        "target": "finance/a",
        "reason": "scope",
        "run": "run_1",
        "grant": "grant_1",
    }
    played.json("GET", "/api/v1/audit", {"events": [event]})
    code, out, _ = a2a("grants", "audit", "--run", "run_1", "--grant", "grant_1", "--after", "6")
    assert code == 0
    assert "check refused" in out
    assert "read finance/a" in out
    query = {"run": "run_1", "grant": "grant_1", "after": "6", "limit": "50"}
    assert played.last("GET", "/api/v1/audit").query == query
    played.json("GET", "/api/v1/audit", {"events": []})
    assert "No events" in a2a("grants", "audit")[2]


def test_the_policy(played: Played, a2a: Run) -> None:
    played.json("GET", f"{PATH}/policy", {"grant": {}})
    assert "a2a grants policy policy.toml" in a2a("grants", "policy")[2]
    file = Path.cwd() / "policy.toml"
    file.write_text('read = ["contracts/**"]\nwrite = []\n')
    played.json("PUT", f"{PATH}/policy", {"grant": {"read": ["contracts/**"], "write": [], "seconds": 60.0}})
    code, out, err = a2a("grants", "policy", "policy.toml")
    assert code == 0
    sent = json.loads(played.last("PUT", f"{PATH}/policy").body)
    assert sent == {"read": ["contracts/**"], "write": []}
    assert "write       nothing" in out.splitlines()
    assert "from now on" in err
    assert a2a("grants", "policy", "--clear")[0] == 0
    assert json.loads(played.last("PUT", f"{PATH}/policy").body) == {}


@pytest.mark.parametrize(
    "words", [("policy", "none.toml"), ("policy", "bad.toml"), ("policy", "bad.toml", "--clear"), ("show",)]
)
def test_a_wrong_line_asks_nothing(played: Played, a2a: Run, words: tuple[str, ...]) -> None:
    (Path.cwd() / "bad.toml").write_text("read = [")
    code, _, err = a2a("grants", *words)
    assert code == 2
    assert err
    assert played.asked == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-0.2, "now"), (-5, "5 s ago"), (90.4, "in 90 s"), (-7300, "2 h ago"), (259_300, "in 3 days")],
)
def test_times_are_relative(seconds: float, said: str) -> None:
    assert ago(stamp(seconds)) == said


def test_what_is_no_stamp_stays() -> None:
    assert ago("soon") == "soon"
    assert ago(None) == ""


def test_every_answer_is_for_programs_too(played: Played, a2a: Run) -> None:
    answers: list[tuple[tuple[str, ...], str, str]] = [
        (("show", "grant_1"), "GET", f"{PATH}/grant_1"),
        (("tree", "grant_1"), "GET", f"{PATH}/grant_1/tree"),
        (("revoke", "grant_1"), "POST", f"{PATH}/grant_1/revoke"),
        (("explain", "a"), "GET", f"{PATH}/explain"),
        (("audit",), "GET", "/api/v1/audit"),
        (("policy",), "GET", f"{PATH}/policy"),
        (("rotate-key",), "POST", f"{PATH}/rotate-key"),
    ]
    for words, method, path in answers:
        played.json(method, path, {"x": 1})
        code, out, err = a2a("grants", *words, "--json")
        assert (code, json.loads(out), err) == (0, {"x": 1}, "")
