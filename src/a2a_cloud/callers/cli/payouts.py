"""`a2a payouts`: what an organisation earned with its agents, and that it was paid out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from a2a_cloud.callers.cli.credits import once
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.invoices import amount_of
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

PATH = "/api/v1/payouts"
_PARTS = ("opening", "earned", "refunded", "paid_out", "closing")


@click.group("payouts")
def payouts_command() -> None:
    """See what your organisation's agents earn, and record payouts."""


@payouts_command.command("statement")
@connected
@click.option("--month", default="", metavar="MONTH", help="Such as 2026-10. [this month]")
@click.option("--org", default="", metavar="NAME", help="Of this organisation (who keeps the books).")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, for spreadsheets.")
@click.option("--html", default="", metavar="FILE", help="Write it as HTML.")
def statement(options: Options, month: str, org: str, as_csv: bool, html: str) -> int:
    """Show what was earned in a month, by day and skill, and what is left to be paid out."""
    params = {name: value for name, value in (("month", month), ("org", org)) if value}
    if as_csv or html:
        params["format"] = "csv" if as_csv else "html"
        body = options.ask(lambda platform: platform.bytes("GET", PATH, params=params))
        if as_csv:
            sys.stdout.buffer.write(body)
            sys.stdout.buffer.flush()
            return int(Exit.OK)
        try:
            Path(html).expanduser().write_bytes(body)
        except OSError as error:
            raise Failure(
                Exit.FAILED, f"{html} can't be written: {error.strerror}.", remedy="Name another file."
            ) from None
        say(f"Wrote {html}.")
        return int(Exit.OK)
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH, params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    totals = objs(found.get("totals"))
    if not totals:
        say(f"{text(found.get('org'))} has earned nothing.")
        return int(Exit.OK)
    lines = objs(found.get("lines"))
    if lines:
        names = ("day", "kind", "agent", "skill", "calls")
        table(
            (*(name.upper() for name in names), "AMOUNT"),
            [(*(text(one.get(name)) or "-" for name in names), amount_of(one, "amount")) for one in lines],
        )
        put("")
    table(
        ("BEFORE", "EARNED", "REFUNDED", "PAID OUT", "LEFT"),
        [tuple(amount_of(one, name) for name in _PARTS) for one in totals],
    )
    return int(Exit.OK)


@payouts_command.command("make")
@connected
@click.argument("org", metavar="ORG")
@click.option("--currency", required=True, metavar="CODE", help="Such as USD.")
@click.option("--amount", default="", metavar="AMOUNT", help="Such as 12.50. [all that is owed]")
@click.option("--ref", default="", metavar="TEXT", help="What the bank calls it.")
@click.option(
    "--key",
    "--idempotency-key",
    default="",
    metavar="…",
    help="Idempotency key: the same again is done once.",
)
def make(options: Options, org: str, currency: str, amount: str, ref: str, key: str) -> int:
    """Record that ORG was paid what its agents earned, for who keeps the platform's books."""
    body = {"org": org, "currency": currency, "amount": amount, "ref": ref}
    answer = once(options, PATH, body, key)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    made = obj(answer)
    said = f"{text(made.get('amount'))} {text(made.get('currency'))}"
    left = f"{text(made.get('left'))} left"
    put(clean_line(f"{text(made.get('txn'))}: paid out {said} to {text(made.get('org'))}; {left}"))
    return int(Exit.OK)
