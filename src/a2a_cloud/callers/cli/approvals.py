"""`a2a approvals`: what runs ask for, and deciding it."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, interactive, put, put_json, say, table
from a2a_cloud.callers.cli.units import duration
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import items, obj, objs, text

PATH = "/api/v1/approvals"
KINDS = ("read", "write", "skills", "egress")
STATES = ("open", "approved", "denied", "expired", "withdrawn", "all")
#: Columns when nobody says how many there are.
_WIDTH = 100


def path_of(approval_id: str, *more: str) -> str:
    """The control API's path of one approval."""
    return "/".join((PATH, quote(approval_id, safe=""), *more))


def wants(lists: Any) -> str:
    """`read finance/**; egress api.example.com`."""
    found = obj(lists)
    named = [(kind, [str(each) for each in items(found.get(kind))]) for kind in KINDS]
    return "; ".join(f"{kind} {', '.join(each)}" for kind, each in named if each) or "nothing"


def who(approval: dict[str, Any]) -> str:
    """`reviewer/review for ada@acme`."""
    return f"{approval.get('agent')}/{approval.get('skill')} for {approval.get('requester')}"


def how_long(seconds: Any) -> str:
    """`for 3600 s`, or `as long as the run`."""
    return f"for {seconds} s" if seconds else "as long as the run"


@click.group("approvals")
def approvals_command() -> None:
    """See what runs ask for, and decide it (with an admin's key)."""


