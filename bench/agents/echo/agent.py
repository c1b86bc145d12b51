"""The benchmark's trivial agent: all that a call to it costs is the platform's."""

from __future__ import annotations

from a2a_cloud import skill


@skill
async def echo(text: str) -> str:
    """Answers the text."""
    return text


@skill(idempotent=True)
async def echo_idempotent(text: str) -> str:
    """Answers the text; may start while its acceptance is being committed."""
    return text
