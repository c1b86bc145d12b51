"""`a2a profiles`: the platforms that this user knows, and which one commands mean."""

from __future__ import annotations

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.logout import end_sign_in
from a2a_cloud.callers.cli.options import Options, json_option, with_options
from a2a_cloud.callers.cli.terminal import clean_line, put_json, say, table
from a2a_cloud.client.profile import current_profile, read_profiles, remove_profile, use_profile


@click.group("profiles")
def profiles_command() -> None:
    """See the platforms that you know, and choose the one that commands mean."""


@profiles_command.command("ls")
@json_option
@with_options
def ls(options: Options) -> int:
    """List the profiles; the one that commands mean has a star."""
    current = current_profile()
    rows = [
        {"name": name, "url": each.get("url", ""), "by": _by(each), "current": name == current}
        for name, each in read_profiles().items()
    ]
    if options.json:
        put_json({"profiles": rows})
    else:
        table(
            ["", "PROFILE", "URL", "BY"],
            [["*" if row["current"] else "", row["name"], row["url"], row["by"]] for row in rows],
        )
    return int(Exit.OK)


def _by(profile: dict[str, str]) -> str:
    if profile.get("key_file"):
        return f"the key in {profile['key_file']}"
    kind = profile.get("login", "")
    if not kind:
        return "nothing (signed out)"
    return "a sign-in, in a file" if kind == "file" else "a sign-in, in the keyring"


@profiles_command.command("use")
@json_option
@with_options
@click.argument("name")
def use(options: Options, name: str) -> int:
    """Let commands mean the profile NAME."""
    use_profile(name)
    if options.json:
        put_json({"profile": name})
    say(clean_line(f"commands mean {read_profiles()[name].get('url')} now"))
    return int(Exit.OK)


@profiles_command.command("rm")
@json_option
@with_options
@click.argument("name")
def rm(options: Options, name: str) -> int:
    """Forget the profile NAME; its sign-in ends."""
    known = read_profiles().get(name, {})
    told = end_sign_in(name, known) if known.get("login") else True
    remove_profile(name)
    if options.json:
        put_json({"profile": name, "revoked": told})
    say(clean_line(f"forgot {name}"))
    return int(Exit.OK)
