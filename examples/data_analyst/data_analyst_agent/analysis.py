"""A file → its analysis, in two passes: the first learns kinds and ranges, the second fills what needs
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite

from data_analyst_agent import encoding as encodings
from data_analyst_agent.cells import MISSING
from data_analyst_agent.columns import Budget, ColumnPass, DateOrder
from data_analyst_agent.encoding import Open
from data_analyst_agent.relations import Groups, interval, spearman
from data_analyst_agent.rows import Layout, Rows, layout_of
from data_analyst_agent.second import Fences, NumberPass, SecondPass
from data_analyst_agent.shapes import (
    Analysis,
    Column,
    Correlation,
    Dates,
    Effect,
    FileFacts,
    Numeric,
    Odd,
    Outliers,
    ValueCount,
)
from data_analyst_agent.trouble import NotThisEncodingError, UnreadableError

Told = Callable[[int, int], None]
"""`(pass from 1, bytes read so far)`."""

_DUPLICATES = 200_000
_COMMON = 10
_MOST_CORRELATIONS = 100
_VALUE = 120


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to read a file, where the caller knows better than a guess."""

    delimiter: str = "auto"
    header: str = "auto"
    encoding: str = "auto"
    dates: DateOrder = "auto"
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    """An analysis without its words, and the second pass for the charts."""

    analysis: Analysis
    passes: SecondPass


def analyse(open_file: Open, name: str, size: int, wishes: Wishes, told: Told) -> Found:
    """Analyse a CSV file. `open_file` is called for each pass. Raises UnreadableError."""
    layout = layout_of(open_file, encoding=wishes.encoding, delimiter=wishes.delimiter, header=wishes.header)
    try:
        return _passes(open_file, name, size, wishes, layout, told)
    except NotThisEncodingError:
        # UTF-8 up to here, then not: the guess is given up and the file is read anew.
        layout = layout_of(
            open_file,
            delimiter=wishes.delimiter,
            header=wishes.header,
            bytes_as=encodings.fallback(),
        )
        return _passes(open_file, name, size, wishes, layout, told)


def _passes(open_file: Open, name: str, size: int, wishes: Wishes, layout: Layout, told: Told) -> Found:
    missing = MISSING | {token.strip() for token in wishes.missing}
    budget = Budget(len(layout.names))
    comma_likely = layout.dialect.delimiter == ";"
    columns = [ColumnPass(column, budget, missing, comma_likely) for column in layout.names]
    rows = Rows(open_file, layout)
    seen: set[int] | None = set()
    count = 0
    for first_row, batch in rows.batches(lambda done: told(1, done)):
        for column, cells in zip(columns, batch, strict=True):
            column.add(first_row, cells)
        count += len(batch[0])
        if count > _DUPLICATES:
            seen = None
        elif seen is not None:
            seen.update(map(hash, zip(*batch, strict=True)))
    if not count:
        raise UnreadableError(
            "The file has a header and no rows.",
            "Send the rows too, or say header=no if the first line is data.",
        )
    second = SecondPass(columns, count, missing, wishes.dates)
    for first_row, batch in rows.batches(lambda done: told(2, done)):
        second.add(first_row, batch)
    facts = FileFacts(
        name=name,
        bytes=size,
        encoding=layout.encoding.name,
        delimiter=layout.dialect.name,
        header=layout.header,
        rows=count,
        columns=len(columns),
        blank_lines=rows.blank,
        missing_cells=sum(column.missing.total() for column in columns),
        duplicate_rows=None if seen is None else count - len(seen),
    )
    analysis = Analysis(
        summary="",
        file=facts,
        columns=[_column(column, second.numbers.get(at), wishes.dates) for at, column in enumerate(columns)],
        correlations=_correlations(second, columns),
        effects=_effects(second, columns),
        notes=[*layout.notes, *_notes(layout, rows, columns, second, wishes)],
    )
    return Found(analysis, second)


def _notes(
    layout: Layout, rows: Rows, columns: Sequence[ColumnPass], second: SecondPass, wishes: Wishes
) -> list[str]:
    notes: list[str] = []
    if layout.encoding.name == "windows-1252" and not layout.encoding.sure:
        notes.append(
            "The file isn't UTF-8; it was read as Windows-1252, which fits most such files and not all."
        )
    if rows.blank:
        notes.append(f"{rows.blank:,} blank lines were skipped.")
    for column in columns:
        if column.kind == "date" and column.day_first(wishes.dates)[1]:
            notes.append(
                f"In {column.name} day and month can't be told apart; the day was read first."
                " Say dates=month-first if that is wrong."
            )
    if second.sampled:
        notes.append(
            f"Spearman's rho and the effects of categories are from a random sample of {second.drawn:,} rows."
        )
    if second.left_out:
        notes.append(f"Correlations leave out {_listed(second.left_out)}: too many pairs for so many rows.")
    return notes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# --- columns ----------------------------------------------------------------------------------------


def _column(column: ColumnPass, number: NumberPass | None, order: DateOrder) -> Column:
    return Column(
        name=column.name,
        kind=column.kind,
        identifier=column.identifier,
        present=column.present,
        missing=column.missing.total(),
        missing_as=[ValueCount(value=value, count=times) for value, times in column.missing.most_common(5)],
        distinct=column.distinct.count,
        distinct_error=round(column.distinct.error, 4),
        common=[
            ValueCount(value=_short(value), count=times)
            for value, times in column.distinct.common(_COMMON)
            if times > 1 or column.kind in ("category", "boolean")
        ],
        strange=column.strange,
        strangers=[
            Odd(row=row, value=_short(value), reason="is no number") for row, value in column.strangers
        ]
        if column.strange and column.kind in ("integer", "number")
        else [],
        numeric=_numeric(column, number) if number else None,
        dates=_dates(column, order) if column.kind == "date" else None,
        longest=column.longest,
    )


