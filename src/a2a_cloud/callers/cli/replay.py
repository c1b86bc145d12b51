"""`a2a replay`: recorded runs once more, each compared with its record."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import LAST, run_id_of
from a2a_cloud.callers.cli.terminal import Progress, clean_line, put, put_json, say, table
from a2a_cloud.callers.cli.units import count
from a2a_cloud.client.errors import ServerProblem
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import items, obj, objs, text

#: Replays of one command that the platform has at one time.
AT_ONCE = 4
_ENDED = frozenset({"completed", "failed", "canceled", "rejected"})
_PAGE = 500
_MOST = 10_000
_CODES = {"identical": Exit.OK, "different": Exit.DIFFERENT, "unavailable": Exit.NOT_AVAILABLE}


@click.command("replay")
@connected
@click.argument("what", required=False, default="", metavar="[RUN|last|RECEIPT_FILE]")
@click.option("--release", default="", metavar="N|DIGEST|new", help="With the code of this release.")
@click.option("--last", "many", type=click.IntRange(1, _MOST), help="The last so many runs that have ended.")
@click.option(
    "--agent", default="", metavar="NAME", help="With --last: of this agent.", shell_complete=agent_names
)
@click.option("--skill", default="", metavar="NAME", help="With --last: of this skill.")
def replay_command(
    options: Options, what: str, release: str, many: int | None, agent: str, skill: str
) -> int:
    """Run a recorded run again, with everything recorded answered from the record, and compare.

    Exit code 0: identical; 13: something differs; 14: something it needs is not there any more.
    """
    if (many is None) == (not what):
        raise Failure(
            Exit.USAGE,
            "Name a run or a receipt's file, or say how many with --last.",
            remedy="Such as: a2a replay last, or: a2a replay --last 100 --release new",
        )
    if many is None and (agent or skill):
        raise Failure(Exit.USAGE, "--agent and --skill choose among the runs of --last.")
    if many is None:
        return _one(options, what, release)
    verdicts = options.ask(lambda platform: _many(platform, many, agent, skill, release))
    return _table(options, verdicts)


def _one(options: Options, what: str, release: str) -> int:
    path = Path(what).expanduser()
    receipt = None if what == LAST or what.startswith("run_") else _receipt(path)

    async def ask(platform: Platform) -> dict[str, Any]:
        if receipt is not None:
            return await _asked(platform, {"receipt": receipt}, release)
        return await _asked(platform, {"run": await run_id_of(platform, what)}, release)

    try:
        verdict = options.ask(ask)
    except ServerProblem as problem:
        if receipt is None or problem.code != "invalid_params":
            raise
        raise Failure(
            Exit.REFUSED_RECEIPT, problem.detail, remedy=problem.remedy, code=problem.code
        ) from None
    if options.json:
        put_json(verdict)
    else:
        _show(verdict)
    return int(_CODES[text(verdict.get("verdict"))])


def _receipt(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"{path} is no run, and can't be read as a file: {error.strerror}.",
            remedy="Runs are named run_…; see `a2a runs`.",
        ) from None
    except (ValueError, RecursionError):
        raise Failure(
            Exit.USAGE, f"{path} is not a receipt.", remedy="Get one: a2a receipt get RUN --out FILE"
        ) from None


async def _asked(platform: Platform, wanted: dict[str, Any], release: str) -> dict[str, Any]:
    body = wanted | ({"release": release} if release else {})
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    # It takes as long as the skill does: no byte comes before.
    async with platform.open("POST", "/api/v1/replays", headers=headers, data=data, silence=None) as response:
        return obj(json.loads(await response.read()))


async def _many(platform: Platform, many: int, agent: str, skill: str, release: str) -> list[dict[str, Any]]:
    rows = await _runs(platform, many, agent, skill)
    progress, room = Progress(), asyncio.Semaphore(AT_ONCE)
    done = 0

    async def one(row: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        async with room:
            try:
                verdict = await _asked(platform, {"run": row["id"]}, release)
            except ServerProblem as problem:
                if problem.code not in ("release_not_found", "agent_not_found", "run_not_found"):
                    raise
                verdict = {
                    "run": row["id"],
                    "agent": row.get("agent", ""),
                    "skill": row.get("skill", ""),
                    "recorded": row.get("release", 0),
                    "verdict": "unavailable",
                    "missing": {"what": "release", "detail": problem.detail},
                }
        done += 1
        progress.show(f"replayed {done} of {len(rows)}")
        return verdict

    try:
        return list(await asyncio.gather(*(one(row) for row in rows)))
    finally:
        progress.clear()


async def _runs(platform: Platform, many: int, agent: str, skill: str) -> list[dict[str, Any]]:
    """The newest runs that have ended, newest first."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while len(found) < many:
        params = {"limit": str(_PAGE), "agent": agent, "cursor": cursor}
        page = obj(
            await platform.json(
                "GET", "/api/v1/runs", params={name: value for name, value in params.items() if value}
            )
        )
        found += [
            row
            for row in objs(page.get("runs"))
            if row.get("state") in _ENDED and (not skill or row.get("skill") == skill)
        ]
        cursor = text(page.get("next"))
        if not cursor:
            break
    return found[:many]


