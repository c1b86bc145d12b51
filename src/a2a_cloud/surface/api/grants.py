"""`/api/v1/grants`: what runs may do, why, and the end of it. Never a signature.

Admins see their organisation's grants, others those of runs that act for them. Revoking and the policy are
for who manages grants. `explain` answers who and why; it looks at runs that are under way.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from a2a_cloud.model.grant import (
    BlockFacts,
    GrantBranch,
    GrantFacts,
    Operation,
)
from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden, InvalidParams, Malformed, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.grants_port import GrantOffice
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire import toml_text
from a2a_cloud.wire.glob import host_path
from a2a_cloud.wire.json_text import check_text, readable

_MAX_BODY = 64 << 10
_MAX_PAGE = 500
_TOML = (b"application/toml", b"text/toml", b"text/x-toml")

Answer = tuple[int, Any]


class _Revocation(Struct, forbid_unknown_fields=True):
    reason: str = ""


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/grants?run=&agent=&before=&limit=`, newest first."""
    query = request.query()
    limit = number(query, "limit", 50, 1, _MAX_PAGE)
    agent = query.get("agent", "")
    if agent and not agent.startswith("agent:"):
        org, dot, name = agent.partition(".")
        agent = f"agent:{org}/{name}" if dot else f"agent:{request.principal.org}/{agent}"
    found = _office(services).listed(
        request.principal.org_no,
        subject=_subject(request),
        run=query.get("run", ""),
        agent=agent,
        before=query.get("before", ""),
        limit=limit,
    )
    return 200, {
        "grants": [_facts(each) for each in found],
        "next": found[-1].id if len(found) == limit else "",
    }


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/grants/{id}`: its claims block by block, its state, what was used."""
    return 200, grant_document(*_office(services).one(request.principal.org_no, values[0], _subject(request)))


def grant_document(facts: GrantFacts, blocks: Sequence[BlockFacts]) -> dict[str, Any]:
    """A grant as this API shows it."""
    return {**_facts(facts), "blocks": [msgspec.to_builtins(each) for each in blocks]}


async def tree(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/grants/{id}/tree`: what it belongs to, from the root."""
    branch, whole = _office(services).tree(request.principal.org_no, values[0], _subject(request))
    return 200, {"root": _branch(branch), "complete": whole}


async def revoke(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/grants/{id}/revoke {reason}`."""
    _admin(request, "Grants are revoked by admins.")
    request.expect_json()
    body = await request.body(_MAX_BODY)
    check_text(body)
    try:
        wanted = msgspec.json.decode(body or b"{}", type=_Revocation)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"{error}.", remedy='Send {"reason": "why"}.') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    if len(wanted.reason) > 300 or not (wanted.reason.isprintable() or not wanted.reason):
        raise InvalidParams(
            "The reason has to be one line of 300 characters at most.", info={"field": "reason"}
        )
    principal = request.principal
    facts = await _office(services).revoke(principal.org_no, values[0], principal.label, wanted.reason)
    return 200, _facts(facts)


async def explain(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/grants/explain?path=&operation=&workspace=&all=`: who can do it now, and why.

    `path` is a path, for `call` AGENT/SKILL, for `egress` HOST or HOST:PORT.
    """
    query = request.query()
    operation = _operation(query.get("operation", "") or Operation.READ.value)
    path = query.get("path", "")
    target = _host(path) if operation is Operation.EGRESS else path
    found, whole = await _office(services).explain(
        request.principal.org_no,
        target,
        operation,
        workspace=query.get("workspace", ""),
        subject=_subject(request),
    )
    allowing = [each for each in found if each.allowed]
    return 200, {
        "path": path,
        "operation": operation.value,
        "workspace": query.get("workspace", ""),
        "allowed": [msgspec.to_builtins(each) for each in allowing],
        "refused": [msgspec.to_builtins(each) for each in found if not each.allowed][:_MAX_PAGE],
        "complete": whole,
    }


async def policy(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/grants/policy`: what the organisation's grants may allow at most."""
    _admin(request, "The policy is for admins.")
    return 200, {"grant": msgspec.to_builtins(_office(services).policy(request.principal.org_no))}


async def put_policy(services: Services, request: Request, _values: list[str]) -> Answer:
    """`PUT /api/v1/grants/policy`: TOML or JSON with the keys of `[grant]`; an empty body lifts the cap."""
    _admin(request, "The policy is for admins.")
    toml = request.media_type() in _TOML
    if not toml:
        request.expect_json()
    body = await request.body(_MAX_BODY)
    table = _table(body, toml=toml)
    inner = table.get("grant")
    if len(table) == 1 and isinstance(inner, dict):  # With the table's name, as it stands in a2a.toml.
        table = cast("dict[str, Any]", inner)
    principal = request.principal
    kept = await _office(services).set_policy(principal.org_no, table, principal.label)
    return 200, {"grant": msgspec.to_builtins(kept)}


async def rotate_key(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/grants/rotate-key`: the organisation's grants are signed with a new key from now on."""
    _admin(request, "Keys are for admins.")
    principal = request.principal
    return 200, {"kid": _office(services).rotate_key(principal.org, principal.org_no, principal.label)}


def _table(body: bytes, *, toml: bool) -> dict[str, Any]:
    try:
        if toml:
            return toml_text.loads(body.decode())
        check_text(body)
        found = msgspec.json.decode(body or b"{}")
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The policy is not valid {'TOML' if toml else 'JSON'}: {error}.") from None
    if not isinstance(found, dict):
        raise InvalidParams("The policy is no table.", remedy='Send {"read": ["contracts/**"]}.')
    return cast("dict[str, Any]", found)


def _office(services: Services) -> GrantOffice:
    if services.grants is None:
        raise Unavailable("This platform has no grants.", remedy="Start it with `a2a up`.")
    return services.grants


def _subject(request: Request) -> str:
    """Whose grants: "" for all."""
    principal = request.principal
    return "" if principal.may(Permission.MANAGE_GRANTS) else principal.label


def _admin(request: Request, why: str) -> None:
    if not request.principal.may(Permission.MANAGE_GRANTS):
        raise Forbidden(why, remedy="Use an admin's key.")


def _operation(word: str) -> Operation:
    try:
        return Operation(word)
    except ValueError:
        known = ", ".join(each.value for each in Operation)
        raise InvalidParams(
            f"{readable(word)} is no operation.", remedy=f"Name one of {known}.", info={"field": "operation"}
        ) from None


def _host(text: str) -> str:
    name, colon, port = text.partition(":")
    if not colon:
        port = "443"
    if not (port.isascii() and port.isdigit() and len(port) < 6):
        raise InvalidParams(
            f"{readable(text)} is no host to reach.", remedy="Write api.example.com or api.example.com:8443."
        )
    return host_path(name, int(port))


def _facts(facts: GrantFacts) -> dict[str, Any]:
    end = facts.end
    return {
        **msgspec.to_builtins(facts),
        "created": stamp(facts.created),
        "expires": stamp(facts.expires),
        "end": None
        if end is None
        else {"id": end.id, "at": stamp(end.at), "by": end.by, "reason": end.reason},
    }


def _branch(branch: GrantBranch) -> dict[str, Any]:
    return {**_facts(branch.facts), "children": [_branch(each) for each in branch.children]}
