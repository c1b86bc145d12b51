"""An agent's card as its caller reads it, whatever its generation (A2A 1.0, section 4.4; 0.3.0, section 5.5).

A card may hold the members of several generations: 1.0's `supportedInterfaces`, 0.3's `url` with
`preferredTransport` and `additionalInterfaces`, and what came before. The interfaces of all of them are
gathered here, the newest version first, in the agent's own order of preference within a version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from a2a_cloud.client.a2a_dialects import GRPC, HTTP_JSON, JSONRPC
from a2a_cloud.client.a2a_shapes import Json
from a2a_cloud.client.errors import NoCard
from a2a_cloud.client.shapes import items, obj, objs, text

_FIRST_0_3 = "0.3"
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}\Z")
#: Headers that say something else than who calls.
_NOT_KEYS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "accept"})


@dataclass(frozen=True, slots=True)
class Interface:
    """An address and what is spoken there; `version` is "" for the time of tasks/send."""

    url: str
    binding: str
    version: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that the agent names."""

    uri: str
    description: str = ""
    required: bool = False
    params: Json = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Skill:
    """What the agent says that it can do."""

    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str]
    input_modes: list[str]
    output_modes: list[str]


@dataclass(frozen=True, slots=True)
class Card:
    """A card. `url` is where it was read, `json` the document, `signed_by` the key that vouches for it
    ("" for none, or not checked)."""

    name: str
    description: str
    version: str
    interfaces: list[Interface]
    streaming: bool
    push_notifications: bool
    extended: bool
    extensions: list[Extension]
    input_modes: list[str]
    output_modes: list[str]
    skills: list[Skill]
    schemes: dict[str, Json]
    provider: str = ""
    provider_url: str = ""
    documentation_url: str = ""
    url: str = ""
    signed_by: str = ""
    json: Json = field(default_factory=dict[str, Any], repr=False)

    def extension(self, uri: str) -> Extension | None:
        """The extension of that name."""
        return next((each for each in self.extensions if each.uri == uri), None)

    @property
    def key_header(self) -> str:
        """The header in which a key goes; "" for Authorization, as a bearer's, wherever that is taken."""
        header = ""
        for scheme in self.schemes.values():
            kind, members = _scheme(scheme)
            if kind in ("oauth2", "openIdConnect") or (
                kind == "http" and text(members.get("scheme")).lower() == "bearer"
            ):
                return ""
            place = text(members.get("location") or members.get("in"))
            name = text(members.get("name"))
            if kind == "apiKey" and place == "header" and _HEADER.match(name):
                header = header or ("" if name.lower() in _NOT_KEYS else name)
        return "" if header.lower() == "authorization" else header


_KINDS = {
    "apiKeySecurityScheme": "apiKey",
    "httpAuthSecurityScheme": "http",
    "oauth2SecurityScheme": "oauth2",
    "openIdConnectSecurityScheme": "openIdConnect",
    "mtlsSecurityScheme": "mutualTLS",
}


def _scheme(scheme: Json) -> tuple[str, Json]:
    """(kind, members) of a scheme of 1.0 (`{"httpAuthSecurityScheme": {…}}`) or 0.3 (`{"type": …}`)."""
    for name, kind in _KINDS.items():
        if name in scheme:
            return kind, obj(scheme[name])
    return text(scheme.get("type")), scheme


def read_card(document: Json, url: str, signed_by: str = "") -> Card:
    """The card in `document`, read at `url`. Raises NoCard when it names no agent and no address."""
    name = text(document.get("name"))
    interfaces = _interfaces(document)
    if not name or not interfaces:
        raise NoCard(
            f"What is at {url} is no agent card: it has {'no name' if not name else 'no interface'}.",
            "Give the agent's address, or that of its card.",
        )
    capabilities = obj(document.get("capabilities"))
    provider = obj(document.get("provider"))
    return Card(
        name=name,
        description=text(document.get("description")),
        version=text(document.get("version")),
        interfaces=interfaces,
        streaming=capabilities.get("streaming") is True or document.get("supportsStreaming") is True,
        push_notifications=capabilities.get("pushNotifications") is True,
        extended=capabilities.get("extendedAgentCard") is True
        or document.get("supportsAuthenticatedExtendedCard") is True,
        extensions=[
            Extension(
                text(each.get("uri")),
                text(each.get("description")),
                each.get("required") is True,
                obj(each.get("params")),
            )
            for each in objs(capabilities.get("extensions"))
        ],
        input_modes=_texts(document.get("defaultInputModes") or document.get("defaultModalities")),
        output_modes=_texts(document.get("defaultOutputModes") or document.get("defaultModalities")),
        skills=[_skill(each) for each in objs(document.get("skills"))],
        schemes={name: obj(each) for name, each in obj(document.get("securitySchemes")).items()},
        provider=text(provider.get("organization")),
        provider_url=text(provider.get("url")),
        documentation_url=text(document.get("documentationUrl")),
        url=url,
        signed_by=signed_by,
        json=document,
    )


def bare_card(url: str, binding: str, version: str) -> Card:
    """The card of an agent that shows none: its one interface."""
    card = read_card(
        {"name": url, "capabilities": {"streaming": True}, "url": url, "protocolVersion": "0.3"}, url
    )
    return replace(card, interfaces=[Interface(url, binding.upper(), version)])


def _texts(value: object) -> list[str]:
    return [each for each in items(value) if isinstance(each, str)]


def _skill(given: Json) -> Skill:
    return Skill(
        text(given.get("id")),
        text(given.get("name")) or text(given.get("id")),
        text(given.get("description")),
        _texts(given.get("tags")),
        _texts(given.get("examples")),
        _texts(given.get("inputModes")),
        _texts(given.get("outputModes")),
    )


def _short(version: str) -> str:
    """Major.Minor: a patch number does not count."""
    return ".".join(version.split(".")[:2])


def _interfaces(document: Json) -> list[Interface]:
    found = [
        Interface(
            text(each.get("url")),
            text(each.get("protocolBinding")),
            _short(text(each.get("protocolVersion")) or "1.0"),
            text(each.get("tenant")),
        )
        for each in objs(document.get("supportedInterfaces"))
    ]
    url = text(document.get("url"))
    if url:
        # A card of 0.3 names its version; one without a version may be older, or only careless.
        version = _short(text(document.get("protocolVersion")) or _FIRST_0_3)
        if version.startswith("1"):
            version = _FIRST_0_3  # 0.3's members are spoken of, whatever the card calls itself
        found.append(Interface(url, text(document.get("preferredTransport")) or JSONRPC, version))
        found += [
            Interface(text(each.get("url")), text(each.get("transport")), version)
            for each in objs(document.get("additionalInterfaces"))
        ]
        if "protocolVersion" not in document or "authentication" in document:
            found.append(Interface(url, JSONRPC, ""))
    known = [
        each
        for each in dict.fromkeys(found)
        if each.binding in (JSONRPC, HTTP_JSON, GRPC) and (each.binding == GRPC or _is_web(each.url))
    ]
    return sorted(known, key=lambda each: _rank(each.version), reverse=True)


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _rank(version: str) -> tuple[int, ...]:
    numbers = version.split(".")
    return tuple(int(each) for each in numbers) if all(each.isdigit() for each in numbers) else (-1,)
