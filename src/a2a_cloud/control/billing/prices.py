"""What skills cost: versions that never change, the last one of each counts for calls that begin from then
on.

A call is charged by the version that held when it began. An agent's price (EVERY_SKILL) is for those of its
skills that have none of their own; a skill that shall cost nothing has a version that says so.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from a2a_cloud.control.billing import charging
from a2a_cloud.control.billing.accounts import FEES, OWNER, ROUNDING, Account, Accounts
from a2a_cloud.control.billing.ledger import Journal
from a2a_cloud.control.billing.rows import ADD_PRICE, BillingRows, PriceRow
from a2a_cloud.model.billing import (
    BYTES,
    EVERY_SKILL,
    SECONDS,
    Price,
    Terms,
    check_terms,
    read_currency,
    stored_terms,
    terms_text,
)
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Forbidden, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change


class Offer(NamedTuple):
    """A price as calls need it: `counts` says that it depends on what its caller used before, `measures`
    what the platform has to measure for it; and the accounts that its shares go to."""

    price: Price
    terms: Terms
    counts: bool
    measures: tuple[str, ...]
    owner: Account
    fees: Account
    rounding: Account


class Prices:
    """See the module. `usual_share`: what the platform keeps, in basis points, where a price says nothing."""

    def __init__(
        self,
        rows: BillingRows,
        accounts: Accounts,
        journal: Journal,
        clock: Clock,
        usual_share: int,
        last: int,
    ) -> None:
        self._rows = rows
        self._accounts = accounts
        self._journal = journal
        self._clock = clock
        self._usual_share = usual_share
        self._last = last
        self._versions: dict[tuple[int, str], int] = {}
        #: By agent and skill; None: nothing, whatever the agent's own price.
        self._offers: dict[int, dict[str, Offer | None]] = {}
        self._setting = asyncio.Lock()
        #: Are told an agent's number when a price of it has changed: cards say them.
        self.on_change: list[Callable[[int], None]] = []
        for row in rows.prices(SYSTEM):
            self._versions[row.agent, row.skill] = row.version
            self._offers.setdefault(row.agent, {})[row.skill] = self._offer(price_of(row))

    def offer(self, agent: int, skill: str) -> Offer | None:
        """What a call of a skill costs now; None: nothing."""
        offers = self._offers.get(agent)
        if offers is None:
            return None
        return offers[skill] if skill in offers else offers.get(EVERY_SKILL)

    def of(self, agent: int, skill: str) -> Price | None:
        """The same, as its version."""
        offer = self.offer(agent, skill)
        return None if offer is None else offer.price

    def current(self, agent: int) -> list[Price]:
        """What an agent's skills cost: prices that hold, EVERY_SKILL's first."""
        offers = self._offers.get(agent, {})
        return [offer.price for _, offer in sorted(offers.items()) if offer is not None]

    def history(self, org: int, agent: int) -> list[Price]:
        """All versions of an agent's prices, of each skill the newest first."""
        return [price_of(row) for row in self._rows.versions(Scope(org=org), agent)]

    def by_no(self, no: int) -> Price:
        """A version, which exists."""
        row = self._rows.price_no(SYSTEM, no)
        assert row is not None, f"price {no} is named and not there"
        return price_of(row)

    def reoffer(self, no: int) -> Offer:
        """As calls need it, of an earlier version: for what began when it held."""
        offer = self._offer(self.by_no(no))
        assert offer is not None, "what costs nothing holds nothing"
        return offer

    async def set(
        self, org: int, agent: int, skill: str, terms: Terms | None, *, name: str, by: str, may_share: bool
    ) -> Price:
        """Make a further version of a price; `terms` None: it costs nothing from now on. What says the same
        again makes none. `name` is for the audit; only with `may_share` may the platform's share be another
        than is usual. Raises InvalidParams, Forbidden, NotFound (nothing to take away)."""
        async with self._setting:
            return await self._set(org, agent, skill, terms, name, by, may_share)

    async def _set(
        self, org: int, agent: int, skill: str, terms: Terms | None, name: str, by: str, may_share: bool
    ) -> Price:
        before = self._offers.get(agent, {}).get(skill)
        scale, opened = 0, list[Account]()
        ops: list[Op] = []
        if terms is None:
            if before is None and self.offer(agent, skill) is None:
                raise NotFound(f"{name} has no price.", remedy="See `a2a prices ls`.")
        else:
            terms = msgspec.structs.replace(terms, currency=read_currency(terms.currency))
            scale = self._accounts.scale(terms.currency)
            share = self._usual_share if terms.platform_share is None else terms.platform_share
            if share != self._usual_share and not may_share:
                raise Forbidden(
                    "The platform's share is set by who runs it.", remedy="Leave `platform_share` out."
                )
            terms = msgspec.structs.replace(terms, platform_share=share)
            check_terms(terms, scale)
            if before is not None and before.terms == terms:
                return before.price
            for kind, whose in ((OWNER, org), (FEES, 0), (ROUNDING, 0)):
                account, more = self._accounts.of(kind, whose, terms.currency)
                if more:
                    opened.append(account)
                    ops += more
        self._last += 1
        version = self._versions.get((agent, skill), 0) + 1
        self._versions[agent, skill] = version
        at = self._clock.now()
        price = Price(self._last, org, agent, skill, version, scale, terms, at, by)
        body = terms_text(terms)
        told = change(
            org,
            at,
            by,
            "price.set" if terms is not None else "price.removed",
            name,
            version=version,
            sha256=hashlib.sha256(body.encode()).hexdigest() if body else "",
        )
        ops += [(ADD_PRICE, (price.no, org, agent, skill, version, scale, body, at, by)), told]
        try:
            await self._journal.write(ops)
        except BaseException:
            self._versions[agent, skill] = version - 1
            for account in opened:
                self._accounts.forget(account)
            raise
        self._offers.setdefault(agent, {})[skill] = self._offer(price)
        for tell in self.on_change:
            tell(agent)
        return price

    def _offer(self, price: Price) -> Offer | None:
        terms = price.terms
        if terms is None:
            return None

        def account(kind: str) -> Account:
            found = self._accounts.find(kind)
            assert found is not None, "a price's accounts are made with it"
            return found

        currency = terms.currency
        return Offer(
            price,
            terms,
            charging.counts(terms),
            tuple(name for name in (SECONDS, BYTES) if name in terms.meters),
            account(self._accounts.code(OWNER, price.org, currency)),
            account(self._accounts.code(FEES, 0, currency)),
            account(self._accounts.code(ROUNDING, 0, currency)),
        )


def price_of(row: PriceRow) -> Price:
    """A row as what it says."""
    return Price(
        row.no,
        row.org,
        row.agent,
        row.skill,
        row.version,
        row.scale,
        stored_terms(row.body),
        row.at,
        row.made_by,
    )
