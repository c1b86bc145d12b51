"""`a2a config`: which settings hold, and where each comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text


@click.group("config")
def config_command() -> None:
    """See the platform's settings."""


@config_command.command("show")
@connected
@click.option("--here", is_flag=True, help="What a platform started here would read; asks none that runs.")
@click.option("--all", "everything", is_flag=True, help="Also what nobody has set.")
def show(options: Options, here: bool, everything: bool) -> int:
    """Show the settings, and where each comes from. Secrets are masked."""
    if here:
        answer: Any = _here()
    else:
        answer = options.ask(lambda platform: platform.json("GET", "/api/v1/config"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = obj(answer)
    rows = [
        [text(each.get(key)) for key in ("name", "value", "source")]
        for each in objs(found.get("settings"))
        if everything or text(each.get("source")) != "default"
    ]
    file = text(found.get("file"))
    put(clean_line(f"File: {file or 'none (a2a-cloud.toml, or A2A_CONFIG)'}"))
    if rows:
        table(("SETTING", "VALUE", "FROM"), rows)
    else:
        say("Nothing is set: all is as docs/settings.md says. See it with --all.")
    return int(Exit.OK)


def _here() -> Any:
    """What `python -m a2a_cloud.settings` says. Raises Failure with what can't be used."""
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.settings"], capture_output=True, text=True, timeout=60, check=False
    )
    try:
        answer: Any = json.loads(done.stdout)
    except ValueError:
        raise Failure(
            Exit.FAILED, "The settings can't be read.", remedy=done.stderr.strip()[-500:] or "Try again."
        ) from None
    if done.returncode:
        raise Failure(Exit.FAILED, text(answer.get("problem")), remedy=text(answer.get("remedy")))
    return answer
