"""What is stored for directories: their tokens as hashes, and of users what they say beyond a membership."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement

ADD_TOKEN = Statement(
    "add_scim_token", "INSERT INTO scim_token(id, org, hash, role, created, made_by) VALUES(?,?,?,?,?,?)"
)
DROP_TOKEN = Statement("drop_scim_token", "DELETE FROM scim_token WHERE org=? AND id=?", IN_ORDER)
PUT_USER = Statement(
    "put_scim_user",
    "INSERT INTO scim_user(org, account, name, external, body, changed) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT(org, account) DO UPDATE SET name=excluded.name, external=excluded.external,"
    " body=excluded.body, changed=excluded.changed",
    IN_ORDER,
)
DROP_USER = Statement("drop_scim_user", "DELETE FROM scim_user WHERE org=? AND account=?", IN_ORDER)


class TokenRow(NamedTuple):
    """A directory's token, without its hash; `role` is what those get whom it brings."""

    id: str
    org: int
    role: str
    created: float
    by: str


class UserRow(NamedTuple):
    """What a directory says of a member; `body` are SCIM attributes."""

    account: str
    name: str
    external: str
    body: dict[str, Any]
    changed: float


class ScimRows:
    """Reads of committed rows; a scope names one organisation."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    def token(self, scope: Scope, digest: bytes) -> TokenRow | None:
        """The token with that hash. System only: it says which organisation asks."""
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        sql = "SELECT id, org, role, created, made_by FROM scim_token WHERE hash=?"
        found = self._all(sql, (digest,))
        return TokenRow(*found[0]) if found else None

    def tokens(self, scope: Scope) -> list[TokenRow]:
        """The organisation's tokens, as they were made."""
        sql = "SELECT id, org, role, created, made_by FROM scim_token WHERE org=? ORDER BY created, id"
        return [TokenRow(*row) for row in self._all(sql, (_org(scope),))]

    def users(self, scope: Scope) -> dict[str, UserRow]:
        """What is said of the organisation's members, by account."""
        sql = "SELECT account, name, external, body, changed FROM scim_user WHERE org=?"
        return {row[0]: _user(row) for row in self._all(sql, (_org(scope),))}

    def user(self, scope: Scope, account: str) -> UserRow | None:
        """What is said of one of them."""
        sql = "SELECT account, name, external, body, changed FROM scim_user WHERE org=? AND account=?"
        found = self._all(sql, (_org(scope), account))
        return _user(found[0]) if found else None


def _user(row: tuple[Any, ...]) -> UserRow:
    account, name, external, body, changed = row
    return UserRow(account, name, external, json.loads(body), changed)


def _org(scope: Scope) -> int:
    if scope.system:
        raise Internal("Rows of an organisation were asked for without it.")
    return scope.org
