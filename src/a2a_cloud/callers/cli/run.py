"""`a2a run erase`: what a run was told, said and did goes; its receipt stays and says so."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import run_id_of
from a2a_cloud.callers.cli.terminal import clean_line, interactive, put, put_json, say
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import objs


@click.group("run")
def run_command() -> None:
    """Change what is kept of a run."""


@run_command.command("erase")
@connected
@click.argument("run", metavar="RUN|last")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the audit log.")
@click.option("--tree", is_flag=True, help="Also the runs that it called.")
@click.option(
    "--agent", default="", metavar="NAME", help="The run's agent, when it is of another organisation."
)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def erase(options: Options, run: str, reason: str, tree: bool, agent: str, yes: bool) -> int:
    """Erase what RUN was told, said and did. Nothing brings it back but a backup.

    One's own run, or any of the organisation with runs.manage. The receipt stays valid and says that the rest
    was erased, when and by whom.
    """

    async def named(platform: Platform) -> str:
        return await run_id_of(platform, run)

    run_id = options.ask(named)
    if not yes:
        if not interactive():
            raise Failure(Exit.USAGE, f"This erases what {run_id} was told and said.", remedy="Give --yes.")
        if not click.confirm(f"Erase what {run_id} was told, said and did?", err=True):
            return int(Exit.FAILED)

    async def ask(platform: Platform) -> Any:
        wanted = {"reason": reason, "tree": tree, "agent": agent}
        return await platform.json("POST", f"/api/v1/runs/{quote(run_id, safe='')}/erase", body=wanted)

    found = options.ask(ask)
    if options.json:
        put_json(found)
        return int(Exit.OK)
    for each in objs(found.get("erased")):
        which, at, by = (clean_line(each.get(name)) for name in ("id", "at", "by"))
        put(f"{which} erased {at} by {by}")
    say("Files that nothing else refers to are deleted by the next clearing; backups keep what they have.")
    return int(Exit.OK)
