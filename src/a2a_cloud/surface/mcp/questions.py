"""What a run asks for, as requests to an MCP client, and the client's answers back as the run's.

A question is one form; a request for more than the grant allows is a form with a decision, which counts as
far as the rules of approvals let this caller decide; a question whose schema has `x-mcp-input-requests` is
those requests (elicitation, sampling, roots) as the agent wrote them, and its answer their results by name.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import Raw

from a2a_cloud.model.approval import Verdict
from a2a_cloud.model.problem import ApprovalClosed, InvalidParams, UnsupportedOperation
from a2a_cloud.model.task import INTERRUPTED, Message, Part, Role, TaskState
from a2a_cloud.surface.mcp.work import Look, Work
from a2a_cloud.wire import sse
from a2a_cloud.wire.a2a_v1 import SendMessageConfiguration, SendMessageParams
from a2a_cloud.wire.json_schema import BadSchema, fits
from a2a_cloud.wire.mcp import Client
from a2a_cloud.wire.mcp_schema import ANSWER, INPUT_REQUESTS, Form, Json, form

_encode = msgspec.json.Encoder().encode
_MOST = 10_000
_METHODS = ("elicitation/create", "sampling/createMessage", "roots/list")
_DECISION: Json = {
    "type": "object",
    "properties": {
        "decision": {"type": "string", "title": "Decision", "enum": ["approve", "deny"]},
        "note": {"type": "string", "title": "Note", "description": "Why; it goes into the record."},
    },
    "required": ["decision"],
}


class Open(NamedTuple):
    """What a run waits for. `requests` are what a client is asked, by name; `whole` says that their results
    are the answer as they are; `approval` is the id of a request that somebody has to decide."""

    text: str
    schema: Any
    approval: str
    requests: dict[str, Json]
    form: Form | None
    whole: bool


def opened(look: Look) -> Open:
    """What the run asks for with its last status."""
    status = look.status
    message = None if status is None else status.message
    if look.state is TaskState.AUTH_REQUIRED:
        asked = sse.approval(message) or {}
        name = str(asked.get("id", ""))
        text = _approval_text(asked)
        params: Json = {"mode": "form", "message": text, "requestedSchema": _DECISION}
        return Open(text, True, name, {"decision": _elicit(params)}, None, False)
    asked = sse.question(message) or {}
    text, schema = str(asked.get("text", "")), asked.get("schema", True)
    raw = cast(Json, schema).get(INPUT_REQUESTS) if isinstance(schema, dict) else None
    if isinstance(raw, dict):
        requests = {name: one for name, one in cast(Json, raw).items() if _is_request(one)}
        if requests:
            return Open(text, schema, "", requests, None, True)
    shape = form(schema)
    params = {"mode": "form", "message": text, "requestedSchema": shape.schema}
    return Open(text, schema, "", {ANSWER: _elicit(params)}, shape, False)


def _elicit(params: Json) -> Json:
    return {"method": "elicitation/create", "params": params}


def _is_request(one: Any) -> bool:
    return isinstance(one, dict) and cast(Json, one).get("method") in _METHODS


def _approval_text(asked: Json) -> str:
    return str(asked.get("text", "")) or "The agent asks for more than its grant allows."


def for_client(found: Open, client: Client) -> dict[str, Json]:
    """Those of the requests that the client can be sent; empty: it can't be asked."""
    kept: dict[str, Json] = {}
    for name, one in found.requests.items():
        params = one.get("params")
        by_url = isinstance(params, dict) and cast(Json, params).get("mode") == "url"
        if client.url if by_url else client.can(one["method"]):
            kept[name] = one
    return kept


def names(work: Work, look: Look, wanted: dict[str, Json], *, found: Open, unique: bool) -> dict[str, Json]:
    """The requests by the names under which the client answers. Those that an agent chose stay as they
    are, unless they have to be unique over the life of a task."""
    if found.whole and not unique:
        return wanted
    mark = f"{work.ordinal}.{look.seq}"
    return {f"{name}-{mark}": one for name, one in wanted.items()}


def plain_names(responses: Json, wanted: dict[str, Json], named: dict[str, Json]) -> Json:
    """A client's responses under the requests' own names; what nobody asked for is left out."""
    pairs = zip(wanted, named, strict=True)
    return {plain: responses[outer] for plain, outer in pairs if outer in responses}


