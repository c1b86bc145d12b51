"""Our tasks as MCP's: the experimental ones of 2025-11-25 (basic/utilities/tasks) and the extension
io.modelcontextprotocol/tasks of 2026-07-28. A task's id is the task's own id; it is kept as long as the task.
"""

from __future__ import annotations

from msgspec import Raw

from a2a_cloud.model.problem import InvalidParams, Problem, TaskNotFound
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import INTERRUPTED, TERMINAL, TaskState
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.http.invoke import ended_problem
from a2a_cloud.surface.mcp import questions
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.offer import Offered
from a2a_cloud.surface.mcp.questions import Collected, Declined
from a2a_cloud.surface.mcp.results import result_of
from a2a_cloud.surface.mcp.work import RESULT, TOOL, Work
from a2a_cloud.wire.mcp_content import made, spoken
from a2a_cloud.wire.mcp_errors import error_object
from a2a_cloud.wire.mcp_schema import Json
from a2a_cloud.wire.views import TaskView

#: The tool by which a client that can't ask its user brings an answer.
ANSWER_TOOL = "a2a_answer"
POLL_MILLISECONDS = 1000
_PAGE = 50
_STATUS = {
    TaskState.COMPLETED: "completed",
    TaskState.CANCELED: "cancelled",
    TaskState.INPUT_REQUIRED: "input_required",
    TaskState.AUTH_REQUIRED: "input_required",
}


def document(work: Work, *, modern: bool) -> Json:
    """The task of that work."""
    return described(work.task(), modern=modern)


def described(view: TaskView, *, modern: bool) -> Json:
    """A task as MCP shows it. A run that failed or refused has a result that says so: since 2026-07-28
    that counts as completed."""
    status = _STATUS.get(view.state, "working")
    if view.state in (TaskState.FAILED, TaskState.REJECTED):
        status = "completed" if modern else "failed"
    body: Json = {"taskId": view.id, "status": status}
    found = made(view.runs[-1].events) if view.runs else None
    if found is not None:
        words = found.progress
        if found.status is not None:
            said = found.status.message
            if not words and said is not None:
                words = "\n".join(str(one["text"]) for one in spoken(said))
            if not words and found.status.problem_code:
                words = ended_problem(found.status).sentence
        if words:
            body["statusMessage"] = words[:2000]
    body["createdAt"] = stamp(view.runs[0].created if view.runs else view.at)
    body["lastUpdatedAt"] = stamp(view.at)
    body["ttlMs" if modern else "ttl"] = None
    body["pollIntervalMs" if modern else "pollInterval"] = POLL_MILLISECONDS
    return body


