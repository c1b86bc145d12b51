"""Packs tied to the key that signs receipts and to the audit log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from a2a_cloud.control.identity.keys import Committer
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Busy
from a2a_cloud.model.receipt import Signature
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.log.mentions import Mentions
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.jws import Signer

#: Events about one run's grants that go into a pack.
_MOST = 500
#: Packs that are made at the same time: that one organisation's people ask for, and in all.
_OF_ONE, _AT_ONCE = 2, 4


class Packs:
    """Vouches for packs, and finds what belongs into them (surface/packs_port)."""

    def __init__(
        self, signer: Signer, connection: sqlite3.Connection, journal: Committer, clock: Clock
    ) -> None:
        self._signer = signer
        self._mentions = Mentions(connection)
        self._journal = journal
        self._clock = clock
        self._making = Counter[int]()

    @contextmanager
    def turn(self, org: int) -> Generator[None]:
        """See the port."""
        if self._making[org] == _OF_ONE or self._making.total() == _AT_ONCE:
            raise Busy("Other packs are being made.", remedy="Ask again when they are done.", retry_after=5)
        self._making[org] += 1
        try:
            yield
        finally:
            self._making[org] -= 1
            self._making += Counter()  # Without those of nobody.

    def sign(self, manifest: bytes) -> Signature:
        """See the port."""
        return Signature(self._signer.protected, self._signer.sign(manifest))

    async def made(self, org: int, by: str, manifest_sha256: str, **detail: Any) -> None:
        """See the port."""
        event = change(org, self._clock.now(), by, "pack.made", manifest_sha256, **detail)
        await self._journal.write([event])

    async def mentions(self, scope: Scope, since: float) -> Mapping[str, Sequence[int]]:
        """See the port."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for page in self._mentions.since(scope, since):
            for about, leaf in page:
                found[about].append(leaf)
            await asyncio.sleep(0)  # A page is read at once, and calls come between.
        return found

    def of_run(self, scope: Scope, run: str) -> Sequence[int]:
        """See the port."""
        return self._mentions.of_run(scope, run, _MOST)
