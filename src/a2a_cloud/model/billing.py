"""Money as the platform counts it, what a call costs, and what callers may spend.

An amount is a whole number of units of 10**-scale of a currency: an ISO 4217 code, or `credits`. Nothing
here is a float: people and APIs write amounts as decimal text, a rate is an exact fraction, and an amount
is rounded once per call, half to even. A `Terms` is what somebody says a skill costs; with its number and
version it is a `Price`, which never changes.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import InvalidParams

#: The currency that is none: units that only this platform knows.
CREDITS = "credits"
#: Digits after the point of those currencies that have not two (ISO 4217).
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF credits",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
    "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
    "PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP "
    "TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
MINOR: dict[str, int] = dict.fromkeys(_TWO.split(), 2) | {
    code: digits for digits, codes in _DIGITS.items() for code in codes.split()
}
#: Digits after the point at most, and the largest amount: a receipt's numbers are exact in any JSON reader.
MOST_SCALE = 9
MOST = 2**53 - 1
#: Of a price: basis points of the whole.
WHOLE = 10_000
#: The price of all skills of an agent that have none of their own.
EVERY_SKILL = "*"
#: How people write an agent's message handler, where no skill is called so.
HANDLER = "message"

Period = Literal["day", "month", "total"]

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?", re.ASCII)
_SPEND = re.compile(r"([0-9.]{1,40}) ?([A-Za-z]{3,8})", re.ASCII)
_METER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


class Money(Struct, frozen=True):
    """An amount in units of 10**-`scale` of `currency`."""

    amount: int
    currency: str
    scale: int

    def __str__(self) -> str:
        return f"{show_amount(self.amount, self.scale)} {self.currency}"


def read_currency(text: str) -> str:
    """The currency that a text names. Raises InvalidParams."""
    code = CREDITS if text.casefold() == CREDITS else text.upper()
    if code not in MINOR or not text.isascii():
        raise InvalidParams(
            f"{text[:40]!r} is no currency.",
            remedy=f"Write an ISO 4217 code such as USD or EUR, or {CREDITS}.",
        )
    return code


def read_fraction(text: str, name: str = "The amount") -> Fraction:
    """A number as people write it, `12` or `0.000002`, exactly. Raises InvalidParams."""
    if _AMOUNT.fullmatch(text) is None:
        raise InvalidParams(f"{name} is {text[:40]!r}.", remedy="Write a decimal number such as 5 or 0.25.")
    return Fraction(text)


def read_amount(text: str, currency: str, scale: int, name: str = "The amount") -> int:
    """An amount as people write it, in units of 10**-`scale`. Raises InvalidParams where it is finer than
    that."""
    units = read_fraction(text, name) * 10**scale
    if units.denominator != 1:
        raise InvalidParams(
            f"{name} is {text[:40]!r}, and {currency} is counted here with {scale} digits after the point.",
            remedy="Round it, or give the currency more digits: the setting A2A_CURRENCIES.",
        )
    if units > MOST:
        raise InvalidParams(f"{name} is {text[:40]!r}: more than {show_amount(MOST, scale)}.")
    return int(units)


def show_amount(amount: int, scale: int) -> str:
    """An amount as people read it, with all its digits: `5.00`."""
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


class Spend(Struct, frozen=True):
    """What a caller gives one call and all that it calls: a decimal amount and its currency."""

    amount: str
    currency: str


def read_spend(text: str) -> Spend:
    """The budget of one call as headers and people write it: `1.00USD`, `1 USD`. Raises InvalidParams."""
    found = _SPEND.fullmatch(text.strip())
    if found is None:
        raise InvalidParams(
            f"{text[:60]!r} is no budget of a call.", remedy="Write an amount and its currency: 1.00USD."
        )
    read_fraction(found[1], "The call's budget")
    return Spend(found[1], read_currency(found[2]))


# --- what a call costs ------------------------------------------------------------------------


class Flat(Struct, frozen=True, forbid_unknown_fields=True):
    """A fee of each caller for a period; it covers all calls."""

    amount: str
    period: Literal["day", "month"] = "month"


class Tier(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What each unit costs up to `up_to` of a month; None: from there on."""

    each: str
    up_to: int | None = None


class Meter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What quantities of a meter cost: `each` for `units` of it, or by tiers; `free` ones of each caller
    and month come first. `unit` where only quantities in that unit count."""

    each: str = ""
    units: int = 1
    tiers: list[Tier] = []
    free: int = 0
    unit: str = ""


class Terms(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a call costs: a flat fee, or what adds up of `call` (each call, or by `tiers` of calls) and
    `meters`.

    The first `free_calls` of each caller and month cost nothing. `most` is what one call costs at most, and
    what is held for it. Calls that don't complete cost nothing, unless `charge_failed`. `platform_share`:
    basis points that the platform keeps; None: what is usual here.
    """

    currency: str
    flat: Flat | None = None
    call: str = ""
    tiers: list[Tier] = []
    meters: dict[str, Meter] = {}
    free_calls: int = 0
    most: str = ""
    charge_failed: bool = False
    platform_share: int | None = None

    @property
    def model(self) -> str:
        """`flat`, `tiered`, `per_meter` or `per_call`."""
        if self.flat is not None:
            return "flat"
        if self.tiers or any(meter.tiers for meter in self.meters.values()):
            return "tiered"
        return "per_meter" if self.meters else "per_call"


