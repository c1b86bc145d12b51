"""`a2a answer`: answer a question that a run asked, and follow what comes of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.ask import ask_person, example_words, part_from_words, show_question
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.follow import Follower, answered
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import interactive, put_json, say
from a2a_cloud.client.http import Platform


async def task_view(platform: Platform, task_id: str) -> dict[str, Any]:
    """The platform's view of a task: agent, org, state, question, runs."""
    return await platform.json("GET", f"/api/v1/tasks/{quote(task_id, safe='')}")


def agent_of(task: dict[str, Any]) -> str:
    """How the agent of a task is addressed: `name`, or `org.name` outside the default organisation."""
    agent, org = str(task.get("agent", "")), str(task.get("org", ""))
    return agent if "." in agent or org in ("", "default") else f"{org}.{agent}"


@click.command("answer")
@connected
@click.argument("task")
@click.argument("words", nargs=-1, metavar="[VALUE|k=v…]")
@click.option("--agent", default="", metavar="NAME", help="The task's agent (anonymous callers need it).")
@click.option("--stream", is_flag=True, help="Show text as it comes (with --json: each event, a line each).")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for the end.")
@click.option("--out", default="", metavar="DIR", help="Save the artifacts there.")
def answer_command(
    options: Options,
    task: str,
    words: tuple[str, ...],
    agent: str,
    stream: bool,
    timeout: float | None,
    out: str,
) -> int:
    """Answer the question of TASK, then wait as `a2a call` does.

    VALUE is text (or JSON where the question asks for something else); k=v and k:=json fill an object.
    Without a value the question is asked on the terminal.
    """
    question: dict[str, Any] | None = None
    if not agent or not words:
        view = options.ask(lambda platform: task_view(platform, task))
        agent = agent or agent_of(view)
        question = view.get("question")
        if question is None and view.get("state") != "input-required":
            raise Failure(
                Exit.USAGE,
                f"The task is not waiting for an answer: it is {view.get('state')}.",
                code="not_waiting",
            )
    part: dict[str, Any] | None = None
    if not words:
        if options.json or not interactive():
            return _unanswered(options, task, question)
        part = ask_person(question)
    follower = Follower(options, agent, stream=stream, out=out, timeout=timeout)
    follower.attach(task)
    return follower.run(
        lambda watched: answered(watched, lambda asked: part or part_from_words(words, asked or question))
    )


def _unanswered(options: Options, task: str, question: dict[str, Any] | None) -> int:
    if options.json:
        put_json({"task_id": task, "state": "input-required", "question": question})
    show_question(question)
    say(f"Answer it with: {options.command('answer', task, *example_words(question))}")
    return int(Exit.INPUT_REQUIRED)
