"""`/runs/{id}/receipt`, `/runs/{id}/receipt/proof`, `/runs/{id}/receipts`,
`/runs/{id}/artifacts/{artifactId}` and `/runs/{id}/parts/{seq}.{index}` of an agent.

What agents and callers made is sent as an attachment in a CSP sandbox: it never runs on the platform's
origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from msgspec import UNSET

from a2a_cloud.model.problem import NotFound, RunNotFound
from a2a_cloud.model.run import AnswerEvent, ArtifactEvent, AttemptEvent, ReplyEvent, RunEvent, StatusEvent
from a2a_cloud.model.scope import Scope, reader_scope
from a2a_cloud.model.task import Part
from a2a_cloud.surface.api.log import send_proof
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.http import receipts
from a2a_cloud.surface.links import Links
from a2a_cloud.surface.parts import OCTETS, decode_base64, media_type_of
from a2a_cloud.surface.ports import Objects, Services
from a2a_cloud.surface.request import JSON, Headers, Request, segment
from a2a_cloud.wire.a2a_render import result_artifact
from a2a_cloud.wire.views import RunView

_CHUNK = 256 * 1024
_SAFE: Headers = [
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"cache-control", b"private, no-store"),
]


def check_link(request: Request, links: Links, agent: str) -> None:
    """Raises Unauthenticated unless the request's link is one of ours and has not ended."""
    query = request.query()
    steps = [quote(segment(step), safe="") for step in request.rest[1:].split("/")]
    path = "/" + "/".join(steps)
    if "part" in query:
        path += f"?part={quote(query['part'], safe='')}"
    links.check(agent, path, query.get("exp", ""), query.get("sig", ""))


async def serve(request: Request, services: Services, links: Links, steps: list[str]) -> None:
    """Everything below `/runs`; `steps` are undecoded segments."""
    if len(steps) < 2 or len(steps) > 3:
        raise NotFound(
            "There is nothing at this path.", remedy="See /openapi.json for the paths of this agent."
        )
    request.allow("GET")
    run_id = segment(steps[0])
    if len(run_id) > 256 or not run_id.isprintable():
        raise RunNotFound("There is no such run.")
    release = request.release
    query = request.query()
    if steps[1] in ("receipt", "receipts") and len(steps) == 2:
        return await receipts.serve(request, services, run_id, tree=steps[1] == "receipts")
    if steps[1:] == ["receipt", "proof"]:
        scope = receipts.receipt_scope(services, request.principal, release.org_no, run_id)
        if services.runs.run(scope, run_id).agent != release.name:
            raise RunNotFound("There is no such run.")
        return await send_proof(services, request, *services.runs.receipt_place(scope, run_id))
    if "sig" in query and request.principal.anonymous:
        check_link(request, links, qualified(release))
        scope = Scope(org=release.org_no)
    else:
        scope = reader_scope(request.principal, release.org_no)
    if len(steps) != 3 or steps[1] not in ("artifacts", "parts"):
        raise NotFound(
            "There is nothing at this path.", remedy="See /openapi.json for the paths of this agent."
        )
    row = services.runs.run(scope, run_id)
    if row.agent != release.name:
        raise RunNotFound("There is no such run.")
    view = services.runs.run_view(scope, run_id)
    name = segment(steps[2])
    if steps[1] == "artifacts":
        parts = artifact_parts(view, name)
        if "part" in query:
            index = query["part"]
            if not (index.isascii() and index.isdigit() and int(index[:9]) < len(parts)):
                raise NotFound("The artifact has no such part.")
            parts = [parts[int(index)]]
    else:
        parts = [_one_part(view, name)]
    return await _send(request, services.objects, parts, name)


def artifact_parts(run: RunView, artifact_id: str) -> Sequence[Part]:
    """All parts of an artifact, in order, pieces together. Raises NotFound."""
    parts: list[Part] = []
    found = False
    for _, event in run.events:
        if isinstance(event, AttemptEvent):
            parts, found = [], False
        elif isinstance(event, ArtifactEvent) and event.artifact.artifact_id == artifact_id:
            parts = parts + event.artifact.parts if event.append else list(event.artifact.parts)
            found = True
    if not found:
        for _, event in run.events:
            value = getattr(event, "value", None)
            if value is None:
                continue
            result = result_artifact(value, run.ordinal)
            if result is not None and result.artifact_id == artifact_id:
                return result.parts
        raise NotFound("The run has no such artifact.")
    return parts


def _one_part(run: RunView, name: str) -> Part:
    seq, _, index = name.partition(".")
    if not (seq.isascii() and seq.isdigit() and index.isascii() and index.isdigit() and len(name) < 32):
        raise NotFound("The run has no such part.")
    parts: Sequence[Part] = ()
    if int(seq) == 0:
        parts = run.message.parts
    for number, event in run.events:
        if number == int(seq):
            parts = _parts_of(event)
    if int(index) >= len(parts):
        raise NotFound("The run has no such part.")
    return parts[int(index)]


def _parts_of(event: RunEvent) -> Sequence[Part]:
    if isinstance(event, ArtifactEvent):
        return event.artifact.parts
    if isinstance(event, ReplyEvent | AnswerEvent):
        return event.message.parts
    if isinstance(event, StatusEvent) and event.message is not None:
        return event.message.parts
    return ()


def _bytes(part: Part) -> bytes:
    if part.text is not UNSET:
        return part.text.encode()
    if part.data is not UNSET:
        return bytes(part.data)
    if part.raw is not UNSET:
        return decode_base64(part.raw, 0)
    return b""


async def _send(request: Request, objects: Objects, parts: Sequence[Part], name: str) -> None:
    """Sends parts one after the other, objects in pieces, so that size costs no memory."""
    if len(parts) == 1 and parts[0].url is not UNSET:
        location = parts[0].url.encode("ascii", "ignore")
        await request.answer(302, b"", JSON, [(b"location", location), *_SAFE])
        return
    inline = [b"" if part.object is not UNSET else _bytes(part) for part in parts]
    total = sum(
        len(body) if part.object is UNSET else part.object.size
        for part, body in zip(parts, inline, strict=True)
    )
    kinds = {media_type_of(part) if part.data is UNSET else "application/json" for part in parts}
    kind = kinds.pop() if len(kinds) == 1 else OCTETS
    filename = parts[0].filename if parts and parts[0].filename is not UNSET else name
    headers: Headers = [
        (b"content-type", kind.encode("ascii", "ignore") if kind.isprintable() else OCTETS.encode()),
        (b"content-length", b"%d" % total),
        (b"content-disposition", disposition(filename)),
        *_SAFE,
    ]
    request.started = True
    request.status = 200
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    if request.method != "HEAD":
        for part, body in zip(parts, inline, strict=True):
            if part.object is UNSET:
                if body:
                    await request.send({"type": "http.response.body", "body": body, "more_body": True})
                continue
            offset = 0
            while offset < part.object.size:
                chunk = await objects.read(part.object, offset, _CHUNK)
                if not chunk:
                    break
                offset += len(chunk)
                await request.send({"type": "http.response.body", "body": chunk, "more_body": True})
    await request.send({"type": "http.response.body", "body": b""})


def disposition(filename: str) -> bytes:
    """An attachment's Content-Disposition (RFC 6266) for a name that anybody may have chosen."""
    clean = (
        "".join(c for c in filename.replace("\\", "/").rpartition("/")[2] if c.isprintable())[:120] or "file"
    )
    plain = clean.encode("ascii", "replace").replace(b"?", b"_").replace(b'"', b"_")
    return b'attachment; filename="' + plain + b"\"; filename*=UTF-8''" + quote(clean, safe="").encode()
