"""What an analysis is: the types of the result."""

from __future__ import annotations

from typing import Literal, TypedDict

from data_analyst_agent.columns import Kind


class FileFacts(TypedDict):
    """How the file was read. `missing_cells` counts empty cells and those that say NA, null or the like."""

    name: str
    bytes: int
    encoding: str
    delimiter: str
    header: bool
    rows: int
    columns: int
    blank_lines: int
    missing_cells: int
    duplicate_rows: int | None


class ValueCount(TypedDict):
    """A value and how often it occurs."""

    value: str
    count: int


class Odd(TypedDict):
    """A single value that stands out, and why. `row` counts data rows from 1, the header not counted."""

    row: int
    value: str
    reason: str


class Outliers(TypedDict):
    """Values beyond Tukey's fences (first quartile - 1.5 IQR, third quartile + 1.5 IQR).

    `far` counts those beyond 3 IQR; `examples` are the most extreme ones, first those farthest out.
    """

    rule: str
    low_fence: float
    high_fence: float
    low: int
    high: int
    far: int
    examples: list[Odd]


class Numeric(TypedDict):
    """Statistics of a numeric column. `rank_error` is how far, at most, a quantile's rank is off, as a share
    of the values (0: exact). `deviation` is the sample's standard deviation; None where it isn't defined.
    """

    minimum: float
    quantile_5: float
    quartile_1: float
    median: float
    quartile_3: float
    quantile_95: float
    maximum: float
    rank_error: float
    mean: float
    deviation: float | None
    skewness: float | None
    total: float
    written: str
    outliers: Outliers | None


class Dates(TypedDict):
    """A column of dates: the first and the last day, and the days from one to the other."""

    first: str
    last: str
    days: int
    order: Literal["unambiguous", "day-first", "month-first", "day-first (a guess)"]


class Column(TypedDict):
    """One column. `distinct` is exact where `distinct_error` is 0, else an estimate with that relative
    standard error. `strangers` are examples of values that are not of the column's kind.
    """

    name: str
    kind: Kind
    identifier: bool
    present: int
    missing: int
    missing_as: list[ValueCount]
    distinct: int
    distinct_error: float
    common: list[ValueCount]
    strange: int
    strangers: list[Odd]
    numeric: Numeric | None
    dates: Dates | None
    longest: int


class Correlation(TypedDict):
    """Two numeric columns. `pearson` is from all rows that have both; `low` and `high` are its 95 % interval
    (Fisher's z); `spearman` is from a sample of `spearman_rows` rows, all of them in small tables.
    """

    first: str
    second: str
    rows: int
    pearson: float
    low: float | None
    high: float | None
    spearman: float | None
    spearman_rows: int


class Effect(TypedDict):
    """A numeric column by a category: `eta_squared` is the share of its variance that lies between the
    groups, from `rows` rows (a sample in large tables).
    """

    category: str
    number: str
    eta_squared: float
    rows: int
    groups: int
    lowest: str
    lowest_mean: float
    highest: str
    highest_mean: float


class Analysis(TypedDict):
    """A table's analysis. `summary` is Markdown, also the artifact summary.md."""

    summary: str
    file: FileFacts
    columns: list[Column]
    correlations: list[Correlation]
    effects: list[Effect]
    notes: list[str]
