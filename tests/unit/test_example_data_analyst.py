"""What the data analyst makes of tables: layouts, kinds, statistics against exact ones, refusals, charts."""

from __future__ import annotations

import io
import random
import statistics
import xml.etree.ElementTree as ET
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

from example_paths import EXAMPLES

# isort: split
import pytest
from data_analyst_agent import charts
from data_analyst_agent.analysis import Found, Wishes, analyse, figure
from data_analyst_agent.bins import histogram
from data_analyst_agent.cells import Numbers, day_of
from data_analyst_agent.distinct import Distinct
from data_analyst_agent.numbers import Moments, Quantiles
from data_analyst_agent.relations import Groups, Pearson, interval, spearman
from data_analyst_agent.shapes import Column
from data_analyst_agent.summary import markdown
from data_analyst_agent.trouble import UnreadableError
from hypothesis import given, settings
from hypothesis import strategies as st

SAMPLE = EXAMPLES / "data_analyst" / "samples" / "orders.csv"
PENGUINS = Path("/work/shared/data/penguins_raw.csv")


def look(data: bytes | str, **wishes: Any) -> Found:
    raw = data.encode() if isinstance(data, str) else data
    return analyse(lambda: io.BytesIO(raw), "t.csv", len(raw), Wishes(**wishes), lambda *_: None)


def columns(data: bytes | str, **wishes: Any) -> dict[str, Column]:
    return {column["name"]: column for column in look(data, **wishes).analysis["columns"]}


def batches(values: list[float], size: int = 1000) -> list[list[float]]:
    return [values[at : at + size] for at in range(0, len(values), size)]


# --- statistics -------------------------------------------------------------------------------------


def test_moments_are_those_of_the_statistics_module() -> None:
    chance = random.Random(1)
    values = [chance.lognormvariate(2, 0.7) + 1e6 for _ in range(20_000)]
    moments = Moments()
    for batch in batches(values, 777):
        moments.add(batch)
    assert moments.mean == pytest.approx(statistics.fmean(values), rel=1e-14)
    assert moments.deviation == pytest.approx(statistics.stdev(values), rel=1e-9)
    mean, spread = statistics.fmean(values), statistics.pstdev(values)
    skewness = statistics.fmean(((value - mean) / spread) ** 3 for value in values)
    assert moments.skewness == pytest.approx(skewness, rel=1e-6)


@pytest.mark.parametrize("order", ["random", "rising", "falling", "zigzag"])
def test_quantiles_keep_their_bound(order: str) -> None:
    values = [random.Random(2).gauss(0, 1) for _ in range(1)] + list(map(float, range(60_000)))
    if order == "random":
        random.Random(3).shuffle(values)
    elif order == "falling":
        values.reverse()
    elif order == "zigzag":
        values = [value for pair in zip(values[:30_000], values[:29_999:-1], strict=False) for value in pair]
    sketch = Quantiles(256)
    for batch in batches(values, 913):
        sketch.add(batch)
    exact = sorted(values)
    assert 0 < sketch.error < 0.02
    shares = [n / 50 for n in range(51)]
    for share, value in zip(shares, sketch.at(shares), strict=True):
        low, high = bisect_left(exact, value), bisect_right(exact, value)
        off = max(0.0, low - share * len(exact), share * len(exact) - high)
        assert off <= sketch.error * len(exact) + 2


def test_few_values_give_exact_quantiles() -> None:
    sketch = Quantiles()
    sketch.add([4.0, 1.0, 3.0, 2.0])
    assert sketch.error == 0
    assert sketch.at([0, 0.25, 0.5, 1]) == [1.0, 1.75, 2.5, 4.0]


@pytest.mark.parametrize("count", [500, 20_000, 120_000])
@pytest.mark.parametrize("form", ["{}", "user{}@example.com", "{:08}", "{}.25"])
def test_distinct_values_are_counted_or_estimated(count: int, form: str) -> None:
    distinct = Distinct(1000, 1 << 20)
    cells = [form.format(n) for n in range(count)]
    for at in range(0, count, 4096):
        distinct.add(cells[at : at + 4096])
        distinct.add(cells[at : at + 100])
    assert distinct.exact is (count == 500)
    assert distinct.count == pytest.approx(count, rel=4 * distinct.error)


