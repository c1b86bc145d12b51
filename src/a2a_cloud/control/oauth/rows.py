"""OAuth in SQL: clients, families, codes and refresh tokens (as hashes), devices, consents.

That a code or a refresh token counts once is said in SQL: who uses one writes its hash into `oauth_spent` in
the same write, and a second use has that write refused as a whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from a2a_cloud.control.oauth.records import Client, Code, Device, Family
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Op, Statement

PUT_CLIENT = Statement(
    "put_oauth_client",
    "INSERT INTO oauth_client(id, org, kind, body, created, expires) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET body=excluded.body, expires=excluded.expires",
    IN_ORDER,
)
DROP_CLIENT = Statement("drop_oauth_client", "DELETE FROM oauth_client WHERE org=? AND id=?", IN_ORDER)
ADD_FAMILY = Statement(
    "add_oauth_family",
    "INSERT INTO oauth_family(id, org, owner, client, body, created, expires) VALUES(?,?,?,?,?,?,?)",
)
END_FAMILY = Statement(
    "end_oauth_family", "UPDATE oauth_family SET ended=COALESCE(ended, ?) WHERE org=? AND id=?", 1
)
END_OWNERS = Statement(
    "end_oauth_owners", "UPDATE oauth_family SET ended=COALESCE(ended, ?) WHERE org=? AND owner=?", 1
)
END_CLIENTS = Statement(
    "end_oauth_clients",
    "UPDATE oauth_family SET ended=COALESCE(ended, ?) WHERE client=? AND org>=0",
    1,
)
ADD_CODE = Statement("add_oauth_code", "INSERT INTO oauth_code(hash, org, body, expires) VALUES(?,?,?,?)")
ADD_REFRESH = Statement(
    "add_oauth_refresh", "INSERT INTO oauth_refresh(hash, org, family, expires) VALUES(?,?,?,?)"
)
SPEND = Statement("add_oauth_spent", "INSERT INTO oauth_spent(hash, org, family, expires) VALUES(?,?,?,?)")
ADD_DEVICE = Statement(
    "add_oauth_device",
    "INSERT INTO oauth_device(hash, org, user_code, body, expires) VALUES(?,0,?,?,?)",
)
#: The first verdict counts: the verdict is a row of its own.
DECIDE_DEVICE = Statement(
    "decide_oauth_device", "INSERT INTO oauth_verdict(hash, org, verdict, family, expires) VALUES(?,?,?,?,?)"
)
PUT_CONSENT = Statement(
    "put_oauth_consent",
    "INSERT INTO oauth_consent(org, owner, client, resource, scope, at) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET scope=excluded.scope, at=excluded.at",
    IN_ORDER,
)
DROP_CONSENTS = Statement(
    "drop_oauth_consents", "DELETE FROM oauth_consent WHERE org=? AND owner=? AND client=?", IN_ORDER
)
ADD_ENDED = Statement("add_oauth_ended", "INSERT OR IGNORE INTO oauth_ended(jti, org, expires) VALUES(?,?,?)")
#: What is over for everybody; each names its time, and takes few at once.
SWEEPS = {
    table: Statement(
        f"sweep_{table}",
        f"DELETE FROM {table} WHERE {key} IN"  # noqa: S608
        f" (SELECT {key} FROM {table} WHERE expires<? AND org>=0 LIMIT 500)",
        9,
    )
    for table, key in (
        ("oauth_code", "hash"),
        ("oauth_refresh", "hash"),
        ("oauth_spent", "hash"),
        ("oauth_device", "hash"),
        ("oauth_verdict", "hash"),
        ("oauth_ended", "jti"),
        ("oauth_family", "id"),
        ("oauth_client", "id"),
    )
}

_encode = msgspec.json.Encoder().encode
_client = msgspec.json.Decoder(Client).decode
_family = msgspec.json.Decoder(Family).decode
_code = msgspec.json.Decoder(Code).decode
_device = msgspec.json.Decoder(Device).decode


class Refresh(NamedTuple):
    """A refresh token's family, and whether that has ended."""

    family: Family
    ended: bool
    expires: float


class Consent(NamedTuple):
    """What a person allowed a client, for a resource."""

    client: str
    resource: str
    scope: str
    at: float


def put_client(client: Client) -> Op:
    """A new client, or a changed one."""
    return PUT_CLIENT, (
        client.id,
        client.org_no,
        client.kind,
        _encode(client),
        client.created,
        client.expires,
    )


def add_family(family: Family, now: float) -> Op:
    """Refused when there is one of that id."""
    owner = family.principal
    return ADD_FAMILY, (
        family.id,
        family.org_no,
        owner,
        family.client,
        _encode(family),
        now,
        family.expires,
    )


def add_code(digest: bytes, code: Code, expires: float) -> Op:
    """A code that was given out."""
    return ADD_CODE, (digest, code.family.org_no, _encode(code), expires)


def add_device(device: Device) -> Op:
    """Refused when its user code is taken."""
    return ADD_DEVICE, (device.digest, device.user_code, _encode(device), device.expires)


def decide_device(device: Device, verdict: str, family: Family | None, org_no: int) -> Op:
    """Refused when somebody has decided."""
    body = None if family is None else _encode(family)
    return DECIDE_DEVICE, (device.digest, org_no, verdict, body, device.expires)


