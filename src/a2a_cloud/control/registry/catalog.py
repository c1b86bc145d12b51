"""Agents and their releases in memory: what the registry knows of each, and how names lead there.

A name is `agent` (default organisation) or `org.agent`; `@2` behind it pins a major version, `7--` in
front of it names release 7 (host names: `7--agent.localhost`).
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from a2a_cloud.model.release import Cause, Release, ReleaseState

_NAME = re.compile(r"(?:(\d{1,9})--)?([a-z0-9_.-]{1,200}?)(?:@(\d{1,9}))?")


class Name(NamedTuple):
    """A name taken apart; -1 for what it doesn't say."""

    agent: str
    release: int
    major: int


def read_name(name: str) -> Name | None:
    """What a name in an address means, None when it is no name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    release, agent, major = found.groups()
    return Name(agent, int(release) if release else -1, int(major) if major else -1)


class Notes(Struct, omit_defaults=True):
    """What a deploy found out, kept with its release. `findings` and `changes` are JSON lists; `size` is
    in bytes; `python` is the version that the environment has; `packages` their number."""

    findings: msgspec.Raw = field(default_factory=lambda: msgspec.Raw(b"[]"))
    changes: msgspec.Raw = field(default_factory=lambda: msgspec.Raw(b"[]"))
    cause: Cause | None = None
    size: int = 0
    files: int = 0
    packages: int = 0
    python: str = ""
    lock: str = ""


class Progress(NamedTuple):
    """A line of a deploy as it goes on; `at` in wall seconds."""

    no: int
    at: float
    step: str
    level: str
    message: str


class Record:
    """A release from the moment that its deploy began: being made, ready, or failed.

    `release` is what serves once `state` is READY; until then a draft without skills.
    """

    __slots__ = ("by", "created", "ended", "notes", "progress", "release", "state", "step", "waiters")

    def __init__(
        self,
        release: Release,
        state: ReleaseState,
        step: str,
        created: float,
        ended: float | None,
        by: str,
        notes: Notes,
    ) -> None:
        self.release = release
        self.state = state
        self.step = step
        self.created = created
        self.ended = ended
        self.by = by
        self.notes = notes
        self.progress: list[Progress] = []
        self.waiters: list[asyncio.Future[None]] = []

    @property
    def number(self) -> int:
        """What people call it."""
        return self.release.number

    @property
    def ready(self) -> bool:
        """It can serve."""
        return self.state is ReleaseState.READY


class Major(NamedTuple):
    """The release behind `name@major`. `deprecated`: since when, `until`: when it ends; wall seconds."""

    release: Release
    deprecated: float | None = None
    until: float | None = None


class Agent:
    """An agent: its releases by number, and the pointers to those that serve."""

    __slots__ = (
        "canary",
        "delete_at",
        "deleted",
        "majors",
        "name",
        "no",
        "org",
        "org_no",
        "records",
        "serving",
        "weight",
    )

    def __init__(self, no: int, org_no: int, org: str, name: str) -> None:
        self.no = no
        self.org_no = org_no
        self.org = org
        self.name = name
        self.records: dict[int, Record] = {}
        self.serving: Release | None = None
        self.canary: Release | None = None
        self.weight = 0
        self.majors: dict[int, Major] = {}
        self.deleted: float | None = None
        self.delete_at: float | None = None

    @property
    def latest(self) -> Record | None:
        """The release that was begun last, failed or not."""
        return self.records[max(self.records)] if self.records else None

    def pointed(self) -> dict[int, Release]:
        """The releases that take new calls by a name of their own, by `no`."""
        if self.deleted is not None:
            return {}
        found = [self.serving, self.canary, *(major.release for major in self.majors.values())]
        return {release.no: release for release in found if release is not None}
