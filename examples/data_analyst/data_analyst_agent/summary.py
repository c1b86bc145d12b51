"""An analysis → a text that a person reads: what the table is, what stands out, each column in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from data_analyst_agent.analysis import figure
from data_analyst_agent.shapes import Analysis, Column, Correlation, Effect

_KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "date": "date",
    "category": "category",
    "text": "text",
    "empty": "empty",
}
_FINDINGS = 10


def markdown(analysis: Analysis, focus: str = "") -> str:
    """The summary as Markdown. Columns that `focus` names come first in the findings."""
    wanted = focused(analysis, focus)
    found = _findings(analysis, wanted)
    lines = [f"# {plain(analysis['file']['name'])}", "", _opening(analysis), ""]
    if found:
        lines += ["## What stands out", "", *(f"- {line}" for line in found[:_FINDINGS]), ""]
        if len(found) > _FINDINGS:
            lines[-1:] = [f"- … and {len(found) - _FINDINGS} more, in analysis.json.", ""]
    lines += [
        "## Columns",
        "",
        "| Column | Kind | Missing | Different | What it holds |",
        "|---|---|---:|---:|---|",
        *(_row(column, analysis["file"]["rows"]) for column in analysis["columns"]),
        "",
    ]
    if analysis["correlations"]:
        lines += ["## Correlations", "", *_correlations(analysis["correlations"]), ""]
    if analysis["notes"]:
        lines += ["## Notes", "", *(f"- {plain(note)}" for note in analysis["notes"]), ""]
    return "\n".join(lines)


def focused(analysis: Analysis, focus: str) -> set[str]:
    """The columns that a text names."""
    said = " ".join(focus.lower().split())
    return {
        column["name"]
        for column in analysis["columns"]
        if said and re.search(rf"(?<!\w){re.escape(column['name'].lower())}(?!\w)", said)
    }


def _opening(analysis: Analysis) -> str:
    file = analysis["file"]
    counts: dict[str, int] = {}
    for column in analysis["columns"]:
        kind = "number" if column["kind"] == "integer" else column["kind"]
        counts[kind] = counts.get(kind, 0) + 1
    names = {
        "number": "numeric",
        "boolean": "yes-or-no",
        "date": "of dates",
        "category": "of categories",
        "text": "of text",
        "empty": "empty",
    }
    kinds = joined(f"{count} {names[kind]}" for kind, count in counts.items())
    cells = file["rows"] * file["columns"]
    gone = file["missing_cells"]
    missing = (
        f"{gone:,} of {cells:,} cells ({share(gone, cells)}) are missing." if gone else "No cell is missing."
    )
    rows = "1 row" if file["rows"] == 1 else f"{file['rows']:,} rows"
    return (
        f"{rows} and {file['columns']} columns: {kinds}. {missing}"
        f" Read as {file['encoding'].upper() if file['encoding'].startswith('utf') else file['encoding']},"
        f" {file['delimiter']}-separated, {'with' if file['header'] else 'without'} a header."
    )


def _findings(analysis: Analysis, wanted: set[str]) -> list[str]:
    """(weight, columns, sentence) of all that is worth saying, the weightiest first."""
    found: list[tuple[float, set[str], str]] = []
    rows = analysis["file"]["rows"]
    twice = analysis["file"]["duplicate_rows"]
    if twice:
        found.append((0.9, set(), f"{_rows(twice)} ({share(twice, rows)}) repeat an earlier row exactly."))
    for column in analysis["columns"]:
        found += [(weight, {column["name"]}, said) for weight, said in _about(column, rows)]
    for pair in analysis["correlations"]:
        by_value = abs(pair["pearson"]) if (pair["low"] or 0) * (pair["high"] or 0) > 0 else 0.0
        strongest = max(by_value, abs(pair["spearman"] or 0) if pair["spearman_rows"] >= 20 else 0)
        if strongest >= 0.5:
            found.append((strongest, {pair["first"], pair["second"]}, _pair(pair)))
    seen: set[str] = set()
    for effect in analysis["effects"]:
        # The strongest category for each number: the others often say the same again.
        if effect["eta_squared"] >= 0.2 and effect["number"] not in seen:
            seen.add(effect["number"])
            found.append((effect["eta_squared"], {effect["category"], effect["number"]}, _effect(effect)))
    found.sort(key=lambda one: (-bool(one[1] & wanted), -one[0]))
    return [said for _, _, said in found]


def _about(column: Column, rows: int) -> Iterable[tuple[float, str]]:
    name = f"**{plain(column['name'])}**"
    if column["kind"] == "empty":
        yield 0.8, f"{name} is empty."
        return
    if column["missing"] > rows * 0.05:
        yield (
            0.3 + column["missing"] / rows / 2,
            f"{name} is missing in {column['missing']:,} of {rows:,} rows"
            f" ({share(column['missing'], rows)}).",
        )
    if column["distinct"] == 1 and rows > 1 and column["distinct_error"] == 0:
        value = column["common"][0]["value"] if column["common"] else ""
        yield 0.45, f"{name} is the same in every row: {plain(value)}."
    if column["strange"]:
        shown = joined(f"“{plain(odd['value'])}” in row {odd['row']:,}" for odd in column["strangers"][:3])
        values = "1 value is none" if column["strange"] == 1 else f"{column['strange']:,} values are none"
        where = f": {shown}" if shown else ""
        yield 0.85, f"{name} is a {_KINDS[column['kind']]}, but {values}{where}."
    numeric = column["numeric"]
    if not numeric or not numeric["outliers"]:
        return
    outliers = numeric["outliers"]
    count = outliers["low"] + outliers["high"]
    if outliers["far"] or (count and count <= column["present"] * 0.02):
        first = outliers["examples"][0]
        often = ""
        if "IQR" in outliers["rule"] and column["present"] > 1000:
            often = f", {share(count, column['present'])} (a normal distribution has 0.7 %)"
        yield (
            0.6 if outliers["far"] else 0.35,
            f"{name} has {'1 outlier' if count == 1 else f'{count:,} outliers'}{often}: the farthest is"
            f" {first['value']} in row {first['row']:,}, {first['reason']}.",
        )
    skewness = numeric["skewness"]
    if skewness is not None and abs(skewness) > 2 and column["present"] > 50:
        side = "right" if skewness > 0 else "left"
        said = f"{name} leans far to the {side}: its median is {figure(numeric['median'])}, its mean"
        said += f" {figure(numeric['mean'])}."
        yield (
            0.4,
            said + (" A logarithm may serve better." if skewness > 0 and numeric["minimum"] > 0 else ""),
        )


def _pair(pair: Correlation) -> str:
    r, rho = pair["pearson"], pair["spearman"]
    most = rho if rho is not None and abs(rho) > abs(r) else r
    together = "rise together" if most > 0 else "run against each other"
    strength = "almost exactly" if abs(most) > 0.95 else "strongly" if abs(most) > 0.7 else "clearly"
    said = f"**{plain(pair['first'])}** and **{plain(pair['second'])}** {together}, {strength} (r = {_r(r)}"
    if pair["low"] is not None and pair["high"] is not None:
        said += f", 95 % interval {_r(pair['low'])} to {_r(pair['high'])}"
    said += f", {pair['rows']:,} rows)."
    if rho is not None and abs(rho) - abs(r) > 0.15:
        said += f" By ranks it is stronger ({_r(rho)}): the relation is bent, or outliers hide it."
    elif rho is not None and abs(r) - abs(rho) > 0.15:
        said += f" By ranks it is weaker ({_r(rho)}): a few rows may carry it."
    return said


def _effect(effect: Effect) -> str:
    return (
        f"**{plain(effect['number'])}** differs by **{plain(effect['category'])}**, which accounts for"
        f" {_percent(effect['eta_squared'])} of its variance: on average {figure(effect['lowest_mean'])}"
        f" for {plain(effect['lowest'])}, {figure(effect['highest_mean'])} for {plain(effect['highest'])}."
    )


def _row(column: Column, rows: int) -> str:
    different = f"{column['distinct']:,}" if not column["distinct_error"] else f"≈ {column['distinct']:,}"
    missing = share(column["missing"], rows) if column["missing"] else "–"
    return (
        f"| {plain(column['name'])} | {_KINDS[column['kind']]} | {missing} | {different} | {_holds(column)} |"
    )


def _holds(column: Column) -> str:
    numeric, dates = column["numeric"], column["dates"]
    if column["identifier"]:
        return "numbers the rows" if numeric else "names the rows: different in each"
    if numeric:
        deviation = f" ± {figure(numeric['deviation'])}" if numeric["deviation"] is not None else ""
        return (
            f"{figure(numeric['minimum'])} to {figure(numeric['maximum'])}, median"
            f" {figure(numeric['median'])}, mean {figure(numeric['mean'])}{deviation}"
        )
    if dates:
        return f"{dates['first']} to {dates['last']}"
    if column["kind"] == "empty":
        return ""
    if column["common"]:
        shown = [
            f"{plain(_cut(one['value']))} ({share(one['count'], column['present'])})"
            for one in column["common"][:3]
        ]
        more = column["distinct"] - len(shown)
        return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
    return f"texts of up to {column['longest']:,} characters"


def _correlations(pairs: Sequence[Correlation]) -> list[str]:
    lines = ["| | | Pearson | 95 % interval | Spearman | Rows |", "|---|---|---:|---:|---:|---:|"]
    for pair in pairs[:10]:
        between = (
            f"{_r(pair['low'])} to {_r(pair['high'])}"
            if pair["low"] is not None and pair["high"] is not None
            else ""
        )
        rho = _r(pair["spearman"]) if pair["spearman"] is not None else ""
        lines.append(
            f"| {plain(pair['first'])} | {plain(pair['second'])} | {_r(pair['pearson'])} | {between} |"
            f" {rho} |"
            f" {pair['rows']:,} |"
        )
    if len(pairs) > 10:
        lines += [
            "",
            f"The strongest 10 of {len(pairs)} pairs; correlations.svg and analysis.json show more.",
        ]
    return lines


# --- words ------------------------------------------------------------------------------------------


def share(part: int, whole: int) -> str:
    """A percentage that never rounds something to nothing or to all."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == int(percent) else f"{percent:.1f} %"


def joined(words: Iterable[str]) -> str:
    """`a, b and c`."""
    said = list(words)
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}" if said else ""


def plain(text: str) -> str:
    """Text of the table without the power to be Markdown of ours."""
    return re.sub(r"([\\`*_<>\[\]|#~])", r"\\\1", " ".join(text.split()))


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _r(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _percent(part: float) -> str:
    return "more than 99 %" if part > 0.99 else f"{part * 100:.0f} %"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
