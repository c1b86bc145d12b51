"""`a2a ls` and `a2a show`: which agents there are, and how each is called."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.ask import choices
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean, clean_line, put, put_json, say, table
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import items, obj, objs, text


@click.command("ls")
@connected
def ls_command(options: Options) -> int:
    """List the agents that you may call."""
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/agents"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    agents = objs(obj(answer).get("agents"))
    if not agents:
        say("No agents. A folder with an a2a.toml is one: a2a up FOLDER")
        return int(Exit.OK)
    table(
        ("AGENT", "RELEASE", "VERSION", "VISIBILITY", "URL", "SKILLS"),
        [
            (
                _name(each),
                each.get("release", ""),
                each.get("version", ""),
                each.get("visibility", ""),
                each.get("url", ""),
                ", ".join(str(skill.get("id", "")) for skill in objs(each.get("skills"))),
            )
            for each in agents
        ],
    )
    return int(Exit.OK)


def _name(agent: dict[str, Any]) -> str:
    org = agent.get("org", "")
    return agent.get("name", "") if org in ("", "default") else f"{org}.{agent.get('name', '')}"


@click.command("show")
@connected
@click.argument("agent")
def show_command(options: Options, agent: str) -> int:
    """Show AGENT's skills, their arguments, and a command for each."""
    answer: Any = options.ask(lambda platform: platform.json("GET", f"/api/v1{agent_path(agent)}"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    put(f"{clean_line(_name(answer))} release {answer.get('release')} ({clean_line(answer.get('url', ''))})")
    scored = obj(answer.get("eval"))
    if scored:
        passed = f"{scored.get('passed')} of {scored.get('runs')} runs passed"
        put(clean_line(f"score {scored.get('score')} by its own rubric ({passed})"))
    for skill in objs(answer.get("skills")):
        put("")
        put(clean_line(skill.get("id", "")))
        if skill.get("description"):
            put("  " + clean(str(skill["description"])).replace("\n", "\n  "))
        _price(skill.get("price"))
        words: list[str] = []
        for name, kind, required, about in parameters(skill):
            need = "" if required else ", optional"
            put(clean_line(f"    {name} ({kind}{need})" + (f"  {about}" if about else "")))
            if required:
                words.append(_word(name, kind))
        put(f"  {options.command('call', agent, str(skill.get('id', '')), *words)}")
    return int(Exit.OK)


def _price(price: Any) -> None:
    found = obj(price)
    if found:
        put(clean_line(f"  costs: {text(found.get('about'))} (version {text(found.get('version'))})"))


def parameters(skill: dict[str, Any]) -> list[tuple[str, str, bool, str]]:
    """A skill's parameters as (name, kind, required, description), files among them."""
    schema = obj(skill.get("input_schema"))
    needed = items(schema.get("required"))
    found: list[tuple[str, str, bool, str]] = [
        (
            text(each.get("name")),
            "files" if each.get("many") else "file",
            bool(each.get("required", True)),
            text(each.get("description")),
        )
        for each in objs(skill.get("files"))
    ]
    for name, value in obj(schema.get("properties")).items():
        each = obj(value)
        kind = each.get("type", "any")
        kinds = choices(each) or items(kind) or [kind]
        found.append((name, " | ".join(map(str, kinds)), name in needed, text(each.get("description"))))
    return found


def _word(name: str, kind: str) -> str:
    if kind in ("file", "files"):
        return f"{name}=@FILE"
    if kind in ("integer", "number", "boolean", "array", "object"):
        return f"{name}:=…"
    return f"{name}=…"
