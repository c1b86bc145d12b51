"""An agent whose every skill leaves a trace in a file, so that tests can count what ran how often."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from a2a_cloud import Context, Problem, skill


def mark(trace: str, what: str) -> None:
    """One line, atomically: what ran, in which process."""
    if trace:
        with open(trace, "a", encoding="utf-8") as file:
            file.write(f"{what} {os.getpid()}\n")


async def opened(gate: str) -> None:
    """Wait until the file `gate` exists."""
    while gate and not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)


@skill
async def say(text: str) -> str:
    """Say it louder."""
    return text.upper()


@skill
async def pour(ctx: Context, trace: str = "", gate: str = "") -> str:
    """Progress, text, an artifact, usage, a log line, state; then wait for `gate`."""
    mark(trace, "pour")
    ctx.progress("begin", 10, "It begins")
    await ctx.text("one ")
    await ctx.state.set("poured", 1)
    await ctx.artifact("note.txt", "a note")
    ctx.usage("drops", "1.5")
    ctx.log("poured")
    await ctx.text("two")
    await opened(gate)
    return "poured"


async def look(trace: str, what: str, wait: str = "", opens: str = "") -> str:
    """The body of a step."""
    mark(trace, what)
    await opened(wait)
    if opens:
        Path(opens).touch()  # noqa: ASYNC240
    return f"saw {what}"


@skill
async def survey(ctx: Context, trace: str = "", gate: str = "") -> dict[str, Any]:
    """Two parallel steps that finish in reverse order, then a question."""
    mark(trace, "survey")
    await ctx.progress("look", 20, "looking")
    turn = f"{trace}.turn.{ctx.run_id}"
    first, second = await asyncio.gather(
        ctx.step(look, trace, "first", turn, name="first"),
        ctx.step(look, trace, "second", "", turn, name="second"),
    )
    await ctx.text("seen. ")
    color = await ctx.ask("Which color?", {"enum": ["red", "blue"]})
    mark(trace, "answered")
    await ctx.text(f"It is {color}.")
    await opened(gate)
    return {"first": first, "second": second, "color": color}


@skill(durable=True)
async def lasting(ctx: Context, trace: str = "", gate: str = "") -> dict[str, Any]:
    """Durable: steps, outputs, a clock read, a short sleep, a child, state."""
    mark(trace, "lasting")
    began = ctx.now().timestamp()
    one = await ctx.step(look, trace, "one", name="one")
    await ctx.text("alpha ")
    ctx.usage("drops", 1)
    await ctx.sleep(0.01)
    ctx.progress("middle", 50, "half")
    said = await ctx.call("crash", "quick", trace=trace)
    await ctx.state.set("count", await ctx.state.get("count", 0) + 1)
    two = await ctx.step(look, trace, "two", name="two")
    await ctx.text("omega")
    await opened(gate)
    return {"one": one, "two": two, "said": said, "draw": ctx.random.random(), "began": began}


@skill(idempotent=True)
async def again(ctx: Context, trace: str = "", gate: str = "") -> str:
    """Idempotent: starts over after a crash."""
    mark(trace, "again")
    await ctx.text("part ")
    await opened(gate)
    await ctx.text("whole")
    return "done"


@skill(idempotent=True)
async def quick(trace: str = "", note: str = "") -> str:
    """Idempotent and fast: may end before its acceptance is stored."""
    mark(trace, "quick")
    return "quick"


@skill
async def family(ctx: Context, trace: str = "") -> str:
    """Calls itself through the platform: A → B → A."""
    mark(trace, "family")
    return f"parent of {await ctx.call('crash', 'say', text='a child')}"


@skill(replayable=False)
async def kept(ctx: Context) -> str:
    """Keeps its place in the worker while it waits."""
    return f"heard {await ctx.ask('Well?')}"


@skill
async def greet(ctx: Context, ask: bool = False, noise: bool = False, name: str = "you") -> None:
    """Answers with a message and no task."""
    if ask:
        name = await ctx.ask("Your name?")
    if noise:
        await ctx.text("hm ")
    ctx.reply(f"Hello {name}")


@skill
async def nap(ctx: Context, seconds: float) -> str:
    """Sleep, and hold no slot."""
    await ctx.sleep(seconds)
    return "rested"


@skill
async def nap_then_call(ctx: Context, seconds: float) -> str:
    """Sleep, then call."""
    await ctx.sleep(seconds)
    return str(await ctx.call("crash", "say", text="called"))


@skill(durable=True)
async def long_nap(ctx: Context, seconds: float) -> str:
    """Sleep, also over a restart."""
    await ctx.sleep(seconds)
    return "rested"


@skill
async def beat(ctx: Context, trace: str, seconds: float = 60) -> str:
    """Act outside of the context all the time: a line with this process's id every 20 ms."""
    await ctx.text("beating ")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        mark(trace, "beat")
        await asyncio.sleep(0.02)
    return "beaten"


