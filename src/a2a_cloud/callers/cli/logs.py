"""`a2a logs`: what an agent's workers or one run wrote; `-f` by asking again for what came since."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import LAST, run_id_of
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.calls import TERMINAL
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import obj, objs

#: Seconds between two looks with -f.
PAUSE = 0.7


class Seen:
    """Which lines were shown: those up to a cursor (the line's number where it has one, else its time),
    and so many of that very time."""

    def __init__(self) -> None:
        self.at: Any = None
        self._same = 0

    def new(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The lines of an answer that were not in an earlier one (lines come in order of time)."""
        fresh: list[dict[str, Any]] = []
        skip = self._same
        for line in lines:
            at = _cursor(line)
            if self.at is not None:
                if at < self.at:
                    continue
                if at == self.at and skip:
                    skip -= 1
                    continue
            fresh.append(line)
        for line in fresh:
            self._same = self._same + 1 if _cursor(line) == self.at else 1
            self.at = _cursor(line)
        return fresh


def _cursor(line: dict[str, Any]) -> Any:
    return line.get("no", line.get("at"))


@click.command("logs")
@connected
@click.argument("name", metavar="AGENT|RUN|last")
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines: of a run until its end.")
def logs_command(options: Options, name: str, follow: bool) -> int:
    """Show what an agent, or one run, wrote and logged."""
    is_run = name.startswith("run_") or name == LAST
    seen = Seen()
    shown = 0

    async def look(platform: Platform) -> Any:
        nonlocal shown
        path = f"/api/v1/runs/{quote(name, safe='')}/logs" if is_run else f"/api/v1{agent_path(name)}/logs"
        params = {"after": str(seen.at)} if seen.at is not None else None
        answer = await platform.json("GET", path, params=params)
        if options.json and not follow:
            put_json(answer)
            return
        for line in seen.new(objs(obj(answer).get("lines"))):
            shown += 1
            _print(line, as_json=options.json, with_run=not is_run)

    async def talk(platform: Platform) -> None:
        nonlocal name
        name = await run_id_of(platform, name)
        while True:
            # The state is asked for before the lines, so that those of the end are not missed.
            ended = follow and is_run and await _ended(platform, name)
            await look(platform)
            if not follow or ended:
                return
            await asyncio.sleep(PAUSE)

    try:
        options.ask(talk)
    except KeyboardInterrupt:
        if not follow:
            raise
    if not shown and not options.json:
        say("Nothing was logged.")
    return int(Exit.OK)


async def _ended(platform: Platform, run_id: str) -> bool:
    view: Any = await platform.json("GET", f"/api/v1/runs/{quote(run_id, safe='')}")
    return view.get("state") in TERMINAL


def _print(line: dict[str, Any], *, as_json: bool, with_run: bool) -> None:
    if as_json:
        put(json.dumps(line, ensure_ascii=False))
        return
    run = f"{line.get('run_id')} " if with_run and line.get("run_id") else ""
    kind = str(line.get("level") or line.get("source") or "")
    put(clean_line(f"{line.get('at', '')} {kind:7} {run}{line.get('line', '')}"))
