"""Ways to say who calls besides keys and tokens: the port for them, and the two that the platform brings:
certificates in TLS (RFC 8705 asks the same of a connection) and AWS Signature Version 4.

A scheme that is in force is asked before keys and tokens are, stands in every card (A2A 1.0, section 4.5),
and refuses what claims to be its own and isn't good: nobody becomes anonymous by failing. How to write one:
docs/service-identity.md.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

from a2a_cloud.model.card import HttpAuthScheme, MutualTlsScheme, SecurityScheme
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Problem, Unauthenticated
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.sigv4 import ALGORITHM, BadSignature, Claim, claims, read

#: Where the front door finds what a scheme said: a Principal, or the Problem to refuse with.
PROVEN = "a2a.proven"
_MTLS = "A certificate of the platform's own authority, whose URI is the agent's service identity."
_SIGV4 = "AWS Signature Version 4 with a key of the platform, for {region}/{service}."


class Scheme(Protocol):
    """A way to say who calls."""

    @property
    def name(self) -> str:
        """What cards call it: letters and digits, and no name that another one has."""
        ...

    @property
    def described(self) -> SecurityScheme:
        """What cards say of it."""
        ...

    def claims(self, request: Request) -> bool:
        """Whether the request says who calls in this way; asked of every request, so it has to be quick."""
        ...

    async def principal(self, request: Request) -> Principal:
        """Who calls. Raises Unauthenticated."""
        ...


class Certificates(Protocol):
    """Agents' certificates (control/services)."""

    def shown(self, certificate: bytes) -> Principal:
        """Who shows one (DER) that TLS has checked. Raises Unauthenticated."""
        ...


class SignedRequests(Protocol):
    """Keys of AWS signatures (control/services)."""

    region: str
    service: str

    def check(self, claim: Claim, method: str, path: str, query: str, body_sha256: str) -> Principal:
        """Who signed. Raises Unauthenticated."""
        ...


class MutualTls:
    """The connection's certificate says who calls, where the request itself doesn't."""

    name = "mtls"
    described = SecurityScheme(
        mtls_security_scheme=MutualTlsScheme(_MTLS), type="mutualTLS", description=_MTLS
    )

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def claims(self, request: Request) -> bool:
        """See the port. A key or token on the same connection comes first. What a browser sends is not
        believed: it shows a certificate whatever page it is that makes it ask."""
        if not request.certificate or request.authorization or request.api_key or request.cookie:
            return False
        return not any(name == b"sec-fetch-site" for name, _ in request.scope["headers"])

    async def principal(self, request: Request) -> Principal:
        """See the port."""
        return self._certificates.shown(request.certificate)


class SigV4:
    """A signature over the request says who calls. Its body is read whole, within `most` bytes, and hashed,
    before anything looks at it."""

    name = "sigv4"

    def __init__(self, keys: SignedRequests, most: int) -> None:
        self._keys = keys
        self._most = most
        text = _SIGV4.format(region=keys.region, service=keys.service)
        self.described = SecurityScheme(
            http_auth_security_scheme=HttpAuthScheme(ALGORITHM, text),
            type="http",
            scheme=ALGORITHM,
            description=text,
        )

    def claims(self, request: Request) -> bool:
        """See the port."""
        return claims(request.authorization)

    async def principal(self, request: Request) -> Principal:
        """See the port."""
        if request.api_key:
            raise Unauthenticated("There are a signature and a key.", remedy="Send one of the two.")
        try:
            claim = read(request.authorization, request.scope["headers"])
        except BadSignature as error:
            raise Unauthenticated(
                f"The signature can't be checked: {error}.", remedy="Sign it anew."
            ) from None
        body = b"" if request.method in ("GET", "HEAD") else await request.body(self._most)
        _again(request, body)
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        return self._keys.check(
            claim,
            request.method,
            raw.decode("latin-1"),
            request.query_string.decode("latin-1"),
            sha256(body).hexdigest(),
        )


async def proven(request: Request, schemes: Sequence[Scheme]) -> None:
    """Ask the schemes in force who calls, and leave what they say for when somebody wants to know."""
    for scheme in schemes:
        if scheme.claims(request):
            try:
                request.scope[PROVEN] = await scheme.principal(request)
            except Problem as problem:
                request.scope[PROVEN] = problem
            return


def in_cards(schemes: Sequence[Scheme]) -> Mapping[str, SecurityScheme]:
    """What cards say of them."""
    return {scheme.name: scheme.described for scheme in schemes}


def _again(request: Request, body: bytes) -> None:
    """Let a body that was read be read once more."""
    after = request.receive
    waiting = [body]

    async def receive() -> MutableMapping[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await after()

    request.receive = receive