def _numeric(column: ColumnPass, number: NumberPass) -> Numeric:
    moments, quantiles = column.moments, column.quantiles
    five, quarter, half, three, ninety_five = quantiles.at((0.05, 0.25, 0.5, 0.75, 0.95))
    fences = number.fences
    return Numeric(
        minimum=_neat(moments.low),
        quantile_5=_neat(five),
        quartile_1=_neat(quarter),
        median=_neat(half),
        quartile_3=_neat(three),
        quantile_95=_neat(ninety_five),
        maximum=_neat(moments.high),
        rank_error=round(quantiles.error, 6),
        mean=_neat(moments.mean),
        deviation=_maybe(moments.deviation),
        skewness=_maybe(moments.skewness),
        total=_neat(moments.total),
        written=column.numbers.written if column.numbers else "",
        outliers=Outliers(
            rule="1.5 IQR beyond the quartiles"
            if fences.rule == "iqr"
            else "4 standard deviations from the mean",
            low_fence=_neat(fences.low),
            high_fence=_neat(fences.high),
            low=number.low,
            high=number.high,
            far=number.far,
            examples=[_odd(fences, distance, row, value) for distance, row, value in number.extremes],
        )
        if fences
        else None,
    )


def _odd(fences: Fences, distance: float, row: int, value: float) -> Odd:
    times = f"{distance / fences.unit:,.1f}"
    if fences.rule == "iqr":
        side = "above the third" if value > fences.base_high else "below the first"
        base = fences.base_high if value > fences.base_high else fences.base_low
        reason = f"{times} interquartile ranges {side} quartile ({figure(base)})"
    else:
        side = "above" if value > fences.base_high else "below"
        reason = (
            f"{times} standard deviations {side} the mean ({figure(fences.base_high)}); half of the"
            " values are equal"
        )
    return Odd(row=row, value=figure(value), reason=reason)


def _dates(column: ColumnPass, order: DateOrder) -> Dates:
    day_first, guess = column.day_first(order)
    days = column.orders[0 if day_first else 1]
    day, month = column.orders
    plain = (day.count, day.first, day.last) == (month.count, month.first, month.last)
    said = "day-first" if day_first else "month-first"
    return Dates(
        first=date.fromordinal(days.first).isoformat(),
        last=date.fromordinal(days.last).isoformat(),
        days=days.last - days.first,
        order="unambiguous" if plain else "day-first (a guess)" if guess else said,
    )


# --- relations --------------------------------------------------------------------------------------


def _correlations(second: SecondPass, columns: Sequence[ColumnPass]) -> list[Correlation]:
    found: list[Correlation] = []
    for one, at in enumerate(second.related):
        for two in range(one + 1, len(second.related)):
            known = second.pearson.of(one, two)
            if known is None:
                continue
            rows, r = known
            other = second.related[two]
            bounds = interval(r, rows)
            found.append(
                Correlation(
                    first=columns[at].name,
                    second=columns[other].name,
                    rows=rows,
                    pearson=round(r, 6),
                    low=round(bounds[0], 4) if bounds else None,
                    high=round(bounds[1], 4) if bounds else None,
                    spearman=None,
                    spearman_rows=0,
                )
            )
    found.sort(key=lambda pair: -abs(pair["pearson"]))
    places = {columns[at].name: at for at in second.related}
    for pair in found[:_MOST_CORRELATIONS]:
        ranked = spearman(second.sample[places[pair["first"]]], second.sample[places[pair["second"]]])
        if ranked:
            pair["spearman_rows"], pair["spearman"] = ranked[0], round(ranked[1], 4)
    return found


def _effects(second: SecondPass, columns: Sequence[ColumnPass]) -> list[Effect]:
    found: list[Effect] = []
    for label in second.labels:
        for at in second.related:
            groups = Groups(second.sample_labels[label], second.sample[at])
            if groups.eta_squared is None or groups.eta_squared <= 2 * groups.chance:
                continue
            ordered = sorted(groups.means, key=groups.means.__getitem__)
            found.append(
                Effect(
                    category=columns[label].name,
                    number=columns[at].name,
                    eta_squared=round(groups.eta_squared, 4),
                    rows=groups.rows,
                    groups=len(groups.means),
                    lowest=_short(ordered[0]),
                    lowest_mean=_neat(groups.means[ordered[0]]),
                    highest=_short(ordered[-1]),
                    highest_mean=_neat(groups.means[ordered[-1]]),
                )
            )
    return sorted(found, key=lambda effect: -effect["eta_squared"])[:_MOST_CORRELATIONS]


# --- figures ----------------------------------------------------------------------------------------


def _neat(value: float) -> float:
    """12 digits: what lies beyond is rounding. Sums that left the floats' range become their largest."""
    if not isfinite(value):
        return 1.7976931348623157e308 if value > 0 else -1.7976931348623157e308
    return float(f"{value:.12g}")


def _maybe(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else _neat(value)


def _short(value: str) -> str:
    return value if len(value) <= _VALUE else value[: _VALUE - 1] + "…"


def figure(value: float) -> str:
    """A number as people read it: 4 significant digits, thousands divided; whole ones whole."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e-4 <= abs(value) < 1e9:
        digits = max(0, 4 - len(str(int(abs(value)))) if abs(value) >= 1 else 4)
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3e}"
