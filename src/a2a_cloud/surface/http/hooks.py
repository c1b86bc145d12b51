"""`POST /hooks/{skill}/{key}`: a webhook of somebody else calls a skill (docs/hooks.md).

The key in the path says which hook it is; the signature, over the body as it came, who sends. A delivery
becomes a run of the principal who made the hook, and a redelivery leads to the same run. The sender hears
the run's id at once: it learns nothing of what the run does.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import Any, cast

import msgspec
from msgspec import Raw

from a2a_cloud.model.hook import Hook, Scheme
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Unauthenticated
from a2a_cloud.model.release import SkillSpec
from a2a_cloud.model.run import Call
from a2a_cloud.model.task import Message, Part, Role
from a2a_cloud.surface import narrowing
from a2a_cloud.surface.a2a.operations import Operations, trace_id
from a2a_cloud.surface.arguments import Gate
from a2a_cloud.surface.calls import find_skill
from a2a_cloud.surface.request import JSON, Headers, Request
from a2a_cloud.surface.runs_port import Run
from a2a_cloud.wire import webhooks
from a2a_cloud.wire.webhooks import Delivery

log = logging.getLogger("a2a_cloud.audit")

KEY = "a2a-cloud/hook"
_MAX_ID = 1024
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="sorted").encode


async def serve(request: Request, operations: Operations, skill: str, key: str) -> None:
    """Takes a delivery. Raises Problem."""
    # The key is as good as a password: what is logged of this request must not hold it.
    request.path = f"/hooks/{skill}/…"
    request.allow("POST")
    services, release = operations.services, request.release
    if services.hooks is None:
        raise NotFound("There are no hooks here.")
    hook = services.hooks.find(release.org_no, release.agent_no, skill, key)
    body = await request.body(services.limits.body)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    try:
        principal = services.hooks.admit(hook, headers, body)
    except (Unauthenticated, Forbidden) as problem:
        log.warning("hook refused: %s agent=%s skill=%s: %s", hook.id, hook.agent, skill, problem.detail)
        raise
    delivery = webhooks.read(hook.scheme, hook.checks, headers, body)
    trial = webhooks.trial(hook.scheme, delivery)
    if trial is not None:
        return await request.answer(200, _encode(trial))
    spec = find_skill(release, skill)
    gate = operations.calls.gates.of(release, spec)
    arguments = gate.check(arguments_of(gate, delivery, webhooks.shown_headers(headers, hook.checks)))
    call = _call(request, operations, hook, principal, spec, arguments, delivery, body)
    run = services.runs.submit(call)
    await run.accepted()
    return await _taken(request, hook, run)


def arguments_of(gate: Gate, delivery: Delivery, headers: dict[str, str]) -> dict[str, Any]:
    """The skill's arguments: `event`, `headers`, `delivery_id` and `event_type` are what they say, other
    parameters the body's members of their names; the one required parameter of a skill that takes none of
    those members is the body itself (as text, where it wants a string)."""
    content: Any = delivery.content
    said: dict[str, Any] = {
        "event": content,
        "headers": headers,
        "delivery_id": delivery.id,
        "event_type": delivery.event,
    }
    members = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    arguments = {name: said[name] for name in gate.properties if name in said}
    others = [name for name in gate.properties if name not in said]
    from_members: dict[str, Any] = {name: members[name] for name in others if name in members}
    required = [name for name in others if name in cast("list[Any]", gate.schema.get("required", []))]
    if len(required) == 1 and not from_members:
        schema = gate.properties[required[0]]
        text = isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "string"
        from_members = {required[0]: delivery.text if text else content}
    return {**arguments, **from_members}


def _call(
    request: Request,
    operations: Operations,
    hook: Hook,
    principal: Principal,
    spec: SkillSpec,
    arguments: bytes,
    delivery: Delivery,
    body: bytes,
) -> Call:
    for param in spec.files:
        if param.required:
            raise InvalidParams(
                f"The skill {spec.id} needs a file for {param.name}, which a webhook doesn't bring.",
                remedy="Hook another skill, which fetches the file and calls this one.",
            )
    metadata: dict[str, Any] = {
        KEY: {
            "id": hook.id,
            "scheme": hook.scheme.value,
            "delivery": delivery.id[:_MAX_ID],
            "event": delivery.event[:_MAX_ID],
        }
    }
    if hook.narrow is not None:
        metadata[narrowing.KEY] = hook.narrow
    data = Raw(_canonical({"skill": spec.id, "arguments": Raw(arguments)}))
    message = Message(operations.services.ids.new("msg"), Role.USER, [Part(data=data)])
    message.metadata = Raw(_canonical(metadata))
    key = _delivery_key(request, operations, hook, principal, delivery, body)
    return Call(
        release=request.release,
        principal=principal,
        skill=spec.id,
        arguments=arguments,
        message=message,
        key=key,
        # Of the delivery and not of what it brings: a redelivery may differ in its header fields.
        fingerprint=sha256(key.encode()).digest(),
        shown=True,
        trace_id=trace_id(request.traceparent),
        dialect="http",
        narrow=hook.narrow,
    )


def _delivery_key(
    request: Request,
    operations: Operations,
    hook: Hook,
    principal: Principal,
    delivery: Delivery,
    body: bytes,
) -> str:
    """The idempotency key of a delivery: its id, or where it has none its body, for as long as the hook's
    window is."""
    if delivery.id:
        return f"{hook.id}:{sha256(delivery.id.encode('utf-8', 'surrogatepass')).hexdigest()}"
    digest = sha256(body).hexdigest()
    window = int(operations.services.clock.now() // hook.checks.window)
    before = f"{hook.id}:{digest}:{window - 1}"
    if operations.services.runs.used(request.release, principal, before):
        return before
    return f"{hook.id}:{digest}:{window}"


async def _taken(request: Request, hook: Hook, run: Run) -> None:
    headers: Headers = [
        (b"a2a-run", run.id.encode()),
        (b"a2a-task", run.task_id.encode()),
        (b"a2a-context", run.context_id.encode("utf-8")),
        (b"cache-control", b"no-store"),
    ]
    if hook.scheme is Scheme.SLACK:
        # Slack shows what a command answers to who typed it: nothing, until the skill says something.
        return await request.answer(200, b"", b"text/plain", headers)
    document = {"run_id": run.id, "task_id": run.task_id, "context_id": run.context_id}
    return await request.answer(202, _encode(document), JSON, headers)
