"""A client that remembers everything that it saw, to be compared with the journal later: what anybody
was shown before a crash has to be there after it."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from world import World


class Cut(Exception):
    """The connection ended before the answer did: the platform died."""


@dataclass
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def code(self) -> str:
        return self.json.get("code", "") or self.json["error"]["details"][0]["reason"].lower()


@dataclass
class Witness:
    """Calls the agent `crash`, and keeps what it was told."""

    world: World
    tasks: set[str] = field(default_factory=set[str])
    runs: set[str] = field(default_factory=set[str])
    receipts: set[str] = field(default_factory=set[str])
    #: (task, position) → (kind, data) of every event seen.
    events: dict[tuple[str, str], tuple[str, Any]] = field(
        default_factory=dict[tuple[str, str], tuple[str, Any]]
    )
    #: run → its result, where one was shown.
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    lock: threading.Lock = field(default_factory=threading.Lock)
    agent: str = "crash"

    # --- requests -------------------------------------------------------------------------------------

    def _open(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.world.host, self.world.port, timeout=60)
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(
                method,
                path,
                data,
                {"Authorization": f"Bearer {self.world.key}", "Content-Type": "application/json", **headers},
            )
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Cut(str(error)) from None

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """One request and its whole answer. Raises Cut."""
        connection, answer = self._open(method, path, body, headers)
        try:
            said = Said(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise Cut(str(error)) from None
        finally:
            answer.close()  # What was cut off keeps the socket open, and nobody else closes it.
            connection.close()
        return said

    def invoke(self, skill: str, key: str = "", **arguments: Any) -> Said:
        """Call a skill and wait."""
        headers = {"Idempotency-Key": key} if key else {}
        said = self.request("POST", f"/agents/{self.agent}/invoke/{skill}", arguments, **headers)
        self._headers(said)
        if said.status == 200:
            with self.lock:
                self.results[said.headers["a2a-run"]] = said.json
        return said

    def begin(self, skill: str, key: str = "", **arguments: Any) -> str:
        """Call a skill, and return its task's id at once."""
        headers = {"Idempotency-Key": key} if key else {}
        said = self.request("POST", f"/agents/{self.agent}/invoke/{skill}?async=1", arguments, **headers)
        self._headers(said)
        assert said.status in (200, 202), said.body
        return said.headers["a2a-task"]

    def send(
        self, key: str, text: str | None = None, *, task: str = "", data: Any = None, now: bool = False
    ) -> Said:
        """SendMessage, blocking unless `now`."""
        part = {"text": text} if text is not None else {"data": data}
        message: dict[str, Any] = {"messageId": key, "role": "ROLE_USER", "parts": [part]}
        if task:
            message["taskId"] = task
        body = {"message": message, "configuration": {"returnImmediately": now}}
        said = self.request("POST", f"/agents/{self.agent}/message:send", body)
        if said.status == 200 and "task" in said.json:
            found = said.json["task"]
            with self.lock:
                self.tasks.add(found["id"])
                metadata = found.get("metadata", {})
                self.runs.update(v for k, v in metadata.items() if k == "a2a-cloud/run")
                self.receipts.update(v for k, v in metadata.items() if k == "a2a-cloud/receipt")
        return said

    def skill(self, key: str, skill: str, *, now: bool = False, **arguments: Any) -> Said:
        """SendMessage that names a skill."""
        return self.send(key, data={"skill": skill, "arguments": arguments}, now=now)

    def cancel(self, task: str) -> Said:
        """CancelTask."""
        return self.request("POST", f"/agents/{self.agent}/tasks/{task}:cancel", {})

    def task(self, task: str) -> dict[str, Any]:
        """The control API's view of a task."""
        said = self.request("GET", f"/api/v1/tasks/{task}")
        assert said.status == 200, said.body
        return said.json

    def run(self, run: str) -> dict[str, Any]:
        """The control API's view of a run."""
        said = self.request("GET", f"/api/v1/runs/{run}")
        assert said.status == 200, said.body
        return said.json

    def _headers(self, said: Said) -> None:
        with self.lock:
            for name, kept in (
                ("a2a-task", self.tasks),
                ("a2a-run", self.runs),
                ("a2a-receipt", self.receipts),
            ):
                if value := said.headers.get(name):
                    kept.add(value)

    # --- streams --------------------------------------------------------------------------------------

    def follow(self, task: str, after: str = "") -> threading.Thread:
        """Read the task's events in a thread until the stream ends, one way or the other."""
        query = f"?after={after}" if after else "?after=0.0"
        return self._thread("GET", f"/agents/{self.agent}/sse/{task}{query}", None, {})

    def stream(self, skill: str, key: str = "", **arguments: Any) -> threading.Thread:
        """Call a skill and read its events in a thread."""
        headers = {"Accept": "text/event-stream"} | ({"Idempotency-Key": key} if key else {})
        return self._thread("POST", f"/agents/{self.agent}/invoke/{skill}", arguments, headers)

    def _thread(self, method: str, path: str, body: Any, headers: dict[str, str]) -> threading.Thread:
        ready = threading.Event()

        def read() -> None:
            try:
                connection, answer = self._open(method, path, body, headers)
            except Cut:
                ready.set()
                return
            try:
                said = Said(answer.status, {k.lower(): v for k, v in answer.getheaders()}, b"")
                self._headers(said)
                self._read(answer, ready)
            except (OSError, http.client.HTTPException, ValueError):
                return
            finally:
                ready.set()
                answer.close()
                connection.close()

        thread = threading.Thread(target=read, daemon=True)
        self.threads.append(thread)
        thread.start()
        ready.wait(30)
        return thread

    def _read(self, answer: http.client.HTTPResponse, ready: threading.Event) -> None:
        task, identity, kind, data = "", "", "", ""
        for raw in answer:
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                identity = line[4:]
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and kind:
                value = json.loads(data)
                task = value.get("task_id", "") or task
                with self.lock:
                    if task:
                        self.tasks.add(task)
                    if kind == "status":
                        self.runs.add(value["run_id"])
                        if value.get("receipt_id"):
                            self.receipts.add(value["receipt_id"])
                    if identity:
                        self.events[task, identity] = (kind, value)
                ready.set()
                identity = kind = data = ""

    def join(self, seconds: float = 30) -> None:
        """Wait for all streams to end."""
        for thread in self.threads:
            thread.join(seconds)
            assert not thread.is_alive(), "a stream did not end"
        self.threads.clear()
