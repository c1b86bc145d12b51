"""What callers see of a run whose payloads were cleared away: that it was, how it ended, and its receipt."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx

from a2a_cloud.ops.retention import Retention
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.settings import Keeping
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.objects.folder import FolderObjects
from running import AGENTS, Running, start_platform

DAY = 86_400.0


class Later:
    """Two days from now."""

    def now(self) -> float:
        return time.time() + 2 * DAY

    def monotonic(self) -> float:
        return time.monotonic()


async def clear_away(data: Path) -> None:
    """A pass over a platform that is down."""
    journal = SqliteJournal(data / "journal.db")
    objects = FolderObjects(data / "objects", TimeIds(SystemClock(), SystemEntropy()))
    keeping = Keeping(events=DAY, payloads=DAY, logs=DAY)
    retention = Retention(journal, data / "journal.db", objects, Later(), keeping, data / "retention")
    while not await retention.step():
        pass
    await journal.close()


def rpc(platform: Running, method: str, params: dict[str, object]) -> httpx.Response:
    return httpx.post(
        platform.agent("open"),
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        headers={**platform.auth, "A2A-Version": "1.0"},
        timeout=20,
    )


def test_a_run_that_was_cleared_away(tmp_path: Path) -> None:
    platform = start_platform([AGENTS / "open"], tmp_path)
    message = {"messageId": "said-once", "role": "ROLE_USER", "parts": [{"text": "a secret of mine"}]}
    task = rpc(platform, "SendMessage", {"message": message}).json()["result"]["task"]
    run = httpx.get(f"{platform.url}/api/v1/runs", headers=platform.auth, timeout=10).json()["runs"][0]["id"]
    platform.stop()
    asyncio.run(clear_away(platform.data))
    assert b"a secret of mine" not in b"".join(
        row for row in _blobs(platform.data / "journal.db") if isinstance(row, bytes)
    )
    platform.restart()
    try:
        found = rpc(platform, "GetTask", {"id": task["id"]}).json()["result"]
        assert found["status"]["state"] == "TASK_STATE_COMPLETED"
        assert not found.get("artifacts")
        listed = rpc(platform, "ListTasks", {}).json()["result"]["tasks"]
        assert [one["id"] for one in listed] == [task["id"]]
        stream = httpx.get(f"{platform.agent('open')}/sse/{task['id']}", headers=platform.auth, timeout=20)
        assert stream.status_code == 200
        for whole in (platform.auth, {**platform.auth, "Accept": "application/json"}):
            answer = httpx.get(f"{platform.agent('open')}/runs/{run}/receipt", headers=whole, timeout=10)
            assert answer.status_code == 200
        receipt, jwks = tmp_path / "receipt.json", tmp_path / "jwks.json"
        receipt.write_bytes(answer.content)
        assert "a secret of mine" not in answer.text
        jwks.write_bytes(httpx.get(f"{platform.url}/.well-known/jwks.json", timeout=10).content)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "a2a_cloud.callers.cli",
                "receipt",
                "verify",
                str(receipt),
                "--key",
                str(jwks),
            ],
            env=platform.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        again = rpc(platform, "SendMessage", {"message": message}).json()["result"]["task"]
        assert again["id"] != task["id"]  # Nobody knows any more that it was said before.
        shown = httpx.get(f"{platform.url}/api/v1/runs/{run}", headers=platform.auth, timeout=10)
        assert shown.status_code == 200
        assert shown.json()["state"] == "completed" or "completed" in json.dumps(shown.json())
    finally:
        platform.stop()


def _blobs(database: Path) -> list[object]:
    import sqlite3

    connection = sqlite3.connect(database)
    try:
        return [
            value
            for sql in ("SELECT call FROM run", "SELECT body FROM event")
            for (value,) in connection.execute(sql).fetchall()
        ]
    finally:
        connection.close()
