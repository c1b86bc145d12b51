"""`a2a ledger`: transactions and accounts, and whether they add up."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import items, obj, objs, text

PATH = "/api/v1/ledger"
_ORG = click.option(
    "--org", default="", metavar="NAME", help="Of this organisation, `*` for all (who runs the platform)."
)


@click.group("ledger")
def ledger_command() -> None:
    """See the ledger, and check that it adds up."""


@ledger_command.command("ls")
@connected
@_ORG
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--cursor", default="", metavar="…", help="Go on where the last page ended.")
def ls(options: Options, org: str, limit: int, cursor: str) -> int:
    """List transactions in your organisation's accounts, the newest first."""
    params = {"limit": str(limit), **_params(org), **({"cursor": cursor} if cursor else {})}
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH, params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows: list[tuple[str, ...]] = []
    for one in objs(obj(answer).get("transactions")):
        for place, entry in enumerate(objs(one.get("entries"))):
            head = [text(one.get(key)) for key in ("id", "kind", "at")] if not place else ["", "", ""]
            amount = f"{text(entry.get('amount'))} {text(entry.get('currency'))}"
            rows.append((*head, text(entry.get("account")), amount))
    table(("TRANSACTION", "KIND", "AT", "ACCOUNT", "AMOUNT"), rows)
    if obj(answer).get("next"):
        say(f"More: {options.command('ledger', 'ls', '--cursor', text(obj(answer).get('next')))}")
    return int(Exit.OK)


@ledger_command.command("show")
@connected
@click.argument("txn")
@_ORG
def show(options: Options, txn: str, org: str) -> int:
    """Show a transaction with its entries."""
    answer: Any = options.ask(
        lambda platform: platform.json("GET", f"{PATH}/{quote(txn, safe='')}", params=_params(org))
    )
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    one = obj(answer)
    for key in ("id", "kind", "at", "by", "run", "memo"):
        if one.get(key):
            put(clean_line(f"{key:5}{text(one.get(key))}"))
    table(
        ("LINE", "ACCOUNT", "AMOUNT", "CURRENCY"),
        [
            [text(each.get(key)) for key in ("line", "account", "amount", "currency")]
            for each in objs(one.get("entries"))
        ],
    )
    return int(Exit.OK)


@ledger_command.command("accounts")
@connected
@_ORG
def accounts(options: Options, org: str) -> int:
    """List your organisation's accounts."""
    answer: Any = options.ask(lambda platform: platform.json("GET", f"{PATH}/accounts", params=_params(org)))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    table(
        ("ACCOUNT", "BALANCE", "HELD"),
        [
            [text(one.get(key)) for key in ("account", "balance", "held")]
            for one in objs(obj(answer).get("accounts"))
        ],
    )
    return int(Exit.OK)


@ledger_command.command("check")
@connected
def check(options: Options) -> int:
    """Check everything that the ledger must keep; exit code 8 when something is broken."""
    answer: Any = options.ask(lambda platform: platform.json("GET", f"{PATH}/check"))
    found = obj(answer)
    if options.json:
        put_json(answer)
    else:
        for one in objs(found.get("checks")):
            put(clean_line(f"{'ok    ' if one.get('holds') else 'BROKEN'} {text(one.get('says'))}"))
            for row in items(one.get("broken")):
                put(clean_line(f"       {text(row)}"))
    return int(Exit.OK if found.get("holds") else Exit.REFUSED_RECEIPT)


@ledger_command.command("balance")
@connected
def balance(options: Options) -> int:
    """Make a trial balance; its hash becomes a line of the audit log."""
    answer: Any = options.ask(lambda platform: platform.json("POST", f"{PATH}/balance", body={}))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    table(
        ("ACCOUNT", "BALANCE", "CURRENCY", "SCALE"),
        [
            [text(one.get(key)) for key in ("account", "balance", "currency", "scale")]
            for one in objs(found.get("accounts"))
        ],
    )
    sums = obj(found.get("sums"))
    put(clean_line("sums: " + (", ".join(f"{text(value)} {name}" for name, value in sums.items()) or "none")))
    put(clean_line(f"sha256: {text(found.get('sha256'))}"))
    return int(Exit.OK)


def _params(org: str) -> dict[str, str]:
    return {"org": org} if org else {}
