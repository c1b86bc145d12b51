"""What is said of API keys: rows for those who govern them, what a report of leaked ones found, and
what a new one is made of."""

from __future__ import annotations

from msgspec import Struct

from a2a_cloud.model.principal import Principal
from a2a_cloud.storage.sql.reader import StoredKey

#: Keys and prefixes that one report may name.
MOST_FOUND = 1000


class KeyRow(Struct, frozen=True):
    """A key without its secret. Times are wall seconds. `scopes`: None for a key that is not narrowed;
    `prior` is the key in whose place it was made; `used` is true to a minute."""

    id: str
    principal: str
    org: str
    role: str
    label: str
    created: float
    revoked: float | None
    priority: int = 0
    scopes: tuple[str, ...] | None = None
    expires: float | None = None
    used: float | None = None
    prior: str = ""


class Leak(Struct, frozen=True):
    """What a key that turned up somewhere is: "active", "expired", "revoked", or "unknown". `row` is for who
    may know more. `ended`: it was active, and the report revoked it."""

    id: str
    state: str
    row: KeyRow | None = None
    ended: bool = False


class NewKey(Struct, frozen=True):
    """A key that is about to be made."""

    principal: str
    org: str
    role: str
    label: str
    priority: int
    scopes: frozenset[str] | None = None
    expires: float | None = None
    prior: str = ""


def read_words(scopes: str) -> frozenset[str] | None:
    """Scopes as they are stored; None for a key that is not narrowed."""
    return frozenset(scopes.split(" ")) if scopes else None


def row_of(key: StoredKey, who: Principal, used: float | None) -> KeyRow:
    """A stored key, for people."""
    words = read_words(key.scopes)
    return KeyRow(
        id=key.id,
        principal=who.name,
        org=who.org,
        role=key.role,
        label=key.label,
        created=key.created,
        revoked=key.revoked,
        priority=key.priority,
        scopes=None if words is None else tuple(sorted(words)),
        expires=key.expires,
        used=used,
        prior=key.prior,
    )
