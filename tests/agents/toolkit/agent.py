"""Skills that show what MCP makes of a skill: results of each shape, files, artifacts, questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from a2a_cloud import Agent, Context, File, Problem, Refuse, ScopeDenied

agent = Agent("toolkit")


@dataclass
class Sum:
    """A sum."""

    total: int
    odd: bool


@agent.skill(idempotent=True, tags=["mcp:read-only"], examples=["Add 1 and 2", "Add 40 and 2"])
async def add(a: int, b: int = 0) -> Sum:
    """Adds two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return Sum(a + b, bool((a + b) % 2))


@agent.skill
async def echo(text: str) -> str:
    """Gives a text back."""
    return text


@agent.skill
async def several(count: int) -> list[int]:
    """Counts."""
    return list(range(count))


@agent.skill
async def nothing() -> None:
    """Does nothing."""


@agent.skill
async def maybe(give: bool) -> str | None:
    """Gives a text, or nothing."""
    return "given" if give else None


@agent.skill
async def said(ctx: Context) -> None:
    """Answers with a message."""
    ctx.reply("just words")


@agent.skill
async def spell(word: str) -> AsyncIterator[str]:
    """Streams a word, letter by letter."""
    for letter in word:
        yield letter


@agent.skill
async def measure(document: Annotated[File, "text/*"], more: list[File] | None = None) -> dict[str, Any]:
    """Measures files."""
    sizes = [document.size, *(file.size for file in more or [])]
    return {
        "name": document.name,
        "kind": document.media_type,
        "sizes": sizes,
        "text": document.read_text()[:80],
    }


@agent.skill
async def make(ctx: Context, size: int = 10) -> str:
    """Makes artifacts of each kind."""
    await ctx.artifact("note.md", "# Note", media_type="text/markdown", description="A note")
    await ctx.artifact("numbers", {"n": [1, 2]})
    await ctx.artifact("dot.png", b"\x89PNG" + bytes(size), media_type="image/png")
    await ctx.artifact("large.bin", bytes(100_000), media_type="application/octet-stream")
    await ctx.artifact("there", url="https://example.com/a")
    return "made"


@agent.skill
async def fail() -> str:
    """Fails."""
    raise Problem("The oven is cold.", remedy="Light it.")


@agent.skill
async def refuse() -> str:
    """Refuses."""
    raise Refuse("Not on Sundays.")


@agent.skill
async def crash() -> str:
    """Raises something of its own."""
    raise RuntimeError("a secret of the agent's")


@agent.skill
async def slow(ctx: Context, seconds: float = 1.0, steps: int = 4) -> str:
    """Takes its time, and tells how far it is."""
    for step in range(steps):
        ctx.progress("working", 100 * step / steps, f"step {step}")
        ctx.log(f"line {step}", level="warning" if step % 2 else "info")
        await ctx.text(f"{step} ")
        await asyncio.sleep(seconds / steps)
    await ctx.artifact("log.txt", "all steps")
    return f"{steps} steps"


@agent.skill
async def ask_name(ctx: Context) -> str:
    """Asks for a name."""
    return "Hello, " + await ctx.ask("What is your name?")


@agent.skill
async def ask_twice(ctx: Context) -> str:
    """Asks for a number and then for a colour."""
    number = await ctx.ask("How many?", Annotated[int, msgspec.Meta(ge=1)])
    colour = await ctx.ask("Which colour?", Literal["red", "green"])
    return f"{number} {colour}"


@dataclass
class Trip:
    """Where to."""

    city: str
    nights: int = 1


@agent.skill
async def ask_form(ctx: Context) -> Trip:
    """Asks for a trip."""
    return await ctx.ask("Where to?", Trip)


@agent.skill
async def ask_deep(ctx: Context) -> list[list[int]]:
    """Asks for something that no form has room for."""
    return await ctx.ask("A matrix?", list[list[int]])


@agent.skill
async def ask_optional(ctx: Context) -> str:
    """Asks for something that may stay away."""
    answer = await ctx.ask("Anything else?", str | None)
    return "nothing" if answer is None else answer


@agent.skill
async def ask_late(ctx: Context) -> str:
    """Works, asks, and works on."""
    ctx.progress("before", 10)
    await asyncio.sleep(0.2)
    answer = await ctx.ask("Go on?", bool)
    ctx.progress("after", 90)
    await asyncio.sleep(0.2)
    return "went on" if answer else "stopped"


@agent.skill
async def want(ctx: Context, path: str) -> str:
    """Asks for more than it may read."""
    try:
        scope = await ctx.request_scope(read=[path], reason="to read it")
    except ScopeDenied as denied:
        return f"denied: {denied.detail}"
    return "allowed: " + ", ".join(scope.read)


@agent.skill(tags=["mcp:task"])
async def job(ctx: Context, seconds: float = 0.2, ask: bool = False) -> str:
    """A task at once."""
    if ask:
        return "answered " + await ctx.ask("What?")
    await asyncio.sleep(seconds)
    return "job done"


@agent.skill(tags=["mcp:requires=sampling"])
async def think(ctx: Context) -> str:
    """Needs the client's model."""
    request = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 5}}
    answers = await ctx.ask("Think", {"type": "object", "x-mcp-input-requests": {"thought": request}})
    return str(answers["thought"]["content"]["text"])


Region = Annotated[str, msgspec.Meta(extra_json_schema={"x-mcp-header": "Region"})]


@agent.skill
async def query(region: Region, text: str = "") -> str:
    """Has a parameter that is repeated in a header."""
    return f"{region}: {text}"


@agent.skill(tags=["mcp:prompt"])
async def review(style: Literal["short", "long"], lines: int = 3) -> str:
    """A prompt of two arguments."""
    return f"Review this in {style} style, at most {lines} lines."


@agent.skill(tags=["mcp:resource=notes://{folder}/{name}"], output_modes=["text/plain"])
async def note(folder: str, name: str) -> str:
    """A note."""
    return f"{name} in {folder}"


@agent.skill(tags=["mcp:resource=notes://index"], output_modes=["application/json"])
async def index() -> dict[str, int]:
    """All notes."""
    return {"notes": 2}
