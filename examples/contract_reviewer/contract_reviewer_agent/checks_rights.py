"""How risky the clauses on secrets and ownership are."""

from __future__ import annotations

from contract_reviewer_agent.risk import Check, View


def confidence(view: View) -> None:
    """A duty of confidence should be mutual, with the usual exceptions, and end some day."""
    one = view.one_sided()
    roles = view.has(r"recipient|receiving party")
    if one and not roles:
        side, name = one
        view.add(
            "medium",
            f"Only {name} is bound to confidence.",
            " The other party owes the same duty for what it learns in confidence.",
            burdens=side,
        )
    if not view.has(r"public(?:ly)?\b|independently developed|generally available", view.everything):
        view.add(
            "medium",
            "The usual exceptions (public, already known, independently developed) are missing.",
            " Confidential Information does not include information that (a) is or becomes public"
            " through no fault of the recipient,"
            " (b) the recipient already knew, (c) it receives lawfully from others without a duty of"
            " confidence, or (d) it develops"
            " independently.",
        )
    if not view.has(r"required (?:by|to)\b|compelled|subpoena|court order|legally", view.everything):
        view.add(
            "low",
            "Disclosure that the law compels isn't allowed for.",
            " The recipient may disclose what the law or a court requires, after giving prompt notice"
            " where it is allowed to.",
        )
    forever = view.has(
        r"perpetu\w+|indefinite\w*|forever|in perpetuity|at all times (?:thereafter|after)"
        r"|at any time thereafter",
        view.everything,
    )
    if forever and not view.has(r"trade secrets?\b", view.everything):
        view.add(
            "medium",
            f"The duty never ends (“{forever[0]}”).",
            "for three (3) years after its disclosure, and for trade secrets as long as they are secret",
            r"perpetu\w+|indefinite\w*|forever|in perpetuity",
        )
    elif not forever and not view.has(
        r"(?:\d+|one|two|three|four|five|seven|ten)\)?(?:\s*\(\d+\))?[ -]years?|surviv", view.everything
    ):
        view.add(
            "low",
            "It isn't said how long the duty lasts.",
            " These duties last for three (3) years after disclosure, and for trade secrets as long as"
            " they are secret.",
        )


def assignment(view: View) -> None:
    """Handing over inventions: all of them, or those that were made for this work?"""
    _, side, name = view.subject()
    broad = view.has(
        r"whether or not|at any time|solely or jointly|outside of? (?:working|business) hours|conceived"
    )
    prior = view.has(
        r"prior inventions?|pre-?existing|background|own time|without (?:using|the use)|2870"
        r"|excluded inventions|license back",
        view.everything,
    )
    if not prior:
        view.add(
            "high" if broad else "medium",
            f"{name or 'One side'} gives up all rights{' in everything made' if broad else ''}, with no"
            f" exception for earlier or independent work.",
            " This does not cover work that existed before this Agreement, or that was made on the"
            " author's own time without the other"
            " party's equipment, information or trade secrets; the other party receives a non-exclusive"
            " licence to such work where it"
            " is part of a deliverable.",
            burdens=side,
        )
    if view.has(r"moral rights"):
        view.add("low", "Moral rights are waived; in many countries that has limits.", burdens=side)
    if (
        side == "provider"
        and not view.has(r"employee|employment")
        and not view.has(r"upon (?:full |receipt of )?payment|full payment|payment in full", view.everything)
    ):
        view.add(
            "low",
            "Rights pass even when the work isn't paid.",
            " Rights in a deliverable pass on full payment for it.",
            burdens="provider",
        )


def licence(view: View) -> None:
    """A licence that never ends."""
    hard = view.has(r"perpetual|irrevocable")
    if hard:
        _, side, _ = view.subject()
        view.add(
            "medium",
            f"The licence is {hard[0].lower()}.",
            "limited-term (for the duration of this Agreement)",
            r"perpetual,? (?:and )?irrevocable|irrevocable,? (?:and )?perpetual|perpetual|irrevocable",
            burdens=side,
        )


def ownership(view: View) -> None:
    """Ownership kept by whom."""
    if view.has(r"(?:sole|exclusive)(?: and exclusive)? property of|work product|deliverables|inventions"):
        kind, _, _ = view.subject()
        if kind == "one" and not view.has(r"retains?|reserves?|remain", view.text):
            view.add(
                "medium",
                "All results belong to one side.",
                " Each party keeps what it owned before, and what it develops independently of this"
                " Agreement.",
            )


def feedback(view: View) -> None:
    """Feedback is usually free to use; more so should not be."""
    if view.has(r"assigns?\b"):
        view.add(
            "medium",
            "Feedback is assigned, not licensed.",
            "grants a non-exclusive licence to",
            r"(?:hereby )?assigns? (?:to)?",
        )


def publicity(view: View) -> None:
    """Names and logos should be used with consent."""
    if not view.has(r"consent|approval|permission|neither party|(?:will|shall|may) not"):
        _, side, _ = view.subject()
        view.add(
            "medium",
            "Name and logo may be used in marketing without asking.",
            " Each use needs prior written consent, which may be withdrawn.",
            burdens=view.other(side),
        )


BASELINE = {
    "confidentiality.duty": "A duty of confidence with the usual exceptions.",
    "confidentiality.exclusions": "The usual exceptions.",
    "confidentiality.compelled": "Disclosure that the law requires is allowed for.",
    "confidentiality.permitted": "Disclosure to those who need to know and are bound.",
    "confidentiality.duration": "Says how long the duty lasts.",
    "confidentiality.return": "Confidential material is returned or destroyed.",
    "intellectual_property.ownership": "Each side keeps what is its own.",
    "intellectual_property.assignment": "Rights in work are assigned, with exceptions.",
    "intellectual_property.licence": "A licence within bounds.",
    "intellectual_property.restrictions": "Usual limits on use.",
    "intellectual_property.feedback": "Feedback may be used freely, as is usual.",
    "intellectual_property.publicity": "Use of names and logos with consent.",
}
CHECKS: dict[str, Check] = {
    "confidentiality.duty": confidence,
    "intellectual_property.assignment": assignment,
    "intellectual_property.ownership": ownership,
    "intellectual_property.licence": licence,
    "intellectual_property.feedback": feedback,
    "intellectual_property.publicity": publicity,
}
