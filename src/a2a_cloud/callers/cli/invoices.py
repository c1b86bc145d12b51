"""`a2a invoices`: make, list, show and check invoices; and what they say of an organisation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import items, obj, objs, text

PATH = "/api/v1/invoices"
PARTY = "/api/v1/billing/party"
_ORG = click.option("--org", default="", metavar="NAME", help="Of this organisation (who keeps the books).")
_COLUMNS = ("month", "kind", "agent", "skill", "price", "calls")
_NUMBER = click.argument("number", metavar="NUMBER")


@click.group("invoices")
def invoices_command() -> None:
    """Make, read and check invoices."""


@invoices_command.command("make")
@connected
@click.option("--month", required=True, metavar="MONTH", help="Up to the end of this month: 2026-10.")
@click.option("--org", default="", metavar="NAME", help="For this organisation. [all]")
def make(options: Options, month: str, org: str) -> int:
    """Issue the invoices and credit notes of a month that is over, for who keeps the platform's books."""
    body = {"month": month, **({"org": org} if org else {})}
    answer: Any = options.ask(lambda platform: platform.json("POST", PATH, body=body))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    made = objs(obj(answer).get("invoices"))
    if not made:
        say(f"Nothing to invoice up to the end of {month}.")
        return int(Exit.OK)
    _table(made)
    return int(Exit.OK)


@invoices_command.command("ls")
@connected
@_ORG
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--before", type=click.IntRange(1), default=None, help="Those with lower numbers.")
def ls(options: Options, org: str, limit: int, before: int | None) -> int:
    """List your organisation's invoices, the newest first."""
    wanted = {"org": org, "limit": str(limit), "before": str(before or "")}
    params = {name: value for name, value in wanted.items() if value}
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH, params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = objs(obj(answer).get("invoices"))
    if not found:
        say("No invoices.")
        return int(Exit.OK)
    _table(found)
    if obj(answer).get("next"):
        say(f"There are more: --before {text(obj(answer).get('next'))}")
    return int(Exit.OK)


def _table(found: list[dict[str, Any]]) -> None:
    table(
        ("NO", "NUMBER", "KIND", "FOR", "DATE", "PERIOD", "TOTAL", "TO PAY"),
        [
            (
                text(one.get("no")),
                text(one.get("number")),
                text(one.get("kind")).replace("_", " "),
                text(obj(one.get("buyer")).get("org")),
                text(one.get("issued")),
                f"{text(one.get('first_day'))} to {text(one.get('last_day'))}",
                _sums(one, "total"),
                _sums(one, "due"),
            )
            for one in found
        ],
    )


def _sums(document: dict[str, Any], name: str) -> str:
    return ", ".join(amount_of(one, name) for one in objs(document.get("totals"))) or "-"


def amount_of(one: dict[str, Any], name: str) -> str:
    """An amount in units of its scale, as people write it."""
    amount, scale = (value if isinstance(value, int) else 0 for value in (one.get(name), one.get("scale")))
    digits = str(abs(amount)).rjust(scale + 1, "0")
    value = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"{'-' if amount < 0 else ''}{value} {text(one.get('currency'))}"


