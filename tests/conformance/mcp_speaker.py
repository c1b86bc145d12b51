"""MCP spoken by hand: requests in both revisions, event streams read message by message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

MODERN = "2026-07-28"
LATEST = "2025-11-25"
ACCEPT = {"Accept": "application/json, text/event-stream"}
TASKS = "io.modelcontextprotocol/tasks"
Json = dict[str, Any]
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


#: Clients that a test has opened; `hang_up` closes them.
_open: list[httpx.Client] = []


def _client() -> httpx.Client:
    client = httpx.Client(timeout=30)
    _open.append(client)
    return client


def hang_up() -> None:
    """Closes what a test has opened."""
    while _open:
        _open.pop().close()


@dataclass
class Event:
    """A message on a stream, and its id."""

    id: str
    message: Json


@dataclass
class Speaker:
    """Speaks to one address with one key, statelessly, or in a session once it has begun one."""

    url: str
    key: str = ""
    client: Json = field(default_factory=dict[str, Any])
    session: str = ""
    version: str = MODERN
    http: httpx.Client = field(default_factory=_client)
    _last: int = 0

    def headers(self, method: str = "", name: str = "", **more: str) -> dict[str, str]:
        """The headers of a request."""
        found = {**ACCEPT, "MCP-Protocol-Version": self.version}
        if self.key:
            found["Authorization"] = f"Bearer {self.key}"
        if self.session:
            found["Mcp-Session-Id"] = self.session
        elif method:
            found["Mcp-Method"] = method
            if name:
                found["Mcp-Name"] = name
        return found | more

    def body(self, method: str, params: Json | None = None, *, meta: Json | None = None) -> Json:
        """A request, with an id of its own."""
        self._last += 1
        params = dict(params or {})
        if not self.session and self.version == MODERN:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": self.client,
                **(meta or {}),
            }
        elif meta:
            params["_meta"] = meta
        return {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}

    def post(
        self, method: str, params: Json | None = None, meta: Json | None = None, **more: str
    ) -> httpx.Response:
        """Sends a request."""
        member = _NAMED.get(method, "taskId" if method.startswith("tasks/") else "")
        name = str((params or {}).get(member, ""))
        return self.http.post(
            self.url, json=self.body(method, params, meta=meta), headers=self.headers(method, name, **more)
        )

    def ask(self, method: str, params: Json | None = None, meta: Json | None = None, **more: str) -> Json:
        """The result of a request, which has to succeed at once."""
        answer = self.post(method, params, meta, **more)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert "result" in body, body
        return body["result"]

    def call(self, name: str, arguments: Json | None = None, meta: Json | None = None, **more: Any) -> Json:
        """A tool's result."""
        return self.ask("tools/call", {"name": name, "arguments": arguments or {}, **more}, meta)

    def fault(
        self, method: str, params: Json | None = None, meta: Json | None = None, **more: str
    ) -> tuple[int, Json]:
        """(HTTP status, error) of a request that has to fail."""
        answer = self.post(method, params, meta, **more)
        return answer.status_code, answer.json()["error"]

    def tell(self, body: Json) -> httpx.Response:
        """Sends a notification, or an answer to what the server asked."""
        return self.http.post(self.url, json={"jsonrpc": "2.0", **body}, headers=self.headers())

    def initialize(self, version: str = LATEST) -> Json:
        """Begins a session."""
        params = {
            "protocolVersion": version,
            "capabilities": self.client,
            "clientInfo": {"name": "speaker", "version": "1"},
        }
        headers = {name: value for name, value in self.headers().items() if name != "MCP-Protocol-Version"}
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = self.http.post(self.url, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        self.session, self.version = answer.headers["Mcp-Session-Id"], result["protocolVersion"]
        return result

    @contextmanager
    def stream(
        self, method: str, params: Json | None = None, meta: Json | None = None, **more: str
    ) -> Iterator[Iterator[Event]]:
        """The messages of a request's stream, as they come."""
        member = _NAMED.get(method, "")
        name = str((params or {}).get(member, ""))
        body = self.body(method, params, meta=meta)
        with self.http.stream(
            "POST", self.url, json=body, headers=self.headers(method, name, **more)
        ) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
            yield events(answer)

    @contextmanager
    def listen(self, last: str = "") -> Iterator[Iterator[Event]]:
        """The session's own stream, or one that broke off after `last`."""
        headers = self.headers(**({"Last-Event-ID": last} if last else {}))
        with self.http.stream("GET", self.url, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            yield events(answer)


def events(answer: httpx.Response) -> Iterator[Event]:
    """The events of a stream; one without a message has an empty one."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields.get("id", ""), json.loads(fields["data"] or "{}"))
            fields = {}


def until_result(messages: Iterator[Event]) -> list[Event]:
    """All events up to the answer."""
    found: list[Event] = []
    for event in messages:
        found.append(event)
        if "result" in event.message or "error" in event.message:
            return found
    raise AssertionError(f"no answer came: {found}")


def text_of(result: Json) -> str:
    """A tool's first text."""
    return str(result["content"][0]["text"])
