"""The governing law: what the contract chooses, whether that is only a placeholder, and what follows from
the law.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contract_reviewer_agent.find import Found

_STATES = (
    "Alabama Alaska Arizona Arkansas California Colorado Connecticut Delaware Florida Georgia Hawaii"
    " Idaho Illinois Indiana Iowa"
    " Kansas Kentucky Louisiana Maine Maryland Massachusetts Michigan Minnesota Mississippi Missouri"
    " Montana Nebraska Nevada"
    " New_Hampshire New_Jersey New_Mexico New_York North_Carolina North_Dakota Ohio Oklahoma Oregon"
    " Pennsylvania Rhode_Island"
    " South_Carolina South_Dakota Tennessee Texas Utah Vermont Virginia Washington West_Virginia"
    " Wisconsin Wyoming"
    " England Scotland Wales Northern_Ireland Ireland Germany France Spain Italy Netherlands Belgium"
    " Austria Switzerland Sweden"
    " Norway Denmark Finland Poland Portugal Greece Czechia Hungary Romania Luxembourg Estonia Latvia"
    " Lithuania Malta Cyprus"
    " Ontario Quebec British_Columbia Alberta Canada Australia New_South_Wales Victoria Queensland"
    " New_Zealand India Singapore"
    " Hong_Kong Japan China South_Korea Brazil Mexico Argentina Chile Israel South_Africa Nigeria Kenya"
    " Bermuda Cayman_Islands"
    " United_Arab_Emirates DIFC Puerto_Rico District_of_Columbia Philippines Malaysia Thailand Vietnam"
    " Indonesia Turkey Egypt"
)
JURISDICTIONS = tuple(name.replace("_", " ") for name in _STATES.split())
_ADJECTIVES = {
    "english": "England",
    "german": "Germany",
    "french": "France",
    "swiss": "Switzerland",
    "dutch": "Netherlands",
    "irish": "Ireland",
    "scottish": "Scotland",
    "swedish": "Sweden",
    "austrian": "Austria",
    "spanish": "Spain",
    "italian": "Italy",
    "belgian": "Belgium",
    "danish": "Denmark",
    "norwegian": "Norway",
    "finnish": "Finland",
    "japanese": "Japan",
    "indian": "India",
    "canadian": "Canada",
    "australian": "Australia",
    "polish": "Poland",
}
_KNOWN = re.compile(
    rf"\b(?:{'|'.join(re.escape(j) for j in sorted(JURISDICTIONS, key=len, reverse=True))})\b", re.IGNORECASE
)
_ADJECTIVE = re.compile(rf"\b({'|'.join(_ADJECTIVES)})\s+(?:substantive\s+)?laws?\b", re.IGNORECASE)
_OF = re.compile(
    r"\blaws?\s+(?:in\s+force\s+in|of|in)\s+(?:the\s+)?(?:(?:state|commonwealth|province|republic"
    r"|federal republic|kingdom|territory|"
    r"country|emirate)\s+of\s+)?(?P<name>[A-Z][A-Za-z]+(?:\s+(?:of\s+|and\s+)?[A-Z][A-Za-z]+){0,3})",
)
_NOT_A_PLACE = re.compile(
    r"\b(?:governing|law|state|states? (?:chosen|specified|selected|set|named|in which)|cover page"
    r"|order form|key terms|jurisdiction|"
    r"chosen|agreement|country|province|applicable|schedule|premises|parties|party|company|customer"
    r"|provider|landlord|tenant)\b",
    re.IGNORECASE,
)
_EFFECTS: tuple[tuple[str, str, str], ...] = (
    (
        r"\bcalifornia\b",
        "intellectual_property",
        "California (Labor Code § 2870) keeps an employee's own-time inventions with the employee.",
    ),
    (
        r"\bcalifornia\b",
        "data_protection",
        "California's CCPA asks for a written contract with service providers (Civ. Code § 1798.100(d)).",
    ),
    (
        r"\bnew york\b",
        "renewal",
        "New York (Gen. Oblig. Law § 5-903) voids automatic renewal of many"
        " service contracts without a reminder.",
    ),
    (
        r"\b(?:england|wales|northern ireland|scotland)\b",
        "liability",
        "Under English-type law UCTA 1977"
        " lets no term exclude liability for death or personal injury by negligence; other limits must be"
        " reasonable.",
    ),
    (
        r"\b(?:england|wales|northern ireland|scotland)\b",
        "data_protection",
        "UK GDPR Art. 28 asks for a written contract with a processor.",
    ),
    (
        r"\bgermany\b",
        "liability",
        "Under German law standard terms cannot exclude liability for intent or"
        " gross negligence (BGB §§ 276(3), 307, 309).",
    ),
    (
        r"\b(?:germany|france|spain|italy|netherlands|belgium|austria|ireland|sweden|denmark|finland|poland"
        r"|portugal|greece|czechia|hungary|romania|luxembourg)\b",
        "data_protection",
        "GDPR Art. 28 asks for a written contract with a processor.",
    ),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The law that a text chooses; `name` is empty when it chooses none, `placeholder` when a clause leaves
    it open.
    """

    name: str
    placeholder: bool
    start: int = 0
    end: int = 0


