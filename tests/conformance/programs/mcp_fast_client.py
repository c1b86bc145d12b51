"""fastmcp's client: what it sees at an address, as JSON. `mcp_fast_client.py URL`, the key in TOKEN."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.auth import BearerAuth


async def main(url: str) -> None:
    """Connects, lists, calls, asks."""

    async def asked(message: str, response_type: type, _params: object, _context: object) -> object:
        return response_type(answer="Ada") if message == "What is your name?" else None

    async with Client(url, auth=BearerAuth(os.environ["TOKEN"]), elicitation_handler=asked) as client:
        tools = [tool.name for tool in await client.list_tools()]
        added = await client.call_tool("add", {"a": 1, "b": 2})
        greeted = await client.call_tool("ask_name", {})
        failed = await client.call_tool("fail", {}, raise_on_error=False)
        prompt = await client.get_prompt("review", {"style": "long"})
        note = await client.read_resource("notes://red/one")
        print(
            json.dumps(
                {
                    "tools": tools,
                    "added": added.structured_content,
                    "greeted": greeted.content[0].text,
                    "failed": failed.is_error,
                    "prompt": prompt.messages[0].content.text,
                    "note": note[0].text if isinstance(note, list) else note.contents[0].text,
                }
            )
        )


asyncio.run(main(sys.argv[1]))
