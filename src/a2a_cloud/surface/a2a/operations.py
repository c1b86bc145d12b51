"""A2A's operations (specification 1.0, section 3.1), once for every dialect and binding: those differ in
how params come and bytes go.

Params and results are the shapes of 1.0 (wire/a2a_v1, model/task); a dialect translates on both sides.
What begins a stream is an `Opening`: how its events travel from there is the binding's.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import (
    InvalidParams,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a_cloud.model.run import PushTarget
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.model.task import INTERRUPTED, SETTLED, TERMINAL, Message, Task, TaskState
from a2a_cloud.surface.a2a import push
from a2a_cloud.surface.a2a.cards import Cards, check_extended
from a2a_cloud.surface.a2a.checks import Caller, check_history, check_tenant, check_version, trace_id
from a2a_cloud.surface.a2a.deciding import Decided, decide, told
from a2a_cloud.surface.a2a.extensions import activated
from a2a_cloud.surface.a2a.openings import Opening, position_of, resumed, until_run
from a2a_cloud.surface.calls import Calls
from a2a_cloud.surface.framing import TaskFraming
from a2a_cloud.surface.links import AgentLinks
from a2a_cloud.surface.parts import check_id
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Headers, Request
from a2a_cloud.surface.runs_port import Run
from a2a_cloud.surface.streams import HEADERS, Stream, Streams
from a2a_cloud.wire import a2a_render
from a2a_cloud.wire.a2a_v1 import (
    GetTaskParams,
    ListPushConfigsParams,
    ListTasksParams,
    PushConfigList,
    PushConfigParams,
    SendMessageParams,
    TaskIdParams,
    TaskPushNotificationConfig,
    read_timestamp,
    task_state,
)
from a2a_cloud.wire.hitl import Decision, response_in
from a2a_cloud.wire.sse import KEEP_ALIVE, position_line
from a2a_cloud.wire.transitions import OLDER, STATES, transitions
from a2a_cloud.wire.views import Delivered, TaskView

_MAX_PAGE = 100
_DEFAULT_PAGE = 50
_CONFIG = "configuration.taskPushNotificationConfig."


class _UntilSettled:
    """A sink that waits for a task to end or to ask, for a blocking call whose task has a follow-up."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def deliver(self, delivered: Delivered) -> None:
        """Looks at states only."""
        state = getattr(delivered.event, "state", None)
        if (delivered.closes or state in INTERRUPTED) and not self.done.done():
            self.done.set_result(None)


class Named(NamedTuple):
    """What a caller calls the task that a message begins, and the id of the task, ended by now, that had the
    name until then; "" for none."""

    name: str = ""
    before: str = ""


NO_NAME = Named()


