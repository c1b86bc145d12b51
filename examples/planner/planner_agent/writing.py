"""Answers → the brief: a headline, risks in order, conflicts, next steps, and the gaps by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from planner_agent.shapes import RANK, Brief, Contract, Decision, Gap, Risk, Table

_TOP = 12
KEEP_EACH = "keep each"


def laws_of(contracts: Sequence[Contract]) -> dict[str, list[str]]:
    """The laws that the contracts choose, with the contracts that choose them."""
    found: dict[str, list[str]] = {}
    for contract in contracts:
        if contract["governing_law"]:
            found.setdefault(contract["governing_law"], []).append(contract["document"])
    return found


def law_question(laws: dict[str, list[str]]) -> str:
    """What to ask when contracts choose different laws."""
    said = "; ".join(f"{law} in {joined(names)}" for law, names in laws.items())
    return (
        f"The contracts choose different governing laws: {said}. Which one should the others be brought to?"
        f" Answer with one of them, or “{KEEP_EACH}”."
    )


def write(
    contracts: list[Contract],
    tables: list[Table],
    risks: list[Risk],
    gaps: list[Gap],
    decisions: list[Decision],
    law: str,
) -> Brief:
    """Merge everything. `law` is the law that was chosen between several, or empty."""
    risks = [*risks, *_law_risks(contracts, law)]
    risks.sort(key=lambda risk: (RANK[risk["risk"]], risk["document"]))
    brief = Brief(
        headline=_headline(contracts, tables, risks, gaps),
        complete=not gaps,
        contracts=contracts,
        tables=tables,
        risks=risks,
        next_steps=_steps(contracts, tables, risks, gaps),
        gaps=gaps,
        decisions=decisions,
        markdown="",
    )
    brief["markdown"] = markdown(brief)
    return brief


def _law_risks(contracts: Sequence[Contract], law: str) -> list[Risk]:
    laws = laws_of(contracts)
    if len(laws) < 2:
        return []
    found: list[Risk] = []
    for contract in contracts:
        own = contract["governing_law"]
        if not own or own == law:
            continue
        others = joined([other for other in laws if other != own])
        reason = (
            f"It chooses the law of {own}; the brief's answer was to bring it to {law}."
            if law
            else f"It chooses the law of {own}, other contracts that of {others}: one quarrel, two courts."
        )
        found.append(
            Risk(
                document=contract["document"],
                risk="medium",
                title="Governing law differs",
                section="",
                reason=reason,
                quote="",
            )
        )
    return found


def _headline(contracts: list[Contract], tables: list[Table], risks: list[Risk], gaps: list[Gap]) -> str:
    read = [word for word in (_count(len(contracts), "contract"), _count(len(tables), "table")) if word]
    high = sum(1 for risk in risks if risk["risk"] == "high")
    medium = sum(1 for risk in risks if risk["risk"] == "medium")
    said = f"{joined(read)} read" if read else "Nothing could be read"
    if contracts:
        said += f": {_count(high, 'high risk') or 'no high risk'}"
        said += f", {_count(medium, 'medium one') or 'none medium'}"
    if gaps:
        said += f"; {_count(len(gaps), 'gap')}"
    return f"{said[0].upper()}{said[1:]}."


def _steps(contracts: list[Contract], tables: list[Table], risks: list[Risk], gaps: list[Gap]) -> list[str]:
    steps: list[str] = []
    for contract in sorted(contracts, key=lambda one: (-one["high"], one["document"])):
        high = [risk for risk in risks if risk["document"] == contract["document"] and risk["risk"] == "high"]
        if high:
            titles = list(dict.fromkeys(risk["title"] for risk in high))
            steps.append(f"Negotiate {contract['document']}: {joined(titles[:4])}.")
    for contract in contracts:
        if not contract["governing_law"]:
            steps.append(f"Settle the governing law of {contract['document']}: it names none.")
    for table in tables:
        cells = table["rows"] * table["columns"]
        if cells and table["missing_cells"] > cells * 0.1:
            steps.append(
                f"Complete {table['document']}: {100 * table['missing_cells'] / cells:.0f} % of its cells are"
                " missing."
            )
    steps += [f"Close the gap {gap['document']}: {gap['why']}." for gap in gaps]
    return steps


def markdown(brief: Brief) -> str:
    """The brief as Markdown; what files say is escaped."""
    lines = ["# Brief", "", plain(brief["headline"]), ""]
    if brief["next_steps"]:
        lines += [
            "## Next steps",
            "",
            *(f"{n}. {plain(step)}" for n, step in enumerate(brief["next_steps"], 1)),
            "",
        ]
    if brief["contracts"]:
        lines += [
            "## Contracts",
            "",
            "| Contract | Kind | Risk | High | Medium | Low | Governing law | Missing clauses |",
            "|---|---|---|---:|---:|---:|---|---|",
            *(_contract(contract) for contract in brief["contracts"]),
            "",
        ]
    if brief["risks"]:
        lines += ["## Risks", ""]
        for risk in brief["risks"][:_TOP]:
            lines += _risk(risk)
        if len(brief["risks"]) > _TOP:
            lines.append(f"- … and {len(brief['risks']) - _TOP} more, in brief.json.")
        lines.append("")
    if brief["tables"]:
        lines += ["## Tables", ""]
        for table in brief["tables"]:
            lines += [
                f"**{plain(table['document'])}**: {table['rows']:,} rows, {table['columns']} columns.",
                "",
            ]
            # The analyst's summary is Markdown with the table's words escaped already.
            lines += [*(f"- {line}" for line in table["highlights"]), *([""] if table["highlights"] else [])]
    if brief["gaps"]:
        lines += [
            "## Gaps",
            "",
            *(f"- **{plain(gap['document'])}**: {plain(gap['why'])}." for gap in brief["gaps"]),
            "",
        ]
    if brief["decisions"]:
        lines += ["## Asked and answered", ""]
        lines += [f"- {plain(one['question'])} → **{plain(one['answer'])}**" for one in brief["decisions"]]
        lines.append("")
    lines += [
        "---",
        "",
        "Merged by rules from the answers of contract_reviewer and data_analyst. No legal advice.",
        "",
    ]
    return "\n".join(lines)


def _contract(contract: Contract) -> str:
    law = plain(contract["governing_law"]) or "none named"
    missing = plain(", ".join(contract["missing"])) or "–"
    return (
        f"| {plain(contract['document'])} | {plain(contract['kind'])} | {contract['risk']}"
        f" | {contract['high']} | {contract['medium']} | {contract['low']} | {law} | {missing} |"
    )


def _risk(risk: Risk) -> list[str]:
    section = f" ({plain(risk['section'])})" if risk["section"] else ""
    lines = [
        f"- **{risk['risk']}** · {plain(risk['document'])}{section}: {plain(risk['title'])}."
        f" {plain(risk['reason'])}"
    ]
    if risk["quote"]:
        lines.append(f"  > {plain(risk['quote'])}")
    return lines


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}" if number else ""


def plain(text: str) -> str:
    """Text of others without the power to be Markdown of ours."""
    return re.sub(r"([\\`*_<>\[\]|#~])", r"\\\1", " ".join(text.split()))
