"""An analysis → two pictures: how each column is distributed, and how the numeric ones go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from data_analyst_agent.analysis import Found, figure
from data_analyst_agent.bins import Histogram
from data_analyst_agent.second import SecondPass
from data_analyst_agent.shapes import Column, Correlation, Numeric
from data_analyst_agent.summary import share
from data_analyst_agent.svg import cut, line, page, rect, short, text

Called = Callable[[float], str]

_PANELS = 18
_ACROSS = 3
_WIDE, _HIGH, _GAP, _TOP = 300.0, 178.0, 24.0, 74.0
_BARS = 6
_HEAT = 18


def distributions(found: Found, wanted: set[str]) -> str | None:
    """A grid of small charts, `wanted` columns first; None when no column can be drawn."""
    analysis, passes = found.analysis, found.passes
    drawable = [
        (at, column)
        for at, column in enumerate(analysis["columns"])
        if not column["identifier"] and _drawn(at, column, passes)
    ]
    drawable.sort(key=lambda one: one[1]["name"] not in wanted)
    shown = drawable[:_PANELS]
    if not shown:
        return None
    parts: list[str] = []
    said: list[str] = []
    for place, (at, column) in enumerate(shown):
        x = _GAP + (place % _ACROSS) * (_WIDE + _GAP)
        y = _TOP + (place // _ACROSS) * (_HIGH + _GAP)
        parts.append(_panel(at, column, passes, analysis["file"]["rows"], x, y))
        said.append(_told(column))
    across = min(_ACROSS, len(shown))
    width = max(420.0, _GAP + across * (_WIDE + _GAP))
    height = _TOP + -(-len(shown) // _ACROSS) * (_HIGH + _GAP)
    more = f" · {len(shown)} of {len(drawable)} columns" if len(shown) < len(drawable) else ""
    file = analysis["file"]
    title = f"Distributions of {file['name']}"
    head = [
        text(_GAP, 34, cut(title, width - 2 * _GAP, 18), "ink head"),
        text(
            _GAP,
            54,
            f"{file['rows']:,} rows{more} · bars: values; below them median, quartiles, 5 % and 95 %",
            "soft",
        ),
    ]
    return page(width, height, title, " ".join(said), [*head, *parts])


def _drawn(at: int, column: Column, passes: SecondPass) -> bool:
    if column["kind"] in ("integer", "number"):
        return passes.numbers[at].histogram is not None
    if column["kind"] == "date":
        return passes.days[at].histogram is not None
    return column["kind"] in ("category", "boolean") and column["distinct"] > 1


def _panel(at: int, column: Column, passes: SecondPass, rows: int, x: float, y: float) -> str:
    parts = [text(x, y + 12, cut(column["name"], _WIDE - 84, 12.5), "ink name")]
    if column["missing"]:
        parts.append(
            text(x + _WIDE, y + 12, f"{share(column['missing'], rows)} missing", "soft small", "end")
        )
    if column["numeric"]:
        chart = passes.numbers[at].histogram
        assert chart is not None
        parts += _bars(chart, x, y + 22, 104, figure)
        parts += _box(column["numeric"], chart, x, y + 134)
        parts += _ends(chart, x, y + 160, short)
    elif column["dates"]:
        chart = passes.days[at].histogram
        assert chart is not None
        parts += _bars(chart, x, y + 22, 118, _day)
        parts += _ends(chart, x, y + 160, _day)
    else:
        parts += _shares(column, x, y + 24)
    return f"<g>{''.join(parts)}</g>"


def _bars(chart: Histogram, x: float, y: float, height: float, called: Called) -> list[str]:
    most = max(chart.counts) or 1
    wide = _WIDE / len(chart.counts)
    parts = [line(x, y + height, x + _WIDE, y + height)]
    for place, count in enumerate(chart.counts):
        if not count:
            continue
        tall = max(1.0, count / most * height)
        low = chart.low + place * chart.width
        told = f"{called(low)} to {called(low + chart.width)}: {count:,}"
        parts.append(rect(x + place * wide + 0.5, y + height - tall, wide - 1, tall, "bar", told))
    return parts


def _box(numeric: Numeric, chart: Histogram, x: float, y: float) -> list[str]:
    def place(value: float) -> float:
        return x + max(0.0, min(1.0, (value - chart.low) / (chart.high - chart.low))) * _WIDE

    low, first, half, third, high = (
        place(numeric["quantile_5"]),
        place(numeric["quartile_1"]),
        place(numeric["median"]),
        place(numeric["quartile_3"]),
        place(numeric["quantile_95"]),
    )
    told = (
        f"median {figure(numeric['median'])}, quartiles {figure(numeric['quartile_1'])} and"
        f" {figure(numeric['quartile_3'])}"
    )
    return [
        line(low, y + 5, high, y + 5, "whisker"),
        rect(first, y, max(1.0, third - first), 10, "box", told),
        line(half, y - 2, half, y + 12, "whisker"),
    ]


def _ends(chart: Histogram, x: float, y: float, called: Called) -> list[str]:
    parts = [
        text(x, y, called(chart.low), "soft small"),
        text(x + _WIDE, y, called(chart.high), "soft small", "end"),
    ]
    beyond = chart.below + chart.above
    said = f"tallest {max(chart.counts):,}" + (f" · {beyond:,} farther out" if beyond else "")
    parts.append(text(x + _WIDE / 2, y, said, "soft small", "middle"))
    return parts


def _shares(column: Column, x: float, y: float) -> list[str]:
    common = column["common"][:_BARS]
    parts: list[str] = []
    for place, one in enumerate(common):
        top = y + place * 22
        told = f"{one['value']}: {one['count']:,}"
        parts += [
            text(x, top + 12, cut(one["value"], 118), "ink"),
            rect(x + 124, top + 3, 124, 11, "track"),
            rect(x + 124, top + 3, one["count"] / column["present"] * 124, 11, "bar", told),
            text(x + _WIDE, top + 12, share(one["count"], column["present"]), "soft", "end"),
        ]
    if column["distinct"] > len(common):
        parts.append(
            text(x, y + len(common) * 22 + 11, f"and {column['distinct'] - len(common):,} more", "soft small")
        )
    return parts


def _told(column: Column) -> str:
    numeric, dates = column["numeric"], column["dates"]
    if numeric:
        half = f"{figure(numeric['quartile_1'])} and {figure(numeric['quartile_3'])}"
        ends = f"{figure(numeric['minimum'])} to {figure(numeric['maximum'])}"
        return f"{column['name']}: from {ends}, half of the values between {half}."
    if dates:
        return f"{column['name']}: from {dates['first']} to {dates['last']}."
    first = column["common"][0]
    return f"{column['name']}: most often {first['value']}, {share(first['count'], column['present'])}."


def _day(value: float) -> str:
    return date.fromordinal(max(1, min(date.max.toordinal(), round(value)))).isoformat()


# --- correlations -------------------------------------------------------------------------------------


def correlations(
    name: str, pairs: Sequence[Correlation], columns: Sequence[Column], wanted: set[str]
) -> str | None:
    """A heatmap of Pearson's r; None with fewer than two columns that have one."""
    best: dict[str, float] = {}
    for pair in pairs:
        for one in (pair["first"], pair["second"]):
            best[one] = max(best.get(one, 0.0), abs(pair["pearson"]))
    if len(best) < 2:
        return None
    chosen = sorted(best, key=lambda one: (one not in wanted, -best[one]))[:_HEAT]
    names = [column["name"] for column in columns if column["name"] in chosen]
    values = {(pair["first"], pair["second"]): pair for pair in pairs}
    size, left = 46.0, 176.0
    top = 74 + 108.0
    width = max(560.0, left + size * len(names) + 90)
    height = top + size * len(names) + 66
    parts: list[str] = []
    for row, one in enumerate(names):
        y = top + row * size
        parts.append(text(left - 10, y + size / 2 + 4, cut(one, left - 30), "ink", "end"))
        x = left + row * size + size / 2
        parts.append(
            text(x, top - 8, cut(one, 128), "ink", "start", f' transform="rotate(-45 {x:.1f} {top - 8:.1f})"')
        )
        for place, other in enumerate(names):
            parts.append(_cell(values, one, other, left + place * size, y, size))
    title = f"Correlations in {name}"
    left_out = (
        f" · the {len(names)} columns with the strongest of {len(best)}" if len(names) < len(best) else ""
    )
    strongest = pairs[0]
    described = (
        f"Pearson's r of {len(names)} numeric columns, from minus 1 to 1. The strongest is"
        f" {strongest['pearson']:.2f}, between {strongest['first']} and {strongest['second']}."
    )
    head = [
        text(_GAP, 34, cut(title, width - 2 * _GAP, 18), "ink head"),
        text(_GAP, 54, f"Pearson's r over the rows that have both values{left_out}", "soft"),
    ]
    return page(width, height, title, described, [*head, *parts, *_scale(left, height - 44)])


