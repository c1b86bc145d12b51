"""`a2a budgets`: what an organisation's callers may spend."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import items, obj, objs, text

PATH = "/api/v1/budgets"


@click.group("budgets")
def budgets_command() -> None:
    """See what callers may spend, and set it."""


@budgets_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List your organisation's budgets, and what is left of each."""
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("budgets"))
    if not rows:
        say(f"No budgets. Set one: {options.command('budgets', 'set', 'NAME', '--amount', '5.00')}")
        return int(Exit.OK)
    lines: list[tuple[str, ...]] = []
    for one in rows:
        each = "each" if one.get("each") else ""
        most = (
            f"{text(one.get('amount'))} {text(one.get('currency'))} {text(one.get('period'))} {each}".rstrip()
        )
        for use in objs(one.get("used")) or [{}]:
            spent, held = text(use.get("spent", "0")), text(use.get("held", "0"))
            left = text(use.get("left", one.get("amount")))
            lines.append(
                (text(one.get("name")), most, _who(one, text(use.get("caller", ""))), spent, held, left)
            )
    table(("NAME", "AMOUNT", "FOR", "SPENT", "HELD", "LEFT"), lines)
    return int(Exit.OK)


@budgets_command.command("set")
@connected
@click.argument("name")
@click.option("--amount", required=True, metavar="AMOUNT", help="What may be spent: 5.00.")
@click.option("--currency", default="USD", show_default=True, metavar="CODE", help="ISO 4217, or credits.")
@click.option("--period", type=click.Choice(["day", "month", "total"]), default="month", show_default=True)
@click.option(
    "--caller", "callers", multiple=True, metavar="NAME", help="Of these callers; several share it."
)
@click.option("--key", "keys", multiple=True, metavar="ID", help="Of calls with these keys.")
@click.option("--agent", "agents", multiple=True, metavar="NAME", help="Of calls of these agents.")
@click.option("--skill", "skills", multiple=True, metavar="AGENT/SKILL", help="Of calls of these skills.")
@click.option("--each", is_flag=True, help="Every caller has the amount, instead of all together.")
def set_budget(
    options: Options,
    name: str,
    amount: str,
    currency: str,
    period: str,
    callers: tuple[str, ...],
    keys: tuple[str, ...],
    agents: tuple[str, ...],
    skills: tuple[str, ...],
    each: bool,
) -> int:
    """Set the budget NAME, or change it. Without --caller and the like it is for everybody and everything."""
    body = {
        "amount": amount,
        "currency": currency,
        "period": period,
        "callers": list(callers),
        "keys": list(keys),
        "agents": list(agents),
        "skills": list(skills),
        "each": each,
    }
    answer: Any = options.ask(lambda platform: platform.json("PUT", _at(name), body=body))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    made = obj(answer)
    resets = f", anew at {text(made.get('resets'))}" if made.get("resets") else ""
    put(clean_line(f"{name}: {text(made.get('amount'))} {text(made.get('currency'))} a {period}{resets}"))
    return int(Exit.OK)


@budgets_command.command("rm")
@connected
@click.argument("name")
def rm(options: Options, name: str) -> int:
    """Take the budget NAME away."""
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _at(name)))
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"{name} is gone."))
    return int(Exit.OK)


def _who(budget: dict[str, Any], caller: str) -> str:
    said = [*items(budget.get("callers")), *items(budget.get("keys")), *items(budget.get("agents"))]
    said += items(budget.get("skills"))
    return caller or ", ".join(text(one) for one in said) or "all"


def _at(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"
