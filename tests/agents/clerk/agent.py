"""An agent that does in its workspace what the tests tell it to, step by step, and says how it went."""

from __future__ import annotations

import asyncio
from typing import Any

from a2a_cloud import Context, Entry, File, Problem, ScopeDenied, skill

Step = dict[str, Any]


async def do(ctx: Context, step: Step) -> Any:
    """One step; what is refused is told and not raised."""
    try:
        return await _do(ctx, dict(step))
    except ScopeDenied as denied:
        return {"refused": denied.code, "detail": denied.detail, "expired": denied.expired}
    except Problem as problem:
        return {"refused": problem.code, "detail": problem.detail, "remedy": problem.remedy}


async def _do(ctx: Context, step: Step) -> Any:
    files = ctx.workspace
    kind = step.pop("do")
    path = step.get("path", "")
    if path.startswith("~/"):  # The run's own folder.
        path = await files.output + path[2:]
    match kind:
        case "read":
            return await files.read_text(path)
        case "write":
            return shown(await files.write(path, step["text"]))
        case "append":
            return shown(await files.append(path, step["text"]))
        case "stat":
            return shown(await files.stat(path))
        case "list":
            return [entry.path for entry in await files.list(path)]
        case "glob":
            return [entry.path for entry in await files.glob(step["pattern"])]
        case "copy":
            return shown(await files.copy(path, step["target"]))
        case "delete":
            return await files.delete(path)
        case "keep":
            return await files.keep()
        case "info":
            info = await files.info()
            return {"workspace": info.workspace, "base": info.base, "prefix": info.prefix}
        case "ask":
            return await ctx.ask(step["question"], str)
        case "sleep":
            return await ctx.sleep(step["seconds"])
        case "busy":
            return await asyncio.sleep(step["seconds"])
        case "call":
            return await ctx.call(step["agent"], step["skill"], **step.get("arguments", {}))
        case "scope":
            scope = await ctx.request_scope(**step["wants"])
            return {"read": list(scope.read), "write": list(scope.write), "grant": scope.grant,
                    "approval": scope.approval, "seconds": scope.seconds}  # fmt: skip
        case "until":
            return await until(ctx, step["path"])
        case "fail":
            raise RuntimeError("as told")
        case _:
            raise Problem(f"Nobody knows how to {kind}.")


def shown(entry: Entry | None) -> Any:
    """An entry as JSON."""
    if entry is None:
        return None
    return {"path": entry.path, "kind": entry.kind, "size": entry.size, "sha256": entry.sha256}


async def until(ctx: Context, path: str) -> dict[str, Any]:
    """Write again and again until that is refused."""
    for count in range(1500):
        try:
            await ctx.workspace.write(path, str(count))
        except Problem as problem:
            return {"refused": problem.code, "detail": problem.detail, "count": count}
        await asyncio.sleep(0.02)
    raise Problem("It was never refused.")


@skill
async def work(ctx: Context, steps: list[Step]) -> list[Any]:
    """Do the steps in order; `fail` ends the run."""
    return [await do(ctx, step) for step in steps]


@skill(durable=True)
async def lasting(ctx: Context, steps: list[Step]) -> list[Any]:
    """As `work`, and goes on after a crash."""
    return [await do(ctx, step) for step in steps]


@skill(timeout=2)
async def hasty(ctx: Context, steps: list[Step]) -> list[Any]:
    """As `work`, in two seconds."""
    return [await do(ctx, step) for step in steps]


@skill
async def strict(ctx: Context, steps: list[Step]) -> list[Any]:
    """As `work`; what is refused ends the run."""
    return [await _do(ctx, dict(step)) for step in steps]


@skill
async def flood(ctx: Context, count: int, size: int) -> int:
    """Write that many files at once, none waiting for another."""
    folder = await ctx.workspace.output
    await asyncio.gather(
        *(
            ctx.workspace.write(f"{folder}{number}", number.to_bytes(4) * (size // 4))
            for number in range(count)
        )
    )
    return len(await ctx.workspace.list(folder.rstrip("/")))


@skill
async def pour(ctx: Context, path: str, blocks: int) -> dict[str, Any]:
    """Write that many blocks of 1 MiB in a stream, and read them back in one; in a jail of little memory."""
    async with ctx.workspace.open(path, "wb") as out:
        for number in range(blocks):
            await out.write(bytes([number % 251]) * (1 << 20))
    read = 0
    async with ctx.workspace.open(path, "rb") as back:
        async for block in back:
            if block.count(block[0]) != len(block) and read % (1 << 20) == 0 and len(block) <= 1 << 20:
                raise Problem(f"The block at {read} is damaged.")
            read += len(block)
    return {"read": read, "entry": shown(await ctx.workspace.stat(path))}


@skill
async def file_away(ctx: Context, file: File, path: str) -> dict[str, Any]:
    """Adopt a file of the caller's."""
    entry = await ctx.workspace.adopt(path, file)
    return {"entry": shown(entry), "copy": shown(await ctx.workspace.copy(path, path + ".copy"))}


@skill
def by_turns(ctx: Context, path: str) -> str:
    """A sync skill: everything blocks."""
    with ctx.workspace.open(path, "w") as out:
        out.write("one\n")
        out.write("two\n")
    ctx.workspace.append(path, "three\n")
    with ctx.workspace.open(path, "r") as lines:
        return " ".join(line.strip() for line in lines)
