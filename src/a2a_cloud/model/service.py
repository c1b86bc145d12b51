"""Agents' service identities: SPIFFE IDs (SPIFFE-ID, sections 2 and 3) of the form
`spiffe://DOMAIN/org/ORG/agent/NAME`."""

from __future__ import annotations

import re

from msgspec import Struct

_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}").fullmatch
_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})/org/([a-z0-9_-]{1,63})/agent/([a-z0-9_-]{1,100})").fullmatch

#: What stands before the agent's name in the name of its principal. People's names have no `:`.
PREFIX = "agent:"


class ServiceName(Struct, frozen=True):
    """A service identity, taken apart."""

    domain: str
    org: str
    agent: str

    @property
    def id(self) -> str:
        """As SPIFFE writes it."""
        return f"spiffe://{self.domain}/org/{self.org}/agent/{self.agent}"


def is_domain(text: str) -> bool:
    """Whether `text` can be a trust domain: small letters, digits, `.`, `-` and `_`."""
    return _DOMAIN(text) is not None


def read_id(text: str) -> ServiceName | None:
    """The service identity that `text` is, None for anything else."""
    found = _ID(text)
    return ServiceName(*found.groups()) if found is not None else None
