"""How risky a limit of liability or an indemnity is."""

from __future__ import annotations

from contract_reviewer_agent.risk import PLACEHOLDER, Check, View

_CARVE = (
    r"not apply|except(?:ions?| (?:for|as|to|in|where))|nothing in this|gross(?:ly)? negligen|fraud"
    r"|wil+ful|other than"
)
_CARVED = (
    " This limit does not apply to (a) fraud, gross negligence or wilful misconduct, (b) death or"
    " personal injury caused by"
    " negligence, (c) a party's indemnification obligations, or (d) a breach of confidentiality or data"
    " protection obligations."
)


def cap(view: View) -> None:
    """A cap should serve both sides, name a fair amount, and leave the worst cases out."""
    one = view.one_sided()
    if one:
        side, name = one
        view.add(
            "high",
            f"Only the liability of {name} is capped; the other side's is unlimited.",
            "Each party's total liability arising out of or relating to this Agreement, whether in"
            " contract, tort or otherwise, will"
            " not exceed the total fees paid or payable under this Agreement in the twelve (12) months"
            " before the event giving rise"
            " to the claim.",
            whole=True,
            burdens=view.other(side),
        )
    figure = view.has(
        r"[$€£]\s?[\d,.]+|\b(?:usd|eur|gbp)\s?[\d,.]+|\b(?:fees|amounts?|sums?|rent|price"
        r"|charges)\b.{0,60}\b(?:paid|payable|due|received|owed)|\d+ ?%|times\b"
    )
    small = view.has(
        r"(?:[$€£]|usd|eur|gbp)\s?(?:[1-9]\d{0,2}|[1-4],?\d{3})(?:\.\d\d)?(?![\d,])|\b(?:one|1|two|2"
        r"|three|3)\)?(?:\s*\(\d\))?[ -]months?\b(?! notice)"
    )
    if small:
        pattern = (
            r"\b(?:one|1|two|2|three|3)\)?(?:\s*\(\d\))?[ -]months?" if "month" in small[0].lower() else ""
        )
        wording = (
            "twelve (12) months"
            if pattern
            else " In no case is this limit lower than the total fees paid or payable in the twelve (12)"
            " months before the claim."
        )
        view.add(
            "high",
            f"The cap is very low (“{small[0]}”).",
            wording,
            pattern,
            burdens=view.other(one[0]) if one else "customer",
        )
    elif not figure or PLACEHOLDER.search(view.text):
        view.add(
            "medium",
            "The amount of the cap isn't in this text; if it is left open elsewhere, there may be no"
            " cap at all.",
            " If no amount is stated, it is the total fees paid or payable under this Agreement in the"
            " twelve (12) months before the"
            " event giving rise to the claim.",
        )
    if not view.has(_CARVE, view.everything):
        view.add(
            "medium",
            "No exceptions: the cap covers even fraud, wilful misconduct and breach of confidence.",
            _CARVED,
        )


def excluded_damages(view: View) -> None:
    """A waiver of indirect damages is usual when mutual; not when it takes direct loss away."""
    one = view.one_sided()
    if one:
        side, name = one
        view.add(
            "medium",
            f"Only {name} is freed from these damages.",
            "Neither party will be liable to the other for any indirect, incidental, special,"
            " consequential or punitive damages.",
            whole=True,
            burdens=view.other(side),
        )
    direct = view.has(
        r"\(?whether direct or indirect\)?|\bdirect(?:,| or| and)\s+(?:\w+,? )?indirect|any direct\b"
    )
    if direct:
        view.add(
            "medium",
            "Direct loss is excluded too, not only indirect loss.",
            "to the extent that they are indirect"
            if direct[0].lower().strip("(").startswith("whether")
            else "indirect",
            r"\(?whether direct or indirect\)?|\bdirect(?:,| or| and)\s+(?:\w+,? )?indirect|any direct\b",
        )
    if not view.has(_CARVE, view.everything):
        view.add(
            "medium",
            "No exceptions for fraud, wilful misconduct, indemnities or breach of confidence.",
            _CARVED,
        )


def exclusion(view: View) -> None:
    """Freedom from all liability is rarely fair, and often void."""
    if view.has(r"to the extent|unless caused|except (?:to the extent|where|for|in the case)"):
        view.add("medium", "A broad exclusion of liability, with an exception.")
        return
    kind, side, name = view.subject()
    who = name if kind == "one" else "a party"
    view.add(
        "high",
        f"Frees {who} from liability altogether, even for its own negligence.",
        " This exclusion does not apply to the extent that the loss is caused by the negligence, wilful"
        " misconduct or breach of this"
        " Agreement of the party that relies on it.",
        burdens=view.other(side),
    )


