"""The tester: does what it is asked to, so that somebody else can be tested.

Each skill shows one behaviour of an agent. The message handler chooses one by how the messageId begins, as
`behaviours.toml` says, because compatibility kits have no other way to ask for one.
"""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Annotated, Any

from a2a_cloud import Agent, Context, File, Problem, Refuse

agent = Agent("tester")

#: messageId's beginning → {"skill": …, and its arguments}; the longest first.
BEHAVIOURS: list[tuple[str, dict[str, Any]]] = sorted(
    tomllib.loads((Path(__file__).parent / "behaviours.toml").read_text("utf-8")).items(),
    key=lambda entry: -len(entry[0]),
)


@agent.message
async def on_message(ctx: Context) -> Any:
    """Behave as the message's id says."""
    for prefix, behaviour in BEHAVIOURS:
        if ctx.message.message_id.startswith(prefix):
            arguments = {
                name: ctx.message.text if value == "{text}" else value
                for name, value in behaviour.items()
                if name != "skill"
            }
            return await ctx.route(behaviour["skill"], **arguments)
    raise Refuse("No behaviour is set for this messageId.", remedy='Add one for "" to behaviours.toml.')


@agent.skill(tags=["complete"])
async def complete(ctx: Context, message: str = "") -> None:
    """Complete the task, with a status message if there is one.

    Args:
        message: What the last status says; nothing: the task completes in silence.
    """
    if message:
        ctx.reply(message, task=True)


@agent.skill(tags=["message"])
async def answer(ctx: Context, text: str = "Here you are.") -> None:
    """Answer with a Message and no task."""
    ctx.reply(text)


@agent.skill(tags=["artifact"])
async def text_artifact(ctx: Context, text: str = "Some words.", name: str = "words") -> None:
    """Make an artifact with a text part."""
    await ctx.artifact(name, text, media_type="text/plain")


@agent.skill(tags=["artifact"])
async def file_artifact(
    ctx: Context, content: str = "Some words.", name: str = "words.txt", media_type: str = "text/plain"
) -> None:
    """Make an artifact with a file part that carries its bytes."""
    await ctx.artifact(name, File.from_bytes(name, content.encode(), media_type))


@agent.skill(tags=["artifact"])
async def url_artifact(
    ctx: Context,
    url: str = "https://example.com/words.txt",
    name: str = "words.txt",
    media_type: str = "text/plain",
) -> None:
    """Make an artifact with a file part that only names a url."""
    await ctx.artifact(name, url=url, media_type=media_type)


@agent.skill(tags=["artifact"])
async def data_artifact(ctx: Context, value: dict[str, Any], name: str = "value") -> None:
    """Make an artifact with a data part.

    Args:
        value: Any JSON object.
        name: The artifact's name.
    """
    await ctx.artifact(name, value)


@agent.skill(tags=["artifact", "file"])
async def give_back(
    ctx: Context, file: Annotated[File, "text/plain", "image/png", "application/pdf"]
) -> dict[str, Any]:
    """Give a file back as an artifact, and say what it was."""
    content = await file.aread()
    await ctx.artifact(file.name or "file", content, media_type=file.media_type)
    return {"name": file.name, "mediaType": file.media_type, "size": len(content)}


@agent.skill(tags=["input-required"])
async def ask(ctx: Context, question: str = "Which law governs?", times: int = 1) -> str:
    """Ask, and complete with what was answered.

    Args:
        question: What to ask.
        times: How often, one question after the other.
    """
    answers = [str(await ctx.ask(question)) for _ in range(min(times, 10))]
    return "Answered: " + ", ".join(answers)


@agent.skill(tags=["auth-required"])
async def authorize(ctx: Context, reason: str = "To go on.") -> str:
    """Ask for more than the run may do: the task is auth-required until somebody decides."""
    scope = await ctx.request_scope(read=["tester/locked/**"], reason=reason)
    return "Allowed to read: " + ", ".join(scope.read)


@agent.skill(tags=["rejected"])
async def reject(why: str = "Not today.") -> None:
    """Refuse: the task is rejected."""
    raise Refuse(why)


@agent.skill(tags=["failed"])
async def fail(why: str = "It went wrong.") -> None:
    """Fail: the task is failed."""
    raise Problem(why, remedy="Ask for another behaviour.")


@agent.skill(tags=["slow"])
async def slow(ctx: Context, seconds: float = 2.0, message: str = "") -> None:
    """Work for some seconds, then complete.

    Args:
        seconds: How long, at most 30.
        message: What the last status says.
    """
    ctx.progress("working", 0, "Working")
    await asyncio.sleep(min(max(seconds, 0.0), 30.0))
    if message:
        ctx.reply(message, task=True)


@agent.skill(tags=["stream"])
async def stream(ctx: Context, chunks: list[str], name: str = "stream", seconds: float = 0.0) -> None:
    """Make one artifact piece by piece.

    Args:
        chunks: The pieces, at most 1,000.
        name: The artifact's name.
        seconds: How long to wait before each piece, at most 5.
    """
    ctx.progress("streaming", 0, "Streaming")
    for number, chunk in enumerate(chunks[:1000], 1):
        await asyncio.sleep(min(max(seconds, 0.0), 5.0))
        await ctx.artifact(name, chunk, append=number > 1, last=number == len(chunks))
