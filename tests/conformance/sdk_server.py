"""A server made of the official SDK alone, in a thread: what our client meets outside.

Its agent echoes. `slow` streams pieces of an artifact, `ask` asks and takes the answer, `message` answers
without a task, `fail` fails, `hang` works until it is canceled, `data` says what it was given.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryPushNotificationConfigStore, InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.requests import Request


@dataclass
class Server:
    """Where it listens, and the headers of every request that came: (path, headers)."""

    url: str
    asked: list[tuple[str, dict[str, str]]]


class _Echo(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.message
        assert message is not None
        words = context.get_user_input()
        if words == "message":
            part = pb.Part(text="no task here")
            await event_queue.enqueue_event(
                pb.Message(role=pb.ROLE_AGENT, message_id="m-answer", parts=[part])
            )
            return
        task = context.current_task
        if task is None:
            task = pb.Task(
                id=context.task_id,
                context_id=context.context_id,
                status=pb.TaskStatus(state=pb.TASK_STATE_SUBMITTED),
                history=[message],
            )
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        if words == "slow":
            for index in range(3):
                await updater.add_artifact(
                    [pb.Part(text=f"piece {index} ")],
                    artifact_id="text",
                    append=index > 0,
                    last_chunk=index == 2,
                )
                await asyncio.sleep(0.05)
        elif words == "ask":
            question = updater.new_agent_message([pb.Part(text="Which?")])
            await updater.requires_input(question)
            return
        elif words == "fail":
            await updater.failed(updater.new_agent_message([pb.Part(text="broken")]))
            return
        elif words == "hang":
            await asyncio.sleep(60)
        elif words == "data":
            await updater.add_artifact(list(message.parts), artifact_id="back")
        else:
            await updater.add_artifact([pb.Part(text=words.upper())], artifact_id="echo")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        task = context.current_task
        assert task is not None
        await TaskUpdater(event_queue, task.id, task.context_id).cancel()


def interface(url: str, binding: str, version: str) -> dict[str, str]:
    """One of a card's supportedInterfaces."""
    return {"url": url, "protocolBinding": binding, "protocolVersion": version}


def _card(url: str, interfaces: list[dict[str, str]], extended: bool = False) -> pb.AgentCard:
    document: dict[str, Any] = {
        "name": "echo",
        "description": "Echoes." if not extended else "Echoes, for friends.",
        "version": "1.0.0",
        "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "echo", "name": "echo", "description": "Echoes.", "tags": ["echo"]}],
        "supportedInterfaces": interfaces,
    }
    return json_format.ParseDict(document, pb.AgentCard())


@contextmanager
def serving(*bindings: tuple[str, str]) -> Iterator[Server]:
    """A server whose card names these (binding, version), in this order."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    interfaces = [interface(url, binding, version) for binding, version in bindings]
    handler = DefaultRequestHandler(
        agent_executor=_Echo(),
        task_store=InMemoryTaskStore(),
        agent_card=_card(url, interfaces),
        push_config_store=InMemoryPushNotificationConfigStore(),
        extended_agent_card=_card(url, interfaces, extended=True),
    )
    asked: list[tuple[str, dict[str, str]]] = []
    app = Starlette(
        routes=[
            *create_agent_card_routes(_card(url, interfaces)),
            *create_jsonrpc_routes(handler, "/", enable_v0_3_compat=True),
            *create_rest_routes(handler, enable_v0_3_compat=True),
        ]
    )

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            asked.append((request.url.path, dict(request.headers)))
        await app(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(noted, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    try:
        yield Server(url, asked)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
