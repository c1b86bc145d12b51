"""docs/errors.md has a row for every code, and the row is true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from a2a_cloud.model.problem import Problem, by_code

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def tree(cls: type[Problem]) -> Iterator[type[Problem]]:
    for sub in cls.__subclasses__():
        if sub.__module__ == "a2a_cloud.model.problem":
            yield sub
        yield from tree(sub)


ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| `")
    for cells in [line.strip("|").split("|")]
}


@pytest.mark.parametrize("problem", sorted(set(tree(Problem)), key=lambda cls: cls.code))
def test_every_code_has_its_row(problem: type[Problem]) -> None:
    row = ROWS[problem.code]
    told = [str(problem.http), str(problem.rpc), problem.grpc, "yes" if problem.retry else "no"]
    assert row[:4] == told
    assert all(row[4:])


def test_no_row_is_left_over() -> None:
    assert [code for code in ROWS if code != "code" and by_code(code) is None] == []
