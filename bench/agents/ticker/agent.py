"""An agent that emits one event each time somebody rings: how fast does it reach every stream?

`wait` and `ring` run in the same worker (limits.workers = 1) and meet in a module-level queue; a
real agent must not rely on that, a benchmark may. The event carries the machine's monotonic clock
at its emission, which every process on the machine reads alike.
"""

from __future__ import annotations

import asyncio
import time

from a2a_cloud import Context, skill

_bell: asyncio.Queue[None] = asyncio.Queue()


@skill
async def wait(ctx: Context, events: int = 5) -> str:
    """Emits `events` progress events, each when `ring` is called, and ends."""
    for number in range(events):
        await _bell.get()
        ctx.progress("tick", 100.0 * (number + 1) / events, f"tick-{time.monotonic_ns()}-")
    return "done"


@skill
async def ring() -> str:
    """Lets `wait` emit its next event."""
    _bell.put_nowait(None)
    return "rung"
