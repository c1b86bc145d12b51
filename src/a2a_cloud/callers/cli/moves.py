"""`a2a rollback`, `promote`, `deprecate`: which release answers. Pointers move; nothing is built."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_and, agent_named, release_number
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json
from a2a_cloud.callers.cli.units import moment, written
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import obj, text


def ask_agent(options: Options, method: str, agent: str, rest: str, body: Any = None) -> dict[str, Any]:
    """One request to the control API about an agent; its answer."""
    path = f"/api/v1{agent_path(agent)}{rest}"
    return obj(options.ask(lambda platform: platform.json(method, path, body=body)))


@click.command("rollback")
@connected
@click.argument("words", nargs=-1, metavar="[AGENT] [R]", shell_complete=agent_names)
def rollback_command(options: Options, words: tuple[str, ...]) -> int:
    """Go back to release R of AGENT, or to the one that served before."""
    usage = "a2a rollback [AGENT] [R]"
    numbered = len(words) > 1 or (len(words) == 1 and words[0].isdigit())
    agent, numbers = agent_and(words, 1 if numbered else 0, usage)
    body = {"release": numbers[0]} if numbers else {}
    answer = ask_agent(options, "POST", agent, "/rollback", body)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    came, to = answer.get("from"), text(answer.get("to"))
    if came == answer.get("to"):
        put(clean_line(f"Release {to} of {agent} serves already."))
        return int(Exit.OK)
    instead = f" instead of {came}" if came else ""
    put(clean_line(f"Release {to} of {agent} serves{instead}. Runs in flight end where they began."))
    if came:
        put(f"The way forward: {options.command('rollback', agent, str(came))}")
    return int(Exit.OK)


@click.command("promote")
@connected
@click.argument("words", nargs=-1, metavar="[AGENT] R", shell_complete=agent_names)
@click.option(
    "--weight",
    type=click.IntRange(0, 100),
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="Share of new calls: 100 switches, 1 to 99 tries it, 0 ends the trial.",
)
@click.option("--gate", type=click.FloatRange(0, 1), help="Only if its score by its own rubric is that good.")
def promote_command(options: Options, words: tuple[str, ...], weight: int, gate: float | None) -> int:
    """Let release R of AGENT answer new calls, or a share of them."""
    agent, (number,) = agent_and(words, 1, "a2a promote [AGENT] R")
    body: dict[str, Any] = {"release": number, "weight": weight}
    if gate is not None:
        body["gate"] = gate
    answer = ask_agent(options, "POST", agent, "/promote", body)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    command = options.command
    if weight == 100:
        put(clean_line(f"Release {number} of {agent} serves."))
        put(f"The way back: {command('rollback', agent)}")
    elif weight:
        put(clean_line(f"Release {number} of {agent} gets {weight} % of new calls."))
        put(f"All of them:  {command('promote', agent, str(number))}")
        put(f"None of them: {command('promote', agent, str(number), '--weight', '0')}")
    else:
        put(clean_line(f"Release {number} of {agent} gets no share of new calls any more."))
        put(f"What serves: {command('releases', agent)}")
    return int(Exit.OK)


@click.command("deprecate")
@connected
@click.argument("name", metavar="AGENT@MAJOR", shell_complete=agent_names)
@click.option("--until", default="", metavar="DATE", help="When it ends: 2027-01-31, or a time with a zone.")
@click.option("--undo", is_flag=True, help="Take the deprecation back.")
def deprecate_command(options: Options, name: str, until: str, undo: bool) -> int:
    """Announce the end of a major version: it answers until DATE, with Deprecation and Sunset headers."""
    if bool(until) == undo:
        raise Failure(
            Exit.USAGE,
            "Say when the version ends, or take it back, not both." if undo else "No date is given.",
            remedy="Write --until 2027-01-31, or --undo.",
        )
    word, at, number = name.rpartition("@")
    if not at or not number.isdigit():
        raise Failure(
            Exit.USAGE,
            f"{name!r} names no major version.",
            remedy="Write AGENT@MAJOR, such as greeter@1, or @1 in the agent's folder.",
        )
    agent = agent_named(word)
    major = 0 if number == "0" else release_number(number)
    end = written(moment(until, "--until")) if until else None
    answer = ask_agent(options, "POST", agent, "/deprecate", {"major": major, "until": end})
    if options.json:
        put_json(answer)
    elif end is None:
        put(clean_line(f"{agent}@{major} is not deprecated any more."))
    else:
        put(clean_line(f"{agent}@{major} answers until {end}, and says so in each answer; then 410."))
        put(f"Take it back: {options.command('deprecate', f'{agent}@{major}', '--undo')}")
    return int(Exit.OK)
