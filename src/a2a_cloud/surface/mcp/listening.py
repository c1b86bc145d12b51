"""Streams on which a client hears of changes: the GET stream until 2025-11-25, `subscriptions/listen` since
2026-07-28 (basic/patterns/subscriptions). Changes of tasks come from their events; that another release
serves, and so other tools, is looked for with each keep-alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw, to_builtins

from a2a_cloud.model.problem import Problem
from a2a_cloud.model.run import ArtifactEvent, ResultEvent, StatusEvent
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.surface.framing import PLAIN
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.resources import Resources
from a2a_cloud.surface.mcp.tasks import Tasks
from a2a_cloud.surface.mcp.work import TOOL
from a2a_cloud.surface.runs_port import Subscription
from a2a_cloud.surface.streams import Stream, Streams
from a2a_cloud.wire import sse
from a2a_cloud.wire.mcp import SUBSCRIPTION, Filter, notification, result
from a2a_cloud.wire.mcp_schema import Json
from a2a_cloud.wire.views import Delivered

MAX_TASKS = 100


class _Watch:
    """What is followed on one task for one listener."""

    __slots__ = ("_told", "_when")

    logs = False

    def __init__(self, told: Callable[[], None], when: tuple[type[Any], ...]) -> None:
        self._told = told
        self._when = when

    def deliver(self, delivered: Delivered) -> None:
        """Tells the listener."""
        if isinstance(delivered.event, self._when):
            self._told()


class Listening(Stream):
    """One such stream."""

    __slots__ = ("_asking", "_filter", "_missed", "_resources", "_stamp", "_tasks", "_watched")

    def __init__(
        self, streams: Streams, asking: Asking, wanted: Filter, resources: Resources, tasks: Tasks
    ) -> None:
        request = asking.request
        # It renders nothing of its own accord: framing and links are never asked.
        links: Any = None
        super().__init__(streams, request.principal, request.receive, request.send, PLAIN, links)
        self._asking = asking
        self._filter = wanted
        self._resources = resources
        self._tasks = tasks
        self._stamp = asking.stamp()
        self._watched: dict[str, Subscription] = {}
        self._missed = False

    def watch(self, uri: str) -> bool:
        """Follows a resource; False for one that nobody has. Idempotent."""
        if uri in self._watched:
            return True
        try:
            behind = self._resources.task_behind(self._asking, uri)
        except Problem:
            return False
        if behind is not None:
            release, task_id = behind

            def told() -> None:
                self._tell("notifications/resources/updated", {"uri": uri})

            self._follow(uri, release, task_id, told, (StatusEvent, ArtifactEvent, ResultEvent))
        return True

    def watch_task(self, task_id: str) -> bool:
        """Follows a task's status; False for one that is not the caller's."""
        if f"task {task_id}" in self._watched:
            return True
        try:
            work = self._tasks.find(self._asking, task_id, TOOL)
        except Problem:
            return False

        def told() -> None:
            self._streams.spawn(self._status(task_id))

        self._follow(f"task {task_id}", work.caller.release, task_id, told, (StatusEvent,))
        return True

    def _follow(
        self, name: str, release: Any, task_id: str, told: Callable[[], None], when: tuple[type[Any], ...]
    ) -> None:
        scope = owner_scope(self._asking.principal, release.org_no)
        runs = self._streams.runs
        self._watched[name] = runs.subscribe(scope, release.agent_no, task_id, _Watch(told, when))

    async def _status(self, task_id: str) -> None:
        """notifications/tasks: what tasks/get says now."""
        try:
            body = await self._tasks.get(self._asking, task_id)
        except Problem:
            return
        self._tell("notifications/tasks", body)

    def unwatch(self, uri: str) -> None:
        """Follows a resource no more. Idempotent."""
        subscription = self._watched.pop(uri, None)
        if subscription is not None:
            subscription.close()

    def _tell(self, method: str, params: Json) -> None:
        if self.over:
            return
        if self._lagging is not None:
            self._missed = True
            return
        if not self._write(sse.event(notification(method, self._named(params)))):
            self._missed = True

    def _named(self, params: Json) -> Json:
        if not self._asking.modern:
            return params
        return {**params, "_meta": {SUBSCRIPTION: Raw(self._asking.id)}}

    def acknowledgement(self, agreed: Filter) -> bytes:
        """The first message of `subscriptions/listen`."""
        params = self._named({"notifications": to_builtins(agreed)})
        return sse.event(notification("notifications/subscriptions/acknowledged", params))

    def keep_alive(self) -> None:
        """See Stream. Other tools are looked for here, too."""
        stamp = self._asking.stamp()
        if stamp != self._stamp and not self.over:
            self._stamp = stamp
            if self._filter.tools_list_changed:
                self._tell("notifications/tools/list_changed", {})
            if self._filter.prompts_list_changed:
                self._tell("notifications/prompts/list_changed", {})
        super().keep_alive()

    def _attach(self) -> None:
        """A client that was slow has missed something: it is told to look again."""
        if self._missed:
            self._missed = False
            for name in tuple(self._watched):
                if name.startswith("task "):
                    self._streams.spawn(self._status(name.removeprefix("task ")))
                else:
                    self._tell("notifications/resources/updated", {"uri": name})

    def _detach(self) -> None:
        """Subscriptions stay while a slow client is waited for."""

    def finish(self) -> None:
        """Ends the stream from this side."""
        if self.over:
            return
        if self._asking.modern and self._lagging is None:
            body = self._asking.whole({"_meta": self._named({})["_meta"]})
            self._write(sse.event(result(self._asking.id, body)))
        self._finish("ended")

    async def serve(self, first: bytes) -> None:
        """Answers, and returns when it is over."""
        self._asking.request.started = True
        self._asking.request.status = 200
        await self.start(first)
        try:
            await self.wait()
        finally:
            for subscription in self._watched.values():
                subscription.close()
            self._watched.clear()
