"""`a2a whoami`: as whom commands act, and where."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.shapes import items, obj, text


@click.command("whoami")
@connected
def whoami_command(options: Options) -> int:
    """Say as whom commands act, with what, and at which platform."""
    target = options.target()
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/whoami"))
    who = obj(answer)
    if options.json:
        put_json({**who, "url": target.url, "by": target.note})
        return int(Exit.OK)
    put(clean_line(f"{who.get('principal')}@{who.get('org')} ({who.get('role')}) at {target.url}"))
    say(clean_line(f"by {target.note}, from {target.source}"))
    scopes = who.get("scopes")
    if scopes is not None:
        say(clean_line(f"narrowed to {' '.join(map(text, items(scopes))) or 'nothing'}"))
    return int(Exit.OK)