def test_correlations_are_pairwise_complete() -> None:
    chance = random.Random(5)
    xs = [chance.gauss(0, 1) for _ in range(3000)]
    columns = [
        xs,
        [x + chance.gauss(0, 1) if chance.random() > 0.2 else None for x in xs],
        [-x + chance.gauss(0, 2) if chance.random() > 0.3 else None for x in xs],
    ]
    pearson = Pearson(3)
    for at in range(0, 3000, 500):
        cut = [column[at : at + 500] for column in columns]
        pearson.add(cut, [None not in one for one in cut])
    for one in range(3):
        for two in range(one + 1, 3):
            both = [(x, y) for x, y in zip(columns[one], columns[two], strict=True) if None not in (x, y)]
            found = pearson.of(one, two)
            assert found is not None
            assert found[0] == len(both)
            left, right = [x for x, _ in both], [y for _, y in both]
            assert found[1] == pytest.approx(statistics.correlation(left, right), abs=1e-12)  # type: ignore[arg-type]


def test_ranks_groups_and_intervals() -> None:
    assert spearman([1, 2, 3, 4, None], [1, 10, 100, 1000, 5]) == (4, 1.0)
    assert spearman([1, 2, 2, 3], [4, 3, 3, 1]) == (4, pytest.approx(-1.0))
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    groups = Groups(["a", "a", "b", "b", "c", None], [1, 3, 11, 13, 5, 9])
    assert groups.eta_squared == pytest.approx(100 / 104)
    assert groups.means == {"a": 2, "b": 12}
    assert interval(0.5, 100) == (pytest.approx(0.337, abs=1e-3), pytest.approx(0.634, abs=1e-3))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200))
def test_every_value_is_in_the_histogram_or_beyond(values: list[float]) -> None:
    ordered = sorted(values)
    quartiles = (ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4])
    chart = histogram(len(values), ordered[0], ordered[-1], quartiles, whole=False)
    if chart is None:
        return
    chart.add(values)
    assert sum(chart.counts) + chart.below + chart.above == len(values)


# --- layouts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "pipe")]
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_layouts(delimiter: str, name: str, codec: str, newline: str) -> None:
    rows = [
        ["Stadt", "Fläche (km²)", "seit"],
        ["Köln", "405.02", "2001-05-06"],
        ["Jülich", "90.4", "1999-01-31"],
    ]
    text = newline.join(delimiter.join(row) for row in [*rows, *rows[1:]]) + newline
    found = look(text.encode(codec)).analysis
    assert (found["file"]["delimiter"], found["file"]["rows"]) == (name, 4)
    assert [(column["name"], column["kind"]) for column in found["columns"]] == [
        ("Stadt", "category"),
        ("Fläche (km²)", "number"),
        ("seit", "date"),
    ]
    assert found["file"]["duplicate_rows"] == 2


def test_bytes_that_stop_being_utf8_late_are_read_as_windows_1252() -> None:
    body = b"name,n\n" + b"plain,1\n" * 60_000 + "Müller,2\n".encode("cp1252")
    found = look(body).analysis
    assert found["file"]["encoding"] == "windows-1252"
    assert found["file"]["rows"] == 60_001
    assert any("Windows-1252" in note for note in found["notes"])


def test_excels_own_line_and_blank_lines_are_no_rows() -> None:
    found = look("sep=;\r\na;b\r\n\r\n1;2\r\n\r\n3;4\r\n").analysis
    assert (found["file"]["rows"], found["file"]["blank_lines"]) == (2, 2)


def test_a_table_without_a_header() -> None:
    found = look("1,2\n3,4\n5,6\n").analysis
    assert [column["name"] for column in found["columns"]] == ["column 1", "column 2"]
    assert found["file"]["rows"] == 3
    assert look("1,2\n3,4\n", header="yes").analysis["columns"][0]["name"] == "1"


# --- cells ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2.5", "+3e2", ".5", "7."], [1, -2.5, 300, 0.5, 7]),
        (["1,234", "12,345,678.9"], [1234, 12345678.9]),
        (["1,5", "2,25", "1.234,5"], [1.5, 2.25, 1234.5]),
        (["$1,200.50", "$3"], [1200.5, 3]),
        (["12 %", "7%"], [12, 7]),
        (["1", "007", "inf", "nan", "1_000", "12a", "٣"], [1, None, None, None, None, None, None]),
    ],
)
def test_numbers_as_people_write_them(cells: list[str], values: list[float | None]) -> None:
    numbers = Numbers(cells)
    assert [numbers.one(cell) for cell in cells] == values
    assert numbers.all_of(cells) in (None, values)


