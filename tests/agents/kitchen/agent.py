"""Every method of the context, sync and async, and what authors get wrong."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from a2a_cloud import Agent, Context, File, Problem, Refuse

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
agent = Agent("kitchen")
LOGO = File.from_bytes("logo.bin", b"L" * 100_000)
busy: dict[str, int] = {"now": 0, "most": 0}


@dataclass
class Order:
    """What was ordered."""

    dish: str
    count: int = 1


# --- outputs ----------------------------------------------------------------------------------------


@agent.skill
async def outputs(ctx: Context) -> str:
    """Put out everything, async."""
    ctx.progress("cutting", 10, "Onions")
    await ctx.progress("boiling", None)  # may be awaited as well
    await ctx.text("one ")
    await ctx.text("two")
    await ctx.artifact("note", "short", "text/markdown", description="A note")
    await ctx.artifact("long", "é" * 50_000)
    await ctx.artifact("bytes", b"\0\1\2")
    await ctx.artifact("large", bytes(5 << 20), "application/x-zeros")
    await ctx.artifact("data", {"a": [1, Order("soup", 2)]})
    await ctx.artifact("big data", ["x" * 1000] * 4000)
    await ctx.artifact("link", url="https://example.com/x.pdf", media_type="application/pdf")
    await ctx.artifact("file", LOGO)
    await ctx.artifact("parts", "a", last=False)
    await ctx.artifact("parts", "b", append=True)
    return "done"


@agent.skill
def outputs_sync(ctx: Context) -> str:
    """Put out everything, in a thread."""
    ctx.progress("cutting", 10, "Onions")
    ctx.progress("boiling", None)
    ctx.text("one ")
    ctx.text("two")
    ctx.artifact("note", "short", "text/markdown", description="A note")
    ctx.artifact("long", "é" * 50_000)
    ctx.artifact("bytes", b"\0\1\2")
    ctx.artifact("large", bytes(5 << 20), "application/x-zeros")
    ctx.artifact("data", {"a": [1, Order("soup", 2)]})
    ctx.artifact("big data", ["x" * 1000] * 4000)
    ctx.artifact("link", url="https://example.com/x.pdf", media_type="application/pdf")
    ctx.artifact("file", LOGO)
    ctx.artifact("parts", "a", last=False)
    ctx.artifact("parts", "b", append=True)
    return "done"


@agent.skill
async def many_artifacts(ctx: Context, count: int) -> int:
    """Store many objects at once."""
    await asyncio.gather(*[ctx.artifact(f"a{n}", os.urandom(70_000)) for n in range(count)])
    return count


@agent.skill
async def reply(ctx: Context, late: bool = False) -> None:
    """Answer with a message."""
    if late:
        await ctx.text("too early")
    ctx.reply({"said": "words"})


@agent.skill
async def words(count: int) -> AsyncIterator[str]:
    """Stream text."""
    for n in range(count):
        yield f"{n} "


@agent.skill
def numbers(count: int) -> Iterator[int]:
    """Yield values, in a thread."""
    yield from range(count)


# --- effects ----------------------------------------------------------------------------------------


@agent.skill
async def questions(ctx: Context) -> list[Any]:
    """Ask in every way."""
    text = await ctx.ask("Text?")
    yes = await ctx.ask("Sure?", bool)
    kind = await ctx.ask("Kind?", Literal["soup", "salad"])
    order = await ctx.ask("Order?", Order)
    assert isinstance(order, Order)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    raw = await ctx.ask("Number?", schema)
    return [text, yes, kind, order, raw]


@agent.skill
def questions_sync(ctx: Context) -> list[Any]:
    """Ask in a thread, with a step in between."""
    order = ctx.ask("Order?", Order)
    assert isinstance(order, Order)
    drawn = ctx.step(lambda: _counted("questions_sync"), name="count")
    return [order, ctx.ask("Text?"), drawn]


_counts: dict[str, int] = {}


def _counted(name: str) -> int:
    _counts[name] = _counts.get(name, 0) + 1
    return _counts[name]


@agent.skill
async def bad_question(ctx: Context) -> str:
    """Ask with a schema that is none."""
    try:
        await ctx.ask("?", {"type": "nonsense"})
    except Problem as problem:
        return f"{problem.code}: {problem.detail}"
    return "no problem"


def cook(order: Order) -> Order:
    """A step with a type."""
    return Order(order.dish.upper(), order.count + 1)


async def burn() -> None:
    raise Problem("It burnt.", code="burnt", remedy="Watch it.", retry=True)


async def slip() -> None:
    raise ValueError("secret")


async def gather_herbs(n: int) -> list[int]:
    await asyncio.sleep(0)
    return list(range(n))


@agent.skill
async def steps(ctx: Context) -> dict[str, Any]:
    """Steps that return types, and steps that fail."""
    cooked = await ctx.step(cook, Order("soup"))
    assert isinstance(cooked, Order)
    herbs = await ctx.step(gather_herbs, 3)
    failures: list[Any] = []
    for fn in (burn, slip):
        try:
            await ctx.step(fn)
        except Problem as problem:
            failures.append([problem.code, problem.detail, problem.remedy, problem.retry])
    try:
        await ctx.step(lambda: "x" * (2 << 20), name="large")
    except Problem as problem:
        failures.append(problem.detail)
    return {"cooked": cooked, "herbs": herbs, "failures": failures}


@agent.skill
def steps_sync(ctx: Context) -> dict[str, Any]:
    """The same in a thread; an async step runs in the worker's loop."""
    cooked = ctx.step(cook, Order("soup"))
    assert isinstance(cooked, Order)
    herbs = ctx.step(gather_herbs, 3)
    failures: list[Any] = []
    for fn in (burn, slip):
        try:
            ctx.step(fn)
        except Problem as problem:
            failures.append([problem.code, problem.detail, problem.remedy, problem.retry])
    try:
        ctx.step(lambda: "x" * (2 << 20), name="large")
    except Problem as problem:
        failures.append(problem.detail)
    return {"cooked": cooked, "herbs": herbs, "failures": failures}


