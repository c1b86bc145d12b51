"""Packs over the wire: who gets what, what belongs into one, and that it holds with the platform off."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orgs_site
import pytest
from orgs_site import Orgs

from a2a_cloud.wire.jws import read_jwks
from a2a_cloud.wire.pack import PackVerdict, verify_pack
from a2a_cloud.wire.proof import Outcome

ALL = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orgs]:
    site = orgs_site.start(tmp_path_factory.mktemp("packs"))
    site.key("clara", "acme", "auditor")
    site.key("dev", "acme", "developer")
    yield site
    site.running.stop()


def run(site: Orgs, who: str, word: str = "plain", agent: str = "vault") -> str:
    done = site.invoke(who, agent, "tell", word=word)
    assert done.is_success, done.text
    return done.headers["a2a-run"]


def pack(site: Orgs, who: str, **body: Any) -> bytes:
    answer = site.ask(who, "POST", "/api/v1/packs", body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    return answer.content


def files(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checked(site: Orgs, data: bytes) -> PackVerdict:
    return verify_pack(data, read_jwks(site.ask("", "GET", "/.well-known/jwks.json").content))


def folders(data: bytes) -> set[str]:
    return {name.partition("/")[0] for name in files(data)}


def test_an_auditor_gets_all_that_belongs_to_a_run(site: Orgs) -> None:
    one = run(site, "plain", "<b>bold</b>")
    data = pack(site, "clara", runs=[one])
    verdict = checked(site, data)
    assert verdict.outcome is Outcome.VALID, verdict.sentence
    steps = {
        step.name: step.state for each in verdict.files for step in each.steps if "receipts/" in each.file
    }
    assert set(steps.values()) == {"ok", "unchecked"}
    assert [name for name, state in steps.items() if state == "unchecked"] == ["witness"]
    assert folders(data) >= {"receipts", "proofs", "grants", "sbom", "provenance", "log", "keys.json"}
    manifest = json.loads(files(data)["manifest.json"])
    assert (manifest["org"], manifest["view"], manifest["made_by"]) == ("acme", "whole", "clara@acme")
    page = files(data)["index.html"].decode()
    assert one in page
    assert "notes/**" in page
    assert "<script" not in page


def test_an_approval_and_who_gave_it_are_in_it(site: Orgs) -> None:
    task = site.ask(
        "plain",
        "POST",
        "/agents/acme.vault/tasks",
        {"message": {"messageId": "beg-1", "role": "ROLE_USER", "parts": [{"data": {"skill": "beg"}}]}},
    )
    assert task.is_success, task.text
    waiting: list[dict[str, Any]] = []
    while not waiting:
        waiting = site.api("ada", "GET", "approvals?state=open")["approvals"]
    site.api("ada", "POST", f"approvals/{waiting[0]['id']}/approve", {"note": "for May"})
    one = waiting[0]["run_id"]
    while site.api("ada", "GET", f"runs/{one}")["state"] != "completed":
        pass
    site.api("ada", "POST", "reviews", {"run": one, "verdict": "approve", "notes": "I <i>saw</i> it"})
    data = pack(site, "clara", runs=[one], cose=True)
    assert checked(site, data).outcome is Outcome.VALID
    found = files(data)
    (approval,) = json.loads(found[f"approvals/{one}.json"])["approvals"]
    assert (approval["state"], approval["votes"][0]["by"]) == ("approved", "ada@acme")
    (review,) = json.loads(found[f"reviews/{one}.json"])["reviews"]
    assert review["statement"]["by"] == "ada@acme"
    events = [json.loads(each["payload"]) for each in json.loads(found[f"events/{one}.json"])["events"]]
    assert {"approval.approved", "review.signed"} <= {each["kind"] for each in events}
    assert any(name.endswith(".cose") for name in found)
    page = found["index.html"].decode()
    assert "I &lt;i&gt;saw&lt;/i&gt; it" in page


def test_an_owner_gets_their_own_runs_without_the_inside(site: Orgs) -> None:
    mine, others = run(site, "plain"), run(site, "ada")
    data = pack(site, "plain", **{"from": ALL})
    verdict = checked(site, data)
    assert verdict.outcome is Outcome.VALID, verdict.sentence
    runs = [json.loads(body) for name, body in files(data).items() if name.startswith("receipts/")]
    assert mine in {each["body"]["run_id"] for each in runs}
    assert others not in {each["body"]["run_id"] for each in runs}
    assert all("sections" not in each for each in runs)
    assert folders(data) & {"grants", "approvals", "events", "evals", "sbom", "provenance"} == set()


def test_who_reads_runs_but_not_the_log_gets_no_pack_of_others(site: Orgs) -> None:
    others = run(site, "ada")
    answer = site.ask("dev", "POST", "/api/v1/packs", {"runs": [others]})
    assert answer.status_code == 403
    assert answer.json()["permission"] == "audit.read"


def test_others_runs_are_not_there(site: Orgs) -> None:
    others = run(site, "ada")
    for who in ("plain", "eve"):
        answer = site.ask(who, "POST", "/api/v1/packs", {"runs": [others]})
        assert answer.status_code == 404, who
    assert site.ask("", "POST", "/api/v1/packs", {"runs": [others]}).status_code == 401


def test_a_caller_of_another_organisation_gets_what_they_called(site: Orgs) -> None:
    mine = run(site, "eve", agent="listed")
    data = pack(site, "eve", runs=[mine], agent="acme.listed")
    assert checked(site, data).outcome is Outcome.VALID
    assert json.loads(files(data)["manifest.json"])["view"] == "own"


def test_a_time_and_an_agent_bound_it(site: Orgs) -> None:
    before = run(site, "ada", agent="signed")
    at = site.api("ada", "GET", f"runs/{before}")["created"]
    after = [run(site, "ada", agent="signed") for _ in range(3)]
    run(site, "ada", agent="open")

    def names(**body: Any) -> list[str]:
        listed = files(pack(site, "clara", **body))
        return [json.loads(body)["body"]["run_id"] for name, body in listed.items() if "receipts/" in name]

    assert names(**{"from": at, "agent": "signed"}) == [before, *after]
    assert before not in names(**{"from": site.api("ada", "GET", f"runs/{after[0]}")["created"]})
    ended = site.api("ada", "GET", f"runs/{after[-1]}")["created"]
    assert names(**{"from": at, "to": ended, "agent": "signed"}) == [before, *after[:2]]


def test_a_run_that_has_not_ended_is_left_out_and_said(site: Orgs) -> None:
    task = site.ask(
        "ada",
        "POST",
        "/agents/acme.vault/tasks",
        {"message": {"messageId": "ask-1", "role": "ROLE_USER", "parts": [{"data": {"skill": "ask"}}]}},
    )
    assert task.is_success
    open_run = site.api("ada", "GET", "runs?limit=1")["runs"][0]["id"]
    run(site, "ada")
    answer = site.ask("clara", "POST", "/api/v1/packs", {"from": ALL, "agent": "vault"})
    assert int(answer.headers["a2a-pack-skipped"]) >= 1
    assert "had not ended" in files(answer.content)["index.html"].decode()
    named = site.ask("clara", "POST", "/api/v1/packs", {"runs": [open_run]})
    assert (named.status_code, named.json()["code"]) == (409, "receipt_pending")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"runs": ["run_1"], "from": ALL},
        {"from": "yesterday"},
        {"from": ALL, "to": ALL},
        {"runs": "run_1"},
        {"runs": ["run_1"], "more": 1},
        {"runs": [f"run_{number}" for number in range(1001)]},
    ],
    ids=["nothing", "both", "no time", "no span", "no list", "unknown", "too many"],
)
def test_what_makes_no_sense_is_refused(site: Orgs, body: dict[str, Any]) -> None:
    assert site.ask("clara", "POST", "/api/v1/packs", body).status_code == 400


def test_what_is_not_there(site: Orgs) -> None:
    for body in (
        {"runs": ["run_nothing"]},
        {"runs": ["x" * 300]},
        {"from": "2001-01-01T00:00:00Z", "to": "2001-01-02T00:00:00Z"},
        {"from": ALL, "agent": "nobody"},
    ):
        assert site.ask("clara", "POST", "/api/v1/packs", body).status_code == 404, body


def test_a_narrowed_key_needs_runs_and_the_log(site: Orgs) -> None:
    one = run(site, "ada")
    site.key("narrow", "acme", "auditor", scopes=["runs.read"])
    assert site.ask("narrow", "POST", "/api/v1/packs", {"runs": [one]}).status_code == 403
    site.key("wide", "acme", "auditor", scopes=["runs.read", "audit.read"])
    assert site.ask("wide", "POST", "/api/v1/packs", {"runs": [one]}).status_code == 200
    site.key("other", "acme", "auditor", scopes=["logs.read"])
    assert site.ask("other", "POST", "/api/v1/packs", {"runs": [one]}).status_code == 403


def test_a_pack_that_was_made_is_in_the_log(site: Orgs) -> None:
    from hashlib import sha256

    data = pack(site, "clara", runs=[run(site, "ada")])
    events = site.api("ada", "GET", "audit?kind=pack.made")["events"]
    manifest = sha256(files(data)["manifest.json"]).hexdigest()
    made = next(each for each in events if each["target"] == manifest)
    assert made["caller"] == "clara@acme"
    assert made["detail"]["runs"] == 1


def test_one_byte_changed_in_each_file_in_turn(site: Orgs) -> None:
    """Who changes a file has the zip's checksum made right as well: its hash still tells."""
    data = pack(site, "clara", runs=[run(site, "ada")], cose=True)
    keys = read_jwks(site.ask("", "GET", "/.well-known/jwks.json").content)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        places = {
            each.filename: (each.header_offset + 30 + len(each.filename), each) for each in archive.infolist()
        }
    assert len(places) > 10
    for name, (start, each) in places.items():
        changed = bytearray(data)
        changed[start + each.file_size // 2] ^= 1
        verdict = verify_pack(bytes(changed), keys)
        assert verdict.outcome is Outcome.REFUSED, name
        assert verdict.file == name
        assert verdict.reason


def test_the_command_line_makes_and_checks_one_with_the_platform_off(site: Orgs, tmp_path: Path) -> None:
    one = run(site, "plain")
    path, keys = tmp_path / "one.zip", tmp_path / "jwks.json"
    made = site.a2a("clara", "pack", one, "--output", str(path), "--json")
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert (said["runs"], said["view"], said["bytes"]) == (1, "whole", path.stat().st_size)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one.zip"]
    keys.write_bytes(site.ask("", "GET", "/.well-known/jwks.json").content)
    off = {"A2A_URL": "http://127.0.0.1:9"}
    site.running.env |= off  # The verifier asks nobody.
    try:
        assert site.a2a("clara", "receipt", "verify", str(path)).returncode == 7
        good = site.a2a("clara", "receipt", "verify", str(path), "--key", str(keys), "--json")
        assert good.returncode == 0, good.stdout
        kid = json.loads(keys.read_bytes())["keys"][0]["kid"]
        pinned = site.a2a("clara", "receipt", "verify", str(path), "--fingerprint", kid)
        assert pinned.returncode == 8, pinned.stdout  # The log signs with another key, which is not pinned.
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        bad = site.a2a("clara", "receipt", "verify", str(path), "--key", str(keys))
        assert bad.returncode == 8
        assert bad.stdout.startswith("refused: ")
    finally:
        for name in off:
            del site.running.env[name]


def test_the_command_line_wants_runs_or_a_time(site: Orgs) -> None:
    assert site.a2a("clara", "pack").returncode == 2
    assert site.a2a("clara", "pack", "run_1", "--from", "1d").returncode == 2


def test_the_page_is_for_anybody(site: Orgs) -> None:
    page = site.ask("", "GET", "/verify")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
