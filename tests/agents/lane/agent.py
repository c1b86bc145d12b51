"""One slot: who goes first can be seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

from a2a_cloud import Context, skill

ORDER: list[str] = []


@skill
async def hold(gate: str) -> str:
    """Keep the slot until the file `gate` exists."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    return "held"


@skill
def go(name: str) -> list[str]:
    """Who went before, and this one."""
    ORDER.append(name)
    return ORDER


@skill
def recall(ctx: Context) -> list[tuple[str, str, str]]:
    """What is known of the tasks that the message refers to."""
    return [(task.state, task.history[0].message_id, task.artifacts[0].name) for task in ctx.references]
