"""Sign-in at an outside provider (OpenID Connect Core 1.0, authorization code with PKCE): discovery, the
round trip, and the checks of what came back: `state`, `iss` (RFC 9207), the ID token's signature, issuer,
audience, times and nonce. The state of a round trip travels in a sealed cookie, so that a restart in its
middle loses nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from a2a_cloud.control.people.rules import Rule, places
from a2a_cloud.control.people.tickets import Tickets
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import BadSetting, Forbidden, InvalidRequest, UpstreamFailed

if TYPE_CHECKING:
    import ssl

    import aiohttp

#: Seconds for a round trip, for what was read of the provider, between two looks for new keys, for clocks
#: that differ, and for one answer.
ROUND, KEPT, AGAIN, SKEW, ANSWER = 600.0, 3600.0, 60.0, 60.0, 10.0
_MOST = 1 << 20
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]


class Outside(NamedTuple):
    """Somebody as the provider says. `email` is "" unless it was verified."""

    issuer: str
    subject: str
    email: str
    name: str
    claims: dict[str, Any]


class Provider:
    """One provider. `name` is on the button; `scopes` are asked for; `roots`: a PEM file of roots trusted
    too."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        name: str,
        scopes: str,
        rules: tuple[Rule, ...],
        tickets: Tickets,
        clock: Clock,
        entropy: Entropy,
        roots: Path | None = None,
    ) -> None:
        """Raises BadSetting."""
        parts = urlsplit(issuer)
        here = (parts.hostname or "") in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
            raise BadSetting(
                f"A2A_OIDC_ISSUER is {issuer[:200]!r}, which can't be used.",
                remedy="Write the provider's issuer, an https address.",
                info={"setting": "A2A_OIDC_ISSUER"},
            )
        if not client_id:
            raise BadSetting(
                "A2A_OIDC_ISSUER is set, and A2A_OIDC_CLIENT_ID is not.",
                remedy="Register this platform with the provider and write the id that it was given.",
                info={"setting": "A2A_OIDC_CLIENT_ID"},
            )
        self.issuer = issuer
        self.name = name or (parts.hostname or "")
        self.rules = rules
        self._id = client_id
        self._secret = client_secret
        self._scopes = " ".join(dict.fromkeys(("openid", *scopes.split())))
        self._tickets = tickets
        self._clock = clock
        self._entropy = entropy
        self._roots = roots
        self._session: aiohttp.ClientSession | None = None
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None

    async def begin(self, redirect_uri: str, claims: Mapping[str, str]) -> tuple[str, str]:
        """(the address to send the browser to, the ticket to give it). `claims` come back from `finish`.
        Raises UpstreamFailed."""
        metadata = await self._described()
        state, nonce, verifier = (_url64(self._entropy.bytes(32)) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": _url64(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if claims.get("again"):
            asked["max_age"] = "0"
        ticket = self._tickets.make(
            "outside",
            ROUND,
            {**claims, "state": state, "nonce": nonce, "verifier": verifier, "redirect": redirect_uri},
        )
        endpoint = str(metadata["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", ticket

    async def finish(self, ticket: str, answer: Mapping[str, str]) -> tuple[Outside, dict[str, str]]:
        """Who came back with `answer` (the callback's query), and the claims that `begin` was given. Raises
        InvalidRequest, Forbidden, UpstreamFailed."""
        claims = self._tickets.read("outside", ticket)
        if claims is None or not hmac.compare_digest(
            claims["state"].encode(), answer.get("state", "").encode()
        ):
            raise InvalidRequest(
                "This sign-in was not begun in this browser, or took too long.", remedy="Sign in again."
            )
        metadata = await self._described()
        told = answer.get("iss")
        if told != self.issuer and (
            told is not None or metadata.get("authorization_response_iss_parameter_supported") is True
        ):
            raise InvalidRequest("The answer comes from another provider.", remedy="Sign in again.")
        if "error" in answer or not answer.get("code"):
            raise Forbidden(
                f"{self.name} let nobody in ({_word(answer.get('error', 'no code'))}).",
                remedy="Sign in again, or in another way.",
            )
        tokens = await self._redeem(metadata, answer["code"], claims)
        found = await self._checked(metadata, str(tokens.get("id_token", "")), claims["nonce"])
        if claims.get("again") and not _number(found.get("auth_time")) > self._clock.now() - ROUND - SKEW:
            raise self._failed("it was asked to sign the person in again, and did not")
        if metadata.get("userinfo_endpoint") and tokens.get("access_token"):
            # What an ID token holds of a person differs from provider to provider.
            more = await self._ask(
                "GET",
                str(metadata["userinfo_endpoint"]),
                headers={"Authorization": f"Bearer {tokens['access_token']}"},
            )
            if more.get("sub") == found["sub"]:
                found = {**more, **found}
        email = found.get("email") if found.get("email_verified") is True else ""
        name = found.get("name") or found.get("preferred_username") or email or "somebody"
        outside = Outside(self.issuer, found["sub"], str(email or ""), str(name), found)
        return outside, {key: value for key, value in claims.items() if key not in _OWN}

    def places(self, outside: Outside) -> dict[str, str]:
        """Organisation → role, as the rules say."""
        return places(self.rules, outside.claims)

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- what is read of the provider ---------------------------------------------------------------

    async def _described(self) -> dict[str, Any]:
        now = self._clock.monotonic()
        if self._metadata is not None and now - self._metadata[0] < KEPT:
            return self._metadata[1]
        found = await self._ask("GET", self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise self._failed("its description is of another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            address = urlsplit(str(found.get(name, "")))
            if address.scheme not in ("https", urlsplit(self.issuer).scheme) or not address.hostname:
                raise self._failed(f"its description has no {name} that can be used")
        self._metadata = (now, found)
        return found

    async def _redeem(self, metadata: dict[str, Any], code: str, claims: Mapping[str, str]) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": claims["redirect"],
            "code_verifier": claims["verifier"],
        }
        headers: dict[str, str] = {}
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if not self._secret:
            form["client_id"] = self._id
        elif "client_secret_basic" in ways:
            pair = f"{quote(self._id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._id, "client_secret": self._secret}
        return await self._ask("POST", str(metadata["token_endpoint"]), form=form, headers=headers)

    async def _checked(self, metadata: dict[str, Any], token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7). Raises UpstreamFailed."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError
        from joserfc.jwk import KeySet

        claims: dict[str, Any] = {}
        for fresh in (False, True):
            # A key that is not known may be a new one; who sends such tokens makes us look once a minute.
            keys = await self._key_set(str(metadata["jwks_uri"]), fresh=fresh)
            try:
                read = jwt.decode(token, KeySet.import_key_set(cast("Any", keys)), algorithms=_ALGORITHMS)
                claims = read.claims
                break
            except (JoseError, ValueError, TypeError, KeyError) as error:
                if fresh or not isinstance(error, (InvalidKeyIdError, ValueError, JoseError)):
                    raise self._failed(f"its ID token can't be checked: {type(error).__name__}") from None
        now = self._clock.now()
        audience: Any = claims.get("aud")
        audiences = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
        wrong = (
            "issuer"
            if claims.get("iss") != self.issuer
            else "audience"
            if self._id not in audiences
            else "authorized party"
            if claims.get("azp", self._id if len(audiences) == 1 else None) != self._id
            else "time"
            if not _number(claims.get("exp")) > now - SKEW or not _number(claims.get("iat")) < now + SKEW
            else "nonce"
            if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
            else "subject"
            if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255
            else ""
        )
        if wrong:
            raise self._failed(f"the {wrong} of its ID token is not right")
        return claims

    async def _key_set(self, uri: str, *, fresh: bool) -> dict[str, Any]:
        now = self._clock.monotonic()
        if self._keys is not None and now - self._keys[0] < (AGAIN if fresh else KEPT):
            return self._keys[1]
        found = await self._ask("GET", uri)
        self._keys = (now, found)
        return found

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"User-Agent": "a2a-cloud", "Accept": "application/json"},
                timeout=aiohttp.ClientTimeout(total=ANSWER),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._session.request(
                method, url, data=form, headers=headers, allow_redirects=False, ssl=self._tls
            ) as answer:
                body = await answer.content.read(_MOST + 1)
                while len(body) <= _MOST and not answer.content.at_eof():
                    body += await answer.content.read(_MOST + 1)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._failed(f"{type(error).__name__} {error}") from None
        try:
            found: Any = msgspec.json.decode(body) if len(body) <= _MOST else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if status != 200 or not isinstance(found, dict):
            why: Any = cast("dict[str, Any]", found).get("error") if isinstance(found, dict) else ""
            raise self._failed(f"{method} {urlsplit(url).path} answered {status} {_word(str(why or ''))}")
        return cast("dict[str, Any]", found)

    @cached_property
    def _tls(self) -> ssl.SSLContext | bool:
        if self._roots is None:
            return True
        import ssl

        context = ssl.create_default_context()
        context.load_verify_locations(self._roots)
        return context

    def _failed(self, why: str) -> UpstreamFailed:
        return UpstreamFailed(
            f"{self.name} did not answer as it has to.",
            remedy="Sign in again, or in another way.",
            operator=why,
        )


#: Claims of a ticket that are the round trip's own.
_OWN = frozenset({"state", "nonce", "verifier", "redirect"})


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _word(text: str) -> str:
    return "".join(sign for sign in text[:60] if sign.isalnum() or sign in "_-. ")


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
