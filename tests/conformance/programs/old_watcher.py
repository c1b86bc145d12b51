"""The official SDK's 0.3 client watches a task to its end: old_watcher.py URL TASK. Run by a2a-sdk 0.3.

Prints a JSON object for each event as it comes, first one for the task as it was.
"""

from __future__ import annotations

import asyncio
import json
import sys

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import TaskArtifactUpdateEvent, TaskIdParams


async def main(url: str, task_id: str) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        async for _, update in client.resubscribe(TaskIdParams(id=task_id)):
            if update is None:
                print(json.dumps({"kind": "task"}), flush=True)
            elif isinstance(update, TaskArtifactUpdateEvent):
                said = update.artifact.parts[0].root
                text = getattr(said, "text", None) or json.dumps(said.data)
                print(json.dumps({"kind": "artifact", "text": text}), flush=True)
            else:
                message = update.status.message
                text = message.parts[0].root.text if message else ""
                state = update.status.state.value
                print(json.dumps({"kind": "status", "state": state, "text": text}), flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
