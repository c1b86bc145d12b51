"""`POST /invoke/{skill}`: a skill called by anything that speaks HTTP. The body is the arguments, or a
file of any size.

Answers with the return value as JSON, or with events when asked for them; `?async=1` answers at once.
Failures of the run come as problems (RFC 9457). Every answer names the run, the task, the context and
the receipt in headers.
"""

from __future__ import annotations

import base64
import re
from typing import Any, cast
from urllib.parse import quote, unquote

import msgspec
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import InvalidParams, Problem, Refused, SkillFailed, by_code
from a2a_cloud.model.release import FileParam, SkillSpec
from a2a_cloud.model.run import BoundFile, Call, ResultEvent, StatusEvent, TextEvent
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.model.task import INTERRUPTED, Message, Part, Role, TaskState
from a2a_cloud.surface import priority, spending
from a2a_cloud.surface.a2a.operations import Operations, trace_id
from a2a_cloud.surface.arguments import Gate
from a2a_cloud.surface.calls import find_skill, fingerprint
from a2a_cloud.surface.http.sse import open_stream
from a2a_cloud.surface.narrowing import KEY, of_header
from a2a_cloud.surface.parts import OCTETS, check_id, decode_any, matches
from a2a_cloud.surface.request import (
    A2A_JSON,
    JSON,
    Gone,
    Headers,
    Request,
    UnsupportedMediaType,
    flag,
    too_large,
)
from a2a_cloud.surface.runs_port import Run
from a2a_cloud.wire import sse
from a2a_cloud.wire.json_text import check_text, readable
from a2a_cloud.wire.problem_json import PROBLEM_JSON, problem_json
from a2a_cloud.wire.views import RunView, TaskView

_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="sorted").encode
_OWN_QUERY = frozenset({"async", "file"})
_FILENAME = re.compile(r"""filename\*\s*=\s*utf-8''([^;\s]+)|filename\s*=\s*(?:"([^"]*)"|([^;\s]+))""", re.I)


async def serve(request: Request, operations: Operations, skill_id: str) -> None:
    """Calls the skill and answers. Raises Problem."""
    request.allow("POST")
    release = request.release
    spec = find_skill(release.seen_by(request.principal.anonymous), skill_id)
    gate = operations.calls.gates.of(release, spec)
    query = request.query()
    at_once = flag(query, "async")
    events = request.wants_events()
    if request.media_type() in (JSON, A2A_JSON) or (not request.content_type and not spec.files):
        body = await request.body(operations.services.limits.body)
        check_text(body)
        arguments: Any = decode_any(body, "the body") if body.strip() else {}
        checked, files = gate.check(_object(arguments)), []
        for param in spec.files:
            if param.required:
                raise _no_file(spec, param)
        parts = [Part(data=Raw(_canonical({"skill": spec.id, "arguments": Raw(checked)})))]
    else:
        param = _file_param(request, spec, query)
        # The small and cheap things first: a wrong argument doesn't cost the caller an upload.
        checked = gate.check(_from_query(query, gate))
        file, part = await _upload(request, operations, param)
        if not file.size and not request.content_type and param.required:
            raise _no_file(spec, param)  # Nothing was sent; an empty file would have a type.
        files = [file]
        parts = [Part(data=Raw(_canonical({"skill": spec.id, "arguments": Raw(checked)}))), part]
    call = _call(request, operations, spec, checked, parts, files, shown=at_once or events)
    run = operations.services.runs.submit(call)
    if at_once:
        await run.accepted()
        return await _accepted(request, operations, run)
    if events:
        await run.accepted()
        return await _events(request, operations, run)
    await run.settled()
    return await _settled(request, operations, run)


