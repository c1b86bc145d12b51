"""A skill's run that an MCP request waits for: begun, found again, looked at."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import InvalidParams, TaskNotFound
from a2a_cloud.model.run import StatusEvent
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.model.task import INTERRUPTED, SETTLED, Message, Part, Role, TaskState
from a2a_cloud.surface import narrowing, priority, spending
from a2a_cloud.surface.a2a.operations import Operations, trace_id
from a2a_cloud.surface.mcp.asking import Asking, McpCaller
from a2a_cloud.surface.mcp.files import file_parts
from a2a_cloud.surface.mcp.offer import Offered
from a2a_cloud.surface.parts import check_id
from a2a_cloud.surface.runs_port import Run
from a2a_cloud.wire.a2a_v1 import SendMessageConfiguration, SendMessageParams
from a2a_cloud.wire.mcp_content import Made, made
from a2a_cloud.wire.views import Delivered, RunView, TaskView

_encode = msgspec.json.Encoder().encode
TOOL, PROMPT, RESOURCE, RESULT = "tool", "prompt", "resource", "result"


class Look(NamedTuple):
    """A run as it is committed now. `seq` is the position of its last status."""

    state: TaskState
    status: StatusEvent | None
    seq: int
    view: RunView | None
    receipt_id: str


class _Settled:
    """A sink that waits for a run to end or to ask."""

    logs = False

    def __init__(self, ordinal: int) -> None:
        self._ordinal = ordinal
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def deliver(self, delivered: Delivered) -> None:
        """Looks at states only."""
        event = delivered.event
        if (
            isinstance(event, StatusEvent)
            and (event.state in SETTLED and delivered.ordinal >= self._ordinal)
            and not self.done.done()
        ):
            self.done.set_result(None)


class Work:
    """A run and what its answer is to be: the result of a tool, a prompt, a resource, a task (`purpose`,
    with `name` what was asked for)."""

    __slots__ = ("caller", "name", "offered", "operations", "ordinal", "purpose", "run", "scope", "task_id")

    def __init__(
        self,
        operations: Operations,
        caller: McpCaller,
        offered: Offered,
        task_id: str,
        ordinal: int,
        run: Run | None,
        purpose: str,
        name: str,
    ) -> None:
        self.operations = operations
        self.caller = caller
        self.offered = offered
        self.scope: Scope = owner_scope(caller.principal, caller.release.org_no)
        self.task_id = task_id
        self.ordinal = ordinal
        self.run = run
        self.purpose = purpose
        self.name = name

    async def accepted(self) -> None:
        """Returns once the run is on disk; only then its task may be named. Raises Problem."""
        if self.run is not None:
            await self.run.accepted()
            # A repeat of an earlier call has become that one's run.
            self.task_id, self.ordinal = self.run.task_id, self.run.ordinal

    async def settled(self) -> None:
        """Returns once the run has ended, or asks."""
        if self.run is not None:
            await self.run.settled()
            self.task_id, self.ordinal = self.run.task_id, self.run.ordinal
            return
        sink = _Settled(self.ordinal)
        runs = self.operations.services.runs
        subscription = runs.subscribe(self.scope, self.caller.release.agent_no, self.task_id, sink)
        try:
            if self.look().state not in SETTLED:
                await sink.done
        finally:
            subscription.close()

    def task(self) -> TaskView:
        """Its task, as it is committed. Raises TaskNotFound."""
        runs = self.operations.services.runs
        kept = None if self.run is None else runs.view(self.run)
        return kept or runs.task(self.scope, self.caller.release.agent_no, self.task_id)

    def look(self) -> Look:
        """The run as it is committed. A run that was answered by a message has no task: it is complete."""
        run = self.run
        if run is not None and run.reply is not None:
            return Look(TaskState.COMPLETED, None, 0, None, run.receipt_id)
        view = self.task()
        for shown in view.runs:
            if shown.ordinal == self.ordinal:
                for seq, event in reversed(shown.events):
                    if isinstance(event, StatusEvent):
                        return Look(event.state, event, seq, shown, shown.receipt_id)
                return Look(TaskState.SUBMITTED, None, 0, shown, "")
        raise TaskNotFound("There is no such task.")

    def made(self, look: Look) -> Made:
        """What it put out."""
        if look.view is None:
            reply = None if self.run is None else self.run.reply
            return Made(None, None, "", [], reply, "")
        return made(look.view.events)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.id if self.run is not None else ""


async def begin(
    operations: Operations,
    asking: Asking,
    offered: Offered,
    arguments: bytes | dict[str, Any],
    purpose: str,
    name: str,
    *,
    shown: bool,
) -> Work:
    """A run of the skill. `shown`: a task is shown before the outcome. Raises Problem: InvalidParams and
    ContentTypeNotSupported for arguments that do not fit."""
    caller = asking.caller(offered.release)
    spec = offered.spec
    parts: list[Part] = []
    if spec.files or not isinstance(arguments, bytes):
        given = read_arguments(arguments) if isinstance(arguments, bytes) else arguments
        if spec.files:
            given, parts = await file_parts(operations, caller, spec, given)
        arguments = _encode(given)
    elif arguments[:1] != b"{":
        read_arguments(arguments)
    data = b'{"arguments":' + arguments + b',"skill":' + _encode(spec.id) + b"}"
    key = _key(asking)
    ids = operations.services.ids
    message = Message(key or ids.new("msg"), Role.USER, [Part(data=Raw(data)), *parts])
    metadata = metadata_of(asking)
    if metadata is not None:
        message.metadata = metadata
    params = SendMessageParams(message=message, configuration=SendMessageConfiguration())
    call = await operations.calls.of_message(caller.release, caller.principal, params, shown=shown)
    if not key:
        call.key = ""
    call.dialect = caller.speaks
    if caller.traceparent:
        call.trace_id = trace_id(caller.traceparent)
    run = operations.services.runs.submit(call)
    return Work(operations, caller, offered, run.task_id, run.ordinal, run, purpose, name)


def read_arguments(raw: bytes) -> dict[str, Any]:
    """A call's arguments. Raises InvalidParams."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        if raw == b"null":
            return {}
        raise InvalidParams("The arguments have to be a JSON object.") from None


def _key(asking: Asking) -> str:
    given = asking.meta.key
    key = given if given is not UNSET else asking.request.idempotency_key.decode("latin-1").strip()
    if key:
        check_id(key, "a2a-cloud/key" if given is not UNSET else "Idempotency-Key")
    return key


def check_metadata(asking: Asking) -> None:
    """Raises InvalidParams for a grant, a priority, a budget or a key that can't be read."""
    metadata = metadata_of(asking)
    if metadata is not None:
        narrowing.of_metadata(metadata)
        priority.of_metadata(asking.principal, metadata)
        spending.of_metadata(metadata)
    _key(asking)


def metadata_of(asking: Asking) -> Raw | None:
    """What the caller leaves of the grant, how urgent it is and what it may cost, from `_meta` or else the
    headers."""
    found: dict[str, Any] = {}
    for name, given, header in (
        (narrowing.KEY, asking.meta.grant, asking.request.grant),
        (priority.KEY, asking.meta.priority, asking.request.priority),
        (spending.KEY, asking.meta.budget, asking.request.budget),
    ):
        if given is not UNSET:
            found[name] = given
        elif header:
            try:
                found[name] = msgspec.json.decode(header)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                found[name] = header.decode("latin-1")  # Refused where it is read, in its own words.
    return Raw(_encode(found)) if found else None


def interrupted(look: Look) -> bool:
    """Whether the run asks for something."""
    return look.state in INTERRUPTED
