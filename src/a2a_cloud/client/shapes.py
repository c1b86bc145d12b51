"""Reading JSON that somebody else wrote: what is not of the expected shape counts as empty."""

from __future__ import annotations

from typing import Any, cast


def obj(value: Any) -> dict[str, Any]:
    """`value` when it is a JSON object, else {}."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """`value` when it is a JSON array, else []."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def objs(value: Any) -> list[dict[str, Any]]:
    """The objects of a JSON array."""
    return [cast("dict[str, Any]", each) for each in items(value) if isinstance(each, dict)]


def text(value: Any) -> str:
    """`value` as a string, "" for null."""
    return "" if value is None else str(value)
