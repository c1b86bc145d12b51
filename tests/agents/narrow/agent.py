"""One slot: what waits must not hold it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from a2a_cloud import Context, skill


@skill
async def hold(gate: str) -> str:
    """Keep the slot until the file `gate` exists."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    return "held"


@skill
def ask_sync(ctx: Context) -> int:
    """Ask in a thread."""
    return ctx.ask("How many?", int) + 1


@skill
async def ask(ctx: Context) -> int:
    """Ask."""
    return await ctx.ask("How many?", int) + 1


@skill
async def down(ctx: Context, depth: int) -> int:
    """Call itself, with one slot for all."""
    return 1 + await ctx.call("narrow", "down", depth=depth - 1) if depth else 0


@skill
def nap(ctx: Context, seconds: float) -> str:
    """Sleep without the slot."""
    ctx.sleep(seconds)
    return "rested"


@skill
def now() -> float:
    """The time."""
    return time.time()
