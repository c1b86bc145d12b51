"""What a client that isn't nice gets, byte for byte; and what one stream's trouble does to the others."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_cloud.client.events import ServerEvent, SseParser
from running import Running

JSON = "application/json"
SCHEMAS = "urn:a2a-cloud:skill-schemas:v1"
Answer = tuple[int, dict[str, str], Any]


def connect(desk: Running, window: int = 0) -> socket.socket:
    sock = socket.socket()
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.settimeout(20)
    sock.connect((desk.host, desk.port))
    return sock


def request(
    desk: Running, method: str, path: str, body: bytes = b"", auth: bool = True, **headers: str
) -> bytes:
    fields = {"Host": f"{desk.host}:{desk.port}", **(desk.auth if auth else {})}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n"
    return head.encode("latin-1") + body


def answer(sock: socket.socket, data: bytes) -> Answer:
    """Sends and reads one whole answer."""
    sock.sendall(data)
    received = b""
    while b"\r\n\r\n" not in received:
        piece = sock.recv(65536)
        assert piece, received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        piece = sock.recv(65536)
        assert piece
        body += piece
    status = int(lines[0].split()[1])
    return status, headers, json.loads(body) if body[:1] in (b"{", b"[") else body


def ask(desk: Running, method: str, path: str, body: bytes = b"", **kwargs: Any) -> Answer:
    with connect(desk) as sock:
        return answer(sock, request(desk, method, path, body, **kwargs))


def said(text: str) -> bytes:
    """SendMessage with a text part whose JSON is `text`."""
    part = '{"text":"' + text + '"}'
    return rpc("SendMessage", '{"message":{"messageId":"a","role":"ROLE_USER","parts":[' + part + "]}}")


def rpc(method: str, params: str, rpc_id: str = "1") -> bytes:
    return f'{{"jsonrpc":"2.0","id":{rpc_id},"method":"{method}","params":{params}}}'.encode()


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "answer_id"),
    [
        (b"{", -32700, None),
        (b'\xff{"jsonrpc":"2.0"}', -32700, None),
        (b"[]", -32600, None),
        (b"[" + rpc("ListTasks", "{}") + b"]", -32600, None),
        (b'"x"', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ListTasks"}', -32600, None),
        (b'{"jsonrpc":"1.0","id":"a","method":"ListTasks"}', -32600, "a"),
        (rpc("tasks/gone", "{}", '"a"'), -32601, "a"),
        (rpc("GetTask", "{}", '"a"'), -32602, "a"),
        (rpc("GetTask", '{"id":"task_x"}', "17"), -32001, 17),
        (rpc("GetTask", '{"id":"\\u0000"}', "17"), -32001, 17),
        (rpc("GetExtendedAgentCard", "{}"), -32004, 1),
        (rpc("CreateTaskPushNotificationConfig", '{"taskId":"x"}'), -32602, 1),
        (
            said("\\ud800"),
            -32700,
            None,
        ),
        (
            said("a\x00b"),
            -32700,
            None,
        ),
        (rpc("SendMessage", '{"metadata":' + '{"a":' * 65 + "1" + "}" * 65 + "}"), -32600, None),
    ],
)
def test_bad_bodies_get_their_error(desk: Running, body: bytes, code: int, answer_id: Any) -> None:
    status, headers, document = ask(desk, "POST", "/agents/desk", body)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert document["error"]["code"] == code
    assert document["id"] == answer_id
    assert document["error"]["data"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"


def test_a_body_past_the_cap_is_refused(desk: Running) -> None:
    with connect(desk) as sock:
        head = request(
            desk, "POST", "/agents/desk", Content_Type="application/json", Content_Length=str(17 << 20)
        )
        status, _, document = answer(sock, head)
    assert (status, document["error"]["data"][0]["reason"]) == (413, "TOO_LARGE")


def test_a_chunked_body_past_the_cap_is_refused(desk: Running) -> None:
    head = request(
        desk,
        "POST",
        "/agents/desk/message:send",
        Content_Type="application/json",
        Transfer_Encoding="chunked",
    )
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with connect(desk) as sock:
        sock.sendall(head)
        try:
            for _ in range(18):
                sock.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        status, _, document = answer(sock, b"")
    assert (status, document["error"]["status"]) == (413, "RESOURCE_EXHAUSTED")


def test_another_content_type_is_refused(desk: Running) -> None:
    body = rpc("ListTasks", "{}")
    status, _, document = ask(desk, "POST", "/agents/desk", body, Content_Type="text/plain")
    assert (status, document["error"]["code"]) == (415, -32005)
    status, _, document = ask(desk, "POST", "/agents/desk/message:send", body, Content_Type="text/xml")
    assert (status, document["error"]["details"][0]["reason"]) == (415, "CONTENT_TYPE_NOT_SUPPORTED")
    for kind in ("application/a2a+json", "Application/JSON; charset=utf-8"):
        assert ask(desk, "POST", "/agents/desk", body, Content_Type=kind)[0] == 200


# --- versions and extensions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "served"),
    # ListTasks and /tasks are 1.0's alone: the version that is named only has to be one that is spoken.
    [
        *(("1.0", True), ("1.0.7", True), ("0.3", True)),
        *(("1", False), ("1.2", False), ("2.0", False), ("x", False)),
    ],
)
def test_versions(desk: Running, version: str, served: bool) -> None:
    body = rpc("ListTasks", "{}")
    _, _, document = ask(desk, "POST", "/agents/desk", body, A2A_Version=version)
    assert ("result" in document) is served
    _, _, document = ask(desk, "POST", f"/agents/desk?A2A-Version={version}", body)
    assert ("result" in document) is served
    status, _, document = ask(desk, "GET", "/agents/desk/tasks", A2A_Version=version)
    assert status == (200 if served else 400)
    if not served:
        assert document["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"


def test_known_extensions_are_echoed(desk: Running) -> None:
    body = rpc("ListTasks", "{}")
    _, headers, _ = ask(
        desk, "POST", "/agents/desk", body, A2A_Extensions="urn:x, urn:a2a-cloud:skill-schemas:v1"
    )
    assert headers["a2a-extensions"] == SCHEMAS


# --- paths and methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/agents/desk/../desk/card", 400),
        ("GET", "/agents/desk/%2e%2e/card", 400),
        ("GET", "/agents//desk/card", 400),
        ("GET", "/agents/desk/tasks/%00", 400),
        ("GET", "/agents/desk/tasks/%ff", 400),
        ("GET", "/agents/desk/sse/a%0d%0ab", 400),
        ("GET", "/agents/desk/tasks/a%20b", 404),
        ("GET", "/agents/desk/app", 404),
        ("GET", "/agents/desk/tenant1/tasks", 404),
        ("POST", "/agents/desk/tenant1/message:send", 404),
        ("GET", "/agents/desk", 405),
        ("PUT", "/agents/desk/tasks", 405),
        ("GET", "/agents/desk/message:send", 405),
        ("DELETE", "/agents/desk/card", 405),
        ("POST", "/agents/desk/tasks/x:explode", 404),
        ("GET", "/agents/desk/tasks/x/other", 404),
        ("GET", "/agents/desk/tasks/x/pushNotificationConfigs", 404),
        ("DELETE", "/agents/desk/tasks/x/pushNotificationConfigs/y", 404),
        ("GET", "/agents/desk/extendedAgentCard", 400),
        ("GET", "/agents/%00", 400),
        ("GET", "/agents/", 404),
        ("GET", "/", 404),
        ("GET", "/api/v1/runs/x/y/z", 404),
        ("GET", "/agents/desk/tasks?pageSize=x", 400),
        ("GET", "/agents/desk/tasks?pageSize=%ff", 400),
        ("GET", "/agents/desk/tasks?statusTimestampAfter=yesterday", 400),
        ("OPTIONS", "/agents/desk", 204),
        ("OPTIONS", "/api/v1/keys", 204),
        ("HEAD", "/agents/desk/tasks", 200),
    ],
)
def test_paths_and_methods(desk: Running, method: str, path: str, status: int) -> None:
    found, headers, _ = ask(desk, method, path) if method != "HEAD" else _head(desk, path)
    assert found == status
    if status == 405:
        assert headers["allow"]


def _head(desk: Running, path: str) -> Answer:
    head = httpx.head(desk.url + path, headers=desk.auth)
    return head.status_code, dict(head.headers), None


def test_errors_speak_the_routes_language(desk: Running) -> None:
    _, headers, document = ask(desk, "GET", "/agents/desk/tasks/none")
    assert headers["content-type"] == "application/a2a+json"
    assert set(document) == {"error"}
    _, headers, document = ask(desk, "GET", "/agents/desk/sse/none")
    assert headers["content-type"] == "application/problem+json"
    assert document["code"] == "task_not_found"
    _, _, document = ask(desk, "POST", "/agents/desk", rpc("ListTasks", "{}"), auth=False)
    assert document["error"]["data"][0]["reason"] == "UNAUTHENTICATED"


# --- streams ----------------------------------------------------------------------------------------------


class Reading:
    """A stream that is read as the test likes."""

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self.sock = sock
        self.parser = SseParser()
        self.events: list[ServerEvent] = []
        sock.sendall(data)
        received = b""
        while b"\r\n\r\n" not in received:
            received += sock.recv(4096)
        self.head, _, rest = received.partition(b"\r\n\r\n")
        self.pending = rest
        self.ended = False

    def _chunks(self) -> bytes:
        out = b""
        while True:
            size, found, rest = self.pending.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                return out
            length = int(size, 16)
            if length == 0:
                self.ended = True
                return out
            out += rest[:length]
            self.pending = rest[length + 2 :]

    def until(self, done: Callable[[Reading], bool]) -> None:
        """Reads until `done`, or the end."""
        while True:
            self.events += self.parser.feed(self._chunks())
            if done(self) or self.ended:
                return
            piece = self.sock.recv(65536)
            if not piece:
                self.ended = True
                return
            self.pending += piece

    def to_the_end(self) -> None:
        self.until(lambda _: False)


def gauge(desk: Running, name: str) -> float:
    for line in httpx.get(desk.url + "/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return 0.0


def hold(desk: Running, gate: Path, skill: str = "hold", **arguments: Any) -> dict[str, Any]:
    started = httpx.post(
        f"{desk.agent('desk')}/invoke/{skill}?async=1",
        json={"gate": str(gate), **arguments},
        headers=desk.auth,
    )
    return started.json()


class Follow:
    """Opens streams, and closes them when the test is over."""

    def __init__(self, desk: Running) -> None:
        self.desk = desk
        self.sockets: list[socket.socket] = []

    def __call__(self, task_id: str, window: int = 0) -> Reading:
        return self.open(request(self.desk, "GET", f"/agents/desk/sse/{task_id}"), window)

    def open(self, data: bytes, window: int = 0) -> Reading:
        sock = connect(self.desk, window)
        self.sockets.append(sock)
        return Reading(sock, data)


@pytest.fixture
def follow(desk: Running) -> Iterator[Follow]:
    opened = Follow(desk)
    yield opened
    for sock in opened.sockets:
        sock.close()


def test_one_streams_end_touches_no_other(desk: Running, follow: Follow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = hold(desk, gate)["task_id"]
    first, second = follow(task), follow(task)
    for stream in (first, second):
        stream.until(lambda s: bool(s.events))
    first.sock.close()
    gate.touch()
    second.to_the_end()
    assert json.loads(second.events[-1].data)["state"] == "completed"
    state = httpx.get(f"{desk.agent('desk')}/tasks/{task}", headers=desk.auth).json()["status"]["state"]
    assert state == "TASK_STATE_COMPLETED"


def test_a_caller_who_leaves_does_not_end_the_run(desk: Running, follow: Follow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    call = {"skill": "hold", "arguments": {"gate": str(gate)}}
    message = {"messageId": "leaver", "role": "ROLE_USER", "parts": [{"data": call}]}
    body = json.dumps({"message": message}).encode()
    stream = follow.open(request(desk, "POST", "/agents/desk/message:stream", body))
    stream.until(lambda s: bool(s.events))
    task = json.loads(stream.events[0].data)["task"]["id"]
    stream.sock.close()
    gate.touch()
    rest = follow(task)
    rest.to_the_end()
    assert json.loads(rest.events[-1].data)["state"] == "completed"


def test_a_slow_reader_catches_up_without_a_gap(desk: Running, follow: Follow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    pieces, size = 400, 20_000
    task = hold(desk, gate, "pour", pieces=pieces, size=size)["task_id"]
    slow, fast = follow(task, window=4096), follow(task)
    slow.until(lambda s: len(s.events) >= 2)
    lagged = gauge(desk, "a2a_streams_lagged_total")
    gate.touch()
    fast.to_the_end()  # 8 MB went by; the slow reader's buffers hold a fraction of it
    assert gauge(desk, "a2a_streams_lagged_total") > lagged
    slow.to_the_end()
    ids = [event.id for event in slow.events[1:]]
    assert ids == [event.id for event in fast.events[1:]][-len(ids) :]
    for stream in (slow, fast):
        text = "".join(json.loads(e.data)["delta"] for e in stream.events if e.kind == "text")
        assert [line.partition(":")[0] for line in text.splitlines()] == ["begin", *map(str, range(pieces))]
        assert json.loads(stream.events[-1].data)["state"] == "completed"


def test_streams_are_counted_in_and_out(desk: Running, follow: Follow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = hold(desk, gate)["task_id"]
    before = gauge(desk, "a2a_streams_open")
    streams = [follow(task) for _ in range(50)]
    for stream in streams:
        stream.until(lambda s: bool(s.events))
    assert gauge(desk, "a2a_streams_open") == before + 50
    for stream in streams[:25]:
        stream.sock.close()
    while gauge(desk, "a2a_streams_open") > before + 25:
        time.sleep(0.01)
    gate.touch()
    for stream in streams[25:]:
        stream.to_the_end()
        assert json.loads(stream.events[-1].data)["state"] == "completed"
    while gauge(desk, "a2a_streams_open") > before:
        time.sleep(0.01)


def test_every_subscriber_gets_the_same_bytes(desk: Running, follow: Follow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = hold(desk, gate, words=5)["task_id"]
    streams = [follow(task) for _ in range(5)]
    gate.touch()
    seen: set[tuple[Any, ...]] = set()
    for stream in streams:
        stream.to_the_end()
        seen.add(tuple((e.id, e.kind, e.data) for e in stream.events[1:]))
    assert len(seen) == 1
