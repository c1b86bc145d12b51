"""MCP over HTTP from the client's side: sessions, streams that break, headers, answers for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played, playing

from a2a_cloud.client import mcp
from a2a_cloud.client.a2a_http import Web
from a2a_cloud.client.mcp import McpHttp, header_value, messages_of, mirrored

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "add", "arguments": {}}}
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
MODERN = {**CALL, "params": {**CALL["params"], "_meta": META}}  # type: ignore[dict-item]
Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    with playing() as played:
        yield played


@pytest.fixture
def played(server: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    server.asked.clear()
    server.answers.clear()
    monkeypatch.setattr(mcp, "PAUSES", (0.0,) * 4)
    return server


def answered(message: dict[str, Any], **headers: str) -> web.StreamResponse:
    result = {"protocolVersion": "2025-11-25"} if message["method"] == "initialize" else {"ok": True}
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers=headers)


def serve(played: Played, handler: Handler) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = played.asked[-1].body
        return await handler(request, json.loads(body) if body else {})

    for method in ("GET", "POST", "DELETE"):
        played.answers[method, "/mcp"] = answer


def talk(played: Played, *messages: dict[str, Any], told: list[str] | None = None) -> list[dict[str, Any]]:
    """What is delivered when the client says `messages`, one after the other."""
    got: list[dict[str, Any]] = []

    async def inside() -> None:
        async def deliver(message: dict[str, Any]) -> None:
            got.append(message)

        async with Web() as connection:
            line = McpHttp(
                connection, played.url + "/mcp", deliver, (told if told is not None else []).append
            )
            for message in messages:
                await line.say(message)
            await line.end()

    asyncio.run(inside())
    return got


async def sse(request: web.Request, *pieces: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in pieces:
        if piece == "cut":
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(piece.encode())
    return response


def event(value: Any, ident: str = "") -> str:
    return (f"id: {ident}\n" if ident else "") + f"data: {json.dumps(value)}\n\n"


DONE = {"jsonrpc": "2.0", "id": 7, "result": {"ok": True}}
NOTE = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}


def test_a_session(played: Played) -> None:
    async def handler(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405 if request.method == "GET" else 204)
        if "id" not in message:
            return web.Response(status=202)
        return answered(message, **({"Mcp-Session-Id": "s1"} if message["method"] == "initialize" else {}))

    serve(played, handler)
    got = talk(played, INITIALIZE, READY, CALL)
    assert [message["id"] for message in got] == [0, 7]
    posts = [asked.headers for asked in played.asked if asked.method == "POST"]
    assert [headers.get("Mcp-Session-Id") for headers in posts] == [None, "s1", "s1"]
    assert [headers.get("MCP-Protocol-Version") for headers in posts] == [None, "2025-11-25", "2025-11-25"]
    assert played.last("DELETE", "/mcp").headers["Mcp-Session-Id"] == "s1"


def test_a_session_that_was_forgotten_is_begun_anew(played: Played) -> None:
    sessions: list[str] = []

    async def handler(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        if message.get("method") == "initialize":
            sessions.append(f"s{len(sessions)}")
            return answered(message, **{"Mcp-Session-Id": sessions[-1]})
        if message.get("method") == "tools/call" and request.headers["Mcp-Session-Id"] == "s0":
            return web.Response(status=404)
        return answered(message) if "id" in message else web.Response(status=202)

    serve(played, handler)
    got = talk(played, INITIALIZE, READY, CALL)
    assert [message["id"] for message in got] == [0, 7]  # the client hears nothing of it
    said = [json.loads(asked.body)["method"] for asked in played.asked if asked.method == "POST"]
    begun = ["initialize", "notifications/initialized"]
    assert said == [*begun, "tools/call", *begun, "tools/call"]


def test_a_stream_up_to_its_answer(played: Played) -> None:
    asks = {"jsonrpc": "2.0", "id": 7, "method": "elicitation/create"}  # the server's ids are its own

    async def handler(request: web.Request, _message: dict[str, Any]) -> web.StreamResponse:
        return await sse(request, "id: a\ndata:\n\n", event(NOTE), event(asks), event(DONE), event(NOTE))

    serve(played, handler)
    assert talk(played, CALL) == [NOTE, asks, DONE]


def test_a_broken_stream_is_taken_up(played: Played) -> None:
    async def handler(request: web.Request, _message: dict[str, Any]) -> web.StreamResponse:
        if request.method == "POST":
            return await sse(request, "retry: 1\nid: a\ndata:\n\n", event(NOTE, "b"), "cut")
        if request.headers["Last-Event-ID"] == "b":
            return await sse(request, event(NOTE, "c"))  # closed by the server, which asks to be polled
        return await sse(request, event(DONE, "d"))

    serve(played, handler)
    assert talk(played, CALL) == [NOTE, NOTE, DONE]
    assert [asked.headers.get("Last-Event-ID") for asked in played.asked] == [None, "b", "c"]


@pytest.mark.parametrize("message", [CALL, MODERN], ids=["2025-11-25", "2026-07-28"])
def test_every_request_is_answered(played: Played, message: dict[str, Any]) -> None:
    async def handler(request: web.Request, _message: dict[str, Any]) -> web.StreamResponse:
        return await sse(request, event(NOTE), "cut")

    serve(played, handler)
    got = talk(played, message)
    assert got[0] == NOTE
    assert (got[1]["id"], got[1]["error"]["code"]) == (7, -32000)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
def test_a_refusal_is_an_answer(played: Played, status: int) -> None:
    async def handler(_request: web.Request, _message: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"code": "x", "detail": "no", "remedy": "do"}, status=status)

    serve(played, handler)
    told: list[str] = []
    (answer,) = talk(played, CALL, READY, told=told)
    assert (answer["id"], answer["error"]["message"]) == (7, "no do")
    assert told == ["notifications/initialized was not taken: no do"]


def test_the_server_s_own_error_passes(played: Played) -> None:
    error = {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2025-11-25"]}}

    async def handler(_request: web.Request, _message: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"jsonrpc": "2.0", "id": None, "error": error}, status=400)

    serve(played, handler)
    assert talk(played, MODERN) == [{"jsonrpc": "2.0", "id": 7, "error": error}]


def test_nobody_there() -> None:
    played = Played(url="http://127.0.0.1:1")
    pauses, mcp.PAUSES = mcp.PAUSES, (0.0,)
    try:
        (answer,) = talk(played, CALL)
    finally:
        mcp.PAUSES = pauses
    assert "connection refused" in answer["error"]["message"]


def test_headers_that_repeat_the_body(played: Played) -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
            "list": {"type": "array", "items": {"properties": {"x": {"x-mcp-header": "X"}}}},
            "bad": {"type": "string", "x-mcp-header": "a b"},
        },
    }

    async def handler(_request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        tools = [{"name": "add", "inputSchema": schema}]
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}})

    serve(played, handler)
    arguments = {"region": "Zürich", "deep": {"n": 4}, "list": [{"x": "y"}]}
    call = {**MODERN, "params": {"name": "add", "arguments": arguments, "_meta": META}}
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    talk(played, listing, call)
    sent = {
        name.lower(): value
        for name, value in played.asked[-1].headers.items()
        if name.lower().startswith("mcp-")
    }
    assert sent == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "add",
        "mcp-param-region": "=?base64?WsO8cmljaA==?=",
        "mcp-param-n": "4",
    }
    assert set(mirrored(schema)) == {"Mcp-Param-Region", "Mcp-Param-N"}


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", "=?base64??="),
    ],
    ids=["plain", "other script", "padded", "lines", "sentinel", "empty"],
)
def test_values_of_headers(value: str, header: str) -> None:
    assert header_value(value) == header


@pytest.mark.parametrize("line", [b"nonsense", b"1", b"[]", b"[1]", b'"x"', b"[" * 100_000, b"\xff"])
def test_lines_that_are_no_messages(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        messages_of(line)
    assert messages_of(b'[{"a":1},{"b":2}]') == [{"a": 1}, {"b": 2}]
