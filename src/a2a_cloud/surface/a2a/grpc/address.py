"""What a card says of the gRPC binding: where it is, and by which tenant it knows the agent."""

from __future__ import annotations

from urllib.parse import urlsplit

from a2a_cloud.model.release import Release
from a2a_cloud.surface.front_names import qualified


def grpc_address(grpc_url: str, base: str) -> str:
    """Where gRPC is served, for somebody who reached the agent at `base`; "" for nowhere.

    `grpc_url` is an address that the operator named, or a colon and a port: that of the base's host then.
    Plain `host:port`, which gRPC's own libraries take as it is.
    """
    if not grpc_url.startswith(":"):
        return grpc_url
    host = urlsplit(base).hostname or ""
    # Names below localhost are resolved by browsers, and by little else.
    if host.endswith(".localhost"):
        host = "localhost"
    return f"[{host}]{grpc_url}" if ":" in host else host + grpc_url


def tenant_of(release: Release, base: str) -> str:
    """The tenant that reaches what `base` reaches: the agent's name, with its pin (`name@2`, `7--name`)."""
    _, found, name = base.rpartition("/agents/")
    if found:
        return name
    host = urlsplit(base).hostname or ""
    before, found, _ = host.partition(release.name + ".")
    return before + release.name if found else qualified(release)
