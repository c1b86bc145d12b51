"""The card: what it has to say, how it may be kept, who signed it (A2A 1.0, sections 4.4, 8 and 3.1.11)."""

from __future__ import annotations

from itertools import product
from typing import Any
from urllib.parse import urlsplit

from a2a_cloud.callers.conformance.speakers import Http, parsed
from a2a_cloud.callers.conformance.trial import Failed, Skipped, Trial, case, shown
from a2a_cloud.client.shapes import items, obj, objs, text
from a2a_cloud.wire.jws import SignatureError

_REQUIRED = (
    "name",
    "description",
    "supportedInterfaces",
    "version",
    "capabilities",
    "defaultInputModes",
    "defaultOutputModes",
    "skills",
)
_ALLOWED_KEYS = 100


@case("card.members", "4.4.1", each=False)
async def members(t: Trial) -> None:
    """The card has all required members; interfaces and skills have theirs"""
    card = t.agent.card
    missing = [name for name in _REQUIRED if name not in card]
    t.check(not missing, f"Missing: {', '.join(missing)}.")
    for one in objs(card.get("supportedInterfaces")):
        for name in ("url", "protocolBinding", "protocolVersion"):
            t.check(one.get(name), f"An interface has no {name}: {shown(one)}")
    for skill in objs(card.get("skills")):
        for name in ("id", "name", "description"):
            t.check(skill.get(name), f"A skill has no {name}: {shown(skill)}")
        t.check(isinstance(skill.get("tags"), list), f"The skill {skill.get('id')} has no tags.")
    ids = [text(skill.get("id")) for skill in objs(card.get("skills"))]
    t.check(len(ids) == len(set(ids)), "Two skills have the same id.")


@case("card.caching", "8.6", each=False)
async def caching(t: Trial) -> None:
    """The card may be kept: Cache-Control and ETag, and 304 for who has it"""
    status, headers, _ = await t.agent.http.fetch("GET", t.agent.url, key=t.key)
    t.check(status == 200, f"HTTP {status}.")
    t.check("max-age" in headers.get("Cache-Control", ""), "Cache-Control names no max-age.")
    etag = headers.get("ETag", "")
    t.check(etag, "There is no ETag.")
    again, _, _ = await t.agent.http.fetch("GET", t.agent.url, key=t.key, headers={"If-None-Match": etag})
    t.check(again == 304, f"With If-None-Match it is HTTP {again}.")


@case("card.signature", "8.4", each=False)
async def signature(t: Trial) -> None:
    """A signature of the card holds, by a key of the card's own origin"""
    why = await _doubts(t, t.agent.card)
    t.check(not why, f"None holds: {'; '.join(why)[:300]}")


@case("card.tampered", "8.4", each=False)
async def tampered(t: Trial) -> None:
    """No signature holds over a card that says something else"""
    why = await _doubts(t, {**t.agent.card, "description": "Something else."})
    t.check(why, "A signature holds over another description.")


async def _doubts(t: Trial, card: dict[str, Any]) -> list[str]:
    """Why none of the card's signatures holds; empty when one does. Skips where there is none."""
    signatures = objs(card.get("signatures"))
    if not signatures:
        raise Skipped("the card is not signed")
    from a2a_cloud.wire.jws_any import check, read_protected

    why: dict[str, None] = {}
    for one in signatures:
        protected, value = text(one.get("protected")), text(one.get("signature"))
        try:
            header = read_protected(protected)
        except SignatureError as error:
            why[str(error)] = None
            continue
        keys = await _keys(t.agent.http, t.agent.url, text(header.get("jku")))
        mine = [key for key in keys if key.get("kid") == header.get("kid")]
        if not mine:
            why[f"there is no key {header.get('kid')!r}"] = None
        for key, form in product(mine, _forms(card)):
            try:
                check(form, protected, value, key)
                return []
            except SignatureError as error:
                why[str(error)] = None
    return list(why)


@case("card.extended", "3.1.11")
async def extended(t: Trial) -> None:
    """The extended card is given to callers with a key where it is declared, and refused where not"""
    if not t.agent.capabilities.get("extendedAgentCard"):
        doing = t.call("GetExtendedAgentCard", {})
        await t.refused(doing, "UNSUPPORTED_OPERATION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED")
        return
    await t.refused(t.call("GetExtendedAgentCard", {}, key=""), "UNAUTHENTICATED")
    if not t.key:
        raise Skipped("a key is needed (--key-file)")
    card = await t.call("GetExtendedAgentCard", {})
    t.check(card.get("name") == t.agent.card.get("name"), f"It is the card of {card.get('name')!r}.")
    public = {text(skill.get("id")) for skill in objs(t.agent.card.get("skills"))}
    mine = {text(skill.get("id")) for skill in objs(card.get("skills"))}
    t.check(public <= mine, f"It lacks skills of the public card: {', '.join(sorted(public - mine))}.")


@case("card.extensions", "4.6.2")
async def extensions(t: Trial) -> None:
    """An extension that the agent requires has to be named by the caller"""
    required = [one for one in objs(t.agent.capabilities.get("extensions")) if one.get("required")]
    if not required:
        raise Skipped("the agent requires no extension")
    await t.refused(t.send("complete"), "EXTENSION_SUPPORT_REQUIRED")


async def _keys(http: Http, url: str, jku: str) -> list[dict[str, Any]]:
    """The keys at `jku`, which has to be on the card's own origin, or of the origin's own key set."""
    own = urlsplit(url)
    where = jku or f"{own.scheme}://{own.netloc}/.well-known/jwks.json"
    there = urlsplit(where)
    if (there.scheme, there.netloc) != (own.scheme, own.netloc):
        raise Failed(f"The signature's jku is on another origin than the card: {where}")
    status, _, body = await http.fetch("GET", where)
    if status != 200:
        raise Failed(f"{where} gives HTTP {status}.")
    return objs(items(obj(parsed(body)).get("keys"))[:_ALLOWED_KEYS])


def _forms(card: dict[str, Any]) -> list[bytes]:
    """The canonical forms that a reader may make: of the document, and of what 1.0 knows of it without
    defaults."""
    from a2a_cloud.wire.a2a_proto import read, write
    from a2a_cloud.wire.jcs import jcs

    whole = {name: value for name, value in card.items() if name != "signatures"}
    known = read("AgentCard", write("AgentCard", whole))
    # Required members stay in, even when they are empty.
    for name in _REQUIRED:
        if name in whole and name not in known:
            known[name] = whole[name]
    return [jcs(whole), jcs(known)]
