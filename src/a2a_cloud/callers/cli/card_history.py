"""`a2a card AGENT --history`: the cards of an agent's releases, and what changed from one to the next."""

from __future__ import annotations

import json
from typing import Any

from a2a_cloud.callers.cli.colour import bold, green, put_painted, red
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.http import agent_path
from a2a_cloud.client.shapes import obj, objs, text

#: Characters of a value that are shown; all of it with --json.
_MOST = 300


def show_history(options: Options, agent: str) -> int:
    """Newest first."""
    answer: Any = options.ask(lambda platform: platform.json("GET", f"/api/v1{agent_path(agent)}/cards"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    cards = objs(obj(answer).get("cards"))
    if not cards:
        say(f"{agent} has no release that could serve yet.")
    for card in cards:
        _card(card)
    before = obj(answer).get("before")
    if before:
        say(f"Older ones: GET /api/v1{agent_path(agent)}/cards?before={before}")
    return int(Exit.OK)


def _card(card: dict[str, Any]) -> None:
    mark = " (serves)" if card.get("serving") else ""
    by = f" by {card['by']}" if card.get("by") else ""
    line = f"release {card.get('release')}{mark}, version {card.get('version')}, {card.get('created')}{by}"
    put_painted(clean_line(line), bold)
    changes = objs(card.get("changes"))
    if card.get("compared_with") is None:
        put("  the first card")
    elif not changes:
        put(f"  the card is that of release {card.get('compared_with')}")
    for change in changes:
        put(clean_line(f"  {text(change.get('path'))}"))
        if "before" in change:
            put_painted(clean_line(f"    - {_value(change['before'])}"), red)
        if "after" in change:
            put_painted(clean_line(f"    + {_value(change['after'])}"), green)
    if card.get("changes_left_out"):
        put(f"  and {card['changes_left_out']} more changes")


def _value(value: Any) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= _MOST else f"{said[:_MOST]}…"