def _show(verdict: dict[str, Any]) -> None:
    recorded, release = verdict.get("recorded"), verdict.get("release")
    where = f"release {release}" if release == recorded else f"release {release} (recorded with {recorded})"
    put(clean_line(f"{verdict.get('verdict')}: {verdict.get('run')}, {_whose(verdict)}, {where}"))
    difference, missing = obj(verdict.get("difference")), obj(verdict.get("missing"))
    if difference:
        put(clean_line(f"  at       {_place(difference)}"))
        put(clean_line(f"  expected {difference.get('expected')}"))
        put(clean_line(f"  got      {difference.get('got')}"))
    if missing:
        put(clean_line(f"  {missing.get('what')}: {missing.get('detail')}"))
    for note in items(verdict.get("notes")):
        put(clean_line(f"  note: {note}"))
    say(
        f"compared {count(_number(verdict, 'effects'), 'effect')}, "
        f"{count(_number(verdict, 'outputs'), 'output')}, "
        f"{count(_number(verdict, 'files'), 'operation')} on files"
    )


def _table(options: Options, verdicts: list[dict[str, Any]]) -> int:
    counts = Counter(text(one.get("verdict")) for one in verdicts)
    code = next((_CODES[name] for name in ("different", "unavailable") if counts[name]), Exit.OK)
    if options.json:
        put_json({"replays": verdicts, **{name: counts[name] for name in _CODES}, "exit": int(code)})
        return int(code)
    if not verdicts:
        say("No runs that have ended.")
        return int(Exit.OK)
    table(
        ("RUN", "AGENT", "SKILL", "RELEASE", "VERDICT", "FIRST DIFFERENCE"),
        [
            (
                one.get("run", ""),
                one.get("agent", ""),
                one.get("skill", "") or "-",
                f"{one.get('recorded')} → {one.get('release', '-')}",
                one.get("verdict", ""),
                _brief(one),
            )
            for one in verdicts
        ],
    )
    put(", ".join(f"{counts[name]} {name}" for name in _CODES))
    return int(code)


def _brief(verdict: dict[str, Any]) -> str:
    difference, missing = obj(verdict.get("difference")), obj(verdict.get("missing"))
    if missing:
        return f"{missing.get('what')}: {missing.get('detail')}"
    if not difference:
        return ""
    expected, got = (_cut(text(difference.get(name))) for name in ("expected", "got"))
    return f"{_place(difference)}: expected {expected}, got {got}"


def _place(difference: dict[str, Any]) -> str:
    seq, name, path = difference.get("seq"), text(difference.get("name")), text(difference.get("path"))
    words = [text(difference.get("kind")) + path, repr(name) if name else "", f"(event {seq})" if seq else ""]
    return " ".join(filter(None, words))


def _whose(verdict: dict[str, Any]) -> str:
    return "/".join(filter(None, (text(verdict.get("agent")), text(verdict.get("skill"))))) or "-"


def _number(verdict: dict[str, Any], name: str) -> int:
    found = verdict.get(name)
    return found if isinstance(found, int) else 0


def _cut(line: str, most: int = 60) -> str:
    return line if len(line) <= most else f"{line[:most]}…"
