"""`a2a audit`: what was changed, by whom and when, and the log in which all of it stands."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TextIO

import click

from a2a_cloud.callers.cli.audit_check import consistency_command, key_command, verify_command
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import put, put_json, say, table
from a2a_cloud.callers.cli.units import count, duration, since
from a2a_cloud.client.shapes import items, obj, objs, text
from a2a_cloud.wire.csv_text import cell

if TYPE_CHECKING:
    from a2a_cloud.client.http import Platform

_PATH = "/api/v1/audit"
#: Events of one request.
_PAGE = 1000
_COLUMNS = (
    "index", "at", "kind", "caller", "target", "detail", "run", "grant", "operation", "allowed", "reason",
    "salt", "payload",
)  # fmt: skip
_PLATFORM = "_platform"
_Write = Callable[[dict[str, Any]], object]


@click.group("audit")
def audit_command() -> None:
    """See what was changed, by whom and when, and check the log in which it stands."""


for _each in (verify_command, consistency_command, key_command):
    audit_command.add_command(_each)


def _whose(function: Any) -> Any:
    return click.option(
        "--platform", is_flag=True, help="Of the platform's own log, not your organisation's."
    )(function)


@audit_command.command("ls")
@connected
@_whose
@click.option("--kind", default="", metavar="KIND", help="Such as member.role, or all of member.")
@click.option("--by", default="", metavar="WHO", help="By this principal (name@org).")
@click.option("--since", default="", metavar="TIME", help="Not before (2026-01-31T12:00:00Z).")
@click.option("--until", default="", metavar="TIME", help="Before.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="NO", help="Those after this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
def audit_ls(
    options: Options, platform: bool, kind: str, by: str, since: str, until: str, after: int, limit: int
) -> int:
    """List changes of your organisation, the newest last. Those of grants: `a2a grants audit`."""
    wanted = {
        "changes": "1",
        "org": _PLATFORM if platform else "",
        "kind": kind,
        "by": by,
        "since": since,
        "until": until,
        "after": str(after) if after else "",
        "limit": str(limit),
    }
    params = {name: value for name, value in wanted.items() if value}
    page: Any = options.ask(lambda platform: platform.json("GET", _PATH, params=params))
    return _shown(options, page)


@audit_command.command("search")
@connected
@_whose
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
def audit_search(options: Options, platform: bool, words: tuple[str, ...], limit: int) -> int:
    """List events in which all of WORDS stand somewhere, the newest last; those of runs too."""

    async def found(there: Platform) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        params = {"words": " ".join(words), "org": _PLATFORM} if platform else {"words": " ".join(words)}
        while len(events) < limit:
            page = obj(await there.json("GET", _PATH, params={**params, "limit": str(limit - len(events))}))
            events += objs(page.get("events"))
            if not page.get("before"):
                break
            params["before"] = str(page["before"])
        return events[::-1]

    return _shown(options, {"events": options.ask(found)})


@audit_command.command("export")
@connected
@_whose
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="A JSON object a line, or comma-separated values.",
)
@click.option("--since", "begin", default="", metavar="TIME", help="Not before: a time, or 10m, 2h, 7d ago.")
@click.option("--out", default="", metavar="FILE", help="Write it there instead.")
def audit_export(options: Options, platform: bool, form: str, begin: str, out: str) -> int:
    """Write out all events, the oldest first, each with its place in the log and what its leaf is made of:
    SHA-256(0x00 and the SHA-256 of salt and payload) is the leaf's hash."""
    # Always with milliseconds, as the events' times are: they are compared as text.
    start = since(begin, "--since").isoformat(timespec="milliseconds").replace("+00:00", "Z") if begin else ""

    async def export(there: Platform) -> int:
        number = 0
        async for event in _all(there, _PLATFORM if platform else ""):
            if text(event.get("at")) >= start:
                write(event)
                number += 1
        return number

    try:
        with open(out, "w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as file:
            write = _csv(file) if form == "csv" else _lines(file)
            number = options.ask(export)
    except OSError as error:
        if not out:
            raise
        why = error.strerror or error
        raise Failure(
            Exit.FAILED, f"{out} can't be written: {why}.", remedy="Name a file that you may write to."
        ) from None
    say(f"{count(number, 'event')}{f' in {out}' if out else ''}.")
    return int(Exit.OK)


@audit_command.command("rotate-key")
@connected
@click.option(
    "--overlap", default="30d", show_default=True, metavar="TIME", help="So long the old key signs along."
)
def rotate_key(options: Options, overlap: str) -> int:
    """Give all logs of the platform a new key. Who checks them has until the overlap's end to trust it."""
    seconds = duration(overlap, "--overlap")
    path, body = f"/api/v1/log/{_PLATFORM}/key", {"overlap": seconds}
    answer: Any = options.ask(lambda platform: platform.json("POST", path, body=body))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    for key in objs(obj(answer).get("keys")):
        until = f" until {text(key.get('until'))}" if key.get("until") else ""
        put(f"{text(key.get('vkey'))}  {'signs' + until if key.get('signs') else 'signed' + until}")
    return int(Exit.OK)


async def _all(there: Platform, org: str) -> AsyncGenerator[dict[str, Any]]:
    """Every event, the oldest first."""
    after = 0
    while True:
        params = {"after": str(after), "limit": str(_PAGE), "proof": "1", **({"org": org} if org else {})}
        events = objs(obj(await there.json("GET", _PATH, params=params)).get("events"))
        for event in events:
            yield event
        if len(events) < _PAGE:
            return
        after = int(text(events[-1].get("no")))


def _lines(file: TextIO) -> _Write:
    return lambda event: file.write(json.dumps(event, ensure_ascii=False) + "\n")


def _csv(file: TextIO) -> _Write:
    rows = csv.writer(file)
    rows.writerow(_COLUMNS)

    def write(event: dict[str, Any]) -> None:
        rows.writerow([_cell(event.get(name)) for name in _COLUMNS])

    return write


def _cell(value: Any) -> str:
    """A cell's text; `payload` stays exact, for what begins with { is no formula."""
    return cell(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else value)


def _shown(options: Options, page: Any) -> int:
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(obj(page).get("events"))
    if not rows:
        say("No events.")
        return int(Exit.OK)
    table(
        ("NO", "INDEX", "AT", "EVENT", "WHO", "WHAT", "DETAIL"),
        [
            (
                text(row.get("no")),
                text(row.get("index")),
                text(row.get("at")),
                text(row.get("kind")),
                text(row.get("caller")),
                text(row.get("target")) or "-",
                _detail(row.get("detail")) or text(row.get("reason")) or "-",
            )
            for row in rows
        ],
    )
    return int(Exit.OK)


def _detail(detail: Any) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in obj(detail).items())


def _value(value: Any) -> str:
    return ",".join(text(each) for each in items(value)) if isinstance(value, list) else text(value)
