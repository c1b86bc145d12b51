"""`a2a billing clock`: billing's time, and putting it forward on a test platform."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli import units
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json
from a2a_cloud.client.shapes import obj, text

PATH = "/api/v1/billing/clock"


@click.group("billing")
def billing_command() -> None:
    """See billing's clock, and put it forward in tests."""


@billing_command.group("clock")
def clock() -> None:
    """See billing's clock, and put it forward in tests."""


@clock.command("show")
@connected
def show(options: Options) -> int:
    """Show billing's time."""
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH))
    return _told(options, answer)


@clock.command("advance")
@connected
@click.argument("time", metavar="TIME")
def advance(options: Options, time: str) -> int:
    """Put billing's clock forward by TIME (31d, 2h), on a platform that was started with A2A_TEST_CLOCK=1.

    Receipts, tokens and logs keep the true time.
    """
    body = {"seconds": units.duration(time, "TIME")}
    answer: Any = options.ask(lambda platform: platform.json("POST", PATH, body=body))
    return _told(options, answer)


def _told(options: Options, answer: Any) -> int:
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    ahead = found.get("ahead")
    days = f", {ahead / 86_400:.1f} days ahead" if isinstance(ahead, int | float) and ahead else ""
    put(clean_line(f"{text(found.get('now'))}{days}"))
    return int(Exit.OK)
