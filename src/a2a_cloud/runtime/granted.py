"""The grant of each run: issued when it is needed, checked on every operation, exchanged for a wider one
when somebody approved that. The token stays on this side; agent code never sees it.

An agent that declares nothing, called by somebody who narrows nothing, gets its grant with the first thing
that asks for one: what it would say is known from the run's own row. All others have it on disk with their
acceptance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from a2a_cloud.model.grant import GrantSpec, Operation, Widening
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.release import Release
from a2a_cloud.runtime.live import Run
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.glob import globs
from a2a_cloud.wire.grant import Grant

if TYPE_CHECKING:
    from a2a_cloud.runtime.ports import Issued
    from a2a_cloud.runtime.runs import Runs

#: Seconds that a grant outlives the time that its run may take: for a worker's start, and for its end.
SLACK = 600.0

_NOTHING = GrantSpec()


def identity(release: Release) -> str:
    """The agent's service identity, which a grant is bound to."""
    return f"agent:{release.org}/{release.name}"


class Granted:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def at_acceptance(self, run: Run) -> list[Op]:
        """The statements that the run's acceptance takes along. Raises InvalidParams, and Forbidden where
        the parent's grant does not hold."""
        call = run.call
        if call.parent is None and call.narrow is None and call.release.manifest.grant == _NOTHING:
            return []
        return [self._issue(run).op]

    def of(self, run: Run) -> Issued:
        """The grant that the run holds. Raises Forbidden when it has none any more."""
        if run.grants:
            last = run.grants[-1]
            if last.grant.exp > self._runs.authority.now() or not _for_a_time(run.grants):
                return last
            # What was approved for a time is over, and the run goes on with what it had before.
            issued = self._runs.authority.revert(
                last.token, run.grants[-2].token, run.task.org_no, identity(run.call.release)
            )
            self._exchange(run, issued)
            return issued
        issued = self._issue(run)
        run.ops.append(issued.op)
        return issued

    def restore(self, run: Run) -> None:
        """Find the grants of a run of an earlier life."""
        stored = self._runs.authority.of_run(run.task.org_no, run.id, identity(run.call.release))
        run.grants = list(stored) or None

    def _issue(self, run: Run) -> Issued:
        call = run.call
        release = call.release
        spec = release.manifest.grant
        parent = self._runs.live.get(call.parent.run_no) if call.parent is not None else None
        if call.parent is not None:
            if parent is None:
                raise Internal("A run's parent has ended before its grant was asked for.")
            issued = self._runs.authority.hand_over(
                token=self.of(parent).token,
                parent=identity(parent.call.release),
                org=release.org,
                org_no=release.org_no,
                agent=identity(release),
                subject=call.principal.label,
                run=run.id,
                spec=spec,
            )
        else:
            seconds = (run.spec.timeout if run.spec is not None else 0.0) or release.manifest.limits.timeout
            issued = self._runs.authority.issue(
                org=release.org,
                org_no=release.org_no,
                agent=identity(release),
                subject=call.principal.label,
                run=run.id,
                spec=spec,
                seconds=seconds + SLACK,
                base=self._runs.workfiles.newest(release.org_no, spec.workspace),
                caller=call.narrow,
            )
        run.grants = [issued]
        return issued

    def check(self, run: Run, operation: Operation, target: str, size: int = 0) -> Grant:
        """The run's grant, if it allows this now. Raises Forbidden, InvalidParams."""
        token = self.of(run).token
        grant = self._runs.authority.check(
            token, identity(run.call.release), run.id, operation, target, size=size
        )
        if grant.limits:
            run.ops += self._runs.authority.use_ops()
        return grant

    def among(self, run: Run, targets: Sequence[str]) -> set[str]:
        """Those paths that the run may list."""
        token = self.of(run).token
        return set(
            self._runs.authority.among(
                token, identity(run.call.release), run.id, Operation.LIST, targets
            )
        )  # fmt: skip

    def leads(self, run: Run, folders: Sequence[str]) -> set[str]:
        """Those folders that the run's patterns may lead into, so that it can find what it may read."""
        blocks = self.of(run).grant.blocks
        return {folder for folder in folders if all(_leads(block.claims, folder) for block in blocks)}

    def widen(self, run: Run, extra: Widening, approval: str, seconds: float) -> Issued:
        """Exchange the run's grant for one that also allows `extra`. Its row is added to the run's write."""
        old = self.of(run)
        issued = self._runs.authority.widen(
            old.token,
            run.task.org_no,
            identity(run.call.release),
            extra,
            approval=approval,
            seconds=seconds or None,
        )
        self._exchange(run, issued)
        return issued

    def outlive(self, run: Run) -> None:
        """The run waited: if its grant would end before it does, exchange it for one that does not."""
        if not run.grants or run.deadline == float("inf") or _for_a_time(run.grants):
            return
        left = run.deadline - self._runs.clock.monotonic()
        if run.grants[-1].grant.exp - self._runs.authority.now() >= left:
            return
        issued = self._runs.authority.renew(
            run.grants[-1].token, run.task.org_no, identity(run.call.release), seconds=left + SLACK
        )
        self._exchange(run, issued)

    def _exchange(self, run: Run, issued: Issued) -> None:
        assert run.grants is not None
        run.grants.append(issued)
        run.ops.append(issued.op)
        self._runs.when_written(run, lambda: self._runs.authority.settled(issued))


def _for_a_time(grants: Sequence[Issued]) -> bool:
    """Whether the last one ends before the one in whose place it is."""
    return len(grants) > 1 and grants[-1].grant.exp < grants[-2].grant.exp


def _leads(claims: object, folder: str) -> bool:
    """Whether a pattern of the block may mean something below the folder."""
    patterns = getattr(claims, "read", None)
    if not isinstance(patterns, tuple):  # It does not restrict what may be read.
        return True
    prefix = getattr(claims, "prefix", "") or ""
    if (
        isinstance(prefix, str)
        and prefix
        and (prefix.startswith(folder + "/") or (folder + "/").startswith(prefix))
    ):
        return True
    depth = folder.count("/") + 1
    for pattern in patterns:  # pyright: ignore[reportUnknownVariableType]
        segments = str(pattern).split("/")  # pyright: ignore[reportUnknownArgumentType]
        head = segments[:depth]
        if "**" in head:
            head = head[: head.index("**") + 1]
        elif len(segments) <= depth:
            continue
        if globs(("/".join(head),)).matches(folder):
            return True
    return False
