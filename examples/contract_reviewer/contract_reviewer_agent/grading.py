"""What the rubric (evals.toml) asks of a review that no comparison can say; the platform calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def quotes_are_there(result: dict[str, Any], case: dict[str, Any]) -> tuple[float, str]:
    """The share of findings whose quotes stand in the contract, word for word."""
    contract = Path("samples/mutual_nda.md").read_text("utf-8").replace("**", "")
    words = " ".join(contract.split())
    findings = result["findings"]
    held = [each for each in findings if " ".join(each["quote"].split()) in words]
    missing = next((each["id"] for each in findings if each not in held), "")
    return len(held) / len(findings), f"the quote of {missing} is not in the contract" if missing else ""
