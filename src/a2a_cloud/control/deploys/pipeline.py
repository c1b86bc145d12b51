"""A deploy: from a source to a release that serves, step by step, with a line for each.

Steps: receive, check, environment, start, skills, lint, compare, switch. The release is on disk from the
first one; whatever fails leaves the old one serving and the cause on record. A deploy that a crash cut
short has failed. Deploys of one agent run one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import platform
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from a2a_cloud.control.deploys.compare import Change, compare, needs_new_major
from a2a_cloud.control.deploys.intake import Intake, Source, Upload
from a2a_cloud.control.deploys.lint import lint
from a2a_cloud.control.deploys.ports import Builder, Built, Starter
from a2a_cloud.control.registry.catalog import Notes, Progress, Record
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.control.registry.skills import check_skills
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import BreakingChange, Internal, Problem, by_code
from a2a_cloud.model.release import Cause, Release, ReleaseState

log = logging.getLogger("a2a_cloud.deploys")

#: Environments that are built at the same time.
BUILDS = 2
_encode = msgspec.json.Encoder().encode

Hear = Callable[[Record, Progress], None]


class Wish(Struct, frozen=True):
    """How somebody wants a deploy. `force`: breaking changes are fine; `upgrade`: resolve versions anew;
    `promote`: the new release takes all new calls; `by`: who asked, as `name@org`."""

    by: str
    force: bool = False
    upgrade: bool = False
    promote: bool = True


class Deploys:
    """See the module. `hear` is told each line of each deploy."""

    def __init__(
        self,
        registry: Registry,
        builder: Builder,
        starter: Starter,
        clock: Clock,
        staging: Path,
        hear: Hear = lambda _record, _line: None,
    ) -> None:
        self._registry = registry
        self._builder = builder
        self._starter = starter
        self._clock = clock
        self._intake = Intake(staging, registry.place)
        self._hear = hear
        self._doors: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turns: defaultdict[tuple[int, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._builds = asyncio.Semaphore(BUILDS)
        self._tasks: set[asyncio.Task[None]] = set()
        #: What else has to hold for a release here. Raises Problem.
        self.check: Callable[[Release], None] = lambda _release: None

    async def recover(self) -> int:
        """Deploys that a crash cut short have failed; returns how many."""
        unfinished = self._registry.unfinished()
        for record in unfinished:
            cause = Cause(
                "unavailable",
                "The platform stopped in the middle of the deploy.",
                "Deploy again.",
                record.step,
            )
            await self._registry.failed(record, cause)
        return len(unfinished)

    async def close(self) -> None:
        """End what is under way: it counts as cut short."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- the ways in --------------------------------------------------------------------------------

    def wish(self, *, by: str, force: bool, upgrade: bool, promote: bool) -> Wish:
        """How somebody wants a deploy."""
        return Wish(by, force, upgrade, promote)

    def upload(self) -> Upload:
        """Room for an archive as it arrives."""
        return self._intake.upload()

    async def archive(
        self, upload: Upload, name: str, expected: str, org_no: int, org: str, wish: Wish
    ) -> Record:
        """Begin a deploy of an uploaded archive and return while it goes on; one that is ready already
        (same source, same environment) is returned as it is, serving when `wish` says so.

        Raises what is wrong with the archive: InvalidParams, TooLarge, SecretInSource, StorageFull.
        """
        source = await asyncio.to_thread(self._intake.archive, upload, name, expected)
        return await self._admit(source, org_no, org, wish)

    async def folder(self, folder: Path, org_no: int, org: str, wish: Wish) -> Record:
        """Deploy a folder of this machine and return when that is over. Raises the Problem that it ended
        with."""
        source = await asyncio.to_thread(self._intake.folder, folder)
        record = await self._admit(source, org_no, org, wish)
        while record.state is ReleaseState.BUILDING:
            await self.wait(record, len(record.progress), 60)
        cause = record.notes.cause
        if cause is not None:
            kind = by_code(cause.code) or Internal
            shown = "".join(f"\n  {line}" for line in cause.lines)
            raise kind(cause.detail + shown, remedy=cause.remedy)
        return record

    async def wait(self, record: Record, after: int, seconds: float) -> None:
        """Returns once there is a line after number `after`, the deploy is over, or the time is."""
        if record.state is not ReleaseState.BUILDING or len(record.progress) > after:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        record.waiters.append(waiter)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiter, seconds)

    # --- steps --------------------------------------------------------------------------------------

    async def _admit(self, source: Source, org_no: int, org: str, wish: Wish) -> Record:
        # What is begun is ended though nobody waits any more: memory has to know what is stored.
        return await asyncio.shield(self._admitted(source, org_no, org, wish))

    async def _admitted(self, source: Source, org_no: int, org: str, wish: Wish) -> Record:
        async with self._doors[org, source.manifest.name]:
            known = await self._known(source, org, wish)
            if known is not None:
                return known
            record = await self._begin(source, org_no, org, wish)
            task = asyncio.create_task(self._in_turn(record, wish))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return record

    async def _known(self, source: Source, org: str, wish: Wish) -> Record | None:
        """A release of this very source: ready, or just being made."""
        agent = self._registry.known(org, source.manifest.name)
        if agent is None or wish.upgrade or agent.deleted is not None:
            return None
        same = [one for one in agent.records.values() if one.release.source == source.digest]
        for one in same:
            if one.state is ReleaseState.BUILDING:
                return one
        same = [one for one in same if one.ready]
        if not same:
            return None
        record = max(same, key=lambda one: one.number)
        if self._builder.find(record.release.environment) is None:
            return None
        built = await self._builder.prepare(
            Path(record.release.folder), lambda _line: None, org_no=record.release.org_no
        )
        if built.digest != record.release.environment:
            return None  # The platform's kit or interpreter is another one by now.
        if wish.promote and agent.serving is not record.release:
            await self._registry.serve(record.release, by=wish.by)
        return record

    async def _begin(self, source: Source, org_no: int, org: str, wish: Wish) -> Record:
        notes = Notes(size=source.size, files=source.files)
        record = await self._registry.begin(org_no, org, source.manifest, source.digest, wish.by, notes)
        self._say(record, "receive", f"{source.files} files, {_size(source.size)}, {source.digest}")
        return record

    async def _in_turn(self, record: Record, wish: Wish) -> None:
        draft = record.release
        async with self._turns[draft.org_no, draft.name]:
            try:
                await self._steps(record, wish)
            except Problem as problem:
                await self._failed(record, problem)
            except Exception as error:
                log.exception("The deploy of %s release %d failed", draft.name, draft.number)
                await self._failed(record, Internal("The deploy failed on our side.", operator=str(error)))
        self._wake(record)

    async def _steps(self, record: Record, wish: Wish) -> None:
        draft = record.release
        self.check(draft)
        built = await self._environment(record, wish)
        digest = _image(draft.source, built.lock_digest)
        draft = msgspec.structs.replace(draft, environment=built.digest, digest=digest)
        record.release = draft
        self._say(record, "start", "starting a worker")
        raw, handler = await self._starter.start(draft)
        record.step = "skills"
        skills = check_skills(draft.manifest, raw, handler)
        if draft.manifest.skills:
            raw = _encode(skills)
        self._say(record, "skills", ", ".join(spec.id for spec in skills) or "a message handler")
        release = msgspec.structs.replace(draft, skills=skills, has_message_handler=handler)
        findings = lint(release.manifest, skills, handler)
        record.notes.findings = msgspec.Raw(_encode(findings))
        self._say(
            record, "lint", f"{len(findings)} weak points in the card" if findings else "the card is good"
        )
        await self._compare(record, release, wish)
        await self._registry.ready(record, release, raw)
        self._starter.adopt(release)
        if wish.promote:
            await self._registry.serve(release, by=wish.by)
            self._say(record, "switch", f"release {release.number} serves")
        else:
            self._say(record, "switch", f"release {release.number} is ready; promote it to let it serve")

    async def _environment(self, record: Record, wish: Wish) -> Built:
        draft = record.release
        self._say(record, "environment", "building the environment")
        async with self._builds:
            built = await self._builder.prepare(
                Path(draft.folder),
                lambda line: self._say(record, "environment", line),
                org_no=draft.org_no,
                upgrade=wish.upgrade,
            )
        record.notes.packages = len(built.packages)
        record.notes.python = platform.python_version()
        record.notes.lock = built.lock_digest
        return built

    async def _compare(self, record: Record, release: Release, wish: Wish) -> None:
        agent = self._registry.agent(f"{release.org}.{release.name}", release.org_no)
        ready = [one.release for one in agent.records.values() if one.ready]
        last = agent.serving or max(ready, key=lambda one: one.number, default=None)
        if last is None:
            self._say(record, "compare", "the first release")
            return
        changes = await asyncio.to_thread(compare, last.skills, release.skills)
        changes += _free_text(last, release)
        record.notes.changes = msgspec.Raw(_encode(changes))
        breaking = [change for change in changes if change.breaking]
        words = f"{len(changes)} changes against release {last.number}, {len(breaking)} of them breaking"
        self._say(record, "compare", words if changes else f"no change against release {last.number}")
        for change in changes:
            self._say(record, "compare", _words(change), "warning" if change.breaking else "info")
        old, new = last.manifest.version, release.manifest.version
        if needs_new_major(old, new, changes) and not wish.force:
            raise BreakingChange(
                f"Callers of version {old} would break: {'; '.join(_words(one) for one in breaking[:5])}.",
                remedy=f'Write version = "{last.major + 1}.0.0", or deploy with --force.',
            )

    async def _failed(self, record: Record, problem: Problem) -> None:
        draft = record.release
        await self._starter.drop(draft.no)
        lines = await self._starter.lines(draft)
        if problem.operator:
            log.warning("%s release %d: %s", draft.name, draft.number, problem.operator)
        self._say(record, record.step, problem.sentence, "error")
        cause = Cause(problem.code, problem.detail, problem.remedy, record.step, lines)
        try:
            await self._registry.failed(record, cause)
        except Problem as full:
            # It can't be written now; the next start finds a deploy that was cut short.
            log.warning("The end of %s release %d is not stored: %s", draft.name, draft.number, full.detail)
            record.state = ReleaseState.FAILED

    def _say(self, record: Record, step: str, message: str, level: str = "info") -> None:
        record.step = step
        line = Progress(len(record.progress) + 1, self._clock.now(), step, level, message)
        record.progress.append(line)
        self._starter.say(record.release, level, f"{step}: {message}")
        self._hear(record, line)
        self._wake(record)

    def _wake(self, record: Record) -> None:
        waiters, record.waiters = record.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _free_text(last: Release, new: Release) -> list[Change]:
    """Whether messages that name no skill go where they went."""
    if last.has_message_handler and not new.has_message_handler:
        return [Change("", "message", True, "the handler of free text is gone")]
    before, after = last.manifest.default_skill, new.manifest.default_skill
    if before and before != after and not new.has_message_handler:
        return [
            Change("", "default_skill", True, f"free text went to {before} and goes to {after or 'no skill'}")
        ]
    return []


def _image(source: str, lock: str) -> str:
    """What identifies a release: its source and the packages that it asked for."""
    return "sha256:" + hashlib.sha256(f"a2a-cloud image 1\n{source}\n{lock}\n".encode()).hexdigest()


def _words(change: Change) -> str:
    where = " ".join(part for part in (change.skill, change.where) if part)
    return f"{where}: {change.detail}" if where else change.detail


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
