"""What `a2a dev` shows of a running platform without being asked: the agent's log lines, and every event of
runs that others begin.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from a2a_cloud.callers.cli.dev_screen import Screen
from a2a_cloud.callers.cli.follow import progress_line
from a2a_cloud.callers.cli.terminal import clean_line
from a2a_cloud.client.calls import TERMINAL, CallEvent, Watched
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.profile import Target
from a2a_cloud.client.shapes import obj, objs, text

#: Seconds between two looks; runs that are followed at once.
PAUSE, MOST = 0.3, 50
_TEXT = 160


class Watch:
    """Looks until `stop` is set. `mine(run_id)`: whether the prompt shows that run (None: not known yet);
    `describe` takes the serving release's description, again after each `changed`.
    """

    def __init__(
        self,
        screen: Screen,
        target: Target,
        agent: str,
        since: str,
        *,
        mine: Callable[[str], bool | None],
        describe: Callable[[dict[str, Any]], None],
    ) -> None:
        self._screen = screen
        self._target = target
        self._agent = agent
        self._since = since
        self._mine = mine
        self._describe = describe
        self._seen: set[str] = set()
        self._after = 0
        self._changed = True
        self._serving = 0
        self._held: list[dict[str, Any]] = []
        self._stop = False
        self._following: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """End soon."""
        self._stop = True

    def changed(self, release: int) -> None:
        """This release serves now."""
        self._serving = release
        self._changed = True

    def run(self) -> None:
        """Look, in a thread of its own."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with Platform(self._target) as platform:
            while not self._stop:
                # While the platform starts or ends there is nothing to see; its own lines tell why.
                with contextlib.suppress(Unreachable, ServerProblem):
                    await self._look(platform)
                await asyncio.sleep(PAUSE)
            for task in self._following:
                task.cancel()
            await asyncio.gather(*self._following, return_exceptions=True)

    async def _look(self, platform: Platform) -> None:
        path = f"/api/v1{agent_path(self._agent)}"
        if self._changed:
            self._describe(obj(await platform.json("GET", path)))
            self._changed = False
        params = {"after": str(self._after), "release": "all"}
        answer = obj(await platform.json("GET", f"{path}/logs", params=params))
        for line in objs(answer.get("lines")):
            number: Any = line.get("no")
            if not isinstance(number, int) or number <= self._after:
                continue
            self._after = number
            # How a save was served is told by the platform's own events.
            if text(line.get("at")) >= self._since and line.get("source") != "deploy":
                self._held.append(line)
        self._show_lines()
        answer = obj(await platform.json("GET", "/api/v1/runs", params={"agent": self._agent, "limit": "20"}))
        for run in reversed(objs(answer.get("runs"))):
            await self._run_seen(platform, run)

    def _show_lines(self) -> None:
        """Show lines of runs and of the serving release. What a release says while it starts waits until it
        serves; when it can't, its last lines come with the error."""
        held: list[dict[str, Any]] = []
        for line in self._held:
            release: Any = line.get("release") or 0
            if line.get("run_id") or release == self._serving:
                self._line(line)
            elif release > self._serving:
                held.append(line)
        self._held = held

    async def _run_seen(self, platform: Platform, run: dict[str, Any]) -> None:
        run_id = text(run.get("id"))
        if run_id in self._seen:
            return
        if text(run.get("created")) < self._since:
            self._seen.add(run_id)
            return
        mine = self._mine(run_id)
        if mine is None:
            return
        self._seen.add(run_id)
        if mine or len(self._following) >= MOST:
            return
        task = asyncio.create_task(self._follow(platform, run))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, platform: Platform, run: dict[str, Any]) -> None:
        run_id, skill = text(run.get("id")), text(run.get("skill")) or "message"
        watched = Watched(platform, self._agent, run_id=run_id, task_id=text(run.get("task_id")))
        said = ""
        try:
            async with aclosing(watched.watch()) as events:
                async for event in events:
                    if not event.id:  # the status now; all that led to it follows
                        continue
                    if event.kind == "text" and not self._screen.as_json:
                        said += text(event.data.get("delta"))
                        if len(said) < _TEXT:
                            continue
                        event = CallEvent(event.id, "text", {"delta": said})
                        said = ""
                    elif said:
                        self._event(skill, run_id, CallEvent("", "text", {"delta": said}))
                        said = ""
                    self._event(skill, run_id, event)
        except (Unreachable, ServerProblem) as error:
            why = f"run {run_id} can't be followed: {error}"
            self._screen.tell({"event": "lost", "run_id": run_id, "detail": str(error)}, clean_line(why))

    def _event(self, skill: str, run_id: str, event: CallEvent) -> None:
        document = {"event": "run", "run_id": run_id, "skill": skill, "id": event.id}
        said = _in_a_line(event)
        style = {"completed": "good", "failed": "bad", "rejected": "bad"}.get(event.state, "dim")
        lines = [self._screen.style(style, clean_line(f"  {skill} · {said}"))] if said else []
        self._screen.tell({**document, "kind": event.kind, "data": event.data}, *lines)

    def _line(self, line: dict[str, Any]) -> None:
        level = text(line.get("level")) or text(line.get("source"))
        style = {"error": "bad", "warning": "warn", "stderr": "warn"}.get(level, "")
        shown = clean_line(line.get("line"))
        head = self._screen.style("dim", clean_line(f"  {text(line.get('at'))[11:19]} {level:7} │ "))
        self._screen.tell(
            {"event": "log", **line}, head + (self._screen.style(style, shown) if style else shown)
        )


def _in_a_line(event: CallEvent) -> str:
    data = event.data
    if event.kind == "text":
        return f"text {text(data.get('delta'))[:_TEXT]}"
    if event.state in TERMINAL:
        error = obj(data.get("error"))
        why = f": {error.get('detail')}" if error else ""
        return f"{event.state}{why} ({text(data.get('run_id'))})"
    if event.state == "input-required":
        asked = obj(data.get("question"))
        return f"asks: {text(asked.get('text'))} (a2a answer {text(data.get('task_id'))} …)"
    return progress_line(event)
