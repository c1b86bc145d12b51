"""The data analyst's skill. What it knows of tables lies in data_analyst_agent; here it meets the
platform.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from data_analyst_agent import analysis as work
from data_analyst_agent import charts
from data_analyst_agent.columns import DateOrder
from data_analyst_agent.shapes import Analysis
from data_analyst_agent.summary import focused, markdown
from data_analyst_agent.trouble import UnreadableError

from a2a_cloud import Agent, Context, File, Refuse

agent = Agent("data_analyst")

MAX_BYTES = 100 << 20


@agent.skill(
    name="Analyse a table",
    tags=["csv", "data", "statistics", "outliers", "correlation", "charts"],
    examples=[
        "Describe this table.",
        "What stands out in sales.csv, above all in price and region?",
        '{"skill": "analyse", "arguments": {"delimiter": "semicolon", "dates": "day-first"}} with a CSV file',
    ],
    input_modes=[
        "text/csv",
        "text/tab-separated-values",
        "text/plain",
        "application/csv",
        "application/vnd.ms-excel",
        "application/octet-stream",
    ],
    output_modes=["application/json", "text/markdown", "image/svg+xml"],
    timeout=240.0,
    idempotent=True,
)
def analyse(
    ctx: Context,
    table: Annotated[
        File, "The table: CSV, TSV or the like as text, up to 100 MB, 500 columns. No Excel file."
    ],
    focus: Annotated[str, "Words that name columns: findings and charts about these come first."] = "",
    delimiter: Literal["auto", "comma", "semicolon", "tab", "pipe"] = "auto",
    header: Literal["auto", "yes", "no"] = "auto",
    encoding: Literal["auto", "utf-8", "utf-16", "windows-1252", "latin-1"] = "auto",
    dates: DateOrder = "auto",
    missing: Annotated[tuple[str, ...], "Further cells that mean “no value”, such as -999 or unknown."] = (),
) -> Analysis:
    """Describe a CSV file: kinds of columns, missing values, statistics, outliers with reasons, correlations.
    It does not change or clean data, fit models, test hypotheses or explain causes, and reads no Excel files.

    Reads the file twice in bounded memory. Gives a typed result, a summary (summary.md), two charts
    (distributions.svg, correlations.svg) and everything as analysis.json. Says why a value is an outlier and
    in which row. A malformed file is refused with the row, the line and what is wrong there.

    Args:
        table: The table as CSV, TSV or the like.
        focus: Words that name columns.
        delimiter: What divides the cells; auto tries comma, semicolon, tab and pipe.
        header: Whether the first row names the columns; auto tells it from the rows below.
        encoding: How characters are written; auto knows UTF-8, UTF-16 and Windows-1252.
        dates: How to read 3/4/2024 where the column doesn't tell; auto reads the day first then, and says so.
        missing: Further cells that mean "no value", beside NA, null, - and the like.
    """
    if table.size > MAX_BYTES:
        raise Refuse(
            f"The file has {table.size / (1 << 20):,.0f} MB; {MAX_BYTES >> 20} MB are the most.",
            remedy="Send a part of its rows or columns.",
        )
    ctx.progress("reading", 0, f"Reading {table.size / 1e6:,.1f} MB")
    wishes = work.Wishes(delimiter, header, encoding, dates, missing)
    try:
        found = work.analyse(
            table.open, table.name or "table.csv", table.size, wishes, _Progress(ctx, table.size)
        )
    except UnreadableError as error:
        raise Refuse(error.detail, remedy=error.remedy) from None
    ctx.progress("writing", 95, "Writing the summary and the charts")
    analysis = found.analysis
    analysis["summary"] = markdown(analysis, focus)
    wanted = focused(analysis, focus)
    ctx.artifact("summary.md", analysis["summary"], media_type="text/markdown")
    picture = charts.distributions(found, wanted)
    if picture:
        ctx.artifact("distributions.svg", picture, media_type="image/svg+xml")
    picture = charts.correlations(
        analysis["file"]["name"], analysis["correlations"], analysis["columns"], wanted
    )
    if picture:
        ctx.artifact("correlations.svg", picture, media_type="image/svg+xml")
    ctx.artifact(
        "analysis.json", json.dumps(analysis, ensure_ascii=False, indent=1), media_type="application/json"
    )
    ctx.progress("done", 100, f"{analysis['file']['rows']:,} rows, {analysis['file']['columns']} columns")
    return analysis


class _Progress:
    """Progress by bytes: a word for every 5 % of a pass, so that a large file is no flood of events."""

    def __init__(self, ctx: Context, size: int) -> None:
        self._ctx = ctx
        self._size = max(1, size)
        self._said = -1

    def __call__(self, number: int, done: int) -> None:
        if self._ctx.cancelled:  # The next question to the platform would end it; a file in memory asks none.
            raise Refuse("The call was canceled.")
        share = done / self._size
        step = number * 100 + int(share * 20)
        if step != self._said:
            self._said = step
            stage = "reading" if number == 1 else "relating"
            said = (
                f"{'First' if number == 1 else 'Second'} pass: {done / 1e6:,.1f} of"
                f" {self._size / 1e6:,.1f} MB"
            )
            self._ctx.progress(stage, round((0 if number == 1 else 50) + share * 45, 1), said)
