"""`POST /api/v1/replays`: a recorded run once more, compared with its record (docs/replay.md).

For who may read the organisation's runs whole and call or deploy its agents: a replay uses what the agent
did inside, and runs its code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import (
    AgentNotFound,
    Forbidden,
    InvalidParams,
    Malformed,
    ReleaseNotFound,
    RunNotFound,
    Unavailable,
)
from a2a_cloud.model.receipt import ReceiptBody
from a2a_cloud.model.release import Release
from a2a_cloud.model.replay import Verdict
from a2a_cloud.model.scope import Scope
from a2a_cloud.surface.leaving import leaving
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Gone, Request
from a2a_cloud.wire import jws
from a2a_cloud.wire.json_text import check_text
from a2a_cloud.wire.proof import Outcome, verify_receipt

#: The word for an agent's newest release that is ready.
NEW = "new"
_SHAPE = '{"run": "run_…"} or {"receipt": {…}}, with "release" a number, a digest or "new"'
_encode = msgspec.json.Encoder().encode


class _Wanted(Struct, forbid_unknown_fields=True):
    run: str = ""
    receipt: msgspec.Raw = msgspec.Raw()
    release: int | str = ""


_wanted = msgspec.json.Decoder(_Wanted)


async def replay(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/replays {run | receipt, release?}`: the verdict, once the code has run."""
    if services.replays is None:
        raise Unavailable("This platform replays nothing.")
    principal = request.principal
    _may(principal)
    wanted = await _body(services, request)
    body = _verified(services, bytes(wanted.receipt)) if bytes(wanted.receipt) else None
    if (body is None) == (not wanted.run):
        raise InvalidParams("Name a run, or send a receipt, and not both.", remedy=f"Send {_SHAPE}.")
    run_id = wanted.run if body is None else body.run_id
    if len(run_id) > 256:
        raise RunNotFound("There is no such run.")
    scope = Scope(org=principal.org_no)
    row = services.runs.run(scope, run_id)
    release = _release(services, principal, row.agent, wanted.release) if wanted.release != "" else None
    replaying = services.replays.replay(principal.org_no, run_id, release=release, body=body)
    return 200, _encode(await _while_there(request, replaying))


async def _while_there(request: Request, replaying: Coroutine[Any, Any, Verdict]) -> Verdict:
    """The verdict; raises Gone once nobody waits for it, and the code is stopped."""
    async with leaving(request) as left:
        task = asyncio.create_task(replaying)
        try:
            await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Gone
        finally:
            task.cancel()
            await asyncio.wait((task,))


def _may(principal: Principal) -> None:
    whole = principal.may(Permission.READ_RUNS)
    if not whole or not (principal.may(Permission.CALL) or principal.may(Permission.DEPLOY)):
        raise Forbidden(
            "A replay shows what an agent did inside, and runs its code.",
            remedy=f"Ask for a role with {Permission.READ_RUNS} and {Permission.CALL}.",
        )


async def _body(services: Services, request: Request) -> _Wanted:
    request.expect_json()
    body = await request.body(services.limits.body)
    check_text(body)
    try:
        return _wanted.decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise InvalidParams(f"{error}.", remedy=f"Send {_SHAPE}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("The body is not valid JSON.", remedy=f"Send {_SHAPE}.") from None


def _verified(services: Services, document: bytes) -> ReceiptBody:
    """The receipt's body, once this platform's keys say that it is one of its own."""
    verdict = verify_receipt(document, jws.read_jwks(services.jwks()))
    if verdict.outcome is not Outcome.VALID or verdict.body is None:
        raise InvalidParams(
            f"The receipt can't be relied on: {verdict.reason or 'its signer is not known here'}.",
            remedy="Send one of this platform as it was given out: a2a receipt get RUN.",
            info={"field": "receipt"},
        )
    return verdict.body


def _release(services: Services, principal: Principal, name: str, wanted: int | str) -> Release:
    """The release that is meant, of the agent that has the name now. Whether that is the run's own agent, the
    replay looks at. Raises ReleaseNotFound."""
    try:
        agent = services.registry.agent(f"{principal.org}.{name}", principal.org_no)
    except AgentNotFound:
        raise ReleaseNotFound("The agent of that run is gone.", remedy="See `a2a ls`.") from None
    ready = {number: record.release for number, record in agent.records.items() if record.ready}
    if wanted == NEW:
        found = ready.get(max(ready, default=0))
    elif isinstance(wanted, int) or (wanted.isascii() and wanted.isdigit() and len(wanted) < 10):
        found = ready.get(int(wanted))
    else:
        found = next((one for one in ready.values() if one.digest == wanted), None)
    if found is None:
        raise ReleaseNotFound(
            f"{name} has no release {str(wanted)[:80]} that is ready.", remedy=f"See `a2a releases {name}`."
        )
    return found
