"""Agents' own identities, and ways in besides keys and tokens (docs/service-identity.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.model.service import is_domain
from a2a_cloud.settings.read import bad, flag, text

_SCOPE = re.compile(r"([a-z0-9-]{1,64})/([a-z0-9-]{1,64})").fullmatch
_FACTORY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*").fullmatch


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """`domain`: what agents' SPIFFE IDs begin with, "" for the host name of the public URL. `mtls`: callers
    may show certificates of the platform's own authority. `sigv4`: (region, service) of AWS signatures that
    are taken, None for none. `schemes`: custom ones, as `module:factory`."""

    domain: str = ""
    mtls: bool = False
    sigv4: tuple[str, str] | None = None
    schemes: tuple[str, ...] = ()


def read_services(environ: Mapping[str, str]) -> ServiceSettings:
    """The settings out of their variables. Raises BadSetting."""
    domain = text(environ, "A2A_TRUST_DOMAIN").lower()
    if domain and not is_domain(domain):
        raise bad("A2A_TRUST_DOMAIN", domain, "small letters, digits, `.`, `-` and `_`, such as example.com")
    mtls = flag(environ, "A2A_MTLS")
    if mtls and not text(environ, "A2A_TLS_CERT"):
        raise BadSetting(
            "A2A_MTLS is set, and there is no TLS in which callers could show certificates.",
            remedy="Set A2A_TLS_CERT and A2A_TLS_KEY too.",
            info={"setting": "A2A_MTLS"},
        )
    said = text(environ, "A2A_SIGV4")
    scope = _SCOPE(said)
    if said and scope is None:
        raise bad("A2A_SIGV4", said, "a region and a service, such as eu-central-1/execute-api")
    schemes = tuple(one.strip() for one in text(environ, "A2A_AUTH_SCHEMES").split(",") if one.strip())
    for one in schemes:
        if not _FACTORY(one):
            raise bad("A2A_AUTH_SCHEMES", one, "module:factory, by commas, such as company.auth:scheme")
    return ServiceSettings(
        domain=domain,
        mtls=mtls,
        sigv4=(scope[1], scope[2]) if scope is not None else None,
        schemes=schemes,
    )
