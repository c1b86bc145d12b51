"""The accounts of the ledger in memory: a cache of the one writer, so that money is decided on without a
look at the disk. What is in memory counts what is on its way to disk; the database refuses what it does not
agree with.

Codes of accounts, before a colon and their currency:

    prepaid/ORG · prepaid/ORG/NAME      what an organisation, or one of its principals, has paid in
    owner/ORG                           what the owner of agents has earned and is owed
    platform/fees · platform/rounding   the platform's share, and what rounding shares leaves
    platform/issued                     the other side of what was paid in
    platform/expired                    credits whose time was over
    platform/paid-out                   the other side of what owners were paid
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from a2a_cloud.control.billing.rows import ADD_ACCOUNT, AccountRow, BillingRows, GrantRow
from a2a_cloud.model.billing import MINOR
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op


class Kind(NamedTuple):
    """What accounts of one kind have in common."""

    name: str
    normal: str = "credit"
    allow_negative: bool = True


PREPAID = Kind("prepaid", allow_negative=False)
OWNER = Kind("owner")
FEES = Kind("platform/fees")
ROUNDING = Kind("platform/rounding")
ISSUED = Kind("platform/issued", "debit")
EXPIRED = Kind("platform/expired")
PAID_OUT = Kind("platform/paid-out", "debit")


class Part:
    """What is left of a grant of credits."""

    __slots__ = ("expires", "no", "priority", "rest")

    def __init__(self, no: int, rest: int, priority: int, expires: float | None) -> None:
        self.no, self.rest, self.priority, self.expires = no, rest, priority, expires

    @property
    def order(self) -> tuple[int, float, int]:
        """Which is used up first: of higher priority, then what ends sooner, then the older."""
        return -self.priority, float("inf") if self.expires is None else self.expires, self.no


class Account:
    """One account. `parts` are the grants that a prepaid one is made of; their rests sum to its balance."""

    __slots__ = (
        "allow_negative",
        "balance",
        "code",
        "currency",
        "ends",
        "held",
        "kind",
        "no",
        "org",
        "owner",
        "parts",
        "scale",
    )

    def __init__(self, row: AccountRow, grants: list[GrantRow]) -> None:
        self.no, self.code, self.org, self.owner, self.kind = row.no, row.code, row.org, row.owner, row.kind
        self.currency, self.scale = row.currency, row.scale
        self.balance, self.held = row.balance, row.held
        self.allow_negative = bool(row.allow_negative)
        self.parts = sorted(
            (Part(one.no, one.rest, one.priority, one.expires) for one in grants), key=lambda part: part.order
        )
        #: When the first of them ends, in wall seconds.
        self.ends = float("inf")
        self._look()

    def available(self, now: float) -> int:
        """What may be held of it: no credits whose time is over, though they are still in it."""
        free = self.balance - self.held
        if now < self.ends:
            return free
        over = sum(part.rest for part in self.parts if part.expires is not None and part.expires <= now)
        return free - min(free, over)

    def put(self, part: Part) -> None:
        """Credits that are new in it."""
        self.parts.append(part)
        self.parts.sort(key=lambda one: one.order)
        self._look()

    def drop(self, part: Part) -> None:
        """Credits that are in it no more."""
        self.parts = [one for one in self.parts if one is not part]
        self._look()

    def _look(self) -> None:
        self.ends = min(
            (part.expires for part in self.parts if part.expires is not None), default=float("inf")
        )

    def burn(self, amount: int, now: float) -> list[tuple[Part, int]]:
        """Which grants pay an amount, and how much each: their rests are less from now on. One whose time is
        over pays last, as it may for what was held before."""
        parts = self.parts
        if now >= self.ends:
            parts = sorted(parts, key=lambda part: part.expires is not None and part.expires <= now)
        burned: list[tuple[Part, int]] = []
        for part in parts:
            took = min(part.rest, amount)
            if took:
                part.rest -= took
                amount -= took
                burned.append((part, took))
            if not amount:
                break
        assert not amount, "an account has what its grants have"
        if not burned[-1][0].rest or len(burned) > 1:
            self.parts = [part for part in self.parts if part.rest]
            self._look()
        return burned

    def unburn(self, burned: list[tuple[Part, int]]) -> None:
        """The same taken back."""
        for part, took in burned:
            part.rest += took
            if part not in self.parts:
                self.put(part)


class Accounts:
    """All accounts, read when they are first needed. `scales` are the digits that a currency is counted
    with here, where it is not what is usual; `org_name` gives an organisation's name."""

    def __init__(
        self,
        rows: BillingRows,
        clock: Clock,
        org_name: Callable[[int], str],
        scales: dict[str, int],
        last: int,
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._org_name = org_name
        self._scales = scales
        self._last = last
        self._by_no: dict[int, Account] = {}
        self._by_code: dict[str, Account | None] = {}
        #: Principals' own accounts and their organisations', by principal, organisation and currency.
        self._payers: dict[tuple[int, int, str], Account | None] = {}

    def scale(self, currency: str) -> int:
        """Digits after the point that amounts of a currency have here."""
        return self._scales.get(currency, MINOR[currency])

    def no(self, no: int) -> Account:
        """The account with that number, which exists."""
        found = self._by_no.get(no)
        if found is None:
            row = self._rows.account_no(SYSTEM, no)
            assert row is not None, f"account {no} is named and not there"
            found = self._load(row)
        return found

    def find(self, code: str) -> Account | None:
        """The account with that code, if there is one."""
        if code not in self._by_code:
            row = self._rows.account(SYSTEM, code)
            self._by_code[code] = None if row is None else self._by_no.get(row.no) or self._load(row)
        return self._by_code[code]

    def payer(self, principal: int, name: str, org: int, currency: str) -> Account | None:
        """The account that pays for a principal: their own if they have one, else their organisation's."""
        key = (principal, org, currency)
        if key not in self._payers:
            self._payers[key] = self.find(self.code(PREPAID, org, currency, name)) or self.find(
                self.code(PREPAID, org, currency)
            )
        return self._payers[key]

    def of(
        self, kind: Kind, org: int, currency: str, owner: int = 0, name: str = ""
    ) -> tuple[Account, list[Op]]:
        """The account of that kind, made if there is none: with the statement that makes it."""
        code = self.code(kind, org, currency, name)
        found = self.find(code)
        if found is not None:
            return found, []
        self._last += 1
        row = AccountRow(
            self._last, code, org, owner, kind.name, currency, self.scale(currency), kind.normal, 0, 0,
            int(kind.allow_negative), self._clock.now(),
        )  # fmt: skip
        made = self._by_no[row.no] = Account(row, [])
        self._by_code[code] = made
        self._payers.clear()
        told = (*row[:8], row.allow_negative, row.created)
        return made, [(ADD_ACCOUNT, told)]

    def forget(self, account: Account) -> None:
        """It could not be stored after all."""
        self._by_no.pop(account.no, None)
        self._by_code.pop(account.code, None)
        self._payers.clear()

    def code(self, kind: Kind, org: int, currency: str, name: str = "") -> str:
        """What an account is called."""
        steps = [kind.name]
        if org:
            steps.append(self._org_name(org))
        if name:
            steps.append(name)
        return f"{'/'.join(steps)}:{currency}"

    def _load(self, row: AccountRow) -> Account:
        grants = self._rows.grants(SYSTEM, row.no) if row.kind == PREPAID.name else []
        account = self._by_no[row.no] = Account(row, grants)
        self._by_code[row.code] = account
        return account
