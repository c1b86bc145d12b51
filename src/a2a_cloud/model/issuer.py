"""An outside issuer of tokens that the operator trusts: whose they are, for whom, what has to be in them."""

from __future__ import annotations

from msgspec import Struct

#: Signatures that a token may have: asymmetric ones alone.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)


class Issuer(Struct, frozen=True):
    """An issuer under the name that agents call it. `issuer` is `iss` to the letter. `audience`: one of these
    has to be in `aud`; none: the platform's address, or the agent's. `jwks_uri`: "" for the one that the
    issuer's description names. `organisations`: whose agents may take its tokens. `subject`: the claim that
    says who calls. `require`: claims, each with the values of which one has to be there. `words`: a claim
    whose words count as scopes that skills ask for, "" for none.
    """

    name: str
    issuer: str
    audience: tuple[str, ...] = ()
    jwks_uri: str = ""
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "ES384", "Ed25519")
    organisations: tuple[str, ...] = ("default",)
    subject: str = "sub"
    require: tuple[tuple[str, tuple[str | bool | int, ...]], ...] = ()
    words: str = ""

    @property
    def description(self) -> str:
        """Where its description is (OpenID Connect Discovery 1.0, section 4)."""
        return f"{self.issuer.removesuffix('/')}/.well-known/openid-configuration"
