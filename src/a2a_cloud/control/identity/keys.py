"""API keys and who they stand for: made once, stored as hashes, checked from memory, revoked at once.
Keys are made one after the other, so that a name never gets two numbers and a number is in memory only
when it is stored.

What a key looks like is in wire/api_key.py; only its SHA-256 is stored. Principals and organisations get
their numbers here. The first start makes the admin key of the default organisation. When a key was last
used is noted once a minute: what was seen in a minute is forgotten in the next one, and the first call
after that notes it, so that the others cost nothing.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from a2a_cloud.control.identity.forms import MOST_FOUND, KeyRow, Leak, NewKey, read_words, row_of
from a2a_cloud.control.identity.rights import check_made, check_name, read_scopes
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import (
    ANONYMOUS,
    DEFAULT_ORG,
    MAX_PRIORITY,
    PERMISSIONS,
    Permission,
    Principal,
    Role,
)
from a2a_cloud.model.problem import (
    AlreadyExists,
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
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.storage.sql.reader import LivingKey, Reader, StoredKey
from a2a_cloud.wire.api_key import Found, is_key, make_key

_NAME = re.compile(r"[a-z0-9][a-z0-9_.@+-]{0,126}")
_ORG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
#: Seconds that a key may be good for, and that two may be good beside each other.
_LONGEST, _OVERLAP = 10 * 366 * 86_400, 30 * 86_400
#: Tokens that were refused lately, remembered so that a wrong key in a loop asks no database.
_REFUSED_KEPT = 4096


class Committer(Protocol):
    """The journal, as synchronous control code on the loop's thread uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


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
        #: Good keys that were used in this minute; before; and those that will end, with the time of that.
        self._known: dict[str, Principal] = {}
        self._resting: dict[str, Principal] = {}
        self._ending: dict[str, tuple[Principal, float]] = {}
        self._used: dict[str, tuple[int, float]] = {}
        self._refused: dict[str, None] = {}
        #: A principal with the rights that they have now, by all that they are.
        self.rights: Callable[[Principal], Principal] = lambda principal: principal
        #: What a role of the organisation's own may do, None for one that there is not.
        self.roles: Callable[[int, str], frozenset[str] | None] = lambda _org, _name: None

    def _remember(self, no: int, org: int, name: str) -> None:
        self._principals[org, name] = no
        self._by_no[no] = Principal(no, org, name, self._org_names[org])

    # --- checking -----------------------------------------------------------------------------------

    def authenticate(self, token: str) -> Principal:
        """Who the key stands for. Raises Unauthenticated."""
        known = self._known.get(token)
        if known is not None:
            return known
        return self._seen_again(token) or self._looked_up(token)

    def _seen_again(self, token: str) -> Principal | None:
        """Who a key stands for that was good before, and is noted as used."""
        found = self._ending.get(token)
        if found is not None:
            who, expires = found
            now = self._clock.now()
            if now >= expires:
                del self._ending[token]
                return None
        else:
            known = self._resting.pop(token, None)
            if known is None:
                return None
            who = self._known[token] = known
            now = self._clock.now()
        self._used[who.key_id] = (who.org_no, now)
        return who

    def _looked_up(self, token: str) -> Principal:
        if token not in self._refused and is_key(token):
            key = self._reader.key_by_hash(SYSTEM, hashlib.sha256(token.encode()).digest())
            if key is not None and (key.expires is None or self._clock.now() < key.expires):
                who = self._principal(self._by_no[key.principal], key)
                if key.expires is None:
                    self._known[token] = who
                else:
                    self._ending[token] = (who, key.expires)
                self._used[who.key_id] = (who.org_no, self._clock.now())
                return who
            if len(self._refused) >= _REFUSED_KEPT:
                self._refused.clear()
            self._refused[token] = None
        raise Unauthenticated(
            "The key is not valid: it was revoked, it has expired, or it never was one.",
            remedy="Send a key of this platform as `Authorization: Bearer KEY`; `a2a keys create` makes one.",
        )

    def _principal(self, base: Principal, key: LivingKey | StoredKey) -> Principal:
        return msgspec.structs.replace(
            base,
            role=key.role,
            permissions=self._permissions(base.org_no, key.role),
            key_id=key.id,
            priority=key.priority,
            scopes=read_words(key.scopes),
        )

    def _permissions(self, org_no: int, role: str) -> frozenset[str] | None:
        """None for a role that every organisation has. One that is no more may do nothing."""
        if role in PERMISSIONS:
            return None
        return self.roles(org_no, role) or frozenset()

    def by_no(self, no: int) -> Principal | None:
        """The principal with that number, as a member."""
        return self._by_no.get(no)

    def org_name(self, no: int) -> str:
        """The name of an organisation."""
        return self._org_names[no]

    def org_no(self, name: str) -> int | None:
        """The number of an organisation."""
        return self._orgs.get(name)

    async def ensure(self, org: str, name: str) -> Principal:
        """The principal of that name, which gets its number now if it has none; the organisation is there.
        Names that API keys are made for have no `:`. Raises NotFound."""
        org_no = self._orgs.get(org)
        if org_no is None:
            raise NotFound(f"There is no organisation {org[:80]!r}.")
        no = self._principals.get((org_no, name))
        return self._by_no[no] if no is not None else await asyncio.shield(self._ensured(org_no, name))

    def named(self, org: str, name: str) -> Principal | None:
        """The principal of that name, if it has a number."""
        no = self._principals.get((self._orgs.get(org, -1), name))
        return self._by_no[no] if no is not None else None

    async def make_org(self, name: str, ops: Callable[[int], Sequence[Op]]) -> int:
        """A new organisation, and what `ops` says of its number, in one write. Raises InvalidParams,
        AlreadyExists."""
        if not _ORG.fullmatch(name):
            raise InvalidParams(
                f"{name[:80]!r} is no name for an organisation.", remedy="Use a-z, 0-9, - and _, 63 at most."
            )
        return await asyncio.shield(self._made_org(name, ops))

    async def _made_org(self, name: str, ops: Callable[[int], Sequence[Op]]) -> int:
        async with self._making:
            if name in self._orgs:
                raise AlreadyExists(f"There is an organisation {name} already.", remedy="Choose another.")
            no = self._reader.last(SYSTEM, "org") + 1
            await self._journal.write([(sql.ADD_ORG, (no, name, self._clock.now())), *ops(no)])
            self._orgs[name], self._org_names[no] = no, name
            return no

    async def _ensured(self, org_no: int, name: str) -> Principal:
        async with self._making:
            no = self._principals.get((org_no, name))
            if no is None:
                no = self._reader.last(SYSTEM, "principal") + 1
                await self._journal.write([(sql.ADD_PRINCIPAL, (no, org_no, name, self._clock.now()))])
                self._remember(no, org_no, name)
            return self._by_no[no]

    def forget(self, *, org_no: int | None = None, principal: int | None = None, key_id: str = "") -> None:
        """What memory knows of the keys of an organisation, of a principal, or of one key: the next call
        reads it again."""

        def meant(who: Principal) -> bool:
            return who.org_no == org_no or who.no == principal or who.key_id == key_id

        for kept in (self._known, self._resting):
            for token in [token for token, who in kept.items() if meant(who)]:
                del kept[token]
        for token in [token for token, (who, _) in self._ending.items() if meant(who)]:
            del self._ending[token]

    async def flush(self) -> None:
        """Note when keys were last used: once a minute, and at the end. Raises what the journal raises; then
        the next one notes it."""
        used, self._used = self._used, {}
        self._resting |= self._known
        self._known = {}
        if not used:
            return
        try:
            await self._journal.write([(sql.USED_KEY, (at, org, key)) for key, (org, at) in used.items()])
        except BaseException:
            self._used = {**used, **self._used}
            raise

    # --- keys ---------------------------------------------------------------------------------------

    async def create_key(
        self,
        by: Principal,
        *,
        principal: str,
        org: str,
        role: str,
        label: str,
        priority: int | None = None,
        scopes: Sequence[str] | None = None,
        seconds: int | None = None,
    ) -> tuple[KeyRow, str]:
        """A new key and its secret, which nobody sees again. Makes principal and organisation as needed.
        `priority` is the highest that it may give a call; None: the usual of its role. `scopes` narrow it;
        `seconds` is how long it is good, None for ever.

        Admins make keys for their own organisation; those of the default one, who run the platform,
        for any. A key can't do what its maker's can't. Raises Forbidden, InvalidParams.
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
        if org != by.org and not by.may(Permission.MANAGE_PLATFORM):
            raise Forbidden(f"Keys for {org} are made by its own admins.")
        if priority is None:
            priority = MAX_PRIORITY if role in (Role.ADMIN, Role.OWNER) else 0
        if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
            raise InvalidParams(f"A priority is from -{MAX_PRIORITY} to {MAX_PRIORITY}, not {priority}.")
        if seconds is not None and not 1 <= seconds <= _LONGEST:
            raise InvalidParams(
                f"A key is good for 1 to {_LONGEST} seconds, not {seconds}.", info={"field": "expires_in"}
            )
        org_no = self._orgs.get(org, 0)
        permissions = None if role in PERMISSIONS else self.roles(org_no, role)
        if permissions is None and role not in PERMISSIONS:
            raise InvalidParams(
                f"There is no role {role[:80]!r} in {org}.",
                remedy=f"Take one of {', '.join(PERMISSIONS)}, or one of the organisation's own.",
                info={"field": "role"},
            )
        narrowed = None if scopes is None else read_scopes(scopes, permissions or frozenset())
        check_made(by, Principal(0, org_no, principal, org, role, permissions=permissions, scopes=narrowed))
        known = self.named(org, principal)
        if known is not None:
            check_name(by, self.rights(known))
        expires = None if seconds is None else self._clock.now() + seconds
        new = NewKey(principal, org, role, label, priority, narrowed, expires)
        return await self._create(new, by.label)

    async def _create(self, new: NewKey, by: str, also: Sequence[Op] = ()) -> tuple[KeyRow, str]:
        # Whoever waits may give up (a caller that hangs up); what is begun is ended all the same, or
        # memory would not know what is stored.
        return await asyncio.shield(self._create_alone(new, by, also))

    async def _create_alone(self, new: NewKey, by: str, also: Sequence[Op]) -> tuple[KeyRow, str]:
        async with self._making:
            return await self._store(new, by, also)

    async def _store(self, new: NewKey, by: str, also: Sequence[Op]) -> tuple[KeyRow, str]:
        now = self._clock.now()
        principal, org = new.principal, new.org
        ops: list[Op] = []
        org_no = self._orgs.get(org)
        if org_no is None:
            org_no = self._reader.last(SYSTEM, "org") + 1
            ops.append((sql.ADD_ORG, (org_no, org, now)))
            ops.append(change(org_no, now, by, "org.made", org))
        no = self._principals.get((org_no, principal))
        if no is None:
            no = self._reader.last(SYSTEM, "principal") + 1
            ops.append((sql.ADD_PRINCIPAL, (no, org_no, principal, now)))
        key_id = self._entropy.bytes(6).hex()
        token = make_key(key_id, self._entropy.bytes(32))
        digest = hashlib.sha256(token.encode()).digest()
        scopes = None if new.scopes is None else tuple(sorted(new.scopes))
        words = " ".join(scopes or ())
        values = (key_id, org_no, no, new.role, new.label, digest, now, by, new.priority, words)
        ops.append((sql.ADD_KEY, (*values, new.expires, new.prior)))
        kind = "key.rotated" if new.prior else "key.created"
        about = {
            "principal": f"{principal}@{org}",
            "role": str(new.role),
            "scopes": scopes,
            "prior": new.prior,
        }
        ops.append(change(org_no, now, by, kind, key_id, **about))
        await self._journal.write([*ops, *also])
        self._orgs[org], self._org_names[org_no] = org_no, org
        self._remember(no, org_no, principal)
        made = KeyRow(key_id, principal, org, str(new.role), new.label, now, None, new.priority, scopes)
        return msgspec.structs.replace(made, expires=new.expires, prior=new.prior), token

    def keys(self, by: Principal) -> list[KeyRow]:
        """Keys of the admin's organisation; the platform's admins see all. Raises Forbidden."""
        return [self._row(key) for key in self._reader.keys(_governed(by))]

    def behind_keys(self, org_no: int) -> list[tuple[str, Principal]]:
        """(label, who they stand for) of an organisation's keys that are good."""
        now = self._clock.now()
        found = self._reader.keys(Scope(org=org_no))
        good = [key for key in found if key.revoked is None and (key.expires is None or key.expires > now)]
        return [(key.label, self._principal(self._by_no[key.principal], key)) for key in good]

    def _row(self, key: StoredKey) -> KeyRow:
        used = self._used.get(key.id)
        return row_of(key, self._by_no[key.principal], key.used if used is None else used[1])

    async def rotate(self, by: Principal, key_id: str, overlap: float) -> tuple[KeyRow, str]:
        """A new key in the place of another, which stays good for `overlap` seconds more. It may do the same,
        and is good for as long as the other was made for. Raises NotFound, Forbidden, InvalidParams."""
        key = self._found(_governed(by), key_id)
        if not 0 <= overlap <= _OVERLAP:
            raise InvalidParams(
                f"Two keys are good beside each other for 0 to {_OVERLAP} seconds, not {overlap:g}.",
                info={"field": "overlap"},
            )
        now = self._clock.now()
        if key.revoked is not None or (key.expires is not None and key.expires <= now):
            raise InvalidParams("The key has ended already.", remedy="Make another: a2a keys create")
        who, scopes = self._by_no[key.principal], read_words(key.scopes)
        permissions = self._permissions(key.org, key.role)
        check_name(by, self.rights(who))
        check_made(by, msgspec.structs.replace(who, role=key.role, permissions=permissions, scopes=scopes))
        expires, until = None, now + overlap
        if key.expires is not None:
            expires, until = now + key.expires - key.created, min(until, key.expires)
        new = NewKey(who.name, who.org, key.role, key.label, key.priority, scopes, expires, key.id)
        made = await self._create(new, by.label, [(sql.END_KEY, (until, key.org, key.id))])
        self.forget(key_id=key.id)
        return made

    async def revoke(self, by: Principal, key_id: str) -> KeyRow:
        """End a key; calls with it are refused from now on. Raises NotFound, Forbidden."""
        scope = _governed(by)
        found = self._found(scope, key_id)
        if not _ends(by, found):
            raise Forbidden("An owner's key is ended by owners.")
        await asyncio.shield(self._revoke(found, by.label))
        return self._row(self._reader.key(scope, key_id) or found)

    def _found(self, scope: Scope, key_id: str) -> StoredKey:
        found = self._reader.key(scope, key_id)
        if found is None:
            raise NotFound(f"There is no key {key_id[:40]!r}.", remedy="See `a2a keys ls`.")
        return found

    async def _revoke(self, key: StoredKey, by: str, **detail: str) -> None:
        now = self._clock.now()
        ops: list[Op] = [(sql.REVOKE_KEY, (now, key.org, key.id))]
        if key.revoked is None:
            ops.append(change(key.org, now, by, "key.revoked", key.id, **detail))
        await self._journal.write(ops)
        self.forget(key_id=key.id)

    def end_keys(self, org_no: int, principal: int) -> Op:
        """What revokes all keys of a principal, for the write that ends it; `forget` follows it."""
        return sql.REVOKE_KEYS_OF, (self._clock.now(), org_no, principal)

    async def leaked(self, by: Principal, found: Sequence[Found], *, revoke: bool) -> list[Leak]:
        """What became of keys that turned up where they should not be, and, with `revoke`, the end of those
        that are good. Who has the whole of a key may end it, whosever it is; by their prefix alone, admins
        see and end those that they govern. Raises InvalidParams, Forbidden."""
        if len(found) > MOST_FOUND:
            raise InvalidParams(f"One report names at most {MOST_FOUND} keys.", info={"field": "keys"})
        governed = _governed(by) if by.may(Permission.MANAGE_KEYS) else None
        return [await self._leak(by, governed, one, revoke=revoke) for one in found]

    async def _leak(self, by: Principal, governed: Scope | None, found: Found, *, revoke: bool) -> Leak:
        seen = None if governed is None else self._reader.key(governed, found.id)
        key = seen
        if found.sha256:
            stored = self._reader.hash_of_key(SYSTEM, found.id)
            if stored is None or not hmac.compare_digest(stored.hex(), found.sha256):
                return Leak(found.id, "unknown")  # It has the form of one of ours, and is not.
            key = self._reader.key(SYSTEM, found.id)
        if key is None:
            return Leak(found.id, "unknown")
        if key.revoked is not None:
            state = "revoked"
        else:
            state = "active" if key.expires is None or self._clock.now() < key.expires else "expired"
        ended = revoke and state == "active" and (found.sha256 != "" or _ends(by, key))
        if ended:
            await asyncio.shield(self._revoke(key, by.label, reason="leaked"))
        return Leak(key.id, state, None if seen is None else self._row(seen), ended)

    # --- the first key ------------------------------------------------------------------------------

    async def admin_key(self, path: Path) -> str:
        """The admin key in `path` (0600), made at first start, and again when the file is gone or what
        is in it is no admin's key of the default organisation any more.

        Raises Unavailable when others may read the file, or it can't be read or written; StorageFull.
        """
        try:
            token = self._kept(path)
            if token is None:
                new = NewKey("admin", DEFAULT_ORG, Role.ADMIN, "made at start", MAX_PRIORITY)
                _, token = await self._create(new, "platform")
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


def _ends(by: Principal, key: StoredKey) -> bool:
    """Whether an admin may end a key that they govern."""
    return key.role != Role.OWNER or by.role == Role.OWNER or by.may(Permission.MANAGE_PLATFORM)


def _governed(by: Principal) -> Scope:
    """The keys that an admin governs: of their organisation; the platform's admins all."""
    _admin(by)
    return SYSTEM if by.may(Permission.MANAGE_PLATFORM) else Scope(org=by.org_no)


def _admin(by: Principal) -> None:
    if not by.may(Permission.MANAGE_KEYS):
        raise Forbidden(
            "Keys are made and seen by admins.",
            remedy="Use an admin's key, such as the one in $A2A_DATA/admin.key.",
        )
