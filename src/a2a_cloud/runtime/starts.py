"""Starts and stops the workers of releases as deploys want it: a draft's first worker, the pools of what
serves, fresh workers when settings change."""

from __future__ import annotations

import asyncio

from a2a_cloud.model.problem import StartFailed
from a2a_cloud.model.release import Release
from a2a_cloud.runtime.runs import Runs

#: Lines of a release's log that tell why it failed.
LINES = 20
#: Seconds that the last lines of a worker that has just ended may take to arrive.
_SETTLE = 0.2


class Starts:
    """One per platform."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def start(self, draft: Release) -> tuple[bytes, bool]:
        """Start a worker of `draft`: (its skills as JSON, whether it has a message handler).

        Raises StartFailed, which says what the worker said, and SandboxRequired.
        """
        pool = self._runs.pool(draft)
        refused = pool.refusal()
        if refused is not None:
            raise refused
        try:
            ready = await pool.first_ready()
        except RuntimeError as error:
            await asyncio.sleep(_SETTLE)
            manifest = draft.manifest
            raise StartFailed(
                f"The agent {draft.name} can't be loaded: {error}.",
                remedy=_remedy(str(error), manifest.entry, manifest.limits.start_timeout),
            ) from None
        return ready.skills, ready.message_handler

    def adopt(self, release: Release) -> None:
        """What was started as a draft is this release now; whether it serves is told by `point`."""
        pool = self._runs.pool(release)
        pool.release = release
        pool.serving = False

    async def drop(self, no: int) -> None:
        """End the workers of a release that never served."""
        pool = self._runs.pools.pop(no, None)
        if pool is not None:
            await pool.close()

    def point(self, agent_no: int, releases: dict[int, Release]) -> None:
        """These releases of an agent take new calls; the workers of others end when they are idle."""
        for no, pool in self._runs.pools.items():
            if pool.release.agent_no == agent_no:
                pool.serving = no in releases
        for release in releases.values():
            pool = self._runs.pool(release)
            pool.serving = True
            pool.ensure()

    def renew(self, agent_no: int) -> None:
        """Give every release of an agent fresh workers, without losing a call."""
        for pool in self._runs.pools.values():
            if pool.release.agent_no == agent_no:
                pool.renew()

    def say(self, draft: Release, level: str, line: str) -> None:
        """A line for the release's log."""
        self._runs.logs.say(draft, level, line)

    async def lines(self, draft: Release) -> list[str]:
        """The last lines that the release's own code wrote."""
        await self._runs.journal.write([])  # What was written before is on disk after this.
        rows = self._runs.logs.of_agent(draft.org_no, draft.agent_no, release=draft.no, limit=200)
        return [row.line for row in rows if row.source in ("stdout", "stderr", "log")][-LINES:]


def _remedy(why: str, entry: str, seconds: float) -> str:
    if "ModuleNotFoundError" in why or "No module named" in why:
        return "Name the package in the agent's requirements.txt or pyproject.toml, and deploy again."
    if "not ready within" in why:
        return (
            f"Do less while {entry} is imported, or raise start_timeout ({seconds:g} s) under [limits] "
            "in a2a.toml."
        )
    return f"Mend {entry} and deploy again."
