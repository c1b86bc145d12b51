"""Sessions of browsers: a random token in a cookie, its SHA-256 at rest, an end when nobody uses it and one
that comes in any case. Who the person is in their organisation is asked anew each time, so that what was
taken from a member counts at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

import msgspec
from msgspec import Struct

from a2a_cloud.control.people.ports import Journal, Members
from a2a_cloud.control.people.rows import (
    ADD_SESSION,
    DROP_SESSION,
    DROP_SESSIONS,
    MOVE_SESSION,
    SEE_SESSION,
    SWEEP_SESSIONS,
    Account,
    PeopleRows,
    StoredSession,
)
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.storage.journal.port import Op, Write

_KEPT = 10_000
#: Tokens that nobody has, remembered so that a wrong cookie in a loop asks no database.
_REFUSED_KEPT = 4096
#: A use is written down once in so many seconds.
SEEN = 60.0
_MOST_AGENT, _MOST_ADDRESS = 200, 64


class Session(Struct, frozen=True):
    """A living session. `principal` is None for a person who belongs to no organisation. `csrf` has to come
    along with what changes something; `method` is how they signed in. Times are wall seconds."""

    id: str
    account_id: str
    org: str
    csrf: str
    principal: Principal | None
    created: float
    seen: float
    ends: float
    method: str
    agent: str
    address: str


class Where(Struct, frozen=True):
    """From where somebody signs in, as lists of sessions show it."""

    agent: str = ""
    address: str = ""


_Test = Callable[[StoredSession], bool]


class Sessions:
    """See the module. `idle` and `longest` in seconds; `key` makes CSRF tokens."""

    def __init__(
        self,
        rows: PeopleRows,
        journal: Journal,
        members: Members,
        clock: Clock,
        entropy: Entropy,
        ids: Ids,
        *,
        key: bytes,
        idle: float,
        longest: float,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._members = members
        self._clock = clock
        self._entropy = entropy
        self._ids = ids
        self._key = key
        self._idle = idle
        self._longest = longest
        self._known: dict[bytes, StoredSession] = {}
        self._written: dict[str, float] = {}
        self._refused: dict[bytes, None] = {}

    def of(self, token: str) -> Session | None:
        """The session of a cookie's token, as long as it lasts."""
        if len(token) != 43 or not token.isascii():
            return None
        digest = hashlib.sha256(token.encode()).digest()
        row = self._known.get(digest)
        if row is None:
            if digest in self._refused:
                return None
            row = self._rows.session_of(digest)
            if row is None:
                if len(self._refused) >= _REFUSED_KEPT:
                    self._refused.clear()
                self._refused[digest] = None
                return None
        now = self._clock.now()
        if now >= row.ends or now - row.seen > self._idle:
            self._known.pop(digest, None)
            return None
        row = msgspec.structs.replace(row, seen=max(now, row.seen))
        if digest not in self._known and len(self._known) >= _KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = row
        if now - self._written.get(row.id, 0.0) >= SEEN:
            if len(self._written) >= _KEPT:
                self._written.clear()
            self._written[row.id] = now
            self._journal.submit(Write([(SEE_SESSION, (now, row.id))]))
        return self._whole(row)

    def beginning(self, account: Account, method: str, where: Where, org: str = "") -> tuple[str, str, Op]:
        """(id, token, what writes it) of a new session."""
        session_id = self._ids.new("sess")
        token = base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock.now()
        ends = now + self._longest
        agent, address = _plain(where.agent, _MOST_AGENT), _plain(where.address, _MOST_ADDRESS)
        values = (session_id, account.id, org, method, now, now, ends, agent, address, digest)
        return session_id, token, (ADD_SESSION, values)

    def listed(self, account_id: str) -> list[Session]:
        """The account's living sessions, newest first."""
        now = self._clock.now()
        known = {row.id: row for row in self._known.values() if row.account == account_id}
        rows = [known.get(row.id, row) for row in self._rows.sessions(account_id)]
        return [self._whole(row) for row in rows if now < row.ends and now - row.seen <= self._idle]

    async def move(self, session: Session, org: str) -> bool:
        """Let the session speak for its account in another of its organisations; False when it is no member
        there."""
        if self._members.principal(session.account_id, org) is None:
            return False
        await self._journal.write([(MOVE_SESSION, (org, session.id, session.account_id))])
        self._forget(lambda row: row.id == session.id)
        return True

    async def end(self, account_id: str, session_id: str, *with_it: Op) -> bool:
        """End one; False when the account has none of that id."""
        if all(row.id != session_id for row in self._rows.sessions(account_id)):
            return False
        await self._journal.write([(DROP_SESSION, (session_id, account_id)), *with_it])
        self._forget(lambda row: row.id == session_id)
        return True

    async def end_all(self, account_id: str, *with_it: Op, but: str = "") -> None:
        """End all of an account's, but one; `with_it` is written together with that."""
        await self._journal.write([(DROP_SESSIONS, (account_id, but)), *with_it])
        self._forget(lambda row: row.account == account_id and row.id != but)

    def sweep(self) -> None:
        """Clear away what has ended."""
        now = self._clock.now()
        self._journal.submit(Write([(SWEEP_SESSIONS, (now, now - self._idle - SEEN))]))

    def _forget(self, gone: _Test) -> None:
        for digest in [digest for digest, row in self._known.items() if gone(row)]:
            del self._known[digest]

    def _whole(self, row: StoredSession) -> Session:
        principal = self._members.principal(row.account, row.org)
        if principal is None and row.org:
            principal = self._members.principal(row.account)
        return Session(
            row.id,
            row.account,
            principal.org if principal is not None else row.org,
            self._csrf(row.id),
            principal,
            row.created,
            row.seen,
            row.ends,
            row.method,
            row.agent,
            row.address,
        )

    def _csrf(self, session_id: str) -> str:
        return hmac.new(self._key, f"csrf {session_id}".encode(), hashlib.sha256).hexdigest()


def _plain(text: str, most: int) -> str:
    cut = text[:most]
    return cut if cut.isprintable() else ascii(cut)[1:-1]
