"""A new key for receipts, as a user gets one: `a2a up --rotate-receipt-key`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from a2a_cloud.wire.note import read_checkpoint
from running import AGENTS, Running, start_platform


def _receipt(platform: Running, folder: Path, name: str) -> Path:
    answer = httpx.post(
        f"{platform.agent('open')}/invoke/shout", json={"text": "a"}, headers=platform.auth, timeout=20
    )
    path = f"{platform.agent('open')}/runs/{answer.headers['a2a-run']}/receipt"
    kept = folder / f"{name}.json"
    kept.write_bytes(httpx.get(path, headers=platform.auth, timeout=20).content)
    return kept


def _restart(platform: Running, *words: str) -> None:
    """With the command that people type."""
    platform.stop()
    with platform.log.open("ab") as out:
        platform.process = subprocess.Popen(
            [sys.executable, "-m", "a2a_cloud.callers.cli", "up", *words, *map(str, platform.folders)],
            env=platform.env,
            stdout=out,
            stderr=out,
        )
    platform.wait_ready()


def _keys(platform: Running) -> dict[str, Any]:
    return httpx.get(f"{platform.url}/.well-known/jwks.json", timeout=20).json()


def _rotations(platform: Running, count: int) -> list[dict[str, Any]]:
    """Those in the platform's log, once a checkpoint covers as many as are wanted."""
    base = f"{platform.url}/api/v1/log/_platform"
    with httpx.Client(headers=platform.auth, timeout=20) as client:
        for _ in range(100):
            checkpoint, _ = read_checkpoint(client.get(f"{base}/checkpoint").content)
            entries = [client.get(f"{base}/entries/{index}").json() for index in range(checkpoint.size)]
            events = [json.loads(entry["payload"]) for entry in entries]
            found = [event for event in events if event["kind"] == "receipt_key.rotated"]
            if len(found) >= count:
                break
            time.sleep(0.05)
    assert len(found) == count
    return found


def test_receipts_of_both_keys_verify_and_the_log_tells_of_the_change(tmp_path: Path) -> None:
    platform = start_platform([AGENTS / "open"], tmp_path)
    try:
        old = _receipt(platform, tmp_path, "old")
        first = _keys(platform)["keys"][0]["kid"]
        assert _rotations(platform, 0) == []

        _restart(platform, "--rotate-receipt-key")
        new = _receipt(platform, tmp_path, "new")
        keys = _keys(platform)
        second = keys["keys"][0]["kid"]
        assert second != first
        assert first in [key["kid"] for key in keys["keys"]]
        assert json.loads(old.read_bytes())["body"]["issuer_kid"] == first
        assert json.loads(new.read_bytes())["body"]["issuer_kid"] == second
        again = httpx.get(
            f"{platform.agent('open')}/runs/{json.loads(old.read_bytes())['body']['run_id']}/receipt",
            headers=platform.auth,
            timeout=20,
        )
        (tmp_path / "again.json").write_bytes(again.content)
        (tmp_path / "jwks.json").write_text(json.dumps(keys))
        for name in ("old", "new", "again"):
            path, jwks = str(tmp_path / f"{name}.json"), str(tmp_path / "jwks.json")
            done = platform.a2a("receipt", "verify", path, "--key", jwks)
            assert done.returncode == 0, (name, done.stdout, done.stderr)
        (told,) = _rotations(platform, 1)
        assert (told["target"], told["detail"]["before"]) == (second, first)

        platform.kill()
        platform.restart()  # Without the word nothing changes, and nothing is told twice.
        assert _keys(platform)["keys"][0]["kid"] == second
        assert _rotations(platform, 1) == [told]
        mode = os.stat(platform.data / "keys" / "receipt.jwk").st_mode & 0o777
        assert mode == 0o600
    finally:
        platform.stop()
