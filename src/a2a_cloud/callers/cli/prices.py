"""`a2a prices`: what an agent's skills cost, and their versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import items, obj, objs, text

EVERY = "*"


@click.group("prices")
def prices_command() -> None:
    """See what skills cost, and set it."""


@prices_command.command("ls")
@connected
@click.argument("agent")
@click.option("--all", "every", is_flag=True, help="Every version, not only those that hold.")
def ls(options: Options, agent: str, every: bool) -> int:
    """List the prices of AGENT."""
    params = {"all": "true"} if every else {}
    answer: Any = options.ask(lambda platform: platform.json("GET", _at(agent), params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("prices"))
    if not rows:
        say(
            f"{agent} costs nothing. Set a price: {options.command('prices', 'set', agent, '--call', '0.05')}"
        )
        return int(Exit.OK)
    table(
        ("SKILL", "VERSION", "PRICE", "SINCE"),
        [
            (text(one.get("skill")), text(one.get("version")), price_text(one), text(one.get("at")))
            for one in rows
        ],
    )
    return int(Exit.OK)


@prices_command.command("show")
@connected
@click.argument("target", metavar="AGENT[/SKILL]")
def show(options: Options, target: str) -> int:
    """Show what a call of SKILL costs, or of skills without a price of their own."""
    agent, skill = _target(target)
    answer: Any = options.ask(lambda platform: platform.json("GET", _at(agent)))
    rows = {text(one.get("skill")): one for one in objs(obj(answer).get("prices"))}
    found = rows.get(skill) or rows.get(EVERY)
    if options.json:
        put_json(found)
    elif found is None:
        put(clean_line(f"{target} costs nothing."))
    else:
        put(clean_line(f"{target}: {price_text(found)} (version {text(found.get('version'))})"))
    return int(Exit.OK)


@prices_command.command("set")
@connected
@click.argument("target", metavar="AGENT[/SKILL]")
@click.option("--call", "each", default="", metavar="AMOUNT", help="Of each call.")
@click.option(
    "--meter", "meters", multiple=True, metavar="NAME=AMOUNT[/UNITS]", help="Of a meter: tokens=2.00/1000000."
)
@click.option(
    "--flat", default="", metavar="AMOUNT[/day]", help="A fee of each caller for a month or day; covers all."
)
@click.option(
    "--tier", "tiers", multiple=True, metavar="[UPTO:]AMOUNT", help="Of each call, up to so many a month."
)
@click.option(
    "--free-calls", type=click.IntRange(0), default=0, metavar="N", help="Free for each caller and month."
)
@click.option(
    "--free", "frees", multiple=True, metavar="METER=N", help="Free units for each caller and month."
)
@click.option("--most", default="", metavar="AMOUNT", help="What a call costs at most; needed with --meter.")
@click.option("--currency", default="USD", show_default=True, metavar="CODE", help="ISO 4217, or credits.")
@click.option("--charge-failed", is_flag=True, help="Calls that fail cost too.")
@click.option(
    "--platform-share", type=click.IntRange(0, 10_000), help="Basis points (who runs the platform)."
)
@click.option(
    "--file",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="All of it, as JSON.",
)
def set_price(
    options: Options,
    target: str,
    each: str,
    meters: tuple[str, ...],
    flat: str,
    tiers: tuple[str, ...],
    free_calls: int,
    frees: tuple[str, ...],
    most: str,
    currency: str,
    charge_failed: bool,
    platform_share: int | None,
    source: Path | None,
) -> int:
    """Set what SKILL of AGENT costs, or all its skills that have no price of their own. This makes a further
    version; calls that have begun go by the one before."""
    agent, skill = _target(target)
    body: dict[str, Any] = {"currency": currency}
    if source is not None:
        try:
            body = obj(json.loads(source.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise Failure(Exit.USAGE, f"{source} is no JSON: {error}") from None
    if each:
        body["call"] = each
    if flat:
        amount, _, period = flat.partition("/")
        body["flat"] = {"amount": amount, "period": period or "month"}
    if tiers:
        body["tiers"] = [_tier(one) for one in tiers]
    if meters:
        body["meters"] = dict(_meter(one) for one in meters)
    for one in frees:
        name, _, count = one.partition("=")
        meter = obj(obj(body.get("meters")).get(name))
        if not meter or not count.isdecimal():
            raise Failure(Exit.USAGE, f"--free {one} names no --meter.", remedy="Write --free tokens=10000.")
        meter["free"] = int(count)
    for name, value in (("free_calls", free_calls), ("most", most), ("charge_failed", charge_failed)):
        if value:
            body[name] = value
    if platform_share is not None:
        body["platform_share"] = platform_share
    answer: Any = options.ask(lambda platform: platform.json("PUT", _at(agent, skill), body=body))
    return _done(options, target, answer)


@prices_command.command("rm")
@connected
@click.argument("target", metavar="AGENT[/SKILL]")
def rm(options: Options, target: str) -> int:
    """Let it cost nothing from now on, whatever AGENT's other skills cost."""
    agent, skill = _target(target)
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _at(agent, skill)))
    return _done(options, target, answer)