@agent.skill
async def again(ctx: Context, path: str) -> list[Any]:
    """What a replay must see again."""
    first = [ctx.now().isoformat(), ctx.random.random(), ctx.now().isoformat(), ctx.random.randint(0, 10**9)]
    with Path(path).open("a") as file:  # noqa: ASYNC230
        print(*first, file=file)
    await ctx.step(lambda: _append(path, "step"), name="append")
    return [*first, await ctx.ask("Go on?", bool), ctx.random.random()]


def _append(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        print(line, file=file)


@agent.skill
async def remember(ctx: Context, key: str, value: str | None = None, forget: bool = False) -> str | None:
    """State, async."""
    found = await ctx.state.get(key)
    if forget:
        await ctx.state.delete(key)
    elif value is not None:
        await ctx.state.set(key, value)
        assert await ctx.state.get(key) == value
    return found


@agent.skill
def remember_sync(ctx: Context, key: str, value: str | None = None) -> str | None:
    """State, in a thread."""
    found = ctx.state.get(key, "nothing")
    if value is not None:
        ctx.state.set(key, value)
    return found


@agent.skill
async def large_state(ctx: Context) -> str:
    """More than fits."""
    try:
        await ctx.state.set("k", "x" * (2 << 20))
    except Problem as problem:
        return problem.detail
    return "no problem"


@agent.skill
async def facts(ctx: Context) -> dict[str, Any]:
    """What a run knows of itself."""
    before = ctx.deadline
    await ctx.sleep(0.05)
    return {
        "caller": [ctx.caller.name, ctx.caller.org, ctx.caller.agent, ctx.caller.anonymous],
        "ids": [ctx.run_id, ctx.task_id, ctx.context_id],
        "attempt": ctx.attempt,
        "later": (ctx.deadline - before).total_seconds() > 0,
        "left": (ctx.deadline - ctx.now()).total_seconds(),
        "cancelled": ctx.cancelled,
        "text": ctx.message.text,
        "history": len(ctx.history),
        "modes": ctx.output_modes,
    }


@agent.skill
async def meter(ctx: Context, qty: Any) -> str:
    """Report a usage, or tell why not."""
    try:
        ctx.usage("tokens", qty, "t")
    except Problem as problem:
        return problem.detail
    return "ok"


# --- children and routes ----------------------------------------------------------------------------


@agent.skill
async def size(doc: File) -> list[Any]:
    """The size of a file, and of what is in it."""
    return [doc.name, doc.size, len(await doc.aread())]


@agent.skill
async def pass_on(ctx: Context, doc: File) -> list[Any]:
    """Give files to a child: the own one, one that was got, one from a list."""
    return [
        await ctx.call("kitchen", "size", doc=doc),
        await ctx.call("kitchen", "size", doc=LOGO),
        await ctx.call("kitchen", "size", doc=File.from_bytes("small.txt", b"abc")),
        await ctx.route("size", doc=doc),
    ]


@agent.skill
async def child_fails(ctx: Context, skill: str) -> list[Any]:
    """What a child's failure looks like."""
    try:
        await ctx.call("kitchen", skill)
    except Problem as problem:
        return [problem.code, problem.detail]
    return ["no problem"]


@agent.skill
def routes_sync(ctx: Context) -> list[Any]:
    """A sync skill that goes on as others."""
    return [ctx.route("words", count=2), ctx.route("numbers", count=3), ctx.route("steps_sync")["herbs"]]


@agent.skill
async def routes(ctx: Context) -> list[Any]:
    """An async skill that goes on as sync ones, and speaks meanwhile."""
    first, _, second = await asyncio.gather(
        ctx.route("numbers", count=2), ctx.text("meanwhile"), ctx.route("steps_sync")
    )
    return [first, second["herbs"]]


@agent.skill
def own_loop(ctx: Context) -> str:
    """A sync skill with a loop of its own, as frameworks have."""

    async def main() -> str:
        await ctx.text("from another loop")
        herbs = await ctx.step(gather_herbs, 2)
        return f"{herbs} {await ctx.ask('Which?')}"

    return asyncio.run(main())


@agent.skill
async def helper_thread(ctx: Context) -> str:
    """An async skill that gives the context to a thread."""

    def work() -> str:
        ctx.text("from a thread")
        return ctx.state.get("none", "default")

    return await asyncio.to_thread(work)


@agent.message
async def talk(ctx: Context, text: str) -> Any:
    """Free text."""
    if text == "ask":
        return "you said " + await ctx.ask("What?")
    if text == "route":
        return await ctx.route("numbers", count=3)
    if text == "reply":
        ctx.reply("just words")
        return None
    return f"heard {text}, after {[message.text for message in ctx.history if message.role == 'ROLE_USER']}"


# --- what goes wrong --------------------------------------------------------------------------------


@agent.skill
async def refuse() -> str:
    """Refuse."""
    raise Refuse("Not on a Monday.", remedy="Come on Tuesday.")


@agent.skill
async def problem(code: str = "skill_failed") -> str:
    """Fail on purpose."""
    raise Problem("No salt.", code=code, remedy="Buy some.")


@agent.skill(retries=2)
async def third_time(ctx: Context) -> int:
    """Work at the third attempt; what the earlier ones put out is void."""
    await ctx.text(f"attempt {ctx.attempt}")
    asyncio.create_task(_late(ctx))  # noqa: RUF006
    if ctx.attempt < 3:
        raise Problem("Not yet.", retry=True)
    return ctx.attempt


async def _late(ctx: Context) -> None:
    await asyncio.sleep(0.02)
    await ctx.text("LATE")


@agent.skill
async def wrong() -> int:
    """Return another type."""
    return "seven"  # type: ignore[return-value]


@agent.skill
async def large_result() -> str:
    """Return too much."""
    return "x" * (17 << 20)


@agent.skill
async def forgot(ctx: Context) -> str:
    """Forget to await."""
    ctx.text("lost")  # type: ignore[unused-coroutine]
    ctx.state.set("k", 1)
    return "ok"


@agent.skill
async def surrogate() -> str:
    """Raise what has no UTF-8 form."""
    raise Problem("half \ud800 pair")


# --- logs -------------------------------------------------------------------------------------------


@agent.skill
async def chatty(ctx: Context, name: str) -> str:
    """Print in tasks, in threads, through logging, without a line break."""

    async def task(n: int) -> None:
        await asyncio.sleep(0.001 * (n % 3))
        print(f"{name} task {n}")

    await asyncio.gather(*[task(n) for n in range(5)])
    await asyncio.to_thread(print, f"{name} thread")
    copied = threading.Thread(target=contextvars.copy_context().run, args=(print, f"{name} copied"))
    copied.start()
    copied.join()
    logging.getLogger("chatty").info("%s logging", name)
    ctx.log(f"{name} log", "warning")
    sys.stdout.buffer.write(f"{name} bytes\n".encode())
    print(f"{name} error", file=sys.stderr)
    print(f"{name} ", end="")
    print("rest", end="", flush=True)
    return name


@agent.skill
def chatty_sync(name: str) -> str:
    """Print in a thread; a plain thread and a child process belong to no run."""
    print(f"{name} sync")
    other = threading.Thread(target=print, args=(f"{name} stray",))
    other.start()
    other.join()
    subprocess.run(["echo", f"{name} child"], stdout=sys.stdout, check=True)
    return name


# --- files and load ---------------------------------------------------------------------------------


@agent.skill
async def digest(ctx: Context, doc: File) -> list[Any]:
    """The hash of a file of any size, in constant memory, with a thread-bound open refused."""
    refused = ""
    if doc.size > 8 << 20:
        try:
            doc.open().read(1)
        except Problem as problem:
            refused = problem.detail
    found = hashlib.sha256()
    async for block in doc.aiter_chunks():
        found.update(block)
    return [doc.name, doc.media_type, doc.size, found.hexdigest(), refused, os.getpid()]


@agent.skill
def digest_sync(doc: File, back: bool = False) -> list[Any]:
    """The same in a thread, with open and seek."""
    found = hashlib.sha256()
    with doc.open() as file:
        while block := file.read(1 << 16):
            found.update(block)
        file.seek(-3, os.SEEK_END)
        tail = file.read().decode("latin-1")
    return [doc.name, doc.media_type, doc.size, found.hexdigest(), tail, os.getpid()]


@agent.skill
async def copy(ctx: Context, doc: File) -> int:
    """Give a file back: by reference, and as new bytes from disk."""
    await ctx.artifact("same", doc)
    return doc.size


@agent.skill
async def echo(text: str) -> str:
    """Say it back."""
    return text


@agent.skill
async def together(seconds: float) -> int:
    """How many of these run at once."""
    busy["now"] += 1
    busy["most"] = max(busy["most"], busy["now"])
    await asyncio.sleep(seconds)
    busy["now"] -= 1
    return busy["most"]


pair: dict[str, int] = {"now": 0, "most": 0}


@agent.skill(concurrency=2)
def pairs(seconds: float) -> int:
    """At most two of these at once."""
    pair["now"] += 1
    pair["most"] = max(pair["most"], pair["now"])
    time.sleep(seconds)
    pair["now"] -= 1
    return pair["most"]
