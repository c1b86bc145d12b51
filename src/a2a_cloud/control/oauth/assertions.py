"""Clients that prove who they are by a JWT of their own key (RFC 7523, section 2.2; `private_key_jwt`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from a2a_cloud.control.oauth.proofs import parse_json
from a2a_cloud.model.ports import Clock
from a2a_cloud.wire import jws_any
from a2a_cloud.wire.jws import SignatureError, b64url_decode

METHOD = "private_key_jwt"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: Seconds that an assertion may be good for, and that the client's clock may be off.
LONGEST, SKEW = 600, 60
_MAX = 8 << 10
_KEPT = 50_000


class Assertions:
    """Checks assertions; each counts once."""

    def __init__(self, clock: Clock, issuer: Callable[[], str]) -> None:
        self._clock = clock
        self._issuer = issuer
        self._seen: dict[tuple[str, str], float] = {}

    def authenticate(self, query_client: Callable[[str], Any], request: Any) -> Any:
        """The client whose assertion the request holds, None for none. As Authlib calls its methods."""
        form = request.form
        assertion = form.get("client_assertion", "")
        if form.get("client_assertion_type") != TYPE or not assertion or len(assertion) > _MAX:
            return None
        parts = assertion.split(".")
        if len(parts) != 3:
            return None
        try:
            claims = parse_json(b64url_decode(parts[1]))
        except ValueError:
            return None
        who = claims.get("sub")
        if not isinstance(who, str) or claims.get("iss") != who or form.get("client_id", who) != who:
            return None
        client = query_client(who)
        if client is None or not _signed(client.client.jwks or {}, parts) or not self._fresh(who, claims):
            return None
        return client

    def _fresh(self, who: str, claims: dict[str, Any]) -> bool:
        issuer, now = self._issuer(), self._clock.now()
        audience: Any = claims.get("aud")
        named = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
        if not ({issuer, f"{issuer}/oauth/token"} & {each for each in named if isinstance(each, str)}):
            return False
        until, jti = claims.get("exp"), claims.get("jti")
        if not isinstance(until, int | float) or not math.isfinite(until):
            return False
        if (
            not now - SKEW < until <= now + LONGEST + SKEW
            or not isinstance(jti, str)
            or not 0 < len(jti) <= 200
        ):
            return False
        began = claims.get("nbf", claims.get("iat", 0))
        if not isinstance(began, int | float) or not began <= now + SKEW:
            return False
        key = (who, jti)
        if self._seen.get(key, 0.0) > now:
            return False
        if len(self._seen) >= _KEPT:
            self._seen = {each: end for each, end in self._seen.items() if end > now}
            if len(self._seen) >= _KEPT:  # To forget one would be to take it twice.
                return False
        self._seen[key] = until + SKEW
        return True


def _signed(jwks: dict[str, Any], parts: list[str]) -> bool:
    """Whether one of the client's keys made it."""
    try:
        kid = jws_any.read_protected(parts[0]).get("kid")
    except SignatureError:
        return False
    keys: Any = jwks.get("keys")
    for each in cast("list[Any]", keys) if isinstance(keys, list) else []:
        if not isinstance(each, dict):
            continue
        jwk = cast("dict[str, Any]", each)
        if kid is not None and jwk.get("kid", kid) != kid:
            continue
        try:
            jws_any.check(b64url_decode(parts[1]), parts[0], parts[2], jwk)
        except (SignatureError, ValueError):
            continue
        return True
    return False
