"""Evals, gates and reviews on a real platform, as somebody at a terminal and somebody with curl have them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from test_cli_deploys import a2a, begin

from running import AGENTS, Running

Start = Callable[..., Running]


def ask(running: Running, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
    """(status, document) of a request to the control API."""
    from urllib.error import HTTPError

    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key or running.key}", "Content-Type": "application/json"}
    request = Request(f"{running.url}/api/v1{path}", data, headers, method=method)  # noqa: S310
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def leaves(running: Running, kind: str) -> list[dict[str, Any]]:
    return ask(running, "GET", f"/audit?kind={kind}&limit=1000")[1]["events"]


@pytest.fixture
def graded(platform: Start) -> Running:
    return platform(["graded", "grader"])


def test_a_release_is_scored_and_the_registry_says_so(graded: Running, tmp_path: Path) -> None:
    out, _ = a2a(graded, tmp_path, "eval", "graded", "--repeat", "2", "--json")
    document = json.loads(out)
    failed = [score for score in document["scores"] if not score["passed"]]
    assert not failed, failed
    assert (document["state"], document["score"], document["passed"]) == ("done", "1", 8)
    assert document["own_rubric"]
    # Each score refers to the receipt of an ordinary run, and so does the log.
    events = leaves(graded, "eval.scored")
    assert len(events) == 8
    for score in document["scores"]:
        run = ask(graded, "GET", f"/runs/{score['run']}")[1]
        assert (run["receipt_id"], run["release"]) == (score["receipt"], 1)
        assert [each["eval"] for each in run["scores"]] == [document["id"]]
        (event,) = [each for each in events if each["detail"]["run"] == score["run"]]
        assert event["detail"]["receipt"] == score["receipt"]
        assert event["detail"]["checks_sha256"] == score["checks_sha256"]
    greets = next(score for score in document["scores"] if score["case"] == "greets")
    judged = greets["checks"][4]
    assert ask(graded, "GET", f"/runs/{judged['run']}")[1]["agent"] == "grader"
    # The registry: releases, the agent, the search.
    page = json.loads(a2a(graded, tmp_path, "releases", "graded", "--json")[0])
    assert page["releases"][0]["eval"]["score"] == "1"
    assert "score 1 by its own rubric" in a2a(graded, tmp_path, "show", "graded")[0]
    assert "score 1" in a2a(graded, tmp_path, "search", "greet")[0]
    rubric = AGENTS / "graded" / "evals.toml"
    request = Request(  # noqa: S310
        f"{graded.url}/api/v1/agents/graded/evals/{document['id']}/rubric", headers=graded.auth
    )
    with urlopen(request) as answer:  # noqa: S310
        assert answer.read() == rubric.read_bytes()


BAD = """
timeout = 20
[[case]]
name = "spins"
skill = "greet"
arguments = { name = "Ada" }
[[case.check]]
kind = "python"
function = "checks:spins"
timeout = 0.5
[[case.check]]
kind = "python"
function = "checks:breaks"
[[case.check]]
kind = "python"
function = "checks:missing"
[[case.check]]
kind = "python"
function = "checks:floods"
[[case.check]]
kind = "python"
function = "checks:leaves"
[[case.check]]
kind = "judge"
agent = "graded"
skill = "greet"
[[case.check]]
kind = "equals"
value = "Hello, Bob."

[[case]]
name = "too slow"
skill = "slow"
timeout = 0.5
arguments = { seconds = 60 }
state = "completed"

[[case]]
name = "unanswered"
skill = "area"
arguments = { width = 2 }
state = "completed"

