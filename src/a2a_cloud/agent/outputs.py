"""What a skill puts out, as A2A parts: text, data, urls, bytes and files; large ones as objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from a2a_cloud.agent.files import OCTETS, File
from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.values import clean, to_json
from a2a_cloud.wire.worker import INLINE_LIMIT

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution


async def artifact_parts(
    execution: Execution, content: Any, media_type: str, url: str
) -> list[dict[str, Any]]:
    """The one part of an artifact. What is large is stored first and goes by reference."""
    if url:
        if content is not None:
            raise Problem("An artifact is content or a url, not both.")
        return [_typed({"url": url}, media_type)]
    if isinstance(content, str):
        content = clean(content)
        if len(content) <= INLINE_LIMIT // 4 or len(content.encode()) <= INLINE_LIMIT:
            return [_typed({"text": content}, media_type)]
        content = File.from_bytes("", content.encode(), media_type or "text/plain; charset=utf-8")
    elif isinstance(content, bytes | bytearray | memoryview):
        content = File.from_bytes("", bytes(cast("bytes", content)), media_type or OCTETS)
    elif not isinstance(content, File):
        data = to_json(content)
        if len(data) <= INLINE_LIMIT:
            return [_typed({"data": msgspec.Raw(data)}, media_type)]
        content = File.from_bytes("", data, media_type or "application/json")
    reference, size, inline = await execution.keep(content)
    part: dict[str, Any] = (
        {"object": {"sha256": reference, "size": size}}
        if reference
        else {"raw": base64.b64encode(inline).decode()}
    )
    if content.name:
        part["filename"] = clean(content.name)
    return [_typed(part, media_type or content.media_type)]


def message_parts(content: Any, media_type: str) -> list[dict[str, Any]]:
    """The one part of a reply: text or data."""
    part: dict[str, Any] = {"text": clean(content)} if isinstance(content, str) else {"data": content}
    return [_typed(part, media_type)]


def extended(active: frozenset[str], metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The members of a message or an artifact that carry metadata, and name the extensions in it."""
    if not metadata:
        return {}
    if not all(isinstance(name, str) for name in cast("Mapping[Any, Any]", metadata)):
        raise Problem("The names in metadata are texts, such as an extension's URI.")
    used = sorted(active & metadata.keys())
    return {"metadata": dict(metadata), **({"extensions": used} if used else {})}


def _typed(part: dict[str, Any], media_type: str) -> dict[str, Any]:
    if media_type:
        part["mediaType"] = media_type
    return part
