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
from a2a_cloud.model.problem import Forbidden, Internal, Problem
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
            if last.expires > self._runs.authority.now() or not _for_a_time(run.grants):
                return last
            # What was approved for a time is over, and the run goes on with what it had before.
            issued = self._runs.authority.revert(
                last.token,
                run.grants[-2].token,
                run.task.org_no,
                identity(run.call.release),
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

    def stands(self, run: Run, operation: Operation, target: str) -> bool:
        """Whether what was begun under the run's grant is allowed still. Counts nothing."""
        if not run.grants:  # One that was never used has allowed nothing.
            return False
        try:
            token = self.of(run).token
            agent = identity(run.call.release)
            return bool(self._runs.authority.among(token, agent, run.id, operation, [target]))
        except Problem:  # It is in the audit log.
            return False

    def refuse_revoked(self, run: Run) -> None:
        """Raises Forbidden when the run's grant was revoked. One that is over by its time is not: what was
        done in time holds."""
        try:
            self.among(run, [])
        except Forbidden as problem:
            if problem.info.get("reason") != "expired":
                raise

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

    def whole(self, run: Run, folder: str) -> bool:
        """Whether the run may see all that is below the folder ("": the root)."""
        return all(_whole(block.claims, folder) for block in self.of(run).grant.blocks)

    def widen(self, run: Run, extra: Widening, approval: str, seconds: float) -> Issued:
        """Exchange the run's grant for one that also allows `extra`. Its row is added to the run's write."""
        old = self.of(run)
        if seconds:  # It ends before the grant in whose place it is, so that nothing prolongs it by mistake.
            seconds = max(1.0, min(seconds, old.expires - self._runs.authority.now() - 3.0))
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
        if run.grants[-1].expires - self._runs.authority.now() >= left:
            return
        try:
            issued = self._runs.authority.renew(
                run.grants[-1].token, run.task.org_no, identity(run.call.release), seconds=left + SLACK
            )
        except Problem:
            return  # Revoked, or its key is gone: whatever it asks for is refused, and says why.
        self._exchange(run, issued)

    def _exchange(self, run: Run, issued: Issued) -> None:
        assert run.grants is not None
        run.grants.append(issued)
        run.ops.append(issued.op)
        self._runs.when_written(run, lambda: self._runs.authority.settled(issued))


def _for_a_time(grants: Sequence[Issued]) -> bool:
    """Whether the last one allows something only for a time: it ends before one that the run held earlier.
    The one right before it does not tell: what is approved meanwhile ends at the same time."""
    return grants[-1].expires < max(each.expires for each in grants)


def _whole(claims: object, folder: str) -> bool:
    """Whether the block hides nothing below the folder. Only for plain patterns: `**`, `a/b/**`."""
    if getattr(claims, "deny", ()):
        return False
    patterns = getattr(claims, "read", None)
    if not isinstance(patterns, tuple):
        return True
    prefix = getattr(claims, "prefix", "") or ""
    opened = [str(each)[:-2] for each in patterns if str(each).endswith("**")]  # pyright: ignore
    opened += [prefix] if isinstance(prefix, str) and prefix else []
    return any(not set(each) & set("*?") and (not each or (folder + "/").startswith(each)) for each in opened)


def _leads(claims: object, folder: str) -> bool:
    """Whether a pattern of the block may mean something below the folder."""
    for denied in getattr(claims, "deny", None) or ():
        if denied.endswith("**") and globs((denied,)).matches(folder):
            return False  # And all that is below it.
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