[[case]]
name = "wrong arguments"
skill = "greet"
arguments = { nom = 2 }
state = "completed"
"""


def test_every_failure_says_what_was_expected_and_what_came(graded: Running, tmp_path: Path) -> None:
    rubric = tmp_path / "bad.toml"
    run = json.loads(a2a(graded, tmp_path, "call", "graded", "greet", "name=Eve", "--json")[0])["run_id"]
    rubric.write_text(f'{BAD}\n[[case]]\nname = "recorded"\nrun = "{run}"\n')
    out, _ = a2a(
        graded, tmp_path, "eval", "graded", "--rubric", "bad.toml", "--min", "0.5", "--json", code=12
    )
    document = json.loads(out)
    assert (document["score"], document["passed"], document["own_rubric"]) == ("0.2", 1, False)
    scores = {score["case"]: score for score in document["scores"]}
    assert scores["recorded"]["passed"]
    said = [check["detail"] for check in scores["spins"]["checks"]]
    for word, detail in zip(
        ("longer than 0.5 s", "is broken", "missing", "bytes", "code 3", "no `result`", "differs"),
        said,
        strict=True,
    ):
        assert word in detail
    assert scores["spins"]["checks"][-1]["expected"] == "Hello, Bob."
    assert scores["spins"]["checks"][-1]["got"] == "Hello, Ada."
    for case, word in (
        ("too slow", "timed-out"),
        ("unanswered", "input-required"),
        ("wrong arguments", "refused"),
    ):
        assert word in scores[case]["checks"][0]["detail"]
    assert scores["wrong arguments"]["run"] is None
    assert "How high" in json.dumps(scores["unanswered"]["checks"][0]["got"])
    for case in ("too slow", "unanswered"):  # What was given up is no longer at work.
        assert ask(graded, "GET", f"/runs/{scores[case]['run']}")[1]["state"] == "canceled"
    text, _ = a2a(graded, tmp_path, "eval", "graded", "--show", document["id"])
    assert 'expected "Hello, Bob."' in text
    assert 'got      "Hello, Ada."' in text


def test_a_gate_lets_only_good_releases_through(graded: Running, tmp_path: Path) -> None:
    folder = tmp_path / "graded"
    shutil.copytree(AGENTS / "graded", folder)
    agent = folder / "agent.py"
    source = agent.read_text()
    agent.write_text(source.replace("Hello, {name}.", "Hi {name}"))
    _, said = a2a(graded, folder, "deploy", "--gate", "0.95", code=12)
    assert "release 2 is not promoted" in said
    page = ask(graded, "GET", "/agents/graded/releases")[1]
    assert (page["serving"], page["releases"][0]["eval"]["passed"]) == (1, 3)
    # The platform looks at the stored score itself.
    status, problem = ask(graded, "POST", "/agents/graded/promote", {"release": 2, "gate": 0.95})
    assert (status, problem["code"]) == (409, "gate_not_met")
    assert ask(graded, "GET", "/agents/graded/releases")[1]["serving"] == 1
    a2a(graded, folder, "promote", "2", "--gate", "0.95", code=12)
    for wrong in (2, -1, "1", True):
        assert ask(graded, "POST", "/agents/graded/promote", {"release": 2, "gate": wrong})[0] == 400
    agent.write_text(source + "\n# better\n")
    document = json.loads(a2a(graded, folder, "deploy", "--gate", "0.95", "--json")[0])
    assert (document["release"], document["serving"], document["eval"]["score"]) == (3, True, "1")
    (folder / "evals.toml").unlink()
    _, said = a2a(graded, folder, "deploy", "--gate", "0.95", code=2)
    assert "no evals.toml" in said
    assert ask(graded, "GET", "/agents/graded/releases")[1]["releases"][0]["release"] == 3


def test_a_killed_platform_leaves_no_eval_that_hangs(graded: Running, tmp_path: Path) -> None:
    rubric = '[[case]]\nname = "slow"\nskill = "slow"\narguments = { seconds = 300 }\nstate = "completed"\n'
    begun = ask(graded, "POST", "/agents/graded/evals", {"rubric": rubric, "repeat": 3})[1]
    while len(ask(graded, "GET", "/runs?state=working")[1]["runs"]) < 3:
        time.sleep(0.05)
    graded.kill()
    graded.restart()
    found = ask(graded, "GET", f"/agents/graded/evals/{begun['id']}?wait=5")[1]
    assert (found["state"], found["done"]) == ("interrupted", 0)
    again = ask(graded, "POST", "/agents/graded/evals", {"rubric": rubric})[1]
    status, ended = ask(graded, "POST", f"/agents/graded/evals/{again['id']}/cancel", {})
    assert (status, ended["state"]) == (200, "canceled")
    process = begin(graded, tmp_path, "eval", "graded", "--ls", "--json")
    states = [each["state"] for each in json.loads(process.communicate(timeout=60)[0])["evals"]]
    assert states == ["canceled", "interrupted"]


def test_evals_and_reviews_are_the_organisations_own(graded: Running, tmp_path: Path) -> None:
    made = json.loads(a2a(graded, tmp_path, "eval", "graded", "--case", "refuses nobody", "--json")[0])
    run = made["scores"][0]["run"]
    a2a(graded, tmp_path, "review", run, "reject", "--notes", "It could say hello.")
    review = ask(graded, "GET", f"/reviews?run={run}")[1]["reviews"][0]
    assert (review["verdict"], review["signed_by"], review["own_run"]) == ("reject", "key", True)

    def key(**wanted: Any) -> str:
        return ask(graded, "POST", "/keys", wanted)[1]["key"]

    stranger = key(principal="eve", org="other", role="admin")
    paths = (
        f"/agents/graded/evals/{made['id']}",
        "/agents/graded/evals",
        f"/reviews/{review['id']}",
        f"/reviews?run={run}",
    )
    for path in paths:
        assert ask(graded, "GET", path, key=stranger)[0] == 404, path
    assert ask(graded, "POST", "/agents/graded/evals", {}, key=stranger)[0] in (403, 404)
    assert ask(graded, "POST", "/reviews", {"run": run, "verdict": "approve"}, key=stranger)[0] == 404
    assert ask(graded, "GET", "/reviews", key=stranger)[1] == {"reviews": []}
    # A member sees scores, not what stands behind them, and reviews nobody.
    member = key(principal="mo", role="member")
    shown = ask(graded, "GET", paths[0], key=member)[1]
    assert "checks" not in shown["scores"][0]
    assert ask(graded, "GET", f"{paths[0]}/rubric", key=member)[0] == 403
    assert ask(graded, "POST", "/agents/graded/evals", {}, key=member)[0] == 403
    assert ask(graded, "POST", "/reviews", {"run": run, "verdict": "approve"}, key=member)[0] == 403
    assert ask(graded, "GET", f"/reviews?run={run}", key=member)[0] == 404
    # Somebody with another key can't show a review as their own.
    approver = key(principal="ann", role="approver")
    status, problem = ask(
        graded, "POST", "/reviews", {"run": run, "document": review["document"]}, key=approver
    )
    assert (status, problem["code"]) == (400, "invalid_params")
    status, on_behalf = ask(graded, "POST", "/reviews", {"run": run, "verdict": "approve"}, key=approver)
    assert (status, on_behalf["signed_by"], on_behalf["by"]) == (201, "platform", "ann@default")
    out, _ = a2a(graded, tmp_path, "reviews", run)
    assert out.count("holds") == 2
    assert "It could say hello." in out
    assert len(leaves(graded, "review.signed")) == 2
    (tmp_path / "review.json").write_text(a2a(graded, tmp_path, "reviews", review["id"])[0])
    assert json.loads((tmp_path / "review.json").read_text()) == review["document"]
    # Erasing the run takes the notes and what was found in it along; verdicts and scores stay.
    a2a(graded, tmp_path, "run", "erase", run, "--yes")
    left = ask(graded, "GET", f"/reviews/{review['id']}")[1]
    assert (left["notes"], left["notes_erased"], left["verdict"]) == (None, True, "reject")
    assert a2a(graded, tmp_path, "reviews", run)[0].count("holds") == 2
    (score,) = ask(graded, "GET", paths[0])[1]["scores"]
    assert (score["checks"], score["salt"], score["score"]) == (None, None, "1")
