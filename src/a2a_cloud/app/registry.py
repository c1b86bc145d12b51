"""The registry's search and how agents stand, tied to the planes that know."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from a2a_cloud.control.registry.meaning import Meaning, installed
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.control.registry.rows import SqliteRunRows
from a2a_cloud.control.registry.search import Search
from a2a_cloud.control.registry.usage import Usages
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.model.search import Health, Usage
from a2a_cloud.runtime.runs import Runs
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Check


class Standing:
    """How agents stand, as their workers and their runs tell. Fits surface/search_port.py."""

    def __init__(self, runs: Runs, connection: sqlite3.Connection) -> None:
        self._runs = runs
        self._usages = Usages(SqliteRunRows(connection), runs.clock)

    def health(self, release: Release) -> tuple[Health, str]:
        """See the port. What has not been called yet rests."""
        pool = self._runs.pools.get(release.no)
        if pool is None:
            return Health.RESTING, ""
        if any(worker.ready and not worker.gone for worker in pool.workers):
            return Health.READY, ""
        if pool.reason:
            return Health.FAILING, pool.reason
        return (Health.RESTING if pool.resting else Health.STARTING), ""

    def usage(self, release: Release) -> Usage | None:
        """See the port."""
        return self._usages.of(release)


class Help:
    """The platform's own skills, for agents here. Fits runtime/ports.py, Helper."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door

    async def call(self, principal: Principal, skill: str, arguments: bytes) -> bytes:
        """See the port."""
        return await self._door.platform_agent.call(principal, skill, arguments)


class Finding:
    """The search and its process."""

    def __init__(self, registry: Registry, data: Path) -> None:
        self._meaning = Meaning(data / "search") if installed() else None
        self.search = Search(registry, self._meaning)

    def check(self) -> Check:
        """Its line in `a2a doctor`."""
        meaning = self._meaning
        if meaning is None:
            return Check("search", "ok", "by words; with the extra a2a-cloud[search] by meaning too")
        if meaning.trouble:
            return Check("search", "warn", f"By words alone. {meaning.trouble}", "See docs/registry.md.")
        now = "a process has the model" if meaning.running else "no process until somebody searches"
        return Check("search", "ok", f"by words and by meaning; {now}")

    async def close(self) -> None:
        """Ends its process."""
        if self._meaning is not None:
            await self._meaning.close()
