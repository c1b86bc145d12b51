"""The log of a running platform before others: `a2a audit`, a witness, the code of Go's checksum database,
scitt-cose. And a platform that was put back to an earlier day, which each of them notices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outside import PROGRAMS, program, python, run

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.wire.note import read_vkey
from running import Running


class Auditor:
    """Somebody with the command line and the platform's address, in a folder of their own."""

    def __init__(self, running: Running, folder: Path) -> None:
        folder.mkdir()
        self.running, self.folder = running, folder

    def a2a(self, *words: object) -> tuple[int, Any]:
        """(exit code, what it printed) of `a2a … --json`."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
        here = {"A2A_URL": self.running.url, "A2A_KEY": self.running.key, "XDG_STATE_HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *map(str, words), "--json"],
            env={**env, **here},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    def get(self, path: str) -> bytes:
        """What the API gives."""
        request = urllib.request.Request(self.running.url + path, headers=self.running.auth)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.read()

    def call(self, count: int) -> str:
        """So many runs; the id of the last one."""
        for _ in range(count):
            code, told = self.a2a("call", "lane", "go", "name=one")
            assert code == Exit.OK, told
        return told["run_id"]

    def vkey(self) -> str:
        """The log's key."""
        return self.a2a("audit", "key")[1]["keys"][-1]["vkey"]


@pytest.fixture
def auditor(platform: Callable[..., Running], tmp_path: Path) -> Auditor:
    return Auditor(platform(["lane"]), tmp_path / "auditor")


def test_a_log_is_checked_by_those_who_did_not_write_it(auditor: Auditor, tmp_path: Path) -> None:
    run_id = auditor.call(3)
    vkey, saved = auditor.vkey(), tmp_path / "saved"
    proof = auditor.get(f"/agents/lane/runs/{run_id}/receipt/proof")  # It waits for its checkpoint.
    code, told = auditor.a2a("audit", "verify", "--key", vkey, "--save", saved)
    assert (code, told["verdict"], told["opened"]) == (Exit.OK, "valid", True)
    assert told["receipts"] == 3
    assert told["events"] > 0

    done = run([program("tlog-check", "tlog_check"), "tiles", vkey, saved])
    assert done.stdout.startswith(f"{told['entries']} entries hold"), done.stderr
    receipt = json.loads(auditor.get(f"/agents/lane/runs/{run_id}/receipt"))
    entry = receipt["id"].removeprefix("rcpt_")
    (tmp_path / "one.tlog-proof").write_bytes(proof)
    done = run([program("tlog-check", "tlog_check"), "proof", vkey, tmp_path / "one.tlog-proof", entry])
    assert done.stdout.startswith(f"entry {receipt['log']['index']} of"), done.stderr

    (tmp_path / "one.cose").write_bytes(auditor.get(f"/agents/lane/runs/{run_id}/receipt/proof?format=cose"))
    public = read_vkey(vkey).public.hex()
    done = run([python("scitt"), PROGRAMS / "cose_check.py", tmp_path / "one.cose", entry, public])
    assert json.loads(done.stdout)["subject"] == receipt["id"]

    old = tmp_path / "old"
    shutil.copy(saved / "checkpoint", old)
    auditor.call(2)
    time.sleep(0.5)
    code, consistent = auditor.a2a("audit", "consistency", old, "--key", vkey)
    assert (code, consistent["verdict"], consistent["old"]) == (Exit.OK, "consistent", told["entries"])
    assert consistent["new"] >= told["entries"] + 2
    code, later = auditor.a2a("audit", "verify")  # The key is remembered.
    assert (code, later["before"]) == (Exit.OK, told["entries"])
    for org in ("_platform", "nobody"):
        code, told = auditor.a2a("audit", "verify", "--org", org)
        assert code == (Exit.SIGNER_UNCHECKED if org == "_platform" else Exit.DENIED)


