"""An agent with a message handler and two skills."""

from __future__ import annotations

from a2a_cloud import Agent, Context

agent = Agent()


@agent.skill
async def one(text: str) -> str:
    """One."""
    return "one " + text


@agent.skill
async def two(text: str) -> str:
    """Two."""
    return "two " + text


@agent.message
async def on_message(ctx: Context) -> str:
    """Repeat what was said."""
    return "heard " + ctx.message.text
