"""Which of an agent's interfaces is spoken to: the newest version that both sides speak, in the agent's
order of preference (A2A 1.0, section 5.2); what the caller asks for, when it asks.

gRPC is taken when it is asked for, or when there is nothing else: the other bindings need no channel of
their own, and carry every number that JSON has.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from a2a_cloud.client.a2a_card import Card, Interface
from a2a_cloud.client.a2a_dialects import GRPC, dialect_of
from a2a_cloud.client.a2a_grpc import GrpcTransport, address, has_grpc
from a2a_cloud.client.a2a_http import Web
from a2a_cloud.client.a2a_shapes import shown
from a2a_cloud.client.a2a_transport import HttpTransport, Transport
from a2a_cloud.client.errors import NoInterface


def interfaces(card: Card, binding: str = "", version: str = "", *, grpc: bool = True) -> list[Interface]:
    """The interfaces that can be spoken to, the best first; without `grpc`, none by that binding.

    Raises NoInterface when there is none.
    """
    binding = binding.upper()
    spoken = [each for each in card.interfaces if _spoken(each) and (grpc or each.binding != GRPC)]
    wanted = [
        each
        for each in spoken
        if (not binding or each.binding == binding) and (not version or each.version == version)
    ]
    if not binding:
        wanted = sorted(wanted, key=lambda each: each.binding == GRPC)
    if not wanted:
        offered = ", ".join(
            f"{shown(i.binding, 20)} {shown(i.version, 20) or '(early)'}" for i in card.interfaces
        )
        asked = f" and {binding or 'any binding'} {version} was asked for" if binding or version else ""
        raise NoInterface(
            f"{shown(card.name, 80)} speaks {offered}{asked}.",
            "This client speaks 1.0 and 0.3 over JSONRPC and HTTP+JSON, and 1.0 over GRPC.",
        )
    return wanted


def _spoken(interface: Interface) -> bool:
    if interface.binding == GRPC:
        return interface.version.startswith("1.") and has_grpc()
    return dialect_of(interface.binding, interface.version) is not None


def connect(web: Web, card: Card, interface: Interface, *, home: str = "") -> Transport:
    """The way to an interface. It carries the key for its own origin, in the header that the card names.

    `home`: an address whose key goes to a gRPC interface of the same host too.
    """
    if interface.binding == GRPC:
        target, secure = address(interface.url)
        url = f"{'https' if secure else 'http'}://{target}"
        beside = bool(home) and urlsplit(home).hostname == urlsplit(url).hostname
        credentials = web.credentials(url) or (web.credentials(home) if beside else {})
        return GrpcTransport(interface.url, interface.version, interface.tenant, credentials, web.limits)
    if card.key_header:
        web.place(interface.url, card.key_header)
    dialect = dialect_of(interface.binding, interface.version, interface.tenant)
    assert dialect is not None
    return HttpTransport(web, interface.url, dialect)
