"""`/api/v1/workspaces/{name}/files/{path}` and `…/objects`: contents in and out, in constant memory.

What agents and people stored is sent as an attachment in a CSP sandbox, as in `http/runs.py`. A path is
percent-decoded once and then refused, never repaired, when it is none.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import unquote

import msgspec

from a2a_cloud.model.problem import InvalidParams, RangeNotSatisfiable
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import File, Version
from a2a_cloud.surface.api.releases import ANSWERED, Answer
from a2a_cloud.surface.api.workspaces import at_version, may_write, opened, version_shown
from a2a_cloud.surface.conditions import expectation, unchanged, wanted_range
from a2a_cloud.surface.http.runs import disposition
from a2a_cloud.surface.ports import ObjectWriter, Services
from a2a_cloud.surface.request import JSON, Gone, Headers, Request
from a2a_cloud.surface.sending import no_pieces, send_pieces
from a2a_cloud.surface.workspace_ports import Tree
from a2a_cloud.wire.glob import check_path
from a2a_cloud.wire.problem_json import PROBLEM_JSON, problem_json

#: The types that Python knows by itself: the same on every machine.
_TYPES = mimetypes.MimeTypes()


async def read(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET`, `HEAD …/files/{path}?version=`: the content, a range of it, or that it is unchanged."""
    path = decoded(values[1])
    workspace = await opened(services, request, values[0])
    version = at_version(workspace, request.query().get("version", ""))
    tree = workspace.at(version)
    file = await tree.file(path)
    expectation(file.ref, _field(request, b"if-match"), b"")
    head: Headers = [
        (b"etag", file.etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"a2a-workspace-version", b"%d" % version.number),
        # It may change behind the same address, and is nobody else's: kept, but asked for again.
        (b"cache-control", b"private, no-cache"),
        (b"vary", b"authorization, x-api-key"),
    ]
    if unchanged(file.sha256, request.if_none_match):
        await request.answer(304, b"", _type(path), head)
        return ANSWERED
    part = None
    if request.method == "GET":
        part = wanted_range(_field(request, b"range"), _field(request, b"if-range"), file.sha256, file.size)
    if part is not None and part[1] == 0:
        await _refuse_range(services, request, file, head)
        return ANSWERED
    await _send(request, tree, file, part, head)
    return ANSWERED


async def put(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT …/files/{path}?message=`: the body is the content. 201 for a new file, 200 for a new content."""
    may_write(request.principal)
    path = decoded(values[1])
    workspace = await opened(services, request, values[0])
    there = await workspace.at().content(path)
    # Asked before the body comes, so that gigabytes are not sent in vain; `put` asks again.
    expect = expectation(there, _field(request, b"if-match"), request.if_none_match)
    ref = await _receive(services, request)
    version, change = await workspace.put(
        path, ref, by=request.principal.label, message=_message(request), expect=expect
    )
    status = 201 if change.before is None else 200
    return await _changed(request, status, workspace.name, path, version, ref)


async def delete(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE …/files/{path}?message=`: a version without it."""
    may_write(request.principal)
    path = decoded(values[1])
    workspace = await opened(services, request, values[0])
    there = await workspace.at().content(path)
    expect = expectation(there, _field(request, b"if-match"), request.if_none_match)
    version, _ = await workspace.put(
        path, None, by=request.principal.label, message=_message(request), expect=expect
    )
    return await _changed(request, 200, workspace.name, path, version, None)


async def upload(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/objects`: a content for a commit within the hour, by the same principal."""
    may_write(request.principal)
    await opened(services, request, values[0])
    ref = await _receive(services, request)
    services.uploads.allow(request.principal, ref, services.clock.monotonic())
    return 201, {"sha256": ref.sha256, "size": ref.size}


def decoded(rest: str) -> str:
    """The path of a workspace out of an undecoded one of HTTP. Raises InvalidParams."""
    steps: list[str] = []
    for step in rest.split("/"):
        try:
            plain = unquote(step, errors="strict")
        except UnicodeDecodeError:
            raise InvalidParams(
                "The path is not percent-encoded UTF-8.", remedy="Encode it as UTF-8, then with %XX."
            ) from None
        if "/" in plain:
            raise InvalidParams("The path has an encoded slash.", remedy="Send the slash itself.")
        steps.append(plain)
    return check_path("/".join(steps))


def _field(request: Request, name: bytes) -> bytes:
    """A header field that only files read; two of them as one list."""
    return b",".join(value for key, value in request.scope["headers"] if key == name)


def _message(request: Request) -> str:
    return request.query().get("message", "")


def _type(path: str) -> bytes:
    kind, encoding = _TYPES.guess_type(path.rpartition("/")[2])
    return kind.encode() if kind is not None and encoding is None else b"application/octet-stream"


async def _receive(services: Services, request: Request) -> ObjectRef:
    """The body as a stored object. Raises Gone, StorageFull, Unavailable."""
    writer: ObjectWriter | None = None
    try:
        more = True
        while more:
            message = await request.receive()
            if message["type"] != "http.request":
                raise Gone
            if writer is None:
                writer = services.objects.writer()
            body: bytes = message.get("body", b"")
            if body:
                writer.write(body)
            more = message.get("more_body", False)
        assert writer is not None
        return await writer.finish()
    finally:
        if writer is not None:
            writer.abort()


async def _send(
    request: Request, tree: Tree, file: File, part: tuple[int, int] | None, head: Headers
) -> None:
    offset, length = part or (0, file.size)
    fields: Headers = [
        (b"content-type", _type(file.path)),
        (b"content-length", b"%d" % length),
        (b"content-disposition", disposition(file.path)),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
        *head,
    ]
    if part is not None:
        fields.append((b"content-range", b"bytes %d-%d/%d" % (offset, offset + length - 1, file.size)))
    status = 200 if part is None else 206
    pieces = no_pieces()
    if request.method == "GET" and length:
        pieces = cast("AsyncGenerator[bytes]", tree.stream(file, offset, length))
    await send_pieces(request, fields, pieces, status=status)


async def _refuse_range(services: Services, request: Request, file: File, head: Headers) -> None:
    problem = RangeNotSatisfiable(
        f"The file has {file.size} bytes; none of them is in that range.",
        remedy="Ask for bytes that are there.",
        info={"size": str(file.size)},
    )
    services.metrics.problems[problem.code] += 1
    fields = [*head, (b"content-range", b"bytes */%d" % file.size)]
    await request.answer(problem.http, problem_json(problem), PROBLEM_JSON, fields)


async def _changed(
    request: Request, status: int, workspace: str, path: str, version: Version, ref: ObjectRef | None
) -> Answer:
    document: dict[str, Any] = {"workspace": workspace, "path": path, **version_shown(version)}
    fields: Headers = [
        (b"cache-control", b"no-store"),
        (b"a2a-workspace-version", b"%d" % version.number),
    ]
    if ref is not None:
        document |= {"sha256": ref.sha256, "file_size": ref.size}
        fields.append((b"etag", b'"%b"' % ref.sha256.encode()))
    await request.answer(status, msgspec.json.encode(document), JSON, fields)
    return ANSWERED
