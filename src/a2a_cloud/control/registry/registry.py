"""Agents and their releases: immutable, numbered, addressed by digest; which one serves whom.

A release is a row from the moment that its deploy begins; who makes it ready is `control.deploys`. Its
code lies in the store under its source's digest. Which release takes a call is a pointer: of the agent,
of a share of its new calls (canary), of a major version; moving one builds nothing. Changes run one
after the other, and are in memory once they are on disk.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from a2a_cloud.control.registry.catalog import Agent, Major, Notes, Record, read_name
from a2a_cloud.control.registry.skills import read_specs
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import DEFAULT_ORG, Principal
from a2a_cloud.model.problem import (
    AgentNotFound,
    InvalidParams,
    InvalidRequest,
    ReleaseNotFound,
    VersionEnded,
)
from a2a_cloud.model.release import Cause, Manifest, Release, ReleaseState
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.model.stamp import stamp
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.storage.sql.reader import Reader, ReleaseRow


class Committer(Protocol):
    """The journal, as control code uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


#: Who did what nobody else asked for.
PLATFORM = "platform"

#: Told when other releases than before take an agent's new calls: (agent's number, releases by `no`).
Moved = Callable[[int, dict[int, Release]], None]


class Registry:
    """See the module. `moved` may be set by who keeps workers for what serves."""

    def __init__(
        self,
        reader: Reader,
        journal: Committer,
        clock: Clock,
        entropy: Entropy,
        store: Path,
        org_name: Callable[[int], str],
    ) -> None:
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._store = store
        self.moved: Moved = lambda _agent, _releases: None
        #: The hash of a release's card, for the log's events; "" where nobody knows it.
        self.card_sha256: Callable[[Release], str] = lambda _: ""
        self._agents: dict[tuple[str, str], Agent] = {}
        self._by_no: dict[int, Agent] = {}
        self._records: dict[int, Record] = {}
        #: Names that lead to one release whoever asks: the hot path's look-up.
        self._plain: dict[str, Release] = {}
        #: (agent's number, major) → (deprecated since, until): what callers are warned of.
        self.notices: dict[tuple[int, int], tuple[float, float]] = {}
        self._lock = asyncio.Lock()
        for row in reader.agents(SYSTEM):
            agent = Agent(row.no, row.org, org_name(row.org), row.name)
            agent.deleted, agent.delete_at = row.deleted, row.delete_at
            for stored in reader.releases(SYSTEM, row.no):
                record = self._record(stored, agent)
                agent.records[record.number] = record
                self._records[stored.no] = record
            agent.serving = self._ready(row.serving)
            agent.canary, agent.weight = self._ready(row.canary), row.weight
            self._agents[agent.org, agent.name] = agent
            self._by_no[agent.no] = agent
        for major in reader.majors(SYSTEM):
            release = self._ready(major.release)
            if release is not None:
                self._by_no[major.agent].majors[major.major] = Major(release, major.deprecated, major.until)
        for agent in self._agents.values():
            self._name(agent)

    def _ready(self, no: int | None) -> Release | None:
        record = self._records.get(no) if no is not None else None
        return record.release if record is not None and record.ready else None

    def _name(self, agent: Agent) -> None:
        """Bring the hot path's names of an agent to where its pointers are."""
        names = [f"{agent.org}.{agent.name}", *([agent.name] if agent.org == DEFAULT_ORG else [])]
        plain = agent.serving if agent.deleted is None and agent.canary is None else None
        for name in names:
            if plain is not None:
                self._plain[name] = plain
            else:
                self._plain.pop(name, None)
        for key in [key for key in self.notices if key[0] == agent.no]:
            del self.notices[key]
        for number, major in agent.majors.items():
            if major.deprecated is not None and major.until is not None:
                self.notices[agent.no, number] = (major.deprecated, major.until)

    # --- look-ups -----------------------------------------------------------------------------------

    def serving(self, name: str) -> Release:
        """The release that takes a call to `name` (module `catalog` says what names mean).

        Raises AgentNotFound, ReleaseNotFound, VersionEnded.
        """
        release = self._plain.get(name)
        return release if release is not None else self._resolve(name)

    def _resolve(self, name: str) -> Release:
        read = read_name(name)
        agent = self._named(read.agent) if read is not None else None
        if read is None or agent is None or agent.deleted is not None:
            raise AgentNotFound.of(name)
        if read.release >= 0:
            return self.release(agent, read.release)
        if read.major >= 0:
            return self._major(agent, read.major)
        if agent.canary is not None and int.from_bytes(self._entropy.bytes(4), "big") % 100 < agent.weight:
            return agent.canary
        if agent.serving is None:
            raise ReleaseNotFound(
                f"{agent.name} has no release that serves.", remedy=f"See `a2a releases {agent.name}`."
            )
        return agent.serving

    def visible(self, name: str, principal: Principal) -> bool:
        """Whether `principal` may know that there is an agent behind `name`."""
        read = read_name(name)
        agent = self._named(read.agent) if read is not None else None
        if agent is None:
            return False
        serving = agent.serving
        return agent.org_no == principal.org_no or (serving is not None and serving.open_to(principal))

    def _named(self, name: str) -> Agent | None:
        org, dot, rest = name.partition(".")
        return self._agents.get((org, rest) if dot else (DEFAULT_ORG, name))

    def _major(self, agent: Agent, number: int) -> Release:
        major = agent.majors.get(number)
        if major is None:
            known = ", ".join(f"@{one}" for one in sorted(agent.majors))
            raise ReleaseNotFound(
                f"{agent.name} has no version {number}.", remedy=f"It has: {known}." if known else ""
            )
        if major.until is not None and major.until <= self._clock.now():
            raise VersionEnded(
                f"Version {number} of {agent.name} ended on {stamp(major.until)}.",
                remedy=f"Call {agent.name}, or another version of it.",
            )
        return major.release

    def release(self, agent: Agent, number: int) -> Release:
        """A ready release by its number. Raises ReleaseNotFound."""
        record = agent.records.get(number)
        if record is None or not record.ready:
            why = "no release" if record is None else f"no ready release (it is {record.state})"
            raise ReleaseNotFound(
                f"{agent.name} has {why} {number}.", remedy=f"See `a2a releases {agent.name}`."
            )
        return record.release

    def find(self, org: str, name: str) -> Release:
        """The release that serves agent `name` (which may pin a major) of organisation `org`.

        Raises AgentNotFound, VersionEnded.
        """
        return self.serving(f"{org}.{name}")

    def by_no(self, no: int) -> Release | None:
        """A ready release by its `no`, serving or not."""
        return self._ready(no)

    def number(self, no: int) -> int:
        """What people call the release with that `no`; 0 when there is none."""
        record = self._records.get(no)
        return record.number if record is not None else 0

    def agents(self, principal: Principal) -> list[Release]:
        """What `principal` may see."""
        return [release for release in self.everything() if release.open_to(principal)]

    def everything(self) -> list[Release]:
        """The releases that serve, by name."""
        return [
            agent.serving
            for _, agent in sorted(self._agents.items())
            if agent.deleted is None and agent.serving is not None
        ]

    def pointed(self) -> list[Release]:
        """Every release that takes new calls: serving, canary or behind a major version."""
        return [release for agent in self._agents.values() for release in agent.pointed().values()]

    def agent(self, name: str, org_no: int) -> Agent:
        """An agent of that organisation, deleted or not. Raises AgentNotFound."""
        agent = self._named(name)
        if agent is None or agent.org_no != org_no:
            raise AgentNotFound.of(name)
        return agent

    def known(self, org: str, name: str) -> Agent | None:
        """The agent of that name, if there is one."""
        return self._agents.get((org, name))

    def everyone(self) -> list[Agent]:
        """All agents, deleted ones too; one whose time to come back is over has a `~` in its name."""
        return list(self._agents.values())

    def unfinished(self) -> list[Record]:
        """Releases whose making was cut short."""
        return [one for one in self._records.values() if one.state is ReleaseState.BUILDING]

    def place(self, source: str) -> Path:
        """Where the source with that digest lies."""
        return self._store / source.removeprefix("sha256:")

    # --- the making of a release --------------------------------------------------------------------

    async def begin(
        self, org_no: int, org: str, manifest: Manifest, source: str, by: str, notes: Notes
    ) -> Record:
        """A new release of the agent that `manifest` names, being made; the first one makes the agent.

        Raises InvalidRequest when the agent is deleted.
        """
        async with self._lock:
            now = self._clock.now()
            agent = self._agents.get((org, manifest.name))
            if agent is not None and agent.deleted is not None:
                raise InvalidRequest(
                    f"{agent.name} was deleted.", remedy=f"Bring it back first: a2a restore {agent.name}"
                )
            ops: list[Op] = []
            if agent is None:
                agent = Agent(self._reader.last(SYSTEM, "agent") + 1, org_no, org, manifest.name)
                ops.append((sql.ADD_AGENT, (agent.no, org_no, manifest.name, now)))
                ops.append(change(org_no, now, by, "agent.made", manifest.name))
            number = 1 + max(agent.records, default=0)
            no = self._reader.last(SYSTEM, "release") + 1
            draft = Release(
                no,
                agent.no,
                org_no,
                org,
                number,
                "",
                str(self.place(source)),
                manifest,
                (),
                created=now,
                source=source,
            )
            record = Record(draft, ReleaseState.BUILDING, "receive", now, None, by, notes)
            row = ReleaseRow(
                no,
                org_no,
                agent.no,
                number,
                record.state.value,
                record.step,
                "",
                source,
                "",
                msgspec.json.encode(manifest),
                b"[]",
                0,
                now,
                None,
                by,
                msgspec.json.encode(notes),
            )
            event = change(
                org_no, now, by, "release.begun", manifest.name, release=number, version=manifest.version
            )
            await self._journal.write([*ops, (sql.ADD_RELEASE, tuple(row)), event])
            self._agents[org, manifest.name] = self._by_no[agent.no] = agent
            agent.records[number] = self._records[no] = record
            return record

    async def ready(self, record: Record, release: Release, skills: bytes) -> None:
        """The release can serve. `release` is the draft with digest, environment and skills filled in."""
        ended = self._clock.now()
        await self._end(record, release, skills, ReleaseState.READY, ended)
        record.release = release
        record.state, record.ended = ReleaseState.READY, ended

    async def failed(self, record: Record, cause: Cause) -> None:
        """The release will never serve."""
        record.notes.cause = cause
        record.step = cause.step
        ended = self._clock.now()
        await self._end(record, record.release, b"[]", ReleaseState.FAILED, ended)
        record.state, record.ended = ReleaseState.FAILED, ended

    async def _end(
        self, record: Record, release: Release, skills: bytes, state: ReleaseState, ended: float
    ) -> None:
        handler = int(release.has_message_handler)
        notes = msgspec.json.encode(record.notes)
        row = (state.value, record.step, release.digest, release.environment, skills, handler, ended, notes)
        cause = record.notes.cause
        event = change(
            release.org_no,
            ended,
            record.by,
            f"release.{state.value}",
            release.name,
            release=release.number,
            visibility=list(release.manifest.visible_to) or release.manifest.visibility.value,
            cause=cause.code if cause is not None else None,
        )
        await self._journal.write([(sql.END_RELEASE, (*row, release.org_no, release.no)), event])

    # --- pointers -----------------------------------------------------------------------------------

    async def serve(self, release: Release, *, by: str = PLATFORM) -> None:
        """All new calls go to `release`, and those that pin its major version."""
        agent = self._by_no[release.agent_no]
        async with self._lock:
            before = agent.majors.get(release.major)
            major = Major(release, *(before[1:] if before is not None else ()))
            await self._journal.write(
                [
                    (sql.SET_SERVING, (release.no, None, 0, agent.org_no, agent.no)),
                    self._put_major(agent, release.major, major),
                    change(
                        agent.org_no,
                        self._clock.now(),
                        by,
                        "agent.promoted",
                        agent.name,
                        release=release.number,
                        before=agent.serving.number if agent.serving is not None else None,
                        card_sha256=self.card_sha256(release),
                    ),
                ]
            )
            agent.serving, agent.canary, agent.weight = release, None, 0
            agent.majors[release.major] = major
            self._changed(agent)

    async def share(self, agent: Agent, release: Release | None, weight: int, *, by: str = PLATFORM) -> None:
        """`weight` percent of the new calls go to `release`; None ends the share."""
        async with self._lock:
            if agent.serving is None:
                raise InvalidRequest(f"{agent.name} serves nothing yet.", remedy="Promote a release whole.")
            no = release.no if release is not None else None
            serving = agent.serving.no
            number = release.number if release is not None else None
            told = {"release": number, "weight": weight}
            await self._journal.write(
                [
                    (sql.SET_SERVING, (serving, no, weight, agent.org_no, agent.no)),
                    change(agent.org_no, self._clock.now(), by, "agent.shared", agent.name, **told),
                ]
            )
            agent.canary, agent.weight = release, weight
            self._changed(agent)

    def before(self, agent: Agent) -> Release:
        """Where a rollback goes: the newest ready release older than the one that serves.

        Raises ReleaseNotFound.
        """
        serving = agent.serving.number if agent.serving is not None else 1 << 30
        older = [record for number, record in agent.records.items() if number < serving and record.ready]
        if not older:
            raise ReleaseNotFound(
                f"{agent.name} has no release to go back to.", remedy=f"See `a2a releases {agent.name}`."
            )
        return max(older, key=lambda record: record.number).release

    async def deprecate(self, agent: Agent, number: int, until: float | None, *, by: str = PLATFORM) -> None:
        """Version `number` ends at `until` (wall seconds); None: it doesn't. Raises InvalidParams."""
        async with self._lock:
            major = agent.majors.get(number)
            if major is None:
                known = ", ".join(str(one) for one in sorted(agent.majors))
                raise InvalidParams(
                    f"{agent.name} has no version {number}.",
                    remedy=f"It has: {known}." if known else "",
                    info={"field": "major"},
                )
            since = self._clock.now() if until is not None else None
            if until is not None and major.deprecated is not None:
                since = major.deprecated
            changed = Major(major.release, since, until)
            told = {"major": number, "until": stamp(until) if until is not None else None}
            event = change(agent.org_no, self._clock.now(), by, "agent.deprecated", agent.name, **told)
            await self._journal.write([self._put_major(agent, number, changed), event])
            agent.majors[number] = changed
            self._changed(agent)

    def _put_major(self, agent: Agent, number: int, major: Major) -> Op:
        values = (agent.org_no, agent.no, number, major.release.no, major.deprecated, major.until)
        return sql.PUT_MAJOR, values

    def _changed(self, agent: Agent) -> None:
        self._name(agent)
        self.moved(agent.no, agent.pointed())

    # --- the end of an agent ------------------------------------------------------------------------

    async def delete(self, agent: Agent, grace: float, *, by: str = PLATFORM) -> None:
        """No new calls from now on; for good after `grace` seconds. What runs ends in peace."""
        async with self._lock:
            if agent.deleted is None:
                now = self._clock.now()
                await self._journal.write(
                    [
                        (sql.SET_DELETED, (now, now + grace, agent.org_no, agent.no)),
                        change(agent.org_no, now, by, "agent.deleted", agent.name, until=stamp(now + grace)),
                    ]
                )
                agent.deleted, agent.delete_at = now, now + grace
                self._changed(agent)

    async def restore(self, agent: Agent, *, by: str = PLATFORM) -> None:
        """Takes a deletion back."""
        async with self._lock:
            await self._journal.write(
                [
                    (sql.SET_DELETED, (None, None, agent.org_no, agent.no)),
                    change(agent.org_no, self._clock.now(), by, "agent.restored", agent.name),
                ]
            )
            agent.deleted = agent.delete_at = None
            self._changed(agent)

    async def purge(self) -> list[str]:
        """Let go of agents whose grace is over: their names are free and their sources deleted; runs and
        receipts stay. Returns the environments that no release needs any more."""
        now = self._clock.now()
        due = [one for one in self._agents.values() if one.delete_at is not None and one.delete_at <= now]
        freed: set[str] = set()
        for agent in due:
            async with self._lock:
                name = f"{agent.name}~{agent.no}"
                await self._journal.write(
                    [
                        (sql.FREE_NAME, (name, agent.org_no, agent.no)),
                        change(agent.org_no, now, PLATFORM, "agent.removed", agent.name),
                    ]
                )
                del self._agents[agent.org, agent.name]
                agent.name = name
                self._agents[agent.org, name] = agent
                agent.serving = agent.canary = agent.delete_at = None
                freed |= {record.release.environment for record in agent.records.values()}
        living = [one for one in self._agents.values() if "~" not in one.name]
        kept = [record.release for agent in living for record in agent.records.values()]
        for agent in due:
            for record in agent.records.values():
                source = record.release.source
                if source not in {release.source for release in kept}:
                    await asyncio.to_thread(shutil.rmtree, self.place(source), ignore_errors=True)
        return sorted(freed - {release.environment for release in kept} - {""})

    # --- rows ---------------------------------------------------------------------------------------

    def _record(self, row: ReleaseRow, agent: Agent) -> Record:
        state = ReleaseState(row.state)
        release = Release(
            no=row.no,
            agent_no=row.agent,
            org_no=row.org,
            org=agent.org,
            number=row.number,
            digest=row.digest,
            folder=str(self.place(row.source)),  # Not as stored: the data folder may have moved.
            manifest=msgspec.json.decode(row.manifest, type=Manifest),
            skills=read_specs(row.skills),
            has_message_handler=bool(row.message_handler),
            created=row.created,
            environment=row.environment,
            source=row.source,
        )
        notes = msgspec.json.decode(row.notes, type=Notes)
        return Record(release, state, row.step, row.created, row.ended, row.made_by, notes)
