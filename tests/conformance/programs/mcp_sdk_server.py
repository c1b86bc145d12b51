"""A server made of the official `mcp` package, for the bridge: prints its URL, serves until stdin ends.

argv: its port, 0 for a free one.
"""

import asyncio
import json
import socket
import sys
import threading

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel

server = MCPServer("oracle")


class Name(BaseModel):
    name: str


@server.tool()
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Counts, telling how far it is."""
    for number in range(to):
        await ctx.report_progress(number + 1, to)
        await asyncio.sleep(0.02)
    return f"counted to {to}"


@server.tool()
async def greet(ctx: Context) -> str:
    """Asks for a name."""
    answer = await ctx.elicit("Who are you?", Name)
    return f"hello {answer.data.name}" if answer.action == "accept" else "hello nobody"


@server.tool()
async def slow() -> str:
    """Takes long."""
    await asyncio.sleep(60)
    return "late"


@server.tool()
def broken() -> str:
    """Fails."""
    raise ValueError("broken")


listener = socket.create_server(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
config = uvicorn.Config(server.streamable_http_app(), log_level="error", ws="none")
running = uvicorn.Server(config)
print(json.dumps({"url": url}), flush=True)


def until_stdin_ends() -> None:
    sys.stdin.read()
    running.should_exit = True


threading.Thread(target=until_stdin_ends, daemon=True).start()
running.run(sockets=[listener])
