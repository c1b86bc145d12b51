"""A2A before 0.2: `tasks/send` and its kin, where the caller chooses the task's id.

The id is a name that this caller gives a task of this agent: somebody else's same name is another task.
The same name again is a follow-up; where the task has ended, as callers of that time expect, a new one
begins in the same session and gets the name. Callers without a key are told apart by nothing but what
can't be guessed: a name of theirs has to be a random UUID.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import IdempotencyConflict, InvalidParams, NameTaken, TaskNotFound
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.model.task import TERMINAL, Task
from a2a_cloud.surface.a2a.older_framing import EarlyFraming
from a2a_cloud.surface.a2a.operations import NO_NAME, Named, Opening, Operations, resumed
from a2a_cloud.surface.a2a.v03 import answer, push_of, read_task_push
from a2a_cloud.surface.names_port import Names
from a2a_cloud.surface.request import Request
from a2a_cloud.wire import a2a_early
from a2a_cloud.wire.a2a_v1 import GetTaskParams, SendMessageParams, TaskIdParams
from a2a_cloud.wire.members import Members

R = TypeVar("R")
#: How often a task is looked for that another call of the same caller begins at the same moment.
_TRIES = 3
_OURS = "task_"
_UUID4 = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}\Z", re.I | re.ASCII
)


def _names(operations: Operations) -> Names:
    names = operations.services.names
    assert names is not None, "the platform was put together without names"
    return names


def _scope(request: Request) -> Scope:
    return owner_scope(request.principal, request.release.org_no)


def is_name(request: Request, operations: Operations, params: Members) -> bool:
    """Whether the request's id is a name that the caller gave; the answer is then in early words."""
    name = params.needed("id")
    known = bool(_names(operations).task(_scope(request), request.release.agent_no, name))
    if known:
        request.speaks = "a2a-0.2"
    return known


def _task_id(request: Request, operations: Operations, name: str) -> str:
    """The id of the task of that name, or of that id. Raises TaskNotFound."""
    found = _names(operations).task(_scope(request), request.release.agent_no, name)
    return found or operations.find(request, name).id


# --- sending --------------------------------------------------------------------------------------------


async def send(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/send`: waits until the task has ended or asks."""

    async def operate(asked: SendMessageParams, named: Named) -> Task:
        task = await operations.send_message(request, asked, named=named)
        assert isinstance(task, Task), "a named task was shown before its outcome"
        return task

    sent = a2a_early.read_send(params)
    task = await _send(request, operations, sent, operate)
    await answer(request, a2a_early.task(task, sent.name))


async def send_subscribe(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/sendSubscribe`."""

    async def operate(asked: SendMessageParams, named: Named) -> Opening:
        return await operations.open_message(request, asked, named=named)

    sent = a2a_early.read_send(params)
    name = sent.name
    opening = await _send(request, operations, sent, operate)
    del params, sent  # An open stream keeps nothing of what opened it.
    await operations.stream(request, opening, EarlyFraming(request.rpc_id, name))


async def _send(
    request: Request,
    operations: Operations,
    sent: a2a_early.Sent,
    operate: Callable[[SendMessageParams, Named], Awaitable[R]],
) -> R:
    """Sends the message to the task of that name, or begins one. Raises Problem."""
    message = sent.params.message
    repeated = bool(message.message_id) and operations.services.runs.used(
        request.release, request.principal, message.message_id
    )
    if repeated:
        # The retry of what began the task, or of a follow-up: it has to be the same call again.
        try:
            return await operate(own_copy(sent.params), NO_NAME)
        except IdempotencyConflict:
            pass
    elif not message.message_id:
        message.message_id = operations.services.ids.new("msg")
    for _ in range(_TRIES - 1):
        try:
            return await operate(*_aimed(request, operations, sent, ended=repeated))
        except NameTaken:
            continue
    return await operate(*_aimed(request, operations, sent, ended=repeated))


def _aimed(
    request: Request, operations: Operations, sent: a2a_early.Sent, *, ended: bool
) -> tuple[SendMessageParams, Named]:
    """The message with the task that it goes to, or the name of the task that it begins.

    `ended`: a task that has ended keeps its name; the message may be the retry of one to it.
    """
    params = own_copy(sent.params)
    message = params.message
    scope, agent_no = _scope(request), request.release.agent_no
    task_id = _names(operations).task(scope, agent_no, sent.name)
    if not task_id and sent.name.startswith(_OURS):
        try:
            task_id = operations.find(request, sent.name).id
        except TaskNotFound:
            raise InvalidParams(
                f"There is no task of that id, and a task's own name can't begin with {_OURS}.",
                remedy="Choose another id, such as a random UUID.",
                info={"field": "id"},
            ) from None
        message.task_id = task_id
        return params, NO_NAME
    if task_id:
        view = operations.find(request, task_id)
        if view.state not in TERMINAL or ended:
            message.task_id = task_id
            return params, NO_NAME
        if message.context_id is UNSET:
            message.context_id = view.context_id
    elif request.principal.anonymous and not _UUID4.match(sent.name):
        raise InvalidParams(
            "Without a key a task's id has to be a random UUID (version 4), so that nobody else guesses it.",
            remedy="Send such an id, or send a key.",
            info={"field": "id"},
        )
    return params, Named(sent.name, task_id)


def own_copy(params: SendMessageParams) -> SendMessageParams:
    """A try's own message: large parts of it move to objects, and a further try needs them again."""
    message = params.message
    parts = [msgspec.structs.replace(part) for part in message.parts]
    return msgspec.structs.replace(params, message=msgspec.structs.replace(message, parts=parts))


# --- tasks ----------------------------------------------------------------------------------------------


async def get(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/get`, by the caller's name. Without historyLength there is no history in the answer."""
    name = a2a_early.read_name(params)
    length = params.whole("historyLength")
    asked = GetTaskParams(_task_id(request, operations, name), 0 if length is UNSET else length)
    await answer(request, a2a_early.task(operations.get_task(request, asked), name))


async def cancel(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/cancel`, by the caller's name."""
    name = a2a_early.read_name(params)
    task = await operations.cancel_task(request, TaskIdParams(_task_id(request, operations, name)))
    task.history = UNSET
    await answer(request, a2a_early.task(task, name))


async def resubscribe(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/resubscribe`, by the caller's name."""
    name = a2a_early.read_name(params)
    opening = operations.open_task(request, _task_id(request, operations, name), resumed(request))
    framing = EarlyFraming(request.rpc_id, name)
    await operations.stream(request, opening._replace(until_input=True), framing)


async def set_push(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/pushNotification/set`."""
    name = a2a_early.read_name(params)
    config = read_task_push(params, _task_id(request, operations, name))
    await answer(request, a2a_early.push(await operations.create_push_config(request, config, name), name))


async def get_push(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/pushNotification/get`."""
    name = a2a_early.read_name(params)
    config = push_of(request, operations, _task_id(request, operations, name))
    await answer(request, a2a_early.push(config, name))