def test_a_new_key_is_taken_beside_the_old_one(auditor: Auditor, tmp_path: Path) -> None:
    old, saved = auditor.vkey(), tmp_path / "saved"
    assert auditor.a2a("audit", "verify", "--key", old)[0] == Exit.OK
    assert auditor.a2a("audit", "rotate-key", "--overlap", "8")[0] == Exit.OK
    new = auditor.vkey()
    assert new != old
    time.sleep(0.5)
    code, told = auditor.a2a("audit", "verify", "--save", saved)  # By the key that was given before.
    assert (code, told["signed_by"]) == (Exit.OK, [old])
    code, told = auditor.a2a("audit", "verify", "--key", new)
    assert (code, told["signed_by"]) == (Exit.OK, [new])
    for key in (old, new):
        assert run([program("tlog-check", "tlog_check"), "tiles", key, saved]).returncode == 0
    code, told = auditor.a2a("audit", "rotate-key")
    assert (code, "still signs along" in str(told)) == (Exit.USAGE, True), told
    for _ in range(60):
        auditor.call(1)
        time.sleep(0.3)
        code, told = auditor.a2a("audit", "verify", "--key", old)
        if code != Exit.OK:
            break
    assert (code, told["verdict"]) == (Exit.REFUSED_RECEIPT, "refused")
    assert auditor.a2a("audit", "verify", "--key", new)[0] == Exit.OK


def test_an_event_that_somebody_changed_on_disk_is_found(auditor: Auditor) -> None:
    import sqlite3

    auditor.call(1)
    auditor.running.stop()
    with sqlite3.connect(auditor.running.data / "journal.db") as store:
        (leaf,) = store.execute("SELECT MAX(leaf) FROM audit_event WHERE org=1").fetchone()
        store.execute("UPDATE audit_event SET caller='nobody@else' WHERE org=1 AND leaf=?", (leaf,))
    store.close()
    auditor.running.restart()
    code, told = auditor.a2a("audit", "verify", "--key", auditor.vkey())
    assert (code, told["verdict"], told["index"]) == (Exit.REFUSED_RECEIPT, "refused", leaf)
    assert told["path"].startswith("tile/entries/000")
    assert told["offset"] == leaf * 35  # Events alone stand before it.


def test_a_platform_that_forgot_is_noticed(
    platform: Callable[..., Running], auditor: Auditor, tmp_path: Path
) -> None:
    running = auditor.running
    vkey, home = auditor.vkey(), tmp_path / "witness"
    words = [sys.executable, "-m", "a2a_cloud.callers.cli", "witness", "--data", str(home), "--json"]
    with subprocess.Popen(
        [*words, "--port", "0", "--log", vkey], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            witness = json.loads(process.stdout.readline())
            running.stop()
            early = tmp_path / "early"
            shutil.copytree(running.data, early)
            running.env["A2A_WITNESSES"] = f"{witness['url']} {witness['vkey']}"
            running.restart()
            auditor.call(3)
            checked = ("audit", "verify", "--key", vkey, "--witness", witness["vkey"])
            for _ in range(50):
                code, told = auditor.a2a(*checked)
                if code == Exit.OK and told["witnesses"][0]["size"] == told["entries"]:
                    break
                time.sleep(0.2)
            assert code == Exit.OK, told
            assert told["witnesses"][0]["size"] == told["entries"]

            running.stop()
            shutil.rmtree(running.data)
            shutil.copytree(early, running.data)
            running.restart()
            auditor.call(1)
            code, forked = auditor.a2a("audit", "verify")
            assert (code, forked["verdict"], forked["before"]) == (Exit.FORKED, "forked", told["entries"])
            seen = f"it has seen {told['entries']} entries"
            for _ in range(50):  # It warns of the platform's log too, which this witness does not know.
                lines = [check for check in auditor.a2a("doctor")[1]["checks"] if check["name"] == "witness"]
                if lines and seen in lines[0]["detail"]:
                    break
                time.sleep(0.2)
            assert (lines[0]["state"], seen in lines[0]["detail"]) == ("warn", True), lines
            # When it has grown beyond what was seen, it is another tree, and nobody is fooled.
            auditor.call(4)
            time.sleep(0.5)
            code, forked = auditor.a2a("audit", "verify")
            assert (code, forked["verdict"]) == (Exit.FORKED, "forked")
        finally:
            process.terminate()