def chosen_law(found: list[Found]) -> Choice:
    """Read the governing law out of the clauses that choose one."""
    clauses = [hit for hit in found if hit.provision.id == "governing_law.law"]
    for hit in clauses:
        mapped = hit.mapped
        place = place_in(mapped.text)
        if place:
            name, start, end = place
            return Choice(name, False, *mapped.span(start, end))
    return Choice("", bool(clauses))


def named_law(given: str | None) -> str:
    """Tidy up a law that a person named ("the laws of the State of Delaware" → "Delaware"); empty for no
    answer.
    """
    text = " ".join((given or "").split()).strip(" .\"'")
    if re.fullmatch(
        r"(?:none|unknown|n/?a|not? (?:sure|known|specified)|i don'?t know|skip|\?+|-+|tbd)?",
        text,
        re.IGNORECASE,
    ):
        return ""
    adjective = _ADJECTIVE.search(f"{text} law")
    known = _KNOWN.search(text)
    if known and len(text.split()) <= 12:
        return _canonical(known[0])
    if adjective:
        return _ADJECTIVES[adjective[1].lower()]
    return text[:100]


def effects(law: str, category: str, kind: str) -> list[str]:
    """Remarks that a law adds to a category. Rules of thumb with their source, not advice."""
    # The duties of a processor aren't an employer's, and an employee's inventions are an employee's.
    employed = kind == "employment contract"
    if (category == "data_protection" and employed) or (category == "intellectual_property" and not employed):
        return []
    return [
        note
        for pattern, about, note in _EFFECTS
        if about == category and re.search(pattern, law, re.IGNORECASE)
    ]


def same_law(one: str, other: str) -> bool:
    """Whether two names mean one law, as far as names tell."""
    return named_law(one).lower() == named_law(other).lower()


def place_in(text: str) -> tuple[str, int, int] | None:
    """The place whose law a sentence names, with its range; None for none, or for a placeholder."""
    adjective = _ADJECTIVE.search(text)
    if adjective:
        return _ADJECTIVES[adjective[1].lower()], adjective.start(), adjective.end()
    for match in _OF.finditer(text):
        name = match["name"]
        known = _KNOWN.search(name)
        if known:
            start = match.start("name") + known.start()
            return _canonical(known[0]), start, start + len(known[0])
        if not _NOT_A_PLACE.search(name) and not _bracketed(text, match.start("name")):
            return name, match.start("name"), match.end("name")
    # "governed by Delaware law", "Texas law governs"
    for match in re.finditer(r"([A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+){0,2})(?: state)? laws?\b", text):
        known = _KNOWN.search(match[1])
        if known and not _bracketed(text, match.start()):
            return _canonical(known[0]), match.start() + known.start(), match.start() + known.end()
    shouted = re.search(r"\bLAWS? OF (?:THE )?(?:STATE OF )?", text)
    if shouted and (known := _KNOWN.match(text, shouted.end())):
        return _canonical(known[0]), known.start(), known.end()
    return None


def _bracketed(text: str, at: int) -> bool:
    return text.rfind("[", 0, at) > text.rfind("]", 0, at)


def _canonical(name: str) -> str:
    return next((j for j in JURISDICTIONS if j.lower() == name.lower()), name)
