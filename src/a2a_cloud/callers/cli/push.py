"""`a2a push`: how deliveries of push notifications stand, and trying one again that was given up."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/push"


@click.group("push")
def push_command() -> None:
    """See who is told of tasks, and tell again who could not be reached."""


@push_command.command("ls")
@connected
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
@click.option("--cursor", default="", metavar="…", help="Go on after an earlier page (its `next`).")
def ls(options: Options, dead: bool, limit: int, cursor: str) -> int:
    """List push configs, newest first: where they go, and what the receiver has."""
    params = {"limit": str(limit)} | ({"dead": "1"} if dead else {}) | ({"cursor": cursor} if cursor else {})
    page: Any = options.ask(lambda platform: platform.json("GET", _PATH, params=params))
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(obj(page).get("push"))
    if not rows:
        say("Nothing was given up." if dead else "Nobody asked to be told of a task.")
        return int(Exit.OK)
    table(
        ("ID", "TASK", "AGENT", "TO", "STATE", "AFTER", "TRIES", "WHY"),
        [
            [
                text(each.get("id")),
                text(each.get("task_id")),
                text(each.get("agent")),
                text(each.get("host")),
                text(each.get("state")),
                text(each.get("after")),
                str(each.get("attempts") or ""),
                text(each.get("reason")),
            ]
            for each in rows
        ],
    )
    if more := text(obj(page).get("next")):
        say(f"More: {options.command('push', 'ls', '--cursor', more)}")
    return int(Exit.OK)


@push_command.command("retry")
@connected
@click.argument("push_id", metavar="ID")
def retry(options: Options, push_id: str) -> int:
    """Deliver again from where it stopped, at once (ID as `a2a push ls` shows it)."""
    answer: Any = options.ask(
        lambda platform: platform.json("POST", f"{_PATH}/{quote(push_id, safe='')}/retry", body={})
    )
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"{text(obj(answer).get('host'))} is told again, from {_place(obj(answer))} on."))
    return int(Exit.OK)


def _place(row: dict[str, Any]) -> str:
    return f"event {text(row.get('after'))} of {text(row.get('task_id'))}"
