"""The official mcp client over Streamable HTTP, in the era that is asked for: what it sees, JSON by line.

Runs in the environment `mcp`, imports nothing of ours. `mcp_tour.py URL legacy|2026-07-28`, the key in TOKEN.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import httpx2
import mcp_types as types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError


def say(name: str, value: Any) -> None:
    """One line."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    print(json.dumps({"name": name, "value": value}), flush=True)


async def asked(_context: Any, params: Any) -> types.ElicitResult:
    """A user who knows an answer to each question."""
    say("asked", params)
    wanted = params.requested_schema["properties"]
    known: dict[str, Any] = {"city": "Bern", "nights": 2, "decision": "deny", "note": "no"}
    answers = {
        "What is your name?": "Ada",
        "How many?": 3,
        "Which colour?": "green",
        "A matrix?": "[[1,2],[3]]",
    }
    if "answer" in wanted:
        known["answer"] = answers.get(params.message, True)
    if params.message == "Anything else?":
        return types.ElicitResult(action="decline")
    return types.ElicitResult(action="accept", content={name: known[name] for name in wanted})


async def thought(_context: Any, _params: Any) -> types.CreateMessageResult:
    """A model that says one thing."""
    content = types.TextContent(type="text", text="a thought")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def logged(params: Any) -> None:
    """A log line."""
    say("log", params)


async def tour(client: Client) -> None:
    """All that there is to see."""
    say("version", client.protocol_version)
    say("capabilities", client.server_capabilities)
    say("tools", await client.list_tools())
    say("prompts", await client.list_prompts())
    say("templates", await client.list_resource_templates())
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add", {"a": 1, "b": 2}),
        ("echo", {"text": "hi"}),
        ("several", {"count": 3}),
        ("nothing", {}),
        ("maybe", {"give": False}),
        ("said", {}),
        ("spell", {"word": "abc"}),
        ("measure", {"document": {"text": "some words", "filename": "a.txt"}}),
        ("make", {}),
        ("fail", {}),
        ("refuse", {}),
        ("crash", {}),
        ("add", {"a": "x"}),
        ("ask_name", {}),
        ("ask_twice", {}),
        ("ask_form", {}),
        ("ask_deep", {}),
        ("ask_optional", {}),
        ("ask_late", {}),
        ("think", {}),
        ("want", {"path": "secret/**"}),
        ("query", {"region": "us-west1", "text": "grüezi"}),
    ]
    for name, arguments in calls:
        try:
            say(f"call {name}", await client.call_tool(name, arguments))
        except MCPError as error:
            say(f"error {name}", {"code": error.error.code, "message": error.error.message})

    async def progress(done: float, total: float | None, message: str | None) -> None:
        say("progress", [done, total, message])

    say("call slow", await client.call_tool("slow", {"seconds": 0.4}, progress_callback=progress))
    say("prompt", await client.get_prompt("review", {"style": "short"}))
    say("prompt example", await client.get_prompt("add-1"))
    say("note", await client.read_resource("notes://red/one"))
    listed = await client.list_resources()
    say("resources", listed)
    for resource in listed.resources:
        if resource.name in ("note.md", "dot.png"):
            say(f"read {resource.name}", await client.read_resource(resource.uri))
    ref = types.PromptReference(type="ref/prompt", name="review")
    say("completion", await client.complete(ref, {"name": "style", "value": "s"}))
    for what, call in (
        ("tool", client.call_tool("gone", {})),
        ("resource", client.read_resource("gone://x")),
    ):
        try:
            await call
        except MCPError as error:
            say(f"unknown {what}", {"code": error.error.code, "data": error.error.data})


async def main(url: str, mode: str) -> None:
    """Connects and looks around."""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(
            transport,
            mode=mode,
            elicitation_callback=asked,
            sampling_callback=thought,
            logging_callback=logged,
        ) as client:
            await tour(client)


asyncio.run(main(sys.argv[1], sys.argv[2]))
