"""Who asks for an operation, and what is checked of every request before anything is done: its tenant, its
version, its historyLength (A2A 1.0, sections 3.2.4 and 3.6)."""

from __future__ import annotations

from typing import Protocol

from msgspec import UNSET, UnsetType

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import AgentNotFound, InvalidParams
from a2a_cloud.model.release import Release
from a2a_cloud.surface.a2a.versions import check_spoken
from a2a_cloud.surface.links import AgentLinks
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import readable


class Caller(Protocol):
    """Who asks for an operation of which agent, and at which address: a Request, or a call by gRPC."""

    @property
    def release(self) -> Release: ...
    @property
    def principal(self) -> Principal: ...
    @property
    def links(self) -> AgentLinks: ...
    @property
    def traceparent(self) -> bytes: ...
    @property
    def speaks(self) -> str:
        """The dialect, as the run's record names it: `a2a-1.0`, `a2a-0.3`, …"""
        ...

    @property
    def extensions(self) -> bytes:
        """The service parameter A2A-Extensions as it came."""
        ...


def check_tenant(release: Release, tenant: str) -> None:
    """Raises AgentNotFound unless the tenant is the agent itself, as its address says already."""
    if tenant not in ("", release.name, f"{release.org}.{release.name}"):
        raise AgentNotFound(
            f"There is no tenant {readable(tenant)} at this address.",
            remedy=f"Leave tenant out, or send {release.name}.",
            info={"field": "tenant"},
        )


def check_history(length: int | UnsetType) -> None:
    """Raises InvalidParams for a negative historyLength."""
    if length is not UNSET and length < 0:
        raise InvalidParams("historyLength can't be negative.", info={"field": "historyLength"})


def check_version(request: Request) -> None:
    """Raises VersionNotSupported when the request names a version that is not spoken (versions.py)."""
    raw = request.version
    if not raw:
        if not request.query_string or b"2a-" not in request.query_string.lower():
            return
        wanted = {name.lower(): value for name, value in request.query().items()}.get("a2a-version", "")
        if not wanted:
            return
    else:
        wanted = raw.decode("latin-1").strip()
    check_spoken(wanted)


def trace_id(traceparent: bytes) -> str:
    """The trace id of a W3C traceparent, or ""."""
    fields = traceparent.split(b"-")
    if len(fields) >= 4 and len(fields[1]) == 32 and fields[1].isalnum():
        return fields[1].decode("latin-1").lower()
    return ""
