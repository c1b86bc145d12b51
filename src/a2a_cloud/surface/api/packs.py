"""`/api/v1/packs`: receipts of runs and what belongs to them in one file that verifies by itself
(docs/packs.md)."""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.leaving import leaving
from a2a_cloud.surface.packs.wanted import Wanted, select
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Gone, Request
from a2a_cloud.surface.sending import send_pieces


async def make(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/packs {runs | from, to, agent?, cose?}`: the zip, as it is made. An answer that is cut
    off is none: the last file says what belongs to it. One that nobody waits for any more is given up."""
    from a2a_cloud.surface.packs.build import build  # Loaded with the first pack, and the pages with it.

    if services.packs is None:
        raise Unavailable("This platform makes no packs.", remedy="Start it with `a2a up`.")
    wanted = await read_body(request, Wanted, '{"runs": ["run_…"]} or {"from": TIME, "to": TIME}')
    async with leaving(request) as left:

        def still() -> None:
            if left.done():
                raise Gone

        with services.packs.turn(request.principal.org_no):
            selection = await select(services, request.principal, wanted)
            pieces = build(services, services.packs, selection, request.principal, still)
            fields = [
                (b"content-type", b"application/zip"),
                (b"content-disposition", b'attachment; filename="pack.zip"'),
                (b"cache-control", b"no-store"),
                (b"a2a-pack-runs", b"%d" % len(selection.runs)),
                (b"a2a-pack-skipped", b"%d" % selection.skipped),
            ]
            await send_pieces(request, fields, pieces)
    return 200, None
