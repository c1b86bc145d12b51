"""The official SDK's 0.3 client against the tester; run by an environment with a2a-sdk 0.3 (outside.py).

    old_client.py URL JSONRPC|HTTP+JSON [PUSH_URL]        A2A_TOKEN is sent as a bearer token

Prints one JSON object for each thing that it did, with what came of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from typing import Any

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.types import (
    Message,
    Part,
    PushNotificationConfig,
    Role,
    TaskArtifactUpdateEvent,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TaskStatusUpdateEvent,
    TextPart,
)


def tell(step: str, **facts: Any) -> None:
    print(json.dumps({"step": step, **facts}), flush=True)


def message(behaviour: str, said: str = "tea", **more: Any) -> Message:
    return Message(
        message_id=f"case-{behaviour}-{uuid.uuid4()}",
        role=Role.user,
        parts=[Part(root=TextPart(text=said))],
        **more,
    )


def words(parts: list[Part] | None) -> list[Any]:
    found: list[Any] = []
    for part in parts or []:
        one = part.root
        found.append(
            getattr(one, "text", None) or getattr(one, "data", None) or one.file.model_dump(mode="json")
        )
    return found


def event(update: Any) -> dict[str, Any]:
    """A streamed update for the test."""
    if isinstance(update, TaskStatusUpdateEvent):
        said = update.status.message
        return {
            "kind": update.kind,
            "state": update.status.state.value,
            "final": update.final,
            "said": words(said.parts) if said else [],
        }
    if isinstance(update, TaskArtifactUpdateEvent):
        artifact = update.artifact
        return {
            "kind": update.kind,
            "id": artifact.artifact_id,
            "words": words(artifact.parts),
            "append": bool(update.append),
            "last": bool(update.last_chunk),
        }
    return {"kind": "task"}


async def last_of(events: Any) -> Any:
    """The task (or message) at the end of what a call gives."""
    found: Any = None
    async for one in events:
        found = one[0] if isinstance(one, tuple) else one
    return found


async def refused(step: str, doing: Any) -> None:
    try:
        await doing
    except A2AClientError as error:
        inner = getattr(error, "error", None)
        tell(step, error=type(error).__name__, code=getattr(inner, "code", None), text=str(error)[:200])
    else:
        tell(step, error=None)


async def main(url: str, transport: str, hook: str) -> None:
    token = os.environ.get("A2A_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        tell(
            "card",
            url=card.url,
            transport=card.preferred_transport,
            version=card.protocol_version,
            history=card.capabilities.state_transition_history,
            skills=[skill.id for skill in card.skills],
        )

        def client(*, streaming: bool) -> Any:
            config = ClientConfig(
                httpx_client=http,
                streaming=streaming,
                supported_transports=[transport],
                use_client_preference=True,
            )
            return ClientFactory(config).create(card)

        plain, streaming = client(streaming=False), client(streaming=True)

        task = await last_of(plain.send_message(message("complete", "hello")))
        tell("complete", state=task.status.state.value, said=words(task.status.message.parts), id=task.id)
        done = task

        answer = await last_of(plain.send_message(message("answer", "hi")))
        tell("answer", kind=answer.kind, role=answer.role.value, said=words(answer.parts))

        for behaviour in ("text", "file", "url", "data"):
            task = await last_of(plain.send_message(message(behaviour, "leaf")))
            tell(behaviour, words=[words(one.parts) for one in task.artifacts])

        asked = await last_of(plain.send_message(message("ask", "begin")))
        tell("ask", state=asked.status.state.value, said=words(asked.status.message.parts))
        got = await last_of(plain.send_message(message("complete", "England", task_id=asked.id)))
        tell(
            "answered",
            same=got.id == asked.id,
            state=got.status.state.value,
            words=[words(one.parts) for one in got.artifacts],
            history=[words(turn.parts) for turn in got.history or []],
        )

        for behaviour in ("reject", "fail"):
            task = await last_of(plain.send_message(message(behaviour, "why")))
            tell(behaviour, state=task.status.state.value)

        seen = [
            event(one[1]) if isinstance(one, tuple) else {"kind": one.kind}
            async for one in streaming.send_message(message("stream"))
        ]
        tell("stream", events=seen)

        begun = streaming.send_message(message("slow", "later"))
        first = (await anext(begun))[0]
        again = streaming.resubscribe(TaskIdParams(id=first.id))
        both = await asyncio.gather(*(drained(one) for one in (begun, again)))
        tell("resubscribe", first=[event(one) for one in both[0]], again=[event(one) for one in both[1]])

        got = await plain.get_task(TaskQueryParams(id=done.id))
        tell("get", same=got.id == done.id, state=got.status.state.value)
        await refused("get unknown", plain.get_task(TaskQueryParams(id="no-such-task")))

        asked = await last_of(plain.send_message(message("ask")))
        canceled = await plain.cancel_task(TaskIdParams(id=asked.id))
        tell("cancel", state=canceled.status.state.value)
        await refused("cancel again", plain.cancel_task(TaskIdParams(id=asked.id)))

        if hook:
            asked = await last_of(plain.send_message(message("ask")))
            config = TaskPushNotificationConfig(
                task_id=asked.id, push_notification_config=PushNotificationConfig(url=hook, token="leaf")
            )
            made = await plain.set_task_callback(config)
            tell("push", url=made.push_notification_config.url, task=made.task_id == asked.id)
            await plain.cancel_task(TaskIdParams(id=asked.id))


async def drained(events: Any) -> list[Any]:
    """The updates that follow, without the task itself."""
    found = [one[1] for one in [one async for one in events] if isinstance(one, tuple)]
    return [one for one in found if one is not None]


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