@invoices_command.command("show")
@connected
@_NUMBER
@click.option("--pdf", default="", metavar="FILE", help="Write it as PDF (- for standard output).")
@click.option("--html", default="", metavar="FILE", help="Write it as HTML (- for standard output).")
def show(options: Options, number: str, pdf: str, html: str) -> int:
    """Show invoice NUMBER, or write it to a file."""
    if pdf and html:
        raise Failure(Exit.USAGE, "--pdf and --html write one file each.", remedy="Call it twice.")
    if pdf or html:
        kind, file = ("pdf", pdf) if pdf else ("html", html)
        body = options.ask(
            lambda platform: platform.bytes("GET", f"{PATH}/{_no(number)}", params={"format": kind})
        )
        return _write(options, file, body)
    answer: Any = options.ask(lambda platform: platform.json("GET", f"{PATH}/{_no(number)}"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    buyer = obj(found.get("buyer"))
    put(clean_line(f"{text(found.get('kind')).replace('_', ' ')} {text(found.get('number'))}"))
    put(clean_line(f"for      {text(buyer.get('name'))} ({text(buyer.get('org'))})"))
    put(clean_line(f"from     {text(obj(found.get('seller')).get('name'))}"))
    put(clean_line(f"date     {text(found.get('issued'))}, due {text(found.get('due'))}"))
    put(clean_line(f"period   {text(found.get('first_day'))} to {text(found.get('last_day'))}"))
    put("")
    table(
        ("MONTH", "KIND", "AGENT", "SKILL", "PRICE", "CALLS", "AMOUNT"),
        [
            (
                *(text(line.get(name)) or "-" for name in _COLUMNS),
                amount_of(line, "amount"),
            )
            for line in objs(found.get("lines"))
        ],
    )
    put("")
    for one in objs(found.get("totals")):
        total, paid, due = (amount_of(one, name) for name in ("total", "paid", "due"))
        put(clean_line(f"{total}; paid from prepaid credit {paid}; to pay {due}"))
    return int(Exit.OK)


def _write(options: Options, file: str, body: bytes) -> int:
    if file == "-":
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return int(Exit.OK)
    try:
        Path(file).expanduser().write_bytes(body)
    except OSError as error:
        raise Failure(
            Exit.FAILED, f"{file} can't be written: {error.strerror}.", remedy="Name another file."
        ) from None
    if options.json:
        put_json({"file": file, "bytes": len(body)})
    else:
        say(f"Wrote {file} ({len(body)} bytes).")
    return int(Exit.OK)


@invoices_command.command("verify")
@connected
@_NUMBER
def verify(options: Options, number: str) -> int:
    """Make invoice NUMBER again out of the ledger and compare it, byte for byte.

    Ends with 8 when it differs.
    """
    answer: Any = options.ask(lambda platform: platform.json("GET", f"{PATH}/{_no(number)}/verify"))
    found = obj(answer)
    same = found.get("same") is True
    if options.json:
        put_json(answer)
    elif same:
        put(clean_line(f"{text(found.get('number'))}: the same, {text(found.get('lines'))} lines"))
    else:
        for why in items(found.get("wrong")):
            put(clean_line(f"{text(found.get('number'))}: {text(why)}"))
    return int(Exit.OK if same else Exit.REFUSED_RECEIPT)


@invoices_command.command("details")
@connected
@_ORG
@click.option("--name", default="", help="The name that invoices have.")
@click.option("--address", multiple=True, metavar="LINE", help="A line of the address; again for the next.")
@click.option("--tax-id", default="", metavar="ID", help="Such as a VAT number.")
def details(options: Options, org: str, name: str, address: tuple[str, ...], tax_id: str) -> int:
    """Show what invoices say of your organisation; with --name say it, from the next invoice on."""
    params = {"org": org} if org else {}
    if not name and (address or tax_id):
        raise Failure(Exit.USAGE, "--name is missing.", remedy="Say all of it: --name, --address, --tax-id.")
    body: dict[str, Any] = {"name": name, "address": list(address), "tax_id": tax_id}
    answer: Any = options.ask(
        lambda platform: (
            platform.json("PUT", PARTY, params=params, body=body)
            if name
            else platform.json("GET", PARTY, params=params)
        )
    )
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    for line in (found.get("name"), *items(found.get("address")), found.get("tax_id")):
        if line:
            put(clean_line(text(line)))
    return int(Exit.OK)


def _no(number: str) -> str:
    """The number alone, of a number with its prefix. Raises Failure (usage)."""
    digits = number[len(number.rstrip("0123456789")) :]
    if not digits or not digits.isascii():
        raise Failure(Exit.USAGE, f"{number!r} is no invoice's number.", remedy="Write 7, or INV-7.")
    return digits
