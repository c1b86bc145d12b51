"""What is missing: which clauses a contract of this kind should have, and wording to add."""

from __future__ import annotations

import re
from typing import Literal

from contract_reviewer_agent.provisions import Category

Kind = Literal["non-disclosure agreement", "employment contract", "lease", "service contract", "contract"]

_KINDS: tuple[tuple[Kind, str], ...] = (
    ("lease", r"\b(?:landlord|tenant|lessor|lessee|premises|rent)\b"),
    ("employment contract", r"\b(?:employee|employer|employment|salary|at-will)\b"),
    (
        "service contract",
        r"\b(?:services?|customer|client|consultant|subscription|provider|software|deliverables?|fees)\b",
    ),
    (
        "non-disclosure agreement",
        r"\b(?:disclosing party|receiving party|discloser|recipient|evaluation|confidential information)\b",
    ),
)
# What each kind can do without: said, but as a remark of low weight.
_NOT_NEEDED: dict[Kind, frozenset[str]] = {
    "non-disclosure agreement": frozenset(
        ("payment", "indemnity", "renewal", "data_protection", "liability")
    ),
    "employment contract": frozenset(("indemnity", "renewal", "liability")),
    "lease": frozenset(("confidentiality", "intellectual_property", "data_protection")),
    "service contract": frozenset(("renewal",)),
    "contract": frozenset(("renewal", "intellectual_property", "data_protection")),
}
_HIGH = frozenset(("liability", "governing_law", "termination", "confidentiality"))
_WHY: dict[Category, tuple[str, str]] = {
    "liability": (
        "Without it liability is unlimited.",
        "Neither party is liable for indirect or consequential damages. Each party's total liability"
        " arising out of this Agreement will not"
        " exceed the total fees paid or payable in the twelve (12) months before the event giving rise"
        " to the claim. Neither limit applies to"
        " fraud, gross negligence, wilful misconduct, or a breach of confidentiality.",
    ),
    "indemnity": (
        "Nothing says who bears claims of third parties.",
        "Each party will indemnify, defend and hold harmless the other from third-party claims to the"
        " extent that they arise from its"
        " negligence, wilful misconduct or breach of this Agreement. The indemnified party will give"
        " prompt notice and let the indemnifying"
        " party control the defence.",
    ),
    "termination": (
        "Nothing says how the contract can be ended before its time.",
        "Either party may terminate this Agreement if the other materially breaches it and does not"
        " cure the breach within thirty (30) days"
        " after written notice, and without cause on sixty (60) days' written notice.",
    ),
    "renewal": (
        "Nothing says whether the contract goes on after its term.",
        "This Agreement does not renew by itself. The parties may renew it in writing for further terms"
        " of twelve (12) months.",
    ),
    "governing_law": (
        "Which law rules is left to the conflict rules of whichever court is asked.",
        "This Agreement is governed by the laws of {law}, without regard to its conflict of laws rules."
        " The courts of {law} have jurisdiction.",
    ),
    "confidentiality": (
        "What the parties tell each other is not protected.",
        "Each party will keep the other's confidential information secret, use it only for this"
        " Agreement, and disclose it only to those who"
        " need to know and are bound likewise. This does not cover information that is public, already"
        " known, or independently developed, and"
        " lasts three (3) years after disclosure.",
    ),
    "intellectual_property": (
        "Who owns existing rights and the results of the work is open.",
        "Each party keeps its existing intellectual property. Rights in deliverables made specifically"
        " for a party pass to it on full payment.",
    ),
    "payment": (
        "What is paid, and when, isn't stated.",
        "The fees stated in Schedule 1 are due thirty (30) days after receipt of an invoice. Amounts"
        " disputed in good faith may be held back"
        " until resolved.",
    ),
    "data_protection": (
        "Nothing says how personal data are handled.",
        "Each party will comply with the data protection laws that apply to it. A party that processes"
        " personal data for the other will do so"
        " only on its instructions, keep appropriate security measures, notify a breach within"
        " seventy-two (72) hours, and delete the data at"
        " the end of this Agreement.",
    ),
}


def kind_of(text: str) -> Kind:
    """What kind of contract this is, by the words that it uses most."""
    title = text[:400].lower()
    if re.search(r"non-?disclosure|confidentiality agreement|\bnda\b", title):
        return "non-disclosure agreement"
    total = max(1, len(text.split()))
    rates: dict[Kind, float] = {
        kind: len(re.findall(pattern, text, re.IGNORECASE)) / total for kind, pattern in _KINDS
    }
    best = max(rates, key=lambda kind: rates[kind])
    return best if rates[best] > 0.008 else "contract"


def about(category: Category, kind: Kind, law: str) -> tuple[Literal["low", "medium", "high"], str, str]:
    """How much a missing clause matters in this kind of contract, why, and wording to add."""
    why, wording = _WHY[category]
    wording = wording.format(law=law or "[State or country]") if category == "governing_law" else wording
    if category in _NOT_NEEDED[kind]:
        article = "an" if kind[0] in "aeiou" else "a"
        return "low", f"{why} {article.title()} {kind} often does without.", wording
    return ("high" if category in _HIGH else "medium"), why, wording