@pytest.mark.parametrize(
    "cell",
    [
        "2024-03-09",
        "2024/3/9",
        "9.3.2024",
        "9 Mar 2024",
        "March 9, 2024",
        "2024-03-09T10:11:12Z",
        "9-Mar-2024 10:11",
    ],
)
def test_dates_as_people_write_them(cell: str) -> None:
    assert day_of(cell) == day_of("2024-03-09") != (None, None)


def test_the_order_of_day_and_month_is_told_from_the_column() -> None:
    day = columns("d\n3/4/2024\n25/4/2024\n")["d"]["dates"]
    month = columns("d\n3/4/2024\n4/25/2024\n")["d"]["dates"]
    unclear = look("d\n3/4/2024\n5/6/2024\n").analysis
    assert day is not None
    assert month is not None
    assert (day["first"], day["order"]) == ("2024-04-03", "day-first")
    assert (month["first"], month["order"]) == ("2024-03-04", "month-first")
    assert any("day and month can't be told apart" in note for note in unclear["notes"])
    said = columns("d\n3/4/2024\n5/6/2024\n", dates="month-first")["d"]["dates"]
    assert said is not None
    assert said["first"] == "2024-03-04"


def test_kinds_and_missing_values() -> None:
    text = "id,code,ok,size,empty,word\n" + "".join(
        f"{n},00{n % 9},{'yes' if n % 3 else 'no'},{n % 5 if n % 4 else 'NA'},,{'xy'[n % 2]}\n"
        for n in range(1, 101)
    )
    found = columns(text)
    kinds = {name: column["kind"] for name, column in found.items()}
    assert kinds == {
        "id": "integer",
        "code": "category",
        "ok": "boolean",
        "size": "integer",
        "empty": "empty",
        "word": "category",
    }
    assert found["id"]["identifier"]
    assert found["size"]["missing_as"] == [{"value": "NA", "count": 25}]
    assert columns(text, missing=("y",))["word"]["missing"] == 50


def test_a_few_strangers_are_named_and_left_out() -> None:
    text = "n\n" + "".join(f"{n}.5\n" for n in range(200)) + "see note\n" + "7.25\n"
    column = columns(text)["n"]
    assert (column["kind"], column["strange"]) == ("number", 1)
    assert column["strangers"] == [{"row": 201, "value": "see note", "reason": "is no number"}]


def test_outliers_have_a_row_and_a_reason() -> None:
    text = "n,m\n" + "".join(f"{10 + n % 7},{0 if n != 50 else 90}\n" for n in range(300)) + "500,0\n"
    found = columns(text)
    numeric = found["n"]["numeric"]
    assert numeric is not None
    assert numeric["outliers"] is not None
    assert (numeric["outliers"]["high"], numeric["outliers"]["low"]) == (1, 0)
    (example,) = numeric["outliers"]["examples"]
    assert (example["row"], example["value"]) == (301, "500")
    assert "interquartile ranges above the third quartile (15)" in example["reason"]
    other = found["m"]["numeric"]
    assert other is not None
    assert other["outliers"] is not None
    assert other["outliers"]["examples"][0]["row"] == 51
    assert "standard deviations" in other["outliers"]["examples"][0]["reason"]


