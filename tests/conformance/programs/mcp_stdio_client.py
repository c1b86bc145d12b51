"""The official client over stdio, speaking to a command line: argv is a mode (legacy, or a version), then the
command. Prints what it got, a JSON object."""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult


async def main() -> None:
    mode, command, *words = sys.argv[1:]
    got = {}
    progress = []

    async def asked(context, params):
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def progressed(done, total, message):
        progress.append((done, total))

    parameters = StdioServerParameters(command=command, args=words, env=dict(os.environ))
    async with Client(parameters, mode=mode, elicitation_callback=asked) as client:
        got["tools"] = sorted(tool.name for tool in (await client.list_tools()).tools)
        for call in json.loads(os.environ["CALLS"]):
            result = await client.call_tool(call["name"], call["arguments"], progress_callback=progressed)
            texts = [part.text for part in result.content if part.type == "text"]
            got.setdefault("results", []).append({"error": result.is_error, "text": "".join(texts)})
        got["progress"] = progress
    print(json.dumps(got))


asyncio.run(main())
