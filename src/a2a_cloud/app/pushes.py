"""Push notifications tied to the rest: how a task is shown to a receiver is the surface's business, the
deliveries are the runtime's."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from a2a_cloud.control.identity.card_key import CardKey
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.model.task import Task
from a2a_cloud.runtime.outward import Outward, private
from a2a_cloud.runtime.push.outbox import AT_ONCE
from a2a_cloud.runtime.push.rows import PushRows
from a2a_cloud.runtime.push.service import Push
from a2a_cloud.runtime.runs import Runs
from a2a_cloud.settings import Settings
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.links import AgentLinks, Links


def pushes(
    settings: Settings,
    runs: Runs,
    reader: SqliteReader,
    registry: Registry,
    *,
    seal: Seal,
    key: CardKey,
    links: Links,
    issuer: Callable[[], str],
) -> Push:
    """What sends them; `runs` tells it of calls that want to hear. `issuer` gives the platform's address."""

    def linker(base: str, release_no: int) -> AgentLinks:
        release = registry.by_no(release_no)
        return AgentLinks(links, base, qualified(release) if release is not None else "")

    push = runs.push = Push(
        runs,
        PushRows(reader.connection),
        outward=Outward(
            private(settings.push_private, "A2A_PUSH_PRIVATE"), roots=settings.egress_ca, at_once=AT_ONCE
        ),
        seal=seal,
        key=key,
        linker=linker,
        older=_older,
        issuer=issuer,
        clock=runs.clock,
        ids=runs.ids,
        entropy=runs.entropy,
    )
    return push


def _older(dialect: str, task: Task, name: str) -> bytes:
    """A task in the words of an earlier generation."""
    from a2a_cloud.wire import a2a_early, a2a_v03  # Few receivers speak them.

    if dialect == "a2a-0.2":
        return msgspec.json.encode(a2a_early.task(task, name or task.id))
    return msgspec.json.encode(a2a_v03.task(task))
