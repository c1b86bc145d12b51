"""`a2a card`: the card of an agent here or anywhere, what is spoken with it, and who vouches for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import click

from a2a_cloud.callers.cli.arguments import existing_file
from a2a_cloud.callers.cli.card_history import show_history
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.outside import is_url, target_of
from a2a_cloud.callers.cli.terminal import clean, clean_line, put, put_json, say
from a2a_cloud.client.a2a import A2AClient
from a2a_cloud.client.a2a_card import Card, Interface
from a2a_cloud.client.a2a_trust import is_signed
from a2a_cloud.client.discovery import Trust
from a2a_cloud.client.errors import NoInterface
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.profile import Target
from a2a_cloud.wire.jws import read_jwks


@dataclass(frozen=True)
class _Seen:
    card: Card
    spoken: Interface | None


@click.command("card")
@connected
@click.argument("agent", metavar="AGENT|URL", shell_complete=agent_names)
@click.option("--verify", is_flag=True, help="Fail unless a signature of it holds.")
@click.option(
    "--keys", default="", metavar="FILE", help="The keys (JWKS) to believe, not those of its origin."
)
@click.option("--extended", is_flag=True, help="The card for those whom the agent knows.")
@click.option("--history", is_flag=True, help="The cards of its releases here, and what changed.")
def card_command(options: Options, agent: str, verify: bool, keys: str, extended: bool, history: bool) -> int:
    """Show the card of AGENT, or of the agent at URL.

    A signature is checked with the keys at the card's own origin; where another place is named, it is not
    asked.
    """
    if history:
        if is_url(agent) or verify or keys or extended:
            raise click.UsageError("--history is of an agent of this platform, and stands alone.")
        return show_history(options, agent)
    trust = Trust(require=verify)
    if keys:
        trust = Trust(require=verify, keys=read_jwks(existing_file(keys, "--keys").read_bytes()))
    if is_url(agent):
        target = target_of(options, agent)
    else:
        here = options.target()
        target = Target(here.url + agent_path(agent), here.key)
    seen = asyncio.run(_read(target, trust, extended))
    if options.json:
        put_json({"url": seen.card.url, "signed_by": seen.card.signed_by, "card": seen.card.json})
        return int(Exit.OK)
    _show(seen)
    return int(Exit.OK)


async def _read(target: Target, trust: Trust, extended: bool) -> _Seen:
    client = A2AClient.discover(target.url, key=target.key, trust=trust)
    try:
        async with client as agent:
            card = await agent.extended_card() if extended else agent.card
            return _Seen(card, agent.interface)
    except NoInterface:
        if extended:
            raise
        return _Seen(client.card, None)


def _show(seen: _Seen) -> None:
    card = seen.card
    put(clean_line(f"{card.name} {card.version}".strip()))
    if card.description:
        put(clean(card.description))
    if card.provider:
        put(clean_line(f"by {card.provider} {card.provider_url}".rstrip()))
    put("")
    for each in card.interfaces:
        mark = "*" if each == seen.spoken else " "
        tenant = f" (tenant {each.tenant})" if each.tenant else ""
        put(clean_line(f"{mark} A2A {each.version or 'early'} {each.binding}  {each.url}{tenant}"))
    able = (
        ("streaming", card.streaming),
        ("push", card.push_notifications),
        ("extended card", card.extended),
    )
    put(clean_line("  " + (", ".join(name for name, can in able if can) or "no streaming, no push")))
    for extension in card.extensions:
        put(clean_line(f"  extension {extension.uri}" + (" (required)" if extension.required else "")))
    if card.schemes:
        put(clean_line(f"  sign in: {', '.join(card.schemes)}"))
    put("")
    for skill in card.skills:
        about = skill.description.partition("\n")[0]
        put(clean_line(f"  {skill.id}" + (f": {about}" if about else "")))
    put("")
    if card.signed_by:
        put(clean_line(f"signed: the signature of key {card.signed_by} holds"))
    elif is_signed(card.json):
        put("signed, by a key that is not known here: nothing is proved")
    else:
        put("not signed")
    if seen.spoken is None:
        say("It speaks nothing that this client speaks.")
