"""`a2a runs` and `a2a cancel`: what ran, how it went, and stopping what runs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.answer import agent_of, task_view
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.run_grants import granted, show_granted
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import obj, objs, text

#: The word for the newest run.
LAST = "last"
STATES = (
    "submitted",
    "working",
    "input-required",
    "auth-required",
    "completed",
    "failed",
    "canceled",
    "rejected",
)


async def run_id_of(platform: Platform, name: str) -> str:
    """`name`, or for `last` the id of the newest run that the key may see and no other called. Raises Failure
    (not found)."""
    if name != LAST:
        return name
    page = obj(await platform.json("GET", "/api/v1/runs", params={"limit": "100"}))
    rows = objs(page.get("runs"))
    for row in [one for one in rows if not one.get("parent")] or rows:
        return text(row.get("id"))
    raise Failure(Exit.NOT_FOUND, "There is no run yet.", remedy="Call an agent: a2a call AGENT SKILL")


async def run_view(platform: Platform, run_id: str) -> dict[str, Any]:
    """A run with its events."""
    return await platform.json("GET", f"/api/v1/runs/{quote(run_id, safe='')}")


@click.command("runs")
@connected
@click.argument("run", required=False, default="", metavar="[RUN|TASK|last]")
@click.option("--agent", default="", metavar="NAME", help="Of this agent.")
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--dead", is_flag=True, help="Those that a crash ended, and that nobody repeated.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="At most so many.")
@click.option("--cursor", default="", metavar="…", help="Go on after an earlier page (its `next`).")
def runs_command(
    options: Options, run: str, agent: str, state: str | None, dead: bool, limit: int, cursor: str
) -> int:
    """List runs, newest first; or show one run with its events, or the runs of a task."""
    if run.startswith("run_") or run == LAST:

        async def look(platform: Platform) -> dict[str, Any]:
            view = await run_view(platform, await run_id_of(platform, run))
            return {**view, **await granted(platform, text(view.get("id")))}

        view = options.ask(look)
        if options.json:
            put_json(view)
        else:
            _show_run(options, view)
        return int(Exit.OK)
    wanted = {
        "task": run,
        "agent": agent,
        "state": state or "",
        "dead": "1" if dead else "",
        "cursor": cursor,
    }
    params = {name: value for name, value in wanted.items() if value} | {"limit": str(limit)}
    page: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/runs", params=params))
    if options.json:
        put_json(page)
        return int(Exit.OK)
    rows = objs(page.get("runs"))
    if not rows and run:
        raise Failure(
            Exit.NOT_FOUND,
            f"There is no task {run}.",
            remedy="Check the id, and that the key is its owner's.",
        )
    if not rows:
        say("No runs." if not dead else "No dead runs: no crash has ended any.")
        return int(Exit.OK)
    table(
        ("RUN", "AGENT", "SKILL", "STATE", "CREATED", "TASK", "ERROR"),
        [
            (
                row.get("id", ""),
                row.get("agent", ""),
                row.get("skill", "") or "-",
                text(row.get("state")) + (" (dead)" if row.get("dead") else ""),
                row.get("created", ""),
                row.get("task_id", "") or "-",
                text(obj(row.get("error")).get("code")),
            )
            for row in rows
        ],
    )
    if page.get("next"):
        say(f"There are more: --cursor {clean_line(page['next'])}")
    return int(Exit.OK)


def _show_run(options: Options, run: dict[str, Any]) -> None:
    error, erased = obj(run.get("error")), obj(run.get("erased"))
    facts = (
        ("run", run.get("id")),
        ("agent", f"{run.get('agent')} release {run.get('release')}"),
        ("skill", run.get("skill")),
        ("state", f"{run.get('state')}{' (dead)' if run.get('dead') else ''}"),
        ("attempt", run.get("attempt")),
        ("task", run.get("task_id")),
        ("context", run.get("context_id")),
        ("owner", run.get("owner")),
        ("created", run.get("created")),
        ("started", run.get("started")),
        ("ended", run.get("ended")),
        ("error", f"{error.get('code')}: {error.get('detail')}" if error else ""),
        ("parent", run.get("parent")),
        ("receipt", run.get("receipt_id")),
        ("erased", f"{erased.get('at')} by {erased.get('by')}" if erased else ""),
    )
    for name, value in facts:
        if value not in (None, ""):
            put(f"{name:9}{clean_line(value)}")
    for each in objs(run.get("scores")):
        where = f"in the case {each.get('case')!r} of {each.get('eval')}"
        put(clean_line(f"{'score':9}{each.get('score')} {where}"))
    for each in objs(run.get("reviews")):
        said = f": {each['notes']}" if each.get("notes") else ""
        put(clean_line(f"{'review':9}{each.get('verdict')} by {each.get('by')} at {each.get('at')}{said}"))
    events = objs(run.get("events"))
    if events:
        put("")
        rows = [
            (
                each.get("seq", ""),
                each.get("kind", ""),
                _brief({k: v for k, v in each.items() if k not in ("seq", "kind")}),
            )
            for each in events
        ]
        table(("SEQ", "EVENT", "WHAT"), rows)
    record = objs(run.get("record"))
    if record:
        put("")
        table(
            ("SEQ", "DID", "WHAT", "STATE"),
            [
                (each.get("seq", ""), each.get("kind", ""), _cut(text(each.get("what"))), _how(each))
                for each in record
            ],
        )
    show_granted(run)
    if run.get("state") == "auth-required":
        say(f"It waits until somebody decides: {options.command('approvals', 'ls')}")
    if run.get("state") == "input-required":
        say(f"It waits for an answer: {options.command('answer', str(run.get('task_id')))}")


def _how(act: dict[str, Any]) -> str:
    """`done`, or `refused: forbidden`."""
    return f"{act.get('state')}: {act['code']}" if act.get("code") else text(act.get("state"))


def _cut(line: str, most: int = 100) -> str:
    return line if len(line) <= most else f"{line[:most]}…"


def _brief(fields: dict[str, Any], most: int = 160) -> str:
    text = json.dumps(fields, ensure_ascii=False) if fields else ""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters, all with --json)"


@click.command("cancel")
@connected
@click.argument("name", metavar="TASK|RUN")
@click.option(
    "--agent", default="", metavar="NAME", help="The task's agent, when it is of another organisation."
)
def cancel_command(options: Options, name: str, agent: str) -> int:
    """Cancel a task, or one run."""

    async def cancel(platform: Platform) -> Any:
        if name.startswith("run_"):
            return await platform.json("POST", f"/api/v1/runs/{quote(name, safe='')}/cancel")
        of = agent or agent_of(await task_view(platform, name))
        path = f"{agent_path(of)}/tasks/{quote(name, safe='')}:cancel"
        return await platform.json("POST", path, headers={"A2A-Version": "1.0"}, body={})

    done = options.ask(cancel)
    if options.json:
        put_json(done)
    else:
        say(f"canceled {clean_line(name)}")
    return int(Exit.OK)
