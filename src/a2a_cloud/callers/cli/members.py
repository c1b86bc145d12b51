"""`a2a members`, `a2a teams` and `a2a roles`: who belongs to an organisation, in which teams, and what they
may do."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, table
from a2a_cloud.client.shapes import items, obj, objs, text

_ORG = click.option(
    "--org", default="", metavar="ORG", help="Another organisation than yours, for who runs the platform."
)


def _ask(options: Options, method: str, path: str, org: str, body: dict[str, Any] | None = None) -> Any:
    params = {"org": org} if org else {}
    return options.ask(lambda platform: platform.json(method, path, params=params, body=body))


def _at(kind: str, *more: str) -> str:
    return "/".join((f"/api/v1/{kind}", *(quote(each, safe="") for each in more)))


def _told(options: Options, answer: Any, sentence: str) -> int:
    if options.json:
        put_json(answer)
    else:
        put(clean_line(sentence))
    return int(Exit.OK)


def _listed(each: Any) -> str:
    return ", ".join(text(one) for one in items(each)) or "-"


# --- members ----------------------------------------------------------------------------------------------


@click.group("members")
def members_command() -> None:
    """See who belongs to your organisation, and change it."""


@members_command.command("ls")
@connected
@_ORG
def ls(options: Options, org: str) -> int:
    """List the members."""
    answer = _ask(options, "GET", _at("members"), org)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    table(
        ("E-MAIL", "NAME", "ROLE", "TEAMS", "JOINED"),
        [
            (
                text(each.get("email")),
                text(each.get("name")),
                text(each.get("role")) + ("" if each.get("active") else " (suspended)"),
                _listed(each.get("teams")),
                text(each.get("joined")),
            )
            for each in objs(obj(answer).get("members"))
        ],
    )
    return int(Exit.OK)


@members_command.command("add")
@connected
@click.argument("email", metavar="E-MAIL")
@click.option("--role", default="member", show_default=True, metavar="ROLE", help="See `a2a roles ls`.")
@_ORG
def add(options: Options, email: str, role: str, org: str) -> int:
    """Make who has an account here a member; others get an invitation."""
    made = _ask(options, "POST", _at("members"), org, {"email": email, "role": role})
    return _told(options, made, f"{email} is a member ({role}).")


@members_command.command("set")
@connected
@click.argument("email", metavar="E-MAIL")
@click.option("--role", default="", metavar="ROLE", help="Another role.")
@click.option("--suspend/--activate", "suspended", default=None, help="Let them in no more, or again.")
@_ORG
def change(options: Options, email: str, role: str, suspended: bool | None, org: str) -> int:
    """Give a member another role, suspend or activate them."""
    body: dict[str, Any] = {"role": role} if role else {}
    if suspended is not None:
        body["active"] = not suspended
    if not body:
        raise click.UsageError("Say what changes: --role, --suspend or --activate.")
    new = _ask(options, "PUT", _at("members", email), org, body)
    state = "" if new.get("active") else ", suspended"
    return _told(options, new, f"{email}: {new.get('role')}{state}.")


@members_command.command("rm")
@connected
@click.argument("email", metavar="E-MAIL")
@_ORG
def rm(options: Options, email: str, org: str) -> int:
    """Let a member go: their keys end at once, what they own stays."""
    gone = _ask(options, "DELETE", _at("members", email), org)
    return _told(options, gone, f"{email} is no member any more.")


# --- teams ------------------------------------------------------------------------------------------------


@click.group("teams")
def teams_command() -> None:
    """See and change teams of members, who may have a role together."""


@teams_command.command("ls")
@connected
@_ORG
def teams(options: Options, org: str) -> int:
    """List the teams."""
    answer = _ask(options, "GET", _at("teams"), org)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    table(
        ("TEAM", "ROLE", "MEMBERS"),
        [
            (text(each.get("name")), text(each.get("role")) or "-", _listed(each.get("members")))
            for each in objs(obj(answer).get("teams"))
        ],
    )
    return int(Exit.OK)


@teams_command.command("create")
@connected
@click.argument("name")
@click.option("--role", default="", metavar="ROLE", help="What each of its members has beside their own.")
@_ORG
def team_create(options: Options, name: str, role: str, org: str) -> int:
    """Make the team NAME."""
    made = _ask(options, "POST", _at("teams"), org, {"name": name, "role": role})
    return _told(options, made, f"Made the team {name}.")


@teams_command.command("set")
@connected
@click.argument("name")
@click.option("--role", default=None, metavar="ROLE", help='Another role; "" for none.')
@click.option("--name", "new_name", default=None, metavar="NAME", help="Another name.")
@_ORG
def team_set(options: Options, name: str, role: str | None, new_name: str | None, org: str) -> int:
    """Give the team NAME another role or name."""
    wanted = {"role": role, "name": new_name}
    body = {key: value for key, value in wanted.items() if value is not None}
    if not body:
        raise click.UsageError("Say what changes: --role or --name.")
    new = _ask(options, "PUT", _at("teams", name), org, body)
    return _told(options, new, f"{new.get('name')}: {new.get('role') or 'no role'}.")


@teams_command.command("add")
@connected
@click.argument("name")
@click.argument("email", metavar="E-MAIL")
@_ORG
def team_add(options: Options, name: str, email: str, org: str) -> int:
    """Put a member into the team NAME."""
    new = _ask(options, "PUT", _at("teams", name, "members", email), org)
    return _told(options, new, f"{email} is in {name}.")


@teams_command.command("drop")
@connected
@click.argument("name")
@click.argument("email", metavar="E-MAIL")
@_ORG
def team_drop(options: Options, name: str, email: str, org: str) -> int:
    """Take a member out of the team NAME."""
    new = _ask(options, "DELETE", _at("teams", name, "members", email), org)
    return _told(options, new, f"{email} is not in {name} any more.")


@teams_command.command("rm")
@connected
@click.argument("name")
@_ORG
def team_rm(options: Options, name: str, org: str) -> int:
    """Remove the team NAME; its members stay."""
    return _told(options, _ask(options, "DELETE", _at("teams", name), org), f"Removed {name}.")


# --- roles ------------------------------------------------------------------------------------------------


@click.group("roles")
def roles_command() -> None:
    """See what each role may do, and make roles of your own."""


@roles_command.command("ls")
@connected
@_ORG
def roles_ls(options: Options, org: str) -> int:
    """List the roles, those of every organisation first."""
    answer = _ask(options, "GET", _at("roles"), org)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    table(
        ("ROLE", "PERMISSIONS"),
        [
            (text(each.get("name")), _listed(each.get("permissions")))
            for each in objs(obj(answer).get("roles"))
        ],
    )
    return int(Exit.OK)


@roles_command.command("set")
@connected
@click.argument("name")
@click.argument("permissions", nargs=-1, required=True)
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@_ORG
def roles_set(options: Options, name: str, permissions: tuple[str, ...], description: str, org: str) -> int:
    """Make the role NAME, or give it other PERMISSIONS: the platform's, and words that skills require."""
    body = {"permissions": list(permissions), "description": description}
    return _told(options, _ask(options, "PUT", _at("roles", name), org, body), f"{name} may do that now.")


@roles_command.command("rm")
@connected
@click.argument("name")
@_ORG
def roles_rm(options: Options, name: str, org: str) -> int:
    """Remove a role that nobody has."""
    return _told(options, _ask(options, "DELETE", _at("roles", name), org), f"Removed {name}.")
