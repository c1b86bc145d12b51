"""`a2a sigv4`: keys for callers who can do nothing but AWS Signature Version 4."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.callers.cli.units import duration
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/sigv4-keys"


@click.group("sigv4")
def sigv4_command() -> None:
    """Make, list and revoke keys for AWS signatures (with an admin's key)."""


@sigv4_command.command("create")
@connected
@click.argument("principal")
@click.option("--role", default="member", show_default=True, metavar="ROLE")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="As `a2a keys create`. [all]")
@click.option("--expires", default="", metavar="TIME", help="How long it is good, such as 90d. [for ever]")
@click.option("--label", default="", metavar="TEXT", help="What it is for.")
def create(
    options: Options, principal: str, role: str, scopes: tuple[str, ...], expires: str, label: str
) -> int:
    """Make a key for PRINCIPAL. Its secret is shown once."""
    body: dict[str, Any] = {"principal": principal, "role": role, "label": label}
    if scopes:
        body["scopes"] = list(scopes)
    if expires:
        body["seconds"] = round(duration(expires, "--expires"))
    answer: Any = options.ask(lambda platform: platform.json("POST", _PATH, body=body))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    made = obj(answer)
    put(f"AWS_ACCESS_KEY_ID={text(made.get('id'))}")
    put(f"AWS_SECRET_ACCESS_KEY={text(made.get('secret'))}")
    scope = f"{text(made.get('region'))}/{text(made.get('service'))}"
    say(clean_line(f"Sign for {scope}. The secret is shown once."))
    return int(Exit.OK)


@sigv4_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List the keys of your organisation (never their secrets)."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _PATH))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("keys"))
    if not rows:
        say(f"No keys. Make one: {options.command('sigv4', 'create', 'NAME')}")
        return int(Exit.OK)
    names = ("id", "principal", "role", "created", "expires", "label")
    table(
        tuple(name.upper() for name in names),
        [[text(each.get(name)) for name in names] for each in rows],
    )
    return int(Exit.OK)


@sigv4_command.command("revoke")
@connected
@click.argument("key_id", metavar="ID")
def revoke(options: Options, key_id: str) -> int:
    """End a key at once."""
    path = f"{_PATH}/{quote(key_id, safe='')}"
    answer: Any = options.ask(lambda platform: platform.json("DELETE", path))
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"Revoked {key_id}."))
    return int(Exit.OK)
