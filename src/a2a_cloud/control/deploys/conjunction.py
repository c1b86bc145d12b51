"""What is known of a value that has to fit several schemas at once: its types, its values where they can
be listed, its bounds, its fields and items. `inclusion` asks."""

from __future__ import annotations

import math
from typing import Any, Literal

import jsonschema_rs

from a2a_cloud.control.deploys.shape import TYPES, Node, Schema, Undecided, kind_of

Parts = tuple[Node, ...]

_FINITE = {"null": [None], "boolean": [False, True]}


def nodes(*schemas: Schema | None) -> Parts | None:
    """A conjunction; None when nothing fits."""
    return None if False in schemas else tuple(one for one in schemas if isinstance(one, Node))


def domain_of(parts: Parts) -> frozenset[str]:
    return TYPES.intersection(*(part.types for part in parts))


def values_of(parts: Parts, domain: frozenset[str]) -> list[Any] | None:
    """All values, where they can be listed; perhaps some too many."""
    for part in parts:
        if part.enum is not None:
            return [value for value in part.enum.values() if kind_of(value) in domain]
    if domain <= _FINITE.keys():
        return [value for kind in sorted(domain) for value in _FINITE[kind]]
    return None


def takes_leaf(node: Node, value: Any) -> bool:
    try:
        return jsonschema_rs.validator_for(node.leaves, validate_formats=True).is_valid(value)
    except ValueError as error:
        raise Undecided(str(error).splitlines()[0][:200]) from None


def apart(a: Schema, b: Schema) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is False or b is False
    if not a.types & b.types:
        return True
    if a.types & b.types != frozenset({"object"}):
        return a.enum is not None and b.enum is not None and not a.enum.keys() & b.enum.keys()
    # A tag that one of them demands; in the other it may have a default.
    for name in a.required | b.required:
        one, two = (a.properties or {}).get(name), (b.properties or {}).get(name)
        mine = one.enum if isinstance(one, Node) else None
        other = two.enum if isinstance(two, Node) else None
        if mine is not None and other is not None and not mine.keys() & other.keys():
            return True
    return False


def lower_bound(node: Node, sign: int, plain: str, exclusive: str, whole: bool) -> tuple[float, bool]:
    """(lower bound of sign × value, whether it is excluded); of whole numbers never excluded."""
    found = [(-math.inf, False)]
    if plain in node.bounds:
        found.append((sign * node.bounds[plain], False))
    if exclusive in node.bounds:
        found.append((sign * node.bounds[exclusive], True))
    value, excluded = max(found)
    if whole and math.isfinite(value):
        return (math.floor(value) + 1 if excluded else math.ceil(value)), False
    return value, excluded


def shown_bound(bound: tuple[float, bool], sign: int) -> str:
    value, excluded = bound
    if not math.isfinite(value):
        return "none"
    words = {(1, False): "", (1, True): "more than ", (-1, False): "", (-1, True): "less than "}
    return f"{words[sign, excluded]}{sign * value}"


def is_multiple(mine: float, wanted: float) -> bool:
    if mine == wanted:
        return True
    return isinstance(mine, int) and isinstance(wanted, int) and wanted > 0 and mine % wanted == 0


def most_items(parts: Parts) -> float:
    """How many items arrays have at most, by `items: false`."""
    return min((len(part.prefix) for part in parts if part.items is False), default=math.inf)


def field_of(parts: Parts, name: str) -> Parts | None:
    """What is known of a field that some of the parts name."""
    said: list[Schema | None] = []
    for part in parts:
        if name in (part.properties or {}):
            said.append((part.properties or {})[name])
        elif "patternProperties" not in part.other:
            said.append(part.additional)
    return nodes(*said)


def further_of(parts: Parts) -> Parts | Literal["ignored"] | None:
    """What is known of fields that no part names: None is that there are none of them."""
    said: list[Schema] = []
    ignored = False
    for part in parts:
        if "patternProperties" in part.other:
            said.append(True)
        elif part.additional is None:
            ignored = True
        else:
            said.append(part.additional)
    if False in said:
        return None
    nodes = tuple(one for one in said if isinstance(one, Node))
    return "ignored" if ignored and not nodes else nodes