def carve_outs(view: View) -> None:
    """Exceptions that name nothing here cannot be judged here."""
    named = view.has(
        r"negligen|fraud|wil+ful|death|injury|confiden|indemnif|infring|data|prohibited|§|payment|fees"
        r"|applicable law"
    )
    if view.has(r"unlimited claims|increased claims|excluded claims") and not view.has(
        r"negligen|fraud|wil+ful|death"
    ):
        view.add("medium", "The exceptions are named, but what they cover is filled in elsewhere.")
    elif not named:
        view.add("medium", "It isn't said which claims are outside the limit.")


def indemnity(view: View) -> None:
    """An indemnity should be mutual, for third-party claims, and for one's own fault."""
    one = view.one_sided()
    if one:
        side, name = one
        view.add(
            "medium",
            f"Only {name} indemnifies; nothing comes back.",
            " The other party will indemnify, defend and hold harmless in the same way, and to the same"
            " extent, for claims arising from"
            " its own negligence, wilful misconduct or breach of this Agreement.",
            burdens=side,
        )
    _, side, _ = view.subject()
    if view.has(
        r"(?:even if|regardless of|whether or not|including)\b.{0,80}\b(?:negligen|fault|caused by)"
        r"|sole negligence"
    ):
        view.add(
            "high",
            "Covers even loss that the protected party caused itself.",
            " This does not apply to the extent that a claim results from the negligence, wilful"
            " misconduct or breach of the"
            " indemnified party.",
            burdens=side,
        )
    elif broad := view.has(
        r"(?:arising )?in any way (?:related to|relating to|connected with|arising (?:out of|from)"
        r"|out of|from)|any and all|howsoever|of any (?:kind|nature)"
    ):
        limited = view.has(r"to the extent|third[- ]part(?:y|ies)|someone other than|negligen|gross|wil+ful")
        wording = (
            "to the extent caused by the negligence, wilful misconduct or breach of this Agreement of"
            " the indemnifying party and arising from"
        )
        in_any_way = (
            r"(?:arising )?in any way (?:related to|relating to|connected with|arising (?:out of|from)"
            r"|out of|from)"
        )
        if (loose := view.has(in_any_way)) and not limited:
            view.add(
                "high", f"Very broad: “{loose[0]}”, with no link to fault.", wording, in_any_way, burdens=side
            )
        elif not limited:
            view.add(
                "medium",
                f"Broad (“{broad[0]}”), not limited to third-party claims or to fault.",
                " This applies only to claims by third parties, and to the extent caused by the"
                " indemnifying party.",
                burdens=side,
            )
    if term := view.undefined(r"Claims?\b"):
        view.add(
            "medium",
            f"Which claims are covered isn't said here: “{term}” is filled in elsewhere.",
            " If no claims are named, these are third-party claims that arise from the indemnifying"
            " party's negligence, wilful"
            " misconduct or infringement of intellectual property.",
        )
    if not any(h.provision.id == "indemnity.procedure" for h in view.others) and not view.has(
        r"prompt(?:ly)?\b.{0,40}notif|notif\w+\b.{0,40}prompt|control"
    ):
        view.add(
            "low",
            "Nothing says who is notified and who controls the defence.",
            " The indemnified party will give prompt notice of each claim, let the indemnifying party"
            " control its defence and settlement,"
            " and help at the indemnifying party's expense.",
        )
    if not any(h.provision.category == "liability" and h.provision.role == "core" for h in view.others):
        view.add("low", "No limit of liability was found, so the indemnity is without limit.", burdens=side)


BASELINE = {
    "liability.cap": "A cap on liability that serves both sides and leaves exceptions.",
    "liability.excluded_damages": "A mutual waiver of indirect damages, with exceptions.",
    "liability.exclusion": "An exclusion of liability.",
    "liability.carve_outs": "Says what the limits do not cover.",
    "indemnity.duty": "An indemnity of the usual kind.",
    "indemnity.procedure": "The usual conditions: notice, control of the defence, help.",
    "indemnity.exclusions": "Usual exceptions from the indemnity.",
}
CHECKS: dict[str, Check] = {
    "liability.cap": cap,
    "liability.excluded_damages": excluded_damages,
    "liability.exclusion": exclusion,
    "liability.carve_outs": carve_outs,
    "indemnity.duty": indemnity,
}
