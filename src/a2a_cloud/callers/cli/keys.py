"""`a2a keys`: API keys of your organisation. A key's secret is shown once, when it is made."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text


@click.group("keys")
def keys_command() -> None:
    """Make, list and revoke API keys (with an admin's key)."""


@keys_command.command("create")
@connected
@click.option("--principal", required=True, metavar="NAME", help="Who will call with it.")
@click.option("--org", default="", metavar="ORG", help="Their organisation; yours when it is not given.")
@click.option("--role", type=click.Choice(["member", "admin"]), default="member", show_default=True)
@click.option("--label", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--priority",
    type=click.IntRange(-10, 10),
    default=None,
    metavar="N",
    help="The highest priority that it may give a call (-10 to 10); 10 for an admin, else 0.",
)
@click.option(
    "--out", default="", metavar="FILE", help="Write the key to a new file, 0600, and don't show it."
)
def create(
    options: Options, principal: str, org: str, role: str, label: str, priority: int | None, out: str
) -> int:
    """Make a key and print it, once, on standard output."""
    wanted = {"principal": principal, "org": org, "role": role, "label": label}
    body: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    if priority is not None:
        body["priority"] = priority
    file = _new_file(out) if out else None
    try:
        made: Any = options.ask(lambda platform: platform.json("POST", "/api/v1/keys", body=body))
    except BaseException:
        if file is not None:
            os.close(file)
            os.unlink(os.path.expanduser(out))
        raise
    if file is not None:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(f"{made.pop('key')}\n")
    if options.json:
        put_json(made)
    elif file is None:
        put(str(made.get("key", "")))
    where = f"in {out}" if out else "shown this once"
    say(
        clean_line(
            f"key {made.get('id')} of {made.get('principal')}@{made.get('org')} ({made.get('role')}), {where}"
        )
    )
    return int(Exit.OK)


def _new_file(path: str) -> int:
    try:
        return os.open(os.path.expanduser(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"{path} can't be made: {error.strerror}.",
            remedy="Name a file that is not there yet.",
        ) from None


@keys_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List the keys of your organisation (never their secrets)."""
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/keys"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    columns = ("id", "principal", "org", "role", "priority", "created", "revoked", "label")
    table(
        [name.upper() for name in columns],
        [[text(each.get(name)) for name in columns] for each in objs(obj(answer).get("keys"))],
    )
    return int(Exit.OK)


@keys_command.command("revoke")
@connected
@click.argument("key_id", metavar="ID")
def revoke(options: Options, key_id: str) -> int:
    """Revoke a key: from now on it opens nothing."""
    answer: Any = options.ask(
        lambda platform: platform.json("DELETE", f"/api/v1/keys/{quote(key_id, safe='')}")
    )
    if options.json:
        put_json(answer if answer is not None else {"id": key_id})
    else:
        say(f"revoked {clean_line(key_id)}")
    return int(Exit.OK)
