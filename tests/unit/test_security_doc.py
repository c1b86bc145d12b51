"""Every threat in docs/security.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_threat_has_a_test_that_exists() -> None:
    rows = [
        line
        for line in (ROOT / "docs/security.md").read_text().splitlines()
        if line.startswith("| ") and line.count("|") == 4 and "| test |" not in line
    ]
    assert len(rows) > 40
    for row in rows:
        tests = row.split("|")[3]
        named = re.findall(r"`([^`]*)`", tests)
        assert named, row
        file = ""
        for name in named:
            path, _, function = name.partition("::")
            file = path or file
            text = (ROOT / file).read_text()
            assert re.search(rf"def {function}\(", text), f"{file}::{function}, of: {row}"


def test_pages_of_the_docs_lead_to_pages_that_exist() -> None:
    for name in ("security", "operations", "tls", "backup", "telemetry"):
        text = (ROOT / f"docs/{name}.md").read_text()
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert (ROOT / "docs" / target).exists(), f"docs/{name}.md leads to {target}"
