"""Names that a shell completes: agents, and an agent's skills, as the platform has them now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from a2a_cloud.callers.cli.options import Options
from a2a_cloud.client.shapes import obj, objs, text

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

#: Seconds that a shell waits for an answer.
BOUND = 1.0


def agent_names(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The agents that may be called and whose names begin so; none when nobody answers."""
    return _items(
        [
            (_address(each), text(each.get("description")))
            for each in objs(obj(_ask(ctx, "/api/v1/agents")).get("agents"))
        ],
        begun,
    )


def skill_names(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The skills of the agent that the command line names already (its parameter `agent`)."""
    agent = text(ctx.params.get("agent"))
    if not agent:
        return []
    found = objs(obj(_ask(ctx, f"/api/v1/agents/{quote(agent, safe='.')}")).get("skills"))
    return _items([(text(each.get("id")), text(each.get("description"))) for each in found], begun)


def _address(agent: dict[str, Any]) -> str:
    name, org = text(agent.get("name")), text(agent.get("org"))
    return name if org in ("", "default") else f"{org}.{name}"


def _items(found: list[tuple[str, str]], begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(name, help=about.partition("\n")[0][:60] or None)
        for name, about in found
        # The script of a shell reads lines: a name with anything else in it is none that we print.
        if name.isprintable() and " " not in name and name.startswith(begun)
    ]


def _ask(ctx: click.Context, path: str) -> Any:
    """The platform's answer within BOUND, else None: completion is silent about what is wrong."""
    from a2a_cloud.client.profile import NotConfigured
    from a2a_cloud.client.quick import quick_json

    options = ctx.find_object(Options) or Options()
    try:
        target = options.target()
    except NotConfigured:
        return None
    return quick_json(target, path, BOUND)
