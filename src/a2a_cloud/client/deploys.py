"""A deploy as its author lives through it: what serves now, the upload, and the steps of the release.

Nothing here depends on a connection that holds. Every question is asked again while the platform
restarts (`insist`); an upload that broke is looked for by its digest before it is sent again; the
steps are long polls after the last entry that came.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import obj, objs, text

T = TypeVar("T")

#: Seconds without any answer after which it is given up.
PATIENCE = 300.0
#: Seconds before each further attempt; the last is for all that follow.
PAUSES = (0.2, 0.4, 0.8, 1.6, 3.0, 5.0)
#: What a proxy or a platform says that comes up or goes down.
RESTARTING = frozenset({502, 503, 504})
#: Seconds that the platform may take to have news (it allows 25).
WAIT = 20
#: Seconds that a release which is ready is given to begin serving, when it is to.
SWITCH = 10.0
_BLOCK = 1 << 16


async def insist(
    ask: Callable[[], Awaitable[T]], broken: Callable[[str], None], patience: float | None = None
) -> T:
    """What `ask` gives, asked again while no platform answers or it says that it restarts.

    `broken` hears why, each time; `patience` is in seconds (None: PATIENCE). Raises Unreachable and
    ServerProblem: that of the last attempt when patience is over, any other at once.
    """
    loop = asyncio.get_running_loop()
    until = 0.0
    tried = 0
    while True:
        try:
            return await ask()
        except Unreachable as error:
            failed, why = error, error.detail
        except ServerProblem as problem:
            if problem.status not in RESTARTING:
                raise
            failed, why = problem, problem.detail
        pause = PAUSES[min(tried, len(PAUSES) - 1)]
        until = until or loop.time() + (PATIENCE if patience is None else patience)
        if loop.time() + pause > until:
            raise failed
        broken(why)
        await asyncio.sleep(pause)
        tried += 1


def release_path(agent: str, release: int | str) -> str:
    """The control API's path of one release; `latest` counts as a number."""
    return f"/api/v1{agent_path(agent)}/releases/{release}"


@dataclass(frozen=True)
class Archive:
    """A packed source: a file open for reading, its bytes, and the digest of what it holds."""

    file: BinaryIO
    size: int
    digest: str


@dataclass(frozen=True)
class Wish:
    """How a source is to be deployed: `force` past breaking changes, `upgrade` dependencies, `promote`
    it when it is ready."""

    force: bool = False
    upgrade: bool = False
    promote: bool = True

    def params(self) -> dict[str, str]:
        """The query that says so."""
        return {
            **({"force": "1"} if self.force else {}),
            **({"upgrade": "1"} if self.upgrade else {}),
            **({} if self.promote else {"promote": "0"}),
        }


@dataclass
class Deploy:
    """One deploy to `agent` (`name`, or `org.name`). `broken` hears of each broken connection."""

    platform: Platform
    agent: str
    broken: Callable[[str], None] = field(default=lambda _why: None)
    serving: int = 0
    newest: int = 0

    async def look(self) -> dict[str, Any]:
        """The releases that there are; none for a new agent. Notes which serves and which is the newest.

        The first contact: Unreachable is raised at once, because nothing is under way yet.
        """

        async def ask() -> Any:
            try:
                return await self.platform.json("GET", self._path(), params={"limit": "1"})
            except ServerProblem as problem:
                if problem.code == "agent_not_found":
                    return {}
                raise

        try:
            page = obj(await ask())
        except ServerProblem as problem:
            if problem.status not in RESTARTING:
                raise
            page = obj(await insist(ask, self.broken))
        self.serving = _number(page.get("serving"))
        self.newest = max([0, *(_number(each.get("release")) for each in objs(page.get("releases")))])
        return page

    async def send(
        self, archive: Archive, wish: Wish, sent: Callable[[int], None]
    ) -> tuple[dict[str, Any], bool]:
        """Upload; the Release document, and whether it was there before (same source and environment).

        `sent` hears how many bytes are on their way. Raises ServerProblem, Unreachable.
        """
        tried = False

        async def ask() -> tuple[dict[str, Any], bool]:
            nonlocal tried
            if tried and (found := await self._made(archive.digest)):
                return found, False
            tried = True
            return await self._upload(archive, wish, sent)

        return await insist(ask, self.broken)

    async def _upload(
        self, archive: Archive, wish: Wish, sent: Callable[[int], None]
    ) -> tuple[dict[str, Any], bool]:
        async def pieces() -> AsyncIterator[bytes]:
            archive.file.seek(0)
            done = 0
            while piece := archive.file.read(_BLOCK):
                yield piece
                done += len(piece)
                sent(done)

        headers = {
            "Accept": "application/json",
            "Content-Type": "application/gzip",
            "Content-Length": str(archive.size),
            "A2A-Source-Digest": archive.digest,
        }
        request = self.platform.open(
            "POST", self._path(), params=wish.params(), headers=headers, data=pieces()
        )
        async with request as response:
            raw = await response.read()
            status = response.status
        try:
            release = obj(json.loads(raw))
        except (ValueError, RecursionError):
            release = {}
        if not _number(release.get("release")):
            raise Unreachable(self.platform.target, "what answers there is not a platform that takes deploys")
        return release, status == 200

    async def _made(self, digest: str) -> dict[str, Any]:
        """The release that an upload made whose answer never came, else {}."""
        try:
            page = obj(await self.platform.json("GET", self._path(), params={"limit": "20"}))
        except ServerProblem as problem:
            if problem.code == "agent_not_found":
                return {}
            raise
        for each in objs(page.get("releases")):
            if (
                digest in (each.get("source_digest"), each.get("digest"))
                and _number(each.get("release")) > self.newest
            ):
                return each
        return {}

    async def follow(self, release: int, *, promote: bool) -> AsyncGenerator[dict[str, Any]]:
        """The Release document, each time with the new entries in `progress`, up to its end.

        The end is a state other than `building`, and with `promote` that it serves (or SWITCH seconds
        more: another deploy may have overtaken it). Raises ServerProblem, Unreachable.
        """
        loop = asyncio.get_running_loop()
        after, until, wait = 0, 0.0, WAIT
        while True:
            params = {"after": str(after), "wait": str(wait)}
            began = loop.time()
            document = obj(
                await insist(
                    lambda params=params: self.platform.json(
                        "GET", release_path(self.agent, release), params=params
                    ),
                    self.broken,
                )
            )
            fresh = [each for each in objs(document.get("progress")) if _number(each.get("no")) > after]
            after = max([after, *(_number(each.get("no")) for each in fresh)])
            yield {**document, "progress": fresh}
            state = text(document.get("state"))
            if state != "building":
                until = until or loop.time() + SWITCH
                if state != "ready" or not promote or document.get("serving") or loop.time() > until:
                    return
                wait = 1
            if not fresh and loop.time() - began < 0.2:
                await asyncio.sleep(0.3)  # a platform that does not wait is not to be asked in a loop

    async def now_serving(self) -> int:
        """The number of the release that serves, 0 for none; what was known when nobody answers."""
        try:
            page = obj(await self.platform.json("GET", self._path(), params={"limit": "1"}))
        except (ServerProblem, Unreachable):
            return self.serving
        return _number(page.get("serving"))

    def _path(self) -> str:
        return f"/api/v1{agent_path(self.agent)}/releases"


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
