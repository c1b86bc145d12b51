"""Double entry: everything that moves money is a transaction here, whose entries sum to nothing in each
currency and never change. A transaction is made once for its key; the same key for something else is refused.

A `Posting` is a transaction that is not on disk yet: memory counts it already, its statements go into the
write of whatever it belongs to, and `undo` takes it back where that write is refused. What it puts into a
prepaid account is there once it is on disk, and no sooner (`landed`): what is paid out of it may be in a
write that outlives this one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from a2a_cloud.control.billing.accounts import PREPAID, Account, Accounts, Part
from a2a_cloud.control.billing.rows import ADD_ENTRY, ADD_GRANT, ADD_TXN, BURN, BillingRows, TxnRow
from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import IdempotencyConflict, InvalidParams, PaymentRequired
from a2a_cloud.model.receipt import LedgerEntry
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op

_encode = msgspec.json.Encoder(order="deterministic").encode


class Journal(Protocol):
    """The journal."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Line(NamedTuple):
    """A line of a transaction: `amount` more or less in `account`."""

    account: Account
    amount: int


class Credit(NamedTuple):
    """How what a transaction puts into a prepaid account is used up: of higher priority first, and no more
    from `expires` on."""

    priority: int = 0
    expires: float | None = None


class Posting:
    """See the module. `entries` are the canonical bytes of its lines, as receipts have them. `burned` are the
    grants that paid, by account, `part` what it granted."""

    __slots__ = ("burned", "entries", "id", "lines", "no", "ops", "part")

    def __init__(self, no: int, id_: str, lines: Sequence[Line], entries: bytes, ops: list[Op]) -> None:
        self.no, self.id, self.lines, self.entries, self.ops = no, id_, lines, entries, ops
        self.burned: list[tuple[Account, list[tuple[Part, int]]]] = []
        self.part: tuple[Account, Part] | None = None


