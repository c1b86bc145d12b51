"""A call as it is kept in its run's row, and back."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from a2a_cloud.model.billing import Spend
from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import BoundFile, Call, Parent
from a2a_cloud.model.task import Message


class StoredCall(Struct, omit_defaults=True):
    """The part of a Call that its row does not say already. Its bytes are the receipt's `request`."""

    message: Message
    arguments: msgspec.Raw
    files: list[BoundFile] = []
    key: str = ""
    shown: bool = False
    output_modes: list[str] = []
    parent: Parent | None = None
    depth: int = 0
    trace_id: str = ""
    dialect: str = "a2a-1.0"
    v: int = 1
    narrow: Narrowing | None = None
    priority: int = 0
    extensions: list[str] = []
    actors: tuple[str, ...] = ()
    budget: Spend | None = None
    key_id: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StoredCall)


def store_call(call: Call) -> bytes:
    """The bytes that go into the row."""
    return _encoder.encode(
        StoredCall(
            call.message,
            msgspec.Raw(call.arguments),
            call.files,
            call.key,
            call.shown,
            call.output_modes,
            call.parent,
            call.depth,
            call.trace_id,
            call.dialect,
            narrow=call.narrow,
            priority=call.priority,
            extensions=call.extensions,
            actors=call.principal.actors,
            budget=call.budget,
            key_id=call.principal.key_id,
        )
    )


def load_call(
    body: bytes, release: Release, principal: Principal, skill: str, context_id: str, task_id: str
) -> Call:
    """The call that `store_call` stored."""
    stored = _decoder.decode(body)
    if stored.actors:
        principal = msgspec.structs.replace(principal, actors=stored.actors)
    if stored.key_id:
        principal = msgspec.structs.replace(principal, key_id=stored.key_id)
    return Call(
        release=release,
        principal=principal,
        skill=skill,
        arguments=bytes(stored.arguments),
        message=stored.message,
        files=stored.files,
        context_id=context_id,
        task_id=task_id,
        key=stored.key,
        shown=stored.shown,
        output_modes=stored.output_modes,
        parent=stored.parent,
        depth=stored.depth,
        trace_id=stored.trace_id,
        dialect=stored.dialect,
        narrow=stored.narrow,
        priority=stored.priority,
        extensions=stored.extensions,
        budget=stored.budget,
    )


def message_of(body: bytes) -> Message:
    """The message of a stored call."""
    return _decoder.decode(body).message
