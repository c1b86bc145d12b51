"""Accounts, passkeys, sessions and links in SQL: the statements that change them, and the reads.

Accounts stand beside the organisations: what they may see of one is a membership's business
(control/orgs). A link's one use is a row of its own under the link's id, so that of two who use it at once
the second one's whole write is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from a2a_cloud.model.problem import Internal
from a2a_cloud.storage.journal.port import IN_ORDER, Statement


class Account(Struct, frozen=True):
    """A person. `email` is in lower case and nobody else's; times are wall seconds."""

    id: str
    email: str
    name: str
    created: float
    has_password: bool


class Passkey(Struct, frozen=True):
    """A registered WebAuthn credential; `rp` is the host that it is good for."""

    id: bytes
    account: str
    rp: str
    label: str
    public_key: bytes
    sign_count: int
    created: float
    used: float | None


class StoredSession(Struct, frozen=True):
    """A row of `web_session` without its hash. `org` "": the account's usual one."""

    id: str
    account: str
    org: str
    method: str
    created: float
    seen: float
    ends: float
    agent: str
    address: str


class Link(Struct, frozen=True):
    """A link that lets one person in once. `kind` is admin, invite or recover."""

    id: str
    kind: str
    org: str
    role: str
    email: str
    account: str
    created: float
    ends: float
    made_by: str
    used: float | None


class OutsideIdentity(NamedTuple):
    """An identity at an outside provider."""

    issuer: str
    subject: str
    created: float


ADD_ACCOUNT = Statement(
    "add_account",
    "INSERT INTO account(id, email, name, created, password, password_at) VALUES(?,?,?,?,?,?)",
)
SET_PASSWORD = Statement(
    "set_account_password", "UPDATE account SET password=?, password_at=? WHERE id=?", IN_ORDER
)
#: A hash of the same password at another cost; not when the password was changed meanwhile.
REHASH = Statement("rehash_account", "UPDATE account SET password=? WHERE id=? AND password=?", IN_ORDER)

_PASSKEY = "id, account, rp, label, public_key, sign_count, created, used"
ADD_PASSKEY = Statement("add_passkey", f"INSERT INTO passkey({_PASSKEY}) VALUES(?,?,?,?,?,?,?,?)")
USE_PASSKEY = Statement(
    "use_passkey",
    "UPDATE passkey SET sign_count=MAX(sign_count, ?), used=? WHERE id=? AND account=?",
    IN_ORDER,
)
DROP_PASSKEY = Statement("drop_passkey", "DELETE FROM passkey WHERE id=? AND account=?", IN_ORDER)

DROP_PASSKEYS = Statement("drop_passkeys", "DELETE FROM passkey WHERE account=?", IN_ORDER)
DROP_IDENTITIES = Statement(
    "drop_outside_identities", "DELETE FROM outside_identity WHERE account=?", IN_ORDER
)

ADD_IDENTITY = Statement(
    "add_outside_identity", "INSERT INTO outside_identity(issuer, subject, account, created) VALUES(?,?,?,?)"
)
DROP_IDENTITY = Statement(
    "drop_outside_identity", "DELETE FROM outside_identity WHERE issuer=? AND account=?", IN_ORDER
)

_SESSION = "id, account, org, method, created, seen, ends, agent, address"
ADD_SESSION = Statement(
    "add_web_session", f"INSERT INTO web_session({_SESSION}, hash) VALUES(?,?,?,?,?,?,?,?,?,?)"
)
SEE_SESSION = Statement("see_web_session", "UPDATE web_session SET seen=? WHERE id=?", IN_ORDER)
MOVE_SESSION = Statement(
    "move_web_session", "UPDATE web_session SET org=? WHERE id=? AND account=?", IN_ORDER
)
DROP_SESSION = Statement("drop_web_session", "DELETE FROM web_session WHERE id=? AND account=?", IN_ORDER)
DROP_SESSIONS = Statement("drop_web_sessions", "DELETE FROM web_session WHERE account=? AND id<>?", IN_ORDER)
SWEEP_SESSIONS = Statement("sweep_web_sessions", "DELETE FROM web_session WHERE ends<=? OR seen<?", IN_ORDER)

