"""`a2a limits`: what limits hold and how far they are used, and an organisation's own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import items, obj, text

PATH = "/api/v1/limits"
_WORDS = {
    "requests": "requests of any kind",
    "calls": "calls",
    "runs": "runs at a time",
    "day": "calls of a skill in a day",
    "month": "calls of a skill in a month",
}
_ORG = click.option("--org", default="", metavar="NAME", help="Of this organisation (who runs the platform).")


@click.group("limits")
def limits_command() -> None:
    """See what limits hold for you and your organisation, and set them."""


@limits_command.command("show")
@connected
@click.argument("agent", metavar="[AGENT]", default="")
@_ORG
def show(options: Options, agent: str, org: str) -> int:
    """Show what you may do, with AGENT also what it allows and how much of your budgets is used."""
    params = {name: value for name, value in (("agent", agent), ("org", org)) if value}
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH, params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    own = obj(found.get("limits"))
    for name, words in _WORDS.items():
        said = f", {text(found.get('running'))} now" if name == "runs" else ""
        put(clean_line(f"{words:28}{text(own.get(name))}{said}"))
    if agent:
        _show_agent(agent, obj(found.get("agent")))
    rules = obj(found.get("rules"))
    if rules:
        put("")
        table(
            ("SET FOR", *_WORDS),
            [(target, *(text(obj(rule).get(name, "")) for name in _WORDS)) for target, rule in rules.items()],
        )
    elif "rules" in found:
        say(f"Nothing is set: {options.command('limits', 'set', 'callers', 'calls=100/s')}")
    return int(Exit.OK)


def _show_agent(name: str, agent: dict[str, Any]) -> None:
    put("")
    put(clean_line(f"{name}: {_rate(agent.get('rate'))} by all callers"))
    rows: list[tuple[str, ...]] = []
    used = obj(agent.get("used"))
    skills = obj(agent.get("skills"))
    for skill, counts in used.items():
        said, use = obj(skills.get(skill)), obj(counts)
        took = obj(said.get("latency"))
        latency = f"{text(took.get('p50'))} s, {text(took.get('p95'))} s" if took else ""
        rows.append(
            (
                skill or "(messages)",
                *(" of ".join(text(each) for each in items(use.get(span))) for span in ("day", "month")),
                _rate(said.get("rate")),
                _rate(said.get("callerRate")),
                latency,
            )
        )
    table(("SKILL", "TODAY", "THIS MONTH", "OF ALL", "OF EACH", "TAKES (HALF, 95 OF 100)"), rows)


def _rate(value: Any) -> str:
    rate = obj(value)
    return f"{text(rate.get('quota'))} in {text(rate.get('window'))} s" if rate else ""


@limits_command.command("set")
@connected
@click.argument("target", metavar="TARGET")
@click.argument("values", metavar="NAME=VALUE…", nargs=-1, required=True)
@_ORG
def set_limits(options: Options, target: str, values: tuple[str, ...], org: str) -> int:
    """Set limits of TARGET: callers (everybody of the organisation), caller:NAME or key:ID; who runs the
    platform also ceiling, anonymous and sign-in.

    NAME is requests or calls (a rate: 10/s, 600/min), runs (at a time), day or month (calls of a skill). An
    empty VALUE takes a limit away.
    """
    body = dict(_value(each) for each in values)
    answer: Any = options.ask(
        lambda platform: platform.json("PUT", _at(target), params=_params(org), body=body)
    )
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    now = obj(obj(answer).get("limits"))
    put(clean_line(f"{target}: {', '.join(f'{name} {text(value)}' for name, value in now.items())}"))
    return int(Exit.OK)


@limits_command.command("rm")
@connected
@click.argument("target", metavar="TARGET")
@_ORG
def rm(options: Options, target: str, org: str) -> int:
    """Take away what is set for TARGET: back to what is usual."""
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _at(target), params=_params(org)))
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"{target} has the usual limits again."))
    return int(Exit.OK)


def _at(target: str) -> str:
    return f"{PATH}/{quote(target, safe='')}"


def _params(org: str) -> dict[str, str]:
    return {"org": org} if org else {}


def _value(said: str) -> tuple[str, str | int | None]:
    """A limit's name and value. Raises Failure (usage)."""
    name, equals, value = said.partition("=")
    if not equals or name not in _WORDS:
        raise Failure(
            Exit.USAGE,
            f"{said!r} is no limit.",
            remedy=f"Write one of {', '.join(f'{one}=…' for one in _WORDS)}.",
        )
    if not value:
        return name, None
    if name in ("requests", "calls"):
        return name, value
    if not (value.isascii() and value.isdigit() and len(value) <= 13):
        raise Failure(Exit.USAGE, f"{name} is {value!r}.", remedy=f"Write a whole number: {name}=100.")
    return name, int(value)
