"""`a2a link`: links that let one person in, once: an admin, somebody who is invited, somebody who can't sign
in any more. They work without a mail server: give them by hand, over a way that you trust."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/links"
_NO_MAIL = click.option("--no-mail", is_flag=True, help="Send no mail, even if the platform can.")


@click.group("link")
def link_command() -> None:
    """Make links that let a person in once."""


@link_command.command("admin")
@connected
def admin(options: Options) -> int:
    """A link that makes who opens it an admin of the platform, for a day."""
    return _make(options, {"kind": "admin"})


@link_command.command("invite")
@connected
@click.argument("email")
@click.option("--role", default="member", show_default=True, help="What they will be.")
@click.option("--org", default="", metavar="ORG", help="Where; your own organisation without.")
@_NO_MAIL
def invite(options: Options, email: str, role: str, org: str, no_mail: bool) -> int:
    """A link that makes EMAIL a member of an organisation, for a week."""
    body = {"kind": "invite", "email": email, "role": role, "mail": not no_mail}
    return _make(options, body | ({"org": org} if org else {}))


@link_command.command("recover")
@connected
@click.argument("email")
@_NO_MAIL
def recover(options: Options, email: str, no_mail: bool) -> int:
    """A link with which EMAIL sets a new password, for an hour."""
    return _make(options, {"kind": "recover", "email": email, "mail": not no_mail})


@link_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List links (never what opens them)."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _PATH))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    columns = ("id", "kind", "org", "role", "email", "state", "ends", "by")
    rows = [[text(each.get(name)) for name in columns] for each in objs(obj(answer).get("links"))]
    table([name.upper() for name in columns], rows)
    return int(Exit.OK)


@link_command.command("end")
@connected
@click.argument("link_id", metavar="ID")
def end(options: Options, link_id: str) -> int:
    """End a link: nobody gets in by it any more."""
    answer: Any = options.ask(lambda platform: platform.json("DELETE", f"{_PATH}/{quote(link_id, safe='')}"))
    if options.json:
        put_json(answer)
    else:
        say(clean_line(f"ended {link_id}"))
    return int(Exit.OK)


def _make(options: Options, body: dict[str, Any]) -> int:
    made: Any = options.ask(lambda platform: platform.json("POST", _PATH, body=body))
    if options.json:
        put_json(made)
        return int(Exit.OK)
    link = obj(made)
    put(text(link.get("url")))
    whose = text(link.get("email")) or "whoever opens it"
    does = (
        "sets a new password"
        if link.get("kind") == "recover"
        else f"becomes {text(link.get('role'))} of {text(link.get('org'))}"
    )
    say(clean_line(f"With it, {whose} {does}; good once, until {text(link.get('ends'))}."))
    if link.get("mailed"):
        say(clean_line(f"It was mailed to {whose}."))
    elif link.get("mail_problem"):
        say(clean_line(text(link.get("mail_problem"))))
    return int(Exit.OK)
