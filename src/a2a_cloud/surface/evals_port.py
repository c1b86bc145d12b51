"""What the surface consumes of evals (control/evals)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.evaluation import Eval, Score
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release


class Evals(Protocol):
    """Evals and their scores."""

    async def start(
        self,
        release: Release,
        principal: Principal,
        *,
        rubric: bytes | None = None,
        cases: Sequence[str] = (),
        parallel: int = 4,
        repeat: int = 1,
    ) -> Eval:
        """Begin one; `rubric` None: the release's own. Raises InvalidParams, TooLarge, NotFound, Busy,
        Unavailable, StorageFull."""
        ...

    async def cancel(self, org_no: int, agent_no: int, eval_id: str) -> Eval:
        """Raises NotFound, InvalidRequest."""
        ...

    async def wait(self, eval_id: str, after: int, seconds: float) -> None:
        """Returns once there is a score after that number, the eval is over, or the time is."""
        ...

    def one(self, org_no: int, agent_no: int, eval_id: str) -> Eval:
        """Raises NotFound."""
        ...

    def listed(
        self, org_no: int, agent_no: int, *, release_no: int = 0, before: str = "", limit: int = 50
    ) -> Sequence[Eval]:
        """An agent's, newest first."""
        ...

    def scores(self, org_no: int, eval_id: str, after: int = 0) -> Sequence[Score]:
        """Scores after that number."""
        ...

    def of_run(self, org_no: int, run_id: str) -> Sequence[tuple[str, Score]]:
        """(eval's id, score) of a run."""
        ...

    def rubric(self, org_no: int, sha256: str) -> bytes:
        """The text of a rubric that was used. Raises NotFound."""
        ...

    def last(self, release: Release) -> Eval | None:
        """The newest that says how good a release is by its own rubric, all cases of it."""
        ...

    def check_gate(self, release: Release, gate: str) -> Eval:
        """The eval by which a release may be promoted. Raises GateNotMet."""
        ...
