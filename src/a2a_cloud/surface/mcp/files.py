"""Files in a tool's arguments: text, base64, `data:` addresses, and this server's own resources; each becomes
a file part of the message, bound to its parameter. Addresses elsewhere are parts too: whether the platform
fetches those is decided where all messages' are.
"""

from __future__ import annotations

import base64
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import InvalidParams, NotFound, ResourceNotFound
from a2a_cloud.model.release import FileParam, SkillSpec
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.model.task import ObjectRef, Part
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.http.runs import artifact_parts
from a2a_cloud.surface.mcp.asking import McpCaller
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.mcp_content import body_of, kind_of, read_artifact_uri
from a2a_cloud.wire.mcp_schema import Json

_encode = msgspec.json.Encoder().encode
#: What is read of an artifact into a message: larger files come by /invoke.
_MOST = 16 << 20


async def file_parts(
    operations: Operations, caller: McpCaller, spec: SkillSpec, arguments: Json
) -> tuple[Json, list[Part]]:
    """(the other arguments, the file parts). Raises InvalidParams, ResourceNotFound."""
    rest = dict(arguments)
    parts: list[Part] = []
    for param in spec.files:
        if param.name not in rest:
            continue
        given = rest.pop(param.name)
        if given is None:
            continue
        listed = isinstance(given, list) and param.many
        several: list[Any] = cast("list[Any]", given) if listed else [given]
        for one in several:
            parts.append(await _part(operations, caller, param, one))
    return rest, parts


async def _part(operations: Operations, caller: McpCaller, param: FileParam, given: Any) -> Part:
    if isinstance(given, str):
        known: Json = {"uri": given} if given.startswith(("data:", "artifact:")) else {"text": given}
    elif isinstance(given, dict):
        known = cast(Json, given)
    else:
        raise _wrong(param, "it is neither an object nor a text")
    for name, value in known.items():
        if not isinstance(value, str):
            raise _wrong(param, f"{readable(name)} is no text")
    one_of = [name for name in ("text", "data", "uri") if name in known]
    if len(one_of) != 1:
        raise _wrong(param, "it has to have one of text, data and uri")
    part = Part(metadata=Raw(_encode({"param": param.name})))
    if known.get("filename"):
        part.filename = known["filename"]
    if known.get("mediaType"):
        part.media_type = known["mediaType"]
    value = cast(str, known[one_of[0]])
    if one_of[0] == "text":
        part.text = value
        if part.filename is UNSET:
            part.filename = param.name + ".txt"
    elif one_of[0] == "data":
        part.raw = value
    elif value.startswith("data:"):
        _from_data(part, value, param)
    elif value.startswith("artifact:"):
        await _from_artifact(operations, caller, part, value)
    else:
        part.url = value
    return part


def _from_data(part: Part, uri: str, param: FileParam) -> None:
    head, comma, body = uri[5:].partition(",")
    if not comma:
        raise _wrong(param, "the data: address has no comma")
    kind, _, flag = head.rpartition(";")
    if flag != "base64":
        part.raw = base64.b64encode(unquote_to_bytes(body)).decode()
        kind = head
    else:
        part.raw = body
    if part.media_type is UNSET:
        part.media_type = kind or "text/plain"


async def _from_artifact(operations: Operations, caller: McpCaller, part: Part, uri: str) -> None:
    found = read_artifact_uri(uri)
    if found is None:
        raise ResourceNotFound("There is no such resource.", info={"uri": uri[:200]})
    services = operations.services
    scope = owner_scope(caller.principal, caller.release.org_no)
    try:
        given = artifact_parts(services.runs.run_view(scope, found[0]), found[1])
    except NotFound:
        raise ResourceNotFound("There is no such resource.", info={"uri": uri[:200]}) from None
    chunks: list[bytes] = []
    for one in given:
        body = body_of(one)
        if isinstance(body, ObjectRef):
            if body.size > _MOST:
                raise InvalidParams(
                    f"{readable(uri)} is larger than {_MOST} bytes.",
                    remedy="Send it to /invoke as the body.",
                )
            body = await services.objects.read(body)
        chunks.append(body or b"")
    part.raw = base64.b64encode(b"".join(chunks)).decode()
    if part.media_type is UNSET and given:
        part.media_type = kind_of(given[0])
    if part.filename is UNSET:
        name = given[0].filename if given and given[0].filename is not UNSET else found[1]
        part.filename = name


def _wrong(param: FileParam, why: str) -> InvalidParams:
    return InvalidParams(
        f"The file for {param.name} can't be read: {why}.",
        remedy='Send {"text": …}, {"data": BASE64, "mediaType": …} or {"uri": …}, and a "filename".',
        info={"field": param.name},
    )
