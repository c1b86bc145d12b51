"""`/api/v1/agents/{name}/cards`: how the card changed from release to release. Nothing is stored for it: a
release never changes, and its card follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from a2a_cloud.model.release import Release
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.a2a.cards import described
from a2a_cloud.surface.api.releases import found_agent, number
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

#: What names an element of a list in a card.
_IDS = ("id", "uri", "name")
_MOST_CHANGES = 500

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


async def history(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET …/cards?limit=&before=`: newest first, each with its changes from the one before. For people of
    the agent's organisation."""
    agent = found_agent(services, request, values[0])
    query = request.query()
    limit = number(query, "limit", 20, 1, 100)
    before = number(query, "before", 1 << 30, 1, 1 << 30)
    ready = sorted((one for one in agent.records.values() if one.ready), key=lambda one: one.number)
    shown = [index for index, one in enumerate(ready) if one.number < before][-limit:]
    serving = agent.serving.number if agent.serving is not None else 0
    documents = {
        index: _card(services, ready[index].release, request.base)
        for index in {*shown, *(index - 1 for index in shown if index)}
    }
    cards: list[dict[str, Any]] = []
    for index in reversed(shown):
        record = ready[index]
        older = ready[index - 1] if index else None
        changed = list(changes(documents[index - 1], documents[index])) if older is not None else []
        cards.append(
            {
                "release": record.number,
                "version": record.release.manifest.version,
                "digest": record.release.digest,
                "created": stamp(record.created),
                "by": record.by,
                "serving": record.number == serving,
                "card_url": f"{request.base}/api/v1/agents/{agent.name}/releases/{record.number}/card",
                "compared_with": older.number if older is not None else None,
                "changes": changed[:_MOST_CHANGES],
                "changes_left_out": max(0, len(changed) - _MOST_CHANGES),
            }
        )
    more = bool(shown) and shown[0] > 0
    return 200, {"agent": agent.name, "cards": cards, "before": ready[shown[0]].number if more else None}


def _card(services: Services, release: Release, origin: str) -> dict[str, Any]:
    base = f"{origin}/agents/{qualified(release)}"
    return _decode(_encode(described(services, release, base, extended=True)))


def changes(old: Any, new: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """What differs between two JSON documents: a path, written as a pointer is (RFC 6901), and the value
    before and after, left out where there is none. An element of a list that has an id is found by it,
    wherever it stands."""
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for name in sorted(before.keys() | after.keys()):
            step = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield {"path": step, "before": before[name]}
            elif name not in before:
                yield {"path": step, "after": after[name]}
            else:
                yield from changes(before[name], after[name], step)
        return
    if isinstance(old, list) and isinstance(new, list):
        named, renamed = _by_id(cast("list[Any]", old)), _by_id(cast("list[Any]", new))
        if named is not None and renamed is not None:
            yield from changes(named, renamed, path)
            return
    if _encode(old) != _encode(new):  # Python has True for 1.
        yield {"path": path, "before": old, "after": new}


def _by_id(elements: list[Any]) -> dict[str, Any] | None:
    """The elements by their ids; None when some have none, or two the same."""
    found: dict[str, Any] = {}
    for element in elements:
        if not isinstance(element, dict):
            return None
        known = cast("dict[str, Any]", element)
        name = next((known[key] for key in _IDS if isinstance(known.get(key), str)), None)
        if name is None or name in found:
            return None
        found[name] = known
    return found
