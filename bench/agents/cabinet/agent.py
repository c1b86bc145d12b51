"""Workspace operations, each checked against the run's grant."""

import time

from a2a_cloud import Context, skill


@skill
async def fill(ctx: Context, count: int) -> float:
    """Write that many small files; seconds for all."""
    began = time.perf_counter()
    for number in range(count):
        await ctx.workspace.write(f"drawer/{number}.txt", b"x" * 100)
    return time.perf_counter() - began


@skill
async def read(ctx: Context, count: int) -> float:
    """Read that many small files; seconds for all."""
    began = time.perf_counter()
    for number in range(count):
        await ctx.workspace.read(f"drawer/{number}.txt")
    return time.perf_counter() - began


@skill
async def look(ctx: Context, count: int) -> float:
    """Look at that many files; seconds for all."""
    began = time.perf_counter()
    for number in range(count):
        await ctx.workspace.stat(f"drawer/{number}.txt")
    return time.perf_counter() - began
