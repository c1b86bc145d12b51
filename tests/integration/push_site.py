"""A receiver of push notifications, for tests: it keeps what comes and answers as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from calling import request

from running import Running


@dataclass
class Told:
    """A notification that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["a2a-notification-id"]

    @property
    def state(self) -> str:
        """The task's state, short; "" for what is no status."""
        status = self.json.get("statusUpdate", {}).get("status", {})
        return str(status.get("state", "")).removeprefix("TASK_STATE_").lower()


@dataclass
class Receiver:
    """`answers` gives (status, headers) for the nth notification, from 0; `files` are answered to GET."""

    url: str = ""
    told: list[Told] = field(default_factory=list)
    answers: Callable[[int, Told], tuple[int, dict[str, str]]] = lambda _n, _told: (204, {})
    files: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def until(self, holds: Callable[[list[Told]], bool], seconds: float = 30) -> list[Told]:
        """What came, once `holds` says that it is enough."""
        with self.came:
            done = self.came.wait_for(lambda: holds(self.told), seconds)
        assert done, [(each.id, each.body) for each in self.told]
        return list(self.told)

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.told]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = Told(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            with receiver.came:
                n = len(receiver.told)
                receiver.told.append(told)
            status, headers = receiver.answers(n, told)
            with receiver.came:
                receiver.came.notify_all()
            self._answer(status, headers, b"")

        def do_GET(self) -> None:
            receiver.asked.append(self.path)
            self._answer(*receiver.files.get(self.path, (404, {}, b"")))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers and status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rpc(running: Running, agent: str, method: str, params: Any, **headers: str) -> Any:
    """The result of a JSON-RPC call of A2A 1.0, or its error."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    sent = {"A2A-Version": "1.0", **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = request(running, "POST", f"/agents/{agent}", body, sent).json
    return answer["result"] if "result" in answer else answer["error"]


def message(skill: str, arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A message that calls a skill."""
    part = {"data": {"skill": skill, "arguments": arguments}}
    return {"messageId": fields.pop("id", f"m-{skill}"), "role": "ROLE_USER", "parts": [part], **fields}


def wants(url: str, **fields: Any) -> dict[str, Any]:
    """A message's configuration with a push target."""
    return {"taskPushNotificationConfig": {"url": url, **fields}, "returnImmediately": True}
