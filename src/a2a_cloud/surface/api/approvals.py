"""`/api/v1/approvals`: what runs ask for, deciding it, and the rules that decide the easy ones
(docs/approvals.md). Admins see all of their organisation, others what they asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from a2a_cloud.model.approval import Approval, Verdict, document, story
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden, InvalidParams, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.approvals_port import Approvals, RulesRow
from a2a_cloud.surface.api.releases import number, seconds
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import A2A_JSON, JSON, Request

_MAX_BODY = 64 << 10
_MAX_RULES = 512 << 10  # as JSON; the text itself has a limit of its own
_MAX_PAGE = 200
_MOST_NO = (1 << 53) - 1
_LISTS = ("read", "write", "skills", "egress")
_APPROVE = (*_LISTS, "seconds", "note")

Answer = tuple[int, Any]


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/approvals?state=&limit=&cursor=`: newest first; with `after=&wait=` those that came
    after that number, oldest first, waiting for the first one."""
    approvals = _of(services)
    query = request.query()
    limit = number(query, "limit", 50, 1, _MAX_PAGE)
    state = query.get("state", "") or "open"
    state = "" if state == "all" else state
    if "after" not in query:
        last = approvals.inbox.last(request.principal)
        before = number(query, "cursor", 0, 1, _MOST_NO) or None
        page = approvals.inbox.page(request.principal, state=state, limit=limit, before=before)
        more = str(page[-1].no) if len(page) == limit else ""
        return 200, {"approvals": [document(each) for each in page], "next": more, "last": last}
    after = number(query, "after", 0, 0, _MOST_NO)
    wait = seconds(query, "wait")
    end = services.clock.monotonic() + wait
    while True:
        found, last = approvals.inbox.since(request.principal, after, state=state, limit=limit)
        left = end - services.clock.monotonic()
        if found or left <= 0:
            return 200, {"approvals": [document(each) for each in found], "next": "", "last": last}
        await approvals.inbox.wait(request.principal.org_no, left)


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/approvals/{id}`: with its story."""
    return 200, _whole(_of(services).inbox.one(request.principal, values[0]))


async def approve(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/{id}/approve {read?, write?, skills?, egress?, seconds?, note?}`: all of it, or where a list
    is there, what the lists name. Answers once it is on disk."""
    body = await _body(request, _APPROVE)
    narrowed = None
    if any(body.get(name) is not None for name in _LISTS):
        narrowed = Widening(*(_texts(body, name) for name in _LISTS))
    how_long = body.get("seconds")
    if how_long is not None and (not isinstance(how_long, int) or isinstance(how_long, bool)):
        raise InvalidParams("seconds has to be a whole number.", info={"field": "seconds"})
    found = await _of(services).vote(
        values[0],
        request.principal,
        Verdict.APPROVE,
        narrowed=narrowed,
        seconds=how_long,
        note=_note(body),
    )
    return 200, _whole(found)


async def deny(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/{id}/deny {note?}`."""
    body = await _body(request, ("note",))
    found = await _of(services).vote(values[0], request.principal, Verdict.DENY, note=_note(body))
    return 200, _whole(found)


async def policy(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/approvals/policy`: the organisation's rules."""
    if not request.principal.may(Permission.MANAGE_POLICY):
        raise Forbidden("The rules of approvals are for admins.", remedy="Use an admin's key.")
    return 200, _rules(_of(services).rulebook.text(request.principal.org_no))


async def put_policy(services: Services, request: Request, _values: list[str]) -> Answer:
    """`PUT /api/v1/approvals/policy`: the rules as TOML, or in JSON `{text}`; in force at once."""
    if request.media_type() in (JSON, A2A_JSON):
        text = (await _body(request, ("text",), limit=_MAX_RULES)).get("text")
        if not isinstance(text, str):
            raise InvalidParams("text has to be the rules, as TOML.", info={"field": "text"})
    else:
        try:
            text = (await request.body(_MAX_RULES)).decode()
        except UnicodeDecodeError:
            raise InvalidParams("The rules are not UTF-8 text.", remedy="Send TOML as UTF-8.") from None
    return 200, _rules(await _of(services).rulebook.put(request.principal, text))


def _of(services: Services) -> Approvals:
    if services.approvals is None:
        raise Unavailable("Approvals are not served yet.", retry_after=1)
    return services.approvals


def _whole(approval: Approval) -> dict[str, Any]:
    return document(approval) | {"story": story(approval)}


def _rules(rules: RulesRow) -> dict[str, Any]:
    at = stamp(rules.at) if rules.version else None
    return {"version": rules.version, "text": rules.text, "at": at, "by": rules.by}


async def _body(request: Request, known: tuple[str, ...], limit: int = _MAX_BODY) -> Mapping[str, Any]:
    request.expect_json()
    raw = await request.body(limit)
    try:
        body: Any = msgspec.json.decode(raw or b"{}")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise InvalidParams("The body has to be a JSON object.")
    fields = cast("dict[str, Any]", body)
    for name in fields:
        if name not in known:
            # A list that is misspelled would allow everything.
            raise InvalidParams(
                f"The field {name[:40]!a} means nothing here.",
                remedy=f"Send some of {', '.join(known)}.",
                info={"field": name[:40]},
            )
    return fields


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[Any]", value)):
        raise InvalidParams(f"{name} has to be a list of patterns.", info={"field": name})
    return tuple(cast("list[str]", value))


def _note(body: Mapping[str, Any]) -> str:
    note = body.get("note", "")
    if not isinstance(note, str):
        raise InvalidParams("note has to be a text.", info={"field": "note"})
    return note