class Price(Struct, frozen=True):
    """A version of what a skill costs (`skill`: EVERY_SKILL for an agent's others, "" for its message
    handler). It never changes. `terms` None: from this version on it costs nothing. `at` in wall seconds."""

    no: int
    org: int
    agent: int
    skill: str
    version: int
    scale: int
    terms: Terms | None
    at: float
    by: str


#: What the platform measures itself: seconds that a run worked, bytes that came in and went out.
SECONDS, BYTES = "seconds", "bytes"

_terms = msgspec.json.Decoder(Terms)
_encode = msgspec.json.Encoder(order="deterministic").encode


def stored_terms(body: str) -> Terms | None:
    """What a price's row says; "" for nothing."""
    return _terms.decode(body) if body else None


def terms_text(terms: Terms | None) -> str:
    """What a price's row says of it."""
    return _encode(terms).decode() if terms is not None else ""


def check_terms(terms: Terms, scale: int) -> None:
    """That a price can be charged. Raises InvalidParams."""

    def wrong(detail: str, remedy: str) -> InvalidParams:
        return InvalidParams(detail, remedy=remedy)

    currency = terms.currency
    if terms.flat is not None:
        if terms.call or terms.tiers or terms.meters or terms.free_calls or terms.most:
            raise wrong("A flat fee covers all calls.", "Leave the rest out, or leave `flat` out.")
        read_amount(terms.flat.amount, currency, scale, "`flat.amount`")
    elif not (terms.call or terms.tiers or terms.meters):
        raise wrong("The price says nothing.", "Give one of `flat`, `call`, `tiers`, `meters`.")
    if terms.call and terms.tiers:
        raise wrong("`call` and `tiers` both say what a call costs.", "Leave one of them out.")
    if terms.call:
        read_amount(terms.call, currency, scale, "`call`")
    _check_tiers(terms.tiers, "tiers")
    if len(terms.meters) > 32:
        raise wrong("A price has 32 meters at most.", "Leave some out.")
    for name, meter in terms.meters.items():
        if _METER.fullmatch(name) is None:
            raise wrong(
                f"{name[:64]!r} is no meter.", "Write a word of up to 64 letters, digits, `_`, `.`, `-`."
            )
        if bool(meter.each) == bool(meter.tiers):
            raise wrong(f"The meter {name} has no price, or two.", "Give it `each`, or `tiers`.")
        if meter.each:
            read_fraction(meter.each, f"`{name}.each`")
        if len(meter.unit) > 32 or not meter.unit.isprintable():
            raise wrong(
                f"`unit` of the meter {name} is too long or not printable.", "Write up to 32 characters."
            )
        _check_tiers(meter.tiers, f"{name}.tiers")
        if not 0 < meter.units <= 10**15 or not 0 <= meter.free <= 10**15:
            raise wrong(f"`units` or `free` of the meter {name} is out of range.", "Write 1 to 10^15 units.")
    if terms.meters and not terms.most:
        raise wrong(
            "What a metered call costs is known when it has ended.",
            "Give `most`: what one costs at most is held.",
        )
    if terms.most:
        read_amount(terms.most, currency, scale, "`most`")
    if not 0 <= terms.free_calls <= 10**12:
        raise wrong("`free_calls` is out of range.", "Write a whole number.")
    if terms.platform_share is not None and not 0 <= terms.platform_share <= WHOLE:
        raise wrong("`platform_share` is out of range.", f"Write basis points, 0 to {WHOLE}.")


def _check_tiers(tiers: list[Tier], name: str) -> None:
    if len(tiers) > 100 or any(tier.up_to is not None and tier.up_to > 10**15 for tier in tiers):
        raise InvalidParams(
            f"`{name}` are too many, or go too far.", remedy="Write up to 100, and up to 10^15 units."
        )
    last = 0
    for place, tier in enumerate(tiers):
        read_fraction(tier.each, f"`{name}.each`")
        ends = tier.up_to is None
        if ends != (place == len(tiers) - 1) or (tier.up_to is not None and tier.up_to <= last):
            raise InvalidParams(
                f"`{name}` does not go on upwards.",
                remedy="Let each `up_to` be more, and leave the last one's out.",
            )
        last = tier.up_to or 0


# --- what callers may spend -------------------------------------------------------------------


class Who(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose calls a budget is for; an empty list is everybody. `agents` are names (`org.name` in other
    organisations), `skills` are `agent/skill`. `each`: every caller has the amount, instead of all
    together."""

    callers: list[str] = []
    keys: list[str] = []
    agents: list[str] = []
    skills: list[str] = []
    each: bool = False


class Budget(Struct, frozen=True):
    """What an organisation's callers may spend in a period."""

    no: int
    org: int
    name: str
    amount: int
    currency: str
    scale: int
    period: Period
    who: Who
    at: float
    by: str
