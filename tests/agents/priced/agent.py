"""A public agent whose skills have prices."""

from __future__ import annotations

import asyncio
from pathlib import Path

from a2a_cloud import Context, Problem, skill


@skill
async def echo(text: str) -> str:
    """Say it again."""
    return text


@skill
async def fails(text: str) -> str:
    """Never says it."""
    raise Problem(text)


@skill
async def words(ctx: Context, count: int) -> int:
    """Use tokens, and say that it took an hour."""
    await ctx.usage("tokens", count)
    await ctx.usage("seconds", 3600)
    return count


@skill
async def waits(ctx: Context, seconds: float = 0.0) -> str:
    """Ask, and take so long after the answer."""
    said = str(await ctx.ask("Well?"))
    await asyncio.sleep(seconds)
    return said


@skill
async def gated(gate: str) -> str:
    """Go on until a file is there."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.02)
    return "held"


@skill
async def plan(ctx: Context, times: int) -> list[str]:
    """Call echo so often, and say what came of it."""
    said: list[str] = []
    for number in range(times):
        try:
            said.append(await ctx.call("priced", "echo", text=str(number)))
        except Problem as problem:
            said.append(problem.code)
    return said
