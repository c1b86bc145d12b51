"""Proof that an MCP client will get through: its entry is used as the client would use it, and the server
is asked who it is and what tools it has (MCP 2025-11-25, basic/lifecycle and server/tools).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.client.a2a_http import Web
from a2a_cloud.client.mcp import LATEST_WITH_SESSIONS, McpHttp
from a2a_cloud.client.shapes import obj, objs, text

#: Seconds for the whole proof, and pages of tools that are read.
_BOUND = 40.0
_PAGES = 20
_LARGEST = 16 << 20
Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass
class Proof:
    """What the server said of itself: its name, the revision that was agreed on, its tools (name, text)."""

    server: str = ""
    version: str = ""
    tools: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    more: bool = False


async def prove_command(command: list[str], env: Mapping[str, str]) -> Proof:
    """The server that `command` starts, with nothing in its environment but `env`. Raises Failure."""
    return await _bounded(_of_command(command, env))


async def prove_http(url: str, origin: str, key: str) -> Proof:
    """The server at `url`; `key` goes to `origin`. Raises Failure."""
    return await _bounded(_of_http(url, {origin: key} if key else {}))


async def _bounded(talk: Awaitable[Proof]) -> Proof:
    try:
        async with asyncio.timeout(_BOUND):
            return await talk
    except TimeoutError:
        raise _unproved(f"the server gave no answer in {_BOUND:g} s") from None


def _unproved(why: str) -> Failure:
    return Failure(
        Exit.FAILED,
        f"The connection could not be proved: {why.rstrip('.')}.",
        remedy="Nothing was written. Mend it, or write it unproved with --no-check.",
        code="not_connected",
    )


async def _of_http(url: str, keys: Mapping[str, str]) -> Proof:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    async with Web(keys) as web:
        line = McpHttp(web, url, got.put, lambda _words: None)

        async def ask(message: dict[str, Any]) -> dict[str, Any]:
            await line.say(message)
            while not got.empty():
                answer = got.get_nowait()
                if answer.get("id") == message.get("id"):
                    return answer
            return {}

        try:
            return await _talk(ask)
        finally:
            await line.end()


async def _of_command(command: list[str], env: Mapping[str, str]) -> Proof:
    async with _started(command, env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        async def ask(message: dict[str, Any]) -> dict[str, Any]:
            stdin.write(json.dumps(message).encode() + b"\n")
            await stdin.drain()
            while "id" in message:
                line = await stdout.readline()
                if not line:
                    assert process.stderr is not None
                    said = (await process.stderr.read(4096)).decode("utf-8", "replace").strip()
                    raise _unproved(f"the command ended: {said or 'it said nothing'}")
                try:
                    answer = obj(json.loads(line))
                except ValueError:
                    raise _unproved(f"the command wrote what is no MCP: {line[:80]!r}") from None
                if answer.get("id") == message["id"]:
                    return answer
            return {}

        return await _talk(ask)


@asynccontextmanager
async def _started(command: list[str], env: Mapping[str, str]) -> AsyncGenerator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), limit=_LARGEST
        )
    except OSError as error:
        raise _unproved(f"{command[0]} can't be started ({error.strerror})") from None
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, OSError):
            if process.stdin is not None:
                process.stdin.close()
            try:
                async with asyncio.timeout(5):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _talk(ask: Ask) -> Proof:
    hello = {
        "protocolVersion": LATEST_WITH_SESSIONS,
        "capabilities": {},
        "clientInfo": {"name": "a2a connect", "version": "1"},
    }
    begun = await _result(ask, 1, "initialize", hello)
    proof = Proof(text(obj(begun.get("serverInfo")).get("name")), text(begun.get("protocolVersion")))
    await ask({"jsonrpc": "2.0", "method": "notifications/initialized"})
    params: dict[str, Any] = {}
    for page in range(_PAGES):
        answer = await _result(ask, 2 + page, "tools/list", params)
        for tool in objs(answer.get("tools")):
            about = text(tool.get("title") or tool.get("description")).partition("\n")[0]
            proof.tools.append((text(tool.get("name")), about))
        if not answer.get("nextCursor"):
            return proof
        params = {"cursor": answer["nextCursor"]}
    proof.more = True
    return proof


async def _result(ask: Ask, ident: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    answer = await ask({"jsonrpc": "2.0", "id": ident, "method": method, "params": params})
    error = obj(answer.get("error"))
    if error or "result" not in answer:
        raise _unproved(f"{method} was answered with {text(error.get('message')) or 'nothing'}")
    return obj(answer["result"])