def price_text(price: dict[str, Any]) -> str:
    """A price in a line."""
    currency = text(price.get("currency"))
    said: list[str] = []
    flat = obj(price.get("flat"))
    if price.get("free"):
        return "nothing"
    if flat:
        said.append(f"{text(flat.get('amount'))} {currency} a {text(flat.get('period')) or 'month'}")
    if price.get("call"):
        said.append(f"{text(price.get('call'))} {currency} a call")
    said += _tiers_text(price, currency, "a call")
    for name, one in obj(price.get("meters")).items():
        meter = obj(one)
        units = text(meter.get("units"))
        per = f"for {units} {name}" if units else f"for each of {name}"
        said += (
            [f"{text(meter.get('each'))} {currency} {per}"]
            if meter.get("each")
            else _tiers_text(meter, currency, per)
        )
        if meter.get("free"):
            said.append(f"{text(meter.get('free'))} {name} free")
    if price.get("free_calls"):
        said.append(f"{text(price.get('free_calls'))} calls free")
    if price.get("most"):
        said.append(f"{text(price.get('most'))} {currency} at most")
    if price.get("charge_failed"):
        said.append("failed calls too")
    return ", ".join(said)


def _tiers_text(of: dict[str, Any], currency: str, per: str) -> list[str]:
    return [
        f"{text(tier.get('each'))} {currency} {per}"
        + (f" up to {text(tier['up_to'])}" if tier.get("up_to") else "")
        for tier in objs(items(of.get("tiers")))
    ]


def _done(options: Options, target: str, answer: Any) -> int:
    if options.json:
        put_json(answer)
    else:
        price = obj(answer)
        put(clean_line(f"{target}: {price_text(price)} (version {text(price.get('version'))})"))
    return int(Exit.OK)


def _target(target: str) -> tuple[str, str]:
    agent, _, skill = target.partition("/")
    return agent, skill or EVERY


def _tier(said: str) -> dict[str, Any]:
    up_to, colon, each = said.rpartition(":")
    if colon and not up_to.isdecimal():
        raise Failure(
            Exit.USAGE, f"--tier {said} begins with no number.", remedy="Write --tier 1000:0.05 --tier 0.03."
        )
    return {"each": each, **({"up_to": int(up_to)} if colon else {})}


def _meter(said: str) -> tuple[str, dict[str, Any]]:
    name, equals, price = said.partition("=")
    each, slash, units = price.partition("/")
    if not equals or (slash and not units.isdecimal()):
        raise Failure(Exit.USAGE, f"--meter {said} is no price.", remedy="Write --meter tokens=2.00/1000000.")
    return name, {"each": each, **({"units": int(units)} if slash else {})}


def _at(agent: str, skill: str = "") -> str:
    path = f"/api/v1/agents/{quote(agent, safe='')}/prices"
    return f"{path}/{quote(skill, safe='')}" if skill else path
