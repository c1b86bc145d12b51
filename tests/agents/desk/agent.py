"""An agent that does, on demand, each thing that a surface has to show."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

from a2a_cloud import Context, File, Refuse, skill


async def opened(gate: str) -> None:
    """Returns once the file exists: how a test says go."""
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)


@skill
async def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


@skill
async def add(a: int, b: int = 0) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


@skill
async def hold(ctx: Context, gate: str, words: int = 0) -> str:
    """Stream `words`, then wait until the file `gate` exists."""
    ctx.progress("waiting", 10, "Waiting for the gate")
    for n in range(words):
        await ctx.text(f"word{n} ")
    await opened(gate)
    return "open"


@skill
async def pour(ctx: Context, gate: str, pieces: int, size: int) -> int:
    """Wait for `gate`, then stream that many pieces of text of that size, numbered."""
    await ctx.text("begin\n")
    await opened(gate)
    for n in range(pieces):
        await ctx.text(f"{n}:" + "x" * size + "\n")
    return pieces


@skill
async def words(text: str) -> AsyncIterator[str]:
    """Stream the words of a text."""
    for word in text.split():
        yield word + " "


@skill
async def advise(ctx: Context, topic: str) -> str:
    """Ask for the law, then advise."""
    law: Literal["Delaware", "England"] = await ctx.ask("Which law governs?", Literal["Delaware", "England"])
    return f"{topic} under the law of {law}"


@skill
async def fail(why: str) -> str:
    """Raise."""
    raise ValueError(why)


@skill
async def refuse(why: str) -> str:
    """Refuse."""
    raise Refuse(why)


@skill
async def greet(ctx: Context, name: str) -> None:
    """Answer with a Message and no task."""
    ctx.reply(f"Hello {name}")


@skill
async def measure(document: File, unit: str = "bytes") -> dict[str, Any]:
    """Size and digest of a file."""
    digest = hashlib.sha256()
    size = 0
    async for block in document.aiter_chunks():
        digest.update(block)
        size += len(block)
    return {
        "name": document.name,
        "media_type": document.media_type,
        "size": size,
        "sha256": digest.hexdigest(),
        "unit": unit,
    }


@skill
async def make(ctx: Context, size: int, name: str = "big.bin") -> str:
    """Make an artifact of `size` bytes."""
    await ctx.artifact(name, b"\x00\x01" * (size // 2), media_type="application/octet-stream")
    return "made"
