"""`/runs/{id}/receipt` and `/runs/{id}/receipts` of an agent: who may read which view, and the receipts of a
run and of all that descend from it.

The run's owner gets the view without sections: the agent's inside stays opaque, and the signature still
verifies. Auditors and whoever sees the organisation's runs get all of it, and who decides what the run asked
for.
"""

from __future__ import annotations

import asyncio

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import ReceiptPending, RunNotFound
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Headers, Request

_PRIVATE: Headers = [(b"cache-control", b"private, no-store")]
#: Receipts of one tree that are sent at most.
MOST = 1_000


def receipt_scope(services: Services, principal: Principal, org_no: int, run_id: str) -> Scope:
    """What `principal` may see of a run's receipt: all of it (a scope without an owner), or their own."""
    if principal.org_no == org_no and not principal.anonymous:
        if principal.may(Permission.READ_RUNS) or principal.may(Permission.READ_AUDIT):
            return Scope(org=org_no)
        if services.approvals is not None and services.approvals.inbox.concerns(principal, run_id):
            return Scope(org=org_no)
    return owner_scope(principal, org_no)


async def serve(request: Request, services: Services, run_id: str, *, tree: bool) -> None:
    """Answers with one receipt, or with those of the whole tree. Raises ReceiptPending, RunNotFound."""
    release = request.release
    scope = receipt_scope(services, request.principal, release.org_no, run_id)
    if services.runs.run(scope, run_id).agent != release.name:
        raise RunNotFound("There is no such run.")
    body = services.runs.receipt(scope, run_id)
    if not tree:
        return await request.answer(200, body, JSON, _PRIVATE)
    found = services.runs.receipts(scope, run_id, MOST + 1)
    request.started, request.status = True, 200
    headers: Headers = [(b"content-type", JSON), *_PRIVATE]
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    if request.method != "HEAD":
        await _piece(request, b'{"receipts":[' + body)
        for child, org_no in found[1:MOST]:
            # One that is another organisation's, or has not ended, is left out; its parent's names it.
            try:
                view = services.runs.receipt(receipt_scope(services, request.principal, org_no, child), child)
            except (ReceiptPending, RunNotFound):
                continue
            await _piece(request, b"," + view)
        await _piece(request, b'],"more":%s}' % (b"true" if len(found) > MOST else b"false"))
    await request.send({"type": "http.response.body", "body": b""})
    return None


async def _piece(request: Request, body: bytes) -> None:
    await asyncio.sleep(0)  # Each is read and sealed at once, and calls come between.
    await request.send({"type": "http.response.body", "body": body, "more_body": True})
