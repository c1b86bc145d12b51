"""From a run to the answer: as JSON when it is quick, as an event stream when it takes longer, reports or
asks, as a task where the client knows tasks (2025-11-25 basic/transports; 2026-07-28 basic/patterns/mrtr and
the extension io.modelcontextprotocol/tasks).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import Busy, CapabilityRequired, Forbidden, InvalidParams, Problem, Refused
from a2a_cloud.model.task import INTERRUPTED, TERMINAL
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.mcp import questions, tasks
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.questions import Declined, Open
from a2a_cloud.surface.mcp.results import failure, meta_of, result_of
from a2a_cloud.surface.mcp.sealed import Sealer
from a2a_cloud.surface.mcp.work import PROMPT, RESOURCE, RESULT, TOOL, Look, Work, interrupted
from a2a_cloud.surface.request import JSON
from a2a_cloud.wire.mcp import encode, result
from a2a_cloud.wire.mcp_content import task_uri
from a2a_cloud.wire.mcp_errors import error_object
from a2a_cloud.wire.mcp_schema import Json

if TYPE_CHECKING:
    from a2a_cloud.surface.mcp.streaming import Calls

_canonical = msgspec.json.Encoder(order="sorted").encode
#: How long an answer is waited for before a stream, or a task, takes its place.
PATIENCE = 3.0
#: How long a client's user may take to answer what a call asked.
STATE_SECONDS = 86_400


class State(Struct, array_like=True):
    """What `requestState` says: which request it belongs to, whose it is, which question it asks."""

    server: str
    principal: int
    digest: str
    task_id: str
    ordinal: int
    seq: int
    until: int


class Identity:
    """What identifies a request, so that its state fits no other; worked out when it is wanted."""

    __slots__ = ("_arguments", "_method", "_name", "_text")

    def __init__(self, method: str, name: str, arguments: bytes) -> None:
        self._method = method
        self._name = name
        self._arguments = arguments
        self._text = ""

    @property
    def text(self) -> str:
        """The same for the same arguments, however they are written."""
        if not self._text:
            with suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                self._arguments = _canonical(msgspec.json.decode(self._arguments))
            head = f"{self._method}\0{self._name}\0".encode()
            self._text = sha256(head + self._arguments).hexdigest()[:32]
        return self._text


NOBODY = Identity("", "", b"")


class Following:
    """Brings runs' ends to those who asked."""

    def __init__(self, operations: Operations, sealer: Sealer) -> None:
        self.operations = operations
        self.sealer = sealer
        self.collected = questions.Collected()
        self.calls: Calls

    async def answer(self, asking: Asking, work: Work, identity: Identity = NOBODY) -> None:
        """Answers the request with what comes of the work."""
        if asking.session is None:
            return await self._answer(asking, work, identity)
        with self.calls.pending(asking.session.nonce, asking.id, work):
            return await self._answer(asking, work, identity)

    async def _answer(self, asking: Asking, work: Work, identity: Identity) -> None:
        await work.accepted()
        if work.offered.task == "must" and asking.modern:
            return await self._task(asking, work)
        if work.offered.task == "may" and asking.modern and asking.client.tasks:
            return await self._task(asking, work)
        if asking.streams and work.purpose != RESULT and (asking.token or asking.level):
            return await self.calls.stream(asking, work, identity)
        patience = PATIENCE if asking.streams else None
        while True:
            try:
                async with asyncio.timeout(patience):
                    await work.settled()
            except TimeoutError:
                if asking.modern and asking.client.tasks and work.purpose == TOOL:
                    return await self._task(asking, work)
                try:
                    return await self.calls.stream(asking, work, identity)
                except Busy:  # Too many streams are open: this one is waited for without.
                    patience = None
                    continue
            look = work.look()
            by_stream = interrupted(look) and not asking.modern and asking.streams
            if by_stream and questions.for_client(questions.opened(look), asking.client):
                return await self.calls.stream(asking, work, identity)
            body = await self.conclude(asking, work, identity)
            if body is not None:
                return await asking.request.answer(200, body, JSON)

    async def _task(self, asking: Asking, work: Work) -> None:
        body = tasks.document(work, modern=True)
        await asking.answer({"resultType": "task", **body})

    async def conclude(self, asking: Asking, work: Work, identity: Identity) -> bytes | None:
        """The answer to the request, whole; None: the run goes on, with an answer that it had asked for."""
        try:
            look = work.look()
            if look.state in TERMINAL:
                body = await result_of(work, look)
                if work.purpose == RESOURCE:
                    body = asking.cached(body, 0)
                return result(asking.id, asking.whole(body))
            if look.state in INTERRUPTED:
                met = await self._meet(asking, work, look, identity)
                return None if met is None else result(asking.id, met)
        except Problem as problem:
            fault = error_object(problem, modern=asking.modern)
            return b'{"jsonrpc":"2.0","id":' + asking.id + b',"error":' + encode(fault) + b"}"
        return None

    async def _meet(self, asking: Asking, work: Work, look: Look, identity: Identity) -> Json | None:
        """What the client is told of a run that asks; None when its answer was there, and was given."""
        found = questions.opened(look)
        wanted = questions.for_client(found, asking.client)
        if work.purpose in (PROMPT, RESOURCE) and not (asking.modern and wanted):
            raise CapabilityRequired(
                f"This asks something, which the client can't be asked: {found.text}",
                info={"capability": "elicitation", "taskId": work.task_id},
            )
        if not asking.modern or not wanted:
            return asking.whole(_unanswered(work, look, found))
        named = questions.names(work, look, wanted, found=found, unique=False)
        said, asking.responses = asking.responses, {}
        if asking.seq not in (0, look.seq):
            said = {}  # Meant for an earlier question.
        given = questions.plain_names(said, wanted, named)
        if given.keys() >= wanted.keys():
            try:
                answered = await questions.answer(work, found, given)
            except Declined:
                return asking.whole(await self.declined(work, look))
            except Forbidden as problem:
                return asking.whole(_unanswered(work, look, found, problem))
            now = work.look()
            if answered and not (interrupted(now) and now.seq == look.seq):
                return None
            if answered:  # One of several who have to decide: others are waited for.
                return asking.whole(_unanswered(work, look, found))
        until = int(self.operations.services.clock.now()) + STATE_SECONDS
        state = State(
            asking.toolbox.id,
            asking.principal.no,
            identity.text,
            work.task_id,
            work.ordinal,
            look.seq,
            until,
        )
        body: Json = {
            "resultType": "input_required",
            "inputRequests": named,
            "requestState": self.sealer.seal("state", state),
        }
        return {**asking.whole({"_meta": meta_of(work, look)}), **body}

    async def declined(self, work: Work, look: Look) -> Json:
        """Ends a run whose question nobody wants to answer."""
        caller = work.caller
        with suppress(Problem):  # It ended in the meantime, or somebody else answered: that stands.
            await self.operations.services.runs.cancel(work.scope, caller.release.agent_no, work.task_id)
        return failure(Refused("The question was declined, so the run was canceled."), meta_of(work, look))

    def resume(self, asking: Asking, work_of: Any, identity: Identity) -> Work | None:
        """The work that `requestState` belongs to. Raises InvalidParams for a state that isn't good."""
        if not asking.state:
            return None
        said = self.sealer.open("state", asking.state, State)
        if (
            said is None
            or said.server != asking.toolbox.id
            or said.principal != asking.principal.no
            or said.digest != identity.text
        ):
            raise InvalidParams(
                "requestState is not what this server gave out for this request.",
                remedy="Send it back unchanged, with the same params; or leave it out and begin anew.",
                info={"field": "requestState"},
            )
        if said.until < self.operations.services.clock.now():
            raise InvalidParams(
                "requestState has expired.", remedy="Call again without it.", info={"field": "requestState"}
            )
        asking.seq = said.seq
        return work_of(said)


def _unanswered(work: Work, look: Look, found: Open, problem: Problem | None = None) -> Json:
    """A result that says what the run waits for, to a client that can't be asked."""
    meta = meta_of(work, look)
    if found.approval:
        why = "" if problem is None else f" {problem.detail}"
        text = (
            f"The run waits for an approval: {found.text}{why}\nIt goes on when somebody who may decides "
            f"(a2a approvals approve {found.approval}). Its result is then in the resource "
            f"{task_uri(work.task_id)}."
        )
        meta["a2a-cloud/approval"] = found.approval
    else:
        text = (
            f"The tool asks: {found.text}\nThis client can't ask its user. Answer with the tool "
            f'{tasks.ANSWER_TOOL} and {{"task_id": "{work.task_id}", "answer": …}}, or with a message to '
            f"the task {work.task_id}."
        )
        meta["a2a-cloud/question"] = {"text": found.text, "schema": found.schema}
    return {"content": [{"type": "text", "text": text}], "isError": True, "_meta": meta}
