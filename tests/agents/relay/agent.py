"""An agent that asks another one, or itself first."""

from __future__ import annotations

from typing import Any

from a2a_cloud import Context, skill


@skill
async def ask(ctx: Context, hops: int = 0) -> Any:
    """Ask the witness who called, after so many calls of itself."""
    if hops:
        return await ctx.call("relay", "ask", hops=hops - 1)
    return await ctx.call("witness", "who")
