"""How risky the clauses on secrets, ownership, money and data are."""

from __future__ import annotations

import re

from contract_reviewer_agent.risk import PLACEHOLDER, Check, View, days


def confidence(view: View) -> None:
    """A duty of confidence should be mutual, with the usual exceptions, and end some day."""
    one = view.one_sided()
    roles = view.has(r"recipient|receiving party")
    if one and not roles:
        side, name = one
        view.add("medium", f"Only {name} is bound to confidence.",
                 " The other party owes the same duty for what it learns in confidence.", burdens=side)  # fmt: skip
    if not view.has(r"public(?:ly)?\b|independently developed|generally available", view.everything):
        view.add(
            "medium",
            "The usual exceptions (public, already known, independently developed) are missing.",
            " Confidential Information does not include information that (a) is or becomes public through no fault of the recipient,"
            " (b) the recipient already knew, (c) it receives lawfully from others without a duty of confidence, or (d) it develops"
            " independently.",
        )
    if not view.has(r"required (?:by|to)\b|compelled|subpoena|court order|legally", view.everything):
        view.add("low", "Disclosure that the law compels isn't allowed for.",
                 " The recipient may disclose what the law or a court requires, after giving prompt notice where it is allowed to.")  # fmt: skip
    forever = view.has(
        r"perpetu\w+|indefinite\w*|forever|in perpetuity|at all times (?:thereafter|after)|at any time thereafter",
        view.everything,
    )
    if forever and not view.has(r"trade secrets?\b", view.everything):
        view.add("medium", f"The duty never ends (“{forever[0]}”).", "for three (3) years after its disclosure, and for trade secrets as long as they are secret",
                 r"perpetu\w+|indefinite\w*|forever|in perpetuity")  # fmt: skip
    elif not forever and not view.has(
        r"(?:\d+|one|two|three|four|five|seven|ten)\)?(?:\s*\(\d+\))?[ -]years?|surviv", view.everything
    ):
        view.add("low", "It isn't said how long the duty lasts.",
                 " These duties last for three (3) years after disclosure, and for trade secrets as long as they are secret.")  # fmt: skip


