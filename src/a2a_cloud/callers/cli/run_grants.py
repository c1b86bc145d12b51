"""What a run was allowed and refused: its grants, and of the audit log what it was denied."""

from __future__ import annotations

from typing import Any

from a2a_cloud.callers.cli.terminal import put, table
from a2a_cloud.client.errors import ServerProblem
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text

#: Lines of the audit log that are looked at.
_MOST = 1000


async def granted(platform: Platform, run_id: str) -> dict[str, Any]:
    """`grants` of the run, the first one first, and `refusals`; an admin's key is told the latter."""
    page = obj(await platform.json("GET", "/api/v1/grants", params={"run": run_id, "limit": "500"}))
    found: dict[str, Any] = {"grants": objs(page.get("grants"))[::-1]}
    try:
        log = await platform.json("GET", "/api/v1/audit", params={"run": run_id, "limit": str(_MOST)})
    except ServerProblem as problem:
        if problem.status != 403:
            raise
        return found
    found["refusals"] = [each for each in objs(obj(log).get("events")) if each.get("allowed") is False]
    return found


def show_granted(run: dict[str, Any]) -> None:
    """Both, as tables on stdout."""
    grants, refusals = objs(run.get("grants")), objs(run.get("refusals"))
    if grants:
        put("")
        table(
            ("GRANT", "STATE", "FROM", "UNTIL", "CAME OF"),
            [
                (
                    text(each.get("id")),
                    text(each.get("state")),
                    text(each.get("created")),
                    text(each.get("expires")),
                    _origin(each),
                )
                for each in grants
            ],
        )
    if refusals:
        put("")
        table(
            ("REFUSED AT", "OPERATION", "WHAT", "WHY"),
            [
                (
                    text(each.get("at")),
                    text(each.get("operation")),
                    text(each.get("target")),
                    text(each.get("reason")),
                )
                for each in refusals
            ],
        )


def _origin(grant: dict[str, Any]) -> str:
    """`approval appr_…`, the grant that it replaced, the one that was handed on, or the call."""
    if grant.get("approval"):
        return f"approval {grant['approval']}"
    if grant.get("prior"):
        return f"in the place of {grant['prior']}"
    return f"handed on from {grant['parent']}" if grant.get("parent") else "the call"
