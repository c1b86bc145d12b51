"""Agents and their releases: immutable, numbered, addressed by digest; which one serves.

A release is made from a folder: packed by content, copied for keeps, its skills read in a worker
and never in the platform. The same digest is the same release.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.control.registry.pack import copy_release, digest_folder
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import DEFAULT_ORG, Principal
from a2a_cloud.model.problem import AgentNotFound, InvalidParams, Unavailable
from a2a_cloud.model.release import Manifest, Release, SkillSpec, Visibility
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader
from a2a_cloud.wire.json_schema import BadSchema, compiled

#: Reads what a release's code declares: (JSON array of skill specs, has a message handler).
ReadSkills = Callable[[Release], Awaitable[tuple[bytes, bool]]]


class Committer(Protocol):
    """The journal, as control code uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Registry:
    """See the module."""

    def __init__(self, reader: Reader, journal: Committer, clock: Clock, store: Path, org_name: Callable[[int], str]) -> None:
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._store = store
        self._releases: dict[int, Release] = {}
        self._serving: dict[str, Release] = {}
        self._agents: dict[tuple[int, str], int] = {}
        for agent_no, org_no, name, serving in reader.agents(SYSTEM):
            self._agents[org_no, name] = agent_no
            for row in reader.releases(SYSTEM, agent_no):
                release = _release(row, org_name(org_no))
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
            if "." in name and (release.org_no == principal.org_no or release.manifest.visibility is Visibility.PUBLIC)
        ]

    def everything(self) -> list[Release]:
        """The releases that serve."""
        return [release for name, release in self._serving.items() if "." in name]

    # --- releases -----------------------------------------------------------------------------------

    async def register(self, folder: Path, org_no: int, org: str, read_skills: ReadSkills) -> tuple[Release, bool]:
        """Serve what lies in `folder`; a digest that is known serves again, a new one is a new release.

        Returns (release, whether it is new). Raises InvalidParams and other Problems that say what
        is wrong with the folder or its code.
        """
        manifest = read_manifest(folder)
        digest, _ = digest_folder(folder)
        agent_no = self._agents.get((org_no, manifest.name))
        known = next(
            (one for one in self._releases.values() if one.agent_no == agent_no and one.digest == digest), None
        )
        if known is not None and Path(known.folder).is_dir():
            if self._serving.get(f"{org}.{manifest.name}") is not known:
                await self._journal.write([(sql.SERVE_RELEASE, (known.no, org_no, known.agent_no))])
                self._serve(known)
            return known, False
        dest = self._store / digest.removeprefix("sha256:")
        copied, _ = copy_release(folder, dest)
        if copied != digest:
            raise Unavailable(f"{folder} changed while it was read.", remedy="Run the command again.")
        if known is not None:
            return known, False
        ops: list[Op] = []
        now = self._clock.now()
        if agent_no is None:
            agent_no = self._reader.last(SYSTEM, "agent") + 1
            ops.append((sql.ADD_AGENT, (agent_no, org_no, manifest.name, now)))
        number = 1 + max((one.number for one in self._releases.values() if one.agent_no == agent_no), default=0)
        no = self._reader.last(SYSTEM, "release") + 1
        draft = Release(no, agent_no, org_no, org, number, digest, str(dest), manifest, (), False, now)
        raw, handler = await read_skills(draft)
        skills = check_skills(manifest, raw, handler)
        release = msgspec.structs.replace(draft, skills=skills, has_message_handler=handler)
        ops.append(
            (
                sql.ADD_RELEASE,
                (no, org_no, agent_no, number, digest, str(dest), msgspec.json.encode(manifest), raw, int(handler), now),
            )
        )
        ops.append((sql.SERVE_RELEASE, (no, org_no, agent_no)))
        await self._journal.write(ops)
        self._agents[org_no, manifest.name] = agent_no
        self._releases[no] = release
        self._serve(release)
        return release, True


def check_skills(manifest: Manifest, raw: bytes, handler: bool) -> tuple[SkillSpec, ...]:
    """What an agent's code declares, checked: it comes from the worker, and is not trusted.

    Raises InvalidParams.
    """
    try:
        skills = msgspec.json.decode(raw, type=tuple[SkillSpec, ...])
    except msgspec.MsgspecError as error:
        raise InvalidParams(f"The skills of {manifest.name} are not readable: {error}.") from None
    if not skills and not handler:
        raise InvalidParams(
            f"{manifest.name} has no skill.", remedy=f"Mark a function in {manifest.entry} with @skill."
        )
    ids = [one.id for one in skills]
    if len(set(ids)) != len(ids) or len(ids) > 500:
        raise InvalidParams(f"{manifest.name} declares a skill twice, or more than 500.")
    if manifest.default_skill and manifest.default_skill not in ids:
        raise InvalidParams(
            f"default_skill of {manifest.name} is {manifest.default_skill!r}, which is none of its skills.",
            remedy=f"Write one of: {', '.join(ids)}.",
        )
    for one in skills:
        for schema in (one.input_schema, one.output_schema):
            try:
                compiled(bytes(schema))
            except BadSchema as error:
                raise InvalidParams(f"A schema of skill {one.id} can't be used: {error}.") from None
    return skills


def _release(row: tuple[object, ...], org: str) -> Release:
    no, org_no, agent_no, number, digest, folder, manifest, skills, handler, created = row
    return Release(
        no=int(no),  # type: ignore[call-overload]
        agent_no=int(agent_no),  # type: ignore[call-overload]
        org_no=int(org_no),  # type: ignore[call-overload]
        org=org,
        number=int(number),  # type: ignore[call-overload]
        digest=str(digest),
        folder=str(folder),
        manifest=msgspec.json.decode(manifest, type=Manifest),  # type: ignore[arg-type]
        skills=msgspec.json.decode(skills, type=tuple[SkillSpec, ...]),  # type: ignore[arg-type]
        has_message_handler=bool(handler),
        created=float(created),  # type: ignore[arg-type]
    )