def _cell(
    values: dict[tuple[str, str], Correlation], one: str, other: str, x: float, y: float, size: float
) -> str:
    if one == other:
        return rect(x, y, size, size, "cell track")
    pair = values.get((one, other)) or values.get((other, one))
    if pair is None:
        return rect(x, y, size, size, "cell track", f"{one} and {other}: not known")
    r = pair["pearson"]
    told = f"{one} and {other}: r = {r:.2f}, {pair['rows']:,} rows"
    # Ink that can be read on the cell's own colour, in both schemes.
    ink = _ink(_shade(r))
    shown = f"{round(r, 2) + 0.0:.2f}".replace("-", "−")
    return rect(x, y, size, size, "cell", told, f' style="fill:{_hex(_shade(r))}"') + text(
        x + size / 2, y + size / 2 + 4, shown, "", "middle", f' style="fill:{ink}"'
    )


def _shade(r: float) -> tuple[int, int, int]:
    """White at 0, blue towards 1, brick towards -1: told apart with red-green blindness too."""
    end = (28, 84, 158) if r > 0 else (165, 62, 22)
    much = min(1.0, abs(r))
    red, green, blue = (round(247 + (part - 247) * much) for part in end)
    return red, green, blue


def _hex(shade: tuple[int, int, int]) -> str:
    return "#" + bytes(shade).hex()


def _ink(shade: tuple[int, int, int]) -> str:
    """Black or white, by contrast (WCAG 2.2, relative luminance): one of them has more than 4.5 : 1."""
    parts = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in shade)
    ]
    light = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#ffffff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#000000"


def _scale(x: float, y: float) -> list[str]:
    steps = 21
    parts = [
        rect(x + place * 10, y, 10, 12, "", "", f' style="fill:{_hex(_shade(-1 + 2 * place / (steps - 1)))}"')
        for place in range(steps)
    ]
    words = ((0, "−1 opposite"), (steps * 5, "0"), (steps * 10, "1 together"))
    anchors = ("start", "middle", "end")
    return parts + [
        text(x + at, y + 26, said, "soft small", anchor)
        for (at, said), anchor in zip(words, anchors, strict=True)
    ]
