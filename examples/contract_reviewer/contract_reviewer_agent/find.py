"""Sentences → the provisions found in them: the best rule of each category, neighbours of one kind merged."""

from __future__ import annotations

from dataclasses import dataclass, field

from contract_reviewer_agent import rules_money, rules_rights, rules_risk, rules_term
from contract_reviewer_agent.plain import Mapped, joined
from contract_reviewer_agent.provisions import CATEGORIES, Category, Provision
from contract_reviewer_agent.sentences import Sentence

RULES: tuple[Provision, ...] = (*rules_risk.RULES, *rules_term.RULES, *rules_rights.RULES, *rules_money.RULES)
# A cap and a waiver of indirect damages often share a sentence; both are then found in it.
_OWN_SLOT = {"liability.excluded_damages": "liability.excluded_damages", "governing_law.courts": "courts"}
_ORDER = {category: n for n, category in enumerate(CATEGORIES)}


@dataclass(slots=True)
class Found:
    """A provision where it stands: one or more neighbouring sentences of one kind."""

    provision: Provision
    sentences: list[Sentence]
    score: float
    evidence: list[str] = field(default_factory=list[str])

    @property
    def mapped(self) -> Mapped:
        """The sentences' words, mapped to the source."""
        return joined(s.mapped for s in self.sentences)

    @property
    def text(self) -> str:
        """What the sentences say, without markup."""
        return " ".join(s.mapped.text for s in self.sentences)

    @property
    def span(self) -> tuple[int, int]:
        """Where it stands in the source."""
        return self.sentences[0].mapped.span()[0], max(s.mapped.span()[1] for s in self.sentences)


def find(groups: list[list[Sentence]]) -> list[Found]:
    """The provisions of a contract, in the order of the text."""
    hits: list[Found] = []
    for group in groups:
        whole, items = _match(group[0]), [hit for item in group[1:] for hit in _match(item)]
        if not group[1:]:
            hits.extend(whole)
            continue
        # A list is one provision when its stem already speaks of the subject; else each item speaks for
        # itself.
        led = [hit for hit in whole if _stem_leads(group[0].stem, hit)]
        led = [hit for hit in led if len(_cores(items, hit.provision.category)) < 2] or []
        subjects = {hit.provision.category for hit in led}
        roles = ("supporting",) if led else ("core", "own", "supporting")
        hits.extend(led)
        if not led and any(hit.provision.gate.search(group[0].stem) for hit in whole):
            roles = ("core", "supporting")
        hits.extend(h for h in items if h.provision.category not in subjects and h.provision.role in roles)
    merged = _merged(hits)
    cores = {hit.provision.category for hit in merged if hit.provision.role == "core"}
    kept = [hit for hit in merged if hit.provision.role != "supporting" or hit.provision.category in cores]
    return sorted(kept, key=lambda hit: (hit.span, _ORDER[hit.provision.category], hit.provision.id))


def missing(found: list[Found]) -> list[Category]:
    """The categories without a core provision, in the usual order."""
    present = {hit.provision.category for hit in found if hit.provision.role == "core"}
    return [category for category in CATEGORIES if category not in present]


def _match(sentence: Sentence) -> list[Found]:
    if sentence.defines or not sentence.operative or len(sentence.text) < 20:
        return []
    text = (
        sentence.context if sentence.stem and not sentence.text.startswith(sentence.stem) else sentence.text
    )
    best: dict[str, Found] = {}
    for rule in RULES:
        score, evidence = rule.score(text)
        slot = _OWN_SLOT.get(rule.id, rule.category)
        held = best.get(slot)
        hit = Found(rule, [sentence], score, evidence)
        if score and (held is None or _margin(hit) > _margin(held)):
            best[slot] = hit
    if (
        "liability.excluded_damages" in best
        and "liability" in best
        and best["liability"].provision.id != "liability.cap"
    ):
        loser = min("liability", "liability.excluded_damages", key=lambda slot: _margin(best[slot]))
        del best[loser]
    strong = [hit for hit in best.values() if hit.provision.role != "supporting"]
    out = list[Found]()
    for hit in best.values():
        # A supporting reading gives way to another category's stronger claim on the same sentence.
        rivals = (other for other in strong if other is not hit)
        if hit.provision.role == "supporting" and any(_margin(r) >= _margin(hit) for r in rivals):
            continue
        out.append(hit)
    return out


def _cores(items: list[Found], category: Category) -> set[str]:
    """The different clauses of one category that a list's items are by themselves."""
    return {
        hit.provision.id
        for hit in items
        if hit.provision.category == category and hit.provision.role == "core"
    }


def _margin(hit: Found) -> float:
    """How far a reading is above its threshold; the clause itself counts for more than what surrounds it."""
    return hit.score - hit.provision.threshold + (1.0 if hit.provision.role == "core" else 0.0)


def _stem_leads(stem: str, hit: Found) -> bool:
    """Whether a list's stem alone already speaks of what the whole list was found to be."""
    cues = (cue.weight for cue in hit.provision.cues if cue.weight > 0 and cue.pattern.search(stem))
    return bool(hit.provision.gate.search(stem)) and sum(cues) >= 1.5


def _merged(hits: list[Found]) -> list[Found]:
    out: list[Found] = []
    last: dict[str, Found] = {}
    for hit in sorted(hits, key=lambda h: h.sentences[0].index):
        held = last.get(hit.provision.id)
        first = hit.sentences[0]
        if (
            held is not None
            and first.index - held.sentences[-1].index == 1
            and _near(held.sentences[-1], first)
        ):
            held.sentences.extend(hit.sentences)
            held.evidence.extend(e for e in hit.evidence if e not in held.evidence)
            held.score = max(held.score, hit.score)
            continue
        last[hit.provision.id] = hit
        out.append(hit)
    return out


def _near(one: Sentence, other: Sentence) -> bool:
    """Merge only within a paragraph: the clause that a reader would call one."""
    return one.block == other.block
