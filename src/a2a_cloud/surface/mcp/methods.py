"""MCP's methods, as far as both revisions have them: lists, calls, prompts, resources, completion. What only
one revision has stands in `surface/mcp/server.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import (
    Busy,
    CapabilityRequired,
    ContentTypeNotSupported,
    IdempotencyConflict,
    InvalidParams,
    MethodNotFound,
    Problem,
    ResourceNotFound,
)
from a2a_cloud.model.task import INTERRUPTED, Message, Part, Role
from a2a_cloud.surface.accounting_port import price_of
from a2a_cloud.surface.api.registry import served
from a2a_cloud.surface.mcp import tasks as mcp_tasks
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.catalogue import (
    CALL,
    CALL_TOOL,
    SEARCH,
    SEARCH_TOOL,
    search,
)
from a2a_cloud.surface.mcp.following import Following, Identity, State
from a2a_cloud.surface.mcp.listening import MAX_TASKS, Listening
from a2a_cloud.surface.mcp.offer import Offered, prompt_document, tool_document
from a2a_cloud.surface.mcp.resources import Resources
from a2a_cloud.surface.mcp.results import failure
from a2a_cloud.surface.mcp.sessions import MAX_URIS
from a2a_cloud.surface.mcp.tasks import ANSWER_TOOL, Tasks
from a2a_cloud.surface.mcp.work import PROMPT, RESOURCE, TOOL, Work, begin, check_metadata, read_arguments
from a2a_cloud.wire.a2a_v1 import SendMessageConfiguration, SendMessageParams
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.mcp import (
    TASKS,
    CallParams,
    CompleteParams,
    Filter,
    ListenParams,
    PageParams,
    Params,
    PromptParams,
    TaskParams,
    UriParams,
    encode,
)
from a2a_cloud.wire.mcp_schema import Json, input_schema

#: Methods that both kinds of revision have.
BOTH: dict[str, type[Params]] = {
    "tools/list": PageParams,
    "tools/call": CallParams,
    "prompts/list": PageParams,
    "prompts/get": PromptParams,
    "resources/list": PageParams,
    "resources/templates/list": PageParams,
    "resources/read": UriParams,
    "completion/complete": CompleteParams,
    "tasks/get": TaskParams,
    "tasks/cancel": TaskParams,
}

PAGE = 100
LIST_MILLISECONDS = 60_000
_COMPLETIONS = 100
_ANSWER: Json = {
    "name": ANSWER_TOOL,
    "title": "Answer a question",
    "description": "Answers a question that another tool of this server asked in the middle of its work, and "
    "gives that tool's result. Ask the user; do not make the answer up.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "task_id": {"type": "string", "description": "The task that asked."},
            "answer": {"description": "What the user answers: a text, or JSON that fits the question."},
        },
        "required": ["task_id", "answer"],
    },
}


class Methods:
    """The methods, over the parts that know how."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self.operations = following.operations
        self.tasks = Tasks(self.operations, following.collected)
        self.resources = Resources(self.operations)

    async def serve(self, asking: Asking, method: str, params: Any) -> None:
        """Answers one of `BOTH`."""
        if method == "tools/call":
            return await self.call_tool(asking, params)
        if method == "tools/list":
            return await self.list_tools(asking, params)
        if method == "prompts/list":
            return await self.list_prompts(asking, params)
        if method == "prompts/get":
            return await self.get_prompt(asking, params)
        if method == "resources/list":
            return await self.list_resources(asking, params)
        if method == "resources/templates/list":
            return await self.list_templates(asking, params)
        if method == "resources/read":
            return await self.read_resource(asking, params)
        if method == "completion/complete":
            return await self.complete(asking, params)
        if method == "tasks/get":
            return await asking.answer(await self.tasks.get(asking, params.task_id))
        assert method == "tasks/cancel"
        return await asking.answer(await self.tasks.cancel(asking, params.task_id))

    # --- tools ------------------------------------------------------------------------------------------

    async def list_tools(self, asking: Asking, params: PageParams) -> None:
        """tools/list. A client that can't ask its user gets a tool to bring answers with."""
        box = asking.toolbox
        offered, follow = _page(() if box.many else box.tools, params.cursor)
        accounting = self.operations.services.accounting
        tools = [
            tool_document(one, modern=asking.modern, price=price_of(accounting, one.release, one.spec.id))
            for one in offered
        ]
        if box.many:
            tools += [SEARCH, CALL]
        if not follow and not asking.client.form:
            tools.append(_ANSWER)
        await self._list(asking, "tools", tools, follow)

    async def _list(self, asking: Asking, name: str, items: list[Json], follow: str) -> None:
        body: Json = {name: items}
        if follow:
            body["nextCursor"] = follow
        await asking.answer(asking.cached(body, LIST_MILLISECONDS, public=asking.toolbox.public))

    async def call_tool(self, asking: Asking, params: CallParams) -> None:
        """tools/call."""
        offered = asking.toolbox.tool(params.name)
        if offered is None:
            if params.name == ANSWER_TOOL:
                return await self._answer(asking, params)
            if asking.toolbox.searched and params.name in (SEARCH_TOOL, CALL_TOOL):
                return await self._catalogued(asking, params)
            raise InvalidParams(
                f"There is no tool {readable(params.name)}.", remedy="See tools/list.", info={"field": "name"}
            )
        self._check_client(asking, offered)
        arguments = bytes(params.arguments)
        identity = Identity("tools/call", params.name, arguments)
        work = self._resumed(asking, offered, params, identity, TOOL, params.name)
        if work is None:
            check_metadata(asking)
            if asking.streams and (asking.token or asking.level):
                self.operations.streams.check(asking.principal)  # Before there is a run that nobody hears of.
            as_task = not asking.modern and isinstance(params.task, dict)
            shown = as_task or bool(asking.token or asking.level or offered.task or asking.client.tasks)
            try:
                work = await begin(
                    self.operations, asking, offered, arguments, TOOL, params.name, shown=shown
                )
                if as_task:
                    await work.accepted()
                    body = mcp_tasks.document(work, modern=False)
                    return await asking.answer({"task": body})
            except (InvalidParams, ContentTypeNotSupported, ResourceNotFound) as problem:
                if isinstance(problem, IdempotencyConflict):
                    raise
                # What doesn't fit a tool is for the model to read, and to do better.
                return await asking.answer(failure(problem, {}))
        return await self.following.answer(asking, work, identity)

    def _check_client(self, asking: Asking, offered: Offered) -> None:
        for name in offered.requires:
            if not asking.client.has(name):
                raise CapabilityRequired(
                    f"The tool {offered.name} needs a client that can do {name}.", info={"capability": name}
                )
        if asking.modern and offered.task == "must" and not asking.client.tasks:
            raise CapabilityRequired(
                f"The tool {offered.name} answers with tasks alone.",
                info={"capability": f"extensions.{TASKS}"},
            )

    def _resumed(
        self,
        asking: Asking,
        offered: Offered,
        params: CallParams | PromptParams | UriParams,
        identity: Identity,
        purpose: str,
        name: str,
    ) -> Work | None:
        """The work that a retry goes on with (2026-07-28), its client's answers put where they are read."""
        if not asking.modern:
            return None
        if params.input_responses is not UNSET:
            asking.responses = params.input_responses
        asking.state = "" if params.request_state is UNSET else params.request_state

        def found(said: State) -> Work:
            caller = asking.caller(offered.release)
            return Work(self.operations, caller, offered, said.task_id, said.ordinal, None, purpose, name)

        return self.following.resume(asking, found, identity)

    async def _catalogued(self, asking: Asking, params: CallParams) -> None:
        """The two tools of a catalogue: search, and call what was found."""
        given = read_arguments(bytes(params.arguments))
        if params.name == SEARCH_TOOL:
            finder = served(self.operations.services)
            principal = asking.request.principal
            accounting = self.operations.services.accounting
            found = await search(
                finder, asking.toolbox, principal, given, modern=asking.modern, accounting=accounting
            )
            text = {"type": "text", "text": encode(found).decode()}
            return await asking.answer({"content": [text], "isError": False, "structuredContent": found})
        name, arguments = given.get("name"), given.get("arguments", {})
        if not isinstance(name, str) or name in (SEARCH_TOOL, CALL_TOOL):
            raise InvalidParams(f"{CALL_TOOL} needs the name of a tool.", info={"field": "arguments"})
        inner = msgspec.structs.replace(params, name=name, arguments=_raw(arguments))
        return await self.call_tool(asking, inner)

    async def _answer(self, asking: Asking, params: CallParams) -> None:
        """The tool that brings an answer: what the run then comes to is its result."""
        given = read_arguments(bytes(params.arguments))
        task_id = given.get("task_id")
        if not isinstance(task_id, str) or "answer" not in given:
            raise InvalidParams(f"{ANSWER_TOOL} needs task_id and answer.", info={"field": "arguments"})
        try:
            work = self.tasks.find(asking, task_id, TOOL)
            if work.look().state in INTERRUPTED:
                value = given["answer"]
                part = Part(text=value) if isinstance(value, str) else Part(data=_raw(value))
                message = Message(self.operations.services.ids.new("msg"), Role.USER, [part], task_id=task_id)
                configuration = SendMessageConfiguration(return_immediately=True)
                sent = SendMessageParams(message=message, configuration=configuration)
                await self.operations.send_message(work.caller, sent)
        except Busy:
            raise
        except Problem as problem:
            return await asking.answer(failure(problem, {}))
        return await self.following.answer(asking, work)

    # --- prompts ----------------------------------------------------------------------------------------

    async def list_prompts(self, asking: Asking, params: PageParams) -> None:
        """prompts/list."""
        box = asking.toolbox
        every: list[Json] = [prompt_document(one) for one in box.prompts]
        every += [
            {"name": one.name, "title": one.title, "description": one.description} for one in box.examples
        ]
        prompts, follow = _page(every, params.cursor)
        await self._list(asking, "prompts", list(prompts), follow)

    async def get_prompt(self, asking: Asking, params: PromptParams) -> None:
        """prompts/get: an example, or what a skill makes of the arguments."""
        for example in asking.toolbox.examples:
            if example.name == params.name:
                message: Json = {"role": "user", "content": {"type": "text", "text": example.text}}
                return await asking.answer({"description": example.description, "messages": [message]})
        offered = next((one for one in asking.toolbox.prompts if one.name == params.name), None)
        if offered is None:
            raise InvalidParams(
                f"There is no prompt {readable(params.name)}.",
                remedy="See prompts/list.",
                info={"field": "name"},
            )
        given: Json = dict(params.arguments) if isinstance(params.arguments, dict) else {}
        identity = Identity("prompts/get", params.name, encode(given))
        work = self._resumed(asking, offered, params, identity, PROMPT, params.name)
        if work is None:
            work = await begin(
                self.operations, asking, offered, _typed(offered, given), PROMPT, params.name, shown=True
            )
        return await self.following.answer(asking, work, identity)

    # --- resources --------------------------------------------------------------------------------------

    async def list_resources(self, asking: Asking, params: PageParams) -> None:
        """resources/list."""
        body = self.resources.listed(asking, params.cursor)
        await asking.answer(asking.cached(body, 0))

    async def list_templates(self, asking: Asking, params: PageParams) -> None:
        """resources/templates/list."""
        body = self.resources.templates(asking, params.cursor)
        await asking.answer(asking.cached(body, LIST_MILLISECONDS, public=asking.toolbox.public))

    async def read_resource(self, asking: Asking, params: UriParams) -> None:
        """resources/read."""
        found = self.resources.skill(asking, params.uri)
        if found is None:
            body = await self.resources.read(asking, params.uri)
            return await asking.answer(asking.cached(body, 0))
        offered, given = found[0].offered, found[1]
        identity = Identity("resources/read", params.uri, b"")
        work = self._resumed(asking, offered, params, identity, RESOURCE, params.uri)
        if work is None:
            work = await begin(
                self.operations, asking, offered, _typed(offered, given), RESOURCE, params.uri, shown=True
            )
        return await self.following.answer(asking, work, identity)

    # --- completion -------------------------------------------------------------------------------------

    async def complete(self, asking: Asking, params: CompleteParams) -> None:
        """completion/complete: what a parameter's schema allows, as far as it begins with what is there."""
        ref, box = params.ref, asking.toolbox
        offered: Offered | None = None
        if ref.type == "ref/prompt":
            offered = next((one for one in box.prompts if one.name == ref.name), None)
            known = offered is not None or any(one.name == ref.name for one in box.examples)
        elif ref.type == "ref/resource":
            offered = next((one.offered for one in box.resources if one.uri == ref.uri), None)
            known = offered is not None or ref.uri in ("artifact:///{run}/{artifact}", "task:///{task}")
        else:
            raise InvalidParams(
                f"ref.type is {readable(ref.type)}.", remedy="Send ref/prompt or ref/resource."
            )
        if not known:
            raise InvalidParams("ref names nothing that is here.", remedy="See prompts/list.")
        begun = params.argument.value
        values = [] if offered is None else _allowed(offered, params.argument.name)
        fitting = [value for value in values if value.lower().startswith(begun.lower())]
        completion = {
            "values": fitting[:_COMPLETIONS],
            "total": len(fitting),
            "hasMore": len(fitting) > _COMPLETIONS,
        }
        await asking.answer({"completion": completion})

    # --- subscriptions ----------------------------------------------------------------------------------

    async def listen(self, asking: Asking, params: ListenParams) -> None:
        """subscriptions/listen: acknowledges what will be told, and stays open."""
        wanted = params.notifications
        if wanted.task_ids and not asking.client.tasks:
            raise CapabilityRequired(
                "Only a client that declares the tasks extension hears of tasks.",
                info={"capability": f"extensions.{TASKS}"},
            )
        uris, ids = wanted.resource_subscriptions or [], wanted.task_ids or []
        if len(uris) > MAX_URIS or len(ids) > MAX_TASKS:
            raise InvalidParams(
                f"At most {MAX_URIS} resources and {MAX_TASKS} tasks are listened to on one stream.",
                info={"field": "notifications"},
            )
        streams = self.operations.streams
        streams.check(asking.principal)
        listening = Listening(streams, asking, wanted, self.resources, self.tasks)
        agreed = Filter(
            tools_list_changed=wanted.tools_list_changed or None,
            prompts_list_changed=wanted.prompts_list_changed or None,
            resource_subscriptions=[uri for uri in uris if listening.watch(uri)] or None,
            task_ids=[one for one in ids if listening.watch_task(one)] or None,
        )
        await listening.serve(listening.acknowledgement(agreed))


