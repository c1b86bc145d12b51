"""Which worker may take a run, and how many there should be: what `[sandbox] isolation` says.

shared: any worker with a free slot. caller: one that has had runs of this principal alone; those of
nobody in particular (anonymous) are not one principal, so each gets a worker of its own. run: one that
has had no run. At most `[limits] workers` are busy at once; a run that waits for a person, a child or a
timer is not counted, so that its worker can't keep what it waits for from running.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from a2a_cloud.model.problem import Problem, SandboxRequired
from a2a_cloud.model.release import Release

if TYPE_CHECKING:
    from a2a_cloud.runtime.live import Run
    from a2a_cloud.runtime.process import Worker
    from a2a_cloud.runtime.sandbox.port import Sandbox

#: Workers of a pool beyond the busy and the spare ones, whose runs all wait for something.
HELD = 32


def refusal(release: Release, sandbox: Sandbox) -> Problem | None:
    """Why no worker of it may be started here; None when it may."""
    wanted = release.manifest.sandbox.require
    if not wanted or sandbox.name == wanted:
        return None
    return SandboxRequired(
        f"The agent {release.name} requires a {wanted}, and this platform has none: agents run as "
        f"{'processes' if sandbox.name == 'process' else sandbox.name} with limits.",
        remedy="`a2a doctor` says what is missing. Or take `require` out of [sandbox] in a2a.toml.",
        info={"required": wanted, "sandbox": sandbox.name},
    )


def personal(release: Release) -> bool:
    """Its workers are not for everybody."""
    return release.manifest.sandbox.isolation != "shared"


def alone(release: Release, run: Run) -> bool:
    """The run's worker gets no other run."""
    isolation = release.manifest.sandbox.isolation
    return isolation == "run" or (isolation == "caller" and run.call.principal.anonymous)


def busy(workers: Iterable[Worker]) -> int:
    """How many have a run that runs; those that end are not counted."""
    return sum(1 for worker in workers if worker.busy and not worker.draining)


def at_rest(worker: Worker) -> bool:
    """Nothing is lost when it ends: it has no runs, or such as go on elsewhere by replay."""
    return all(
        run.replayable and ((run.parked and run.question is not None) or run.asleep)
        for run in worker.runs.values()
    )


def pick(release: Release, workers: list[Worker], run: Run) -> Worker | None:
    """The least busy worker that may take the run now; one that the run's caller has had comes first."""
    manifest, spec = release.manifest, run.spec
    limit = manifest.limits.concurrency
    shared = not personal(release)
    own = not shared and not alone(release, run)
    # Where there are no more workers than may be busy, nothing need be counted.
    more = (not shared or manifest.sandbox.spares > 0) and busy(workers) >= manifest.limits.workers
    best: Worker | None = None
    for worker in workers:
        if (
            worker.ready
            and not worker.draining
            and not worker.gone
            and not worker.told  # It may hang; what it gets now would hang with it.
            and worker.busy < limit
            and not (more and not worker.busy)
            and (
                shared
                or not worker.served
                or (own and not worker.once and worker.principal == run.call.principal.no)
            )
            and not (spec and spec.concurrency and worker.skills_busy.get(spec.id, 0) >= spec.concurrency)
            and (
                best is None
                or (not shared and worker.served and not best.served)
                or ((shared or worker.served == best.served) and worker.busy < best.busy)
            )
        ):
            best = worker
    return best


def missing(
    release: Release, workers: Iterable[Worker], starting: int, waiting: int, spares: int
) -> tuple[int, int]:
    """How many more to start: (at once, as spares when there is time). `workers` are those that take
    runs, ready or not; `starting` have been decided on; `waiting` runs wait for one."""
    limits = release.manifest.limits
    workers = list(workers)
    alive = len(workers) + starting
    if not personal(release):
        now = max(0, limits.workers - alive)
        return now, max(0, limits.workers + spares - alive - now)
    fresh = starting + sum(1 for worker in workers if not worker.served)
    wanted = min(waiting, max(0, limits.workers - busy(workers)))
    room = max(0, limits.workers + spares + HELD - alive)
    now = min(room, max(0, wanted - fresh))
    return now, min(room - now, max(0, spares - max(0, fresh - wanted)))
