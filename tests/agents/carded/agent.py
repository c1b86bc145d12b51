"""An agent that anybody may call, with a skill for callers with a key, extensions, questions and requests."""

from __future__ import annotations

from typing import Any, Literal

from a2a_cloud import Context, ScopeDenied, skill

CITATIONS = "https://example.com/extensions/citations/v1"


@skill(tags=["talk"])
async def cite(ctx: Context, text: str) -> list[str]:
    """Say it, with sources where the caller wants them; returns the active extensions."""
    metadata = {CITATIONS: {"sources": ["https://example.com/book"]}} if CITATIONS in ctx.extensions else None
    await ctx.artifact("said", text, metadata=metadata)
    return sorted(ctx.extensions)


@skill
async def greet(ctx: Context, name: str) -> None:
    """Answer with a message that says which extensions it names."""
    ctx.reply(f"Hello {name}", metadata={CITATIONS: {"named": list(ctx.message.extensions)}})


@skill(extended=True)
async def inside(text: str) -> str:
    """For callers with a key."""
    return "inside " + text


@skill
async def choose(ctx: Context) -> list[Any]:
    """Ask for one of three, for a yes or no, and for an object."""
    colour: Literal["red", "green", "blue"] = await ctx.ask("Which colour?", Literal["red", "green", "blue"])
    sure: bool = await ctx.ask("Sure?", bool)
    size: dict[str, Any] = await ctx.ask(
        "Which size?",
        {
            "type": "object",
            "properties": {
                "width": {"type": "integer", "description": "in mm"},
                "sides": {"type": "array", "items": {"enum": ["left", "right"]}},
                "note": {"type": "string"},
            },
            "required": ["width", "sides"],
        },
    )
    return [colour, sure, size]


@skill
async def reach(ctx: Context) -> str:
    """Ask for more than it may."""
    try:
        scope = await ctx.request_scope(read=["finance/**"], reason="the report")
    except ScopeDenied as denied:
        return f"{denied.code}: {denied.detail}"
    return "may read " + ", ".join(scope.read)