def no_method(method: str, known: dict[str, type[Params]]) -> MethodNotFound:
    """The problem of a method that is not among those known."""
    return MethodNotFound(
        f"There is no method {readable(method)}.", remedy=f"The methods are: {', '.join(known)}."
    )


def _page(items: Sequence[Any], cursor: str) -> tuple[Sequence[Any], str]:
    """A page, and the cursor of the next one ("" at the end). Raises InvalidParams."""
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 9):
        raise InvalidParams(
            "That cursor is none that this server gave out.",
            remedy="Begin without one.",
            info={"field": "cursor"},
        )
    start = int(cursor or "0")
    end = start + PAGE
    return items[start:end], str(end) if end < len(items) else ""


def _raw(value: Any) -> Any:
    return Raw(encode(value))


def _typed(offered: Offered, given: Json) -> Json:
    """Arguments that came as texts, as JSON where the skill doesn't want a text."""
    properties = cast(Json, input_schema(offered.spec).get("properties") or {})
    arguments: Json = {}
    for name, value in given.items():
        schema = properties.get(name)
        kind = cast(Json, schema).get("type") if isinstance(schema, dict) else None
        if isinstance(value, str) and kind not in (None, "string"):
            # What isn't JSON doesn't fit, and the check of the arguments says so.
            with suppress(msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                value = msgspec.json.decode(value.encode())
        arguments[name] = value
    return arguments


def _allowed(offered: Offered, name: str) -> list[str]:
    """The values that a parameter's schema names."""
    schema: Any = cast(Json, input_schema(offered.spec).get("properties") or {}).get(name)
    if not isinstance(schema, dict):
        return []
    known = cast(Json, schema)
    if known.get("type") == "boolean":
        return ["true", "false"]
    values: list[Any] = []
    for key in ("enum", "examples"):
        found = known.get(key)
        if isinstance(found, list):
            values += cast("list[Any]", found)
    return [value if isinstance(value, str) else encode(value).decode() for value in values]
