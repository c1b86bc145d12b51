"""runtime/places.py: who is slow holds up nobody of another name."""

from __future__ import annotations

import asyncio

from a2a_cloud.runtime.places import Places


def test_a_name_has_its_own_places() -> None:
    async def play() -> None:
        places, inside, leave = Places(), [], asyncio.Event()

        async def stay(name: str) -> None:
            async with places.one_of(name, 2):
                inside.append(name)
                await leave.wait()

        tasks = [asyncio.create_task(stay(name)) for name in ("a", "a", "a", "b")]
        await asyncio.sleep(0)
        assert inside == ["a", "a", "b"]
        tasks[2].cancel()  # One that waits may go.
        leave.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert inside == ["a", "a", "b"]
        assert len(places) == 0

    asyncio.run(play())
