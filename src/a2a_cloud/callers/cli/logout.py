"""`a2a logout`: end a sign-in, here and at the platform."""

from __future__ import annotations

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put_json, say
from a2a_cloud.client.profile import current_profile, origin, read_profiles, write_profile


@click.command("logout")
@connected
def logout_command(options: Options) -> int:
    """End the sign-in of a profile (--profile NAME, else the one that commands mean)."""
    profile = options.profile or current_profile()
    table = read_profiles().get(profile, {})
    if not table.get("login"):
        raise Failure(
            Exit.USAGE, f"The profile {profile} has no sign-in.", remedy="See which have one: a2a profiles ls"
        )
    told = end_sign_in(profile, table)
    write_profile(profile, {"url": table["url"]})
    if options.json:
        put_json({"profile": profile, "url": table["url"], "revoked": told})
    say(clean_line(f"signed out of {table['url']}"))
    return int(Exit.OK if told else Exit.UNREACHABLE)


def end_sign_in(profile: str, table: dict[str, str]) -> bool:
    """Revoke the tokens of a profile and forget them; whether the platform was told."""
    from a2a_cloud.client.oauth import OAuthRefused, OAuthUnreachable, revoked
    from a2a_cloud.client.profile import NotConfigured
    from a2a_cloud.client.tokens import SignIn

    signed_in = SignIn(profile, origin(table["url"]), table["login"])
    told = True
    try:
        tokens = signed_in.tokens()
        if tokens.revocation_endpoint:
            revoked(tokens.revocation_endpoint, tokens.client, tokens.refresh or tokens.access)
    except NotConfigured:
        pass  # There is nothing left to revoke.
    except (OAuthUnreachable, OAuthRefused) as error:
        told = False
        say(clean_line(f"The platform was not told ({error}): there the sign-in is good until it ends."))
    signed_in.forget()
    return told
