"""What is stored of hooks: whose they are, the hashes of the keys in their paths, their secrets sealed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.hook import Checks, Hook, Scheme
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement

ADD_HOOK = Statement(
    "add_hook",
    "INSERT INTO hook(id, org, owner, agent, name, skill, scheme, checks, narrow, label, created, made_by,"
    " key, version, sealed) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
SET_HOOK_KEY = Statement(
    "set_hook_key",
    "UPDATE hook SET old_key=key, old_key_until=?, key=? WHERE org=? AND id=?",
    IN_ORDER,
)
SET_HOOK_SECRET = Statement(
    "set_hook_secret",
    "UPDATE hook SET old_sealed=sealed, old_sealed_until=?, sealed=?, version=? WHERE org=? AND id=?",
    IN_ORDER,
)
DROP_HOOK = Statement("drop_hook", "DELETE FROM hook WHERE org=? AND id=?", IN_ORDER)

_COLUMNS = (
    "id, org, owner, agent, name, skill, scheme, checks, narrow, label, created, made_by, old_key_until,"
    " old_sealed_until"
)
HOOKS = f"SELECT {_COLUMNS} FROM hook WHERE org=? ORDER BY created, id"  # noqa: S608
OWN_HOOKS = f"SELECT {_COLUMNS} FROM hook WHERE org=? AND owner=? ORDER BY created, id"  # noqa: S608
HOOK = f"SELECT {_COLUMNS} FROM hook WHERE id=? AND org=?"  # noqa: S608
BY_KEY = f"SELECT {_COLUMNS} FROM hook WHERE key=? AND org=? AND agent=? AND skill=?"  # noqa: S608
BY_OLD_KEY = (
    f"SELECT {_COLUMNS} FROM hook WHERE old_key=? AND org=? AND agent=? AND skill=? AND old_key_until>?"  # noqa: S608
)
SEALED = "SELECT version, sealed, old_sealed, old_sealed_until FROM hook WHERE id=? AND org=?"
HAS_KEY = (
    "SELECT 1 FROM api_key WHERE org=?1 AND principal=?2 AND revoked IS NULL UNION ALL"
    " SELECT 1 FROM membership WHERE org=?1 AND principal=?2 AND active=1 LIMIT 1"
)
ANY = "SELECT 1 FROM hook LIMIT 1"


class Sealed(NamedTuple):
    """A hook's secret, sealed as `version`, and the one before it, good until `old_until`."""

    version: int
    value: bytes
    old: bytes | None
    old_until: float


class HookRows(Protocol):
    """Reads of committed rows; a scope names one organisation."""

    def hooks(self, scope: Scope) -> list[Hook]:
        """The organisation's, or the owner's; oldest first."""
        ...

    def hook(self, scope: Scope, hook_id: str) -> Hook | None:
        """The one with that id, of the organisation or of the owner."""
        ...

    def by_key(self, scope: Scope, agent_no: int, skill: str, digest: bytes, now: float) -> Hook | None:
        """The one whose key has that hash, or had it before a rotation and may still."""
        ...

    def sealed(self, scope: Scope, hook_id: str) -> Sealed | None:
        """Its secret."""
        ...

    def has_key(self, scope: Scope) -> bool:
        """Whether the owner has an API key that was not revoked, or is a member."""
        ...

    def any(self, scope: Scope) -> bool:
        """Whether a hook of anybody is stored. System only."""
        ...


class SqliteHookRows:
    """See `HookRows`, over the reader's connection or one's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except UnicodeEncodeError:
            return []  # No stored text can be equal to that one.

    def hooks(self, scope: Scope) -> list[Hook]:
        """See the port."""
        if scope.owner is None:
            return [_hook(row) for row in self._all(HOOKS, (_org(scope),))]
        return [_hook(row) for row in self._all(OWN_HOOKS, (_org(scope), scope.owner))]

    def hook(self, scope: Scope, hook_id: str) -> Hook | None:
        """See the port."""
        found = self._all(HOOK, (hook_id, _org(scope)))
        hook = _hook(found[0]) if found else None
        return hook if hook is not None and scope.owner in (None, hook.owner) else None

    def by_key(self, scope: Scope, agent_no: int, skill: str, digest: bytes, now: float) -> Hook | None:
        """See the port."""
        where = (digest, _org(scope), agent_no, skill)
        found = self._all(BY_KEY, where) or self._all(BY_OLD_KEY, (*where, now))
        return _hook(found[0]) if found else None

    def sealed(self, scope: Scope, hook_id: str) -> Sealed | None:
        """See the port."""
        found = self._all(SEALED, (hook_id, _org(scope)))
        return Sealed(*found[0]) if found else None

    def has_key(self, scope: Scope) -> bool:
        """See the port."""
        return bool(self._all(HAS_KEY, (_org(scope), scope.owner)))

    def any(self, scope: Scope) -> bool:
        """See the port."""
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        return bool(self._all(ANY, ()))


def _org(scope: Scope) -> int:
    if scope.system:
        raise Internal("Hooks were asked for without their organisation.")
    return scope.org


def _hook(row: tuple[Any, ...]) -> Hook:
    hook_id, org, owner, agent, name, skill, scheme, checks, narrow, *rest = row
    return Hook(
        hook_id,
        org,
        owner,
        agent,
        name,
        skill,
        Scheme(scheme),
        msgspec.json.decode(checks, type=Checks),
        msgspec.json.decode(narrow, type=Narrowing | None),
        *rest,
    )