@skill
async def breed(ctx: Context, trace: str) -> str:
    """Leave a process of its own running, and wait."""
    await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f"while true; do echo bred $$ >> {trace}; sleep 0.02; done"
    )
    await ctx.text("bred")
    await asyncio.sleep(60)
    return "old"


@skill(retries=2)
async def moody(trace: str) -> str:
    """Fails twice, in a way that a retry helps."""
    mark(trace, "moody")
    if len(Path(trace).read_text().splitlines()) < 3:  # noqa: ASYNC240
        raise Problem("Not in the mood.", retry=True)
    return "fine"


@skill(retries=1)
async def moody_parent(ctx: Context, trace: str) -> str:
    """Its child fails at first; the second attempt calls a new one."""
    try:
        return str(await ctx.call("crash", "once", trace=trace))
    except Problem as problem:
        raise Problem(problem.detail, retry=True) from None


@skill
async def once(trace: str) -> str:
    """Fails the first time."""
    mark(trace, "once")
    if len(Path(trace).read_text().splitlines()) < 2:  # noqa: ASYNC240
        raise Problem("Not yet.")
    return "now"


@skill
async def deep(ctx: Context, levels: int) -> int:
    """Calls itself that many levels down."""
    return 0 if not levels else 1 + int(await ctx.call("crash", "deep", levels=levels - 1))


@skill(durable=True)
async def outer(ctx: Context, trace: str = "", gate: str = "") -> str:
    """Durable, and waits in a call of a child that is not."""
    mark(trace, "outer")
    try:
        return f"child {await ctx.call('crash', 'pour', trace=trace, gate=gate)}"
    except Problem as problem:
        return f"child failed: {problem.code}"


@skill
async def family_of_slow(ctx: Context, trace: str = "", gate: str = "") -> str:
    """Not durable, and waits in a call."""
    return f"child {await ctx.call('crash', 'pour', trace=trace, gate=gate)}"


@skill
async def hop(ctx: Context, levels: int) -> str:
    """The other end of `there_and_back`."""
    return str(await ctx.call("narrow", "there_and_back", levels=levels))


@skill(durable=True)
async def both(ctx: Context, trace: str = "", gate: str = "") -> str:
    """Durable, and so is its child."""
    mark(trace, "both")
    answer = await ctx.call("crash", "lasting", trace=trace, gate=gate)
    return f"child {answer['one']}"


@skill(timeout=2)
async def hasty(ctx: Context) -> str:
    """Has two seconds; its child wants a minute."""
    return str(await ctx.call("crash", "nap_awake", seconds=60))


@skill
async def nap_awake(seconds: float) -> str:
    """Wait, and hold a slot."""
    await asyncio.sleep(seconds)
    return "awake"


@skill
async def two_questions(ctx: Context) -> str:
    """Asks two things at once."""
    one, two = await asyncio.gather(ctx.ask("First?"), ctx.ask("Second?"))
    return f"{one} and {two}"


@skill
async def remember(ctx: Context, value: int = 0) -> Any:
    """Keep a value, or tell what is kept."""
    if value:
        await ctx.state.set("value", value)
    return await ctx.state.get("value")


@skill(durable=True)
async def doomed(ctx: Context, trace: str) -> str:
    """Kills its worker each time."""
    mark(trace, "doomed")
    await ctx.step(look, "", "last", name="last")
    os.kill(os.getpid(), 9)
    return "never"
