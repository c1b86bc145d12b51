"""A public agent whose skills may be called so often, and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from a2a_cloud import Context, Problem, skill


@skill
async def twice_a_day(text: str) -> str:
    """Has a budget of two calls a day."""
    return text


@skill
async def rare(text: str) -> str:
    """May be called once an hour, by whomever."""
    return text


@skill
async def free(text: str) -> str:
    """Has no limit of its own."""
    return text


@skill
async def hold(gate: str) -> str:
    """Goes on until a file is there."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.02)
    return "held"


@skill
async def asks_others(ctx: Context, times: int) -> list[str]:
    """Calls twice_a_day, and says what came of it."""
    said: list[str] = []
    for number in range(times):
        try:
            said.append(await ctx.call("meted", "twice_a_day", text=str(number)))
        except Problem as problem:
            said.append(problem.code)
    return said
