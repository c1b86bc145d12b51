"""What calls cost, as callers are told before they make one: the params of the card's extension
`urn:a2a-cloud:pricing:v1` (docs/extensions.md), and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from a2a_cloud.control.billing.prices import Prices
from a2a_cloud.model.billing import Meter, Price, Terms, Tier
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.release import Release


class Shown:
    """Prices as cards say them. `clock` is the true one: caches go by it."""

    def __init__(self, prices: Prices, clock: Clock) -> None:
        self._prices = prices
        self._clock = clock
        #: Since when what an agent costs has been so, as far as this process knows; the newest version else.
        self._changed: dict[int, float] = {}
        prices.on_change.append(self._note)

    def _note(self, agent: int) -> None:
        self._changed[agent] = max(self._clock.now(), self._changed.get(agent, 0.0))

    def of(self, release: Release, *, extended: bool = False) -> tuple[dict[str, Any] | None, float]:
        """See surface.accounting_port.Shown."""
        current = self._prices.current(release.agent_no)
        since = self._changed.get(release.agent_no, 0.0)
        if not current:
            return None, since
        skills = {
            spec.id: told
            for spec in release.skills
            if (extended or not spec.extended) and (told := self.skill(release, spec.id)) is not None
        }
        params: dict[str, Any] = {"skills": skills}
        messages = self.skill(release, "") if release.has_message_handler else None
        if messages is not None:
            params["messages"] = messages
        if len(params) == 1 and not skills:
            return None, since
        # Billing's clock may be ahead; a card was never made tomorrow.
        return params, since or min(self._clock.now(), max(price.at for price in current))

    def skill(self, release: Release, skill: str) -> dict[str, Any] | None:
        """What a call of a skill costs ("": of the message handler); None: nothing."""
        price = self._prices.of(release.agent_no, skill)
        return None if price is None else document(price)


def document(price: Price) -> dict[str, Any]:
    """A price as programs read it; amounts are decimal strings."""
    terms = price.terms
    assert terms is not None
    told: dict[str, Any] = {
        "version": price.version,
        "currency": terms.currency,
        "scale": price.scale,
        "model": terms.model,
        "about": in_words(terms),
    }
    if terms.flat is not None:
        told["flat"] = {"amount": terms.flat.amount, "period": terms.flat.period}
    if terms.call:
        told["call"] = terms.call
    if terms.tiers:
        told["tiers"] = _tiers(terms.tiers)
    if terms.meters:
        told["meters"] = {name: _meter(meter) for name, meter in terms.meters.items()}
    if terms.free_calls:
        told["freeCalls"] = terms.free_calls
    if terms.most:
        told["most"] = terms.most
    if terms.charge_failed:
        told["chargeFailed"] = True
    return told


def in_words(terms: Terms) -> str:
    """A price in a sentence."""
    currency = terms.currency
    if terms.flat is not None:
        return f"{terms.flat.amount} {currency} a {terms.flat.period}, whatever is called."
    parts: list[str] = []
    if terms.call:
        parts.append(f"{terms.call} {currency} a call")
    if terms.tiers:
        parts.append(_steps(terms.tiers, currency, "a call"))
    for name, meter in terms.meters.items():
        unit = meter.unit or name
        per = f"for {meter.units} {unit}" if meter.units != 1 else f"for each of {unit}"
        said = _steps(meter.tiers, currency, per) if meter.tiers else f"{meter.each} {currency} {per}"
        parts.append(said + (f", the first {meter.free} of a month free" if meter.free else ""))
    text = " and ".join(parts)
    if terms.free_calls:
        first = "call" if terms.free_calls == 1 else f"{terms.free_calls} calls"
        text += f"; the first {first} of a month {'is' if terms.free_calls == 1 else 'are'} free"
    if terms.most:
        text += f"; {terms.most} {currency} at most"
    if terms.charge_failed:
        text += "; failed calls too"
    return text[:1].upper() + text[1:] + "."


def _steps(tiers: Sequence[Tier], currency: str, per: str) -> str:
    said = [
        f"{tier.each} {currency} {per}" + (f" up to {tier.up_to} a month" if tier.up_to is not None else "")
        for tier in tiers
    ]
    return ", then ".join(said)


def _tiers(tiers: Sequence[Tier]) -> list[dict[str, Any]]:
    return [{"each": tier.each, **({"upTo": tier.up_to} if tier.up_to is not None else {})} for tier in tiers]


def _meter(meter: Meter) -> dict[str, Any]:
    told: dict[str, Any] = {"units": meter.units}
    if meter.each:
        told["each"] = meter.each
    if meter.tiers:
        told["tiers"] = _tiers(meter.tiers)
    if meter.free:
        told["free"] = meter.free
    if meter.unit:
        told["unit"] = meter.unit
    return told
