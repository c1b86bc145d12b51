"""`a2a approvals` against a server that plays the platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played
from cli_running import Run

from a2a_cloud.callers.cli import approvals_watch

pytest_plugins = ["cli_fixtures"]

PATH = "/api/v1/approvals"


def approval(number: int = 1, **more: Any) -> dict[str, Any]:
    empty: list[str] = []
    return {
        "id": f"appr_{number}",
        "no": number,
        "state": "open",
        "run_id": "run_1",
        "agent": "reviewer",
        "skill": "review",
        "requester": "ada@acme",
        "asked": {"read": ["finance/**"], "write": empty, "skills": empty, "egress": ["api.example.com"]},
        "reason": "the report needs it",
        "risk": "high",
        "rule": "",
        "needed": 1,
        "missing": 1,
        "deadline": "2026-11-22T12:00:00.000Z",
        "seconds": 0,
        "granted": None,
        "story": [{"at": "2026-11-21T12:00:00.000Z", "by": "ada@acme", "what": "asked\x1b[2J"}],
        **more,
    }


def test_ls(played: Played, a2a: Run) -> None:
    played.json("GET", PATH, {"approvals": [approval(2), approval(1)], "next": "1", "last": 2})
    code, out, err = a2a("approvals", "ls", "--limit", "2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["ID", "RISK", "WHO", "WANTS"]
    assert "reviewer/review for ada@acme" in lines[1]
    assert "read finance/**; egress api.example.com" in lines[1]
    assert "--cursor 1" in err
    assert "approvals show appr_2" in err
    assert played.last("GET", PATH).query == {"state": "open", "limit": "2"}
    code, out, _ = a2a("approvals", "ls", "--state", "all", "--cursor", "7", "--json")
    assert (code, json.loads(out)["last"]) == (0, 2)
    assert played.last("GET", PATH).query == {"state": "all", "limit": "20", "cursor": "7"}
    played.json("GET", PATH, {"approvals": [], "next": "", "last": 0})
    assert "No approval is open" in a2a("approvals", "ls")[2]


def test_show(played: Played, a2a: Run) -> None:
    played.json("GET", f"{PATH}/appr_1", approval(rule="rule 2 (finance) of version 3", needed=2, missing=2))
    code, out, err = a2a("approvals", "show", "appr_1")
    assert code == 0
    for said in ("the report needs it", "rule 2 (finance)", "2 of 2 have yet to agree", "as long as the run"):
        assert said in out
    assert "a2a" in err
    assert "approvals approve appr_1" in err
    assert json.loads(a2a("approvals", "show", "appr_1", "--json")[1])["id"] == "appr_1"
    problem = {"code": "approval_not_found", "detail": "There is none.", "remedy": "See `a2a approvals ls`."}
    played.json("GET", f"{PATH}/appr_1", problem, status=404)
    code, _, err = a2a("approvals", "show", "appr_1")
    assert code == 5
    assert "a2a approvals ls" in err


def test_approve_and_deny(played: Played, a2a: Run) -> None:
    granted = {"read": ["finance/q3/**"], "write": [], "skills": [], "egress": []}
    played.json("POST", f"{PATH}/appr_1/approve", approval(state="approved", granted=granted, seconds=3600))
    code, out, _ = a2a(
        "approvals", "approve", "appr_1", "--read", "finance/q3/**", "--for", "1h", "--note", "q3"
    )
    assert (code, out) == (0, "approved appr_1: read finance/q3/**, for 3600 s\n")
    assert json.loads(played.last("POST", f"{PATH}/appr_1/approve").body) == {
        "read": ["finance/q3/**"],
        "write": [],
        "skills": [],
        "egress": [],
        "seconds": 3600,
        "note": "q3",
    }
    a2a("approvals", "approve", "appr_1")
    assert json.loads(played.last("POST", f"{PATH}/appr_1/approve").body) == {}
    played.json("POST", f"{PATH}/appr_1/approve", approval(needed=2, missing=1))
    assert "one more person has to agree" in a2a("approvals", "approve", "appr_1")[1]
    played.json("POST", f"{PATH}/appr_1/deny", approval(state="denied"))
    code, out, _ = a2a("approvals", "deny", "appr_1", "--note", "no")
    assert (code, out) == (0, "denied appr_1\n")
    assert json.loads(a2a("approvals", "deny", "appr_1", "--json")[1])["state"] == "denied"
    for word in ("soon", "0s"):
        code, _, err = a2a("approvals", "approve", "appr_1", "--for", word)
        assert code == 2
        assert "--for" in err


def test_policy(played: Played, a2a: Run, tmp_path: Path) -> None:
    found = {"version": 0, "text": "", "at": None, "by": ""}
    played.json("GET", f"{PATH}/policy", found)
    code, _, err = a2a("approvals", "policy")
    assert code == 0
    assert "approvals policy rules.toml" in err
    text = '[[rule]]\ndecision = "ask"\n'
    played.json("GET", f"{PATH}/policy", {"version": 3, "text": text, "at": "x", "by": "bob@acme"})
    assert a2a("approvals", "policy")[1] == text
    file = tmp_path / "rules.toml"
    file.write_text(text)
    played.json("PUT", f"{PATH}/policy", found)
    assert "version 3" in a2a("approvals", "policy", str(file))[1]
    assert played.last("PUT", f"{PATH}/policy").body == text.encode()
    played.json("PUT", f"{PATH}/policy", {"code": "invalid_params", "detail": "Rule 1 (line 2)."}, status=400)
    code, _, err = a2a("approvals", "policy", str(file))
    assert code == 2
    assert "line 2" in err
    assert a2a("approvals", "policy", str(tmp_path / "none"))[0] == 2


def script(played: Played, *pages: list[dict[str, Any]]) -> None:
    """Answers a page each; then the person presses Ctrl-C."""
    left = list(pages)

    async def answer(request: web.Request) -> web.StreamResponse:
        if not left:
            return web.json_response({"code": "forbidden", "detail": "over"}, status=403)
        page = left.pop(0)
        last = page[-1]["no"] if page else int(request.query["after"])
        return web.json_response({"approvals": page, "next": "", "last": last})

    played.answers["GET", PATH] = answer


def test_watch_shows_each_once_and_goes_on_after_it(played: Played, a2a: Run) -> None:
    script(played, [approval(1)], [], [approval(2), approval(3)])
    code, out, _ = a2a("approvals", "watch", "--json")
    assert code == 4
    first, second, third = [json.loads(line)["id"] for line in out.splitlines() if "appr_" in line]
    assert (first, second, third) == ("appr_1", "appr_2", "appr_3")
    asked = [each.query for each in played.asked]
    assert [(each["after"], each["wait"]) for each in asked] == [
        ("0", "0"),
        ("1", "20"),
        ("1", "20"),
        ("3", "20"),
    ]


def test_watch_asks_whoever_is_there(
    played: Played,
    a2a: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from a2a_cloud.callers.cli import approvals

    monkeypatch.setattr(approvals, "interactive", lambda: True)
    answers = ["y", "n", "l"]
    monkeypatch.setattr(approvals_watch.click, "prompt", lambda *_words, **_how: answers.pop(0))
    script(played, [approval(1), approval(2), approval(3)])
    closed = {"code": "approval_closed", "detail": "bob@acme was faster.", "remedy": ""}
    played.json("POST", f"{PATH}/appr_1/approve", closed, status=409)
    played.json("POST", f"{PATH}/appr_2/deny", approval(2, state="denied"))
    code, out, err = a2a("approvals", "watch")
    assert code == 4
    assert "bob@acme was faster" in err
    assert "denied appr_2" in out
    assert "approvals approve appr_3" in err
    assert answers == []


def test_watch_asks_nobody_where_nobody_is(played: Played, a2a: Run) -> None:
    script(played, [])
    code, _, err = a2a("approvals", "watch", "--ask")
    assert code == 2
    assert "--ask" in err
