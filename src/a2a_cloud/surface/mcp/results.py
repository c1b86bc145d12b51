"""A run that has ended, as the result of what was asked: a tool's, a prompt's, a resource's (2025-11-25 and
2026-07-28, server/tools, server/prompts, server/resources). What a skill fails with is a tool's result with
`isError`, so that a model can read it; elsewhere it is an error.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import Internal, Problem
from a2a_cloud.model.task import Artifact, ObjectRef, Part, TaskState
from a2a_cloud.surface.http.invoke import ended_problem
from a2a_cloud.surface.mcp.work import PROMPT, RESOURCE, RESULT, TOOL, Look, Work
from a2a_cloud.surface.ports import Objects
from a2a_cloud.wire.mcp import RELATED_TASK
from a2a_cloud.wire.mcp_content import (
    Made,
    artifact_text,
    artifact_uri,
    block,
    body_of,
    contents,
    kind_of,
    returned,
    spoken,
    text_block,
)
from a2a_cloud.wire.mcp_schema import Json

#: An artifact up to this size stands in the result itself; images and audio, which a model looks at, more.
_INLINE = 64 * 1024
_INLINE_MEDIA = 1 << 20
#: All of them together.
_MOST = 8 << 20
#: What one read of a resource gives.
MAX_READ = 16 << 20
_RUN, _TASK, _RECEIPT, _CONTEXT = (
    "a2a-cloud/run",
    "a2a-cloud/task",
    "a2a-cloud/receipt",
    "a2a-cloud/context",
)


def meta_of(work: Work, look: Look) -> Json:
    """What every result says of its run."""
    run_id = look.view.run_id if look.view is not None else work.run_id
    meta: Json = {_RUN: run_id}
    if look.view is not None:
        meta[_TASK] = work.task_id
    if look.receipt_id:
        meta[_RECEIPT] = look.receipt_id
    meta[_CONTEXT] = work.run.context_id if work.run is not None else work.task().context_id
    if work.purpose == RESULT:
        meta[RELATED_TASK] = {"taskId": work.task_id}
    return meta


async def result_of(work: Work, look: Look) -> Json:
    """The result of an ended run. Raises Problem where a failure is no result."""
    found = work.made(look)
    if work.purpose in (TOOL, RESULT):
        return await tool_result(work, look, found)
    if look.state is not TaskState.COMPLETED:
        raise _failed(look)
    if work.purpose == PROMPT:
        return _prompt_result(work, look, found)
    assert work.purpose == RESOURCE
    return await _resource_result(work, look, found)


def _failed(look: Look) -> Problem:
    assert look.status is not None
    problem = ended_problem(look.status)
    return Internal(problem.detail, remedy=problem.remedy, info={"reason": problem.code})


async def tool_result(work: Work, look: Look, found: Made) -> Json:
    """CallToolResult."""
    meta = meta_of(work, look)
    if look.state is not TaskState.COMPLETED and look.status is not None:
        problem = ended_problem(look.status)
        return failure(problem, meta)
    blocks, structured = returned(found, wrap=work.offered.wrap)
    if look.status is not None and look.status.message is not None:
        blocks += [one for one in spoken(look.status.message) if one not in blocks]
    left = _MOST
    run_id = meta[_RUN]
    for artifact in found.artifacts:
        made, left = await _artifact_blocks(work.operations.services.objects, run_id, artifact, left)
        blocks += made
    result: Json = {"content": blocks, "isError": False, "_meta": meta}
    if structured is not None:
        result["structuredContent"] = structured
    return result


def failure(problem: Problem, meta: Json) -> Json:
    """A tool's result that says what went wrong."""
    named = {**meta, "a2a-cloud/error": problem.code}
    return {"content": [text_block(problem.sentence)], "isError": True, "_meta": named}


async def _artifact_blocks(
    objects: Objects, run_id: str, artifact: Artifact, left: int
) -> tuple[list[Json], int]:
    uri = artifact_uri(run_id, artifact.artifact_id)
    name = artifact_text(artifact)
    words = artifact.description if artifact.description is not UNSET else ""
    blocks: list[Json] = []
    for part in artifact.parts:
        body = body_of(part)
        limit = min(left, _INLINE_MEDIA if kind_of(part).startswith(("image/", "audio/")) else _INLINE)
        if isinstance(body, ObjectRef):
            body = await objects.read(body) if body.size <= limit else None
        elif body is not None and len(body) > limit:
            body = None
        if body is not None:
            left -= len(body)
        elif part.url is UNSET and any(one.get("uri") == uri for one in blocks):
            continue  # One link is to the whole artifact.
        blocks.append(block(part, body, uri, name, words))
    return blocks, left


def _prompt_result(work: Work, look: Look, found: Made) -> Json:
    """GetPromptResult: messages as the skill made them, or what it said as one."""
    messages = _messages(found)
    result: Json = {"messages": messages, "_meta": meta_of(work, look)}
    if work.offered.spec.description:
        result["description"] = work.offered.spec.description
    return result


def _messages(found: Made) -> list[Json]:
    value: Any = None if found.value is None else msgspec.json.decode(found.value)
    if isinstance(value, dict):
        value = cast(Json, value).get("messages", value)
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        if listed and all(_is_message(one) for one in listed):
            return cast("list[Json]", listed)
    blocks, _ = returned(found, wrap=False)
    return [{"role": "user", "content": one} for one in blocks]


def _is_message(one: Any) -> bool:
    if not isinstance(one, dict):
        return False
    known = cast(Json, one)
    content = known.get("content")
    return known.get("role") in ("user", "assistant") and isinstance(content, dict) and "type" in content


async def _resource_result(work: Work, look: Look, found: Made) -> Json:
    """ReadResourceResult: the artifact that the skill made, or what it returned."""
    objects, uri = work.operations.services.objects, work.name
    modes = work.offered.spec.output_modes
    read: list[Json] = []
    for artifact in found.artifacts:
        read += await artifact_contents(objects, artifact.parts, uri)
    if not read:
        blocks, _ = returned(found, wrap=False)
        given = None if found.value is None else bytes(found.value)
        kind = "application/json" if given and given[:1] not in (b'"', b"n") else "text/plain"
        read = [{"uri": uri, "mimeType": modes[0] if modes else kind, "text": one["text"]} for one in blocks]
    return {"contents": read, "_meta": meta_of(work, look)}


async def artifact_contents(objects: Objects, parts: list[Part], uri: str) -> list[Json]:
    """The parts of an artifact as ResourceContents. Raises Internal for more than one answer holds."""
    read: list[Json] = []
    left = MAX_READ
    for part in parts:
        body = body_of(part)
        if body is None:
            read.append({"uri": uri, "mimeType": "text/uri-list", "text": part.url})
            continue
        size = body.size if isinstance(body, ObjectRef) else len(body)
        left -= size
        if left < 0:
            raise Internal(
                f"The resource is larger than {MAX_READ} bytes.",
                remedy="Get it over HTTP: /runs/{run}/artifacts/{artifact}.",
            )
        if isinstance(body, ObjectRef):
            body = await objects.read(body)
        read.append(contents(uri, kind_of(part), body))
    return read
