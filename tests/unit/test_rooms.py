"""Room for what takes long is shared between organisations."""

from __future__ import annotations

import asyncio

from a2a_cloud.ops.rooms import Rooms


async def _flooded() -> list[int]:
    rooms, done, open_ = Rooms(2, 3), list[int](), asyncio.Event()

    async def work(org: int, *, holds: bool) -> None:
        async with rooms.of(org):
            if holds:
                await open_.wait()
            done.append(org)

    flood = [asyncio.create_task(work(1, holds=True)) for _ in range(50)]
    await asyncio.sleep(0)
    assert rooms.asking(1) == 50
    await asyncio.wait_for(asyncio.gather(*(work(2, holds=False) for _ in range(5))), 5)
    assert done == [2] * 5
    flood[-1].cancel()
    open_.set()
    await asyncio.gather(*flood, return_exceptions=True)
    assert rooms.asking(1) == rooms.asking(2) == 0
    return done


def test_one_organisation_keeps_no_other_waiting() -> None:
    assert asyncio.run(_flooded()) == [2] * 5 + [1] * 49
