"""A skill in a fresh worker."""

from a2a_cloud import skill


@skill
async def echo(text: str) -> str:
    """Answer the same text."""
    return text
