"""How risky the clauses on money and data are."""

from __future__ import annotations

import re

from contract_reviewer_agent.risk import PLACEHOLDER, Check, View, days


def payment(view: View) -> None:
    """What falls due should do so on a day that can be met."""
    periods = days(view.text, r"pay|due|net|invoice|receipt|within")
    when = view.has(
        r"upon receipt|immediately|in advance|monthly|bi-?weekly|semi-?monthly|each month|first day"
        r"|per month|on the \w+|payday|payroll|net \d+|upon (?:execution|signing|completion)"
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
        view.add(
            "medium",
            f"A short time to pay: {min(periods)} days.",
            " Payment is in time within thirty (30) days after receipt of an invoice.",
            burdens="customer",
        )
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
        view.add(
            "low",
            "No right to hold back what is disputed.",
            " Amounts disputed in good faith within thirty (30) days of the invoice may be held back"
            " until resolved.",
            burdens="customer",
        )


def late(view: View) -> None:
    """Interest that is a penalty."""
    rate = view.has(
        r"(\d+(?:\.\d+)?) ?(?:%|percent|per cent)(?:\))?\s*(?:per|a|each|/)?\s*(month|annum|year|day"
        r"|week)?|(\d+(?:\.\d+)?)(?:%| percent)[^.]{0,20}(monthly|annually)"
    )
    if not rate:
        view.add("low", "Late payment has a price; no rate is stated here.")
        return
    number, unit = float(rate[1] or rate[3]), (rate[2] or rate[4] or "").lower()
    yearly = number * {"month": 12, "monthly": 12, "day": 365, "week": 52}.get(unit, 1)
    if yearly >= 18 or (not unit and number >= 5):
        view.add(
            "high" if yearly > 18 else "medium",
            f"Interest on late payment is high ({rate[0].strip()}).",
            "one percent (1%) per month",
            re.escape(rate[0].strip()),
            burdens="customer",
        )


def no_refund(view: View) -> None:
    """Money that never comes back."""
    except_ = view.has(r"\bexcept|unless|other than|subject to")
    view.add(
        "low" if except_ else "medium",
        "Fees are not refunded" + (", with exceptions." if except_ else ", even when the service fails."),
        ""
        if except_
        else " If the agreement ends because of the provider's breach, prepaid fees for the unused time are"
        " refunded.",
        burdens="customer",
    )


def increase(view: View) -> None:
    """Prices that one side may change."""
    bounded = view.has(r"not (?:to )?exceed|no more than|up to|maximum|cpi|consumer price|\d ?%|percent")
    bounded = bounded or view.has(
        r"\b(?:no|none|not)\b.{0,60}\bexceeds?\b.{0,40}(?:%|percent)", view.paragraph
    )
    if bounded:
        view.add("medium", f"The price may rise, within a bound (“{bounded[0]}”).", burdens="customer")
    else:
        view.add(
            "high",
            "One side may raise the price without limit.",
            " No increase takes effect during a current term, none exceeds three percent (3%) a year,"
            " and each needs sixty (60) days'"
            " written notice, on which the other party may terminate.",
            burdens="customer",
        )


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
        view.add(
            "medium",
            "The data processing agreement is still to be made, or may not exist.",
            " No personal data are processed before a data processing agreement is signed; it is part"
            " of this Agreement.",
            burdens="customer",
        )
    if not view.has(r"security|safeguards?|encrypt|technical and organi", view.everything):
        view.add(
            "medium",
            "No security measures are promised.",
            " The party that processes personal data will keep appropriate technical and organisational"
            " measures to protect them.",
        )
    if not view.has(
        r"(?:breach|incident|unauthori[sz]ed)\b.{0,120}\bnotif|notif\w+\b.{0,120}\b(?:breach|incident"
        r"|unauthori[sz]ed)",
        view.everything,
    ):
        view.add(
            "medium",
            "No notice of a data breach is promised.",
            " It will notify the other party of a personal data breach without undue delay and at the"
            " latest within seventy-two (72) hours.",
        )


def use_of_data(view: View) -> None:
    """The other side's data as raw material."""
    learns = view.has(r"\btrain\b|machine learning|artificial intelligence|\bai\b")
    content = view.has(r"(?:customer|client|your) (?:content|data)|personal (?:data|information)")
    shielded = view.has(r"aggregated?|de-?identif|anonymi", view.paragraph)
    if (
        learns
        and content
        and view.has(r"prior written consent|only with\b.{0,40}\bconsent|not used to train", view.paragraph)
    ):
        return
    if learns and content:
        but = ", though only aggregated or without names" if shielded else ""
        view.add(
            "high",
            f"“{content[0]}” may be used to train models{but}.",
            f" {content[0]} is not used to train models without the customer's prior written consent,"
            " which may be withdrawn.",
            burdens="customer",
        )
    elif view.has(r"\bsell|monetiz|commerciali"):
        view.add(
            "high",
            "Data may be sold or turned into money.",
            " Data are not sold or disclosed to third parties.",
            burdens="customer",
        )
    elif not shielded:
        view.add(
            "medium",
            "Data may be used for the supplier's own ends, in whatever form.",
            " Only aggregated data that identify neither the customer nor any person may be so used.",
            burdens="customer",
        )


BASELINE = {
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
    "payment.duty": payment,
    "payment.late": late,
    "payment.no_refund": no_refund,
    "payment.increase": increase,
    "payment.automatic": automatic_charge,
    "data_protection.duty": personal_data,
    "data_protection.use_of_data": use_of_data,
}
