"""How risky the end, the renewal and the law of a contract are."""

from __future__ import annotations

import re

from contract_reviewer_agent.law import same_law
from contract_reviewer_agent.risk import PLACEHOLDER, Check, View, days

_MAY_END = (
    r"(?:may|can|shall have|has|have|is entitled|reserves)\b.{0,60}?\b(?:terminat|cancel|end\b|re-?enter)"
)
_TERMINATE = r"terminat|cancel|end\b|cure|notice|remed"


def for_cause(view: View) -> None:
    """A breach should be curable before it ends the contract, for both sides."""
    one = view.one_sided(_MAY_END)
    if one:
        side, name = one
        view.add(
            "medium",
            f"Only {name} may end the contract for breach.",
            " The other party may terminate on the same grounds and with the same notice.",
            burdens=view.other(side),
        )
    cure = view.has(r"\bcure|remed(?:y|ied)|correct|fail(?:s|ure)? to (?:cure|remedy)")
    periods = days(view.text, _TERMINATE)
    if not cure and not periods:
        view.add(
            "medium",
            "No time to cure a breach before the contract ends.",
            " A breach that can be cured entitles to terminate only when it isn't cured within thirty"
            " (30) days after written notice"
            " that describes it.",
        )
    elif cure and periods and min(periods) < 10:
        view.add(
            "medium",
            f"A short time to cure: {min(periods)} days.",
            " The time to cure is in no case shorter than thirty (30) days.",
        )


def convenience(view: View) -> None:
    """Ending at will is a matter of who may, and how long before."""
    one = view.one_sided(_MAY_END)
    periods = days(view.text, _TERMINATE)
    if one:
        side, name = one
        view.add(
            "high",
            f"Only {name} may end the contract without cause.",
            " The other party may terminate without cause on the same notice.",
            burdens=view.other(side),
        )
    without = view.has(
        r"with(?:out)? or without (?:prior |advance )?notice|without (?:any )?(?:prior "
        r"|advance )?(?:written )?notice|immediately"
    )
    if without:
        view.add(
            "high" if one else "medium",
            f"No notice period (“{without[0]}”).",
            "on at least thirty (30) days' written notice",
            r"with(?:out)? or without (?:prior |advance )?notice|without (?:any )?(?:prior "
            r"|advance )?(?:written )?notice|immediately",
            burdens=view.other(one[0]) if one else None,
        )
    elif not periods:
        view.add(
            "medium",
            "The notice period isn't stated.",
            " Such termination takes effect thirty (30) days after written notice.",
        )
    elif max(periods) < 30:
        view.add(
            "medium",
            f"A short notice period: {max(periods)} days.",
            " The notice period is in no case shorter than thirty (30) days.",
        )


def special(view: View) -> None:
    """Rights to end at once, in someone's own judgement."""
    kind, side, name = view.subject(_MAY_END)
    without = view.has(
        r"with(?:out)? or without (?:prior )?notice|without (?:any )?(?:prior )?notice(?: or liability)?"
    )
    discretion = view.has(
        r"(?:its |their )?(?:sole|absolute)(?: and absolute)? (?:discretion|judgment)"
        r"|provider's sole discretion"
    )
    if without:
        view.add(
            "medium",
            f"{name or 'A party'} may end the contract without notice.",
            "on written notice that gives the reasons",
            r"(?:immediately )?with(?:out)? or without (?:prior )?notice"
            r"|(?:immediately )?without (?:any )?(?:prior )?notice",
            burdens=view.other(side) if kind == "one" else None,
        )
    if discretion:
        view.add(
            "medium",
            "The reason for ending is left to one side's sole discretion.",
            "reasonable judgement",
            r"(?:sole|absolute)(?: and absolute)? (?:discretion|judgment)",
            burdens=view.other(side),
        )


def suspension(view: View) -> None:
    """A suspension should follow notice and a chance to set things right."""
    _, side, _ = view.subject()
    provider = "provider" if side is None else side
    without = view.has(r"with or without (?:prior )?notice|without (?:any )?(?:prior )?notice|immediately")
    if without:
        view.add(
            "medium",
            f"Service may be suspended “{without[0]}”.",
            "on at least five (5) business days' written notice, except where a threat to"
            " security makes earlier suspension necessary",
            r"with or without (?:prior )?notice|without (?:any )?(?:prior )?notice|immediately",
            burdens=view.other(provider) if view.has(r"suspend\b.{0,40}(?:customer|client|your)") else None,
        )


def fee(view: View) -> None:
    """A price for leaving early."""
    view.add(
        "high",
        "Ending early costs: the remaining amounts or a fee fall due.",
        " The amount due on early termination is limited to the direct costs that the termination"
        " causes and that cannot be avoided.",
        burdens="customer",
    )


