"""`a2a credits`: prepaid accounts: what is in them, paying in, giving back."""

from __future__ import annotations

import uuid
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.report import as_failure
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.shapes import obj, objs, text

PATH = "/api/v1/credits"
KEY = click.option("--key", default="", metavar="…", help="Idempotency key: the same again is done once.")


@click.group("credits", invoke_without_command=True)
@connected
@click.option("--org", default="", metavar="NAME", help="Of this organisation (who runs the platform).")
@click.pass_context
def credits_command(ctx: click.Context, options: Options, org: str) -> int:
    """See what pays for your calls; pay in and give back."""
    if ctx.invoked_subcommand is not None:
        return int(Exit.OK)
    answer: Any = options.ask(lambda platform: platform.json("GET", PATH, params={"org": org} if org else {}))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("accounts"))
    if not rows:
        say("There is no account. Who runs the platform pays in: a2a credits grant ORG AMOUNT CURRENCY")
        return int(Exit.OK)
    table(
        ("ACCOUNT", "BALANCE", "HELD", "AVAILABLE", "CURRENCY"),
        [
            [text(one.get(key)) for key in ("account", "balance", "held", "available", "currency")]
            for one in rows
        ],
    )
    return int(Exit.OK)


@credits_command.command("grant")
@connected
@click.argument("whose", metavar="ORG[/CALLER]")
@click.argument("amount")
@click.argument("currency")
@click.option("--expires", default="", metavar="DATE", help="Until then: 2026-12-31, or an RFC 3339 time.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, help="Used up before what has less.")
@click.option("--memo", default="", metavar="TEXT", help="What it is for.")
@KEY
def grant(
    options: Options, whose: str, amount: str, currency: str, expires: str, priority: int, memo: str, key: str
) -> int:
    """Pay AMOUNT into the account of ORG, or of CALLER alone, whose calls it then pays for."""
    org, _, caller = whose.partition("/")
    body = {
        "org": org,
        "caller": caller,
        "amount": amount,
        "currency": currency,
        "expires": expires,
        "priority": priority,
        "memo": memo,
    }
    answer = once(options, PATH, body, key)
    if options.json:
        put_json(answer)
    else:
        done = obj(answer)
        put(
            clean_line(
                f"{text(done.get('account'))} has {text(done.get('balance'))} {text(done.get('currency'))}"
                f" ({text(done.get('txn'))})"
            )
        )
    return int(Exit.OK)


@credits_command.command("refund")
@connected
@click.argument("run", metavar="RUN")
@click.option("--amount", default="", metavar="AMOUNT", help="So much of it; without: all that is left.")
@click.option("--memo", default="", metavar="TEXT", help="Why.")
@KEY
def refund(options: Options, run: str, amount: str, memo: str, key: str) -> int:
    """Give back what RUN was charged."""
    if not run:
        raise Failure(Exit.USAGE, "No run is named.")
    answer = once(options, f"{PATH}/refund", {"run": run, "amount": amount, "memo": memo}, key)
    if options.json:
        put_json(answer)
    else:
        done = obj(answer)
        put(
            clean_line(
                f"{text(done.get('amount'))} {text(done.get('currency'))} given back,"
                f" {text(done.get('refunded'))}"
                f" of {text(done.get('charged'))} by now ({text(done.get('txn'))})"
            )
        )
    return int(Exit.OK)


def once(options: Options, path: str, body: dict[str, Any], key: str) -> Any:
    """POST under an idempotency key, a new one without `key`. Raises Failure, which names the key when it is
    not known whether it was done: money that is moved twice is no repeat."""
    key = key or uuid.uuid4().hex
    headers = {"Idempotency-Key": key}
    again = f"It may be done already. The same command with --key {key} does it once."
    try:
        return options.ask(lambda platform: platform.json("POST", path, body=body, headers=headers))
    except (Unreachable, ServerProblem) as error:
        lost = isinstance(error, Unreachable)
        failure = as_failure(error)
        if failure is None or not (lost or error.status >= 500):
            raise
        raise Failure(
            failure.exit_code,
            failure.detail,
            remedy=again if lost else f"{failure.remedy} {again}".strip(),
            code=failure.code,
            facts={**failure.facts, "idempotency_key": key},
        ) from None
    except KeyboardInterrupt:
        raise Failure(
            Exit.INTERRUPTED,
            "Interrupted before the platform answered.",
            remedy=again,
            code="interrupted",
            facts={"idempotency_key": key},
        ) from None
