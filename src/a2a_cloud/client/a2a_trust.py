"""Who vouches for an agent's card: its signatures checked (A2A 1.0, section 8.4: JWS over RFC 8785).

Keys come from the caller, or from the JWKS of the card's own origin: a `jku` of another origin is never
followed, because whoever can write a card could name it. What counts afterwards is what was signed and
nothing else: where only the members that 1.0 knows are covered, the card is those members.

Signers differ in what they make of a card before they sign it, so the forms that are known are tried:
the document as it stands, without anything empty, only what 1.0 knows, what 0.3's SDK makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from a2a_cloud.client.a2a_shapes import Json, shown
from a2a_cloud.client.errors import Untrusted
from a2a_cloud.client.shapes import items, obj, objs, text
from a2a_cloud.wire.jcs import jcs
from a2a_cloud.wire.jws import Jwk, SignatureError
from a2a_cloud.wire.jws_any import check, read_protected

#: Signatures and keys that are looked at; a card with more is not worth the work.
_MOST_SIGNATURES, _MOST_KEYS = 16, 64

_FLOW = ("authorizationUrl", "tokenUrl", "refreshUrl", "deviceAuthorizationUrl", "pkceRequired", "scopes")
_FLOWS = {
    name: dict.fromkeys(_FLOW)
    for name in ("authorizationCode", "clientCredentials", "implicit", "password", "deviceCode")
}
_REQUIREMENTS = {"schemes": {"*": {"list": None}}}
#: The members that A2A 1.0 knows in a card; None for one that is taken as it is, "*" for any name.
_KNOWN: Json = {
    **dict.fromkeys(
        (
            "name",
            "description",
            "version",
            "documentationUrl",
            "iconUrl",
            "defaultInputModes",
            "defaultOutputModes",
        )
    ),
    "supportedInterfaces": dict.fromkeys(("url", "protocolBinding", "tenant", "protocolVersion")),
    "provider": dict.fromkeys(("url", "organization")),
    "capabilities": {
        **dict.fromkeys(("streaming", "pushNotifications", "extendedAgentCard")),
        "extensions": dict.fromkeys(("uri", "description", "required", "params")),
    },
    "skills": {
        **dict.fromkeys(("id", "name", "description", "tags", "examples", "inputModes", "outputModes")),
        "securityRequirements": _REQUIREMENTS,
    },
    "securityRequirements": _REQUIREMENTS,
    "securitySchemes": {
        "*": {
            "apiKeySecurityScheme": dict.fromkeys(("description", "location", "name")),
            "httpAuthSecurityScheme": dict.fromkeys(("description", "scheme", "bearerFormat")),
            "oauth2SecurityScheme": {**dict.fromkeys(("description", "oauth2MetadataUrl")), "flows": _FLOWS},
            "openIdConnectSecurityScheme": dict.fromkeys(("description", "openIdConnectUrl")),
            "mtlsSecurityScheme": {"description": None},
        }
    },
}


@dataclass(frozen=True)
class Vouched:
    """A card whose signature holds: by which key and algorithm, and what of it is covered."""

    kid: str
    algorithm: str
    document: Json


def is_signed(document: Json) -> bool:
    """Whether the card has signatures at all."""
    return bool(objs(document.get("signatures")))


def forms(document: Json) -> Iterator[tuple[bytes, Json]]:
    """What may have been signed of a card, and what a reader of that form knows of it."""
    whole = {name: value for name, value in document.items() if name != "signatures"}
    known = obj(_known(whole, _KNOWN))
    old = dict(whole)
    for name, default in (("preferredTransport", "JSONRPC"), ("protocolVersion", "0.3.0")):
        if old.get(name) == default:
            del old[name]
    for form in (whole, obj(_filled(whole)), known, obj(_filled(_bare(known)))):
        yield jcs(form), form
    # That SDK has its own canonical form: escapes, and keys in the order of code points.
    for form in (old, obj(_filled(old))):
        yield json.dumps(form, separators=(",", ":"), sort_keys=True).encode(), {**form, **_defaults(whole)}


def _defaults(whole: Json) -> Json:
    """0.3's defaults, which its SDK leaves out of what it signs."""
    return {
        name: whole[name]
        for name, default in (("preferredTransport", "JSONRPC"), ("protocolVersion", "0.3.0"))
        if whole.get(name) == default
    }


def vouched(document: Json, keys: Callable[[str, str], Sequence[Jwk]]) -> Vouched:
    """The card as far as a signature of it holds. Raises Untrusted.

    `keys`: (kid, jku) → public keys that may be meant; it decides whose they may be.
    """
    whys: list[str] = []
    wrong = False
    found = objs(document.get("signatures"))
    if not found:
        raise Untrusted("The card is not signed.", "Ask who runs the agent to sign it.")
    try:
        candidates = list(forms(document))
    except (ValueError, RecursionError) as error:
        raise Untrusted(f"The card has no canonical form: {error}.", wrong=True) from None
    for each in found[:_MOST_SIGNATURES]:
        protected, signature = text(each.get("protected")), text(each.get("signature"))
        try:
            header = read_protected(protected)
        except SignatureError as error:
            whys.append(str(error))
            continue
        kid, jku = text(header.get("kid")), text(header.get("jku"))
        offered = [jwk for jwk in keys(kid, jku)[:_MOST_KEYS] if not kid or jwk.get("kid", kid) == kid]
        if not offered:
            whys.append(f"the key {shown(kid, 80)!r} is not among those that are trusted")
        for jwk in offered:
            wrong = True
            for payload, covered in candidates:
                try:
                    check(payload, protected, signature, jwk)
                except SignatureError as error:
                    whys.append(str(error))
                    continue
                return Vouched(kid or text(jwk.get("kid")), text(header.get("alg")), covered)
    raise Untrusted(
        f"No signature of the card holds: {'; '.join(dict.fromkeys(whys))}.",
        "Don't use the agent until who runs it has said why."
        if wrong
        else "Give the key of who signed it, if you know it from elsewhere.",
        wrong=wrong,
    )


def key_set(document: Any) -> list[Jwk]:
    """The keys of a JWK set; [] when it is none."""
    return [cast("Mapping[str, object]", each) for each in objs(obj(document).get("keys"))]


def _known(value: Any, shape: Any) -> Any:
    """`value` without the members that `shape` does not know."""
    if shape is None:
        return value
    if isinstance(value, list):
        return [_known(item, shape) for item in items(value)]
    if not isinstance(value, dict):
        return value
    names = cast("Json", shape)
    return {
        name: _known(item, names.get(name, names.get("*")))
        for name, item in cast("Json", value).items()
        if name in names or "*" in names
    }


def _bare(card: Json) -> Json:
    """Without what Protocol Buffers count as said by its absence: a plain `false`."""
    capabilities = obj(card.get("capabilities"))
    extensions = [
        {name: item for name, item in each.items() if not (name == "required" and item is False)}
        for each in objs(capabilities.get("extensions"))
    ]
    return {**card, "capabilities": {**capabilities, "extensions": extensions}} if extensions else card


def _filled(value: Any) -> Any:
    """Without empty texts, lists and objects, at any depth; None for what would be empty itself."""
    if isinstance(value, dict):
        members = {name: _filled(item) for name, item in cast("Json", value).items()}
        return {name: item for name, item in members.items() if item is not None} or None
    if isinstance(value, list):
        return [item for item in map(_filled, items(value)) if item is not None] or None
    return None if value == "" else value
