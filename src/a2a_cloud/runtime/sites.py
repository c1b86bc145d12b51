"""What the egress proxy asks about the worker behind a listener: the grants of the runs in it decide, and
each connection is in their records.

A listener tells which worker it is and not which run. Where several runs share a worker, a host is open to
all of them when the grant of one allows it, and a connection is written down for each, as shared;
`isolation = "run"` under [sandbox] keeps them apart.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from a2a_cloud.model.grant import Operation
from a2a_cloud.model.problem import Problem
from a2a_cloud.model.run import EgressEvent
from a2a_cloud.runtime.egress.inject import HTTPS, Injection
from a2a_cloud.runtime.egress.site import EgressSite
from a2a_cloud.runtime.live import Run
from a2a_cloud.wire.glob import host_path

if TYPE_CHECKING:
    from a2a_cloud.model.release import Release
    from a2a_cloud.runtime.process import Worker
    from a2a_cloud.runtime.runs import Runs

log = logging.getLogger("a2a_cloud.egress")

#: Connections of one run that its record names; what comes after is not written down one by one.
NAMED = 1000

Stop = Callable[[], Awaitable[None]]


class Egress(Protocol):
    """The proxy."""

    def serve(self, listener: socket.socket, site: EgressSite) -> Stop:
        """Serve what connects to the listener until the returned function is awaited."""
        ...


class Secrets(Protocol):
    """Stored secrets."""

    def value(self, org_no: int, name: str) -> str:
        """The secret. Raises NotFound, Unavailable."""
        ...


class Sites:
    """The listeners of all workers. One per engine."""

    def __init__(self, runs: Runs, egress: Egress | None, secrets: Secrets | None) -> None:
        self._runs = runs
        self._egress = egress
        self._secrets = secrets
        self._stops: dict[Worker, Stop] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, worker: Worker, listener: socket.socket) -> None:
        """A worker handed out the listener that stands for it."""
        if self._egress is None or worker.gone:
            listener.close()
            return
        self._stops[worker] = self._egress.serve(listener, Site(self._runs, worker, self._secrets))

    def close(self, worker: Worker) -> None:
        """The worker has ended."""
        stop = self._stops.pop(worker, None)
        if stop is not None:
            task = asyncio.ensure_future(_stopped(stop))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _stopped(stop: Stop) -> None:
    await stop()


class Site:
    """One worker; see `egress.site.EgressSite`."""

    def __init__(self, runs: Runs, worker: Worker, secrets: Secrets | None) -> None:
        self._runs = runs
        self._worker = worker
        self._secrets = secrets

    @property
    def release(self) -> Release:
        """The release whose code runs there."""
        return self._worker.release

    def _living(self) -> list[Run]:
        return [run for run in self._worker.runs.values() if run.ending is None and run.is_accepted]

    def allows(self, host: str, port: int) -> str:
        """See `EgressSite`."""
        runs = self._living()
        if not runs:
            return "Nothing runs in the agent's worker now, so nothing may be connected to."
        why = ""
        for run in runs:
            try:
                self._runs.granted.check(run, Operation.EGRESS, host_path(host, port))
            except Problem as problem:
                why = why or problem.sentence
            else:
                return ""
        return why

    def secrets(self) -> Sequence[Injection]:
        """See `EgressSite`."""
        found: list[Injection] = []
        for one in self.release.manifest.secrets:
            host, _, port = one.host.partition(":")
            found.append(Injection(one.name, host, int(port or HTTPS), one.header, one.template))
        return found

    def secret(self, name: str) -> str:
        """See `EgressSite`."""
        if self._secrets is None:
            return ""
        return self._secrets.value(self.release.org_no, name)

    def connected(self, host: str, port: int, address: str, decision: str) -> None:
        """See `EgressSite`."""
        refused = "" if decision.startswith("allowed") else decision
        self._note(EgressEvent(host=host, port=port, at=self._now(), address=address, refused=refused))

    def ended(self, host: str, port: int, sent: int, received: int) -> None:
        """See `EgressSite`."""
        self._note(EgressEvent(host=host, port=port, at=self._now(), sent=sent, received=received))

    def _now(self) -> float:
        return self._runs.clock.now()

    def _note(self, event: EgressEvent) -> None:
        runs = self._living()
        event.shared = len(runs) > 1
        for run in runs:
            run.connections += 1
            if run.connections <= NAMED:
                run.append(event)
        if not runs:
            what = f"{event.host}:{event.port} {event.refused or 'was connected to'} while nothing ran"
            self._runs.log_line(self.release, 0, "warning", "platform", what)
