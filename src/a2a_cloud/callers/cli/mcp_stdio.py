"""`a2a mcp-stdio`: a bridge for MCP clients that only start processes (MCP, basic/transports: stdio).

Standard output carries the protocol and nothing else; what a person may want to know goes to standard
error. The key is that of the profile, so that no key stands in the client's configuration.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import say
from a2a_cloud.client.a2a_http import Limits, Web
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.mcp import McpHttp, is_request, messages_of, modern_version
from a2a_cloud.client.profile import Target
from a2a_cloud.client.shapes import obj

#: A call takes as long as it takes: the client has a time of its own, and cancels.
_LIMITS = Limits(answer=24 * 3600.0)
#: Requests under way; more wait in the client.
_MOST = 64
_LONGEST_LINE = 64 << 20
#: Seconds that what is under way gets when the client closes our input.
_GRACE = 1.5


@click.command("mcp-stdio")
@connected
@click.argument("agent", required=False, default="", shell_complete=agent_names)
def mcp_stdio_command(options: Options, agent: str) -> int:
    """Serve MCP on standard input and output: the skills of AGENT, or of all agents without it.

    For the configuration of MCP clients; `a2a connect` writes it.
    """
    target = options.target()
    if sys.stdin.isatty():
        say(
            "This speaks MCP on standard input and output, to a client that starts it: see a2a connect --help"
        )
    asyncio.run(_Bridge(target, mcp_url(target, agent)).run())
    return int(Exit.OK)


def mcp_url(target: Target, agent: str) -> str:
    """Where MCP is served: for one agent, or for all."""
    return f"{target.url}{agent_path(agent) if agent else ''}/mcp"


class _Bridge:
    def __init__(self, target: Target, url: str) -> None:
        self._target = target
        self._url = url
        self._slots = asyncio.Semaphore(_MOST)
        self._open: dict[str, asyncio.Task[None]] = {}
        self._modern: set[str] = set()
        self._writing = asyncio.Lock()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        """Until the client closes our input, or reads our output no more."""
        lines: asyncio.Queue[bytes] = asyncio.Queue(_MOST)
        threading.Thread(target=_feed, args=(asyncio.get_running_loop(), lines), daemon=True).start()
        target = self._target
        key = target.signed_in.access if target.signed_in is not None else target.key
        keys = {target.origin: key} if key else {}
        async with Web(keys, limits=_LIMITS) as web:
            line = McpHttp(web, self._url, self._put, lambda words: say(f"a2a mcp-stdio: {words}"))
            gone = asyncio.ensure_future(self._gone.wait())
            try:
                while not self._gone.is_set():
                    taken = asyncio.ensure_future(lines.get())
                    await asyncio.wait({taken, gone}, return_when=asyncio.FIRST_COMPLETED)
                    if not taken.done():
                        taken.cancel()
                        break
                    raw = taken.result()
                    if not raw:
                        break
                    await self._take(line, raw)
                if self._open:
                    await asyncio.wait(set(self._open.values()), timeout=_GRACE)
            finally:
                gone.cancel()
                left = list(self._open.values())
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
                await line.end()

    async def _take(self, line: McpHttp, raw: bytes) -> None:
        try:
            messages = messages_of(raw)
        except ValueError as error:
            problem = {"code": -32700, "message": f"A line on standard input can't be read: {error}."}
            await self._put({"jsonrpc": "2.0", "id": None, "error": problem})
            return
        for message in messages:
            if not is_request(message):
                if not self._cancels(message):
                    await line.say(message)
            elif message["method"] == "initialize":
                await line.say(message)
            else:
                await self._slots.acquire()
                self._begin(line, message)

    def _begin(self, line: McpHttp, message: dict[str, Any]) -> None:
        name = json.dumps(message["id"])
        task = asyncio.create_task(line.say(message))
        self._open[name] = task
        if modern_version(message):
            self._modern.add(name)

        def done(_task: asyncio.Task[None]) -> None:
            self._slots.release()
            if self._open.get(name) is task:
                del self._open[name]
                self._modern.discard(name)

        task.add_done_callback(done)

    def _cancels(self, message: dict[str, Any]) -> bool:
        """Over HTTP, the revision without sessions cancels by closing the answer's stream."""
        if message.get("method") != "notifications/cancelled":
            return False
        name = json.dumps(obj(message.get("params")).get("requestId"))
        if name not in self._modern:
            return False
        self._open[name].cancel()
        return True

    async def _put(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        async with self._writing:
            try:
                # Beside the loop: a client that does not read must not hold up what it says itself.
                await asyncio.get_running_loop().run_in_executor(None, _write, line + b"\n")
            except (BrokenPipeError, ValueError, OSError):
                self._gone.set()


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _feed(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes]) -> None:
    """Read standard input to its end, in a thread: it may be a pipe, a file or a terminal. b"" is the end."""
    while True:
        try:
            raw = sys.stdin.buffer.readline(_LONGEST_LINE)
        except (OSError, ValueError):
            raw = b""
        if raw.strip() or not raw:
            try:
                asyncio.run_coroutine_threadsafe(lines.put(raw), loop).result()
            except (RuntimeError, asyncio.CancelledError):
                return  # the loop has ended
        if not raw:
            return
