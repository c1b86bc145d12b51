"""An agent that puts out a row of events, once all who want to see them are there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from a2a_cloud import Context, skill


@skill
async def tick(ctx: Context, gate: str, steps: int = 5) -> str:
    """Wait until the file `gate` exists; then say each step, and make a piece of one artifact with it."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    for n in range(1, steps + 1):
        ctx.progress("ticking", 100 * n / steps, f"step {n}")
        await ctx.artifact("row", f"piece {n};", append=n > 1, last=n == steps)
    return f"{steps} steps"