class OAuthRows:
    """Reads of committed rows, over the reader's connection or one's own. What is found by a secret's hash
    or by a client's id is nobody's to list: these take SYSTEM. Raises Internal when the database can't be
    read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except UnicodeEncodeError:
            return []  # No stored text can be equal to that one.

    def _one(self, what: str, condition: str, scope: Scope, *params: Any) -> tuple[Any, ...] | None:
        where, more = _where(scope)
        found = self._all(f"SELECT {what} WHERE {where} AND {condition}", (*more, *params))
        return found[0] if found else None

    def client(self, scope: Scope, client_id: str) -> Client | None:
        """The one with that id."""
        row = self._one("body FROM oauth_client", "id=?", scope, client_id)
        return _client(row[0]) if row else None

    def clients(self, scope: Scope) -> list[Client]:
        """The organisation's, oldest first."""
        where, more = _where(scope)
        sql = f"SELECT body FROM oauth_client WHERE {where} ORDER BY created, id"  # noqa: S608
        return [_client(row[0]) for row in self._all(sql, more)]

    def waiting(self, scope: Scope, most: int) -> int:
        """How many clients nobody has used yet, counted to `most`."""
        where, more = _where(scope)
        sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM oauth_client WHERE {where} AND expires>0 LIMIT ?)"  # noqa: S608
        return self._all(sql, (*more, most))[0][0]

    def family(self, scope: Scope, family_id: str) -> tuple[Family, float | None] | None:
        """The one with that id, and when it ended."""
        row = self._one("body, ended FROM oauth_family", "id=?", scope, family_id)
        return (_family(row[0]), row[1]) if row else None

    def families(self, scope: Scope) -> list[tuple[Family, float]]:
        """The owner's that have not ended, and when each began; oldest first."""
        where, more = _where(scope)
        sql = f"SELECT body, created FROM oauth_family WHERE {where} AND ended IS NULL ORDER BY created, id"  # noqa: S608
        return [(_family(row[0]), row[1]) for row in self._all(sql, more)]

    def of_client(self, scope: Scope, client_id: str) -> list[Family]:
        """A client's that have not ended."""
        where, more = _where(scope)
        sql = f"SELECT body FROM oauth_family WHERE {where} AND client=? AND ended IS NULL"  # noqa: S608
        return [_family(row[0]) for row in self._all(sql, (*more, client_id))]

    def ended_since(self, scope: Scope, since: float) -> list[str]:
        """Families that ended after `since`: access tokens of theirs may still be about."""
        where, more = _where(scope)
        sql = f"SELECT id FROM oauth_family WHERE {where} AND ended>?"  # noqa: S608
        return [row[0] for row in self._all(sql, (*more, since))]

    def ended_tokens(self, scope: Scope) -> list[tuple[str, float]]:
        """Access tokens that were revoked one by one, and when they would have ended."""
        where, more = _where(scope)
        return self._all(f"SELECT jti, expires FROM oauth_ended WHERE {where}", more)  # type: ignore[return-value]  # noqa: S608

    def over(self, scope: Scope, now: float) -> list[Op]:
        """What clears away what is over. System only."""
        where, more = _where(scope)
        return [
            (sweep, (now,))
            for table, sweep in SWEEPS.items()
            if self._all(f"SELECT 1 FROM {table} WHERE {where} AND expires<? LIMIT 1", (*more, now))  # noqa: S608
        ]

    def code(self, scope: Scope, digest: bytes, now: float) -> Code | None:
        """A code that is not too old."""
        row = self._one("body FROM oauth_code", "hash=? AND expires>?", scope, digest, now)
        return _code(row[0]) if row else None

    def spent(self, scope: Scope, digest: bytes) -> str | None:
        """The family of a code or token that was used already."""
        row = self._one("family FROM oauth_spent", "hash=?", scope, digest)
        return row[0] if row else None

    def refresh(self, scope: Scope, digest: bytes) -> Refresh | None:
        """A refresh token that was given out, used or not."""
        row = self._one("family, expires FROM oauth_refresh", "hash=?", scope, digest)
        if row is None:
            return None
        found = self.family(scope, row[0])
        return None if found is None else Refresh(found[0], found[1] is not None, row[1])

    def device(self, scope: Scope, digest: bytes) -> Device | None:
        """By the hash of its device code."""
        row = self._one("body FROM oauth_device", "hash=?", scope, digest)
        return self._decided(scope, _device(row[0])) if row else None

    def device_by_user_code(self, scope: Scope, user_code: str, now: float) -> Device | None:
        """The one that shows that code to its person, unless it has waited too long."""
        row = self._one("body FROM oauth_device", "user_code=? AND expires>?", scope, user_code, now)
        return self._decided(scope, _device(row[0])) if row else None

    def _decided(self, scope: Scope, device: Device) -> Device:
        row = self._one("verdict, family FROM oauth_verdict", "hash=?", scope, device.digest)
        if row is None:
            return device
        family = None if row[1] is None else _family(row[1])
        return msgspec.structs.replace(device, verdict=row[0], family=family)

    def consent(self, scope: Scope, client_id: str, resource: str) -> Consent | None:
        """What the owner allowed that client for that resource."""
        row = self._one(
            "client, resource, scope, at FROM oauth_consent",
            "client=? AND resource=?",
            scope,
            client_id,
            resource,
        )
        return Consent(*row) if row else None


def _where(scope: Scope) -> tuple[str, tuple[int, ...]]:
    """The condition that keeps a query inside its scope."""
    if scope.system:
        return "1=1", ()
    if scope.owner is None:
        return "org=?", (scope.org,)
    return "org=? AND owner=?", (scope.org, scope.owner)