@approvals_command.command("ls")
@connected
@click.option("--state", type=click.Choice(STATES), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
@click.option("--cursor", default="", metavar="…", help="Go on after an earlier page (its `next`).")
def ls(options: Options, state: str, limit: int, cursor: str) -> int:
    """List approvals, newest first: the open ones, unless --state says otherwise."""
    params = {"state": state, "limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    page: Any = options.ask(lambda platform: platform.json("GET", PATH, params=params))
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(obj(page).get("approvals"))
    if not rows:
        say("No approval is open." if state == "open" else "No approvals.")
        return int(Exit.OK)
    table(("ID", "RISK" if state == "open" else "STATE", "WHO", "WANTS"), _fitted(rows, state))
    if page.get("next"):
        say(f"There are more: --cursor {clean_line(page['next'])}")
    say(f"One of them whole: {options.command('approvals', 'show', text(rows[0].get('id')))}")
    return int(Exit.OK)


def _fitted(rows: list[dict[str, Any]], state: str) -> list[tuple[str, ...]]:
    """The cells; on a terminal the last two are cut to its width, for `show` has them whole."""
    cells = [
        (
            text(row.get("id")),
            text(row.get("risk" if state == "open" else "state")),
            who(row),
            wants(row.get("granted") or row.get("asked")),
        )
        for row in rows
    ]
    if not sys.stdout.isatty():
        return cells
    room = shutil.get_terminal_size((_WIDTH, 24)).columns
    room -= max(len(row[0]) for row in cells) + max(len(row[1]) for row in cells) + 7
    half = max(12, room // 2)
    return [(a, b, _cut(c, half), _cut(d, max(12, room - min(half, len(c))))) for a, b, c, d in cells]


def _cut(cell: str, most: int) -> str:
    return cell if len(cell) <= most else cell[: most - 1] + "…"


@approvals_command.command("show")
@connected
@click.argument("approval_id", metavar="ID")
def show(options: Options, approval_id: str) -> int:
    """Show an approval: who asks for what and why, its risk, its deadline, and its story."""
    found: Any = options.ask(lambda platform: platform.json("GET", path_of(approval_id)))
    if options.json:
        put_json(found)
        return int(Exit.OK)
    facts(found)
    put("")
    for line in objs(found.get("story")):
        put(clean_line(f"{line.get('at')}  {line.get('by')}: {line.get('what')}"))
    if found.get("state") == "open":
        ident = text(found.get("id"))
        say(f"Decide it: {options.command('approvals', 'approve', ident)}")
        say(f"       or: {options.command('approvals', 'deny', ident, '--note', 'why')}")
    return int(Exit.OK)


def facts(approval: dict[str, Any]) -> None:
    """What somebody who decides has to know, on stdout."""
    needed, missing = approval.get("needed"), approval.get("missing")
    rows = (
        ("approval", approval.get("id")),
        ("state", approval.get("state")),
        ("who", who(approval)),
        ("run", approval.get("run_id")),
        ("wants", wants(approval.get("asked"))),
        ("why", approval.get("reason") or "(no reason was given)"),
        ("risk", approval.get("risk")),
        ("holds", how_long(approval.get("seconds"))),
        ("granted", wants(approval["granted"]) if approval.get("granted") else ""),
        ("rule", approval.get("rule") or "no rule: one person decides"),
        ("people", f"{missing} of {needed} have yet to agree" if missing else ""),
        ("until", approval.get("deadline") if approval.get("state") == "open" else ""),
    )
    for name, value in rows:
        if value not in (None, ""):
            put(f"{name:9}{clean_line(value)}")


@approvals_command.command("approve")
@connected
@click.argument("approval_id", metavar="ID")
@click.option("--read", multiple=True, metavar="GLOB", help="Only this, of what was asked for; repeatable.")
@click.option("--write", multiple=True, metavar="GLOB", help="The same for writing.")
@click.option("--skill", multiple=True, metavar="AGENT/SKILL", help="The same for calls.")
@click.option("--egress", multiple=True, metavar="HOST", help="The same for hosts.")
@click.option("--for", "long", default="", metavar="TIME", help="Not longer than 90s, 10m, 2h, 1d.")
@click.option("--note", default="", metavar="TEXT", help="Why; kept with the approval.")
def approve(
    options: Options,
    approval_id: str,
    read: tuple[str, ...],
    write: tuple[str, ...],
    skill: tuple[str, ...],
    egress: tuple[str, ...],
    long: str,
    note: str,
) -> int:
    """Approve all that was asked for; or, once one of the lists is given, only what the lists name."""
    body: dict[str, Any] = {"note": note} if note else {}
    if read or write or skill or egress:
        body |= {"read": list(read), "write": list(write), "skills": list(skill), "egress": list(egress)}
    if long:
        seconds = int(duration(long, "--for"))
        if seconds < 1:
            raise Failure(Exit.USAGE, f"--for can't be {long!r}.", remedy="Write a second or more.")
        body["seconds"] = seconds
    done: Any = options.ask(lambda platform: decide(platform, approval_id, "approve", body))
    if options.json:
        put_json(done)
    else:
        put(outcome(done))
    return int(Exit.OK)


@approvals_command.command("deny")
@connected
@click.argument("approval_id", metavar="ID")
@click.option("--note", default="", metavar="TEXT", help="Why; the run is told.")
def deny(options: Options, approval_id: str, note: str) -> int:
    """Deny what was asked for: the skill is refused, and may go on without."""
    body = {"note": note} if note else {}
    done: Any = options.ask(lambda platform: decide(platform, approval_id, "deny", body))
    if options.json:
        put_json(done)
    else:
        put(outcome(done))
    return int(Exit.OK)


async def decide(platform: Platform, approval_id: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """One decision; the approval as it is then."""
    return obj(await platform.json("POST", path_of(approval_id, verb), body=body))


def outcome(approval: dict[str, Any]) -> str:
    """What came of a decision, in one line."""
    ident = approval.get("id")
    if approval.get("state") == "approved":
        return clean_line(
            f"approved {ident}: {wants(approval.get('granted'))}, {how_long(approval.get('seconds'))}"
        )
    if approval.get("state") == "open":
        missing = approval.get("missing")
        people = "one more person has" if missing == 1 else f"{missing} more people have"
        return clean_line(f"counted for {ident}: {people} to agree")
    return clean_line(f"{approval.get('state')} {ident}")


@approvals_command.command("policy")
@connected
@click.argument("file", required=False, default="", metavar="[FILE]")
def policy(options: Options, file: str) -> int:
    """Print the rules that decide the easy requests; with FILE (TOML), put those in their place."""
    if file:
        try:
            rules = Path(file).expanduser().read_bytes()
        except OSError as error:
            raise Failure(Exit.USAGE, f"{file} can't be read: {error.strerror}.") from None
        headers = {"Content-Type": "application/toml"}

        async def change(platform: Platform) -> Any:
            await platform.bytes("PUT", f"{PATH}/policy", headers=headers, data=rules)
            return await platform.json("GET", f"{PATH}/policy")

        found: Any = options.ask(change)
    else:
        found = options.ask(lambda platform: platform.json("GET", f"{PATH}/policy"))
    if options.json:
        put_json(found)
        return int(Exit.OK)
    if file:
        put(clean_line(f"version {found.get('version')} of the rules is in force"))
        return int(Exit.OK)
    if not found.get("version"):
        say("There are no rules: one person decides each request, and nobody their own.")
        say(f"Write some: {options.command('approvals', 'policy', 'rules.toml')} (docs/approvals.md)")
        return int(Exit.OK)
    put(text(found.get("text")), end="" if text(found.get("text")).endswith("\n") else "\n")
    say(clean_line(f"version {found.get('version')}, by {found.get('by')} at {found.get('at')}"))
    return int(Exit.OK)


@approvals_command.command("watch")
@connected
@click.option("--ask/--no-ask", "asks", default=None, help="Ask about each; so on a terminal by itself.")
def watch(options: Options, asks: bool | None) -> int:
    """Show each open approval, and each new one as it comes, until Ctrl-C; on a terminal, decide them."""
    from a2a_cloud.callers.cli.approvals_watch import Watch

    asks = interactive() and not options.json if asks is None else asks
    if asks and (options.json or not interactive()):
        raise Failure(Exit.USAGE, "Nobody is there to be asked.", remedy="Leave out --ask.")
    with contextlib.suppress(KeyboardInterrupt, click.Abort):
        options.ask(Watch(options, asks=asks).talk)
    return int(Exit.OK)
