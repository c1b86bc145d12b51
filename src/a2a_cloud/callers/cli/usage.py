"""`a2a usage`: calls, meters and money, added up by caller, agent, skill, day…"""

from __future__ import annotations

import sys
from typing import Any

import click

from a2a_cloud.callers.cli import units
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import put_json, say, table
from a2a_cloud.client.shapes import items, obj, objs, text

PATH = "/api/v1/usage"


@click.command("usage")
@connected
@click.option(
    "--by",
    default="agent,skill",
    show_default=True,
    metavar="WORDS",
    help="Some of caller, agent, skill, day, month, key, run, meter, by commas.",
)
@click.option("--since", default="", metavar="TIME", help="From then on (2026-10-01, 7d). [this month]")
@click.option("--until", default="", metavar="TIME", help="Before then. [now]")
@click.option(
    "--side",
    type=click.Choice(["agents", "callers", "own"]),
    default=None,
    help="Calls of your organisation's agents, calls that it made, or your own.",
)
@click.option("--agent", default="", metavar="NAME", help="Of this agent alone.")
@click.option("--skill", default="", metavar="ID", help="Of this skill alone.")
@click.option("--caller", default="", metavar="WHO", help="By this principal alone.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, for spreadsheets.")
def usage_command(options: Options, as_csv: bool, **said: str | None) -> int:
    """Show what was used and what it cost: calls, what was metered, money."""
    params = {name: value for name, value in said.items() if value}
    for name in ("since", "until"):
        if name in params:
            params[name] = units.written(units.since(params[name], f"--{name}"))
    if as_csv:
        params["format"] = "csv"
        body = options.ask(lambda platform: platform.bytes("GET", PATH, params=params))
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return int(Exit.OK)
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH, params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    lines, by = objs(found.get("lines")), [text(one) for one in items(found.get("by"))]
    if not lines:
        say(f"Nothing was used from {text(found.get('since'))} to {text(found.get('until'))}.")
        return int(Exit.OK)
    rows = [tuple(text(line.get(key)) or "-" for key in by) + _values(line) for line in lines]
    if by:
        rows.append(("TOTAL", *("" for _ in by[1:]), *_values(obj(found.get("total")))))
    table((*(key.upper() for key in by), "CALLS", "COMPLETED", "FAILED", "METERS", "MONEY"), rows)
    if found.get("next"):
        say("There is more: --csv has all of it.")
    return int(Exit.OK)


def _values(line: dict[str, Any]) -> tuple[str, ...]:
    return (
        *(text(line.get(name)) for name in ("calls", "completed", "failed")),
        ", ".join(_meter(one) for one in objs(line.get("meters"))) or "-",
        ", ".join(_money(one) for one in objs(line.get("money"))) or "-",
    )


def _money(one: dict[str, Any]) -> str:
    return f"{text(one.get('value'))} {text(one.get('currency'))}"


def _meter(one: dict[str, Any]) -> str:
    unit = text(one.get("unit"))
    word = text(one.get("meter"))
    return f"{text(one.get('qty'))} {word}" + (f" ({unit})" if unit and unit != word else "")
