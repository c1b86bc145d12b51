"""`/api/v1/reviews…`: signed verdicts on runs. For who decides approvals or reads runs of the organisation;
what was said of one's own run, one reads as well."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, RunNotFound, Unavailable
from a2a_cloud.model.scope import Scope, reader_scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.surface.reviews_port import Review, Reviews
from a2a_cloud.surface.runs_port import RunRow
from a2a_cloud.wire.api_key import is_key
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.review import MAX_DOCUMENT, ReviewDocument

_SHAPE = '{"run": ID, "verdict": "approve" or "reject", "notes"?: TEXT}, or {"run": ID, "document": {…}}'


class _Made(Struct, forbid_unknown_fields=True):
    run: str
    verdict: str = ""
    notes: str = ""
    document: ReviewDocument | None = None


async def make(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/reviews {run, verdict, notes?}`, which the platform signs, or `{run, document}`, signed
    with the key that comes of the request's API key."""
    principal, office = request.principal, reviews(services)
    if not _reviews(principal):
        raise Forbidden(
            "Reviews are for who decides approvals or reads the organisation's runs.",
            remedy="Use a key of an approver, a developer or an auditor.",
            info={"permission": Permission.DECIDE.value},
        )
    body = await read_body(request, _Made, _SHAPE, most=MAX_DOCUMENT)
    run = _run(services, Scope(org=principal.org_no), body.run)
    if body.document is None:
        return 201, document(office, await office.on_behalf(principal, run, body.verdict, body.notes))
    if body.verdict or body.notes:
        raise InvalidParams("The document says verdict and notes itself.", remedy=f"Send {_SHAPE}.")
    made = await office.signed(principal, _key_of(request), run, body.document)
    return 201, document(office, made)


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/reviews?run=`, oldest first; `?agent=&before=&limit=`, newest first."""
    principal, office, query = request.principal, reviews(services), request.query()
    run_id = query.get("run", "")
    if run_id:
        run = _run(services, _scope(principal), run_id)
        found = office.of_run(principal.org_no, run.id)
    else:
        if not _reviews(principal):
            raise Forbidden(
                "Reviews of others' runs are for who decides approvals or reads runs.",
                remedy="Name one of your own runs: ?run=run_…",
                info={"permission": Permission.READ_RUNS.value},
            )
        found = office.listed(
            principal.org_no,
            agent=query.get("agent", "")[:200],
            before=query.get("before", "")[:100],
            limit=number(query, "limit", 50, 1, 500),
        )
    return 200, {"reviews": [document(office, each) for each in found]}


async def one(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/reviews/{id}`."""
    principal, office = request.principal, reviews(services)
    found = office.one(principal.org_no, values[0])
    if not _reviews(principal):  # Whoever may not see the run sees no review of it, nor that there is one.
        try:
            _run(services, _scope(principal), found.run)
        except RunNotFound:
            raise NotFound(f"There is no review {readable(values[0])}.") from None
    return 200, document(office, found)


def reviews(services: Services) -> Reviews:
    """The reviews. Raises Unavailable."""
    if services.reviews is None:
        raise Unavailable("There are no reviews here.", remedy="Start the platform with `a2a up`.")
    return services.reviews


def _reviews(principal: Principal) -> bool:
    return principal.may(Permission.DECIDE) or principal.may(Permission.READ_RUNS)


def _scope(principal: Principal) -> Scope:
    if principal.may(Permission.DECIDE):
        return Scope(org=principal.org_no)
    return reader_scope(principal, principal.org_no)


def _run(services: Services, scope: Scope, run_id: str) -> RunRow:
    return services.runs.run(scope, run_id[:257])


def _key_of(request: Request) -> str:
    """The API key with which a request came. Raises InvalidParams for one that came otherwise."""
    scheme, _, token = request.authorization.partition(b" ")
    key = (token if scheme.lower() == b"bearer" else request.api_key).strip().decode("latin-1")
    if not is_key(key):
        raise InvalidParams(
            "A signed review comes with the API key that its signing key comes of.",
            remedy="Send that key, or leave the document out: then the platform signs on your behalf.",
            info={"field": "document"},
        )
    return key


def document(office: Reviews, row: Review) -> dict[str, Any]:
    """A review as programs read it: `document` is what is signed, and verifies by itself."""
    signed = office.document(row)
    said = signed.statement
    return {
        "id": row.id,
        "agent": row.agent,
        "run": row.run,
        "receipt": row.receipt,
        "verdict": row.verdict,
        "by": said.by,
        "at": stamp(row.at),
        "signed_by": said.signed_by,
        "key_id": None if said.key_id is UNSET else said.key_id,
        "own_run": row.own,
        "notes": None if signed.notes is UNSET else signed.notes.text,
        "notes_erased": said.notes_sha256 is not UNSET and signed.notes is UNSET,
        "document": msgspec.to_builtins(signed),
    }
