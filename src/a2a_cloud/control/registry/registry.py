"""Agents and their releases: immutable, numbered, addressed by digest; which one serves.

A release is made from a folder: packed by content, copied for keeps, its skills read in a worker
and never in the platform. The same digest is the same release. Registrations run one after the other.
An agent is stored before its code runs, because what that code prints is logged under the agent's
number; a release's number is never given twice in a process's life, because a worker pool may stand
behind the draft of one that was refused.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.control.registry.pack import copy_release, digest_folder
from a2a_cloud.control.registry.skills import check_skills, read_specs
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import DEFAULT_ORG, Principal
from a2a_cloud.model.problem import AgentNotFound, Unavailable
from a2a_cloud.model.release import Manifest, Release, Visibility
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader, ReleaseRow

#: Reads what a release's code declares: (JSON array of skill specs, has a message handler).
ReadSkills = Callable[[Release], Awaitable[tuple[bytes, bool]]]


class Committer(Protocol):
    """The journal, as control code uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Registry:
    """See the module."""

    def __init__(
        self, reader: Reader, journal: Committer, clock: Clock, store: Path, org_name: Callable[[int], str]
    ) -> None:
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._store = store
        self._releases: dict[int, Release] = {}
        self._serving: dict[str, Release] = {}
        self._agents: dict[tuple[int, str], int] = {}
        self._registering = asyncio.Lock()
        self._given = reader.last(SYSTEM, "release")
        for agent_no, org_no, name, serving in reader.agents(SYSTEM):
            self._agents[org_no, name] = agent_no
            for row in reader.releases(SYSTEM, agent_no):
                release = self._release(row, org_name(org_no))
                self._releases[release.no] = release
                if release.no == serving:
                    self._serve(release)

    def _serve(self, release: Release) -> None:
        self._serving[f"{release.org}.{release.name}"] = release
        if release.org == DEFAULT_ORG:
            self._serving[release.name] = release

    # --- look-ups -----------------------------------------------------------------------------------

    def serving(self, name: str) -> Release:
        """The release behind `name` (default organisation) or `org.name`. Raises AgentNotFound."""
        release = self._serving.get(name)
        if release is None:
            raise AgentNotFound(f"There is no agent {name[:80]!r} here.", remedy="See `a2a ls`.")
        return release

    def find(self, org: str, name: str) -> Release:
        """The release of agent `name` of organisation `org`. Raises AgentNotFound."""
        return self.serving(f"{org}.{name}")

    def by_no(self, no: int) -> Release | None:
        """A release by its number, serving or not."""
        return self._releases.get(no)

    def agents(self, principal: Principal) -> list[Release]:
        """What `principal` may see: agents of their organisation, and public ones."""
        return [
            release
            for name, release in sorted(self._serving.items())
            if "." in name
            and (release.org_no == principal.org_no or release.manifest.visibility is Visibility.PUBLIC)
        ]

    def everything(self) -> list[Release]:
        """The releases that serve."""
        return [release for name, release in self._serving.items() if "." in name]

    # --- releases -----------------------------------------------------------------------------------

    async def register(
        self, folder: Path, org_no: int, org: str, read_skills: ReadSkills
    ) -> tuple[Release, bool]:
        """Serve what lies in `folder`; a digest that is known serves again, a new one is a new release.

        Returns (release, whether it is new). Raises InvalidParams and other Problems that say what
        is wrong with the folder or its code.
        """
        # What is begun is ended though nobody waits any more: memory has to know what is stored.
        return await asyncio.shield(self._register(folder, org_no, org, read_skills))

    async def _register(
        self, folder: Path, org_no: int, org: str, read_skills: ReadSkills
    ) -> tuple[Release, bool]:
        async with self._registering:
            return await self._registered(folder, org_no, org, read_skills)

    async def _registered(
        self, folder: Path, org_no: int, org: str, read_skills: ReadSkills
    ) -> tuple[Release, bool]:
        manifest = read_manifest(folder)
        digest, _ = await asyncio.to_thread(digest_folder, folder)
        agent_no = self._agents.get((org_no, manifest.name))
        mine = [one for one in self._releases.values() if one.agent_no == agent_no]
        known = next((one for one in mine if one.digest == digest), None)
        await asyncio.to_thread(self._keep, folder, digest, known is not None)
        if known is not None:
            if self._serving.get(f"{org}.{manifest.name}") is not known:
                await self._journal.write([(sql.SERVE_RELEASE, (known.no, org_no, known.agent_no))])
                self._serve(known)
            return known, False
        now = self._clock.now()
        if agent_no is None:
            agent_no = self._reader.last(SYSTEM, "agent") + 1
            await self._journal.write([(sql.ADD_AGENT, (agent_no, org_no, manifest.name, now))])
            self._agents[org_no, manifest.name] = agent_no
        number = 1 + max((one.number for one in mine), default=0)
        no = self._given = max(self._given, self._reader.last(SYSTEM, "release")) + 1
        kept = str(self._place(digest))
        draft = Release(no, agent_no, org_no, org, number, digest, kept, manifest, (), False, now)
        raw, handler = await read_skills(draft)
        skills = check_skills(manifest, raw, handler)
        release = msgspec.structs.replace(draft, skills=skills, has_message_handler=handler)
        row = ReleaseRow(
            no, org_no, agent_no, number, digest, kept, msgspec.json.encode(manifest), raw, int(handler), now
        )
        await self._journal.write(
            [(sql.ADD_RELEASE, tuple(row)), (sql.SERVE_RELEASE, (no, org_no, agent_no))]
        )
        self._releases[no] = release
        self._serve(release)
        return release, True

    def _place(self, digest: str) -> Path:
        return self._store / digest.removeprefix("sha256:")

    def _keep(self, folder: Path, digest: str, known: bool) -> None:
        """Copy the folder to the place that its digest names, if it is not there."""
        dest = self._place(digest)
        if known and dest.is_dir():
            return
        for _ in range(2):
            copied, _ = copy_release(folder, dest)
            if copied == digest:
                return
            # What lies there is not what its name says: the folder changed while it was copied, just
            # now or before a crash.
            shutil.rmtree(dest, ignore_errors=True)
        raise Unavailable(f"{folder} changed while it was read.", remedy="Run the command again.")

    def _release(self, row: ReleaseRow, org: str) -> Release:
        return Release(
            no=row.no,
            agent_no=row.agent,
            org_no=row.org,
            org=org,
            number=row.number,
            digest=row.digest,
            folder=str(self._place(row.digest)),  # Not as stored: the data folder may have moved.
            manifest=msgspec.json.decode(row.manifest, type=Manifest),
            skills=read_specs(row.skills),
            has_message_handler=bool(row.message_handler),
            created=row.created,
        )
