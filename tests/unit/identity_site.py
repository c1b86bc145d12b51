"""A data folder with what identity needs, for tests of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import Unauthenticated
from a2a_cloud.model.scope import Scope
from a2a_cloud.ops.system import SystemClock, SystemEntropy
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.reader import LivingKey
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.testing.commits import Commits


class Turned(SystemClock):
    """The machine's clock, turned on by `ahead` seconds."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class CountingReader(SqliteReader):
    """Counts how often a key is looked up."""

    looked = 0

    def key_by_hash(self, scope: Scope, digest: bytes) -> LivingKey | None:
        self.looked += 1
        return super().key_by_hash(scope, digest)


class Site:
    """A data folder with what identity needs; `restart` forgets what memory knows."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.key_path = folder / "admin.key"
        self.commits = Commits()
        self.clock = Turned()
        self.open()

    def open(self) -> None:
        self.journal = SqliteJournal(self.path, commit=self.commits)
        self.reader = CountingReader(self.path)
        self.identity = Identity(self.reader, self.journal, self.clock, SystemEntropy())

    async def close(self) -> None:
        await self.journal.close()
        self.reader.close()

    async def restart(self) -> None:
        await self.close()
        self.open()

    async def admin(self) -> Principal:
        return self.identity.authenticate(await self.identity.admin_key(self.key_path))

    async def make(
        self,
        principal: str,
        org: str = "",
        role: str = Role.MEMBER,
        by: Principal | None = None,
        scopes: Sequence[str] | None = None,
        seconds: int | None = None,
    ) -> str:
        by = by or await self.admin()
        _, token = await self.identity.create_key(
            by, principal=principal, org=org, role=role, label="", scopes=scopes, seconds=seconds
        )
        return token


def site(folder: Path, body: Callable[[Site], Awaitable[None]]) -> None:
    async def go() -> None:
        site = Site(folder)
        try:
            await body(site)
        finally:
            await site.close()

    asyncio.run(go())


def refused(identity: Identity, token: str) -> bool:
    try:
        identity.authenticate(token)
    except Unauthenticated:
        return True
    return False
