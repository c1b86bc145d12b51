"""`a2a orgs`: organisations; `a2a scim`: the tokens with which their directories provision people."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/orgs"
ROLE = click.option("--role", default="", metavar="ROLE", help="What those get whom the directory brings.")


@click.group("orgs")
def orgs_command() -> None:
    """See and make organisations."""


@orgs_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List your organisations; all of them with an admin's key of the default one."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _PATH))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    table(
        ("NAME", "YOUR ROLE", "CREATED"),
        [
            (text(each.get("name")), text(each.get("role")) or "-", text(each.get("created")))
            for each in objs(obj(answer).get("orgs"))
        ],
    )
    return int(Exit.OK)


@orgs_command.command("create")
@connected
@click.argument("name")
@click.option("--owner", default="", metavar="E-MAIL", help="Who has an account here and owns it.")
def create(options: Options, name: str, owner: str) -> int:
    """Make the organisation NAME (with an admin's key of the default one)."""
    body = {"name": name, **({"owner": owner} if owner else {})}
    made: Any = options.ask(lambda platform: platform.json("POST", _PATH, body=body))
    if options.json:
        put_json(made)
    else:
        put(clean_line(f"Made the organisation {name}."))
        if not owner:
            say("It has no owner yet: invite one.")
    return int(Exit.OK)


@click.group("scim")
def scim_command() -> None:
    """Connect an organisation's directory (Okta, Entra and others, over SCIM 2.0)."""


def _tokens(org: str, *more: str) -> str:
    return "/".join((_PATH, quote(org, safe=""), "scim", *(quote(each, safe="") for each in more)))


@scim_command.command("ls")
@connected
@click.argument("org")
def scim_ls(options: Options, org: str) -> int:
    """List the tokens of ORG's directories (never their secrets)."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _tokens(org)))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    columns = ("id", "role", "created", "by")
    rows = [[text(each.get(name)) for name in columns] for each in objs(obj(answer).get("tokens"))]
    table([name.upper() for name in columns], rows)
    say(f"SCIM is served at {clean_line(text(obj(answer).get('url')))}")
    return int(Exit.OK)


@scim_command.command("create")
@connected
@click.argument("org")
@ROLE
def scim_create(options: Options, org: str, role: str) -> int:
    """Make a token for ORG's directory and print it, once, on standard output."""
    body = {"role": role} if role else {}
    made: Any = options.ask(lambda platform: platform.json("POST", _tokens(org), body=body))
    if options.json:
        put_json(made)
        return int(Exit.OK)
    put(text(made.get("token")))
    where, gives = text(made.get("url")), text(made.get("role"))
    say(clean_line(f"token {made.get('id')}, shown this once; SCIM at {where}; new people get {gives}"))
    return int(Exit.OK)


@scim_command.command("rm")
@connected
@click.argument("org")
@click.argument("token_id", metavar="ID")
def scim_rm(options: Options, org: str, token_id: str) -> int:
    """End a token: that directory changes nothing any more."""
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _tokens(org, token_id)))
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"Removed {token_id}."))
    return int(Exit.OK)
