"""The peer: the server of the official Python SDK (a2a-sdk), as shipped and as its samples build it.

DefaultRequestHandler, the JSON-RPC routes and the card's on Starlette, `uvicorn.run` with uvicorn's
defaults (it picks uvloop and httptools when they are installed, and here they are; it writes an
access log), tracing as the installed package has it by default. The executor does what the samples
do, less their sleep and small talk: a Task, working, one artifact with the caller's text, completed,
by TaskUpdater. The store is InMemoryTaskStore, or DatabaseTaskStore on a SQLite file, where a
connect event sets WAL and synchronous=FULL: as durable as ours, and faster than the rollback journal
it would have by itself.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import DatabaseTaskStore, InMemoryTaskStore, TaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from a2a.utils import telemetry
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette


class EchoExecutor(AgentExecutor):
    """Answers the caller's text in one artifact of a task that completes."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        await updater.add_artifact([Part(text=context.get_user_input())], name="result")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError("an echo is over before anybody can cancel it")


def card(url: str) -> AgentCard:
    """The agent's card."""
    return AgentCard(
        name="echo",
        description="Answers what it is told.",
        version="1.0.0",
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        supported_interfaces=[AgentInterface(protocol_binding="JSONRPC", protocol_version="1.0", url=url)],
        skills=[AgentSkill(id="echo", name="echo", description="Answers the text.", tags=["echo"])],
    )


def sqlite_store(path: str) -> DatabaseTaskStore:
    """The SDK's database store on a SQLite file, with durable commits."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def durable(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return DatabaseTaskStore(engine)


def main() -> None:
    """Serve until stopped; says first, as a line of JSON, what it is."""
    parser = argparse.ArgumentParser(prog="bench.peer_sdk")
    parser.add_argument("--store", choices=["memory", "sqlite"], default="memory")
    parser.add_argument("--db", default="", help="the SQLite file")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-access-log", action="store_true", help="not as shipped: about 6 % faster")
    args = parser.parse_args()
    store: TaskStore = InMemoryTaskStore() if args.store == "memory" else sqlite_store(args.db)
    about = {
        "sdk": importlib.metadata.version("a2a-sdk"),
        "uvicorn": importlib.metadata.version("uvicorn"),
        "store": args.store if args.store == "memory" else "sqlite, WAL, synchronous=FULL",
        "tracing": telemetry.otel_installed and telemetry.otel_enabled,
        "access_log": not args.no_access_log,
        "python": sys.version.split()[0],
    }
    print(json.dumps(about), flush=True)
    agent_card = card(f"http://127.0.0.1:{args.port}/")
    handler = DefaultRequestHandler(agent_executor=EchoExecutor(), task_store=store, agent_card=agent_card)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        # Its lazy initialisation makes the table twice when the first two calls come together.
        if isinstance(store, DatabaseTaskStore):
            await store.initialize()
        yield

    app = Starlette(
        routes=[*create_agent_card_routes(agent_card), *create_jsonrpc_routes(handler, "/")],
        lifespan=lifespan,
    )
    uvicorn.run(app, host="127.0.0.1", port=args.port, access_log=not args.no_access_log)


if __name__ == "__main__":
    main()
