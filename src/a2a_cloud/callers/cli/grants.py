"""`a2a grants`: what runs may do, where that came from, why it is so, and the end of it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import LAST, run_id_of
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.callers.cli.units import count, took
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import items, obj, objs, text

PATH = "/api/v1/grants"
AUDIT = "/api/v1/audit"
OPERATIONS = ("read", "stat", "list", "write", "delete", "call", "egress")
_LISTS = ("ops", "read", "write", "deny", "skills", "egress")
_OTHERS = ("prefix", "max_depth", "aud", "run", "reason", "approval_id")


def ago(stamp: Any) -> str:
    """`3 min 20 s ago`, `in 63 s`; what is no stamp as it is."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(text(stamp))).total_seconds()
    except (ValueError, TypeError):
        return text(stamp)
    far = abs(seconds)
    if far < 1:
        return "now"
    if far < 3600:
        said = took(round(far)).replace(".0 s", " s")
    else:
        said = f"{far / 3600:.0f} h" if far < 2 * 86_400 else f"{far / 86_400:.0f} days"
    return f"{said} ago" if seconds > 0 else f"in {said}"


def _path(grant_id: str, *more: str) -> str:
    return "/".join((PATH, quote(grant_id, safe=""), *more))


@click.group("grants")
def grants_command() -> None:
    """See what runs may do and why, and end it."""


@grants_command.command("ls")
@connected
@click.option("--run", default="", metavar="RUN|last", help="Of this run.")
@click.option("--agent", default="", metavar="NAME", help="Held by this agent.")
@click.option("--before", default="", metavar="ID", help="Go on after an earlier page (its `next`).")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="At most so many.")
def ls(options: Options, run: str, agent: str, before: str, limit: int) -> int:
    """List grants, newest first."""

    async def look(platform: Platform) -> Any:
        wanted = {
            "run": await run_id_of(platform, run) if run == LAST else run,
            "agent": agent,
            "before": before,
            "limit": str(limit),
        }
        params = {name: value for name, value in wanted.items() if value}
        return await platform.json("GET", PATH, params=params)

    page: Any = options.ask(look)
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(obj(page).get("grants"))
    if not rows:
        say("No grants: a run gets one when it first uses a workspace, another agent or the network.")
        return int(Exit.OK)
    table(
        ("GRANT", "STATE", "HOLDER", "FOR", "RUN", "MADE", "ENDS"),
        [
            (
                row.get("id", ""),
                row.get("state", ""),
                row.get("holder", ""),
                row.get("subject", ""),
                row.get("run", ""),
                ago(row.get("created")),
                ago(row.get("expires")),
            )
            for row in rows
        ],
    )
    if obj(page).get("next"):
        say(f"There are more: --before {clean_line(page['next'])}")
    say(f"What one allows: {options.command('grants', 'show', text(rows[0].get('id')))}")
    return int(Exit.OK)


@grants_command.command("show")
@connected
@click.argument("grant_id", metavar="ID")
def show(options: Options, grant_id: str) -> int:
    """Show a grant: what each of its blocks allows, its state, what was used of its limits."""
    found: Any = options.ask(lambda platform: platform.json("GET", _path(grant_id)))
    if options.json:
        put_json(found)
        return int(Exit.OK)
    grant = obj(found)
    for name in ("id", "state", "holder", "subject", "run", "workspace", "parent", "prior", "approval"):
        if grant.get(name):
            put(f"{name:10}{clean_line(grant[name])}")
    put(f"{'made':10}{clean_line(ago(grant.get('created')))}")
    put(f"{'ends':10}{clean_line(ago(grant.get('expires')))}")
    if grant.get("root") != grant.get("id"):
        put(f"{'root':10}{clean_line(grant.get('root'))}")
    end = obj(grant.get("end"))
    if end:
        why = f": {end['reason']}" if end.get("reason") else ""
        what = "" if end.get("id") == grant.get("id") else f" with {end.get('id')}"
        put(clean_line(f"{'revoked':10}{ago(end.get('at'))}{what} by {end.get('by')}{why}"))
    for at, block in enumerate(objs(grant.get("blocks"))):
        _show_block(at, block)
    if grant.get("state") == "active":
        say(f"To end it: {options.command('grants', 'revoke', grant_id)}")
    return int(Exit.OK)


