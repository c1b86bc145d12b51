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
from collections.abc import Sequence
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
#: Connections of one worker while nothing ran that its log names in so many seconds.
LINES, LINES_SECONDS = 20, 60.0
#: Seconds between two looks whether what is open is allowed still: grants end by themselves too.
RECHECK_SECONDS = 2.0


class Served(Protocol):
    """A worker's listener, and what is connected through it."""

    def recheck(self, *, told: bool = True) -> None:
        """Cut the connections that the site does not hold any more; `told`: it hears of each as refused."""
        ...

    def cut(self) -> None:
        """Cut all connections, and write them down, before this returns."""
        ...

    async def stop(self) -> None:
        """Cut all connections and close the listener."""
        ...


class Egress(Protocol):
    """The proxy."""

    def serve(self, listener: socket.socket, site: EgressSite) -> Served:
        """Serve what connects to the listener. Raises RuntimeError when the machine has no thread left."""
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
        self._served: dict[Worker, tuple[Site, Served]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._due = 0.0

    def open(self, worker: Worker, listener: socket.socket) -> None:
        """A worker handed out the listener that stands for it."""
        if self._egress is None or worker.gone:
            listener.close()
            return
        site = Site(self._runs, worker, self._secrets)
        try:
            self._served[worker] = site, self._egress.serve(listener, site)
        except RuntimeError as error:
            listener.close()
            worker.kill(f"it can't be given a way out: {error}")

    def close(self, worker: Worker) -> None:
        """The worker has ended; its runs are its runs still."""
        _, served = self._served.pop(worker, (None, None))
        if served is not None:
            served.cut()
            task = asyncio.get_running_loop().create_task(served.stop())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def leave(self, run: Run) -> None:
        """The run ends, or its worker holds it no more: what no other run's grant allows is cut. Called
        before it is so, so that the run's record says how much went through."""
        found = self._served.get(run.worker) if run.worker is not None else None
        if found is not None:
            site, served = found
            site.leaving = run
            try:
                served.recheck(told=False)
            finally:
                site.leaving = None

    def recheck(self) -> None:
        """Something was revoked: what is open and not allowed any more is cut, soon."""
        asyncio.get_running_loop().call_soon(self._recheck)

    def sweep(self, now: float) -> None:
        """Called often; `now` in monotonic seconds."""
        if now >= self._due:
            self._due = now + RECHECK_SECONDS
            self._recheck()

    def _recheck(self) -> None:
        for _, served in list(self._served.values()):
            served.recheck()


class Site:
    """One worker; see `egress.site.EgressSite`."""

    def __init__(self, runs: Runs, worker: Worker, secrets: Secrets | None) -> None:
        self._runs = runs
        self._worker = worker
        self._secrets = secrets
        #: A run that counts no more for what may stay open.
        self.leaving: Run | None = None
        self._lines = 0
        self._lines_since = float("-inf")

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

    def holds(self, host: str, port: int) -> str:
        """See `EgressSite`."""
        runs = [run for run in self._living() if run is not self.leaving]
        target = host_path(host, port)
        if any(self._runs.granted.stands(run, Operation.EGRESS, target) for run in runs):
            return ""
        return "The grant that allowed it does so no more." if runs else "The run has ended."

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
            self._say(event)

    def _say(self, event: EgressEvent) -> None:
        """A line in the agent's log about a connection while nothing ran; not any number of them."""
        now = self._runs.clock.monotonic()
        if now - self._lines_since >= LINES_SECONDS:
            self._lines, self._lines_since = 0, now
        self._lines += 1
        if self._lines > LINES:
            return
        done = "was connected to" if event.address else "was left"
        what = f"{event.host}:{event.port} {event.refused or done} while nothing ran."
        if self._lines == LINES:
            what = f"{what} More such connections are not named for {LINES_SECONDS:g} s."
        self._runs.log_line(self.release, 0, "warning", "platform", what)
