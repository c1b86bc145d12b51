"""`a2a doctor`: a line and a remedy for each thing that can stand in the way. Works offline too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import click

from a2a_cloud.callers.cli.colour import green, put_painted, red, yellow
from a2a_cloud.callers.cli.doctor_checks import FAIL, OK, WARN, Check, local_checks
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json
from a2a_cloud.callers.cli.units import count
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform
from a2a_cloud.client.profile import NotConfigured, Target
from a2a_cloud.client.shapes import obj, objs, text

#: Seconds of difference between the clocks that are told, and that are too many.
SKEW, TOO_MUCH_SKEW = 5, 60
_PAINT = {OK: green, WARN: yellow, FAIL: red}


@click.command("doctor")
@connected
def doctor_command(options: Options) -> int:
    """Check this machine and the platform; exit code 1 when a check fails."""
    target: Target | None = None
    unknown: list[Check] = []
    try:
        target = options.target()
    except NotConfigured as error:
        unknown.append(Check("platform", WARN, error.detail, error.remedy))
    remote = _remote(options) if target is not None else unknown
    reached = any(each.name == "platform" and each.state == OK for each in remote)
    here = local_checks(target, reached=reached)
    names = {each.name for each in here}
    # What the platform calls by a name that stands for this machine already is of its own machine.
    checks = here + [
        replace(each, name=f"its {each.name}") if each.name in names else each for each in remote
    ]
    if not any(each.name in ("sandbox", "isolation") for each in checks):
        checks.append(
            Check(
                "sandbox",
                WARN,
                "not known: no platform said how it isolates agents",
                "Start the platform, and ask with an admin's key.",
            )
        )
    failed = sum(each.state == FAIL for each in checks)
    warned = sum(each.state == WARN for each in checks)
    if options.json:
        put_json({"checks": [each.document() for each in checks], "failed": failed, "warned": warned})
    else:
        show(checks)
        put(f"{count(len(checks), 'check')}: {failed} failed, {count(warned, 'warning')}")
    return int(Exit.FAILED if failed else Exit.OK)


def show(checks: Sequence[Check]) -> None:
    """A line for each check, and a remedy where there is something to do."""
    width = max(len(each.name) for each in checks)
    for each in checks:
        line = clean_line(f"{each.state:5}{each.name:{width}}  {each.detail}")
        if each.state == OK:
            put(line)
        else:
            put_painted(line, _PAINT[each.state])
            if each.remedy:
                put(clean_line(f"{'':5}{'':{width}}  → {each.remedy}"))


def _remote(options: Options) -> list[Check]:
    """Whether the platform answers, what it finds about itself, and how far its clock is from ours."""

    async def talk(platform: Platform) -> list[Check]:
        async with platform.open("GET", "/healthz") as response:
            await response.read()
            date = response.headers.get("Date", "")
        url = platform.target.url
        checks = [Check("platform", OK, f"answers at {url} (from {platform.target.source})"), *_skew(date)]
        return checks + await _own(platform)

    target = options.target()
    try:
        return options.ask(talk)
    except Unreachable as error:
        return [Check("platform", FAIL, f"no answer at {target.url} ({error.detail})", "Start it: a2a up")]
    except ServerProblem as problem:
        return [
            Check(
                "platform",
                FAIL,
                f"{target.url}: {problem}",
                problem.remedy or "Look at the platform's own output.",
            )
        ]


def _skew(date: str) -> list[Check]:
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return []  # no Date, nothing to compare
    apart = round(theirs - time())
    if abs(apart) <= SKEW:
        return [Check("clock", OK, "the platform's clock and this one agree")]
    way = "ahead of" if apart > 0 else "behind"
    state = FAIL if abs(apart) > TOO_MUCH_SKEW else WARN
    return [
        Check("clock", state, f"the platform's clock is {abs(apart)} s {way} this one", "Set both by NTP.")
    ]


async def _own(platform: Platform) -> list[Check]:
    """The platform's checks of itself (an admin's key is needed)."""
    try:
        answer: Any = await platform.json("GET", "/api/v1/doctor")
    except ServerProblem as problem:
        if problem.status in (401, 403):
            return [
                Check(
                    "key",
                    WARN,
                    f"the platform's own checks are not shown: {problem.detail}",
                    problem.remedy or "Use an admin's key: --key-file",
                )
            ]
        if problem.status == 404:
            return [
                Check("platform", WARN, "it is of an older version, without checks of itself", "Update it.")
            ]
        raise
    return [
        Check(
            text(each.get("name")),
            text(each.get("state")) if each.get("state") in (OK, WARN, FAIL) else WARN,
            text(each.get("detail")),
            text(each.get("remedy")),
        )
        for each in objs(obj(answer).get("checks"))
    ]
