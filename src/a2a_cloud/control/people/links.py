"""Links that let one person in once: to become an admin, to accept an invitation, to set a new password.
The token is in the address alone and its SHA-256 at rest; a link ends with its use or its time, and works
without a mail server."""

from __future__ import annotations

import base64
import hashlib

from a2a_cloud.control.people.ports import Journal
from a2a_cloud.control.people.rows import (
    ADD_LINK,
    DROP_LINK,
    END_LINKS,
    SWEEP_LINKS,
    SWEEP_USES,
    USE_LINK,
    Link,
    PeopleRows,
)
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.storage.journal.port import Op, Write

ADMIN, INVITE, RECOVER = "admin", "invite", "recover"
DAY = 86_400.0
#: Seconds that each kind is good for.
SECONDS = {ADMIN: DAY, INVITE: 7 * DAY, RECOVER: 3600.0}
_KEPT = 30 * DAY


class Links:
    """See the module."""

    def __init__(self, rows: PeopleRows, journal: Journal, clock: Clock, entropy: Entropy, ids: Ids) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._ids = ids

    async def make(
        self,
        kind: str,
        *with_it: Op,
        org: str,
        role: str,
        email: str,
        by: str,
        account: str = "",
        instead: bool = True,
    ) -> tuple[Link, str]:
        """A link and its token, which nobody sees again. `instead`: earlier ones for the same person end."""
        token = base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")
        now = self._clock.now()
        ends = now + SECONDS[kind]
        made = Link(self._ids.new("link"), kind, org, role, email, account, now, ends, by, None)
        digest = hashlib.sha256(token.encode()).digest()
        ops: list[Op] = [
            (DROP_LINK, (old.id,))
            for old in self._rows.links(org)
            if instead and (old.kind, old.email, old.account) == (kind, email, account) and old.used is None
        ]
        values = (made.id, kind, org, role, email, account, now, ends, by, digest)
        await self._journal.write([(ADD_LINK, values), *ops, *with_it])
        return made, token

    def find(self, token: str) -> Link | None:
        """The living link of this token."""
        if len(token) != 43 or not token.isascii():
            return None
        link = self._rows.link_of(hashlib.sha256(token.encode()).digest())
        return link if link is not None and self.living(link) else None

    def living(self, link: Link) -> bool:
        """Whether it can still be used."""
        return link.used is None and self._clock.now() < link.ends

    def using(self, link: Link, by: str) -> Op:
        """What uses it up; the second of two such writes is refused."""
        return USE_LINK, (link.id, self._clock.now(), by)

    def listed(self, org: str) -> list[Link]:
        """The organisation's, newest first; "" for all."""
        return self._rows.links(org)

    async def drop(self, link: Link, *with_it: Op) -> None:
        """End it."""
        await self._journal.write([(DROP_LINK, (link.id,)), *with_it])

    @staticmethod
    def ending(org: str, email: str) -> list[Op]:
        """What ends those to and by somebody who is in the organisation no more: both would be ways back."""
        return [(END_LINKS, (org, email, f"{email}@{org}"))]

    def sweep(self) -> None:
        """Clear away what has ended long ago."""
        until = self._clock.now() - _KEPT
        self._journal.submit(Write([(SWEEP_USES, (until,)), (SWEEP_LINKS, (until,))]))