_LINK = "id, kind, org, role, email, account, created, ends, made_by"
ADD_LINK = Statement("add_link", f"INSERT INTO link({_LINK}, hash) VALUES(?,?,?,?,?,?,?,?,?,?)")
USE_LINK = Statement("use_link", "INSERT INTO link_use(link, at, used_by) VALUES(?,?,?)")
DROP_LINK = Statement("drop_link", "DELETE FROM link WHERE id=?", IN_ORDER)
#: Those to and by somebody who is in an organisation no more.
END_LINKS = Statement(
    "end_links",
    "DELETE FROM link WHERE org=?1 AND (email=?2 OR made_by=?3)"
    " AND NOT EXISTS (SELECT 1 FROM link_use WHERE link=link.id)",
    IN_ORDER,
)
#: Those that are over since long, with their use.
SWEEP_USES = Statement(
    "sweep_link_uses", "DELETE FROM link_use WHERE link IN (SELECT id FROM link WHERE ends<?)", 4
)
SWEEP_LINKS = Statement("sweep_links", "DELETE FROM link WHERE ends<?", 5)

_ACCOUNT = "id, email, name, created, password<>''"


class PeopleRows:
    """Reads of committed rows, over the reader's connection or one's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    # --- accounts -----------------------------------------------------------------------------------

    def account(self, account_id: str) -> Account | None:
        """The account with that id."""
        return self._account("id=?", account_id)

    def account_of(self, email: str) -> Account | None:
        """The account with that e-mail address."""
        return self._account("email=?", email)

    def _account(self, where: str, value: str) -> Account | None:
        found = self._all(f"SELECT {_ACCOUNT} FROM account WHERE {where}", (value,))  # noqa: S608
        if not found:
            return None
        ident, email, name, created, has = found[0]
        return Account(ident, email, name, created, bool(has))

    def any_account(self) -> bool:
        """Whether there is one."""
        return bool(self._all("SELECT 1 FROM account LIMIT 1"))

    def password(self, account_id: str) -> str:
        """The stored hash; "" for none."""
        found = self._all("SELECT password FROM account WHERE id=?", (account_id,))
        return found[0][0] if found else ""

    # --- passkeys, outside identities ---------------------------------------------------------------

    def passkeys(self, account_id: str) -> list[Passkey]:
        """The account's, oldest first."""
        sql = f"SELECT {_PASSKEY} FROM passkey WHERE account=? ORDER BY created"  # noqa: S608
        return [Passkey(*row) for row in self._all(sql, (account_id,))]

    def passkey(self, credential: bytes) -> Passkey | None:
        """The one with that credential id."""
        found = self._all(f"SELECT {_PASSKEY} FROM passkey WHERE id=?", (credential,))  # noqa: S608
        return Passkey(*found[0]) if found else None

    def identity(self, issuer: str, subject: str) -> str:
        """The account behind an outside identity; "" for none."""
        sql = "SELECT account FROM outside_identity WHERE issuer=? AND subject=?"
        found = self._all(sql, (issuer, subject))
        return found[0][0] if found else ""

    def identities(self, account_id: str) -> list[OutsideIdentity]:
        """The account's outside identities."""
        sql = "SELECT issuer, subject, created FROM outside_identity WHERE account=? ORDER BY created"
        return [OutsideIdentity(*row) for row in self._all(sql, (account_id,))]

    # --- sessions -----------------------------------------------------------------------------------

    def session_of(self, digest: bytes) -> StoredSession | None:
        """The one whose token has that hash."""
        found = self._all(f"SELECT {_SESSION} FROM web_session WHERE hash=?", (digest,))  # noqa: S608
        return StoredSession(*found[0]) if found else None

    def sessions(self, account_id: str) -> list[StoredSession]:
        """The account's, newest first."""
        sql = f"SELECT {_SESSION} FROM web_session WHERE account=? ORDER BY created DESC"  # noqa: S608
        return [StoredSession(*row) for row in self._all(sql, (account_id,))]

    # --- links --------------------------------------------------------------------------------------

    def link_of(self, digest: bytes) -> Link | None:
        """The one whose token has that hash."""
        return next(iter(self._links("hash=?", (digest,))), None)

    def links(self, org: str) -> list[Link]:
        """The organisation's, the newest 1,000; "" for all of the platform."""
        where, params = ("org=?", (org,)) if org else ("1=1", ())
        return self._links(f"{where} ORDER BY created DESC LIMIT 1000", params)

    def _links(self, where: str, params: Sequence[Any]) -> list[Link]:
        sql = f"SELECT {_LINK}, (SELECT at FROM link_use WHERE link=link.id) FROM link WHERE {where}"  # noqa: S608
        return [Link(*row) for row in self._all(sql, params)]
