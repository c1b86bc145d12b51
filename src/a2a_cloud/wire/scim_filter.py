"""Filters of SCIM (RFC 7644, section 3.4.2.2): what directories send, `eq` and `and`, with value paths such
as `emails[type eq "work"].value`. Anything else is refused as invalidFilter rather than answered wrongly."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from a2a_cloud.model.problem import InvalidParams

MAX_LENGTH = 2000
_TERM = re.compile(
    r"\s*(?P<path>[A-Za-z$][\w$:.-]*(?:\[[^\]]{1,500}\])?(?:\.[A-Za-z][\w-]*)?)\s+eq\s+"
    r'(?P<value>"(?:[^"\\]|\\.)*"|true|false|null|-?\d+(?:\.\d+)?)\s*',
    re.IGNORECASE,
)
_PATH = re.compile(
    r"(?P<attr>[A-Za-z$][\w$-]*)(?:\[(?P<filter>[^\]]{1,500})\])?(?:\.(?P<sub>[A-Za-z$][\w$-]*))?"
)
#: Extensions' attributes have their schema in front; what follows its last colon is the attribute.
_URN = re.compile(r"urn:[\w:.-]*:", re.IGNORECASE)


class Path(NamedTuple):
    """An attribute, which of its values (a filter, or None), and a part of it ("")."""

    attr: str
    which: tuple[Term, ...] | None
    sub: str


class Term(NamedTuple):
    """`path eq value`."""

    path: Path
    value: Any


def bad(detail: str, kind: str = "invalidFilter") -> InvalidParams:
    """The problem with its scimType."""
    return InvalidParams(detail, info={"scimType": kind})


def read_path(text: str) -> Path:
    """An attribute path. Raises InvalidParams with invalidPath."""
    found = _PATH.fullmatch(_URN.sub("", text.strip()))
    if found is None:
        raise bad(f"{text[:80]!a} is no path of an attribute.", "invalidPath")
    inner = found["filter"]
    return Path(found["attr"], read_filter(inner) if inner else None, found["sub"] or "")


def read_filter(text: str) -> tuple[Term, ...]:
    """The terms, all of which have to hold. Raises InvalidParams with invalidFilter."""
    if len(text) > MAX_LENGTH:
        raise bad("The filter is too long.")
    terms: list[Term] = []
    at = 0
    while True:
        found = _TERM.match(text, at)
        if found is None:
            raise bad(f"{text[at : at + 80]!a} is no filter that is served: write ATTRIBUTE eq VALUE.")
        raw = found["value"]
        try:
            value = json.loads(raw if raw[0] == '"' else raw.lower())
        except ValueError:
            raise bad(f"{raw[:80]!a} is no value.") from None
        terms.append(Term(read_path(found["path"]), value))
        at = found.end()
        if at == len(text):
            return tuple(terms)
        if text[at : at + 4].lower() != "and " or len(terms) > 20:
            raise bad(f"{text[at : at + 80]!a} is not served: filters are joined by `and` alone.")
        at += 4


def matches(resource: Mapping[str, Any], terms: Sequence[Term]) -> bool:
    """Whether a resource fits; names of attributes and texts are compared without regard to case."""
    return all(_fits(resource, term) for term in terms)


def _fits(resource: Mapping[str, Any], term: Term) -> bool:
    path = term.path
    held = member(resource, path.attr)
    values: list[Any] = cast("list[Any]", held) if isinstance(held, list) else [held]
    for each in values:
        inner = cast("Mapping[str, Any]", each) if isinstance(each, dict) else None
        if path.which is not None and (inner is None or not matches(inner, path.which)):
            continue
        if _same(each if inner is None else member(inner, path.sub or "value"), term.value):
            return True
    return False


def member(of: Mapping[str, Any], name: str) -> Any:
    """A member whatever its case; None when it is not there."""
    found = of.get(name)
    if found is not None:
        return found
    low = name.lower()
    return next((value for key, value in of.items() if key.lower() == low), None)


def _same(held: Any, value: Any) -> bool:
    if isinstance(held, str) and isinstance(value, str):
        return held.lower() == value.lower()
    return type(held) is type(value) and held == value
