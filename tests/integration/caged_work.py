"""A whole platform with the jail, and what its users do with it: call the agent `clerk` step by step, and
look and decide by `a2a` and the API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from calling import Said, request, run_of, wait_for

from running import AGENTS, Running, start_platform

Step = dict[str, Any]
_ENDS = ("TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_REJECTED", "TASK_STATE_CANCELED")


def step(do: str, **fields: Any) -> Step:
    """A step for `clerk`."""
    return {"do": do, **fields}


class Place:
    """A platform with `clerk` and `talker`, admins `admin`, `bea` and `cid`, member `ann`, and files that a
    person put into the workspace."""

    FILES = ("contracts/acme.md", "contracts/secret/x", "finance/q2/b.csv", "finance/q3/a.csv", "shared/n.md")

    def __init__(self, home: Path, **settings: str) -> None:
        if shutil.which("bwrap") is None:
            pytest.fail("bubblewrap is missing: run scripts/setup-system.")
        folders = [AGENTS / "clerk", AGENTS / "talker"]
        self.home = home
        self.running: Running = start_platform(folders, home, A2A_SANDBOX="jail", **settings)
        self.keys = {"admin": self.running.key}
        for name, role in (("bea", "admin"), ("cid", "admin"), ("ann", "member")):
            made = self.api("POST", "/api/v1/keys", {"principal": name, "role": role}, status=201)
            self.keys[name] = made["key"]
        for path in self.FILES:
            self.put(path, f"text of {path}")

    # --- as a program -------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, *, by: str = "admin", **headers: str) -> Said:
        sent = {"Authorization": f"Bearer {self.keys[by]}"} | headers
        return request(self.running, method, path, body, sent)

    def api(self, method: str, path: str, body: Any = None, *, by: str = "admin", status: int = 200) -> Any:
        said = self.ask(method, path, body, by=by)
        assert said.status == status, said.body
        return said.json

    def put(self, path: str, text: str) -> None:
        said = self.ask("PUT", f"/api/v1/workspaces/default/files/{path}", text.encode())
        assert said.status in (200, 201), said.body

    def get(self, path: str) -> bytes | None:
        said = self.ask("GET", f"/api/v1/workspaces/default/files/{path}")
        assert said.status in (200, 404), said.body
        return said.body if said.status == 200 else None

    def versions(self) -> list[Any]:
        return self.api("GET", "/api/v1/workspaces/default/versions")["versions"]

    def work(self, *steps: Step, skill: str = "work", narrow: Any = None) -> Said:
        headers = {} if narrow is None else {"A2A-Grant": json.dumps(narrow)}
        return self.ask("POST", f"/agents/clerk/invoke/{skill}", {"steps": list(steps)}, **headers)

    def did(self, *steps: Step, skill: str = "work", narrow: Any = None) -> list[Any]:
        """What the steps gave."""
        said = self.work(*steps, skill=skill, narrow=narrow)
        assert said.status == 200, said.body
        return said.json

    def send(self, *steps: Step, skill: str = "work", metadata: Any = None, blocking: bool = True) -> Any:
        """As an A2A client; the task."""
        part = {"data": {"skill": skill, "arguments": {"steps": list(steps)}}}
        message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [part]}
        if metadata is not None:
            message["metadata"] = metadata
        body: Any = {"message": message, "configuration": {"returnImmediately": not blocking}}
        return self.api("POST", "/agents/clerk/message:send", body)["task"]

    def task(self, task_id: str) -> Any:
        return self.api("GET", f"/agents/clerk/tasks/{task_id}")

    def until(self, task_id: str, *states: str) -> Any:
        """The task, once it is in one of these states."""

        def look() -> Any:
            task = self.task(task_id)
            return task if task["status"]["state"] in states else None

        return wait_for(look)

    def end(self, task_id: str) -> Any:
        return self.until(task_id, *_ENDS)

    def result(self, task_id: str) -> Any:
        """What the task's run returned."""
        task = self.end(task_id)
        assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
        return task["artifacts"][-1]["parts"][0]["data"]

    def record(self, run_id: str, kind: str) -> list[Any]:
        return [line for line in run_of(self.running, run_id)["record"] if line["kind"] == kind]

    def sections(self, run_id: str) -> Any:
        receipt = self.api("GET", f"/agents/clerk/runs/{run_id}/receipt")
        return {name: section["value"] for name, section in receipt["sections"].items()}

    def open_approval(self, task_id: str) -> Any:
        """The request that the task waits for."""

        def look() -> Any:
            found = self.api("GET", "/api/v1/approvals")["approvals"]
            return next((each for each in found if each["task_id"] == task_id), None)

        return wait_for(look)

    def decide(self, approval: Any, verb: str, *, by: str = "bea", **body: Any) -> Said:
        return self.ask("POST", f"/api/v1/approvals/{approval['id']}/{verb}", body, by=by)

    def grants(self, run_id: str) -> list[Any]:
        return self.api("GET", f"/api/v1/grants?run={run_id}")["grants"]

    # --- as a person --------------------------------------------------------------------------------

    def a2a(self, *words: str, by: str = "admin", code: int = 0) -> tuple[str, str]:
        """A command line; (output, errors)."""
        done = subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
            env={**self.running.env, "A2A_URL": self.running.url, "A2A_KEY": self.keys[by]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr

    def restart(self) -> None:
        """`kill -9`, and a start on the same data."""
        self.running.kill()
        self.running.restart()

    def processes(self) -> int:
        """How many cages run under the platform."""
        children = Path(f"/proc/{self.running.process.pid}/task/{self.running.process.pid}/children")
        names: list[str] = []
        for pid in children.read_text().split():
            try:
                names.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # It has just ended.
        return sum("bwrap" in name for name in names)


def codes(results: list[Any]) -> list[str]:
    """Of each step "ok", or the code of its refusal."""
    return [each["refused"] if isinstance(each, dict) and "refused" in each else "ok" for each in results]


def seconds_from(began: float) -> float:
    return time.monotonic() - began
