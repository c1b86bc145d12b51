"""Who calls by gRPC, from a call's metadata (A2A 1.0, section 10.2) and its tenant."""

from __future__ import annotations

from collections.abc import Iterable

from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import InvalidRequest
from a2a_cloud.model.release import Release
from a2a_cloud.surface.came import UNTOLD, Came
from a2a_cloud.surface.limits import Use
from a2a_cloud.surface.links import AgentLinks

#: Keys that are read, by the attribute that keeps their value; those of which two make a call ambiguous.
_READ = {
    "authorization": "authorization",
    "x-api-key": "api_key",
    "a2a-version": "version",
    "a2a-extensions": "extensions",
    "a2a-release": "wanted",
    "traceparent": "traceparent",
}
_ONCE = frozenset({"authorization", "x-api-key", "a2a-release"})


class GrpcCaller:
    """A call's metadata, and once it is admitted the agent: what an operation needs to know."""

    __slots__ = (
        "address",
        "api_key",
        "authorization",
        "extensions",
        "links",
        "principal",
        "release",
        "speaks",
        "traceparent",
        "url",
        "use",
        "version",
        "wanted",
    )

    release: Release
    links: AgentLinks

    def __init__(self, metadata: Iterable[tuple[str, str | bytes]], address: str = "") -> None:
        """`address` is where the call came from. Raises InvalidRequest for two of what can only be one."""
        self.address = address
        self.principal: Principal = ANONYMOUS
        #: How much of the caller's rate is used, when that is worth saying.
        self.use: Use | None = None
        self.speaks = "a2a-1.0"
        self.authorization = b""
        self.api_key = b""
        self.version = b""
        self.extensions = b""
        self.wanted = b""
        self.traceparent = b""
        self.url = UNTOLD
        for key, given in metadata:
            attribute = _READ.get(key)
            if attribute is None:
                continue
            value = given if isinstance(given, bytes) else given.encode("utf-8", "replace")
            before: bytes = getattr(self, attribute)
            if before and key in _ONCE and before != value:
                raise InvalidRequest(f"The metadata hold {key} twice.")
            if before and key == "a2a-extensions":
                value = before + b"," + value
            setattr(self, attribute, value)

    def came(self, scheme: str) -> Came:
        """How a token was shown. Proofs name an address and a method of HTTP: by gRPC there are none."""
        return Came(scheme, "", self.url)
