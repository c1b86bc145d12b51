"""`a2a sessions`: where browsers are signed in, and the end of that."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/sessions"
_ACCOUNT = click.option(
    "--account", default="", metavar="EMAIL", help="Whose (an admin sees members'); your own without."
)


@click.group("sessions")
def sessions_command() -> None:
    """See and end sessions of browsers."""


@sessions_command.command("ls")
@connected
@_ACCOUNT
def ls(options: Options, account: str) -> int:
    """List the living sessions of an account."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _of(_PATH, account)))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    columns = ("id", "org", "method", "created", "seen", "ends", "address", "agent")
    rows = [[text(each.get(name)) for name in columns] for each in objs(obj(answer).get("sessions"))]
    table([name.upper() for name in columns], rows)
    return int(Exit.OK)


@sessions_command.command("end")
@connected
@click.argument("session_id", metavar="[ID]", default="")
@click.option("--all", "every", is_flag=True, help="All of the account's.")
@_ACCOUNT
def end(options: Options, session_id: str, every: bool, account: str) -> int:
    """End a session: its browser is signed out at once."""
    if bool(session_id) == every:
        raise Failure(Exit.USAGE, "Which session?", remedy="Name one by its ID (a2a sessions ls), or --all.")
    path = _PATH if every else f"{_PATH}/{quote(session_id, safe='')}"
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _of(path, account)))
    if options.json:
        put_json(answer)
    else:
        say(clean_line(f"ended {session_id or 'all sessions'}"))
    return int(Exit.OK)


def _of(path: str, account: str) -> str:
    return f"{path}?account={quote(account, safe='')}" if account else path
