"""What somebody asks to have in a pack, and which runs that is for who asks.

Who may read an organisation's runs and its audit log gets all of them, whole. Others get their own runs as
their receipts show them to them: without what the agent did inside.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from a2a_cloud.model.principal import DEFAULT_ORG, Permission, Principal
from a2a_cloud.model.problem import (
    Forbidden,
    InvalidParams,
    NotFound,
    ReceiptPending,
    RunNotFound,
    TooLarge,
)
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.runs_port import RunRow
from a2a_cloud.wire.a2a_v1 import read_timestamp

#: Runs in one pack.
MAX_RUNS = 10_000
#: Runs that are named one by one.
MAX_NAMED = 1_000
#: The number of no organisation: nobody has runs there.
_NOBODY = -1
#: Rows that are read before calls come between.
_PAGE = 200


class Wanted(Struct, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """The body of `POST /api/v1/packs`: runs by name, or all within a time; `until` is no part of it."""

    runs: Annotated[list[str], Meta(max_length=MAX_NAMED)] = []
    since: str = ""
    until: str = ""
    agent: str = ""
    cose: bool = False


class Selection(Struct, frozen=True):
    """What goes into a pack: the runs, oldest first. `skipped` of the time have not ended. `inside`: for
    somebody of the organisation whose agents ran. Times are wall seconds."""

    org: str
    scope: Scope
    runs: list[RunRow]
    skipped: int = 0
    agent: str | UnsetType = UNSET
    since: float | UnsetType = UNSET
    until: float | UnsetType = UNSET
    cose: bool = False
    inside: bool = True

    @property
    def whole(self) -> bool:
        """Whether it shows what agents did inside."""
        return self.scope.owner is None


async def select(services: Services, by: Principal, wanted: Wanted) -> Selection:
    """Raises InvalidParams, AgentNotFound, RunNotFound, ReceiptPending, Forbidden, NotFound, TooLarge."""
    period = bool(wanted.since or wanted.until)
    if bool(wanted.runs) == period:
        raise InvalidParams(
            "A pack is of runs that are named, or of all within a time.",
            remedy='Send {"runs": ["run_…"]}, or {"from": "2026-01-01T00:00:00Z", "to": "…"}.',
        )
    org_no, org, agent = _agent(services, by, wanted.agent) if wanted.agent else (by.org_no, by.org, "")
    whole = by.org_no == org_no and by.may(Permission.READ_RUNS) and by.may(Permission.READ_AUDIT)
    scope = Scope(org=org_no) if whole else owner_scope(by, org_no)
    if not period:
        named = await _named(services, by, scope, wanted.runs, agent)
        return Selection(org, scope, named, cose=wanted.cose, inside=by.org_no == org_no)
    since = read_timestamp(wanted.since, "from") if wanted.since else 0.0
    until = read_timestamp(wanted.until, "to") if wanted.until else math.inf
    if not since < until:
        raise InvalidParams("The time ends before it begins.", info={"field": "to"})
    runs, skipped = await _within(services.runs.between(scope, since, until, agent))
    if not runs:
        raise NotFound(
            "No run of yours ended within that time." if not whole else "No run ended within that time.",
            remedy="Name another time; it is that of the runs' acceptance.",
        )
    return Selection(
        org,
        scope,
        runs,
        skipped,
        agent or UNSET,
        since if wanted.since else UNSET,
        until if wanted.until else UNSET,
        wanted.cose,
        by.org_no == org_no,
    )


def _agent(services: Services, by: Principal, name: str) -> tuple[int, str, str]:
    """(its organisation's number and name, its name): `name` of the caller's organisation, `org.name` of any.
    Of another organisation's nothing is asked but whose it is: runs stay their owner's when it serves no
    more, and there is nothing to be seen of others', nor whether there is such an organisation. Raises
    AgentNotFound for one of their own."""
    org, dot, own = name.partition(".")
    if dot and org != by.org:
        org_no = services.identity.org_no(org)
        return _NOBODY if org_no is None else org_no, org, own
    full = name if dot or by.org == DEFAULT_ORG else f"{by.org}.{name}"
    return by.org_no, by.org, services.registry.agent(full, by.org_no).name  # One that serves no more too.


async def _named(
    services: Services, by: Principal, scope: Scope, names: Iterable[str], agent: str
) -> list[RunRow]:
    """The runs, and those that they called, as far as they are of the same organisation."""
    found: dict[str, RunRow] = {}
    for name in dict.fromkeys(names):
        run = _one(services, by, scope, name)
        if not run.receipt_id:
            raise ReceiptPending(f"Run {name} has not ended.", remedy="Ask again when it has.", retry_after=1)
        if agent and run.agent != agent:
            raise RunNotFound(f"{name} is no run of {agent}.")
        found[run.id] = run
        for count, (below, org) in enumerate(services.runs.receipts(scope, name, MAX_RUNS)):
            if count % _PAGE == 0:
                await asyncio.sleep(0)
            if below in found or org != scope.org:
                continue
            with suppress(RunNotFound):
                child = services.runs.run(scope, below)
                if child.receipt_id:
                    found[below] = child
        _check_count(len(found))
    return sorted(found.values(), key=lambda run: (run.created, run.id))


def _one(services: Services, by: Principal, scope: Scope, name: str) -> RunRow:
    try:
        if len(name) > 256:
            raise RunNotFound("There is no such run.")
        return services.runs.run(scope, name)
    except RunNotFound:
        if scope.owner is not None and by.may(Permission.READ_RUNS) and by.org_no == scope.org:
            raise Forbidden(
                f"{name[:80]} is no run of yours. A pack of others' runs shows who may do what, and is for "
                "who may read runs and the audit log.",
                remedy="Use an auditor's key.",
                info={"permission": Permission.READ_AUDIT.value},
            ) from None
        raise


async def _within(rows: Iterable[RunRow]) -> tuple[list[RunRow], int]:
    found: list[RunRow] = []
    skipped = 0
    for count, run in enumerate(rows):
        if count % _PAGE == 0:
            await asyncio.sleep(0)
        if run.receipt_id:
            found.append(run)
            _check_count(len(found))
        else:
            skipped += 1
    found.reverse()
    return found, skipped


def _check_count(count: int) -> None:
    if count > MAX_RUNS:
        raise TooLarge(
            f"A pack has {MAX_RUNS} runs at the most, and these are more.",
            remedy="Make one for each part of the time, or of one agent.",
            info={"limit": str(MAX_RUNS)},
        )