class Operations:
    """The operations, over the planes below."""

    __slots__ = ("_runs", "calls", "cards", "services", "streams")

    def __init__(self, services: Services, calls: Calls, streams: Streams) -> None:
        self.services = services
        self._runs = services.runs
        self.calls = calls
        self.streams = streams
        self.cards = Cards(services)

    # --- SendMessage ------------------------------------------------------------------------------------

    async def send_message(
        self, caller: Caller, params: SendMessageParams, *, named: Named = NO_NAME, shown: bool = False
    ) -> Task | Message:
        """The task, settled or as it was accepted, or the answer that made none; `shown`: there is always
        a task. `named` is what a caller of an older dialect calls the one that begins. Raises NameTaken."""
        if params.message.extensions is not UNSET:
            decision = response_in(params.message)
            if isinstance(decision, Decision):
                return await self._decide(caller, params, decision)
        run, at_once = await self._submit(caller, params, shown=shown, named=named)
        release = caller.release
        await (run.accepted() if at_once else run.settled())
        if run.reply is not None:
            return _reply(run, caller.links)
        scope = owner_scope(caller.principal, release.org_no)
        view = self._runs.view(run) or self._runs.task(scope, release.agent_no, run.task_id)
        if not at_once and view.state not in SETTLED:
            view = await self._task_settled(scope, release.agent_no, run.task_id)
        return a2a_render.task(view, caller.links, params.configuration.history_length)

    async def submit_task(self, caller: Caller, params: SendMessageParams) -> Task:
        """The task, as soon as the acceptance is on disk: `POST /tasks`."""
        params.configuration = msgspec.structs.replace(params.configuration, return_immediately=True)
        run, _ = await self._submit(caller, params)
        await run.accepted()
        release = caller.release
        view = self._runs.task(owner_scope(caller.principal, release.org_no), release.agent_no, run.task_id)
        return a2a_render.task(view, caller.links, params.configuration.history_length)

    async def _submit(
        self, caller: Caller, params: SendMessageParams, *, shown: bool = False, named: Named = NO_NAME
    ) -> tuple[Run, bool]:
        configuration = params.configuration
        extensions = self._check(caller, params)
        target: PushTarget | None = None
        config = configuration.task_push_notification_config
        if config is not UNSET and config is not None:
            target = await push.target_of(self.services.push, caller, config, _CONFIG)
            shown = True  # Who wants to hear of a task has one.
        if named is not NO_NAME:
            shown = True
        call = await self.calls.of_message(caller.release, caller.principal, params, shown=shown)
        call.dialect = caller.speaks
        call.push = target
        if named is not NO_NAME:
            call.name, call.name_before = named
        if extensions:
            call.extensions = extensions
        if caller.traceparent:
            call.trace_id = trace_id(caller.traceparent)
        return self._runs.submit(call), configuration.return_immediately

    def _check(self, caller: Caller, params: SendMessageParams) -> list[str] | None:
        """What is checked of every message, whatever it says; the extensions that are active for it. Raises
        AgentNotFound, InvalidParams, ExtensionSupportRequired."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        length = params.configuration.history_length
        if length is not UNSET:
            check_history(length)
        release, message = caller.release, params.message
        if caller.extensions or message.extensions is not UNSET or release.manifest.extensions:
            return activated(release, caller.extensions, message, caller.speaks)
        return None

    async def _decided(self, caller: Caller, params: SendMessageParams, decision: Decision) -> Decided:
        """What came of a decision. Who sends a push config with it hears of what follows."""
        self._check(caller, params)
        config = params.configuration.task_push_notification_config
        if config is not UNSET and config is not None:
            task_id = "" if params.message.task_id is UNSET else params.message.task_id
            config = msgspec.structs.replace(config, task_id=task_id)
            await push.create(self.services.push, caller, config, "", _CONFIG)
        return await decide(self.services, caller, params.message, decision)

    async def _decide(self, caller: Caller, params: SendMessageParams, decision: Decision) -> Task | Message:
        """The task once what was decided has come to something, or what came of it for somebody else."""
        approval, before = await self._decided(caller, params, decision)
        if before is None:
            return told(params.message, approval)
        view = self.find(caller, before.id)
        configuration = params.configuration
        if not configuration.return_immediately and view.state not in SETTLED:
            scope = owner_scope(caller.principal, caller.release.org_no)
            view = await self._task_settled(scope, caller.release.agent_no, before.id)
        return a2a_render.task(view, caller.links, configuration.history_length)

    async def _task_settled(self, scope: Scope, agent_no: int, task_id: str) -> TaskView:
        """The task once it has ended or asks: the run is over, and a follow-up goes on."""
        while True:
            sink = _UntilSettled()
            subscription = self._runs.subscribe(scope, agent_no, task_id, sink)
            try:
                view = self._runs.task(scope, agent_no, task_id)
                if view.state in SETTLED:
                    return view
                await sink.done
            finally:
                subscription.close()

    # --- streams ----------------------------------------------------------------------------------------

    async def open_message(
        self, caller: Caller, params: SendMessageParams, *, named: Named = NO_NAME
    ) -> Opening:
        """SendStreamingMessage: the task, then what happens to it, until it ends or asks (11.7). `named` as
        of `send_message`."""
        self.streams.check(caller.principal)
        release = caller.release
        scope = owner_scope(caller.principal, release.org_no)
        message = params.message
        if message.extensions is not UNSET:
            decision = response_in(message)
            if isinstance(decision, Decision):
                return await self._open_decision(caller, params, decision, scope)
        before: TaskView | None = None
        if message.task_id is not UNSET and message.task_id:
            before = self._runs.task(scope, release.agent_no, message.task_id)
        run, _ = await self._submit(caller, params, shown=True, named=named)
        await run.accepted()
        if run.reply is not None:
            # A retry of a call that was answered by a Message: there is no task to show.
            return Opening(_reply(run, caller.links), scope, "", (0, 0), 0, True)
        view, after = self._start_of(run, before, scope, release.agent_no)
        first = view is not before and run.ordinal == 1
        state = TaskState.SUBMITTED if first else TaskState.WORKING
        task = a2a_render.task(view, caller.links, params.configuration.history_length, state=state)
        return Opening(task, scope, run.task_id, after, a2a_render.text_begun(view), True)

    async def _open_decision(
        self, caller: Caller, params: SendMessageParams, decision: Decision, scope: Scope
    ) -> Opening:
        approval, before = await self._decided(caller, params, decision)
        if before is None:
            return Opening(told(params.message, approval), scope, "", (0, 0), 0, True)
        length = params.configuration.history_length
        if approval.open:  # Another has to decide too: nothing happens to the task before.
            return Opening(a2a_render.task(before, caller.links, length), scope, "", (0, 0), 0, True)
        task = a2a_render.task(before, caller.links, length, state=TaskState.WORKING)
        return Opening(task, scope, before.id, position_of(before), a2a_render.text_begun(before), True)

    def _start_of(
        self, run: Run, before: TaskView | None, scope: Scope, agent_no: int
    ) -> tuple[TaskView, tuple[int, int]]:
        """The task as it was when the run (or its answer) began, and the position of that.

        A retry of an earlier message finds its run, and sees it from its first event.
        """
        if before is not None and before.state in INTERRUPTED and before.runs[-1].ordinal == run.ordinal:
            last = before.runs[-1].events
            return before, (run.ordinal, last[-1][0] if last else 0)
        view = self._runs.task(scope, agent_no, run.task_id)
        return until_run(view, run.ordinal), (run.ordinal, 0)

    def open_task(self, caller: Caller, task_id: str, since: tuple[int, int] | None = None) -> Opening:
        """SubscribeToTask: the task now, then what happens to it until it ends (3.1.6).

        `since`: the caller had a stream and saw all up to that position: it goes on from there, to the
        task's end if that was in the meantime.
        """
        view = self.find(caller, task_id)
        if since is not None:
            self.streams.check(caller.principal)
            scope = owner_scope(caller.principal, caller.release.org_no)
            ended = view.state in TERMINAL and since >= position_of(view)
            return Opening(
                None, scope, "" if ended else view.id, since, a2a_render.text_begun(view, since), False
            )
        if view.state in TERMINAL:
            raise UnsupportedOperation(
                f"The task has ended ({view.state.short}): there is nothing to subscribe to.",
                remedy="Read it with GetTask.",
                info={"taskId": view.id},
            )
        self.streams.check(caller.principal)
        scope = owner_scope(caller.principal, caller.release.org_no)
        task = a2a_render.task(view, caller.links)
        return Opening(task, scope, view.id, position_of(view), a2a_render.text_begun(view), False)

    async def stream(self, request: Request, opening: Opening, framing: TaskFraming) -> None:
        """An SSE answer that begins with `opening`; returns when it is over."""
        first = b"" if opening.shown is None else framing.first(opening.shown)
        if opening.task_id:
            first = position_line(opening.after) + first if first else KEEP_ALIVE
        headers = request.used_extensions() if request.extensions else None
        if not opening.task_id:
            await request.answer(200, first, HEADERS[0][1], HEADERS[1:])
            return
        stream = Stream(
            self.streams,
            request.principal,
            request.receive,
            request.send,
            framing,
            request.links,
            until_input=opening.until_input,
            text_begun=opening.text_begun,
        )
        _, scope, task_id, after, _, _ = opening
        request.started = True
        request.status = 200
        # The frames of this call stay as long as the stream is open: let go of what it doesn't need.
        del opening
        await run_stream(stream, first, scope, request.release.agent_no, task_id, after, headers)

    # --- tasks ------------------------------------------------------------------------------------------

    def find(self, caller: Caller, task_id: str) -> TaskView:
        """The caller's task. Raises TaskNotFound."""
        if not task_id or len(task_id) > 256 or not task_id.isprintable():
            raise TaskNotFound("There is no such task.")
        release = caller.release
        return self._runs.task(owner_scope(caller.principal, release.org_no), release.agent_no, task_id)

    def get_task(self, caller: Caller, params: GetTaskParams) -> Task:
        """GetTask."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        if params.history_length is not UNSET:
            check_history(params.history_length)
        view = self.find(caller, params.id)
        task = a2a_render.task(view, caller.links, params.history_length)
        if caller.speaks in OLDER and task.metadata is not UNSET:
            task.metadata[STATES] = transitions(view)
        return task

    def list_tasks(self, caller: Caller, params: ListTasksParams) -> a2a_render.TaskList:
        """ListTasks: newest status first."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        size = _DEFAULT_PAGE if params.page_size is UNSET else params.page_size
        if not 1 <= size <= _MAX_PAGE:
            raise InvalidParams(
                f"pageSize is {size}; it has to be from 1 to {_MAX_PAGE}.", info={"field": "pageSize"}
            )
        if params.history_length is not UNSET:
            check_history(params.history_length)
        if params.context_id:
            check_id(params.context_id, "contextId")
        state = task_state(params.status)
        after = (
            read_timestamp(params.status_timestamp_after, "statusTimestampAfter")
            if params.status_timestamp_after
            else None
        )
        if len(params.page_token) > 512:
            raise InvalidParams("pageToken is not one of ours.", info={"field": "pageToken"})
        release = caller.release
        if caller.principal.anonymous and not release.manifest.anonymous_list:
            return a2a_render.TaskList([], "", size, 0)
        page = self._runs.tasks(
            owner_scope(caller.principal, release.org_no),
            release.agent_no,
            context_id=params.context_id,
            state=state,
            after=after,
            limit=size,
            cursor=params.page_token,
        )
        tasks = [
            a2a_render.task(view, caller.links, params.history_length, params.include_artifacts)
            for view in page.tasks
        ]
        if params.include_artifacts:
            for task in tasks:
                if task.artifacts is UNSET:
                    task.artifacts = []
        return a2a_render.TaskList(tasks, page.next, size, page.total)

    async def cancel_task(self, caller: Caller, params: TaskIdParams) -> Task:
        """CancelTask: the task, canceled."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        release = caller.release
        self.find(caller, params.id)
        scope = owner_scope(caller.principal, release.org_no)
        await self._runs.cancel(scope, release.agent_no, params.id)
        return a2a_render.task(self._runs.task(scope, release.agent_no, params.id), caller.links)

    # --- push configs -----------------------------------------------------------------------------------

    async def create_push_config(
        self, caller: Caller, params: TaskPushNotificationConfig, name: str = ""
    ) -> TaskPushNotificationConfig:
        """CreateTaskPushNotificationConfig: the config as it is kept. `name`: what an older dialect's caller
        calls the task."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        return await push.create(self.services.push, caller, params, name)

    def get_push_config(self, caller: Caller, params: PushConfigParams) -> TaskPushNotificationConfig:
        """GetTaskPushNotificationConfig."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        return push.get(self.services.push, caller, params)

    def list_push_configs(self, caller: Caller, params: ListPushConfigsParams) -> PushConfigList:
        """ListTaskPushNotificationConfigs."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        return push.listed(self.services.push, caller, params)

    async def delete_push_config(self, caller: Caller, params: PushConfigParams) -> None:
        """DeleteTaskPushNotificationConfig."""
        if params.tenant:
            check_tenant(caller.release, params.tenant)
        await push.delete(self.services.push, caller, params)

    # --- the agent --------------------------------------------------------------------------------------

    def extended_card(self, caller: Caller, tenant: str = "") -> msgspec.Raw:
        """GetExtendedAgentCard, as JSON for readers of each generation. Raises UnsupportedOperation,
        ExtendedAgentCardNotConfigured, Unauthenticated."""
        if tenant:
            check_tenant(caller.release, tenant)
        check_extended(caller.release, caller.principal.anonymous, caller.speaks)
        return msgspec.Raw(self.cards.extended(caller.release, caller.links.base).body)


async def run_stream(
    stream: Stream,
    first: bytes,
    scope: Scope,
    agent_no: int,
    task_id: str,
    after: tuple[int, int],
    headers: Headers | None = None,
) -> None:
    """Opens a stream and returns when it is over."""
    await stream.start(first, headers)
    try:
        stream.subscribe(scope, agent_no, task_id, after)
    except BaseException:
        stream.fail()
        raise
    finally:
        await stream.wait()


def _reply(run: Run, links: AgentLinks) -> Message:
    assert run.reply is not None
    return a2a_render.reply(run.reply, links, run.id, run.receipt_id, run.context_id)


__all__ = [
    "NO_NAME",
    "Caller",
    "Named",
    "Opening",
    "Operations",
    "check_tenant",
    "check_version",
    "position_of",
    "resumed",
    "run_stream",
    "trace_id",
]
