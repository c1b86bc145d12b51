"""What a skill puts out, as A2A parts: text, data, urls, bytes and files; large ones as objects."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from a2a_cloud.agent.files import File
from a2a_cloud.agent.problem import Problem
from a2a_cloud.wire.worker import INLINE_LIMIT

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution

TEXT_TYPES = ("text/", "application/json", "application/xml", "image/svg")


async def artifact_parts(execution: Execution, content: Any, media_type: str, url: str) -> list[dict[str, Any]]:
    """The one part of an artifact. What is large is stored first and goes by reference."""
    if url:
        if content is not None:
            raise Problem("An artifact is content or a url, not both.")
        return [_typed({"url": url}, media_type)]
    if isinstance(content, str):
        if len(content) > INLINE_LIMIT // 4 and len(data := content.encode("utf-8", "replace")) > INLINE_LIMIT:
            content = File.from_bytes("", data, media_type or "text/plain; charset=utf-8")
        else:
            return [_typed({"text": content}, media_type)]
    if isinstance(content, bytes | bytearray | memoryview):
        content = File.from_bytes("", bytes(content), media_type or "application/octet-stream")
    if isinstance(content, File):
        reference, inline = await execution.keep(content)
        part: dict[str, Any] = (
            {"object": {"sha256": reference, "size": content.size}}
            if reference
            else {"raw": base64.b64encode(inline).decode()}
        )
        if content.name:
            part["filename"] = content.name
        return [_typed(part, media_type or content.media_type)]
    return [_typed({"data": content}, media_type)]


def message_parts(content: Any, media_type: str) -> list[dict[str, Any]]:
    """The one part of a reply: text or data."""
    return [_typed({"text": content} if isinstance(content, str) else {"data": content}, media_type)]


def _typed(part: dict[str, Any], media_type: str) -> dict[str, Any]:
    if media_type:
        part["mediaType"] = media_type
    return part
