"""`POST /api/v1/runs/{id}/erase`: what a run was told, said and did goes; its receipt stays."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, RunNotFound
from a2a_cloud.model.scope import manager_scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.erasure_port import Erasure
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

REMEDY = "Check the id, and that the key is its owner's."
#: Characters of a reason.
MOST = 500


class _Wanted(Struct, forbid_unknown_fields=True):
    reason: str = ""
    tree: bool = False
    agent: str = ""


async def erase(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """One's own run, or with MANAGE_RUNS one of the organisation. `agent` names the run's agent as
    `org.name` when that is of another organisation. A second time it says what the first one did."""
    if services.erasures is None:
        raise NotFound("There is nothing at this path.")
    wanted = await read_body(request, _Wanted, '{"reason": "…", "tree": false, "agent": ""}')
    if len(wanted.reason) > MOST or not wanted.reason.isprintable():
        raise InvalidParams(
            f"A reason has {MOST} characters at most, all of them printable.", info={"field": "reason"}
        )
    if len(values[0]) > 256:
        raise RunNotFound("There is no such run.")
    principal = request.principal
    if principal.actors:
        raise Forbidden(
            "An agent that acts for somebody erases nothing in their name.",
            remedy="Whoever it acts for does it: `a2a run erase`.",
        )
    org_no = _org_no(services, wanted.agent) if wanted.agent else principal.org_no
    if org_no is None:  # The same words as for a run that is not theirs.
        raise RunNotFound(f"There is no run {values[0][:80]!a}.", remedy=REMEDY)
    found = await services.erasures.erase(
        manager_scope(principal, org_no),
        values[0],
        by=principal.label,
        reason=wanted.reason,
        tree=wanted.tree,
    )
    return 200, {"erased": [{"id": run_id, **shown(erasure)} for run_id, erasure in found]}


def _org_no(services: Services, agent: str) -> int | None:
    """The organisation of an agent, by the name alone: a run is its owner's also when its agent serves no
    more, or is gone."""
    org, dot, _ = agent.partition(".")
    return services.identity.org_no(org if dot else DEFAULT_ORG)


def shown(erasure: Erasure) -> dict[str, str]:
    """An erasure as this API shows it."""
    return {"at": stamp(erasure.at), "by": erasure.by, "reason": erasure.reason}
