"""`a2a access explain`: who may call an agent or a skill, and why."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.shapes import obj, objs

_SAID = {True: "yes", False: "no", None: "-"}


@click.group("access")
def access_command() -> None:
    """See who may call what, and why."""


@access_command.command("explain")
@connected
@click.argument("words", nargs=-1, required=True, metavar="[PRINCIPAL] AGENT[/SKILL]")
def explain(options: Options, words: tuple[str, ...]) -> int:
    """Say whether PRINCIPAL may call it, rule by rule; without one, for everybody that is known.

    PRINCIPAL is `name@org`, a member's e-mail address, the id of a key, `anonymous` or `me`.
    """
    if len(words) > 2:
        raise click.UsageError("Name at most a principal and an agent.")
    who, target = words[:-1], "".join(words[-1:])
    agent, _, skill = target.partition("/")
    wanted = {"agent": agent, "skill": skill, "principal": who[0] if who else ""}
    params = {name: value for name, value in wanted.items() if value}
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/access", params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = objs(obj(answer).get("callers"))
    for each in found:
        verdict = "may call" if each.get("allowed") else "may not call"
        put(clean_line(f"{each.get('who')} ({each.get('via')}, {each.get('role')}) {verdict} {target}"))
        if who or len(found) == 1:
            for rule in objs(each.get("rules")):
                allows = rule.get("allows")
                put(clean_line(f"  {_SAID.get(allows, '-'):<3}  {rule.get('name')}: {rule.get('why')}"))
        elif not each.get("allowed"):
            put(clean_line(f"  {each.get('why')}"))
    if not obj(answer).get("complete"):
        say("There are more: name a principal.")
    return int(Exit.OK)
