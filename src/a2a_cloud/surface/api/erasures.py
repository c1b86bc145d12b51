"""`POST /api/v1/runs/{id}/erase`: what a run was told, said and did goes; its receipt stays."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.problem import (
    AgentNotFound,
    Forbidden,
    InvalidParams,
    NotFound,
    ReleaseNotFound,
    RunNotFound,
    VersionEnded,
)
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
    try:
        org_no = services.registry.serving(wanted.agent).org_no if wanted.agent else principal.org_no
    except (AgentNotFound, ReleaseNotFound, VersionEnded):  # The same words as for one that is not seen.
        raise RunNotFound(f"There is no run {values[0][:80]!a}.", remedy=REMEDY) from None
    found = await services.erasures.erase(
        manager_scope(principal, org_no),
        values[0],
        by=principal.label,
        reason=wanted.reason,
        tree=wanted.tree,
    )
    return 200, {"erased": [{"id": run_id, **shown(erasure)} for run_id, erasure in found]}


def shown(erasure: Erasure) -> dict[str, str]:
    """An erasure as this API shows it."""
    return {"at": stamp(erasure.at), "by": erasure.by, "reason": erasure.reason}
