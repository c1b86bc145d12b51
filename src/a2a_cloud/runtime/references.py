"""Earlier tasks that a message refers to (A2A 1.0, `referenceTaskIds`), as the skill sees them: the
caller's own tasks with the same agent that had ended when the run was accepted, so that a replay finds
the same. What else is named there is nobody's to read, and is left out without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import TaskNotFound
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TERMINAL, Task
from a2a_cloud.runtime.live import Run
from a2a_cloud.wire import a2a_render

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Ids of one message that are looked at; bytes that all tasks together may have.
MOST = 20
MOST_BYTES = 4 << 20

_encode = msgspec.json.Encoder().encode


class _NoLinks:
    """A link would be of no use in a cage: files are named and not reached."""

    base = ""

    def part(self, run_id: str, seq: int, index: int) -> str:
        """No link."""
        return ""

    def artifact(self, run_id: str, artifact_id: str, index: int) -> str:
        """No link."""
        return ""


_NO_LINKS = _NoLinks()


def references(runs: Runs, run: Run) -> bytes:
    """The tasks as a JSON array; b"" when there are none."""
    named = run.call.message.reference_task_ids
    if named is UNSET or not named:
        return b""
    from a2a_cloud.runtime.views import RunService

    service, task = RunService(runs), run.task
    scope = Scope(org=task.org_no, owner=task.owner_no)
    found: list[Task] = []
    size = 0
    for task_id in dict.fromkeys(named[:MOST]):
        try:
            view = service.task(scope, task.agent_no, task_id)
        except TaskNotFound:
            continue
        if view.state not in TERMINAL or view.at > run.created:
            continue
        shown = a2a_render.task(view, _NO_LINKS)
        size += len(_encode(shown))
        if size > MOST_BYTES:
            break
        found.append(shown)
    return _encode(found) if found else b""
