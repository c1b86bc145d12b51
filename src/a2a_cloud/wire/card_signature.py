"""Signatures of agent cards (A2A 1.0, section 8.4): JWS over the canonical form of the card.

A card of ours holds the members of two generations, and readers of one do not know those of the other:
what a reader checks is the canonical form of what it understood. So a card is signed once for each form
that readers make of it; a reader needs one that holds. The forms: the document as it stands; the members
that 1.0 knows; those without anything empty, as the official 1.x SDK for Python reads it; those that 0.3
knows without defaults, as the official 0.3 SDK for Python does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from a2a_cloud.wire.jcs import jcs
from a2a_cloud.wire.jws import b64url

Document = dict[str, Any]

#: Members of a card and of what it holds that 1.0 does not know: its readers drop them.
_OLD = frozenset(
    {
        "url",
        "preferredTransport",
        "additionalInterfaces",
        "protocolVersion",
        "security",
        "supportsAuthenticatedExtendedCard",
        "authentication",
        "defaultModalities",
        "supportsStreaming",
        "supportsPushNotifications",
    }
)
_OLD_CAPABILITIES = frozenset({"stateTransitionHistory"})
_OLD_SKILL = frozenset({"security"})
_NEW_SCHEMES = ("httpAuthSecurityScheme", "apiKeySecurityScheme", "openIdConnectSecurityScheme")

#: Members that 0.3 knows, where it knows fewer than stand there.
_OLD_CARD = frozenset(
    {
        "additionalInterfaces",
        "capabilities",
        "defaultInputModes",
        "defaultOutputModes",
        "description",
        "documentationUrl",
        "iconUrl",
        "name",
        "preferredTransport",
        "protocolVersion",
        "provider",
        "security",
        "securitySchemes",
        "skills",
        "supportsAuthenticatedExtendedCard",
        "url",
        "version",
    }
)
_OLD_CAPABILITY_NAMES = frozenset({"extensions", "pushNotifications", "stateTransitionHistory", "streaming"})


def forms(card: Document) -> list[bytes]:
    """What is signed of `card`: its canonical forms, the first that of the document as it stands."""
    whole = without(card, {"signatures"})
    new = _of_1_0(whole)
    found = [jcs(whole), jcs(new), jcs(_filled(new)), _old_json(_of_0_3(whole))]
    return list(dict.fromkeys(found))


def signatures(card: Document, kid: str, jku: str, sign: Callable[[bytes], bytes]) -> list[dict[str, str]]:
    """The card's `signatures`. `sign` gives the raw ES256 signature (64 bytes) of what it is given."""
    header = {"alg": "ES256", "jku": jku, "kid": kid, "typ": "JOSE"}
    protected = b64url(jcs(header))
    return [
        {
            "protected": protected.decode(),
            "signature": b64url(sign(protected + b"." + b64url(form))).decode(),
        }
        for form in forms(card)
    ]


def without(members: Document, names: frozenset[str] | set[str]) -> Document:
    """A copy without these members."""
    return {name: value for name, value in members.items() if name not in names}


def _of_1_0(card: Document) -> Document:
    new = without(card, _OLD)
    new["capabilities"] = without(card["capabilities"], _OLD_CAPABILITIES)
    new["skills"] = [without(skill, _OLD_SKILL) for skill in card["skills"]]
    if "securitySchemes" in card:
        new["securitySchemes"] = {
            name: {kind: scheme[kind] for kind in _NEW_SCHEMES if kind in scheme}
            for name, scheme in card["securitySchemes"].items()
        }
    return new


def _of_0_3(card: Document) -> Document:
    old = {name: value for name, value in card.items() if name in _OLD_CARD}
    for name, default in (("preferredTransport", "JSONRPC"), ("protocolVersion", "0.3.0")):
        if old.get(name) == default:
            del old[name]
    capabilities = card["capabilities"]
    old["capabilities"] = {name: capabilities[name] for name in _OLD_CAPABILITY_NAMES if name in capabilities}
    old["skills"] = [without(skill, {"securityRequirements"}) for skill in card["skills"]]
    if "securitySchemes" in card:
        # `type` is a default too: each kind of scheme has its own.
        old["securitySchemes"] = {
            name: without(scheme, {"type", *_NEW_SCHEMES}) for name, scheme in card["securitySchemes"].items()
        }
    return cast("Document", _filled(old))


def _filled(value: Any) -> Any:
    """A copy without empty texts, lists and objects, at any depth; None for what would be empty itself."""
    if isinstance(value, dict):
        members = {name: _filled(item) for name, item in cast("Document", value).items()}
        return {name: item for name, item in members.items() if item is not None} or None
    if isinstance(value, list):
        return [item for item in map(_filled, cast("list[Any]", value)) if item is not None] or None
    return None if value == "" else value


def _old_json(card: Document) -> bytes:
    # Not JCS, but what that SDK makes: escapes, and keys in the order of code points.
    return json.dumps(card, separators=(",", ":"), sort_keys=True).encode()