def _show_block(at: int, block: dict[str, Any]) -> None:
    claims = obj(block.get("claims"))
    put(clean_line(f"block {at}   by {block.get('by')}   sha256 {text(block.get('sha256'))[:16]}"))
    for name in _LISTS:
        if name in claims:
            listed = ", ".join(text(each) for each in items(claims[name])) or "nothing"
            put(f"  {name:12}{clean_line(listed)}")
    for name in _OTHERS:
        if claims.get(name) not in (None, ""):
            put(f"  {name:12}{clean_line(claims[name])}")
    for name, used in (("max_uses", "uses"), ("max_bytes", "bytes")):
        if name in claims:
            put(f"  {name:12}{clean_line(claims[name])}, {clean_line(block.get(used, 0))} used")
    for name in ("nbf", "exp"):
        moment = claims.get(name)
        if isinstance(moment, int) and 0 < moment < 1 << 35:
            put(f"  {name:12}{ago(datetime.fromtimestamp(moment, UTC).isoformat())}")


@grants_command.command("tree")
@connected
@click.argument("grant_id", metavar="ID")
def tree(options: Options, grant_id: str) -> int:
    """Draw the tree that a grant belongs to: what was handed on, and what took the place of what."""
    found: Any = options.ask(lambda platform: platform.json("GET", _path(grant_id, "tree")))
    if options.json:
        put_json(found)
        return int(Exit.OK)
    for line in _drawn(obj(obj(found).get("root")), grant_id):
        put(clean_line(line))
    if obj(found).get("complete") is False:
        say("The tree goes on: these are its oldest grants.")
    return int(Exit.OK)


