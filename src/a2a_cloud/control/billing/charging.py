"""What a call costs by a price, as pure arithmetic: exact fractions, rounded once per call, half to even.

What a caller used of a price in its period (`Used`) is counted by units that were charged or free: a call
that cost nothing because it failed counts nowhere. Free ones come first, and count in tiers too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from a2a_cloud.model.billing import WHOLE, Meter, Price, Terms, Tier, read_amount

#: Meters of `Used` that are none: the calls, and 1 where the flat fee was paid.
CALLS, FEE = "#calls", "#fee"
#: Quantities by meter and unit, as a run reports them.
Quantities = Mapping[tuple[str, str], Fraction]


class Used:
    """What one caller used of one price in a month (a flat fee's period): quantities by meter; `open` calls
    that have not ended, `open_free` those of them that will cost nothing, `open_bare` those with less held
    than they may cost."""

    __slots__ = ("open", "open_bare", "open_free", "qty", "span")

    def __init__(self, span: str, qty: dict[str, Fraction]) -> None:
        self.span, self.qty = span, qty
        self.open = self.open_free = self.open_bare = 0

    def of(self, meter: str) -> Fraction:
        """So much of it."""
        return self.qty.get(meter, Fraction(0))


class Need(NamedTuple):
    """What has to be there before a call begins; `free`: it will cost nothing whatever it does; `may_lack`:
    it is taken though less is there, for free units of its meters are left."""

    amount: int
    free: bool
    may_lack: bool


def need(price: Price, used: Used) -> Need:
    """What is held for one more call."""
    terms = price.terms
    assert terms is not None
    if terms.flat is not None:
        fee = read_amount(terms.flat.amount, terms.currency, price.scale)
        return Need(0 if used.of(FEE) else fee, free=False, may_lack=False)
    calls = int(used.of(CALLS))
    if calls + used.open < terms.free_calls:
        return Need(0, free=True, may_lack=False)
    if terms.meters:
        most = read_amount(terms.most, terms.currency, price.scale)
        left = any(used.of(name) < meter.free for name, meter in terms.meters.items())
        return Need(most, free=False, may_lack=left and not used.open_bare)
    if terms.tiers:
        # Which of those that are open is charged first is not known.
        amount = _units(_dearest(terms.tiers, calls, calls + used.open), price.scale)
    else:
        amount = _units(Fraction(terms.call), price.scale)
    if terms.most:
        amount = min(amount, read_amount(terms.most, terms.currency, price.scale))
    return Need(amount, free=False, may_lack=False)


def cost(price: Price, used: Used, quantities: Quantities, *, free: bool) -> int:
    """What a call costs that has ended and is charged. `free`: that was promised when it began."""
    terms = price.terms
    assert terms is not None
    if terms.flat is not None:
        return 0 if used.of(FEE) else read_amount(terms.flat.amount, terms.currency, price.scale)
    calls = used.of(CALLS)
    if free or calls + used.open_free < terms.free_calls:
        return 0
    total = Fraction(terms.call) if terms.call else Fraction(0)
    if terms.tiers:
        total = _each(terms.tiers, int(calls))
    for name, meter in terms.meters.items():
        total += _metered(meter, used.of(name), _quantity(name, meter, quantities))
    amount = _units(total, price.scale)
    return min(amount, read_amount(terms.most, terms.currency, price.scale)) if terms.most else amount


def counted(terms: Terms, quantities: Quantities, amount: int) -> dict[str, Fraction]:
    """What a charged call adds to what was used; `amount` is what it cost."""
    if terms.flat is not None:
        return {FEE: Fraction(1)} if amount else {}
    adds = {name: _quantity(name, meter, quantities) for name, meter in terms.meters.items()}
    return {CALLS: Fraction(1)} | {name: qty for name, qty in adds.items() if qty}


def counts(terms: Terms) -> bool:
    """Whether a price's costs depend on what was used before."""
    return (
        terms.flat is not None
        or bool(terms.tiers or terms.free_calls)
        or any(meter.free or meter.tiers for meter in terms.meters.values())
    )


def split(amount: int, platform_share: int) -> tuple[int, int, int]:
    """(owner's, platform's, what rounding left): each share is rounded down."""
    platform = amount * platform_share // WHOLE
    owner = amount * (WHOLE - platform_share) // WHOLE
    return owner, platform, amount - owner - platform


def _quantity(name: str, meter: Meter, quantities: Quantities) -> Fraction:
    return sum(
        (
            qty
            for (reported, unit), qty in quantities.items()
            if reported == name and (not meter.unit or unit == meter.unit) and qty > 0
        ),
        Fraction(0),
    )


def _metered(meter: Meter, used: Fraction, qty: Fraction) -> Fraction:
    start, end = max(used, Fraction(meter.free)), used + qty
    if end <= start:
        return Fraction(0)
    if not meter.tiers:
        return (end - start) * Fraction(meter.each) / meter.units
    return sum(
        (each * (high - low) / meter.units for each, low, high in _steps(meter.tiers, start, end)),
        Fraction(0),
    )


def _steps(
    tiers: list[Tier], start: Fraction, end: Fraction
) -> Iterable[tuple[Fraction, Fraction, Fraction]]:
    """(price of a unit, from, to) of the part of each tier between two places."""
    low = Fraction(0)
    for tier in tiers:
        high = end if tier.up_to is None else Fraction(tier.up_to)
        first, last = max(low, start), min(high, end)
        if first < last:
            yield Fraction(tier.each), first, last
        low = high


def _each(tiers: list[Tier], place: int) -> Fraction:
    """The price of the call after `place` others."""
    for tier in tiers:
        if tier.up_to is None or place < tier.up_to:
            return Fraction(tier.each)
    raise AssertionError("the last tier has no end")


def _dearest(tiers: list[Tier], first: int, last: int) -> Fraction:
    """The highest price of the calls after `first` to `last` others."""
    low, found = 0, Fraction(0)
    for tier in tiers:
        if low <= last and (tier.up_to is None or first < tier.up_to):
            found = max(found, Fraction(tier.each))
        low = tier.up_to or low
    return found


def _units(amount: Fraction, scale: int) -> int:
    return round(amount * 10**scale)
