"""A review → the Markdown report: what is wrong first, each finding with its words, its place and the
change proposed.
"""

from __future__ import annotations

import re

from contract_reviewer_agent.provisions import CATEGORIES
from contract_reviewer_agent.redlines import Redline
from contract_reviewer_agent.review import Finding, Review

_RANK = {"high": 0, "medium": 1, "low": 2}


def markdown(review: Review) -> str:
    """The report. What the contract says is escaped, so that it cannot pose as the report's own text."""
    counts = review["counts"]
    lines = [
        f"# Contract review: {_plain(review['document'])}",
        "",
        f"Overall risk: **{review['risk']}** · {len(review['findings'])} findings ({counts['high']}"
        f" high, {counts['medium']} medium,"
        f" {counts['low']} low) · {len(review['missing'])} clauses missing",
        "",
        f"Read as a {review['kind']}, for {_party(review['party'])}. {_law(review)}",
        "",
        *(f"- Note: {_plain(note)}" for note in review["notes"]),
        *([""] if review["notes"] else []),
        *_table(review),
        *_missing(review),
    ]
    for level, title in (("high", "High risk"), ("medium", "Medium risk"), ("low", "Low risk")):
        findings = [f for f in review["findings"] if f["risk"] == level]
        if findings:
            lines += [f"## {title}", ""]
            for finding in findings:
                lines += _finding(finding, review)
    lines += [
        "---",
        "",
        "Made by rules, without a model and without a lawyer: it shows where to look and what to ask"
        " for, and is no legal advice."
        + (" Quotes are shown without markup; review.json has them verbatim." if _has_markup(review) else ""),
        "",
    ]
    return "\n".join(lines)


def _party(party: str) -> str:
    return {
        "customer": "the side that pays or receives (customer)",
        "provider": "the side that supplies (provider)",
    }.get(party, "neither side in particular")


def _law(review: Review) -> str:
    law = review["governing_law"]
    if law["source"] == "contract":
        where = f"characters {law['start']}–{law['end']}"
        return f"Governing law: {_plain(law['name'])}, as the contract says ({where})."
    if law["source"] == "unknown":
        return "Governing law: unknown; the contract leaves it open."
    said = "as given" if law["source"] == "given" else "as answered"
    chosen = (
        f"; the contract itself chooses {_plain(law['in_contract'])}"
        if law["in_contract"]
        else "; the contract itself names none"
    )
    return f"Governing law: {_plain(law['name'])}, {said}{chosen}."


def _table(review: Review) -> list[str]:
    rows = ["| Clause | Found | Highest risk |", "|---|---|---|"]
    absent = {m["category"]: m["risk"] for m in review["missing"]}
    for category, title in CATEGORIES.items():
        found = [f for f in review["findings"] if f["category"] == category]
        risk = min((f["risk"] for f in found), key=_RANK.__getitem__, default=absent.get(category, "low"))
        where = ", ".join(f["id"] for f in found)
        if category in absent:
            where = f"**missing** (related: {where})" if where else "**missing**"
            risk = min(risk, absent[category], key=_RANK.__getitem__)
        rows.append(f"| {title} | {where} | {risk} |")
    return [*rows, ""]


def _missing(review: Review) -> list[str]:
    if not review["missing"]:
        return []
    lines = ["## Missing clauses", ""]
    for item in sorted(review["missing"], key=lambda m: _RANK[m["risk"]]):
        lines += [f"- **{item['title']}** ({item['risk']}): {item['why']}", f"  Add: “{item['wording']}”"]
    return [*lines, ""]


def _finding(finding: Finding, review: Review) -> list[str]:
    page = f"page {finding['page']}, " if finding["page"] else ""
    section = f" · {_plain(finding['section'])}" if finding["section"] else ""
    lines = [
        f"### {finding['id']} {finding['title']} ({CATEGORIES[finding['category']]}){section}",  # type: ignore[index]
        "",
        f"> {_plain(finding['text'])}",
        "",
        f"Source: {page}characters {finding['start']}–{finding['end']}",
        "",
        *(f"- {_plain(reason)}" for reason in finding["reasons"]),
        "",
    ]
    for change in finding["redlines"]:
        lines += [*_redline(change), ""]
    return lines


def _redline(change: Redline) -> list[str]:
    where = f"characters {change['start']}–{change['end']}"
    if change["action"] == "insert":
        return [
            f"Redline, insert at character {change['start']}: **{_plain(change['replacement'].strip())}**"
        ]
    return [
        f"Redline, {where}: ~~{_plain(_bare(change['original']))}~~ → **{_plain(change['replacement'])}**"
    ]


def _bare(text: str) -> str:
    return re.sub(r"</?[A-Za-z][^<>]*>|\*\*", "", text)


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|#~])", r"\\\1", " ".join(text.split()))


def _has_markup(review: Review) -> bool:
    return any(f["quote"] != f["text"] for f in review["findings"])
