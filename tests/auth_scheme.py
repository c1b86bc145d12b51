"""A custom way to say who calls, as docs/service-identity.md describes it: for tests."""

from __future__ import annotations

import hmac
from hashlib import sha256

from a2a_cloud.model.card import ApiKeyScheme, SecurityScheme
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Unauthenticated
from a2a_cloud.surface.request import Request

SECRET = b"between the two of us"


def sealed(name: str) -> str:
    """What a caller sends."""
    return f"{name}.{hmac.digest(SECRET, name.encode(), sha256).hex()}"


class Badge:
    """A header with a name and a code over it."""

    name = "badge"
    described = SecurityScheme(
        api_key_security_scheme=ApiKeyScheme("X-Badge", "header", "A badge."),
        type="apiKey",
        location="header",
        description="A badge.",
    )

    def claims(self, request: Request) -> bool:
        return any(name == b"x-badge" for name, _ in request.scope["headers"])

    async def principal(self, request: Request) -> Principal:
        said = next(value for name, value in request.scope["headers"] if name == b"x-badge").decode()
        name = said.partition(".")[0]
        if not hmac.compare_digest(said, sealed(name)):
            raise Unauthenticated("The badge is forged.", remedy="Send a real one.")
        return Principal(1, 1, name, "default")


def scheme() -> Badge:
    """What A2A_AUTH_SCHEMES names."""
    return Badge()
