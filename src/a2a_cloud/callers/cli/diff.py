"""`a2a diff`: what differs between two releases, in the source, in the card, in the environment."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.colour import bold, cyan, green, put_painted, red
from a2a_cloud.callers.cli.deploy_report import show_changes
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.here import agent_and
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.callers.cli.units import count
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import obj, objs, text


@click.command("diff")
@connected
@click.argument("words", nargs=-1, metavar="[AGENT] R1 R2", shell_complete=agent_names)
def diff_command(options: Options, words: tuple[str, ...]) -> int:
    """Show what changed from release R1 of AGENT to release R2."""
    agent, (old, new) = agent_and(words, 2, "a2a diff [AGENT] R1 R2")
    params = {"from": str(old), "to": str(new)}
    answer: Any = options.ask(
        lambda platform: platform.json("GET", f"/api/v1{agent_path(agent)}/diff", params=params)
    )
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    source, card, packages = (objs(obj(answer).get(name)) for name in ("source", "card", "environment"))
    if not (source or card or packages):
        say(f"Releases {old} and {new} of {agent} do not differ.")
        return int(Exit.OK)
    for each in source:
        _file(each)
    show_changes(card, "")
    if packages:
        put(f"{count(len(packages), 'package')} changed:")
        for each in packages:
            _package(each)
    return int(Exit.OK)


def _file(change: dict[str, Any]) -> None:
    lines = text(change.get("diff")).splitlines()
    put_painted(clean_line(f"{change.get('change', 'changed')}: {change.get('path', '')}"), bold)
    if not lines:
        put("  (binary, large, or only its mode: no lines to show)")
    for line in lines:
        if line.startswith("+") and not line.startswith("+++"):
            put_painted(line, green)
        elif line.startswith("-") and not line.startswith("---"):
            put_painted(line, red)
        elif line.startswith("@@"):
            put_painted(line, cyan)
        else:
            put(line)
    put("")


def _package(change: dict[str, Any]) -> None:
    name, before, after = (text(change.get(key)) for key in ("name", "before", "after"))
    if not before:
        put_painted(clean_line(f"  + {name} {after}"), green)
    elif not after:
        put_painted(clean_line(f"  - {name} {before}"), red)
    else:
        put(clean_line(f"    {name} {before} → {after}"))
