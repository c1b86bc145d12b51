"""`a2a releases`: the releases of an agent, which serves, and why one failed."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put_json, say, table
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import obj, objs, text


@click.command("releases")
@connected
@click.argument("agent", required=False, default="", shell_complete=agent_names)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@click.option("--before", type=click.IntRange(1), metavar="R", help="Those before release R.")
def releases_command(options: Options, agent: str, limit: int, before: int | None) -> int:
    """List the releases of AGENT, newest first."""
    agent = agent_named(agent)
    params = {"limit": str(limit), **({"before": str(before)} if before else {})}
    path = f"/api/v1{agent_path(agent)}/releases"
    page: Any = options.ask(lambda platform: platform.json("GET", path, params=params))
    if options.json:
        put_json(page)
        return int(Exit.OK)
    releases = objs(obj(page).get("releases"))
    if not releases:
        say(f"No releases. Deploy one: {options.command('deploy')}")
        return int(Exit.OK)
    table(
        ("RELEASE", "STATE", "SERVES", "VERSION", "SCORE", "CREATED", "BY", "DIGEST", "NOTE"),
        [
            (
                each.get("release", ""),
                text(each.get("state")),
                _serves(obj(page), each),
                text(each.get("version")) or "-",
                text(obj(each.get("eval")).get("score")) or "-",
                text(each.get("created")),
                text(each.get("by")) or "-",
                text(each.get("digest")).removeprefix("sha256:")[:12] or "-",
                _note(each),
            )
            for each in releases
        ],
    )
    _end(options, agent, obj(page), releases, limit)
    return int(Exit.OK)


def _serves(page: dict[str, Any], release: dict[str, Any]) -> str:
    """Which calls reach a release: all, a share, those that pin its major, or none."""
    number = release.get("release")
    canary = obj(page.get("canary"))
    share = int(canary.get("weight") or 0) if canary else 0
    said: list[str] = []
    if number == page.get("serving"):
        said.append(f"{100 - share} %")
    elif canary and number == canary.get("release"):
        said.append(f"{share} %")
    for major in objs(page.get("majors")):
        if major.get("release") == number and (number != page.get("serving") or major.get("until")):
            until = f" until {text(major['until'])[:10]}" if major.get("until") else ""
            said.append(f"@{major.get('major')}{until}")
    return ", ".join(said) or "-"


def _note(release: dict[str, Any]) -> str:
    if release.get("state") == "building":
        return f"at the step {release.get('step')}" if release.get("step") else ""
    cause = obj(release.get("cause"))
    if cause:
        return f"{cause.get('code', '')} at {cause.get('step', '')}"
    breaking = sum(bool(each.get("breaking")) for each in objs(release.get("changes")))
    return f"{breaking} breaking" if breaking else ""


def _end(
    options: Options, agent: str, page: dict[str, Any], releases: list[dict[str, Any]], limit: int
) -> None:
    if page.get("deleted"):
        say(clean_line(f"{agent} is deleted. Bring it back: {options.command('restore', agent)}"))
    failed = next((each for each in releases if each.get("state") == "failed"), None)
    if failed is not None and failed is releases[0]:
        number = text(failed.get("release"))
        say(clean_line(f"Why {number} failed: {options.command('logs', agent, '--release', number)}"))
    if len(releases) == limit:
        say(f"There may be more: --before {releases[-1].get('release')}")
