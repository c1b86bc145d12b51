"""The official MCP client calls a tool and prints what it sees of it: mcp_watcher.py URL TOOL ARGUMENTS MODE.

A JSON object a line: `ready` once it is about to call, each progress notification, the result.
"""

from __future__ import annotations

import asyncio
import json
import sys

from mcp import Client


async def main(url: str, tool: str, arguments: str, mode: str) -> None:
    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        print(json.dumps({"kind": "progress", "text": message}), flush=True)

    async with Client(url, mode=mode) as client:
        print(json.dumps({"kind": "ready"}), flush=True)
        result = await client.call_tool(tool, json.loads(arguments), progress_callback=progressed)
        found = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        print(json.dumps({"kind": "result", "result": found}), flush=True)


asyncio.run(main(*sys.argv[1:5]))
