"""A server with workspaces and keys and nothing else: the real front door, journal and object store, in a
thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.model.principal import Role
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.workspace.service import Workspaces
from a2a_cloud.settings import HttpLimits
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.storage.workspaces.rows import SqliteRows
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.serve import Serving
from a2a_cloud.testing.workspaces import make_tables


@dataclass
class Site:
    """Where it listens; keys of an admin and a member of `default`, and of an admin of another one."""

    url: str = ""
    port: int = 0
    admin: str = ""
    member: str = ""
    other: str = ""
    objects: Path = Path()
    services: Any = None
    loop: Any = None
    clock: Any = field(default_factory=SystemClock)


class Ahead:
    """A clock that tests move on."""

    def __init__(self) -> None:
        self.by = 0.0
        self._real = SystemClock()

    def now(self) -> float:
        return self._real.now() + self.by

    def monotonic(self) -> float:
        return self._real.monotonic() + self.by


@contextmanager
def serving(folder: Path, body_bytes: int = 1 << 40) -> Iterator[Site]:
    """A site over `folder`, until the block ends."""
    site = Site(clock=Ahead())
    ready, failed = threading.Event(), []
    stop = asyncio.Event()

    async def live() -> None:
        site.loop = asyncio.get_running_loop()
        entropy = SystemEntropy()
        ids = TimeIds(site.clock, entropy)
        database = folder / "journal.db"
        make_tables(database)
        journal = SqliteJournal(database)
        reader = SqliteReader(database)
        rows = connect(database, readonly=True)
        site.objects = folder / "objects"
        objects = FolderObjects(site.objects, ids)
        identity = Identity(reader, journal, site.clock, entropy)
        await identity.admin_key(folder / "admin.key")
        site.admin = (folder / "admin.key").read_text().strip()
        by = identity.authenticate(site.admin)
        for name, org, role in (("member", "", Role.APPROVER), ("other", "elsewhere", Role.ADMIN)):
            _, key = await identity.create_key(by, principal=name, org=org, role=role, label="")
            setattr(site, name, key)
        none: Any = None
        site.services = Services(
            runs=none,
            identity=identity,
            registry=none,
            objects=objects,
            deploys=none,
            parts=none,
            variables=none,
            renew=none,
            clock=site.clock,
            ids=ids,
            link_key=bytes(32),
            workspaces=Workspaces(SqliteRows(rows), journal, objects, site.clock),
        )
        server = Serving(site.clock)
        limits = HttpLimits(body_bytes=body_bytes)
        host, site.port = await server.start(FrontDoor(site.services), "127.0.0.1", 0, limits)
        site.url = site.services.base_url = f"http://{host}:{site.port}"
        ready.set()
        await stop.wait()
        await server.drain(5)
        await journal.close()
        reader.close()
        rows.close()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    if failed:
        raise failed[0]
    try:
        yield site
    finally:
        site.loop.call_soon_threadsafe(stop.set)
        thread.join(20)
    if failed:
        raise failed[0]
