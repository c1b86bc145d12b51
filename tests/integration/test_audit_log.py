"""The audit log over the platform's sockets and command line: who may read which, what is in it, proofs,
keys, and what a copy that was put back says."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_cloud.wire.cose_receipt import verify_receipt
from a2a_cloud.wire.log_event import event_entry
from a2a_cloud.wire.merkle import leaf_hash, verify_consistency
from a2a_cloud.wire.note import read_checkpoint, read_vkey, unb64
from a2a_cloud.wire.tlog_proof import read_proof
from built_log import refusal
from running import AGENTS, Running, start_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "open"], tmp_path_factory.mktemp("logged"))
    yield running
    running.stop()


def get(platform: Running, path: str, key: str = "", **params: str | int) -> httpx.Response:
    auth = {"Authorization": f"Bearer {key}"} if key else platform.auth
    return httpx.get(f"{platform.url}{path}", params=params or None, headers=auth, timeout=20)


def key_of(platform: Running, role: str, principal: str) -> str:
    body = {"principal": principal, "role": role}
    answer = httpx.post(f"{platform.url}/api/v1/keys", json=body, headers=platform.auth, timeout=20)
    assert answer.status_code < 300, answer.text
    return answer.json()["key"]


def shout(platform: Running, key: str = "") -> str:
    auth = {"Authorization": f"Bearer {key}"} if key else platform.auth
    answer = httpx.post(
        f"{platform.agent('open')}/invoke/shout", json={"text": "a"}, headers=auth, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["a2a-run"]


def vkey(platform: Running, org: str = "default") -> Any:
    return read_vkey(get(platform, f"/api/v1/log/{org}/keys").json()["keys"][-1]["vkey"])


def test_a_receipts_place_is_proved_to_who_may_read_it(platform: Running) -> None:
    mine = key_of(platform, "member", "mia")
    run = shout(platform, mine)
    path = f"/agents/open/runs/{run}/receipt"
    proof = get(platform, f"{path}/proof", mine)
    assert proof.status_code == 200, proof.text
    receipt = get(platform, path, mine).json()
    entry = bytes.fromhex(receipt["id"].removeprefix("rcpt_"))
    assert refusal(proof.content, entry, vkey(platform)) == ""
    found = read_proof(proof.content)
    assert found.index == receipt["log"]["index"]
    cose = get(platform, f"{path}/proof", mine, format="cose")
    assert cose.headers["content-type"].startswith("application/cose")
    told = verify_receipt(cose.content, entry, vkey(platform).public)
    assert (told.index, told.subject) == (found.index, receipt["id"])
    assert get(platform, "/api/v1/log/default/proof", run=run).content == proof.content
    assert get(platform, f"{path}/proof", key_of(platform, "member", "max")).status_code == 404
    assert get(platform, f"{path}/proof", mine, format="zip").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "keys",
        "entries/0",
        "opened/000.p/1.jsonl",
        "tile/0/000.p/1",
        "proof?index=0",
        "consistency",
    ],
)
def test_a_log_is_for_auditors_of_its_organisation(platform: Running, path: str) -> None:
    auditor, member = key_of(platform, "auditor", "ann"), key_of(platform, "member", "mia")
    assert get(platform, f"/api/v1/log/default/{path}", auditor).status_code == 200
    for org, key in (("default", member), ("_platform", auditor), ("nobody", auditor), ("_platform", member)):
        answer = get(platform, f"/api/v1/log/{org}/{path}", key)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert get(platform, f"/api/v1/log/_platform/{path}").status_code == 200
    assert httpx.get(f"{platform.url}/api/v1/log/default/{path}", timeout=20).status_code == 401


def test_which_logs_one_may_read(platform: Running) -> None:
    def names(key: str = "") -> list[str]:
        return [each["org"] for each in get(platform, "/api/v1/log", key).json()["logs"]]

    assert names() == ["default", "_platform"]
    assert names(key_of(platform, "auditor", "ann")) == ["default"]
    assert get(platform, "/api/v1/log", key_of(platform, "member", "mia")).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("entries/99999", 404),
        ("entries/x", 400),
        ("opened/000", 404),
        ("opened/000.jsonl", 404),
        ("opened/tile/entries/000.p/1.jsonl", 404),
        ("tile/0/999", 404),
        ("tile/0/1", 404),
        ("tile/", 404),
        ("proof", 400),
        ("proof?index=-1", 400),
        ("proof?run=run_nobody", 404),
        ("consistency?old=9&new=3", 404),
        ("consistency?new=99999", 404),
        ("checkpoint?witnessed=1", 404),
        ("checkpoint/more", 404),
        ("other", 404),
    ],
)
def test_what_is_not_there(platform: Running, path: str, status: int) -> None:
    answer = get(platform, f"/api/v1/log/default/{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_every_exported_event_is_the_leaf_at_its_index(platform: Running) -> None:
    shout(platform)
    done = platform.a2a("audit", "export")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["index"] for event in events] == sorted(event["index"] for event in events)
    assert {"org.made", "key.created", "agent.promoted"} <= {event["kind"] for event in events}
    for event in events:
        leaf = leaf_hash(event_entry(bytes.fromhex(event["salt"]), event["payload"].encode())).hex()
        entry = get(platform, f"/api/v1/log/default/entries/{event['index']}").json()
        assert entry["leaf_sha256"] == leaf
        assert json.loads(event["payload"])["kind"] == event["kind"]
    done = platform.a2a("audit", "export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["payload"] for row in rows] == [event["payload"] for event in events]
    assert platform.a2a("audit", "export", "--since", "2100-01-01").stdout == ""


def test_all_entries_of_a_tile_are_told_at_once(platform: Running) -> None:
    run = shout(platform)
    base = "/api/v1/log/default"
    get(platform, f"/agents/open/runs/{run}/receipt/proof")  # Comes once a checkpoint covers it.
    checkpoint, _ = read_checkpoint(get(platform, f"{base}/checkpoint").content)
    place = f"opened/{checkpoint.size // 256:03}.p/{checkpoint.size % 256}.jsonl"
    answer = get(platform, f"{base}/{place}")
    assert answer.headers["content-type"] == "application/jsonl"
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert lines == [get(platform, f"{base}/entries/{index}").json() for index in range(checkpoint.size)]
    assert {line["kind"] for line in lines} == {"receipt", "event"}


def test_events_are_found_by_words(platform: Running) -> None:
    key_of(platform, "viewer", "wanda")
    done = platform.a2a("audit", "search", "WANDA", "viewer", "--json")
    assert [each["kind"] for each in json.loads(done.stdout)["events"]] == ["key.created"]
    assert json.loads(platform.a2a("audit", "search", "wanda", "absent", "--json").stdout)["events"] == []
    page = get(platform, "/api/v1/audit", words="key", limit=1).json()
    more = get(platform, "/api/v1/audit", words="key", limit=100, before=page["before"]).json()
    assert page["events"][0]["no"] > more["events"][0]["no"]
    assert get(platform, "/api/v1/audit", words=" ").status_code == 400
    auditor = key_of(platform, "auditor", "ann")
    assert get(platform, "/api/v1/audit", auditor, words="a", org="_platform").status_code == 403


def test_the_state_from_before_is_the_beginning(platform: Running) -> None:
    old, _ = read_checkpoint(get(platform, "/api/v1/log/default/checkpoint").content)
    shout(platform)
    end = time.monotonic() + 10
    while True:
        new, note = read_checkpoint(get(platform, "/api/v1/log/default/checkpoint").content)
        if new.size > old.size or time.monotonic() > end:
            break
    assert note.verified_by(vkey(platform))
    told = get(platform, "/api/v1/log/default/consistency", old=old.size, new=new.size).json()
    proof = [unb64(each) for each in told["proof"]]
    assert told["old_root"] == old.root.hex()
    verify_consistency(old.size, old.root, new.size, new.root, proof)


def test_a_new_key_for_all_logs(platform: Running) -> None:
    before = vkey(platform)
    member = key_of(platform, "auditor", "ann")
    refused = httpx.post(
        f"{platform.url}/api/v1/log/_platform/key",
        json={},
        headers={"Authorization": f"Bearer {member}"},
        timeout=20,
    )
    assert refused.status_code == 403
    done = platform.a2a("audit", "rotate-key", "--overlap", "1h", "--json")
    assert done.returncode == 0, done.stderr
    assert [key["signs"] for key in json.loads(done.stdout)["keys"]] == [True, True]
    end = time.monotonic() + 10
    while True:
        _, note = read_checkpoint(get(platform, "/api/v1/log/default/checkpoint").content)
        if note.verified_by(vkey(platform)) or time.monotonic() > end:
            break
    assert note.verified_by(vkey(platform))
    assert note.verified_by(before)
    kids = {key["kid"] for key in get(platform, "/.well-known/jwks.json").json()["keys"]}
    assert {key["kid"] for key in get(platform, "/api/v1/log/default/keys").json()["keys"]} <= kids
    mode = os.stat(platform.data / "keys" / "log.jwk").st_mode & 0o777
    assert mode == 0o600
    run = shout(platform)
    proof = get(platform, f"/agents/open/runs/{run}/receipt/proof").content
    entry = bytes.fromhex(get(platform, f"/agents/open/runs/{run}/receipt").json()["id"][5:])
    for key in (before, vkey(platform)):
        assert refusal(proof, entry, key) == ""


def test_a_copy_that_was_put_back_says_so(platform: Running, tmp_path: Path) -> None:
    shout(platform)
    done = platform.a2a("backup", str(tmp_path / "all.tar"))
    assert done.returncode == 0, done.stderr
    done = platform.a2a("restore", str(tmp_path / "all.tar"), str(tmp_path / "again" / "data"))
    assert done.returncode == 0, done.stderr
    again = start_platform([], tmp_path / "again")
    try:
        shout(again)
        for more in ([], ["--platform"]):
            done = again.a2a("audit", "search", "log.restored", "--json", *more)
            (event,) = json.loads(done.stdout)["events"]
            assert event["detail"]["size"] > 0
        kinds = json.loads(again.a2a("audit", "search", "backup.began", "--platform", "--json").stdout)
        assert kinds["events"]
        checks = get(again, "/api/v1/doctor").json()["checks"]
        assert any(check["name"] == "log" and "put back" in check["detail"] for check in checks), checks
        assert vkey(again) == vkey(platform)
        again.stop()
        again.restart()
        done = again.a2a("audit", "search", "log.restored", "--json")
        assert len(json.loads(done.stdout)["events"]) == 1
        assert again.a2a("audit", "verify", "--key", vkey(again).vkey).returncode == 0
    finally:
        again.stop()


def test_a_log_that_was_changed_from_outside_is_told(tmp_path: Path) -> None:
    running = start_platform([AGENTS / "open"], tmp_path)
    try:
        run = shout(running)
        assert get(running, f"/agents/open/runs/{run}/receipt/proof").status_code == 200
        running.stop()
        connection = sqlite3.connect(running.data / "journal.db")
        with connection:
            connection.execute("UPDATE receipt SET leaf_hash=?", (sha256(b"x").digest(),))
        connection.close()
        running.restart()
        shout(running)
        end = time.monotonic() + 10
        while "log" not in get(running, "/readyz").json() and time.monotonic() < end:
            time.sleep(0.05)
        assert get(running, "/readyz").json()["status"] == "ready"
        assert "log" in get(running, "/readyz").json()
        assert "not continued" in running.a2a("doctor").stdout
        answer = get(running, f"/agents/open/runs/{run}/receipt/proof")
        assert answer.status_code == 503
        assert get(running, "/api/v1/log/default/checkpoint").status_code == 200
    finally:
        running.stop()
