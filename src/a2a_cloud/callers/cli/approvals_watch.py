"""`a2a approvals watch`: each approval as it opens, over broken connections, decided on the spot if
somebody is there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from a2a_cloud.callers.cli.approvals import PATH, decide, facts, outcome
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.terminal import clean_line, put, say
from a2a_cloud.client.deploys import WAIT, insist
from a2a_cloud.client.errors import ServerProblem
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text

_PAGE = 200
#: Seconds between two looks at a platform that does not wait.
_PAUSE = 0.7


class Watch:
    """What was shown, and how far."""

    def __init__(self, options: Options, *, asks: bool) -> None:
        self._options = options
        self._asks = asks
        self._lost = False

    async def talk(self, platform: Platform) -> None:
        """Goes on until it is interrupted, or the platform is gone for too long."""
        loop = asyncio.get_running_loop()
        after, wait = 0, 0
        say("Waiting for approvals; Ctrl-C ends it.")
        while True:
            params = {"after": str(after), "wait": str(wait), "limit": str(_PAGE)}
            before = loop.time()
            page = obj(
                await insist(lambda asked=params: platform.json("GET", PATH, params=asked), self._broken)
            )
            if self._lost:
                self._lost = False
                say("connected again; none is missing")
            found = objs(page.get("approvals"))
            for each in found:
                await self._show(platform, each)
            last = page.get("last")
            after = max(after, last) if isinstance(last, int) else after
            if wait and not found and loop.time() - before < 0.2:
                await asyncio.sleep(_PAUSE)
            wait = 0 if len(found) == _PAGE else WAIT

    def _broken(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            say(f"no answer ({clean_line(why)}); asking again for up to 5 minutes")

    async def _show(self, platform: Platform, approval: dict[str, Any]) -> None:
        if self._options.json:
            put(json.dumps(approval, ensure_ascii=False))
            return
        facts(approval)
        if self._asks:
            await self._decide(platform, text(approval.get("id")))
        put("")

    async def _decide(self, platform: Platform, ident: str) -> None:
        choice: str = click.prompt(
            "Approve all of it? [y]es, [n]o, [l]ater",
            type=click.Choice(["y", "n", "l"], case_sensitive=False),
            default="l",
            show_choices=False,
            show_default=False,
            err=True,
        )
        if choice.lower() == "l":
            say(f"Later: {self._options.command('approvals', 'approve', ident)}")
            return
        try:
            put(outcome(await decide(platform, ident, "approve" if choice.lower() == "y" else "deny", {})))
        except ServerProblem as problem:
            # Somebody else was faster, or this key may not: the next one may be decided all the same.
            say(f"a2a: {clean_line(problem.detail)} {clean_line(problem.remedy)}".rstrip())
