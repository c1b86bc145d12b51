"""The official SDK's 1.0 client against one of our agents, over any of the three bindings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc.aio
import httpx
from a2a.client import ClientCallContext, ClientCallInterceptor, ClientConfig
from a2a.client.client import Client
from a2a.client.client_factory import ClientFactory
from a2a.client.interceptors import AfterArgs, BeforeArgs
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format, struct_pb2

BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")


class Sending(ClientCallInterceptor):
    """Sends these header fields with each call, whatever carries them."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    async def before(self, args: BeforeArgs) -> None:
        context = args.context = args.context or ClientCallContext()
        context.service_parameters = {**(context.service_parameters or {}), **self._headers}

    async def after(self, args: AfterArgs) -> None:
        pass


@asynccontextmanager
async def client(
    base: str, headers: dict[str, str], binding: str, *, streaming: bool = False, polling: bool = False
) -> AsyncIterator[Client]:
    """A client made from the agent's card, which it fetches."""
    async with httpx.AsyncClient(headers={"A2A-Version": "1.0", **headers}, timeout=30) as http:
        config = ClientConfig(
            httpx_client=http,
            supported_protocol_bindings=[binding],
            grpc_channel_factory=grpc.aio.insecure_channel,
            streaming=streaming,
            polling=polling,
        )
        found = await ClientFactory(config).create_from_url(base, [Sending(headers)])
        try:
            yield found
        finally:
            if binding == "GRPC":  # The others share `http`.
                await found.close()


def text(words: str, **fields: str) -> pb.SendMessageRequest:
    """A request that says `words`."""
    return request(pb.Part(text=words), **fields)


def call(skill: str, arguments: dict[str, Any], **fields: str) -> pb.SendMessageRequest:
    """A request that calls a skill by a data part."""
    value = struct_pb2.Value()
    json_format.ParseDict({"skill": skill, "arguments": arguments}, value)
    return request(pb.Part(data=value), **fields)


def request(*parts: pb.Part, **fields: str) -> pb.SendMessageRequest:
    """A request with these parts."""
    fields.setdefault("message_id", str(uuid4()))
    return pb.SendMessageRequest(message=pb.Message(role=pb.ROLE_USER, parts=parts, **fields))


async def all_of(events: AsyncIterator[pb.StreamResponse]) -> list[pb.StreamResponse]:
    """Every event until the stream ends."""
    return [event async for event in events]


def kinds(events: list[pb.StreamResponse]) -> list[str]:
    """Which member each event has."""
    return [event.WhichOneof("payload") or "" for event in events]