def effect(view: View) -> None:
    """What remains after the end."""
    if view.has(r"delete|return|destroy|retriev|export|transition|vacate|surrender|refund|surviv|pay"):
        return
    view.add("low", "It isn't said what happens to data and payments at the end.")


def automatic(view: View) -> None:
    """A contract that renews by itself should do so shortly, and be easy to stop."""
    view.add(
        "medium",
        "Renews by itself unless someone remembers to object.",
        " The party that bills will remind the other in writing not more than ninety (90) and not less"
        " than forty-five (45) days before"
        " each renewal; without that reminder either party may terminate the renewed term at any time"
        " on thirty (30) days' notice.",
        burdens="customer",
    )
    periods = days(view.text, r"notice|prior|before|notif")
    noticed = [p for p in periods if p <= 200]
    if noticed and max(noticed) > 60:
        view.add(
            "high",
            f"Notice against renewal is due early: {max(noticed)} days before the end.",
            " Notice of non-renewal is in time when given thirty (30) days before the end of the term.",
            burdens="customer",
        )
    elif not noticed:
        view.add(
            "medium",
            "The day by which notice of non-renewal is due isn't stated here.",
            " Notice of non-renewal is in time when given thirty (30) days before the end of the"
            " then-current term.",
        )
    if view.has(
        r"renew\w*\b.{0,60}?\b(?:two|three|four|five|[2-9])\)?[- ]years?"
        r"|(?:twenty-four|thirty-six|24|36)\)?[- ]months?"
        r"|length equal to the initial"
    ):
        view.add(
            "high",
            "A renewal binds for years.",
            " Each renewal term is at most twelve (12) months.",
            burdens="customer",
        )
    if view.has(r"then[- ]current (?:rates?|price|fees|list)|increase"):
        view.add(
            "high",
            "The price may rise on renewal without consent.",
            " Fees for a renewal term do not rise by more than three percent (3%) unless agreed in writing.",
            burdens="customer",
        )


def law(view: View) -> None:
    """The law should be named, and be the one that was expected."""
    if not view.choice.name:
        named = view.law or "[State or country]"
        view.add(
            "medium",
            "No law is chosen here: the clause only points to a place that is filled in elsewhere.",
            f"This Agreement is governed by the laws of {named}, without regard to its conflict of laws"
            f" rules.",
            whole=True,
        )
    elif view.law and not same_law(view.law, view.choice.name):
        view.add(
            "medium",
            f"The contract chooses {view.choice.name}, not {view.law}.",
            view.law,
            _literal(view.choice.name),
        )


def courts(view: View) -> None:
    """Where one may have to sue."""
    if view.has(r"chosen courts?|courts? (?:stated|specified|named|chosen)") or PLACEHOLDER.search(view.text):
        place = f"the competent courts of {view.law}" if view.law else "the competent courts of [place]"
        view.add("medium", "The courts are not named here.", place, r"(?:the )?chosen courts?")
    elif home := view.has(
        r"(?:where|in which) (?:the )?(\w+)(?:'s)? (?:is located|has its|principal|resides|registered)"
    ):
        view.add(
            "medium",
            f"Suits must be brought where {home[1]} is at home.",
            " Either party may also sue at the seat of the other.",
        )


def arbitration(view: View) -> None:
    """Arbitration gives up the courts."""
    view.add(
        "medium",
        "Disputes go to arbitration: no court, little appeal, and costs of its own.",
        " Either party may instead bring claims in small-claims court, and may seek injunctive relief"
        " in any competent court.",
    )


def jury(view: View) -> None:
    """A right given up."""
    view.add("low", "A jury trial or class action is waived; some places don't allow that.")


def _literal(name: str) -> str:
    return rf"\b{re.escape(name)}\b"


BASELINE = {
    "termination.for_cause": "Either side may end the contract for breach, with time to cure.",
    "termination.convenience": "May be ended without cause, with notice.",
    "termination.special": "A right to end in a special case.",
    "termination.suspension": "Suspension under conditions.",
    "termination.fee": "A price for ending early.",
    "termination.effect": "Says what happens at the end.",
    "renewal.automatic": "Renews by itself.",
    "renewal.option": "Renewal needs an act of a party.",
    "renewal.term": "Says how long the contract lasts.",
    "governing_law.law": "The governing law is named.",
    "governing_law.courts": "The courts are named.",
    "governing_law.arbitration": "Arbitration.",
    "governing_law.jury": "Waiver of jury trial or class actions.",
}
CHECKS: dict[str, Check] = {
    "termination.for_cause": for_cause,
    "termination.convenience": convenience,
    "termination.special": special,
    "termination.suspension": suspension,
    "termination.fee": fee,
    "termination.effect": effect,
    "renewal.automatic": automatic,
    "governing_law.law": law,
    "governing_law.courts": courts,
    "governing_law.arbitration": arbitration,
    "governing_law.jury": jury,
}
