"""Which host a request means, and whether an address may be dialled.

A host is taken in its one right spelling or refused: what a resolver would read as an address
(`127.1`, `2130706433`, `0x7f.1`), a dot at the end, a percent sign and letters outside ASCII are no names.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from a2a_cloud.model.problem import InvalidRequest

Address = IPv4Address | IPv6Address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?").fullmatch
#: The last label makes the whole an address, as resolvers and browsers read it.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch
_PORT = re.compile(r"[1-9][0-9]{0,4}").fullmatch

#: Not global, whatever the Python version thinks: special purposes (RFC 6890 and its registry), shared
#: address space, multicast, reserved.
_CLOSED_V4 = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's own service for machines: global by its number only
    )
)
#: All that is assigned for global unicast lies here; mapped, translated, local and multicast ones do not.
_OPEN_V6 = ip_network("2000::/3")
#: Of it: protocol assignments with Teredo, documentation, 6to4 (which carry an IPv4 address along).
_CLOSED_V6 = tuple(ip_network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
#: What an operator opens when they name a host: the networks of their own, and this machine.
_OWN = tuple(
    ip_network(each)
    for each in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "fc00::/7",
        "::1/128",
    )
)
_AZURE = ip_address("168.63.129.16")
#: Of these never: services for machines, which hand out keys.
_METADATA = frozenset(ip_address(each) for each in ("fd00:ec2::254", "100.100.100.200"))


class Host(NamedTuple):
    """A host: `name` in its one spelling (an IPv6 address in brackets), `address` when it is one."""

    name: str
    address: Address | None = None

    @property
    def bare(self) -> str:
        """Without brackets, as TLS and sockets take it."""
        return self.name.strip("[]")


def canonical(text: str) -> Host:
    """The host that `text` names; capitals become small letters. Raises InvalidRequest."""
    if text.startswith("["):
        return _bracketed(text)
    name = text.lower()
    if not name.isascii():
        raise _wrong(text, "has letters outside ASCII", "Write it as xn--… (IDNA).")
    if name.endswith("."):
        raise _wrong(text, "has a dot at its end", "Leave the dot out.")
    labels = name.split(".")
    if not name or len(name) > 253 or not all(_LABEL(label) for label in labels):
        raise _wrong(text, "is no host name", "Write it as api.example.com.")
    if _NUMBER(labels[-1]):
        try:
            address = IPv4Address(name)
        except ValueError:
            raise _wrong(text, "is an address in another spelling", "Write it as 192.0.2.1.") from None
        return Host(name, address)
    for label in labels:
        if label.startswith("xn--"):
            _check_idna(label, text)
    return Host(name)


def host_and_port(text: str, default: int | None = None) -> tuple[Host, int]:
    """`host:port`; `default` is the port when there is none (None: it must be there). Raises
    InvalidRequest, also for a user's name before an `@`."""
    if "@" in text:
        raise InvalidRequest(
            "The address holds a user's name or password.", remedy="Leave out what is before the @."
        )
    bracket = text.rfind("]")
    at = text.find(":", bracket + 1)
    host, port = (text, "") if at < 0 else (text[:at], text[at + 1 :])
    if at < 0 and default is not None:
        return canonical(host), default
    if not _PORT(port) or int(port) > 65535:
        raise InvalidRequest(
            f"{text[:80]!a} has no port from 1 to 65535.", remedy="Write it as api.example.com:443."
        )
    return canonical(host), int(port)


def closed(address: Address) -> str:
    """Why nobody dials `address` unless it is named, as the end of a sentence; "" for a global one."""
    if isinstance(address, IPv4Address):
        if any(address in net for net in _CLOSED_V4):
            return "is private, local or reserved"
        return "" if address.is_global else "is not global"
    if address not in _OPEN_V6 or any(address in net for net in _CLOSED_V6):
        return "is private, local, reserved, or stands for an IPv4 address"
    return "" if address.is_global else "is not global"


def own(address: Address) -> bool:
    """Whether a host that the operator named may have `address`: their networks and this machine, but
    no link-local address, where machines get their keys. Such a one has to be named itself."""
    return address not in _METADATA and any(address in net for net in _OWN if net.version == address.version)


def barred(address: Address) -> bool:
    """Whether `address` is one that no host leads to, whoever named it: where machines get their keys,
    link-local, multicast, unspecified, and IPv6 addresses that stand for an IPv4 one."""
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return True
    if isinstance(address, IPv6Address):
        return (
            not (own(address) or address in _OPEN_V6) or address in _CLOSED_V6[0] or address in _CLOSED_V6[2]
        )
    return address == _AZURE


def _bracketed(text: str) -> Host:
    try:
        if not text.endswith("]") or "%" in text:
            raise ValueError(text)
        address = IPv6Address(text[1:-1])
    except ValueError:
        raise _wrong(text, "is no IPv6 address", "Write it as [2001:db8::1].") from None
    if address.ipv4_mapped is not None:
        raise _wrong(text, "stands for an IPv4 address", "Name the IPv4 address itself.")
    if f"[{address}]" != text.lower():
        raise _wrong(text, "is an address in another spelling", f"Write it as [{address}].")
    return Host(f"[{address}]", address)


def _check_idna(label: str, text: str) -> None:
    try:
        plain = label[4:].encode().decode("punycode").isascii()
    except (UnicodeError, ValueError, OverflowError):
        plain = True
    if plain:
        raise _wrong(text, f"has the label {label}, which encodes nothing", "Check its spelling.")


def _wrong(text: str, why: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(f"The host {text[:80]!a} {why}.", remedy=remedy, info={"reason": "host"})
