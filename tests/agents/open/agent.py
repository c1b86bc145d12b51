"""A public agent with one skill."""

from __future__ import annotations

from a2a_cloud import skill


@skill
async def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()
