"""API keys and who they stand for: made once, stored as hashes, checked from memory, revoked at once.
Keys are made one after the other, so that a name never gets two numbers and a number is in memory only
when it is stored.

A key is `a2a_` + id + `_` + secret; only its SHA-256 is stored. Principals and organisations get
their numbers here. The first start makes the admin key of the default organisation.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import ANONYMOUS, DEFAULT_ORG, MAX_PRIORITY, Permission, Principal, Role
from a2a_cloud.model.problem import (
    Forbidden,
    InvalidParams,
    NotFound,
    StorageFull,
    Unauthenticated,
    Unavailable,
)
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.ops import private_file
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader, StoredKey

_NAME = re.compile(r"[a-z0-9][a-z0-9_.@+-]{0,126}")
_ORG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TOKEN = re.compile(r"a2a_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")
#: Tokens that were refused lately, remembered so that a wrong key in a loop asks no database.
_REFUSED_KEPT = 4096


class Committer(Protocol):
    """The journal, as synchronous control code on the loop's thread uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class KeyRow(Struct, frozen=True):
    """A key without its secret. `created`, `revoked`: wall seconds."""

    id: str
    principal: str
    org: str
    role: Role
    label: str
    created: float
    revoked: float | None
    priority: int = 0


class Identity:
    """Who calls: keys to principals."""

    def __init__(self, reader: Reader, journal: Committer, clock: Clock, entropy: Entropy) -> None:
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._orgs: dict[str, int] = {name: no for no, name in reader.orgs(SYSTEM)}
        self._org_names: dict[int, str] = {no: name for name, no in self._orgs.items()}
        self._principals: dict[tuple[int, str], int] = {}
        self._by_no: dict[int, Principal] = {0: ANONYMOUS}
        for no, org, name in reader.principals(SYSTEM):
            self._remember(no, org, name)
        self._making = asyncio.Lock()
        self._known: dict[str, Principal] = {}
        self._refused: dict[str, None] = {}

    def _remember(self, no: int, org: int, name: str) -> None:
        self._principals[org, name] = no
        self._by_no[no] = Principal(no, org, name, self._org_names[org])

    # --- checking -----------------------------------------------------------------------------------

    def authenticate(self, token: str) -> Principal:
        """Who the key stands for. Raises Unauthenticated."""
        known = self._known.get(token)
        if known is not None:
            return known
        if token not in self._refused and _TOKEN.fullmatch(token):
            key = self._reader.key_by_hash(SYSTEM, hashlib.sha256(token.encode()).digest())
            if key is not None:
                base = self._by_no[key.principal]
                principal = Principal(
                    base.no, base.org_no, base.name, base.org, Role(key.role), key.id, key.priority
                )
                self._known[token] = principal
                return principal
            if len(self._refused) >= _REFUSED_KEPT:
                self._refused.clear()
            self._refused[token] = None
        raise Unauthenticated(
            "The key is not valid, or was revoked.",
            remedy="Send a key of this platform as `Authorization: Bearer KEY`; `a2a keys create` makes one.",
        )

    def by_no(self, no: int) -> Principal | None:
        """The principal with that number, as a member."""
        return self._by_no.get(no)

    def org_name(self, no: int) -> str:
        """The name of an organisation."""
        return self._org_names[no]

    def org_no(self, name: str) -> int | None:
        """The number of an organisation."""
        return self._orgs.get(name)

    # --- keys ---------------------------------------------------------------------------------------

    async def create_key(
        self,
        by: Principal,
        *,
        principal: str,
        org: str,
        role: Role,
        label: str,
        priority: int | None = None,
    ) -> tuple[KeyRow, str]:
        """A new key and its secret, which nobody sees again. Makes principal and organisation as needed.
        `priority` is the highest that it may give a call; None: the usual of its role.

        Admins make keys for their own organisation; those of the default one, who run the platform,
        for any. Raises Forbidden, InvalidParams.
        """
        _admin(by)
        org = org or by.org
        if not _ORG.fullmatch(org):
            raise InvalidParams(
                f"{org[:80]!r} is no name for an organisation.", remedy="Use a-z, 0-9, - and _, 63 at most."
            )
        if not _NAME.fullmatch(principal):
            raise InvalidParams(
                f"{principal[:80]!r} is no name for a principal.",
                remedy="Use a-z, 0-9 and _ . @ + -, 127 at most.",
            )
        if len(label) > 200:
            raise InvalidParams("The label is longer than 200 characters.")
        if not label.isprintable():
            raise InvalidParams("The label has characters that can't be printed.", remedy="Write one line.")
        if org != by.org and by.org != DEFAULT_ORG:
            raise Forbidden(f"Keys for {org} are made by its own admins.")
        if priority is None:
            priority = MAX_PRIORITY if role is Role.ADMIN else 0
        if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
            raise InvalidParams(f"A priority is from -{MAX_PRIORITY} to {MAX_PRIORITY}, not {priority}.")
        return await self._create(principal, org, role, label, by.label, priority)

    async def _create(
        self, principal: str, org: str, role: Role, label: str, by: str, priority: int
    ) -> tuple[KeyRow, str]:
        # Whoever waits may give up (a caller that hangs up); what is begun is ended all the same, or
        # memory would not know what is stored.
        return await asyncio.shield(self._create_alone(principal, org, role, label, by, priority))

    async def _create_alone(
        self, principal: str, org: str, role: Role, label: str, by: str, priority: int
    ) -> tuple[KeyRow, str]:
        async with self._making:
            return await self._store(principal, org, role, label, by, priority)

    async def _store(
        self, principal: str, org: str, role: Role, label: str, by: str, priority: int
    ) -> tuple[KeyRow, str]:
        now = self._clock.now()
        ops: list[Op] = []
        org_no = self._orgs.get(org)
        if org_no is None:
            org_no = self._reader.last(SYSTEM, "org") + 1
            ops.append((sql.ADD_ORG, (org_no, org, now)))
        no = self._principals.get((org_no, principal))
        if no is None:
            no = self._reader.last(SYSTEM, "principal") + 1
            ops.append((sql.ADD_PRINCIPAL, (no, org_no, principal, now)))
        key_id = self._entropy.bytes(6).hex()
        token = f"a2a_{key_id}_{_url64(self._entropy.bytes(32))}"
        digest = hashlib.sha256(token.encode()).digest()
        ops.append((sql.ADD_KEY, (key_id, org_no, no, role.value, label, digest, now, by, priority)))
        await self._journal.write(ops)
        self._orgs[org], self._org_names[org_no] = org_no, org
        self._remember(no, org_no, principal)
        return KeyRow(key_id, principal, org, role, label, now, None, priority), token

    def keys(self, by: Principal) -> list[KeyRow]:
        """Keys of the admin's organisation; the platform's admins see all. Raises Forbidden."""
        return [self._row(key) for key in self._reader.keys(_governed(by))]

    def _row(self, key: StoredKey) -> KeyRow:
        who = self._by_no[key.principal]
        return KeyRow(
            key.id, who.name, who.org, Role(key.role), key.label, key.created, key.revoked, key.priority
        )

    async def revoke(self, by: Principal, key_id: str) -> KeyRow:
        """End a key; calls with it are refused from now on. Raises NotFound, Forbidden."""
        scope = _governed(by)
        found = self._reader.key(scope, key_id)
        if found is None:
            raise NotFound(f"There is no key {key_id[:40]!r}.", remedy="See `a2a keys ls`.")
        await asyncio.shield(self._revoke(found))
        return self._row(self._reader.key(scope, key_id) or found)

    async def _revoke(self, key: StoredKey) -> None:
        await self._journal.write([(sql.REVOKE_KEY, (self._clock.now(), key.org, key.id))])
        for token in [token for token, who in self._known.items() if who.key_id == key.id]:
            del self._known[token]

    # --- the first key ------------------------------------------------------------------------------

    async def admin_key(self, path: Path) -> str:
        """The admin key in `path` (0600), made at first start, and again when the file is gone or what
        is in it is no admin's key of the default organisation any more.

        Raises Unavailable when others may read the file, or it can't be read or written; StorageFull.
        """
        try:
            token = self._kept(path)
            if token is None:
                _, token = await self._create(
                    "admin", DEFAULT_ORG, Role.ADMIN, "made at start", "platform", MAX_PRIORITY
                )
                private_file.replace(path, f"{token}\n".encode(), self._entropy)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (StorageFull if full else Unavailable)(
                f"{path} can't be read or written: {error.strerror}.",
                remedy="Free some space on its disk." if full else "Check its owner and its folder's.",
            ) from error
        return token

    def _kept(self, path: Path) -> str | None:
        try:
            mode = path.stat().st_mode
            if mode & 0o077:
                raise Unavailable(f"{path} can be read by others.", remedy=f"Run: chmod 600 {path}")
            token = path.read_text("utf-8", "replace").strip()
            who = self.authenticate(token)
        except (FileNotFoundError, Unauthenticated):
            return None
        return token if who.may(Permission.MANAGE_PLATFORM) and who.org == DEFAULT_ORG else None


def _governed(by: Principal) -> Scope:
    """The keys that an admin governs: of their organisation; the platform's admins all."""
    _admin(by)
    return SYSTEM if by.org == DEFAULT_ORG else Scope(org=by.org_no)


def _admin(by: Principal) -> None:
    if not by.may(Permission.MANAGE_KEYS):
        raise Forbidden(
            "Keys are made and seen by admins.",
            remedy="Use an admin's key, such as the one in $A2A_DATA/admin.key.",
        )


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
