"""Issues → redlines: exact ranges of the source with the words to put there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypedDict

from contract_reviewer_agent.find import Found
from contract_reviewer_agent.risk import Issue


class Redline(TypedDict):
    """A proposed change: put `replacement` for source[start:end], which is `original` (empty: an
    insertion).
    """

    action: Literal["replace", "insert"]
    start: int
    end: int
    original: str
    replacement: str
    why: str


def redlines(hit: Found, issues: list[Issue], source: str, said: set[str]) -> list[Redline]:
    """The changes that would mend a finding's issues; wording in `said` was proposed before and isn't
    repeated.
    """
    out: list[Redline] = []
    mapped, (first, last) = hit.mapped, hit.span
    for issue in issues:
        fix = issue.fix
        key = f"{hit.provision.category}:{fix.wording.strip()}" if fix else ""
        if fix is None or key in said:
            continue
        match = re.search(fix.pattern, mapped.text, re.IGNORECASE) if fix.pattern else None
        if fix.whole:
            start, end = first, last
        elif match and match[0]:
            start, end = mapped.span(match.start(), match.end())
        elif fix.pattern:
            continue
        else:
            said.add(key)
            start = end = last
        wording = fix.wording if start == end else fix.wording.strip()
        out.append(Redline(action="insert" if start == end else "replace", start=start, end=end,
                           original=source[start:end], replacement=wording, why=issue.reason))  # fmt: skip
    return _apart(out)


def apply(source: str, changes: Iterable[Redline]) -> str:
    """The source with all changes made; of changes that overlap, the first one wins."""
    kept: list[Redline] = []
    for change in sorted(changes, key=lambda c: (c["start"], -c["end"])):
        if not kept or change["start"] >= kept[-1]["end"]:
            kept.append(change)
    for change in reversed(kept):
        source = source[: change["start"]] + change["replacement"] + source[change["end"] :]
    return source


def _apart(changes: list[Redline]) -> list[Redline]:
    """A whole replacement stands alone; of the others, none overlaps another."""
    wholes = [
        c for c in changes if c["action"] == "replace" and any(_inside(o, c) for o in changes if o is not c)
    ]
    kept: list[Redline] = []
    for change in wholes[:1] or changes:
        if not any(_overlap(change, other) for other in kept):
            kept.append(change)
    return kept + [c for c in changes if wholes and c["action"] == "insert"]


def _inside(one: Redline, other: Redline) -> bool:
    return one["action"] == "replace" and other["start"] <= one["start"] and one["end"] <= other["end"]


def _overlap(one: Redline, other: Redline) -> bool:
    return one["start"] < other["end"] and other["start"] < one["end"]
