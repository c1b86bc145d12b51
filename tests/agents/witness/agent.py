"""An agent that says who called."""

from __future__ import annotations

from typing import Any

from a2a_cloud import Context, skill


@skill
def who(ctx: Context) -> dict[str, Any]:
    """Who called, and in whose name."""
    caller = ctx.caller
    return {"name": caller.name, "org": caller.org, "agent": caller.agent, "actors": list(caller.actors)}
