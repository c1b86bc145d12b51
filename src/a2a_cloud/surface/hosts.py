"""Which host names are ours, and what they name: the platform, or one agent (`{name}.localhost`,
`{name}.DOMAIN`).

A name that isn't ours is refused, so that a web page can't reach a local platform by a name of its own
(DNS rebinding).
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_MAX_KEPT = 1024


class Host(NamedTuple):
    """A host that is ours: the address it gives, and the agent that it names ("" for the platform)."""

    origin: str
    agent: str


class Hosts:
    """Reads Host headers; what it has read before is looked up."""

    __slots__ = ("_allowed", "_domains", "_kept", "_own")

    def __init__(self, base_url: str, allowed: tuple[str, ...]) -> None:
        own = (urlsplit(base_url).hostname or "").lower()
        self._own = own
        self._allowed = frozenset(name for name in allowed if not name.startswith("*.")) | _LOOPBACK | {own}
        self._domains = ("localhost", *(name[2:] for name in allowed if name.startswith("*.")))
        self._kept: dict[tuple[bytes, str], Host] = {}

    def read(self, header: bytes, scheme: str) -> Host | None:
        """What the Host header names; None when it isn't ours."""
        key = (header, scheme)
        found = self._kept.get(key)
        if found is None:
            found = self._read(header, scheme)
            if found is not None:
                if len(self._kept) >= _MAX_KEPT:
                    self._kept.clear()
                self._kept[key] = found
        return found

    def _read(self, header: bytes, scheme: str) -> Host | None:
        try:
            text = header.decode("ascii").lower()
        except UnicodeDecodeError:
            return None
        name, port = text, ""
        if text.startswith("["):
            name, bracket, port = text.partition("]")
            name += bracket
        elif ":" in text:
            name, _, port = text.partition(":")
            port = ":" + port
        if port and not (port[1:].isdigit() and len(port) <= 6):
            return None
        name = name.removesuffix(".")
        origin = f"{scheme}://{name}{port}"
        if name in self._allowed or name.strip("[]") in self._allowed:
            return Host(origin, "")
        for domain in self._domains:
            if name.endswith("." + domain):
                agent = name[: -len(domain) - 1]
                clean = agent.replace("-", "").replace("_", "").replace(".", "").isalnum()
                return Host(origin, agent) if clean else None
        return None
