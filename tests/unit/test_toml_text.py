"""TOML from strangers: what would cost the reader gigabytes is refused first, and quickly."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from a2a_cloud.control.approvals.rules import read_rules
from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.rubric import read_rubric
from a2a_cloud.wire.toml_text import MAX_PARTS, loads

LONG = "a" + ".a" * 120_000 + " = 1"


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        f"[{LONG[:-4]}]",
        "x = {" + LONG + "}",
        "a" + " . 'b'" * 70 + " = 1",
        "ok = 1\n'a'" + '."b c"' * 70 + " = 1",
    ],
    ids=["key", "table", "inline", "spaced", "quoted"],
)
def test_long_keys_are_refused(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match="more than 64 parts"):
        loads(text)


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * MAX_PARTS) + " = 1",
        'x = "' + "..." * 1000 + '"',
        'x = "' + "See there. " * 1000 + '"',
        "x = [" + "1.5," * 5000 + "]",
        'x = "' + "a" * 200_000 + '"',
        "x = '" + '"' * 100_000 + "'",
        "# " + ". " * 50_000,
    ],
    ids=["short", "dots", "sentences", "numbers", "word", "quotes", "comment"],
)
def test_all_else_is_read(text: str) -> None:
    assert loads(text) == tomllib.loads(text)


def test_rubrics_rules_and_manifests_refuse_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="64 parts"):
        read_rubric(LONG.encode())
    with pytest.raises(InvalidParams, match="64 parts"):
        read_rules(LONG[:20_001] + " = 1")
    (tmp_path / "a2a.toml").write_text(LONG)
    with pytest.raises(InvalidParams, match="64 parts"):
        read_manifest(tmp_path)