class Tasks:
    """The methods tasks/…."""

    def __init__(self, operations: Operations, collected: Collected) -> None:
        self._operations = operations
        self._collected = collected

    def find(self, asking: Asking, task_id: str, purpose: str = RESULT) -> Work:
        """The caller's task, whichever of the agents here has it. Raises TaskNotFound."""
        if not task_id or len(task_id) > 256 or not task_id.isprintable():
            raise TaskNotFound("There is no such task.")
        for release in asking.toolbox.releases:
            caller = asking.caller(release)
            scope = owner_scope(caller.principal, release.org_no)
            try:
                view = self._operations.services.runs.task(scope, release.agent_no, task_id)
            except TaskNotFound:
                continue
            run = view.runs[-1]
            offered = asking.toolbox.of_skill(release, run.skill) or _nameless(release, run.skill)
            return Work(self._operations, caller, offered, task_id, run.ordinal, None, purpose, offered.name)
        raise TaskNotFound("There is no such task.", remedy="Check the id, and that the key is its owner's.")

    async def get(self, asking: Asking, task_id: str) -> Json:
        """tasks/get. Since 2026-07-28 with the result, or with what the task asks for."""
        work = self.find(asking, task_id, TOOL)
        body = document(work, modern=asking.modern)
        if not asking.modern:
            return body
        return await self.detailed(asking, work, body)

    async def detailed(self, asking: Asking, work: Work, body: Json) -> Json:
        """The task with its result, its error, or what it asks for."""
        look = work.look()
        if body["status"] == "completed":
            try:
                body["result"] = asking.whole(await result_of(work, look))
            except Problem as problem:
                body["status"] = "failed"
                body["error"] = error_object(problem, modern=True)
        elif body["status"] == "input_required":
            found = questions.opened(look)
            wanted = questions.for_client(found, asking.client)
            if wanted:
                named = questions.names(work, look, wanted, found=found, unique=True)
                there = self._collected.of(work, look.seq)
                pairs = zip(wanted, named.items(), strict=True)
                body["inputRequests"] = {name: one for plain, (name, one) in pairs if plain not in there}
            else:
                # The client has nothing to give: for it the task goes on when somebody else has answered.
                body["status"] = "working"
                body["statusMessage"] = found.text
        return body

    async def update(self, asking: Asking, task_id: str, responses: Json) -> None:
        """tasks/update: answers; what isn't asked is ignored, what is missing goes on being asked."""
        work = self.find(asking, task_id, TOOL)
        look = work.look()
        if look.state not in INTERRUPTED:
            return
        found = questions.opened(look)
        wanted = questions.for_client(found, asking.client)
        named = questions.names(work, look, wanted, found=found, unique=True)
        given = questions.plain_names(responses, wanted, named)
        given = {name: one for name, one in given.items() if questions.well_formed(wanted[name], one)}
        if not given or (given := self._collected.add(work, look.seq, given)).keys() < wanted.keys():
            return
        self._collected.drop(work, look.seq)
        try:
            await questions.answer(work, found, given)
        except Declined:
            await self._cancel(work)

    async def cancel(self, asking: Asking, task_id: str) -> Json:
        """tasks/cancel. Until 2025-11-25 one that has ended is refused, since then it is acknowledged."""
        work = self.find(asking, task_id)
        if work.task().state in TERMINAL:
            if asking.modern:
                return {}
            raise InvalidParams(
                f"The task has ended ({work.task().state.short}).",
                remedy="Read its result with tasks/result.",
            )
        await self._cancel(work)
        return {} if asking.modern else document(work, modern=False)

    async def _cancel(self, work: Work) -> None:
        runs = self._operations.services.runs
        try:
            await runs.cancel(work.scope, work.caller.release.agent_no, work.task_id)
        except Problem:
            if work.task().state not in TERMINAL:
                raise

    def listed(self, asking: Asking, cursor: str) -> Json:
        """tasks/list (until 2025-11-25): newest status first, the agents here one after the other."""
        place, _, inner = cursor.partition(":")
        if cursor and not (place.isascii() and place.isdigit() and len(place) < 6):
            raise InvalidParams("That cursor is none that this server gave out.", remedy="Begin without one.")
        index = int(place or "0")
        tasks: list[Json] = []
        releases = asking.toolbox.releases
        while index < len(releases):
            release = releases[index]
            if not (asking.principal.anonymous and not release.manifest.anonymous_list):
                scope = owner_scope(asking.principal, release.org_no)
                runs = self._operations.services.runs
                page = runs.tasks(scope, release.agent_no, limit=_PAGE - len(tasks), cursor=inner)
                tasks += [described(view, modern=False) for view in page.tasks]
                if page.next:
                    return {"tasks": tasks, "nextCursor": f"{index}:{page.next}"}
            index, inner = index + 1, ""
            if len(tasks) >= _PAGE and index < len(releases):
                return {"tasks": tasks, "nextCursor": f"{index}:"}
        return {"tasks": tasks}


def _nameless(release: Release, skill: str) -> Offered:
    """What ran without being offered here: a message handler's run, a skill of an earlier release."""
    spec = release.skill(skill) or SkillSpec(
        id=skill or "message",
        name=skill or "message",
        description="",
        input_schema=Raw(b'{"type":"object"}'),
        output_schema=Raw(b"{}"),
    )
    return Offered(spec.id, release, spec, False, "", ())
