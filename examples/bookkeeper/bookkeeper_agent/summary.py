"""Sums by account, and the summary that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bookkeeper_agent.ledger import Row


def amount(cents: int) -> str:
    """`-1234.50`."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{rest:02}"


def summed(rows: Iterable[Row]) -> dict[str, int]:
    """Cents by account, accounts by name."""
    accounts: dict[str, int] = {}
    for row in rows:
        accounts[row.account] = accounts.get(row.account, 0) + row.cents
    return dict(sorted(accounts.items()))


def written(month: str, accounts: Mapping[str, int], pending: Sequence[str]) -> str:
    """The summary in Markdown; the same month gives the same bytes."""
    lines = [f"# {month}", "", "| account | amount |", "|---|---:|"]
    lines += [f"| {_cell(name)} | {amount(cents)} |" for name, cents in accounts.items()]
    lines += [f"| **total** | **{amount(sum(accounts.values()))}** |", ""]
    if pending:
        lines += ["Not counted:", "", *(f"- {one}" for one in pending), ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
