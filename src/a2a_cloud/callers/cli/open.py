"""`a2a open`: an agent's docs page in the browser, or its address where there is no display."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import obj, text


@click.command("open")
@connected
@click.argument("agent", required=False, default="", shell_complete=agent_names)
@click.option("--print", "only_print", is_flag=True, help="Print the address and open nothing.")
def open_command(options: Options, agent: str, only_print: bool) -> int:
    """Open the docs page of AGENT: its skills, schemas, examples, and how to call it."""
    agent = agent_named(agent)
    answer: Any = options.ask(lambda platform: platform.json("GET", f"/api/v1{agent_path(agent)}"))
    url = text(obj(answer).get("documentation_url"))
    if not url:
        raise Failure(
            Exit.NOT_FOUND,
            f"{agent} names no docs page.",
            remedy=f"Its skills in the terminal: {options.command('show', agent)}",
        )
    opened = False
    if not only_print and has_display():
        if not url.lower().startswith(("http://", "https://")):
            # What an agent's author wrote must not start another program than a browser.
            raise Failure(
                Exit.FAILED, f"{url} is no web page, and is not opened.", remedy="See it with --print."
            )
        opened = webbrowser.open(url)
    if options.json:
        put_json({"agent": agent, "url": url, "opened": opened})
    elif opened:
        say(clean_line(f"opened {url}"))
    else:
        put(clean_line(url))
    return int(Exit.OK)


def has_display() -> bool:
    """Whether a browser can show itself here."""
    if sys.platform in ("darwin", "win32") or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
