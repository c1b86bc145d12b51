"""Receipts and erasures as callers see them: who gets which view, a tree of receipts, what an erasure takes
away and what it leaves."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_cloud.client import receipts
from a2a_cloud.wire.card_digest import card_sha256
from running import AGENTS, Running, start_platform

SECRET = "the heron of Wexford owes 4711"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    agents = [AGENTS / name for name in ("clerk", "open")]
    running = start_platform(agents, tmp_path_factory.mktemp("erased"))
    yield running
    running.stop()


def ask(site: Running, key: str, method: str, path: str, body: Any = None) -> httpx.Response:
    auth = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.request(method, site.url + path, json=body, headers=auth, timeout=30)


def key_of(site: Running, name: str, role: str) -> str:
    said = ask(site, site.key, "POST", "/api/v1/keys", {"principal": name, "role": role})
    assert said.status_code == 201, said.text
    return str(said.json()["key"])


def role(site: Running, name: str, *permissions: str) -> str:
    said = ask(site, site.key, "PUT", f"/api/v1/roles/{name}", {"permissions": list(permissions)})
    assert said.status_code in (200, 201), said.text
    return name


@pytest.fixture(scope="module")
def keys(site: Running) -> dict[str, str]:
    return {
        "owner": key_of(site, "olga", "member"),
        "other": key_of(site, "otto", "member"),
        "auditor": key_of(site, "ada", role(site, "reader", "audit.read")),
        "decider": key_of(site, "dora", role(site, "decider", "approvals.decide")),
        "manager": key_of(site, "mia", role(site, "keeper", "runs.manage")),
    }


def call(site: Running, key: str, agent: str, skill: str, **arguments: Any) -> str:
    done = ask(site, key, "POST", f"/agents/{agent}/invoke/{skill}", arguments)
    assert done.status_code == 200, done.text
    return str(done.headers["a2a-run"])


def receipt(site: Running, key: str, agent: str, run: str) -> httpx.Response:
    return ask(site, key, "GET", f"/agents/{agent}/runs/{run}/receipt")


def jwks(site: Running) -> list[receipts.Jwk]:
    return receipts.read_jwks(ask(site, "", "GET", "/.well-known/jwks.json").content)


def verified(site: Running, document: bytes) -> receipts.Verdict:
    verdict = receipts.verify(document, jwks(site))
    assert verdict.outcome is receipts.Outcome.VALID, verdict.steps
    return verdict


def approved(site: Running, key: str) -> str:
    """A run that asked for more than it had, and was given it."""
    steps = [
        {"do": "scope", "wants": {"write": ["finance/**"], "reason": "to file it"}},
        {"do": "write", "path": "finance/a.txt", "text": SECRET},
        {"do": "read", "path": "finance/a.txt"},
    ]
    asked = ask(site, key, "POST", "/agents/clerk/invoke/work", {"steps": steps})
    run = str(asked.headers["a2a-run"])
    (waiting,) = ask(site, site.key, "GET", "/api/v1/approvals").json()["approvals"]
    said = ask(site, site.key, "POST", f"/api/v1/approvals/{waiting['id']}/approve", {})
    assert said.status_code == 200, said.text
    end = time.monotonic() + 20
    while receipt(site, key, "clerk", run).status_code == 409:
        assert time.monotonic() < end
        time.sleep(0.05)
    return run


def test_who_gets_which_view(site: Running, keys: dict[str, str]) -> None:
    run = approved(site, keys["owner"])
    plain = call(site, keys["owner"], "open", "shout", text="hello")
    expected = {  # of the one that asked, of the other
        site.key: (True, True),
        keys["owner"]: (False, False),
        keys["auditor"]: (True, True),
        keys["decider"]: (True, None),
        keys["other"]: (None, None),
        "": (None, None),
    }
    for key, views in expected.items():
        for whole, (agent, which) in zip(views, (("clerk", run), ("open", plain)), strict=True):
            answer = receipt(site, key, agent, which)
            if whole is None:
                assert answer.status_code in (401, 404), (answer.text, agent)
                continue
            assert answer.status_code == 200, answer.text
            assert ("sections" in answer.json()) is whole
            verified(site, answer.content)
    grants, approvals = verified(site, receipt(site, site.key, "clerk", run).content).steps[9:11]
    assert (grants.state, approvals.state) == ("ok", "ok")
    assert "1 operation on files, each allowed" in grants.why
    assert approvals.why == "1 decision, 1 of them a yes"


def test_the_card_is_the_one_that_the_receipt_names(site: Running, keys: dict[str, str]) -> None:
    run = call(site, keys["owner"], "open", "shout", text="hello")
    card = ask(site, "", "GET", "/agents/open/.well-known/agent-card.json").json()
    body = receipt(site, keys["owner"], "open", run).json()["body"]
    assert body["agent"]["card_sha256"] == card_sha256(card)


def nested(calls: int) -> list[dict[str, Any]]:
    """Steps that call themselves so often."""
    if not calls:
        return [{"do": "write", "path": "~/a.txt", "text": "a"}]
    return [{"do": "call", "agent": "clerk", "skill": "work", "arguments": {"steps": nested(calls - 1)}}]


def test_a_tree_of_receipts(site: Running, keys: dict[str, str], tmp_path: Path) -> None:
    run = call(site, keys["owner"], "clerk", "work", steps=nested(2))
    for key, whole in ((site.key, True), (keys["owner"], False)):
        answer = ask(site, key, "GET", f"/agents/clerk/runs/{run}/receipts")
        assert answer.status_code == 200, answer.text
        found, more = receipts.read_tree(answer.content)
        assert (len(found), more) == (3, False)
        folder = tmp_path / str(whole)
        folder.mkdir()
        for name, document in found:
            (folder / f"{name}.json").write_bytes(document)
        verdicts = receipts.verify_folder(folder, jwks(site))
        assert {verdict.outcome for verdict in verdicts.values()} == {receipts.Outcome.VALID}
        top = verdicts[f"{found[0][0]}.json"]
        assert top.steps[-1].state == ("ok" if whole else "unchecked"), top.steps[-1]
    assert ask(site, keys["other"], "GET", f"/agents/clerk/runs/{run}/receipts").status_code == 404


def erase(site: Running, key: str, run: str, **body: Any) -> httpx.Response:
    return ask(site, key, "POST", f"/api/v1/runs/{run}/erase", body)


def test_what_was_said_is_gone(site: Running, keys: dict[str, str]) -> None:
    sent = httpx.post(
        site.agent("open"),
        json={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "SendMessage",
            "params": {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": SECRET}]}},
        },
        headers={"Authorization": f"Bearer {keys['owner']}", "A2A-Version": "1.0"},
        timeout=20,
    ).json()["result"]["task"]
    run = sent["metadata"]["a2a-cloud/run"]
    before = receipt(site, keys["owner"], "open", run)
    assert SECRET in before.text
    assert erase(site, keys["other"], run).status_code == 404
    assert erase(site, keys["auditor"], run).status_code == 404
    assert erase(site, keys["owner"], run, reason="x" * 501).status_code == 400
    nobody = erase(site, keys["owner"], run, agent="nobody.open")
    other = erase(site, keys["other"], run, agent="default.open")
    assert nobody.json()["detail"] == other.json()["detail"]
    first = erase(site, keys["owner"], run, reason="my own")
    assert first.status_code == 200, first.text
    (told,) = first.json()["erased"]
    assert (told["id"], told["by"], told["reason"]) == (run, "olga@default", "my own")
    again = erase(site, keys["manager"], run, reason="another")
    assert again.json() == first.json()  # What the first one did.
    for key in (keys["owner"], site.key):
        answer = receipt(site, key, "open", run)
        verdict = verified(site, answer.content)
        assert verdict.receipt_id == before.json()["id"]
        assert answer.json()["erased"]["by"] == "olga@default"
        assert not answer.json().get("disclosed")
        shown = ask(site, key, "GET", f"/api/v1/runs/{run}")
        assert shown.json()["erased"] == {name: told[name] for name in ("at", "by", "reason")}
        assert SECRET.upper() not in shown.text
        assert "Erased at" in shown.text
        task = ask(site, key, "GET", f"/agents/open/tasks/{sent['id']}")
        if key == keys["owner"]:
            assert "Erased at" in task.text
        assert SECRET not in task.text
        assert SECRET.upper() not in task.text
    events = ask(site, keys["owner"], "GET", f"/agents/open/sse/{sent['id']}")
    assert "Erased at" in events.text
    assert "heron" not in events.text.lower()
    (change,) = ask(site, site.key, "GET", "/api/v1/audit?kind=run.erased").json()["events"][:1]
    assert (change["target"], change["caller"]) == (run, "olga@default")
    assert change["detail"]["receipt"] == before.json()["id"]


def test_a_tree_is_erased_whole(site: Running, keys: dict[str, str]) -> None:
    run = call(site, keys["owner"], "clerk", "work", steps=nested(3))
    found = erase(site, keys["manager"], run, tree=True)
    assert found.status_code == 200, found.text
    assert len(found.json()["erased"]) == 4
    for document in ask(site, keys["owner"], "GET", f"/agents/clerk/runs/{run}/receipts").json()["receipts"]:
        assert document["erased"]["by"] == "mia@default"


def test_a_run_that_goes_on_is_not_erased(site: Running, keys: dict[str, str]) -> None:
    steps = [{"do": "ask", "question": "Which?"}]
    answer = ask(site, keys["owner"], "POST", "/agents/clerk/invoke/work", {"steps": steps})
    run = answer.headers["a2a-run"]
    refused = erase(site, keys["owner"], run)
    assert (refused.status_code, refused.json()["code"]) == (409, "run_open")
    assert ask(site, keys["owner"], "GET", f"/api/v1/runs/{run}").json()["erased"] is None


def test_nothing_of_it_is_left_in_the_database(tmp_path: Path) -> None:
    platform = start_platform([AGENTS / "open"], tmp_path)
    text = f"{SECRET} " + "and so on, " * 2_000
    try:
        done = httpx.post(
            platform.agent("open") + "/invoke/shout", json={"text": text}, headers=platform.auth, timeout=20
        )
        run = done.headers["a2a-run"]
        path = f"{platform.url}/api/v1/runs/{run}/erase"
        assert httpx.post(path, json={}, headers=platform.auth, timeout=10).status_code == 200
    finally:
        platform.stop()
    for file in platform.data.glob("journal.db*"):
        stored = file.read_bytes()
        for words in (SECRET, SECRET.upper(), "and so on, " * 3, ("and so on, " * 3).upper()):
            assert words.encode() not in stored, (file, words)
            assert base64.b64encode(words.encode())[:40] not in stored
    assert json.loads((platform.data / "retention" / "pass.json").read_text())["again"] is True
