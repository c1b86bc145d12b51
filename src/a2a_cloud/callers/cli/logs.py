"""`a2a logs`: what an agent's releases or one run wrote; `-f` goes on, over broken connections."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import LAST, run_id_of
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.callers.cli.units import since as since_moment
from a2a_cloud.callers.cli.units import written
from a2a_cloud.client.calls import TERMINAL
from a2a_cloud.client.deploys import WAIT, insist
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import obj, objs, text

#: Seconds between two looks at a run with -f.
PAUSE = 0.7
LEVELS = ("debug", "info", "warning", "error")


class Seen:
    """Which lines were shown: those up to a cursor (the line's number where it has one, else its time),
    and so many of that very time."""

    def __init__(self) -> None:
        self.at: Any = None
        self._same = 0

    def new(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The lines of an answer that were not in an earlier one (lines come in order)."""
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
@click.argument("name", required=False, default="", metavar="[AGENT|RUN|last]", shell_complete=agent_names)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines: of a run until its end.")
@click.option(
    "--release", default="", metavar="N", help="Of release N, or of all; else of the latest, failed or not."
)
@click.option("--run", "run_id", default="", metavar="RUN", help="Of this run of the agent alone.")
@click.option("--level", type=click.Choice(LEVELS), help="Of this level and those above it.")
@click.option("--since", default="", metavar="TIME", help="Not older: 10m, 2h, or 2027-01-31T12:00:00Z.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="At first so many."
)
def logs_command(
    options: Options,
    name: str,
    follow: bool,
    release: str,
    run_id: str,
    level: str | None,
    since: str,
    limit: int,
) -> int:
    """Show what an agent (its latest release, failed or not), or one run, wrote and logged."""
    is_run = name.startswith("run_") or name == LAST
    start = since_moment(since, "--since") if since else None
    if release and not (release in ("latest", "all") or (release.isascii() and release.isdigit())):
        raise Failure(
            Exit.USAGE, f"--release can't be {release!r}.", remedy="Write its number, latest, or all."
        )
    if is_run and (release or run_id):
        raise Failure(
            Exit.USAGE, "A run is named already, of one release.", remedy="Leave out --release and --run."
        )
    reader: _Lines
    if is_run:
        reader = _RunLines(options, follow, name, level or "", start)
    else:
        asked = {
            "release": release,
            "run": run_id,
            "level": level or "",
            "since": written(start) if start else "",
            "limit": str(limit),
        }
        reader = _AgentLines(options, follow, agent_named(name), {k: v for k, v in asked.items() if v})
    try:
        options.ask(reader.talk)
    except KeyboardInterrupt:
        if not follow:
            raise
    if not reader.shown and not options.json:
        say("Nothing was logged.")
    return int(Exit.OK)


class _Lines:
    """Lines of one thing, shown once each."""

    def __init__(self, options: Options, follow: bool) -> None:
        self.shown = 0
        self.seen = Seen()
        self.options = options
        self.follow = follow
        self._lost = self._answered = False

    def after(self) -> dict[str, str]:
        """The query that goes on after the last line shown."""
        return {"after": str(self.seen.at)} if self.seen.at is not None else {}

    async def talk(self, platform: Platform) -> None:
        """Show what there is, and with `follow` what comes."""
        raise NotImplementedError

    async def ask(
        self, platform: Platform, path: str, params: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """An answer; once there was one, a broken connection is waited for."""
        if not self.follow or not self._answered:
            answer = await platform.json("GET", path, params=params)
        else:
            answer = await insist(lambda: platform.json("GET", path, params=params), self._broken)
        self._answered = True
        if self._lost:
            self._lost = False
            say("connected again; no line is missing")
        return obj(answer)

    def _broken(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            say(f"no answer ({clean_line(why)}); asking again for up to 5 minutes")

    def show(self, lines: list[dict[str, Any]], *, with_run: bool) -> None:
        """The lines that were not shown yet."""
        for line in self.seen.new(lines):
            self.shown += 1
            if self.options.json:
                put(json.dumps(line, ensure_ascii=False))
                continue
            run = f"{line.get('run_id')} " if with_run and line.get("run_id") else ""
            kind = text(line.get("level") or line.get("source"))
            put(clean_line(f"{line.get('at', '')} {kind:7} {run}{line.get('line', '')}"))


class _RunLines(_Lines):
    def __init__(self, options: Options, follow: bool, run: str, level: str, start: datetime | None) -> None:
        super().__init__(options, follow)
        self._run = run
        self._levels = LEVELS[LEVELS.index(level) :] if level else ()
        self._start = start

    async def talk(self, platform: Platform) -> None:
        self._run = await run_id_of(platform, self._run)
        path = f"/api/v1/runs/{quote(self._run, safe='')}"
        while True:
            # The state is asked for before the lines, so that those of the end are not missed.
            ended = self.follow and text((await self.ask(platform, path)).get("state")) in TERMINAL
            answer = await self.ask(platform, f"{path}/logs", self.after())
            lines = [each for each in objs(answer.get("lines")) if self._wanted(each)]
            if self.options.json and not self.follow:
                put_json({**answer, "lines": lines})
                return
            self.show(lines, with_run=False)
            if not self.follow or ended:
                return
            await asyncio.sleep(PAUSE)

    def _wanted(self, line: dict[str, Any]) -> bool:
        if self._levels and line.get("level") not in self._levels:
            return False
        if self._start is None:
            return True
        try:
            return datetime.fromisoformat(text(line.get("at"))) >= self._start
        except (ValueError, TypeError):
            return True  # a line whose time is not known is rather shown than lost


class _AgentLines(_Lines):
    def __init__(self, options: Options, follow: bool, agent: str, asked: dict[str, str]) -> None:
        super().__init__(options, follow)
        self._path = f"/api/v1{agent_path(agent)}/logs"
        self._asked = asked
        self._release: Any = None

    async def talk(self, platform: Platform) -> None:
        loop = asyncio.get_running_loop()
        began = False
        while True:
            # The first look does not wait for lines that may never come.
            more = {"wait": str(WAIT)} if began and self.follow else {}
            before = loop.time()
            answer = await self.ask(platform, self._path, self._asked | self.after() | more)
            if self.options.json and not self.follow:
                put_json(answer)
                return
            lines = objs(answer.get("lines"))
            self._name_release(answer.get("release"))
            known = self.shown
            self.show(lines, with_run=True)
            if not self.follow:
                if len(lines) == int(self._asked["limit"]):
                    say("There may be older lines: --limit 1000, or --since TIME with --level.")
                return
            if began and self.shown == known and loop.time() - before < 0.2:
                await asyncio.sleep(PAUSE)  # a platform that does not wait is not to be asked in a loop
            began = True

    def _name_release(self, release: Any) -> None:
        if release != self._release:
            if release is not None and not self.options.json:
                say(clean_line(f"release {release}:"))
            self._release = release
