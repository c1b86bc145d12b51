"""`/api/v1/limits`: what limits hold for the caller, how far they are used, and the organisation's rules.

Everybody sees their own. Rules are for who manages the organisation's policy; those for `anonymous`,
`sign-in` and `ceiling`, and for other organisations, for who runs the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from a2a_cloud.model.limits import CallerLimits
from a2a_cloud.model.principal import DEFAULT_ORG, Permission
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams, Malformed, NotFound, Unavailable
from a2a_cloud.surface.limits import Quotas
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import check_text

_MAX_BODY = 16 << 10
_OF_PLATFORM = ("ceiling", "anonymous", "sign-in")

Answer = tuple[int, Any]
_decode: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode


async def shown(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/limits?agent=&org=`: the caller's limits and runs; with an agent its limits, and what
    of the budgets is used; the rules for those who set them."""
    quotas = _quotas(services)
    query = request.query()
    principal = request.principal
    document: dict[str, Any] = {
        "limits": _table(quotas.of_caller(principal)),
        "running": quotas.running(principal),
    }
    if query.get("agent"):
        document["agent"] = _agent(services, quotas, request, query["agent"])
    if principal.may(Permission.MANAGE_POLICY):
        document["rules"] = quotas.rules(_org(services, request, query.get("org", "")))
    elif query.get("org"):
        raise _forbidden()
    return 200, document


async def put(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/limits/{target}?org= {"calls": "10/s", "day": 500, "runs": null}`: the limits of a target
    that are named; null takes one away."""
    org = _managed(services, request, values[0])
    request.expect_json()
    body = await request.body(_MAX_BODY)
    check_text(body)
    try:
        table = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"{error}.", remedy='Send {"calls": "10/s", "day": 500}.') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(
            f"The body is not valid JSON: {error}.", remedy='Send {"calls": "10/s", "day": 500}.'
        ) from None
    now = await _quotas(services).set_rule(org, values[0], table, request.principal.label)
    return 200, {"target": values[0], "limits": now}


async def drop(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/limits/{target}?org=`: back to what is usual."""
    org = _managed(services, request, values[0])
    await _quotas(services).drop_rule(org, values[0], request.principal.label)
    return 200, {"target": values[0], "removed": True}


def _agent(services: Services, quotas: Quotas, request: Request, name: str) -> dict[str, Any]:
    principal = request.principal
    release = next((one for one in services.registry.agents(principal) if one.name == name), None)
    if release is None:
        release = services.registry.serving(name)
        if not release.open_to(principal):
            raise AgentNotFound.of(name)
    params: Mapping[str, Any] = services.declared.of(release)[0] if services.declared is not None else {}
    used: dict[str, Any] = {}
    for skill in [spec.id for spec in release.skills] + ([""] if release.has_message_handler else []):
        spent = quotas.spent(principal, release, skill)
        used[skill] = {
            "day": [spent.day, spent.day_most],
            "month": [spent.month, spent.month_most],
        }
    return {**params, "used": used}


def _managed(services: Services, request: Request, target: str) -> int:
    """The organisation whose rules the caller may change. Raises Forbidden, NotFound."""
    principal = request.principal
    if not principal.may(Permission.MANAGE_POLICY):
        raise _forbidden()
    platform = principal.may(Permission.MANAGE_PLATFORM)
    if target in _OF_PLATFORM and not platform:
        raise Forbidden(
            f"{target} is set by who runs the platform.", remedy="Set callers, caller:NAME or key:ID."
        )
    org = _org(services, request, request.query().get("org", ""))
    if target in ("anonymous", "sign-in") and org != principal.org_no:
        raise InvalidParams(f"{target} is the same for all organisations.", remedy="Leave `org` out.")
    return org


def _org(services: Services, request: Request, name: str) -> int:
    principal = request.principal
    if not name or name == principal.org:
        return principal.org_no
    if not principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden(
            "Other organisations' limits are for who runs the platform.",
            remedy=f"Use a key of the organisation {DEFAULT_ORG}.",
        )
    found = services.identity.org_no(name)
    if found is None:
        raise NotFound(f"There is no organisation {name[:80]!r}.")
    return found


def _forbidden() -> Forbidden:
    return Forbidden(
        "Limits are set by who manages the organisation's policy.",
        remedy=f"Use a key with {Permission.MANAGE_POLICY}.",
    )


def _quotas(services: Services) -> Quotas:
    if services.quotas is None:
        raise Unavailable("Limits are off here.", remedy="Start the platform without A2A_LIMITS=off.")
    return services.quotas


def _table(limits: CallerLimits) -> dict[str, Any]:
    return {
        "requests": str(limits.requests),
        "calls": str(limits.calls),
        "runs": limits.runs,
        "day": limits.day,
        "month": limits.month,
    }
