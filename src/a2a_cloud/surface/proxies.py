"""Who really calls, behind proxies: `X-Forwarded-*`, or `Forwarded` (RFC 7239).

Only what comes over a connection from a configured address is believed. The chain is read from its end, the
hop nearest to us; hops that are configured too are passed over, and the first that is not is the caller. What
can't be read ends the chain at the last good hop. Only one of the two kinds of fields is read: a proxy that
writes one leaves the other as the client sent it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from a2a_cloud.settings import Transport

#: Hops of a chain that are looked at.
_MOST_HOPS = 32
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*))\s*(?:;|$)')
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')
_MAX_KEPT = 4096

Fields = Iterable[tuple[bytes, bytes]]


class Caller(NamedTuple):
    """Who calls: the address without port, `http` or `https`, and the host that was asked for; "" where
    nobody says."""

    address: str
    scheme: str
    host: str


class Proxies:
    """The proxies that are believed."""

    __slots__ = ("_kept", "_networks", "_standard")

    def __init__(self, transport: Transport) -> None:
        self._networks = transport.proxies
        self._standard = transport.headers == "forwarded"
        self._kept: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """Whether the address is a proxy's."""
        found = self._kept.get(address)
        if found is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            found = self._kept[address] = self._within(address)
        return found

    def _within(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address.removeprefix("::ffff:"))
        except ValueError:
            return False
        return any(ip in network for network in self._networks)

    def caller(self, peer: str, fields: Fields) -> Caller:
        """Who calls over a connection from the trusted address `peer`; `fields` have names in lower case."""
        if self._standard:
            return self._forwarded(peer, fields)
        chain: list[str] = []
        scheme = host = ""
        for name, value in fields:
            if name == b"x-forwarded-for":
                chain += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto":
                scheme = value.decode("latin-1").rpartition(",")[2].strip().lower()
            elif name == b"x-forwarded-host":
                host = value.decode("latin-1").rpartition(",")[2].strip()
        return Caller(self._first(peer, chain), _scheme(scheme), host)

    def _forwarded(self, peer: str, fields: Fields) -> Caller:
        hops: list[dict[str, str]] = []
        for name, value in fields:
            if name == b"forwarded":
                hops += [_pairs(element) for element in _ELEMENT.findall(value.decode("latin-1"))]
        if not hops:
            return Caller(peer, "", "")
        # `proto` and `host` are said by the hop that took the caller's request.
        address, place = peer, len(hops)
        for hop in reversed(hops[-_MOST_HOPS:]):
            node = _address(hop.get("for", ""))
            if not node:
                break
            address, place = node, place - 1
            if not self.trusts(node):
                break
        first = hops[min(place, len(hops) - 1)]
        return Caller(address, _scheme(first.get("proto", "").lower()), first.get("host", ""))

    def _first(self, peer: str, chain: Sequence[str]) -> str:
        address = peer
        for hop in reversed(chain[-_MOST_HOPS:]):
            node = _address(hop.strip())
            if not node:
                break
            address = node
            if not self.trusts(node):
                break
        return address


def _scheme(text: str) -> str:
    return text if text in ("http", "https") else ""


def _pairs(element: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(element):
        match = _PAIR.match(element, at)
        if match is None:
            return {}
        quoted = match[2]
        found[match[1].lower()] = match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = match.end()
    return found


def _address(node: str) -> str:
    """A node's address without its port; "" when it isn't one (`unknown`, `_hidden`)."""
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    try:
        ip = ipaddress.ip_address(node)
    except ValueError:
        return ""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)
