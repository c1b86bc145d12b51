"""`GET /sse/{task}`: a task's events in the plain dialect, resumable with Last-Event-ID (WHATWG HTML,
section 9.2).
"""

from __future__ import annotations

from a2a_cloud.model.problem import TaskNotFound
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.model.task import TERMINAL
from a2a_cloud.surface.a2a.operations import Operations, position_of, run_stream
from a2a_cloud.surface.framing import PLAIN
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.http.runs import check_link
from a2a_cloud.surface.links import Links
from a2a_cloud.surface.request import Headers, Request
from a2a_cloud.surface.streams import HEADERS, Stream
from a2a_cloud.wire import sse
from a2a_cloud.wire.views import TaskView


async def serve(request: Request, operations: Operations, links: Links, task_id: str) -> None:
    """Streams the task's events after the position that the caller names, or from the task's first."""
    request.allow("GET")
    release = request.release
    query = request.query()
    scope = owner_scope(request.principal, release.org_no)
    if "sig" in query and request.principal.anonymous:
        check_link(request, links, qualified(release))
        # The link was given to one who may read the task; it names the task, so it opens no other.
        scope = Scope(org=release.org_no)
    if not task_id or len(task_id) > 256 or not task_id.isprintable():
        raise TaskNotFound("There is no such task.")
    runs = operations.services.runs
    view = runs.task(scope, release.agent_no, task_id)
    named = request.last_event_id.decode("latin-1").strip() or query.get("after", "")
    after = sse.read_position(named) if named else (0, 0)
    first = sse.plain_first(view, request.links)
    if view.state in TERMINAL and after >= position_of(view):
        # Nothing comes any more: the status alone, and the end.
        return await request.answer(200, first, HEADERS[0][1], HEADERS[1:])
    return await open_stream(request, operations, view, scope, after, first, until_input=False)


async def open_stream(
    request: Request,
    operations: Operations,
    view: TaskView,
    scope: Scope,
    after: tuple[int, int],
    first: bytes,
    *,
    until_input: bool,
    headers: Headers | None = None,
) -> None:
    """Opens a stream in the plain dialect and returns when it is over. Raises Busy."""
    operations.streams.check(request.principal)
    stream = Stream(
        operations.streams,
        request.principal,
        request.receive,
        request.send,
        PLAIN,
        request.links,
        until_input=until_input,
    )
    request.started = True
    request.status = 200
    agent_no, task_id = request.release.agent_no, view.id
    del view
    await run_stream(stream, first, scope, agent_no, task_id, after, headers)