class Collected:
    """Answers that came one by one, until they are whole. Bounded; what is lost is asked again."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int], Json] = OrderedDict()

    def of(self, work: Work, seq: int) -> Json:
        """What is there for the question at `seq`."""
        return self._kept.get((work.task_id, work.ordinal, seq), {})

    def add(self, work: Work, seq: int, given: Json) -> Json:
        """The same with what came now."""
        key = (work.task_id, work.ordinal, seq)
        whole = self._kept[key] = {**self._kept.get(key, {}), **given}
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return whole

    def drop(self, work: Work, seq: int) -> None:
        """The question is answered, or asked anew."""
        self._kept.pop((work.task_id, work.ordinal, seq), None)


def well_formed(request: Json, response: Any) -> bool:
    """Whether a client's response may be one to that request."""
    if not isinstance(response, dict):
        return False
    known = cast(Json, response)
    if request["method"] == "roots/list":
        return isinstance(known.get("roots"), list)
    if request["method"] == "sampling/createMessage":
        return isinstance(known.get("content"), dict | list)
    if known.get("action") in ("decline", "cancel"):
        return True
    params = request.get("params")
    schema = cast(Json, params).get("requestedSchema") if isinstance(params, dict) else None
    if known.get("action") != "accept" or not isinstance(schema, dict):
        return known.get("action") == "accept"
    try:
        return fits(_encode(cast(Json, schema)), known.get("content", {}))
    except BadSchema:
        return True


class Declined(Exception):
    """The client's user did not want to answer."""


async def answer(work: Work, found: Open, responses: Json) -> bool:
    """Gives the run what the client said, by the requests' own names. False: something is missing, or
    doesn't fit, and has to be asked again. Raises Declined, and Problem."""
    if found.whole:
        if not all(well_formed(found.requests[name], one) for name, one in responses.items()):
            return False
        return await _say(work, found, responses)
    given = responses.get("decision" if found.approval else ANSWER)
    if not isinstance(given, dict):
        return False
    known = cast(Json, given)
    action = known.get("action")
    content = known.get("content")
    if found.approval:
        return await _decide(work, found, action, cast(Json, content) if isinstance(content, dict) else {})
    if action in ("decline", "cancel"):
        if await _takes_nothing(work, found):
            return True
        raise Declined
    if action != "accept":
        return False
    assert found.form is not None
    return await _say(work, found, found.form.value(cast(Json, content) if isinstance(content, dict) else {}))


async def _takes_nothing(work: Work, found: Open) -> bool:
    """Whether the question may be answered with null, and was."""
    declared = found.schema
    if not isinstance(declared, dict):
        return False
    schema = cast(Json, declared)
    try:
        if not fits(_encode(schema), None):
            return False
    except BadSchema:
        return False
    return await _say(work, found, None)


async def _decide(work: Work, found: Open, action: Any, content: Json) -> bool:
    approvals = work.operations.services.approvals
    if action == "cancel" or approvals is None:
        raise Declined
    decision = content.get("decision")
    if action == "decline":
        decision = "deny"
    if decision not in ("approve", "deny"):
        return False
    verdict = Verdict.APPROVE if decision == "approve" else Verdict.DENY
    note = content.get("note")
    with suppress(ApprovalClosed):  # Somebody else was faster.
        await approvals.vote(
            found.approval, work.caller.principal, verdict, note=note if isinstance(note, str) else ""
        )
    return True


async def _say(work: Work, found: Open, value: Any) -> bool:
    """Sends the answer as the message that every dialect's answer is."""
    look = work.look()
    message = Message(
        # The same answer sent again attaches to the run that it answered.
        f"mcp-{work.task_id}-{work.ordinal}.{look.seq}",
        Role.USER,
        [Part(data=Raw(_encode(value)))],
        task_id=work.task_id,
    )
    params = SendMessageParams(
        message=message, configuration=SendMessageConfiguration(return_immediately=True)
    )
    operations, caller = work.operations, work.caller
    try:
        call = await operations.calls.of_message(caller.release, caller.principal, params, shown=True)
        if not call.answer:
            return True  # Somebody else was faster.
        call.dialect = caller.speaks
        run = operations.services.runs.submit(call)
        await run.accepted()
    except UnsupportedOperation:
        return True  # The same, a moment later.
    except InvalidParams:
        if work.look().state in INTERRUPTED:
            return False
        raise
    work.run = run
    return True
