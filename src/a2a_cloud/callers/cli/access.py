"""`a2a access explain`: who may call an agent or a skill, and why; `a2a audit`: what was changed, by whom."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import items, obj, objs, text

_SAID = {True: "yes", False: "no", None: "-"}


@click.group("access")
def access_command() -> None:
    """See who may call what, and why."""


@access_command.command("explain")
@connected
@click.argument("words", nargs=-1, required=True, metavar="[PRINCIPAL] AGENT[/SKILL]")
def explain(options: Options, words: tuple[str, ...]) -> int:
    """Say whether PRINCIPAL may call it, rule by rule; without one, for everybody that is known.

    PRINCIPAL is `name@org`, a member's e-mail address, the id of a key, `anonymous` or `me`.
    """
    if len(words) > 2:
        raise click.UsageError("Name at most a principal and an agent.")
    who, target = words[:-1], "".join(words[-1:])
    agent, _, skill = target.partition("/")
    wanted = {"agent": agent, "skill": skill, "principal": who[0] if who else ""}
    params = {name: value for name, value in wanted.items() if value}
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/access", params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = objs(obj(answer).get("callers"))
    for each in found:
        verdict = "may call" if each.get("allowed") else "may not call"
        put(clean_line(f"{each.get('who')} ({each.get('via')}, {each.get('role')}) {verdict} {target}"))
        if who or len(found) == 1:
            for rule in objs(each.get("rules")):
                allows = rule.get("allows")
                put(clean_line(f"  {_SAID.get(allows, '-'):<3}  {rule.get('name')}: {rule.get('why')}"))
        elif not each.get("allowed"):
            put(clean_line(f"  {each.get('why')}"))
    if not obj(answer).get("complete"):
        say("There are more: name a principal.")
    return int(Exit.OK)


@click.group("audit")
def audit_command() -> None:
    """See what was changed, by whom and when."""


@audit_command.command("ls")
@connected
@click.option("--kind", default="", metavar="KIND", help="Such as member.role, or all of member.")
@click.option("--by", default="", metavar="WHO", help="By this principal (name@org).")
@click.option("--since", default="", metavar="TIME", help="Not before (2026-01-31T12:00:00Z).")
@click.option("--until", default="", metavar="TIME", help="Before.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="NO", help="Those after this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
def audit_ls(options: Options, kind: str, by: str, since: str, until: str, after: int, limit: int) -> int:
    """List changes of your organisation, the newest last. Those of grants: `a2a grants audit`."""
    wanted = {
        "changes": "1",
        "kind": kind,
        "by": by,
        "since": since,
        "until": until,
        "after": str(after) if after else "",
        "limit": str(limit),
    }
    params = {name: value for name, value in wanted.items() if value}
    page: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/audit", params=params))
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(obj(page).get("events"))
    if not rows:
        say("No events.")
        return int(Exit.OK)
    table(
        ("NO", "AT", "EVENT", "WHO", "WHAT", "DETAIL"),
        [
            (
                text(row.get("no")),
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
