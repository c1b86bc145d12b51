"""What evals consume of the planes beside them: calls, functions run in a cage, the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.rubric import Case, Check


class Answer(Struct):
    """What came of a call. `state` is how its run ended, or `input-required`, `auth-required` and `timed-out`
    for one that was given up and canceled. `result` is what it returned, else {code, detail}. `asked` is what
    was put to it. Of a case that repeats a run, `wanted` is how that one ended, and `expected` its result."""

    run: str = ""
    receipt: str = ""
    state: str = ""
    result: Any = None
    asked: Any = None
    expected: Any = None
    wanted: str = ""
    seconds: float = 0.0


class Asker(Protocol):
    """Makes a case's call as an ordinary one of the principal's."""

    async def ask(self, release: Release, principal: Principal, case: Case) -> Answer:
        """Returns once its run has ended or was given up. Raises Problem when none came of it. Who cancels
        this cancels the run."""
        ...

    async def judge(
        self, release: Release, principal: Principal, check: Check, arguments: dict[str, Any]
    ) -> Answer:
        """The same of the judge that `check` names, found where `release` is. Of `arguments` it gets those
        that its skill has; one that takes no `result` is refused."""
        ...


class Functions(Protocol):
    """Functions of a release's source, run where its workers run and nowhere else."""

    async def call(self, release: Release, function: str, value: bytes, seconds: float) -> bytes:
        """What `module:function` makes of a value, both JSON. Raises SkillFailed, TimedOut, StartFailed."""
        ...


class Committer(Protocol):
    """The journal."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...
