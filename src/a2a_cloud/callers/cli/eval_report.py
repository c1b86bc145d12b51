"""An eval told to people: a line for each case, what was expected and what came, the score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from a2a_cloud.callers.cli.colour import bold, green, put_painted, red
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.terminal import clean_line, put, table
from a2a_cloud.callers.cli.units import count, took
from a2a_cloud.client.shapes import objs, text

#: Characters of a value that a line shows.
_SHOWN = 300


def good_enough(score: Any, wanted: float) -> bool:
    """Whether an eval's score is at least that."""
    return isinstance(score, str) and Decimal(score) >= Decimal(str(wanted))


def one_line(score: dict[str, Any]) -> str:
    """A score as it comes in."""
    attempt = f" ({score.get('attempt')})" if int(score.get("attempt") or 1) > 1 else ""
    how = "passed" if score.get("passed") else "FAILED"
    return clean_line(f"{how:8}{score.get('score', ''):10}{score.get('case', '')}{attempt}")


def show(options: Options, agent: str, document: dict[str, Any], scores: Sequence[dict[str, Any]]) -> None:
    """The table of an eval that is over, and why what failed failed."""
    table(
        ("CASE", "SCORE", "PASSED", "TOOK", "RUN"),
        [
            (
                text(each.get("case"))
                + (f" ({each['attempt']})" if int(each.get("attempt") or 1) > 1 else ""),
                text(each.get("score")),
                "yes" if each.get("passed") else "no",
                took(float(each.get("seconds") or 0)),
                text(each.get("run")) or "-",
            )
            for each in sorted(
                scores, key=lambda each: (str(each.get("case")), int(each.get("attempt") or 1))
            )
        ],
    )
    for each in scores:
        if not each.get("passed"):
            _why(each)
    put("")
    name = f"release {document.get('release')} of {agent}"
    state = text(document.get("state"))
    if state != "done":
        why = f": {document['why']}" if document.get("why") else ""
        put_painted(clean_line(f"The eval of {name} is {state}{why}"), red)
        return
    paint = green if document.get("passed") == document.get("done") else bold
    passed = f"{document.get('passed')} of {count(int(document.get('done') or 0), 'run')} passed"
    put_painted(clean_line(f"Score {document.get('score')} of {name}; {passed}"), paint)
    if not document.get("own_rubric"):
        put("The rubric is not the release's own: the registry does not show this score, no gate counts it.")
    elif not document.get("all_cases"):
        put("Not all cases were run: the registry does not show this score, no gate counts it.")
    put(f"See it again: {options.command('eval', agent, '--show', text(document.get('id')))}")


def _why(score: dict[str, Any]) -> None:
    put("")
    attempt = f" ({score['attempt']})" if int(score.get("attempt") or 1) > 1 else ""
    put_painted(clean_line(f"{score.get('case', '')}{attempt}"), bold)
    if score.get("checks") is None:
        put("  what its checks found was erased, or is not for this key")
    for check in objs(score.get("checks")):
        if check.get("passed"):
            continue
        where = f" {check['path']}" if check.get("path") else ""
        put(
            clean_line(
                f"  {check.get('kind')}{where}: {check.get('detail', '')} (score {check.get('score')})"
            )
        )
        for word in ("expected", "got"):
            if word in check:
                put(clean_line(f"    {word:9}{_value(check[word])}"))
        if check.get("run"):
            put(clean_line(f"    judged by {check['run']}"))


def _value(value: Any) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
