"""surface/a2a/grpc/address.py: what cards say of the gRPC binding."""

from __future__ import annotations

import pytest
from msgspec import Raw

from a2a_cloud.model.release import Manifest, Release, SkillSpec
from a2a_cloud.surface.a2a.grpc.address import grpc_address, tenant_of

SPEC = SkillSpec("echo", "", "", Raw(b"{}"), Raw(b"true"))


def release(org: str = "default") -> Release:
    return Release(1, 1, 1, org, 1, "sha256:0", "", Manifest("desk", "a.py"), (SPEC,))


@pytest.mark.parametrize(
    ("named", "base", "address"),
    [
        ("", "http://127.0.0.1:8080/agents/desk", ""),
        (":8081", "http://127.0.0.1:8080/agents/desk", "127.0.0.1:8081"),
        (":8081", "http://[::1]:8080/agents/desk", "[::1]:8081"),
        (":8081", "http://desk.localhost:8080", "localhost:8081"),
        (":8081", "https://agents.example.com/agents/desk", "agents.example.com:8081"),
        ("grpc.example.com:443", "http://127.0.0.1:8080/agents/desk", "grpc.example.com:443"),
    ],
    ids=["off", "address", "ipv6", "name-below-localhost", "domain", "named"],
)
def test_where_it_is(named: str, base: str, address: str) -> None:
    assert grpc_address(named, base) == address


@pytest.mark.parametrize(
    ("org", "base", "tenant"),
    [
        ("default", "http://127.0.0.1:8080/agents/desk", "desk"),
        ("default", "http://127.0.0.1:8080/agents/desk@2", "desk@2"),
        ("default", "http://127.0.0.1:8080/agents/7--desk", "7--desk"),
        ("acme", "http://127.0.0.1:8080/agents/acme.desk", "acme.desk"),
        ("default", "http://desk.localhost:8080", "desk"),
        ("default", "http://7--desk.localhost:8080", "7--desk"),
        ("acme", "http://acme.desk.example.com", "acme.desk"),
        ("acme", "http://elsewhere", "acme.desk"),
    ],
    ids=["path", "major", "release", "org", "host", "release-host", "org-host", "unknown-host"],
)
def test_which_tenant_it_is(org: str, base: str, tenant: str) -> None:
    assert tenant_of(release(org), base) == tenant