def assignment(view: View) -> None:
    """Handing over inventions: all of them, or those that were made for this work?"""
    _, side, name = view.subject()
    broad = view.has(
        r"whether or not|at any time|solely or jointly|outside of? (?:working|business) hours|conceived"
    )
    prior = view.has(
        r"prior inventions?|pre-?existing|background|own time|without (?:using|the use)|2870|excluded inventions|license back",
        view.everything,
    )
    if not prior:
        view.add(
            "high" if broad else "medium",
            f"{name or 'One side'} gives up all rights{' in everything made' if broad else ''}, with no exception for earlier or independent work.",
            " This does not cover work that existed before this Agreement, or that was made on the author's own time without the other"
            " party's equipment, information or trade secrets; the other party receives a non-exclusive licence to such work where it"
            " is part of a deliverable.",
            burdens=side,
        )
    if view.has(r"moral rights"):
        view.add("low", "Moral rights are waived; in many countries that has limits.", burdens=side)
    if side == "provider" and not view.has(r"employee|employment") and not view.has(
        r"upon (?:full |receipt of )?payment|full payment|payment in full", view.everything
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
        view.add("medium", f"The licence is {hard[0].lower()}.", "limited-term (for the duration of this Agreement)", r"perpetual,? (?:and )?irrevocable|irrevocable,? (?:and )?perpetual|perpetual|irrevocable",
                 burdens=side)  # fmt: skip


def ownership(view: View) -> None:
    """Ownership kept by whom."""
    if view.has(r"(?:sole|exclusive)(?: and exclusive)? property of|work product|deliverables|inventions"):
        kind, _, _ = view.subject()
        if kind == "one" and not view.has(r"retains?|reserves?|remain", view.text):
            view.add("medium", "All results belong to one side.",
                     " Each party keeps what it owned before, and what it develops independently of this Agreement.")  # fmt: skip


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
        view.add("medium", "Name and logo may be used in marketing without asking.", " Each use needs prior written consent, which may be withdrawn.",
                 burdens=view.other(side))  # fmt: skip


def payment(view: View) -> None:
    """What falls due should do so on a day that can be met."""
    periods = days(view.text, r"pay|due|net|invoice|receipt|within")
    when = view.has(
        r"upon receipt|immediately|in advance|monthly|bi-?weekly|semi-?monthly|each month|first day|per month|on the \w+|payday|payroll|net \d+|upon (?:execution|signing|completion)"
    )
    net = view.has(r"\bnet (\d+)")
    if net:
        periods.append(int(net[1]))
    if view.has(r"upon receipt|due immediately|payable immediately"):
        view.add(
            "medium",
            "Payment is due at once.",
            "within thirty (30) days after receipt",
            r"(?:immediately )?upon receipt|immediately",
            burdens="customer",
        )
    elif periods and min(periods) < 14 and not view.has(r"disput|\brent\b"):
        view.add("medium", f"A short time to pay: {min(periods)} days.", " Payment is in time within thirty (30) days after receipt of an invoice.",
                 burdens="customer")  # fmt: skip
    elif periods and max(periods) > 45:
        view.add(
            "medium",
            f"A long time to pay: {max(periods)} days.",
            " Payment is due within thirty (30) days after receipt of an invoice.",
            burdens="provider",
        )
    elif not periods and not when:
        elsewhere = PLACEHOLDER.search(view.text) or view.has(
            r"according to|order form|schedule|exhibit|statement of work|payment process"
        )
        view.add(
            "low" if elsewhere else "medium",
            "When payment falls due isn't stated here.",
            " Undisputed invoices are due thirty (30) days after receipt.",
        )
    if not view.has(r"disput|good[- ]faith", view.everything) and view.has(r"invoice", view.everything):
        view.add("low", "No right to hold back what is disputed.", " Amounts disputed in good faith within thirty (30) days of the invoice may be held back until resolved.",
                 burdens="customer")  # fmt: skip


def late(view: View) -> None:
    """Interest that is a penalty."""
    rate = view.has(
        r"(\d+(?:\.\d+)?) ?(?:%|percent|per cent)(?:\))?\s*(?:per|a|each|/)?\s*(month|annum|year|day|week)?|(\d+(?:\.\d+)?)(?:%| percent)[^.]{0,20}(monthly|annually)"
    )
    if not rate:
        view.add("low", "Late payment has a price; no rate is stated here.")
        return
    number, unit = float(rate[1] or rate[3]), (rate[2] or rate[4] or "").lower()
    yearly = number * {"month": 12, "monthly": 12, "day": 365, "week": 52}.get(unit, 1)
    if yearly >= 18 or (not unit and number >= 5):
        view.add("high" if yearly > 18 else "medium", f"Interest on late payment is high ({rate[0].strip()}).", "one percent (1%) per month",
                 re.escape(rate[0].strip()), burdens="customer")  # fmt: skip


def no_refund(view: View) -> None:
    """Money that never comes back."""
    except_ = view.has(r"\bexcept|unless|other than|subject to")
    view.add("low" if except_ else "medium", "Fees are not refunded" + (", with exceptions." if except_ else ", even when the service fails."),
             "" if except_ else " If the agreement ends because of the provider's breach, prepaid fees for the unused time are refunded.", burdens="customer")  # fmt: skip


def increase(view: View) -> None:
    """Prices that one side may change."""
    bounded = view.has(r"not (?:to )?exceed|no more than|up to|maximum|cpi|consumer price|\d ?%|percent")
    bounded = bounded or view.has(r"\b(?:no|none|not)\b.{0,60}\bexceeds?\b.{0,40}(?:%|percent)", view.paragraph)
    if bounded:
        view.add("medium", f"The price may rise, within a bound (“{bounded[0]}”).", burdens="customer")
    else:
        view.add("high", "One side may raise the price without limit.",
                 " No increase takes effect during a current term, none exceeds three percent (3%) a year, and each needs sixty (60) days'"
                 " written notice, on which the other party may terminate.", burdens="customer")  # fmt: skip


def automatic_charge(view: View) -> None:
    """Charges that come by themselves."""
    if not view.has(r"notice|invoice|statement"):
        view.add(
            "low",
            "Payments are charged automatically.",
            " Each charge is announced with an itemised statement five (5) days before.",
            burdens="customer",
        )


def personal_data(view: View) -> None:
    """Handling personal data takes more than a promise to obey the law."""
    if view.has(
        r"\bif (?:the parties|there is|applicable)\b.{0,40}\b(?:dpa|data processing)|must enter into"
    ):
        view.add("medium", "The data processing agreement is still to be made, or may not exist.",
                 " No personal data are processed before a data processing agreement is signed; it is part of this Agreement.", burdens="customer")  # fmt: skip
    if not view.has(r"security|safeguards?|encrypt|technical and organi", view.everything):
        view.add("medium", "No security measures are promised.",
                 " The party that processes personal data will keep appropriate technical and organisational measures to protect them.")  # fmt: skip
    if not view.has(
        r"(?:breach|incident|unauthori[sz]ed)\b.{0,120}\bnotif|notif\w+\b.{0,120}\b(?:breach|incident|unauthori[sz]ed)",
        view.everything,
    ):
        view.add("medium", "No notice of a data breach is promised.",
                 " It will notify the other party of a personal data breach without undue delay and at the latest within seventy-two (72) hours.")  # fmt: skip


def use_of_data(view: View) -> None:
    """The other side's data as raw material."""
    learns = view.has(r"\btrain\b|machine learning|artificial intelligence|\bai\b")
    content = view.has(r"(?:customer|client|your) (?:content|data)|personal (?:data|information)")
    shielded = view.has(r"aggregated?|de-?identif|anonymi", view.paragraph)
    if learns and content and view.has(r"prior written consent|only with\b.{0,40}\bconsent|not used to train", view.paragraph):
        return
    if learns and content:
        but = ", though only aggregated or without names" if shielded else ""
        view.add("high", f"“{content[0]}” may be used to train models{but}.", f" {content[0]} is not used to train models without the customer's prior written consent,"
                 " which may be withdrawn.", burdens="customer")  # fmt: skip
    elif view.has(r"\bsell|monetiz|commerciali"):
        view.add(
            "high",
            "Data may be sold or turned into money.",
            " Data are not sold or disclosed to third parties.",
            burdens="customer",
        )
    elif not shielded:
        view.add("medium", "Data may be used for the supplier's own ends, in whatever form.",
                 " Only aggregated data that identify neither the customer nor any person may be used in this way.", burdens="customer")  # fmt: skip


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
    "payment.duty": "Payment on stated terms.",
    "payment.late": "Late payment bears moderate interest.",
    "payment.no_refund": "No refunds.",
    "payment.increase": "Prices may change.",
    "payment.invoicing": "Says how invoices are sent.",
    "payment.automatic": "Automatic charges, with notice.",
    "payment.taxes": "Says who bears taxes.",
    "payment.dispute": "Says how invoices are disputed.",
    "data_protection.duty": "Personal data are protected in the usual way.",
    "data_protection.security": "Security measures are promised.",
    "data_protection.breach_notice": "Data breaches are notified.",
    "data_protection.use_of_data": "Use of aggregated data.",
    "data_protection.deletion": "Data are returned or deleted.",
}
CHECKS: dict[str, Check] = {
    "confidentiality.duty": confidence,
    "intellectual_property.assignment": assignment,
    "intellectual_property.ownership": ownership,
    "intellectual_property.licence": licence,
    "intellectual_property.feedback": feedback,
    "intellectual_property.publicity": publicity,
    "payment.duty": payment,
    "payment.late": late,
    "payment.no_refund": no_refund,
    "payment.increase": increase,
    "payment.automatic": automatic_charge,
    "data_protection.duty": personal_data,
    "data_protection.use_of_data": use_of_data,
}
