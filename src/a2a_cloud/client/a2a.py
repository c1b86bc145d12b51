"""An agent as its caller has it: found by its address, spoken to in whatever it speaks (A2A 1.0, section 3).

    async with A2AClient.discover("https://host/agents/greeter", key="…") as agent:
        task = await agent.send("hello")
        async for event in agent.stream("write a report", task=task):
            print(event.text, end="")

Versions 1.0 and 0.3 over JSON-RPC and HTTP+JSON, 1.0 over gRPC, and tasks/send of before are all spoken,
and everything is read in one shape (`a2a_shapes`). What may be sent twice without harm is sent again when
a connection fails; nothing else is. A broken stream is taken up again where the agent lets us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypedDict, Unpack
from uuid import uuid4

import aiohttp

from a2a_cloud.client.a2a_card import Card, Interface, bare_card
from a2a_cloud.client.a2a_choice import interfaces
from a2a_cloud.client.a2a_http import Limits, Web, web_origin
from a2a_cloud.client.a2a_line import LOOK, LOOK_MOST, Line, ends
from a2a_cloud.client.a2a_shapes import (
    Content,
    Event,
    Json,
    Message,
    Part,
    Task,
    parts_of,
    read_event,
    read_task,
    said,
    usual,
)
from a2a_cloud.client.discovery import CardCache, Trust, find_card, judged
from a2a_cloud.client.errors import BadAnswer, NotSpoken
from a2a_cloud.client.shapes import obj, objs, text
from a2a_cloud.model.card import SKILL_SCHEMAS


class Options(TypedDict, total=False):
    """How an agent is found and spoken to; see A2AClient."""

    key: str
    keys: Mapping[str, str]
    binding: str
    version: str
    trust: Trust
    cache: CardCache
    extensions: Sequence[str]
    limits: Limits
    connector: aiohttp.BaseConnector
    broken: Callable[[str], None]
    fresh: Callable[[], str]


class Saying(TypedDict, total=False):
    """What goes with a message.

    `task`: the one that it goes on with. `context`: the talk that it belongs to. `references`: ids of tasks
    that it speaks of. `push`: where to tell of the task (1.0's TaskPushNotificationConfig). `message_id`: a
    name for it; the same message again should have the same one.
    """

    task: Task | str
    context: str
    metadata: Json
    message_id: str
    history_length: int
    accepted_output_modes: Sequence[str]
    references: Sequence[str]
    push: Json


class A2AClient:
    """One agent. An async context manager: entering it finds the agent.

    `key` goes to the origin of `url` and nowhere else; `keys` has further ones by origin. `binding`
    (JSONRPC, HTTP+JSON, GRPC) and `version` (1.0, 0.3) are taken when given, else the newest that both
    sides speak. `trust`: what is asked of the card's signature. `cache`: cards shared with other clients.
    `extensions`: those to be used. `limits`: sizes and times. `connector`: every connection goes through
    it, and gRPC, which can't, is not spoken. `broken` is told whenever a stream breaks and is taken up
    again; `fresh` makes ids.

    Everything may raise NoAnswer, ServerProblem, BadAnswer and NotSpoken (client/errors.py); entering
    NoCard, NoInterface, Untrusted and NotConfigured too.
    """

    card: Card

    def __init__(self, url: str, card: Card | None = None, **options: Unpack[Options]) -> None:
        keys = {web_origin(where): key for where, key in options.get("keys", {}).items()}
        if options.get("key"):
            keys.setdefault(web_origin(url), options.get("key", ""))
        self.url = url
        self._options = options
        self._fresh = options.get("fresh", _fresh)
        self._extensions = options.get("extensions", ())
        self._web = Web(keys, limits=options.get("limits"), connector=options.get("connector"))
        self._given = card
        self._line: Line | None = None

    @classmethod
    def discover(cls, url: str, **options: Unpack[Options]) -> A2AClient:
        """The agent at `url`: its address, or that of its card."""
        return cls(url, **options)

    @classmethod
    def at(cls, url: str, **options: Unpack[Options]) -> A2AClient:
        """An agent without a card: `url` is that of its interface, of the `binding` JSONRPC and the
        `version` 1.0 unless others are given; the version "" is the time of tasks/send."""
        card = bare_card(url, options.get("binding", "JSONRPC"), options.get("version", "1.0"))
        return cls(url, card, **options)

    async def __aenter__(self) -> A2AClient:
        options = self._options
        await self._web.__aenter__()
        try:
            self.card = self._given or await find_card(
                self._web, self.url, cache=options.get("cache"), trust=options.get("trust")
            )
            binding = options.get("binding", "").upper()
            # gRPC makes its own connections, past a connector that is there to refuse some.
            grpc = "connector" not in options
            chosen = interfaces(self.card, binding, options.get("version", ""), grpc=grpc)
            # Whoever asks for gRPC by name means the port beside the card's own; its key goes there too.
            home = self.url if binding == "GRPC" else ""
            broken = options.get("broken", _ignore)
            self._line = Line(self._web, self.card, chosen, self._extensions, broken, home)
        except BaseException:
            await self._web.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            await self._line.close()
        await self._web.__aexit__(kind, error, trace)

    @property
    def line(self) -> Line:
        """The line to the agent. Raises RuntimeError before the client is entered."""
        if self._line is None:
            raise RuntimeError("use `async with A2AClient.discover(…)`")
        return self._line

    @property
    def interface(self) -> Interface:
        """The interface that is spoken to."""
        return self.line.interface

    # --- messages -------------------------------------------------------------------------------------

    async def send(
        self, content: Content | Message, *, return_immediately: bool = False, **saying: Unpack[Saying]
    ) -> Task | Message:
        """Say `content` and wait until the task settles (or, with `return_immediately`, not at all).

        `content`: text, bytes, a Path, an object (as data), a Part, or several of these. The answer is the
        Task, or a Message where the agent made none.
        """
        params = self._params(content, saying, return_immediately)
        event = read_event(await self.line.call("SendMessage", params))
        if event is not None and event.task is not None:
            if return_immediately or event.task.settled:
                return event.task
            # Before 1.0 a server may answer at once, whatever it is asked.
            return await self._settled(event.task.id, saying.get("history_length"))
        if event is None or event.message is None:
            raise BadAnswer(f"{self.interface.url} answers a message with neither a task nor a message.")
        return event.message

    async def call(
        self, skill: str, arguments: Json | None = None, **saying: Unpack[Saying]
    ) -> Task | Message:
        """Call a skill by its name, as agents of this platform let one do.

        Raises NotSpoken for an agent that says nothing of it.
        """
        return await self.send(self.skill_call(skill, arguments or {}), **saying)

    def skill_call(self, skill: str, arguments: Json) -> Part:
        """The part that calls a skill. Raises NotSpoken for an agent that doesn't know of such parts."""
        if self.card.extension(SKILL_SCHEMAS) is None:
            raise NotSpoken(
                f"{self.card.name} takes messages; A2A has no way to call a skill by its name.",
                "Say what you want as text, or send data in the form that its documentation names.",
            )
        return Part.of({"skill": skill, "arguments": arguments})

    async def stream(
        self, content: Content | Message, *, wait: bool = False, **saying: Unpack[Saying]
    ) -> AsyncGenerator[Event]:
        """Say `content` and follow what comes of it, until the task settles.

        `wait`: go on over questions and approvals until the task ends. After a break the task as it stands
        comes first. An agent that can't stream is asked again and again, each change being an event.
        """
        params = self._params(content, saying, not self.card.streaming)
        if self.card.streaming:
            events = self.line.follow("SendStreamingMessage", params, wait=wait)
        else:
            events = self._looked_at(params, wait)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _looked_at(self, params: Json, wait: bool) -> AsyncGenerator[Event]:
        event = read_event(await self.line.call("SendMessage", params))
        if event is None:
            return
        yield event
        if event.task is not None and not ends(event, wait):
            async with aclosing(self.line.looked_at(event.task, wait)) as events:
                async for each in events:
                    yield each

    async def subscribe(
        self, task: Task | str, *, after: str = "", wait: bool = False
    ) -> AsyncGenerator[Event]:
        """Follow a task that is there already; first comes the task as it stands, alone when it has ended.

        `after`: the id of the last event that came, for agents that number them.
        """
        params = {"id": _id(task)}
        follow = self.line.follow("SubscribeToTask", params, task_id=_id(task), after=after, wait=wait)
        async with aclosing(follow) as events:
            async for event in events:
                yield event

    # --- tasks ----------------------------------------------------------------------------------------

    async def get_task(self, task: Task | str, *, history_length: int | None = None) -> Task:
        """The task as it stands."""
        params: Json = {"id": _id(task)}
        if history_length is not None:
            params["historyLength"] = history_length
        return read_task(await self.line.call("GetTask", params))

    async def list_tasks(self, **filters: Any) -> AsyncGenerator[Task]:
        """The caller's tasks, page after page: `context`, `status` (a short word), `page_size`,
        `history_length`, `include_artifacts`, `after` (a timestamp)."""
        params = {_FILTERS[name]: value for name, value in filters.items() if value not in (None, "")}
        if "status" in params:
            params["status"] = "TASK_STATE_" + str(params["status"]).upper().replace("-", "_")
        seen: set[str] = set()
        while True:
            page = obj(usual(await self.line.call("ListTasks", params)))
            for each in objs(page.get("tasks")):
                yield read_task(each)
            token = text(page.get("nextPageToken"))
            if not token or token in seen:
                return
            seen.add(token)
            params = {**params, "pageToken": token}

    async def cancel(self, task: Task | str, *, metadata: Json | None = None) -> Task:
        """Cancel the task; how it stands then."""
        more = {"metadata": metadata} if metadata else {}
        return read_task(await self.line.call("CancelTask", {"id": _id(task), **more}))

    # --- push notifications and the extended card -------------------------------------------------------

    async def create_push(self, task: Task | str, url: str, **members: Any) -> Json:
        """Have the agent tell `url` of the task: `id`, `token`, `authentication`; what it keeps."""
        params = {"taskId": _id(task), "url": url, **members}
        return obj(usual(await self.line.call("CreateTaskPushNotificationConfig", params)))

    async def get_push(self, task: Task | str, ident: str) -> Json:
        """A push configuration of the task."""
        params = {"taskId": _id(task), "id": ident}
        return obj(usual(await self.line.call("GetTaskPushNotificationConfig", params)))

    async def list_push(self, task: Task | str) -> list[Json]:
        """All push configurations of the task."""
        params: Json = {"taskId": _id(task)}
        found: list[Json] = []
        seen: set[str] = set()
        while True:
            page = obj(usual(await self.line.call("ListTaskPushNotificationConfigs", params)))
            found += objs(page.get("configs"))
            token = text(page.get("nextPageToken"))
            if not token or token in seen:
                return found
            seen.add(token)
            params = {**params, "pageToken": token}

    async def delete_push(self, task: Task | str, ident: str) -> None:
        """Delete a push configuration; one that is gone already is no error on 1.0."""
        await self.line.call("DeleteTaskPushNotificationConfig", {"taskId": _id(task), "id": ident})

    async def extended_card(self) -> Card:
        """The card for callers whom the agent knows, as trusted as the other one has to be."""
        document = await self.line.call("GetExtendedAgentCard", {})
        return await judged(self._web, document, self.card.url, self._options.get("trust") or Trust())

    # --- how ------------------------------------------------------------------------------------------

    def _params(self, content: Content | Message, saying: Saying, at_once: bool) -> Json:
        configuration: Json = {}
        for name, member in _CONFIGURATION.items():
            value = saying.get(name)
            if value is not None:
                configuration[member] = list(value) if name == "accepted_output_modes" else value
        if at_once:
            configuration["returnImmediately"] = True
        return {"message": self._message(content, saying), "configuration": configuration}

    def _message(self, content: Content | Message, saying: Saying) -> Json:
        if isinstance(content, Message):
            return content.json or said(content)
        task = saying.get("task", "")
        context = saying.get("context", "")
        if isinstance(task, Task):
            context = context or task.context_id  # some servers want both, and here they fit
        members: Json = {
            "taskId": _id(task),
            "contextId": context,
            "metadata": saying.get("metadata"),
            "referenceTaskIds": list(saying.get("references", ())),
            "extensions": list(self._extensions),
        }
        return {
            "messageId": saying.get("message_id") or self._fresh(),
            "role": "ROLE_USER",
            "parts": [part.json() for part in parts_of(content)],
            **{name: value for name, value in members.items() if value},
        }

    async def _settled(self, task_id: str, history_length: int | None) -> Task:
        pause = LOOK
        while True:
            task = await self.get_task(task_id, history_length=history_length)
            if task.settled:
                return task
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LOOK_MOST)


_FILTERS = {
    "context": "contextId",
    "status": "status",
    "page_size": "pageSize",
    "history_length": "historyLength",
    "include_artifacts": "includeArtifacts",
    "after": "statusTimestampAfter",
}


_CONFIGURATION = {
    "history_length": "historyLength",
    "accepted_output_modes": "acceptedOutputModes",
    "push": "taskPushNotificationConfig",
}


def _id(task: Task | str) -> str:
    return task.id if isinstance(task, Task) else task


def _fresh() -> str:
    return f"msg-{uuid4().hex}"


def _ignore(_why: str) -> None:
    pass
