"""Chains of proxies: what is believed of them, and where they end."""

from __future__ import annotations

from typing import Any

import pytest

from a2a_cloud.settings import HttpLimits, Transport
from a2a_cloud.settings.read import networks
from a2a_cloud.surface.http_shared import Shared
from a2a_cloud.surface.proxies import Caller, Proxies

TRUSTED = networks({"A": "10.0.0.0/8,fd00::/8"}, "A")
PEER = "10.0.0.1"


def fields(text: str) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for line in text.strip().splitlines():
        name, _, value = line.strip().partition(":")
        found.append((name.lower().encode(), value.strip().encode()))
    return found


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("", PEER),
        ("X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 203.0.113.9:4711", "203.0.113.9"),
        ("X-Forwarded-For: [2001:db8::1]:4711", "2001:db8::1"),
        ("X-Forwarded-For: 2001:db8::1", "2001:db8::1"),
        ("X-Forwarded-For: ::ffff:203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the first was sent by the caller
        ("X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("X-Forwarded-For: 203.0.113.9, fd00::2", "203.0.113.9"),
        ("X-Forwarded-For: 10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("X-Forwarded-For: 203.0.113.9, unknown", PEER),
        ("X-Forwarded-For: 203.0.113.9, rubbish, 10.2.2.2", "10.2.2.2"),
        ("X-Forwarded-For: ", PEER),
        ("Forwarded: for=6.6.6.6", PEER),
        ("X-Real-IP: 6.6.6.6", PEER),
        ("X-Forwarded-For: " + "6.6.6.6," * 5000 + "10.2.2.2", "6.6.6.6"),
    ],
)
def test_the_caller_by_x_forwarded(said: str, address: str) -> None:
    proxies = Proxies(Transport(proxies=TRUSTED))
    assert proxies.caller(PEER, fields(said)).address == address


@pytest.mark.parametrize(
    ("said", "caller"),
    [
        ("", Caller(PEER, "", "")),
        ("X-Forwarded-For: 6.6.6.6", Caller(PEER, "", "")),
        (
            "Forwarded: for=203.0.113.9;proto=https;host=a.example",
            Caller("203.0.113.9", "https", "a.example"),
        ),
        ('Forwarded: For="[2001:db8::1]:80"; Proto=HTTPS', Caller("2001:db8::1", "https", "")),
        (
            "Forwarded: for=6.6.6.6;proto=https, for=203.0.113.9;proto=http, for=10.2.2.2;proto=https",
            Caller("203.0.113.9", "http", ""),
        ),
        ("Forwarded: for=203.0.113.9, for=_hidden;proto=https", Caller(PEER, "https", "")),
        ('Forwarded: for="203.0.113.9', Caller(PEER, "", "")),
        ("Forwarded: proto=gopher", Caller(PEER, "", "")),
    ],
)
def test_the_caller_by_forwarded(said: str, caller: Caller) -> None:
    proxies = Proxies(Transport(proxies=TRUSTED, headers="forwarded"))
    assert proxies.caller(PEER, fields(said)) == caller


def test_who_is_trusted() -> None:
    proxies = Proxies(Transport(proxies=TRUSTED))
    assert all(proxies.trusts(one) for one in ("10.255.0.1", "::ffff:10.0.0.1", "fd00::1"))
    assert not any(proxies.trusts(one) for one in ("11.0.0.1", "127.0.0.1", "::1", "", "unix"))


def test_without_tls_only_proxies_and_this_machine_are_let_in() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("nobody gets as far")

    shared = Shared(app, HttpLimits(connections_per_client=1), ("0.0.0.0", 1))  # noqa: S104
    shared.guarded = True
    refused = shared.admit("203.0.113.9")
    assert refused is not None
    assert refused.http == 403
    for _ in range(3):
        assert shared.admit("10.0.0.1", many=True) is None  # one address, any number of callers
    assert shared.admit("::1") is None
    assert shared.admit("::1") is not None