def _drawn(branch: dict[str, Any], here: str) -> list[str]:
    """The lines of a branch; iterative, for a tree is as deep as somebody made it."""
    lines: list[str] = []
    left: list[tuple[dict[str, Any], str, str]] = [(branch, "", "")]
    while left:
        node, first, rest = left.pop()
        how = "replaces" if node.get("prior") else ""
        words = (
            f"{node.get('id')}  {node.get('holder')}  {node.get('state')}",
            f"{how} {node.get('prior')}".strip() if how else "",
            f"approved by {node.get('approval')}" if node.get("approval") else "",
            "← this one" if node.get("id") == here else "",
        )
        lines.append(first + "  ".join(word for word in words if word))
        children = objs(node.get("children"))
        for at, child in reversed(list(enumerate(children))):
            last = at == len(children) - 1
            left.append((child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")))
    return lines


@grants_command.command("revoke")
@connected
@click.argument("grant_id", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the audit log.")
def revoke(options: Options, grant_id: str, reason: str) -> int:
    """End a grant and all that was handed on from it, at once; with a root, everything that came of it."""
    body = {"reason": reason}
    done: Any = options.ask(lambda platform: platform.json("POST", _path(grant_id, "revoke"), body=body))
    if options.json:
        put_json(done)
    else:
        say(clean_line(f"revoked {obj(done).get('id')} of {obj(done).get('holder')}"))
        root = obj(done).get("root")
        if root and root != grant_id:
            say(f"The rest of its tree stands: {options.command('grants', 'tree', grant_id)}")
    return int(Exit.OK)


@grants_command.command("explain")
@connected
@click.argument("path", metavar="PATH|AGENT/SKILL|HOST")
@click.option("--operation", type=click.Choice(OPERATIONS), default="read", show_default=True)
@click.option("--workspace", default="", metavar="NAME", help="In this workspace; any when it is not given.")
@click.option("--all", "everything", is_flag=True, help="Also those that may not, and why not.")
def explain(options: Options, path: str, operation: str, workspace: str, everything: bool) -> int:
    """Say which runs under way may read a path (or do something else with it), and why, block by block."""
    params = {"path": path, "operation": operation} | ({"workspace": workspace} if workspace else {})
    found: Any = options.ask(lambda platform: platform.json("GET", f"{PATH}/explain", params=params))
    if options.json:
        put_json(found)
        return int(Exit.OK)
    answer = obj(found)
    allowed, refused = objs(answer.get("allowed")), objs(answer.get("refused"))
    for each in allowed + (refused if everything else []):
        _show_explanation(each)
    if not allowed:
        say(clean_line(f"No run under way may {operation} {path}."))
    if refused and not everything:
        say(f"{count(len(refused), 'other grant')} of runs under way may not: --all says why.")
    if answer.get("complete") is False:
        say("There are more runs under way than one answer looks at; name the workspace.")
    return int(Exit.OK)


def _show_explanation(each: dict[str, Any]) -> None:
    verb = "may" if each.get("allowed") else "may not"
    whom = f"for {each.get('subject')}, run {each.get('run')}, {each.get('grant')}"
    put(clean_line(f"{each.get('holder')} {verb}, {whom}"))
    verdicts = objs(each.get("verdicts"))
    for verdict in verdicts:
        said = "yes" if verdict.get("allowed") else "no"
        put(
            clean_line(
                f"  block {verdict.get('block')} ({verdict.get('by')}): {said}, {verdict.get('reason')}"
            )
        )
    if not each.get("allowed") and all(verdict.get("allowed") for verdict in verdicts):
        put(clean_line(f"  {each.get('reason')}"))


@grants_command.command("audit")
@connected
@click.option("--run", default="", metavar="RUN|last", help="Of this run.")
@click.option("--grant", default="", metavar="ID", help="Of this grant.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="NO", help="Those after this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
def audit(options: Options, run: str, grant: str, after: int, limit: int) -> int:
    """Show what was refused, issued, handed on, replaced and revoked (with an admin's key)."""

    async def look(platform: Platform) -> Any:
        wanted = {
            "run": await run_id_of(platform, run) if run == LAST else run,
            "grant": grant,
            "after": str(after) if after else "",
            "limit": str(limit),
        }
        params = {name: value for name, value in wanted.items() if value}
        return await platform.json("GET", AUDIT, params=params)

    page: Any = options.ask(look)
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(obj(page).get("events"))
    if not rows:
        say("No events.")
        return int(Exit.OK)
    table(
        ("NO", "AT", "EVENT", "WHO", "WHAT", "WHY", "RUN", "GRANT"),
        [
            (
                row.get("no", ""),
                ago(row.get("at")),
                text(row.get("kind")) + ("" if row.get("allowed") else " refused"),
                row.get("caller", ""),
                f"{text(row.get('operation'))} {text(row.get('target'))}".strip() or "-",
                row.get("reason", "") or "-",
                row.get("run", "") or "-",
                row.get("grant", "") or "-",
            )
            for row in rows
        ],
    )
    return int(Exit.OK)


@grants_command.command("policy")
@connected
@click.argument("file", required=False, default="", metavar="[FILE|-]")
@click.option("--clear", is_flag=True, help="No cap any more.")
def policy(options: Options, file: str, clear: bool) -> int:
    """Show the most that your organisation's grants may allow; with a TOML file (keys of [grant]) set it."""
    if file and clear:
        raise Failure(Exit.USAGE, "A file and --clear don't go together.", remedy="Leave one of them out.")
    if not file and not clear:
        found: Any = options.ask(lambda platform: platform.json("GET", f"{PATH}/policy"))
    else:
        body = {} if clear else _read(file)
        found = options.ask(lambda platform: platform.json("PUT", f"{PATH}/policy", body=body))
    if options.json:
        put_json(found)
        return int(Exit.OK)
    cap = obj(obj(found).get("grant"))
    for name, value in cap.items():
        shown = ", ".join(text(each) for each in items(value)) if isinstance(value, list) else text(value)
        put(f"{name:12}{clean_line(shown) or 'nothing'}")
    if not cap:
        say(f"There is no cap. To set one: {options.command('grants', 'policy', 'policy.toml')}")
    elif file:
        say("It holds for grants that are made from now on.")
    return int(Exit.OK)


@grants_command.command("rotate-key")
@connected
def rotate_key(options: Options) -> int:
    """Sign your organisation's grants with a new key from now on; those that there are stay good."""
    done: Any = options.ask(lambda platform: platform.json("POST", f"{PATH}/rotate-key", body={}))
    if options.json:
        put_json(done)
    else:
        say(clean_line(f"new key {obj(done).get('kid')}; the one before verifies for 8 days more"))
    return int(Exit.OK)


def _read(file: str) -> dict[str, Any]:
    import tomllib

    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
        # Dates become texts, which the platform refuses with a sentence.
        return json.loads(json.dumps(tomllib.loads(raw.decode()), default=str))
    except OSError as error:
        raise Failure(
            Exit.USAGE, f"{file} can't be read: {error.strerror}.", remedy="Name a TOML file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(
            Exit.USAGE,
            f"{file} is not TOML: {error}.",
            remedy='Write, for example: read = ["contracts/**"]',
        ) from None
