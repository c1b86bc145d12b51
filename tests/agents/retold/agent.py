"""Skills for replays: what goes through the context comes again as it was, what goes past it differs."""

import asyncio
import random
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from a2a_cloud import Context, Problem, Refuse, skill


@skill
async def whole(ctx: Context, name: str) -> dict[str, Any]:
    """Everything that a context has, and no more."""
    ctx.progress("begin", 10, f"for {name}")
    began = ctx.now()
    await ctx.workspace.write("notes/one.md", f"one, for {name}\n")
    await ctx.workspace.append("notes/one.md", "and a line\n")
    back = await ctx.workspace.read_text("notes/one.md")
    await ctx.workspace.write("notes/one.md", "over\n")
    listed = [one.path for one in await ctx.workspace.list("notes")]
    await ctx.workspace.copy("notes/one.md", "notes/two.md")
    await ctx.workspace.delete("notes/one.md")
    async with ctx.workspace.open("big.bin", "wb") as file:
        for at in range(5):
            await file.write(bytes([at]) * 50_000)
    steps: list[Awaitable[float]] = [
        ctx.step(lambda: random.random(), name="first"),
        ctx.step(lambda: time.time(), name="second"),
    ]
    drawn = await asyncio.gather(*steps)
    count = (await ctx.state.get("count", 0)) + 1
    await ctx.state.set("count", count)
    await ctx.text("Some text, ")
    await ctx.text("and more.")
    await ctx.artifact("table", {"rows": [1, 2, 3]})
    await ctx.artifact("blob", bytes(100_000))
    ctx.log("half way")
    ctx.usage("tokens", 12)
    await ctx.sleep(0.05)
    other = await ctx.call("retold", "small", number=ctx.random.randrange(1000))
    missing = await ctx.workspace.exists("nowhere.md")
    return {
        "back": back,
        "listed": listed,
        "drawn": [*drawn, ctx.random.random()],
        "count": count,
        "other": other,
        "missing": missing,
        "began": began.isoformat(),
    }


@skill
def small(ctx: Context, number: int) -> int:
    """A sync skill."""
    ctx.progress("double", message=str(number))
    return ctx.step(lambda: number * 2, name="double")


@skill
async def asks(ctx: Context) -> str:
    """A question, and what was written before it."""
    await ctx.workspace.write("asked.md", "before\n")
    answer = await ctx.ask("Which?", str)
    again = await ctx.workspace.read_text("asked.md")
    return f"{answer} {again.strip()}"


@skill
async def clock(ctx: Context) -> dict[str, Any]:
    """The clock past the context."""
    return {"same": 1, "at": time.time()}


@skill
async def luck(ctx: Context) -> str:
    """Chance past the context, before an effect."""
    return await ctx.step(lambda: "x", name=f"step {random.random()}")


@skill
async def words(ctx: Context) -> None:
    """Text that is never the same."""
    await ctx.text(f"It is {time.time_ns()}.")


@skill
def raises(ctx: Context, how: str) -> int:
    """Ends that are not results."""
    ctx.progress("try")
    if how == "refuse":
        raise Refuse("No.")
    if how == "problem":
        raise Problem("It can't be done.", code="invalid_params")
    return 1 // 0


@skill(retries=2)
async def flaky(ctx: Context) -> int:
    """Works at the third attempt."""
    ctx.progress("attempt", message=str(ctx.attempt))
    if ctx.attempt < 3:
        raise Problem("Not yet.", retry=True)
    return ctx.attempt


@skill
async def waits(ctx: Context) -> str:
    """Ends only when somebody answers, or cancels."""
    ctx.progress("wait")
    return await ctx.ask("Go on?", str)


@skill
async def replies(ctx: Context, name: str) -> None:
    """A message and no task."""
    ctx.reply(f"Hello, {name}.")


@skill
async def prints(ctx: Context) -> int:
    """Lines that are no part of the record."""
    print("now", time.time())
    return 1


@skill
async def reader(ctx: Context) -> int:
    """Reads what somebody put there."""
    ctx.progress("read")
    return len(await ctx.workspace.read("shared/plan.md"))


@skill
async def wider(ctx: Context) -> list[str]:
    """Asks for more than it may."""
    scope = await ctx.request_scope(read=["finance/**"], reason="To see the numbers")
    return list(scope.read)


@skill
async def outward(ctx: Context) -> str:
    """Looks for a way out of the sandbox."""
    import urllib.request

    def fetch() -> str:
        try:
            with urllib.request.urlopen("http://example.invalid/") as answer:
                return answer.read().decode()
        except OSError as error:
            return type(error).__name__

    return await asyncio.to_thread(fetch)


@skill(timeout=3)
def forever(ctx: Context, turn: str) -> str:
    """Hangs unless it is the first time."""
    first = ctx.step(lambda: "once", name="once")
    if Path(turn).exists():
        time.sleep(3600)
    Path(turn).touch()
    return first


@skill(durable=True)
async def lasts(ctx: Context) -> list[str]:
    """Goes on after a crash."""
    began = ctx.now().isoformat()
    await ctx.workspace.write("notes/lasts.md", began)
    drawn = await ctx.step(lambda: str(random.random()), name="draw")
    ctx.progress("drawn")
    await ctx.sleep(2)
    await ctx.text("Up again.")
    return [began, drawn, await ctx.workspace.read_text("notes/lasts.md"), str(ctx.random.random())]
