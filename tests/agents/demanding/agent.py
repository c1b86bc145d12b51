"""An agent whose card requires an extension."""

from __future__ import annotations

from a2a_cloud import Context, skill


@skill
async def repeat(ctx: Context, text: str) -> dict[str, object]:
    """Say it again, and which extensions are active."""
    return {"text": text, "extensions": sorted(ctx.extensions)}
