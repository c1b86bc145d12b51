"""`a2a search`: which agent can do it."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.colour import bold, dim, put_painted
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.callers.cli.units import count
from a2a_cloud.client.shapes import obj, objs, text

_NOTES = {
    "absent": "Found by words alone: there is no model for the meaning, or it does not work (a2a doctor).",
    "learning": "Found by words alone: the agents are still being read. Search again in a moment.",
}


@click.command("search")
@connected
@click.argument("words", nargs=-1)
@click.option("--by", type=click.Choice(["words", "meaning", "both"]), default="both", help="[both]")
@click.option("--parameter", default="", metavar="NAME[:TYPE]", help="Skills that take a parameter.")
@click.option("--accepts", default="", metavar="MEDIA", help="Skills that take such files or input.")
@click.option("--returns", default="", metavar="WHAT", help="A media type, a JSON type or a member.")
@click.option("--mode", default="", metavar="MEDIA", help="Skills that take or give a media type.")
@click.option("--tag", default="", help="Skills with that tag.")
@click.option("--limit", type=click.IntRange(1, 50), default=10, help="At most so many agents. [10]")
def search_command(options: Options, words: tuple[str, ...], limit: int, **filters: str) -> int:
    """Find agents that you may call, by WORDS, by meaning, or by what their skills take and give."""
    params = {name: value for name, value in {"q": " ".join(words), **filters}.items() if value}
    params["limit"] = str(limit)
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/search", params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    agents = objs(obj(answer).get("agents"))
    for each in agents:
        _agent(each)
    total = obj(answer).get("total", len(agents))
    if not agents:
        say("No agent that you may call fits.")
    elif total > len(agents):
        say(f"{count(total, 'agent')} fit; {len(agents)} are shown. More: --limit {min(50, total)}")
    note = _NOTES.get(text(obj(answer).get("meaning")), "")
    if note:
        say(note)
    return int(Exit.OK)


def _agent(agent: dict[str, Any]) -> None:
    name, about = text(agent.get("name")), text(agent.get("description"))
    health = text(agent.get("health"))
    poorly = f" ({health})" if health == "failing" else ""
    put_painted(clean_line(f"{name}{poorly}" + (f": {about}" if about else "")), bold)
    for skill in objs(agent.get("skills")):
        about = text(skill.get("description")).partition("\n")[0] or text(skill.get("name"))
        put(clean_line(f"  {skill.get('id', '')}: {about}"))
        price = obj(skill.get("price"))
        if price:
            put(clean_line(f"    costs: {text(price.get('about'))}"))
    score = text(obj(agent.get("eval")).get("score"))
    put_painted(clean_line(f"  {agent.get('url', '')}" + (f"  score {score}" if score else "")), dim)