class Ledger:
    """See the module. On the loop's thread."""

    def __init__(
        self,
        rows: BillingRows,
        accounts: Accounts,
        journal: Journal,
        clock: Clock,
        ids: Ids,
        numbers: dict[str, int],
    ) -> None:
        self._rows = rows
        self.accounts = accounts
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._last = numbers["ledger_txn"]
        self._last_grant = numbers["credit_grant"]
        #: Keys of transactions that are on their way to disk.
        self._flying: dict[str, bytes] = {}

    def post(
        self,
        kind: str,
        key: str,
        lines: Sequence[Line],
        *,
        org: int,
        by: str,
        memo: str = "",
        run: int | None = None,
        refers: int | None = None,
        credit: Credit | None = None,
        burn: Part | None = None,
        asked: bytes = b"",
    ) -> Posting:
        """Make a transaction; lines of nothing are left out. Its statements have to be written, or it undone.
        `key` says what makes it one; whoever may repeat it looks first (`earlier`), with the hash of what was
        `asked`. `credit`: of what goes into a prepaid account. `burn`: the grant that is paid from. Raises
        PaymentRequired."""
        lines = [line for line in lines if line.amount]
        sums: dict[str, int] = {}
        for account, amount in lines:
            sums[account.currency] = sums.get(account.currency, 0) + amount
            if amount < 0 and not account.allow_negative and account.balance + amount < account.held:
                left = show_amount(max(0, account.balance - account.held), account.scale)
                raise PaymentRequired(
                    f"{account.code} has {left} left.", remedy="Take less, or wait for what is held."
                )
        assert lines, "something is moved"
        assert not any(sums.values()), "entries sum to nothing"
        self._last += 1
        no, id_, at = self._last, self._ids.new("txn"), self._clock.now()
        told = [
            LedgerEntry(
                account=account.code,
                amount=amount,
                currency=account.currency,
                line=place,
                scale=account.scale,
            )
            for place, (account, amount) in enumerate(lines)
        ]
        ops: list[Op] = [
            (ADD_ENTRY, (no, place, account.org, account.no, amount, account.currency))
            for place, (account, amount) in enumerate(lines)
        ]
        request = asked or _sha(told)
        ops.append((ADD_TXN, (no, id_, org, kind, key, request, run, refers, at, by, memo)))
        posting = Posting(no, id_, lines, _encode(told), ops)
        for account, amount in lines:
            if account.kind == PREPAID.name and amount > 0:
                part = self._grant(posting, account, amount, credit or Credit(), by, memo, at)
                posting.part = (account, part)
                continue
            account.balance += amount
            if account.kind != PREPAID.name:
                continue
            if burn is not None:
                burn.rest += amount
                burned = [(burn, -amount)]
                if not burn.rest:
                    account.drop(burn)
            else:
                burned = account.burn(-amount, at)
            posting.burned.append((account, burned))
            ops += [(BURN, (took, account.org, part.no)) for part, took in burned]
        return posting

    def landed(self, posting: Posting) -> None:
        """It is on disk."""
        if posting.part is not None:
            account, part = posting.part
            account.balance += part.rest
            account.put(part)

    def undo(self, posting: Posting) -> None:
        """It was not written after all."""
        for account, amount in posting.lines:
            if posting.part is None or account is not posting.part[0]:
                account.balance -= amount
        for account, burned in posting.burned:
            account.unburn(burned)

    def earlier(self, key: str, asked: bytes) -> TxnRow | None:
        """The transaction that the key led to. Raises IdempotencyConflict when that was for something else,
        or is on its way."""
        row = self._rows.txn_by_key(SYSTEM, key)
        if row is None and key not in self._flying:
            return None
        if row is None or row.request_sha256 != asked:
            raise IdempotencyConflict(
                "This Idempotency-Key was used before for another transaction."
                if row is not None or self._flying[key] != asked
                else "The same request is on its way.",
                remedy="Use a new one for a new transaction; repeat the old request to get its outcome.",
            )
        return row

    async def write(
        self,
        key: str,
        asked: bytes,
        make: Callable[[], tuple[Posting, list[Op]]],
        made: Sequence[Account] = (),
    ) -> tuple[Posting | None, TxnRow]:
        """Commit what `make` posts, with its other statements, unless the key led to a transaction before:
        then (None, that). `made` are accounts that exist only if it is committed. Raises what `earlier` and
        the journal raise."""
        posting: Posting | None = None
        try:
            row = self.earlier(key, asked)
            if row is None:
                posting, more = make()
                self._flying[key] = asked
                await self._journal.write([*more, *posting.ops])
        except BaseException:
            if posting is not None:
                self.undo(posting)
            self._forget(made)
            raise
        finally:
            if posting is not None:
                del self._flying[key]
        if posting is None:
            assert row is not None
            self._forget(made)
            return None, row
        self.landed(posting)
        row = self._rows.txn_no(SYSTEM, posting.no)
        assert row is not None
        return posting, row

    def _forget(self, made: Sequence[Account]) -> None:
        for account in made:
            self.accounts.forget(account)

    def _grant(
        self, posting: Posting, account: Account, amount: int, credit: Credit, by: str, memo: str, at: float
    ) -> Part:
        self._last_grant += 1
        part = Part(self._last_grant, amount, credit.priority, credit.expires)
        posting.ops.append(
            (
                ADD_GRANT,
                (part.no, self._ids.new("credit"), account.org, account.no, posting.no, amount, amount,
                 credit.priority, credit.expires, at, by, memo),
            )
        )  # fmt: skip
        return part


def asked_sha256(**what: object) -> bytes:
    """The hash of what a request asks for, for `earlier`."""
    return hashlib.sha256(_encode(what)).digest()


def _sha(told: list[LedgerEntry]) -> bytes:
    return hashlib.sha256(_encode(told)).digest()


def check_amount(amount: int) -> None:
    """That something can be moved. Raises InvalidParams."""
    if amount <= 0:
        raise InvalidParams("The amount is nothing.", remedy="Write an amount above 0.")
