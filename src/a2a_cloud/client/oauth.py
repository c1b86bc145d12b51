"""Requests to a platform's authorization server by a program that acts for a person: its description (RFC
8414), codes with PKCE (RFC 7636), the device flow (RFC 8628), renewal, the end (RFC 7009).

Plain and blocking: a sign-in is a few small requests, and a command that needs a new token waits for it. No
redirect is followed, no proxy of the environment asked, and no endpoint is on another origin than the issuer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from a2a_cloud.client.profile import NotConfigured, origin

#: The client that every platform knows this program as.
CLIENT = "a2a-cli"
#: What is asked for: all that the person may do, and to stay signed in.
SCOPE = "all offline_access"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_SECONDS = 20.0
_LARGEST = 1 << 20


class OAuthRefused(Exception):
    """The server refused: `error` is its code (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str = "") -> None:
        self.error = error
        super().__init__(description or error)


class OAuthUnreachable(Exception):
    """Nobody answers there, or what answers is no authorization server."""


@dataclass(frozen=True)
class Server:
    """An authorization server. What it does not have is ""."""

    issuer: str
    authorize: str
    token: str
    device: str
    revoke: str


@dataclass(frozen=True)
class Granted:
    """An answer of the token endpoint; `seconds` is how long `access` is good."""

    access: str
    refresh: str
    seconds: float


@dataclass(frozen=True)
class Waiting:
    """A device flow that has begun: the person goes to `address` and types `user_code`."""

    code: str
    user_code: str
    address: str
    complete: str
    seconds: float
    interval: float


class Proof:
    """PKCE (RFC 7636): what is sent first, and what proves later that it was us."""

    def __init__(self) -> None:
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")


def described(url: str) -> Server:
    """The server of the platform at `url`. Raises OAuthUnreachable, OAuthRefused."""
    status, told = _ask("GET", f"{url}/.well-known/oauth-authorization-server")
    if status != 200:
        raise OAuthUnreachable(f"{url} has no sign-in (it answered {status})")
    issuer = str(told.get("issuer", ""))
    if issuer != url:
        # A server that calls itself otherwise could hand our codes to somebody else (RFC 8414, section 3.3).
        raise OAuthRefused("other_issuer", issuer)
    ends: dict[str, str] = {}
    for name in ("authorization", "token", "device_authorization", "revocation"):
        found = told.get(f"{name}_endpoint")
        try:
            good = isinstance(found, str) and origin(found) == origin(issuer)
        except NotConfigured:
            good = False
        ends[name] = str(found) if good else ""
    if not ends["token"]:
        raise OAuthUnreachable(f"{url} names no token endpoint of its own")
    return Server(
        issuer, ends["authorization"], ends["token"], ends["device_authorization"], ends["revocation"]
    )


def authorization(server: Server, proof: Proof, state: str, redirect: str) -> str:
    """The address at which a person allows it."""
    asked = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": redirect,
        "scope": SCOPE,
        "state": state,
        "code_challenge": proof.challenge,
        "code_challenge_method": "S256",
        "resource": server.issuer,
    }
    return f"{server.authorize}?{urlencode(asked)}"


def redeemed(server: Server, code: str, proof: Proof, redirect: str) -> Granted:
    """The tokens for a code. Raises OAuthRefused, OAuthUnreachable."""
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    fields |= {"client_id": CLIENT, "code_verifier": proof.verifier, "resource": server.issuer}
    return _granted(server.token, fields)


def refreshed(endpoint: str, client: str, token: str, resource: str) -> Granted:
    """The next tokens for a refresh token. Raises OAuthRefused, OAuthUnreachable."""
    fields = {"grant_type": "refresh_token", "refresh_token": token}
    return _granted(endpoint, {**fields, "client_id": client, "resource": resource})


def begun(server: Server) -> Waiting:
    """A device flow. Raises OAuthRefused, OAuthUnreachable."""
    told = _post(server.device, {"client_id": CLIENT, "scope": SCOPE, "resource": server.issuer})
    try:
        return Waiting(
            code=str(told["device_code"]),
            user_code=str(told["user_code"]),
            address=str(told["verification_uri"]),
            complete=str(told.get("verification_uri_complete", "")),
            seconds=float(told["expires_in"]),
            interval=max(1.0, float(told.get("interval", 5))),
        )
    except (KeyError, TypeError, ValueError):
        raise OAuthUnreachable(f"{server.device} gives no device code") from None


def polled(server: Server, waiting: Waiting) -> Granted:
    """The tokens once the person has allowed it. Raises OAuthRefused (`authorization_pending`, `slow_down`
    until then), OAuthUnreachable."""
    fields = {"grant_type": DEVICE, "device_code": waiting.code, "client_id": CLIENT}
    return _granted(server.token, {**fields, "resource": server.issuer})


def revoked(endpoint: str, client: str, token: str) -> None:
    """The end of a sign-in. Raises OAuthRefused, OAuthUnreachable."""
    _post(endpoint, {"token": token, "token_type_hint": "refresh_token", "client_id": client})


def _granted(endpoint: str, fields: Mapping[str, str]) -> Granted:
    told = _post(endpoint, fields)
    access, refresh, seconds = told.get("access_token"), told.get("refresh_token", ""), told.get("expires_in")
    good = isinstance(access, str) and access.isascii() and access.isprintable() and " " not in access
    if not good or not isinstance(refresh, str) or str(told.get("token_type", "")).lower() != "bearer":
        raise OAuthUnreachable(f"{endpoint} gives no bearer token")
    lasts = float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else 60.0
    return Granted(str(access), refresh, lasts)


def _post(url: str, fields: Mapping[str, str]) -> dict[str, Any]:
    status, told = _ask("POST", url, urlencode(fields).encode())
    if status == 200:
        return told
    error = told.get("error", told.get("code"))
    if not isinstance(error, str):
        raise OAuthUnreachable(f"{urlsplit(url).path} answered {status}")
    said = told.get("error_description", told.get("detail", ""))
    raise OAuthRefused(error[:100], said[:300] if isinstance(said, str) else "")


def _ask(method: str, url: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """(status, document); {} for what is none."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    headers = {"Accept": "application/json", "User-Agent": "a2a-cloud"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            raw = response.read(_LARGEST)
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        raise OAuthUnreachable(f"{origin(url)} does not answer ({error or type(error).__name__})") from None
    try:
        told: Any = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        told = {}
    return response.status, cast("dict[str, Any]", told) if isinstance(told, dict) else {}
