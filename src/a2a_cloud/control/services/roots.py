"""The platform's own certificate authority for agents' identities: its roots, and how one follows another
without a gap.

A new root is in the bundle at once and signs after OVERLAP, when every holder of a certificate has fetched
the bundle again; the one before stays in the bundle until the last certificate that it signed has ended. All
of it follows from what is stored and the time, so that a restart changes nothing. Private keys are sealed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from a2a_cloud.control.services import ca
from a2a_cloud.control.services.rows import (
    ADD_ROOT,
    DROP_CERTS_OF_ROOT,
    DROP_ROOT,
    RootRow,
    ServiceRows,
)
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op

#: Seconds that a certificate is good; that a new root waits in the bundle before it signs; that a root is
#: good; and its age at which the next one is made.
LEAF = 3600
OVERLAP = 2 * LEAF
ROOT, ROOT_AGES = 365 * 86_400, 180 * 86_400


class Committer(Protocol):
    """The journal, as this slice uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Seal(Protocol):
    """Seals values at rest (control/secrets)."""

    def close(self, value: bytes, place: str) -> bytes:
        """`value`, sealed for a place."""
        ...

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises ValueError."""
        ...


class Standing(Struct, frozen=True):
    """A root, and what it does now: `next` waits, `current` signs, `last` is still believed."""

    root: RootRow
    state: str


class Roots:
    """See the module. `changed` is told when the bundle is another."""

    def __init__(
        self, rows: ServiceRows, journal: Committer, seal: Seal, clock: Clock, entropy: Entropy, domain: str
    ) -> None:
        self._journal = journal
        self._seal = seal
        self._clock = clock
        self._entropy = entropy
        self._domain = domain
        self._roots = rows.roots(SYSTEM)
        self._lock = asyncio.Lock()
        self._told = ""
        self.changed: Callable[[], None] = lambda: None

    def standing(self) -> list[Standing]:
        """The roots of the bundle, in the order in which they sign."""
        now, found = self._clock.now(), list[Standing]()
        for place, root in enumerate(self._roots):
            after = self._roots[place + 1].signs if place + 1 < len(self._roots) else float("inf")
            if root.ends <= now or now >= after + LEAF + ca.BACKDATED:
                continue
            # The first one signs even by a clock that went back.
            state = "last" if now >= after else "current" if now >= root.signs or not place else "next"
            found.append(Standing(root, state))
        return found

    def bundle(self) -> str:
        """The certificates of those, as PEM; "" while there are none."""
        return "".join(ca.pem(one.root.certificate) for one in self.standing())

    def believed(self, root_id: str) -> bool:
        """Whether what that root signed counts."""
        return any(one.root.id == root_id for one in self.standing())

    async def ready(self) -> None:
        """See to it that there is one that signs."""
        if not any(one.state == "current" for one in self.standing()):
            async with self._lock:
                if not any(one.state == "current" for one in self.standing()):
                    await self._add(self._clock.now())

    def sign(self, csr: str, spiffe_id: str) -> tuple[bytes, str, float]:
        """A certificate (DER) for a signing request, which root signed it, and its end. Raises
        InvalidParams, Unavailable."""
        root = next(one.root for one in self.standing() if one.state == "current")
        now = self._clock.now()
        until = min(now + LEAF, root.ends)
        try:
            key = self._seal.open(root.sealed, _bound_to(root.id))
        except ValueError:
            raise Unavailable(
                "The authority's key can't be opened: its row or keys/secrets.key was changed.",
                remedy="Restore keys/secrets.key, or make another root: a2a services rotate-root --now",
            ) from None
        return ca.make_leaf(root.certificate, key, csr, spiffe_id, now, until), root.id, until

    async def rotate(self, *also: Op, at_once: bool = False) -> RootRow:
        """Make the next root, in one write with `also`. `at_once`: it signs from now on, and what the others
        signed counts no more. While one waits already, that one is meant."""
        async with self._lock:
            waiting = next((one.root for one in self.standing() if one.state == "next"), None)
            if waiting is not None and not at_once:
                return waiting
            now = self._clock.now()
            if not at_once:
                return await self._add(now + OVERLAP if self._roots else now, *also)
            gone = list(self._roots)
            drops: list[Op] = [(DROP_ROOT, (one.id,)) for one in gone]
            drops += [(DROP_CERTS_OF_ROOT, (one.id,)) for one in gone]
            return await self._add(now, *drops, *also, instead=True)

    async def tend(self) -> None:
        """Make the next root in time, forget those that count no more, and tell of another bundle."""
        standing = self.standing()
        if standing and standing[-1].root.created + ROOT_AGES < self._clock.now():
            await self.rotate()
        kept = {one.root.id for one in self.standing()}
        gone = [one for one in self._roots if one.id not in kept]
        if gone and kept:
            await self._journal.write([(DROP_ROOT, (one.id,)) for one in gone])
            self._roots = [one for one in self._roots if one.id in kept]
        self._tell()

    async def _add(self, signs: float, *also: Op, instead: bool = False) -> RootRow:
        now, root_id = self._clock.now(), self._entropy.bytes(6).hex()
        certificate, key = ca.make_root(self._domain, root_id, now, ROOT)
        sealed = self._seal.close(key, _bound_to(root_id))
        row = RootRow(root_id, certificate, sealed, now, signs, now + ROOT)
        if instead:
            self._roots = []  # First in memory: nothing may be let in while it is written.
        await self._journal.write([*also, (ADD_ROOT, tuple(row))])
        self._roots = [*self._roots, row]
        self._tell()
        return row

    def _tell(self) -> None:
        bundle = self.bundle()
        if bundle != self._told:
            self._told = bundle
            self.changed()


def _bound_to(root_id: str) -> str:
    return f"a2a-cloud service-root-v1 {root_id}"
