"""Workspaces, grants and approvals on a whole platform with the jail, from outside: what its users see."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from caged_work import Place, codes, seconds_from, step
from calling import answer, begin, run_of, wait_for

FINANCE = {"read": ["finance/**"], "reason": "the totals"}
READ_Q3 = step("read", path="finance/q3/a.csv")
READ_Q2 = step("read", path="finance/q2/b.csv")
SCOPE = step("scope", wants=FINANCE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    yield place
    assert place.running.stop() == 0


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where people have two seconds to decide, and idle agents keep no process."""
    place = Place(tmp_path_factory.mktemp("hurried"), A2A_APPROVAL_SECONDS="2", A2A_IDLE="1")
    yield place
    assert place.running.stop() == 0


# --- the workspace --------------------------------------------------------------------------------------


def test_a_skill_works_with_files_and_commits_once(place: Place) -> None:
    before = place.versions()[0]["version"]
    said = place.work(
        step("write", path="drafts/a.txt", text="hello"),
        step("append", path="drafts/a.txt", text=" world"),
        step("read", path="drafts/a.txt"),
        step("copy", path="drafts/a.txt", target="drafts/x/b.txt"),
        step("list", path="drafts"),
        step("glob", pattern="drafts/**/*.txt"),
        step("delete", path="drafts/a.txt"),
        step("stat", path="drafts/a.txt"),
        step("write", path="~/own.txt", text="own"),
        step("stat", path=""),
    )
    assert said.status == 200, said.body
    wrote, _, read, _, listed, globbed, _, gone, own, root = said.json
    assert wrote["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert (read, gone) == ("hello world", None)
    assert listed == ["drafts/a.txt", "drafts/x"]
    assert globbed == ["drafts/a.txt", "drafts/x/b.txt"]
    assert own["path"] == f"outputs/{said.run}/own.txt"
    assert (root["kind"], root["size"]) == ("folder", 0)  # It does not tell of what the run may not see.
    newest = place.versions()[0]
    assert newest["version"] == before + 1
    assert (newest["run"], newest["message"], newest["changed"]) == (said.run, "clerk/work", 2)
    assert place.get("drafts/x/b.txt") == b"hello world"
    assert said.run in place.a2a("ws", "log", "default:")[0]
    assert place.a2a("ws", "cat", ":drafts/x/b.txt")[0] == "hello world"


def test_a_sync_skill_too(place: Place) -> None:
    said = place.ask("POST", "/agents/clerk/invoke/by_turns", {"path": "drafts/turns.txt"})
    assert said.json == "one two three"
    assert place.get("drafts/turns.txt") == b"one\ntwo\nthree\n"


def test_very_many_operations_at_once_wait_for_room(place: Place) -> None:
    """1,500 writes of 20 kB with none waiting for another: the platform does not take all into memory."""
    before = peak(place)
    said = place.ask("POST", "/agents/clerk/invoke/flood", {"count": 1500, "size": 20_000})
    assert (said.status, said.json) == (200, 1500), said.body
    assert peak(place) - before < 20 << 20


def peak(place: Place) -> int:
    """The most memory that the platform ever had, in bytes."""
    status = Path(f"/proc/{place.running.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def test_thirty_megabytes_stream_through_a_small_jail(place: Place) -> None:
    said = place.ask("POST", "/agents/clerk/invoke/pour", {"path": "drafts/big.bin", "blocks": 30})
    assert said.status == 200, said.body
    assert said.json["read"] == said.json["entry"]["size"] == 30 << 20
    whole = hashlib.sha256()
    for number in range(30):
        whole.update(bytes([number]) * (1 << 20))
    assert said.json["entry"]["sha256"] == whole.hexdigest()
    body = place.get("drafts/big.bin")
    assert body is not None
    assert hashlib.sha256(body).digest() == whole.digest()


def test_a_failed_run_leaves_nothing_unless_it_keeps_it(place: Place) -> None:
    before = place.versions()[0]["version"]
    assert place.work(step("write", path="drafts/lost", text="x"), step("fail")).code == "skill_failed"
    assert (place.versions()[0]["version"], place.get("drafts/lost")) == (before, None)
    kept = place.work(step("keep"), step("write", path="drafts/kept", text="x"), step("fail"))
    assert kept.code == "skill_failed"
    assert place.versions()[0]["version"] == before + 1
    assert place.get("drafts/kept") == b"x"


def test_of_two_that_wrote_the_same_path_the_second_is_a_conflict(place: Place) -> None:
    slow = place.send(step("write", path="drafts/same", text="slow"), step("ask", question="Go on?"))
    assert slow["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    fast = place.work(step("write", path="drafts/same", text="fast"))
    assert fast.status == 200, fast.body
    answer(place.running, "clerk", slow["id"], "yes")
    refused = run_of(place.running, place.task(slow["id"])["metadata"]["a2a-cloud/run"])
    assert (refused["state"], refused["error"]["code"]) == ("failed", "workspace_conflict")
    assert "drafts/same" in refused["error"]["detail"]
    assert fast.run in refused["error"]["detail"]
    assert place.get("drafts/same") == b"fast"


def test_a_run_sees_its_pinned_base_and_its_own_writes(place: Place) -> None:
    place.put("contracts/pinned.md", "old")
    task = place.send(
        step("read", path="contracts/pinned.md"),
        step("write", path="drafts/mine", text="mine"),
        step("ask", question="Go on?"),
        step("read", path="contracts/pinned.md"),
        step("read", path="drafts/mine"),
        step("stat", path="contracts/later.md"),
    )
    place.put("contracts/pinned.md", "new")
    place.put("contracts/later.md", "later")
    answer(place.running, "clerk", task["id"], "yes")
    first, _, _, again, mine, later = place.result(task["id"])
    assert (first, again, mine, later) == ("old", "old", "mine", None)
    assert place.did(step("read", path="contracts/pinned.md")) == ["new"]


def test_a_file_part_is_adopted_without_copying(place: Place) -> None:
    content = os.urandom(3_000_000)
    said = place.ask(
        "POST",
        "/agents/clerk/invoke/file_away?path=drafts/in.bin",
        content,
        **{"Content-Type": "application/octet-stream"},
    )
    assert said.status == 200, said.body
    sha256 = hashlib.sha256(content).hexdigest()
    assert said.json["entry"] == {
        "path": "drafts/in.bin", "kind": "file", "size": len(content), "sha256": sha256,
    }  # fmt: skip
    assert place.get("drafts/in.bin") == place.get("drafts/in.bin.copy") == content
    assert [line["what"].split()[0] for line in place.record(said.run, "ws")] == ["adopt", "copy"]


BAD_PATHS = [
    "drafts/../finance/q3/a.csv", "drafts/..", "drafts/./a", "drafts//a", "drafts/a/", "/drafts/a",
    "drafts/%2e%2e/x", "drafts/%252e", "drafts/a%2fb", "drafts\\..\\x", "drafts/a\0b", "drafts/a\n",
    "drafts/\x07", "drafts/\u202ea", "drafts/e\u0301", "drafts/\uff0e\uff0e/x", "drafts\uff0fx",
    "drafts/a.", "drafts/a ", "C:/x", "\\\\?\\x", "drafts/a:b", "/proc/self/root", "a" * 4096,
    "/".join(["a"] * 1000),
]  # fmt: skip
FOREIGN_PATHS = [
    "drafts2/a",
    "DRAFTS/a",
    "finance/q3/a.csv",
    "finance",
    "contracts/secret/x",
    "outputs/run_1/a",
]


def test_no_path_leads_out_and_each_try_leaves_a_trace(place: Place) -> None:
    verbs = ("read", "write", "stat", "list", "delete")
    tries = [(verb, path) for path in (*BAD_PATHS, *FOREIGN_PATHS) for verb in verbs]
    said = place.work(*(step(verb, path=path, text="x") for verb, path in tries))
    assert said.status == 200, said.body
    for (verb, path), code in zip(tries, codes(said.json), strict=True):
        wanted = "invalid_params" if path in BAD_PATHS else "forbidden"
        assert code == wanted, (verb, path)
    record = place.record(said.run, "ws")
    assert [line["state"] for line in record] == ["refused"] * len(tries)
    assert {line["code"] for line in record} == {"invalid_params", "forbidden"}
    shown = json.loads(place.a2a("grants", "audit", "--run", said.run, "--limit", "1000", "--json")[0])
    refused = [each for each in shown["events"] if not each["allowed"]]
    assert len(refused) == len(tries), len(refused)
    shown = place.a2a("runs", said.run)[0]
    assert "refused: forbidden" in shown
    assert "refused: invalid_params" in shown


def test_both_ends_of_a_copy_are_checked(place: Place) -> None:
    place.put("drafts/ok", "ok")
    found = place.did(
        step("copy", path="finance/q3/a.csv", target="drafts/stolen"),
        step("copy", path="drafts/ok", target="contracts/changed"),
        step("copy", path="contracts/secret/x", target="drafts/stolen"),
        step("copy", path="drafts/ok", target="drafts/../contracts/x"),
    )
    assert codes(found) == ["forbidden", "forbidden", "forbidden", "invalid_params"]
    assert place.get("drafts/stolen") is None


def test_lists_show_what_may_be_seen_and_no_more(place: Place) -> None:
    top, inside, everything, contracts, nowhere = place.did(
        step("list"),
        step("list", path="contracts"),
        step("glob", pattern="**"),
        step("stat", path="contracts"),
        step("list", path="no/such/folder"),
    )
    assert not {"finance"} & set(top)
    assert {"contracts", "shared"} <= set(top)
    assert "contracts/acme.md" in inside
    assert not [path for path in everything if path.startswith("finance") or "secret/" in path]
    assert contracts["size"] == 0
    assert nowhere["refused"] == "forbidden"  # As a folder that is there: nothing is learned from it.
    bad = place.did(
        *(step("glob", pattern=text) for text in ("a**b", "[a]", "/", "../**", "{a}", "!a", "a\\b"))
    )
    assert set(codes(bad)) == {"invalid_params"}


# --- grants -----------------------------------------------------------------------------------------------


def test_a_caller_narrows_by_header_and_by_metadata(place: Place) -> None:
    tries = (
        step("read", path="contracts/acme.md"),
        step("read", path="shared/n.md"),
        step("write", path="drafts/n", text="x"),
        step("call", agent="clerk", skill="work", arguments={"steps": []}),
    )
    narrow = {"read": ["shared/*"], "write": [], "skills": []}
    refused = ["forbidden", "ok", "forbidden", "forbidden"]
    assert codes(place.did(*tries)) == ["ok"] * 4
    assert codes(place.did(*tries, narrow=narrow)) == refused
    task = place.send(*tries, metadata={"a2a-cloud/grant": narrow})
    assert codes(place.result(task["id"])) == refused


def test_nobody_widens_by_narrowing(place: Place) -> None:
    everything = {"read": ["**"], "write": ["**"], "skills": ["*/*"], "deny": []}
    found = place.did(
        READ_Q3,
        step("write", path="contracts/new", text="x"),
        step("read", path="contracts/secret/x"),
        step("call", agent="talker", skill="one", arguments={"text": "x"}),
        narrow=everything,
    )
    assert codes(found) == ["forbidden"] * 4
    for bad in ({"prefix": "contracts/"}, {"read": ["a**b"]}, {"read": "x"}, {"bytes": -1}, []):
        assert place.work(narrow=bad).code == "invalid_params", bad
    used = place.did(*[step("read", path="shared/n.md")] * 3, narrow={"uses": 2})
    assert codes(used) == ["ok", "ok", "forbidden"]


def test_the_organisation_caps(place: Place) -> None:
    policy = place.home / "cap.toml"
    policy.write_text('read = ["shared/**"]\nwrite = ["drafts/**"]\n')
    place.a2a("grants", "policy", str(policy))
    try:
        found = place.did(
            step("read", path="contracts/acme.md"),
            step("read", path="shared/n.md"),
            step("write", path="drafts/capped", text="x"),
            narrow={"read": ["**"]},
        )
        assert codes(found) == ["forbidden", "ok", "ok"]
        assert json.loads(place.a2a("grants", "policy", "--json")[0])["grant"]["read"] == ["shared/**"]
        assert "admin" in place.a2a("grants", "policy", by="ann", code=4)[1]
    finally:
        place.a2a("grants", "policy", "--clear")
    assert codes(place.did(step("read", path="contracts/acme.md"))) == ["ok"]


def test_a_child_can_do_no_more_than_its_parent(place: Place) -> None:
    inner = [
        step("read", path="contracts/acme.md"),
        step("read", path="shared/n.md"),
        step("write", path="drafts/child", text="x"),
    ]
    said = place.work(
        step("call", agent="clerk", skill="work", arguments={"steps": inner}), narrow={"read": ["shared/*"]}
    )
    assert codes(said.json[0]) == ["forbidden", "ok", "ok"]
    (grant,) = place.grants(said.run)
    tree = place.api("GET", f"/api/v1/grants/{grant['id']}/tree")["root"]
    (child,) = tree["children"]
    assert tree["id"] == grant["id"]
    assert child["id"] != grant["id"]
    whole = place.api("GET", f"/api/v1/grants/{child['id']}")
    assert len(whole["blocks"]) == 3  # Declared, narrowed, handed on.
    assert child["id"] in place.a2a("grants", "tree", grant["id"])[0]
    shown = place.a2a("grants", "show", child["id"])[0]
    assert "block 2" in shown
    assert "contracts/**" in shown


def test_a_call_that_is_not_declared_is_refused_with_the_remedy(place: Place) -> None:
    (found,) = place.did(step("call", agent="talker", skill="one", arguments={"text": "x"}))
    assert found["refused"] == "forbidden"
    assert "talker/one" in found["detail"]
    assert "[grant]" in found["remedy"]


def test_a_chain_of_six_and_no_longer(place: Place) -> None:
    def nested(depth: int) -> Any:
        return step(
            "call",
            agent="clerk",
            skill="work",
            arguments={"steps": [nested(depth - 1) if depth > 1 else step("read", path="shared/n.md")]},
        )

    (found,) = place.did(nested(6))
    for _ in range(6):
        (found,) = found
    assert found == "text of shared/n.md"
    (found,) = place.did(nested(7))
    for _ in range(6):
        (found,) = found
    assert found["refused"] in ("forbidden", "invalid_params"), found


def test_a_revoked_root_ends_its_tree_in_flight(place: Place) -> None:
    child = step(
        "call",
        agent="clerk",
        skill="work",
        arguments={"steps": [step("until", path="drafts/until"), step("read", path="shared/n.md")]},
    )
    run = begin(
        place.running,
        "clerk",
        "work",
        steps=[
            step("write", path="drafts/revoked", text="x"), child, step("read", path="shared/n.md"),
            step("list"), step("info"), SCOPE,
        ],
    )  # fmt: skip

    def both() -> Any:
        allowed = place.api("GET", "/api/v1/grants/explain?path=contracts/acme.md")["allowed"]
        return (
            [grant for each in allowed for grant in place.grants(each["run"])] if len(allowed) == 2 else None
        )

    (root,) = {each["root"] for each in wait_for(both)}
    text = place.a2a("grants", "explain", "contracts/acme.md")[0]
    assert "block 1 (agent:default/clerk): yes, read has contracts/**" in text
    assert "contracts/acme.md" in place.a2a("grants", "explain", "contracts/acme.md", "--json")[0]
    place.a2a("grants", "revoke", root, by="ann", code=4)
    assert root in place.a2a("grants", "revoke", root)[1]
    said = run.result()
    assert (said.status, said.code) == (403, "forbidden")  # It ends, and nothing of it is committed.
    assert place.get("drafts/revoked") is place.get("drafts/until") is None
    child_run, parent_run = (each["id"] for each in place.api("GET", "/api/v1/runs?limit=2")["runs"])
    refused = [(line["what"], line.get("code")) for line in place.record(parent_run, "ws")]
    assert refused[1:3] == [("read shared/n.md", "forbidden"), ("list", "forbidden")]
    assert [line["code"] for line in place.record(parent_run, "scope")] == [
        "forbidden"
    ]  # It may not even ask.
    states = [line["state"] for line in place.record(child_run, "ws")]
    assert states == ["done"] * (len(states) - 2) + ["refused"] * 2
    assert len(states) > 2
    assert {each["state"] for each in place.grants(parent_run)} == {"revoked"}
    assert "revoked" in place.a2a("grants", "ls")[0]


# --- approvals ----------------------------------------------------------------------------------------------


def test_an_approval_outlives_the_platform_and_the_receipt_tells_the_story(place: Place) -> None:
    task = place.send(
        step("write", path="drafts/before", text="one"),
        step("read", path="drafts/before"),
        step("write", path="drafts/before", text="two"),
        SCOPE,
        READ_Q3,
        READ_Q2,
        step("read", path="drafts/before"),
        step("write", path="drafts/after", text="after"),
    )
    base = place.versions()[0]
    assert task["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
    message = task["status"]["message"]
    assert "finance/**" in message["parts"][0]["text"]
    assert "the totals" in message["parts"][0]["text"]
    approval = place.open_approval(task["id"])
    assert message["metadata"]["a2a-cloud/approval"]["approval"] == approval["id"]
    assert approval["id"] in place.a2a("approvals", "ls")[0]
    shown = place.a2a("approvals", "show", approval["id"])[0]
    assert "finance/**" in shown
    assert "the totals" in shown
    assert _watched(place) == approval["id"]
    assert "own request" in place.a2a("approvals", "approve", approval["id"], code=4)[1]
    assert place.decide(approval, "approve", by="ann").status in (403, 404)

    place.restart()

    assert place.task(task["id"])["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
    assert place.decide(approval, "approve", read=["**"]).code == "invalid_params"
    place.a2a("approvals", "approve", approval["id"], "--read", "finance/q3/**", by="bea")
    assert place.decide(approval, "deny", by="cid").code == "approval_closed"
    found = place.result(task["id"])
    assert codes(found) == ["ok", "ok", "ok", "ok", "ok", "forbidden", "ok", "ok"]
    assert (found[1], found[3]["read"], found[4], found[6]) == (
        "one", ["finance/q3/**"], "text of finance/q3/a.csv", "two",
    )  # fmt: skip
    assert (place.get("drafts/before"), place.get("drafts/after")) == (b"two", b"after")

    run_id = place.task(task["id"])["metadata"]["a2a-cloud/run"]
    sections = place.sections(run_id)
    first, second = sections["grants"]
    assert "prior_id" not in first
    assert second["prior_id"] == first["id"]
    (decided,) = sections["approvals"]
    assert (decided["id"], decided["by"], decided["state"]) == (approval["id"], "bea@default", "approved")
    assert decided["grant_id"] == second["id"] == found[3]["grant"]
    assert decided["at"]
    files = sections["workspace"]
    assert (files["base_version"], files["base_tree"]) == (base["version"], base["tree"])
    newest = place.versions()[0]
    assert (files["result_version"], files["result_tree"]) == (newest["version"], newest["tree"])
    assert [(each["op"], each["path"]) for each in files["ops"]] == [
        ("write", "drafts/before"),
        ("read", "drafts/before"),
        ("write", "drafts/before"),
        ("read", "finance/q3/a.csv"),
        ("read", "drafts/before"),
        ("write", "drafts/after"),
    ]
    one, two = (hashlib.sha256(each).hexdigest() for each in (b"one", b"two"))
    assert (files["ops"][1]["before"], files["ops"][2]["before"], files["ops"][2]["after"]) == (one, one, two)
    assert sections["env"]["sandbox"] == "jail"
    assert [line["state"] for line in place.record(run_id, "ws")].count("refused") == 1

    receipt, keys = place.home / "receipt.json", place.home / "jwks.json"
    receipt.write_text(place.a2a("receipt", "get", run_id)[0])
    keys.write_bytes(place.ask("GET", "/.well-known/jwks.json").body)
    assert "valid" in place.a2a("receipt", "verify", str(receipt), "--key", str(keys))[0]
    tree = place.a2a("grants", "tree", second["id"])[0]
    assert f"replaces {first['id']}" in tree
    assert f"approved by {approval['id']}" in tree


def _watched(place: Place) -> str:
    """The first approval that `a2a approvals watch` shows."""
    watch = subprocess.Popen(
        [sys.executable, "-m", "a2a_cloud.callers.cli", "approvals", "watch", "--json"],
        env={**place.running.env, "A2A_URL": place.running.url, "A2A_KEY": place.keys["bea"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert watch.stdout is not None
        return json.loads(watch.stdout.readline())["id"]
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=20)


def test_denied_is_a_refusal_that_the_skill_may_catch(place: Place) -> None:
    task = place.send(SCOPE, READ_Q3)
    assert place.decide(place.open_approval(task["id"]), "deny", note="ask legal").status == 200
    refused, read = place.result(task["id"])
    assert refused["refused"] == "scope_denied"
    assert "ask legal" in refused["detail"]
    assert read["refused"] == "forbidden"
    task = place.send(SCOPE, skill="strict")
    # To deny one's own is always possible.
    assert place.decide(place.open_approval(task["id"]), "deny", by="admin").status == 200
    assert place.end(task["id"])["status"]["state"] == "TASK_STATE_REJECTED"


def test_answers_at_once_have_one_effect(place: Place) -> None:
    for _ in range(4):
        task = place.send(SCOPE, READ_Q3, READ_Q2)
        approval = place.open_approval(task["id"])

        def vote(each: tuple[str, str, Any], approval: Any = approval) -> Any:
            return place.decide(approval, each[1], by=each[0], **each[2])

        votes = [("bea", "approve", {}), ("cid", "deny", {}), ("bea", "approve", {}),
                 ("cid", "approve", {"read": ["finance/q3/**"]})]  # fmt: skip
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(vote, votes))
        found = place.result(task["id"])
        run_id = place.task(task["id"])["metadata"]["a2a-cloud/run"]
        (decided,) = place.sections(run_id)["approvals"]
        assert len(place.record(run_id, "approval")) == 1
        held = {"approved": 2, "denied": 1}[decided["state"]]
        assert len(place.grants(run_id)) == held
        verb = "approve" if decided["state"] == "approved" else "deny"
        winner = [
            each.status
            for (who, what, _), each in zip(votes, said, strict=True)
            if (f"{who}@default", what) == (decided["by"], verb)
        ]
        assert 200 in winner
        assert 409 in [each.status for each in said]
        assert (codes(found)[1] == "ok") == (decided["state"] == "approved")


def test_a_scope_for_a_time_ends_and_the_run_goes_back(place: Place) -> None:
    task = place.send(
        SCOPE, READ_Q3, step("busy", seconds=4.3), READ_Q3, step("write", path="drafts/back", text="x")
    )
    place.a2a("approvals", "approve", place.open_approval(task["id"])["id"], "--for", "3s", by="bea")
    found = place.result(task["id"])
    assert codes(found) == ["ok", "ok", "ok", "forbidden", "ok"]
    assert found[0]["seconds"] == 3
    run_id = place.task(task["id"])["metadata"]["a2a-cloud/run"]
    first, second, third = place.sections(run_id)["grants"]
    assert (second["prior_id"], third["prior_id"]) == (first["id"], second["id"])


def test_what_was_allowed_for_a_time_ends_also_when_more_is_approved_after_it(place: Place) -> None:
    reads = (READ_Q3, READ_Q2, step("read", path="shared/n.md"))
    task = place.send(
        step("scope", wants={"read": ["finance/q3/**"]}),
        step("scope", wants={"read": ["finance/q2/**"]}),
        *reads,
        step("busy", seconds=5.3),
        *reads,
    )
    first = place.open_approval(task["id"])
    assert place.decide(first, "approve", seconds=4).status == 200

    def second() -> Any:
        found = place.open_approval(task["id"])
        return found if found["id"] != first["id"] else None

    assert place.decide(wait_for(second), "approve").status == 200
    after = codes(place.result(task["id"]))[2:]
    assert after == ["ok"] * 4 + ["forbidden"] * 3  # As docs/approvals.md says: nothing outlives its time.


def test_the_clock_of_the_run_stands_still_while_people_decide(place: Place) -> None:
    task = place.send(step("busy", seconds=0.5), SCOPE, step("busy", seconds=0.5), READ_Q3, skill="hasty")
    approval = place.open_approval(task["id"])
    time.sleep(2.5)  # The skill has two seconds.
    assert place.decide(approval, "approve").status == 200
    assert place.result(task["id"])[3] == "text of finance/q3/a.csv"
    task = place.send(step("busy", seconds=0.6), SCOPE, step("busy", seconds=1.7), skill="hasty")
    assert place.decide(place.open_approval(task["id"]), "approve").status == 200
    assert place.end(task["id"])["status"]["state"] == "TASK_STATE_FAILED"
    assert run_of(place.running, place.task(task["id"])["metadata"]["a2a-cloud/run"])["error"]["code"] == (
        "timed_out"
    )


def test_rules_decide_at_once_and_two_people_where_they_say_so(place: Place) -> None:
    rules = place.home / "rules.toml"
    rules.write_text(
        '[[rule]]\nname = "two"\npaths = ["finance/**"]\ndecision = "ask_two"\n'
        '[[rule]]\nname = "easy"\npaths = ["reports/**"]\noperations = ["read"]\ndecision = "approve"\n'
        '[[rule]]\nname = "never"\npaths = ["keys/**"]\ndecision = "deny"\n'
    )
    place.a2a("approvals", "policy", str(rules))
    try:
        place.put("reports/may", "may")
        said = place.work(
            step("scope", wants={"read": ["reports/**"]}),
            step("read", path="reports/may"),
            step("scope", wants={"read": ["keys/a"]}),
            step("scope", wants={"read": ["**"]}),
        )
        assert said.status == 200, said.body  # Nobody waited.
        assert codes(said.json) == ["ok", "ok", "scope_denied", "scope_denied"]
        by = [each["by"] for each in place.sections(said.run)["approvals"]]
        assert "easy" in by[0]
        assert "never" in by[1]

        task = place.send(SCOPE, READ_Q3, READ_Q2)
        approval = place.open_approval(task["id"])
        for _ in range(2):  # The same person counts once.
            assert place.decide(approval, "approve", by="bea").json["state"] == "open"
        place.restart()
        assert place.task(task["id"])["status"]["state"] == "TASK_STATE_AUTH_REQUIRED"
        place.decide(approval, "approve", by="cid", read=["finance/q3/**"])
        assert codes(place.result(task["id"])) == ["ok", "ok", "forbidden"]
        run_id = place.task(task["id"])["metadata"]["a2a-cloud/run"]
        assert place.sections(run_id)["approvals"][0]["by"] == "bea@default, cid@default"
    finally:
        rules.write_text("")
        place.a2a("approvals", "policy", str(rules))


def test_nobody_decided_in_time(hurried: Place) -> None:
    began = time.monotonic()
    task = hurried.send(SCOPE, READ_Q3)
    refused, _ = hurried.result(task["id"])
    assert refused["refused"] == "scope_expired"
    assert refused["expired"]
    assert 1.5 < seconds_from(began) < 15
    shown = json.loads(hurried.a2a("approvals", "ls", "--state", "expired", "--json")[0])["approvals"]
    assert [each["task_id"] for each in shown] == [task["id"]]


# --- waiting without a process ------------------------------------------------------------------------------


def test_a_long_sleep_needs_no_process_and_outlives_the_platform(hurried: Place) -> None:
    task = hurried.send(
        step("write", path="drafts/slept", text="before"),
        step("sleep", seconds=6),
        step("read", path="drafts/slept"),
        blocking=False,
    )
    began = time.monotonic()
    time.sleep(0.5)
    hurried.restart()
    wait_for(lambda: hurried.processes() == 0)
    assert hurried.task(task["id"])["status"]["state"] == "TASK_STATE_WORKING"
    assert hurried.result(task["id"])[2] == "before"
    assert seconds_from(began) > 5.5
    assert hurried.get("drafts/slept") == b"before"


def test_a_question_outlives_the_platform_with_what_was_written_before(hurried: Place) -> None:
    task = hurried.send(
        step("write", path="drafts/asked", text="first"),
        step("read", path="drafts/asked"),
        step("write", path="drafts/asked", text="second"),
        step("append", path="drafts/asked", text=" line"),
        step("ask", question="Well?"),
        step("read", path="drafts/asked"),
        step("write", path="~/more", text="x"),
    )
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert hurried.get("drafts/asked") is None
    hurried.restart()
    said = answer(hurried.running, "clerk", task["id"], "yes")
    assert said.status == 200, said.body
    found = hurried.result(task["id"])
    assert (found[1], found[4], found[5]) == ("first", "yes", "second line")
    assert hurried.get("drafts/asked") == b"second line"
    run_id = hurried.task(task["id"])["metadata"]["a2a-cloud/run"]
    ops = [each["op"] for each in hurried.sections(run_id)["workspace"]["ops"]]
    assert ops == ["write", "read", "write", "append", "read", "write"]


def test_a_durable_run_goes_on_with_its_files_after_a_crash(hurried: Place) -> None:
    base = hurried.versions()[0]["version"]
    task = hurried.send(
        step("write", path="drafts/lasting", text="first"),
        step("read", path="drafts/lasting"),
        step("write", path="drafts/lasting", text="second"),
        step("sleep", seconds=0.01),  # By then all of it is in the record.
        step("busy", seconds=1.5),
        step("read", path="drafts/lasting"),
        step("info"),
        skill="lasting",
        blocking=False,
    )
    time.sleep(0.8)
    hurried.put("drafts/other", "meanwhile")
    hurried.restart()
    found = hurried.result(task["id"])
    assert (found[1], found[5], found[6]["base"]) == ("first", "second", base)
    assert hurried.get("drafts/lasting") == b"second"
