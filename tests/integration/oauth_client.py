"""An OAuth client without a screen for tests: registers, sends a browser to the server, gets tokens; with
another's proofs of possession, if it likes."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey
from visitor import Answer, Visitor

REDIRECT = "http://127.0.0.1:9/callback"


@dataclass
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        return str(self.body.get("error"))


def ask(
    base: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Said:
    """One request."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Said(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode())
    finally:
        connection.close()


def post_form(base: str, path: str, fields: dict[str, str], **headers: str) -> Said:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return ask(base, "POST", path, urlencode(fields).encode(), kind | headers)


def post_json(base: str, path: str, document: Any, **headers: str) -> Said:
    return ask(
        base, "POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"} | headers
    )


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Pkce:
    """A verifier and its challenge."""

    verifier: str = field(default_factory=lambda: b64(os.urandom(32)))

    @property
    def challenge(self) -> str:
        return b64(hashlib.sha256(self.verifier.encode()).digest())


@dataclass
class Prover:
    """A key, and proofs of having it."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    def proof(self, method: str, url: str, token: str = "", **more: Any) -> str:
        claims: dict[str, Any] = {
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "jti": b64(os.urandom(12)),
        }
        if token:
            claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
        jwk = self.key.as_dict(private=False)
        public = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public}
        claims = {name: value for name, value in (claims | more).items() if value is not None}
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])


@dataclass
class Client:
    """A client of one platform."""

    base: str
    id: str
    secret: str = ""

    @classmethod
    def registered(cls, base: str, **metadata: Any) -> Client:
        usual = {
            "client_name": "Tests",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }
        said = post_json(base, "/oauth/register", usual | metadata)
        assert said.status == 201, said.text
        return cls(base, said.body["client_id"], said.body.get("client_secret", ""))

    def address(self, pkce: Pkce, **more: str) -> str:
        """Where the browser is sent; parameters that are "" are left out."""
        usual = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": REDIRECT,
            "state": "st/ate+1",
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            "scope": "openid offline_access agents.call",
        }
        values = {name: value for name, value in (usual | more).items() if value}
        return f"/oauth/authorize?{urlencode(values)}"

    def consented(self, visitor: Visitor, pkce: Pkce, decision: str = "allow", **more: str) -> dict[str, str]:
        """The parameters that came back to the client's address."""
        shown = visitor.get(self.address(pkce, **more))
        assert shown.status == 200, (shown.status, shown.text, shown.headers.get("location"))
        return self.decided(visitor, shown, decision)

    def decided(self, visitor: Visitor, shown: Answer, decision: str = "allow") -> dict[str, str]:
        answer = visitor.post("/oauth/consent", shown.fields() | {"decision": decision})
        assert answer.status == 303, answer.text
        return back(answer)

    def code(self, visitor: Visitor, pkce: Pkce, **more: str) -> str:
        found = self.consented(visitor, pkce, **more)
        assert "code" in found, found
        return found["code"]

    def token(self, prover: Prover | None = None, **fields: str) -> Said:
        """What the token endpoint says."""
        headers: dict[str, str] = {}
        if prover is not None:
            headers["DPoP"] = prover.proof("POST", f"{self.base}/oauth/token")
        if self.secret:
            pair = f"{self.id}:{self.secret}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        else:
            fields.setdefault("client_id", self.id)
        sent = {name: value for name, value in fields.items() if value}
        said = post_form(self.base, "/oauth/token", sent, **headers)
        if prover is not None and "dpop-nonce" in said.headers:  # As it does after a restart.
            nonce = said.headers["dpop-nonce"]
            headers["DPoP"] = prover.proof("POST", f"{self.base}/oauth/token", nonce=nonce)
            said = post_form(self.base, "/oauth/token", sent, **headers)
        return said

    def redeem(self, code: str, pkce: Pkce, prover: Prover | None = None, **more: str) -> Said:
        usual = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": pkce.verifier,
        }
        return self.token(prover, **(usual | more))

    def refresh(self, token: str, prover: Prover | None = None, **more: str) -> Said:
        return self.token(prover, grant_type="refresh_token", refresh_token=token, **more)

    def tokens(self, visitor: Visitor, prover: Prover | None = None, **more: str) -> dict[str, Any]:
        """Through all of it."""
        pkce = Pkce()
        said = self.redeem(self.code(visitor, pkce, **more), pkce, prover)
        assert said.status == 200, said.text
        return dict(said.body)


def back(answer: Answer) -> dict[str, str]:
    """The parameters that an answer sends a browser back to the client with."""
    where = urlsplit(answer.headers["location"])
    found = parse_qsl(where.query)
    assert len(dict(found)) == len(found), answer.headers["location"]
    return dict(found)


def claims(token: str) -> dict[str, Any]:
    """What a JWT says, unchecked."""
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
