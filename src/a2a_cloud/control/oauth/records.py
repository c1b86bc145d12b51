"""What is kept of OAuth: clients, and the families of tokens that one consent gave rise to."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

CODE = "authorization_code"
REFRESH = "refresh_token"
CREDENTIALS = "client_credentials"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

#: How a client came here: it is ours, registered itself (RFC 7591), was made by an admin, or its id is the
#: address of its metadata.
BUILT_IN, REGISTERED, MADE, DOCUMENT = "built-in", "registered", "made", "document"

PUBLIC = "none"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Client(Struct, frozen=True):
    """A client. `principal`: the number of who it acts as by itself, 0 for nobody; `role` is theirs.
    `dpop`, `certified`: its tokens are bound to a key, to the certificate of its connections (RFC 8705).
    `secret`, `manage`: SHA-256 of its secret and of its registration token (RFC 7592). `expires`: when one
    that nobody used is forgotten."""

    id: str
    kind: str
    name: str
    org_no: int = 0
    principal: int = 0
    role: str = ""
    redirect_uris: tuple[str, ...] = ()
    grants: tuple[str, ...] = (CODE,)
    auth_method: str = PUBLIC
    scope: str = ""
    uri: str = ""
    application_type: str = "web"
    jwks: dict[str, Any] | None = None
    dpop: bool = False
    certified: bool = False
    secret: bytes = b""
    manage: bytes = b""
    created: float = 0.0
    made_by: str = ""
    expires: float | None = None

    @property
    def public(self) -> bool:
        """It proves nothing of itself."""
        return self.auth_method == PUBLIC

    def redirects_to(self, uri: str) -> bool:
        """Whether codes may be sent there: one of its addresses to the letter; on this machine's own
        interface any port (RFC 8252, section 7.3)."""
        if uri in self.redirect_uris:
            return True
        there = loopback(uri)
        return there is not None and any(loopback(known) == there for known in self.redirect_uris)


def loopback(uri: str) -> tuple[str, str, str] | None:
    """Host, path and query of an http address on the loopback interface; None for any other."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or host not in LOOPBACK or port == 0 or "@" in parts.netloc or parts.fragment:
        return None
    return host, parts.path, parts.query


class Subject(NamedTuple):
    """Who a token is about. `kind`: `person` (`id` is an account's), `client` (a client's), `agent`. `org` is
    the organisation's name."""

    kind: str
    id: str
    org: str


class Family(Struct, frozen=True):
    """All tokens that come of one consent: they end together. `resource` is what they are for, as the
    client wrote it; `jkt` the key that refresh tokens of a public client are bound to; `auth_time` when the
    person signed in."""

    id: str
    client: str
    kind: str
    subject: str
    org: str
    org_no: int
    principal: int
    scope: str
    resource: str = ""
    nonce: str = ""
    auth_time: int = 0
    jkt: str = ""
    x5t: str = ""
    expires: float = 0.0

    @property
    def about(self) -> Subject:
        """Who the tokens are about."""
        return Subject(self.kind, self.subject, self.org)


class Code(Struct, frozen=True):
    """An authorization code: the family that it begins, and what it is bound to."""

    family: Family
    redirect_uri: str
    challenge: str
    jkt: str = ""


class Device(Struct, frozen=True):
    """A device that waits for a person. `verdict`: "" while nobody has decided, then `allow` or `deny`;
    `family` once it is allowed."""

    digest: bytes
    user_code: str
    client: str
    scope: str
    resource: str
    expires: float
    verdict: str = ""
    family: Family | None = None


def digest(token: str) -> bytes:
    """What is stored in the place of a token that was made here with 256 bits of randomness."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def fits(token: str, stored: bytes) -> bool:
    """Whether it is the token whose digest was stored; in constant time."""
    return bool(stored) and hmac.compare_digest(digest(token), stored)


def protected(place: str) -> bool:
    """Whether tokens are made for that path: the platform, its /mcp and API, an agent, an agent's /mcp."""
    steps = place.split("/")[1:]
    if steps[:1] == ["agents"]:
        return len(steps) == 2 or (len(steps) == 3 and steps[2] in ("mcp", "invoke"))
    return place in ("", "/mcp", "/api/v1")