@pytest.mark.parametrize(
    ("value", "said"), [(1234567.0, "1,234,567"), (3.14159, "3.142"), (0.00001234, "1.234e-05"), (0.5, "0.5")]
)
def test_figures(value: float, said: str) -> None:
    assert figure(value) == said


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The file is empty"),
        (b"\n\n \n", "The file is empty"),
        (b"a,b\n", "a header and no rows"),
        (b"a,b\n1,2\n3,4,5\n", "Row 2 (line 3) has 3 fields where the header has 2; it begins “3,4,5”"),
        (b"a,b\n1,2\n\n3\n", "Row 2 (line 4) has 1 field where the header has 2"),
        (b'a,b\n"1\n1",2\n3\n', "Row 2 (line 4) has 1 field"),
        (b'a,b\n1,2\n3,"x\n4,5\n', "The file ends inside the quoted cell that row 2 (line 3) opens"),
        (b'a,b\n1,2\n"x"y,5\n', 'Row 2 (line 3) has a quote mark " inside a quoted cell'),
        (b'a,b\n1,2\n3,"' + b"x\n" * 100_000, "Row 2 (line 3) has a cell of more than 131,072 characters"),
        (b"a,b\n" + b"1,2\n" * 9000 + b"3\n", "Row 9,001 (line 9,002) has 1 field"),
        (b"a,b\n1," + b"2" * (3 << 20), "a line of more than 1 MB"),
        (b"a,b\n1," + b"2" * 200_000, "131,072 characters"),
        (b"a,b\n1,2\n" + b"1," * (2 << 20), "a line of more than 1 MB"),
        (b"a" + b",a" * 600 + b"\n", "601 columns"),
        (b"PK\x03\x04....", "an Excel"),
        (b"\x00\x01\x02" * 100, "zero bytes"),
    ],
)
def test_malformed_files_are_refused_with_the_row(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        look(data)
    assert said in refused.value.detail
    assert refused.value.remedy


def test_a_named_encoding_is_not_second_guessed() -> None:
    with pytest.raises(
        UnreadableError, match=r"not utf-8 text: at or soon after the header .* the byte 0xfc"
    ):
        look("a,b\nMü,1\n".encode("cp1252"), encoding="utf-8")


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=400) | st.text(alphabet=',;"\n\r\t1a.-é ', max_size=200).map(str.encode))
def test_any_bytes_are_analysed_or_refused(data: bytes) -> None:
    try:
        found = look(data)
    except UnreadableError:
        return
    markdown(found.analysis)
    charts.distributions(found, set())


def test_figures_beyond_the_floats() -> None:
    found = columns("n\n1e308\n1.5e308\n1e308\n-1e308\n5e-324\n")
    numeric = found["n"]["numeric"]
    assert numeric is not None
    assert numeric["deviation"] is None


# --- texts and pictures -----------------------------------------------------------------------------


def pictures(found: Found) -> list[str]:
    analysis = found.analysis
    made = [
        charts.distributions(found, set()),
        charts.correlations("t", analysis["correlations"], analysis["columns"], set()),
    ]
    return [picture for picture in made if picture]


@pytest.mark.parametrize("source", [SAMPLE.read_bytes, lambda: b"<a>&,b\n1,2\n2,4\n5,3\n"])
def test_pictures_are_accessible_and_inert(source: Callable[[], bytes]) -> None:
    made = pictures(look(source()))
    assert len(made) == 2
    for picture in made:
        root = ET.fromstring(picture)  # noqa: S314 (our own)
        names = [element.tag.rpartition("}")[2] for element in root.iter()]
        assert names[1:3] == ["title", "desc"]
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == "title desc"
        assert not {"script", "foreignObject", "image", "a"} & set(names)
        assert "href" not in picture


def test_the_sample_reads_well() -> None:
    found = look(SAMPLE.read_bytes())
    said = markdown(found.analysis)
    assert "240 rows and 10 columns" in said
    assert "**units** and **discount** rise together, strongly" in said
    assert "outliers hide it" in said
    assert "400 in row 58" in said
    assert markdown(found.analysis, "what about delivery_days?").index("**delivery\\_days**") < said.index(
        "units"
    )


def test_what_a_table_says_is_no_markup_of_ours() -> None:
    said = markdown(look("<b>x</b>,`y`\n1,2\n3,4\n").analysis)
    assert "<b>" not in said
    assert "`y`" not in said.replace("\\`", "")


def test_a_wide_table() -> None:
    head = ",".join(f"c{n}" for n in range(300))
    rows = "\n".join(",".join(str((n * row) % 97) for n in range(300)) for row in range(1, 60))
    found = look(f"{head}\n{rows}\n").analysis
    assert len(found["columns"]) == 300
    assert any("leave out" in note for note in found["notes"])


@pytest.mark.skipif(not PENGUINS.exists(), reason="the shared data are elsewhere")
def test_penguins() -> None:
    found = look(PENGUINS.read_bytes()).analysis
    kinds = {column["name"]: column["kind"] for column in found["columns"]}
    assert kinds["Date Egg"] == "date"
    assert kinds["Body Mass (g)"] == "integer"
    assert kinds["Culmen Depth (mm)"] == "number"
    first = found["correlations"][0]
    assert (first["first"], first["second"], first["rows"]) == ("Flipper Length (mm)", "Body Mass (g)", 342)
    assert first["pearson"] == pytest.approx(0.871202, abs=1e-6)
