"""`a2a delete` and what brings back: an agent stops answering, and comes back within its grace time."""

from __future__ import annotations

from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.moves import ask_agent
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, interactive, put, put_json, say
from a2a_cloud.callers.cli.units import duration
from a2a_cloud.client.shapes import text


@click.command("delete")
@connected
@click.argument("agent", required=False, default="", shell_complete=agent_names)
@click.option(
    "--grace",
    default="1d",
    show_default=True,
    metavar="TIME",
    help="How long it can be brought back: 12h, 7d.",
)
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
def delete_command(options: Options, agent: str, grace: str, yes: bool) -> int:
    """Delete AGENT: it takes no new calls from now on, and is removed after the grace time."""
    agent = agent_named(agent)
    seconds = int(duration(grace, "--grace"))
    if not yes:
        if options.json or not interactive():
            raise Failure(
                Exit.USAGE,
                f"Deleting {agent} needs a yes, and nobody is here to ask.",
                remedy=f"Say it: {options.command('delete', agent, '--grace', grace, '--yes')}",
            )
        question = f"Delete {clean_line(agent)} with all its releases, for good after {grace}?"
        if not click.confirm(question, default=False, err=True):
            say("Nothing was deleted.")
            return int(Exit.FAILED)
    answer = ask_agent(options, "DELETE", agent, f"?grace={quote(str(seconds))}")
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    until = text(answer.get("until"))
    put(clean_line(f"{agent} is deleted: no new calls. It is removed for good at {until}."))
    put(f"Bring it back until then: {options.command('restore', agent)}")
    return int(Exit.OK)


def bring_back(options: Options, agent: str) -> int:
    """`a2a restore AGENT`: an agent that was deleted less than its grace time ago."""
    agent = agent_named(agent)
    answer = ask_agent(options, "POST", agent, "/restore", {})
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"{agent} serves again."))
        put(f"Its releases: {options.command('releases', agent)}")
    return int(Exit.OK)
