"""Keys for callers who can do nothing but AWS Signature Version 4: made once, their secrets sealed (a
signature can't be checked with a hash), and the requests that they sign.

A request counts within WINDOW of its time, for one region and service (the platform's setting), and once:
one that changes something is refused when its signature came before, or when it is from before the start
and might have.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence
from typing import Protocol

from a2a_cloud.control.identity.rights import check_made, check_name, read_scopes
from a2a_cloud.control.services.roots import Committer, Seal
from a2a_cloud.control.services.rows import ADD_SIGV4, DROP_SIGV4, ServiceRows, SigV4Row
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import MAX_PRIORITY, PERMISSIONS, Permission, Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Unauthenticated, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.sigv4 import BadSignature, Claim, signature

#: Seconds that a request may be older or newer than now; signatures that are remembered; keys of one
#: organisation; seconds that a key may be good for.
WINDOW = 300
MOST_SEEN, MOST_KEYS = 200_000, 200
_LONGEST = 10 * 366 * 86_400
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_REMEDY = "Sign with a key of this platform (docs/service-identity.md), or send Authorization: Bearer KEY."


class Principals(Protocol):
    """Identity: who a key stands for."""

    roles: Callable[[int, str], frozenset[str] | None]
    rights: Callable[[Principal], Principal]

    async def ensure(self, org: str, name: str) -> Principal:
        """The principal of that name."""
        ...

    def by_no(self, no: int) -> Principal | None:
        """The same by its number."""
        ...


class SigV4Keys:
    """See the module. `region`, `service`: what a credential's scope has to say."""

    def __init__(
        self,
        rows: ServiceRows,
        journal: Committer,
        seal: Seal,
        clock: Clock,
        entropy: Entropy,
        principals: Principals,
        *,
        region: str,
        service: str,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._seal = seal
        self._clock = clock
        self._entropy = entropy
        self._principals = principals
        self.region, self.service = region, service
        self._keys = {row.id: (row, sealed) for row, sealed in rows.signing(SYSTEM)}
        self._seen: dict[str, float] = {}
        self._began = int(clock.now())

    # --- keys -----------------------------------------------------------------------------------------

    async def create(
        self,
        by: Principal,
        *,
        principal: str,
        role: str,
        label: str = "",
        scopes: Sequence[str] | None = None,
        seconds: int | None = None,
    ) -> tuple[SigV4Row, str]:
        """A new key of `by`'s organisation and its secret, which nobody sees again. Raises Forbidden,
        InvalidParams."""
        _governs(by)
        if not _is_name(principal):
            raise InvalidParams(
                f"{principal[:80]!r} is no name for a principal.",
                remedy="Use a-z, 0-9 and _ . @ + -, 127 at most.",
                info={"field": "principal"},
            )
        if len(label) > 200 or not label.isprintable():
            raise InvalidParams("The label is longer than 200 characters, or no line of text.")
        if seconds is not None and not 1 <= seconds <= _LONGEST:
            raise InvalidParams(f"A key is good for 1 to {_LONGEST} seconds, not {seconds}.")
        permissions = self._permissions(by.org_no, role)
        if permissions is None and role not in PERMISSIONS:
            raise InvalidParams(
                f"There is no role {role[:80]!r} in {by.org}.",
                remedy=f"Take one of {', '.join(PERMISSIONS)}, or one of the organisation's own.",
                info={"field": "role"},
            )
        narrowed = None if scopes is None else read_scopes(scopes, permissions or frozenset())
        made = Principal(0, by.org_no, principal, by.org, role, permissions=permissions, scopes=narrowed)
        check_made(by, made)
        if sum(1 for row, _ in self._keys.values() if row.org == by.org_no) >= MOST_KEYS:
            raise InvalidParams(
                f"An organisation has {MOST_KEYS} keys of this kind at most.", remedy="Revoke one."
            )
        who = await self._principals.ensure(by.org, principal)
        check_name(by, self._principals.rights(who))
        now = self._clock.now()
        key_id = "A2AK" + base64.b32encode(self._entropy.bytes(10)).decode()
        secret = base64.urlsafe_b64encode(self._entropy.bytes(30)).decode()
        row = SigV4Row(
            id=key_id,
            org=by.org_no,
            principal=who.no,
            role=role,
            label=label,
            scopes=" ".join(sorted(narrowed or ())),
            priority=min(by.priority, MAX_PRIORITY) if role in ("admin", "owner") else 0,
            created=now,
            expires=None if seconds is None else now + seconds,
            made_by=by.label,
        )
        sealed = self._seal.close(secret.encode(), _bound_to(row.org, key_id))
        event = change(by.org_no, now, by.label, "key.created", key_id, of=principal, role=role, form="sigv4")
        await self._journal.write([(ADD_SIGV4, (*row, sealed)), event])
        self._keys[key_id] = (row, sealed)
        return row, secret

    def listed(self, by: Principal) -> list[tuple[SigV4Row, str]]:
        """Those of `by`'s organisation, each with its principal's name. Raises Forbidden."""
        _governs(by)
        found: list[tuple[SigV4Row, str]] = []
        for row in self._rows.signing_of(Scope(org=by.org_no)):
            who = self._principals.by_no(row.principal)
            found.append((row, who.name if who is not None else ""))
        return found

    async def revoke(self, by: Principal, key_id: str) -> None:
        """It signs nothing any more. Raises Forbidden, NotFound."""
        _governs(by)
        found = self._keys.get(key_id)
        if found is None or found[0].org != by.org_no:
            raise NotFound(f"There is no key {key_id[:80]!a}.", remedy="See `a2a sigv4 ls`.")
        del self._keys[key_id]
        event = change(by.org_no, self._clock.now(), by.label, "key.revoked", key_id, form="sigv4")
        await self._journal.write([(DROP_SIGV4, (by.org_no, key_id)), event])

    # --- requests -------------------------------------------------------------------------------------

    def check(self, claim: Claim, method: str, path: str, query: str, body_sha256: str) -> Principal:
        """Who signed a request whose body has that hash. Raises Unauthenticated, Unavailable."""
        now = self._clock.now()
        if (claim.region, claim.service) != (self.region, self.service):
            raise _refused(f"is for another scope than {self.region}/{self.service}")
        if abs(claim.at - now) > WINDOW:
            raise _refused("is of another time: the clocks differ by more than five minutes, or it is old")
        row, sealed = self._keys.get(claim.key_id, (None, b""))
        if row is None or (row.expires is not None and row.expires <= now):
            raise _refused("is by no key that is good here")
        if claim.body_sha256 and claim.body_sha256 != body_sha256:
            raise _refused("is for another body than came")
        try:
            secret = self._seal.open(sealed, _bound_to(row.org, row.id)).decode()
        except ValueError:
            raise Unavailable(
                "The key's secret can't be opened: its row or keys/secrets.key was changed.",
                remedy="Make another key: a2a sigv4 create NAME",
            ) from None
        try:
            right = signature(claim, secret, method, path, query, body_sha256)
        except BadSignature as error:
            raise _refused(f"can't be checked: {error}") from None
        if not hmac.compare_digest(right, claim.signature):
            raise _refused("does not fit the request")
        if method not in _READS:
            self._once(claim, now)
        return self._principal(row)

    def _once(self, claim: Claim, now: float) -> None:
        seen = self._seen
        if claim.at < self._began:
            raise _refused("is from before this platform was started: sign it anew")
        if claim.signature in seen:
            raise _refused("came before: each counts once")
        if len(seen) >= MOST_SEEN:
            self._seen = seen = {one: until for one, until in seen.items() if until > now}
            if len(seen) >= MOST_SEEN:
                raise Unavailable("Too many signed requests at a time.", remedy="Try again in a minute.")
        seen[claim.signature] = claim.at + WINDOW + 1

    def _principal(self, row: SigV4Row) -> Principal:
        base = self._principals.by_no(row.principal)
        if base is None:
            raise _refused("is by nobody who is known here")
        rights = self._principals.rights(base).permissions
        if rights is not None and not rights:
            raise _refused("is by somebody who is suspended")
        return Principal(
            base.no,
            base.org_no,
            base.name,
            base.org,
            row.role,
            row.id,
            row.priority,
            permissions=None
            if row.role in PERMISSIONS
            else self._permissions(row.org, row.role) or frozenset(),
            scopes=frozenset(row.scopes.split(" ")) if row.scopes else None,
        )

    def _permissions(self, org_no: int, role: str) -> frozenset[str] | None:
        return None if role in PERMISSIONS else self._principals.roles(org_no, role)


def _is_name(text: str) -> bool:
    return (
        0 < len(text) <= 127
        and text[0].isalnum()
        and all(char in "abcdefghijklmnopqrstuvwxyz0123456789_.@+-" for char in text)
    )


def _bound_to(org: int, key_id: str) -> str:
    return f"a2a-cloud sigv4-v1 {org} {key_id}"


def _governs(by: Principal) -> None:
    if not by.may(Permission.MANAGE_KEYS):
        raise Forbidden("Keys are made and seen by admins.", remedy="Use an admin's key.")


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"The signature {why}.", remedy=_REMEDY)