def _no_file(spec: SkillSpec, param: FileParam) -> InvalidParams:
    return InvalidParams(
        f"The skill {spec.id} needs a file for {param.name}.",
        remedy=f"POST the file itself as the body (its own Content-Type; ?file={param.name}), "
        "with the other arguments in the query.",
        info={"field": param.name},
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidParams("The body has to be a JSON object: the arguments by name.")
    return cast("dict[str, Any]", value)


def _call(
    request: Request,
    operations: Operations,
    spec: SkillSpec,
    checked: bytes,
    parts: list[Part],
    files: list[BoundFile],
    *,
    shown: bool,
) -> Call:
    key = request.idempotency_key.decode("latin-1").strip()
    if key:
        check_id(key, "Idempotency-Key")
    message = Message(operations.services.ids.new("msg"), Role.USER, parts)
    narrow = of_header(request.grant)
    if narrow is not None:  # So that it is in the record, and another call under the same key.
        message.metadata = Raw(_canonical({KEY: narrow}))
    release, principal = request.release, request.principal
    return Call(
        release=release,
        principal=principal,
        skill=spec.id,
        arguments=checked,
        message=message,
        files=files,
        key="" if principal.anonymous else key,
        fingerprint=fingerprint(
            release, "", "", message, _encode(parts) if files else bytes(cast(Raw, parts[0].data))
        ),
        shown=shown,
        trace_id=trace_id(request.traceparent),
        dialect="http",
        narrow=narrow,
        priority=priority.of_header(principal, request.priority),
        budget=spending.of_header(request.budget),
    )


# --- a file as the body -----------------------------------------------------------------------------


def _file_param(request: Request, spec: SkillSpec, query: dict[str, str]) -> FileParam:
    kind = request.media_type().decode("latin-1") or OCTETS
    name = query.get("file", "")
    if not spec.files:
        raise UnsupportedMediaType(
            f"The skill {spec.id} takes no files, and {readable(kind)} is not JSON.",
            remedy="Send the arguments as Content-Type: application/json.",
        )
    if name:
        for param in spec.files:
            if param.name == name:
                break
        else:
            names = ", ".join(param.name for param in spec.files)
            raise InvalidParams(
                f"The skill {spec.id} has no file parameter {readable(name)}.", remedy=f"Use {names}."
            )
    else:
        param = next((param for param in spec.files if param.required), spec.files[0])
    if param.media_types and kind != OCTETS and not matches(kind, param.media_types):
        raise UnsupportedMediaType(
            f"The parameter {param.name} doesn't take {readable(kind)}.",
            remedy=f"It takes {', '.join(param.media_types)}.",
        )
    missing = [other.name for other in spec.files if other.required and other is not param]
    if missing:
        raise InvalidParams(
            f"The skill {spec.id} needs more files than one: {', '.join(missing)}.",
            remedy="Send a message with file parts (POST /message:send).",
        )
    return param


def _from_query(query: dict[str, str], gate: Gate) -> dict[str, Any]:
    """Arguments from query parameters, as JSON where the schema doesn't ask for a string."""
    arguments: dict[str, Any] = {}
    for name, value in query.items():
        schema = gate.properties.get(name)
        if schema is None and name in _OWN_QUERY:
            continue
        arguments[name] = value if _takes_string(schema) else _value(value)
    return arguments


def _takes_string(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    known = cast("dict[str, Any]", schema)
    kind = known.get("type")
    if isinstance(kind, str):
        return kind == "string"
    if "enum" in known:
        return all(isinstance(value, str) for value in cast("list[Any]", known["enum"]))
    return False


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def _filename(request: Request) -> str:
    every = list(_FILENAME.finditer(request.content_disposition.decode("utf-8", "replace")))
    if not every:
        return ""
    # `filename*` says it exactly and wins over `filename`, whichever comes first (RFC 6266, 4.3).
    found = next((one for one in every if one[1]), every[0])
    name = unquote(found[1]) if found[1] else found[2] or found[3] or ""
    return "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())[:255]


async def _upload(request: Request, operations: Operations, param: FileParam) -> tuple[BoundFile, Part]:
    """The body as a file: small ones inline, larger ones written to the object store as they arrive."""
    limits = operations.services.limits
    if request.content_length and int(request.content_length) > limits.file:
        raise too_large(limits.file)
    kind = request.media_type().decode("latin-1") or OCTETS
    name = _filename(request)
    chunks: list[bytes] = []
    size = 0
    writer = None
    try:
        while True:
            message = await request.receive()
            if message["type"] != "http.request":
                raise Gone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limits.file:
                raise too_large(limits.file)
            if writer is None and size > limits.inline:
                writer = operations.services.objects.writer()
                for earlier in chunks:
                    writer.write(earlier)
                chunks = []
            if writer is not None:
                writer.write(chunk)
            elif chunk:
                chunks.append(chunk)
            if not message.get("more_body", False):
                break
        metadata = Raw(_encode({"param": param.name}))
        part = Part(filename=name or UNSET, media_type=kind, metadata=metadata)
        if writer is None:
            body = b"".join(chunks)
            part.raw = base64.b64encode(body).decode()
            return BoundFile(param.name, name, kind, size, inline=body), part
        ref = await writer.finish()
    except BaseException:
        if writer is not None:
            writer.abort()
        raise
    part.object = ref
    return BoundFile(param.name, name, kind, size, object=ref), part


# --- answers ----------------------------------------------------------------------------------------


def _headers(run: Run, *, task: bool = True) -> Headers:
    headers: Headers = [(b"a2a-run", run.id.encode()), (b"a2a-context", run.context_id.encode("utf-8"))]
    if task:
        headers.append((b"a2a-task", run.task_id.encode()))
    if run.receipt_id:
        headers.append((b"a2a-receipt", run.receipt_id.encode()))
    return headers


def _view(request: Request, operations: Operations, run: Run) -> tuple[TaskView, RunView]:
    release = request.release
    scope = owner_scope(request.principal, release.org_no)
    view = operations.services.runs.task(scope, release.agent_no, run.task_id)
    for shown in view.runs:
        if shown.run_id == run.id:
            return view, shown
    return view, view.runs[-1]


def _state(shown: RunView) -> StatusEvent | None:
    for _, event in reversed(shown.events):
        if isinstance(event, StatusEvent):
            return event
    return None


async def _accepted(request: Request, operations: Operations, run: Run) -> None:
    if run.reply is not None:
        return await _settled(request, operations, run)
    _, shown = _view(request, operations, run)
    status = _state(shown)
    state = TaskState.SUBMITTED if status is None else status.state
    task_url = f"{request.base}/tasks/{quote(run.task_id, safe='')}"
    body = {
        "run_id": run.id,
        "task_id": run.task_id,
        "context_id": run.context_id,
        "state": state.short,
        "task_url": task_url,
        "sse_url": request.links.sse(run.task_id),
    }
    headers = [*_headers(run), (b"location", task_url.encode())]
    return await request.answer(202, _encode(body), JSON, headers)


async def _events(request: Request, operations: Operations, run: Run) -> None:
    if run.reply is not None:
        return await _settled(request, operations, run)
    release = request.release
    scope = owner_scope(request.principal, release.org_no)
    view, _ = _view(request, operations, run)
    first = sse.plain_first(view, request.links)
    after = (run.ordinal, 0)
    headers = _headers(run)
    return await open_stream(
        request, operations, view, scope, after, first, until_input=True, headers=headers
    )


async def _settled(request: Request, operations: Operations, run: Run) -> None:
    if run.reply is not None:
        return await request.answer(200, _encode(run.reply), JSON, _headers(run, task=False))
    view, shown = _view(request, operations, run)
    headers = _headers(run)
    status = _state(shown)
    if status is not None and status.state in INTERRUPTED:
        body = {
            "run_id": run.id,
            "task_id": run.task_id,
            "context_id": run.context_id,
            "state": status.state.short,
            **(
                {"approval": sse.approval(status.message)}
                if status.state is TaskState.AUTH_REQUIRED
                else {"question": sse.question(status.message)}
            ),
            "task_url": f"{request.base}/tasks/{quote(run.task_id, safe='')}",
        }
        return await request.answer(202, _encode(body), JSON, headers)
    if status is not None and status.state is not TaskState.COMPLETED:
        problem = ended_problem(status)
        problem.info.update({"state": status.state.short, "run_id": run.id, "task_id": view.id})
        return await request.answer(problem.http, problem_json(problem), PROBLEM_JSON, headers)
    return await request.answer(200, _returned(shown, status), JSON, headers)


def ended_problem(status: StatusEvent) -> Problem:
    """The Problem with which a run ended."""
    if status.state is TaskState.CANCELED:
        return Refused("The run was canceled.")
    kind = by_code(status.problem_code)
    if kind is None:
        kind = Refused if status.state is TaskState.REJECTED else SkillFailed
    return kind(status.problem_detail)


def _returned(shown: RunView, status: StatusEvent | None) -> bytes:
    """The return value as JSON; for a skill that only streamed text, that text."""
    texts: list[str] = []
    for _, event in shown.events:
        if isinstance(event, ResultEvent):
            return bytes(event.value)
        if isinstance(event, TextEvent):
            texts.append(event.delta)
    if texts:
        return _encode("".join(texts))
    if status is not None and status.message is not None:
        return _encode(status.message)
    return b"null"
