"""`a2a eval`: a release put to a rubric on the platform, and what came of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from a2a_cloud.callers.cli.eval_report import good_enough, one_line, show
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import Progress, clean_line, put_json, say, table
from a2a_cloud.client import evals
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text

#: The rubric that is used where a folder is named.
FILE = "evals.toml"


@click.command("eval")
@connected
@click.argument("agent", required=False, default="", metavar="[FOLDER|AGENT]", shell_complete=agent_names)
@click.option("--release", "release", type=click.IntRange(1), metavar="R", help="Release R, not what serves.")
@click.option("--rubric", default="", metavar="FILE", help="These cases, not the release's own.")
@click.option("--case", "cases", multiple=True, metavar="NAME", help="Only this case (again for more).")
@click.option("--parallel", type=click.IntRange(1, 16), default=4, show_default=True, help="Runs at a time.")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, show_default=True, help="Each so often.")
@click.option("--min", "least", type=click.FloatRange(0, 1), help="Below this score the exit code is 12.")
@click.option("--ls", "listing", is_flag=True, help="List the evals that there were.")
@click.option("--show", "shown", default="", metavar="EVAL", help="Show one that was.")
@click.option("--cancel", "canceled", default="", metavar="EVAL", help="End one that goes on.")
def eval_command(
    options: Options,
    agent: str,
    release: int | None,
    rubric: str,
    cases: tuple[str, ...],
    parallel: int,
    repeat: int,
    least: float | None,
    listing: bool,
    shown: str,
    canceled: str,
) -> int:
    """Put a release of AGENT to the cases of its evals.toml, or of another rubric, and score it.

    Of a FOLDER its evals.toml as it is now is used. The cases are ordinary runs on the platform, each with
    its receipt; each score is on record there.
    """
    name = agent_named(agent)
    if sum(map(bool, (listing, shown, canceled))) > 1:
        raise Failure(Exit.USAGE, "--ls, --show and --cancel are three things.", remedy="Give one of them.")
    if listing:
        return _list(options, name, release)
    if canceled:
        ended = options.ask(lambda platform: evals.cancel(platform, name, canceled))
        if options.json:
            put_json(ended)
        else:
            say(clean_line(f"ended {canceled}; {ended.get('done')} of {ended.get('runs')} runs were scored"))
        return int(Exit.OK)
    if shown:
        document = options.ask(lambda platform: platform.json("GET", evals.evals_path(name, shown)))
        return _end(options, name, obj(document), least)
    wish: dict[str, Any] = {"parallel": parallel, "repeat": repeat}
    if release:
        wish["release"] = release
    if cases:
        wish["cases"] = list(cases)
    used = _text(rubric) if rubric else _own(agent)
    if used is not None:
        wish["rubric"] = used
    return _end(options, name, evaluate(options, name, wish), least)


def evaluate(options: Options, agent: str, wish: dict[str, Any]) -> dict[str, Any]:
    """Run an eval to its end; its document with all scores. Ctrl-C ends it. Raises what the client raises."""
    progress = Progress(quiet=options.json)
    begun: dict[str, Any] = {}

    async def talk(platform: Platform) -> dict[str, Any]:
        begun.update(await evals.begin(platform, agent, wish))
        eval_id = text(begun.get("id"))
        if not options.json:
            say(
                clean_line(
                    f"{eval_id}: {begun.get('runs')} runs of release {begun.get('release')} of {agent}"
                )
            )
        document, scores = begun, list[dict[str, Any]]()
        try:
            async with aclosing(evals.follow(platform, agent, eval_id, progress.show)) as documents:
                async for document in documents:
                    for each in objs(document.get("scores")):
                        scores.append(each)
                        if not options.json:
                            progress.clear()
                            say(one_line(each))
                    progress.show(f"{document.get('done')} of {document.get('runs')} runs scored")
        except asyncio.CancelledError:
            await asyncio.shield(evals.cancel(platform, agent, eval_id))
            raise
        finally:
            progress.clear()
        return {**document, "scores": scores}

    return options.ask(talk)


def _end(options: Options, agent: str, document: dict[str, Any], least: float | None) -> int:
    scores = objs(document.get("scores"))
    code = Exit.OK
    if document.get("state") not in ("done", "running"):
        code = Exit.FAILED
    elif least is not None and not good_enough(document.get("score"), least):
        code = Exit.BELOW
    if options.json:
        put_json({**document, "exit": int(code)})
        return int(code)
    if document.get("state") == "running":
        say(clean_line(f"It goes on: {document.get('done')} of {document.get('runs')} runs are scored."))
        return int(code)
    show(options, agent, document, scores)
    if code is Exit.BELOW:
        say(f"a2a: the score is lower than {least:g}")
    return int(code)


def _list(options: Options, agent: str, release: int | None) -> int:
    params = {"release": str(release)} if release else {}
    page = obj(options.ask(lambda platform: platform.json("GET", evals.evals_path(agent), params=params)))
    if options.json:
        put_json(page)
        return int(Exit.OK)
    found = objs(page.get("evals"))
    if not found:
        say(f"No evals yet. Run one: {options.command('eval', agent)}")
        return int(Exit.OK)
    table(
        ("EVAL", "RELEASE", "STATE", "SCORE", "PASSED", "RUBRIC", "CREATED", "BY"),
        [
            (
                each.get("id", ""),
                each.get("release", ""),
                each.get("state", ""),
                text(each.get("score")) or "-",
                f"{each.get('passed')}/{each.get('runs')}",
                _which(each),
                each.get("created", ""),
                each.get("by", ""),
            )
            for each in found
        ],
    )
    return int(Exit.OK)


def _which(document: dict[str, Any]) -> str:
    rubric = "own" if document.get("own_rubric") else text(document.get("rubric_sha256"))[:12]
    return rubric if document.get("all_cases") else f"{rubric}, some cases"


def _text(file: str) -> str:
    """A rubric, read here first: what is wrong with it is told before anything is sent."""
    from a2a_cloud.wire.rubric import MAX_BYTES, read_rubric

    try:
        with Path(file).expanduser().open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(Exit.USAGE, f"The rubric {file} can't be read: {error.strerror}.") from None
    read_rubric(data, Path(file).name)
    return data.decode("utf-8")


def _own(agent: str) -> str | None:
    """The evals.toml of the folder that is meant, None where an agent is meant by its name."""
    if agent and agent != "." and "/" not in agent:
        return None
    file = Path(agent or ".").expanduser() / FILE
    return _text(str(file)) if file.is_file() else None
