"""API keys and who they stand for: made once, stored as hashes, checked from memory, revoked at once.

A key is `a2a_` + id + `_` + secret; only its SHA-256 is stored. Principals and organisations get
their numbers here. The first start makes the admin key of the default organisation.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import ANONYMOUS, DEFAULT_ORG, Principal, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Unauthenticated, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader

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
            row = self._reader.key_by_hash(SYSTEM, hashlib.sha256(token.encode()).digest())
            if row is not None:
                base = self._by_no[row[2]]
                principal = Principal(base.no, base.org_no, base.name, base.org, Role(row[3]), row[0])
                self._known[token] = principal
                return principal
            if len(self._refused) >= _REFUSED_KEPT:
                self._refused.clear()
            self._refused[token] = None
        raise Unauthenticated(
            "The key is not valid, or was revoked.",
            remedy="Send a key of this platform as `Authorization: Bearer KEY`; make one with `a2a keys create`.",
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
        self, by: Principal, *, principal: str, org: str, role: Role, label: str
    ) -> tuple[KeyRow, str]:
        """A new key and its secret, which nobody sees again. Makes principal and organisation as needed.

        Admins make keys for their own organisation; those of the default one, who run the platform,
        for any. Raises Forbidden, InvalidParams.
        """
        _admin(by)
        org = org or by.org
        if not _ORG.fullmatch(org):
            raise InvalidParams(f"{org[:80]!r} is no name for an organisation.", remedy="Use a-z, 0-9, - and _, 63 at most.")
        if not _NAME.fullmatch(principal):
            raise InvalidParams(
                f"{principal[:80]!r} is no name for a principal.", remedy="Use a-z, 0-9 and _ . @ + -, 127 at most."
            )
        if len(label) > 200:
            raise InvalidParams("The label is longer than 200 characters.")
        if org != by.org and by.org != DEFAULT_ORG:
            raise Forbidden(f"Keys for {org} are made by its own admins.")
        return await self._create(principal, org, role, label, by.label)

    async def _create(self, principal: str, org: str, role: Role, label: str, by: str) -> tuple[KeyRow, str]:
        now = self._clock.now()
        ops: list[Op] = []
        org_no = self._orgs.get(org)
        new_org = org_no is None
        if org_no is None:
            org_no = max(self._org_names, default=0) + 1
            ops.append((sql.ADD_ORG, (org_no, org, now)))
            self._orgs[org], self._org_names[org_no] = org_no, org
        no = self._principals.get((org_no, principal))
        new_principal = no is None
        if no is None:
            no = max(self._by_no) + 1
            ops.append((sql.ADD_PRINCIPAL, (no, org_no, principal, now)))
            self._remember(no, org_no, principal)
        key_id = self._entropy.bytes(6).hex()
        token = f"a2a_{key_id}_{_url64(self._entropy.bytes(32))}"
        digest = hashlib.sha256(token.encode()).digest()
        ops.append((sql.ADD_KEY, (key_id, org_no, no, role.value, label, digest, now, by)))
        try:
            await self._journal.write(ops)
        except BaseException:
            if new_principal:
                self._principals.pop((org_no, principal), None)
                self._by_no.pop(no, None)
            if new_org:
                self._orgs.pop(org, None)
                self._org_names.pop(org_no, None)
            raise
        return KeyRow(key_id, principal, org, role, label, now, None), token

    def keys(self, by: Principal) -> list[KeyRow]:
        """Keys of the admin's organisation; the platform's admins see all. Raises Forbidden."""
        _admin(by)
        scope = SYSTEM if by.org == DEFAULT_ORG else Scope(org=by.org_no)
        return [self._row(row) for row in self._reader.keys(scope)]

    def _row(self, row: tuple[object, ...]) -> KeyRow:
        key_id, org, principal, role, label, created, _, revoked = row
        who = self._by_no[int(principal)]  # type: ignore[call-overload]
        return KeyRow(str(key_id), who.name, self._org_names[int(org)], Role(role), str(label), float(created), revoked)  # type: ignore[arg-type,call-overload]

    async def revoke(self, by: Principal, key_id: str) -> KeyRow:
        """End a key; calls with it are refused from now on. Raises NotFound, Forbidden."""
        found = next((row for row in self.keys(by) if row.id == key_id), None)
        if found is None:
            raise NotFound(f"There is no key {key_id[:40]}.", remedy="See `a2a keys ls`.")
        now = self._clock.now()
        await self._journal.write([(sql.REVOKE_KEY, (now, self._orgs[found.org], key_id))])
        for token in [token for token, who in self._known.items() if who.key_id == key_id]:
            del self._known[token]
        return KeyRow(found.id, found.principal, found.org, found.role, found.label, found.created, found.revoked or now)

    # --- the first key ------------------------------------------------------------------------------

    async def admin_key(self, path: Path) -> str:
        """The admin key in `path` (0600), made at first start, or again when the file is gone.

        Raises Unavailable when others may read the file.
        """
        try:
            mode = path.stat().st_mode
            if mode & 0o077:
                raise Unavailable(f"{path} can be read by others.", remedy=f"Run: chmod 600 {path}")
            token = path.read_text().strip()
            self.authenticate(token)
            return token
        except (FileNotFoundError, Unauthenticated):
            pass
        _, token = await self._create("admin", DEFAULT_ORG, Role.ADMIN, "made at start", "platform")
        aside = path.with_name(path.name + ".new")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        return token


def _admin(by: Principal) -> None:
    if by.role is not Role.ADMIN:
        raise Forbidden("Keys are made and seen by admins.", remedy="Use an admin's key, such as the one in $A2A_DATA/admin.key.")


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
