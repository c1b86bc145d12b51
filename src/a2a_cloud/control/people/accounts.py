"""Accounts: a person with an e-mail address and, usually, a password. What they may do is said by their
memberships (control/orgs), not here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from a2a_cloud.control.people import passwords
from a2a_cloud.control.people.ports import Journal
from a2a_cloud.control.people.rows import (
    ADD_ACCOUNT,
    REHASH,
    SET_PASSWORD,
    Account,
    PeopleRows,
)
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import AlreadyExists, InvalidParams
from a2a_cloud.storage.journal.port import Op, Refusal

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9][a-z0-9_.+-]{{0,63}}@{_LABEL}(?:\.{_LABEL})*")
_MOST_EMAIL, _MOST_NAME = 127, 100


def address(email: str) -> str:
    """The one form of an e-mail address. Raises InvalidParams."""
    plain = email.strip().lower()
    if len(plain) > _MOST_EMAIL or not _EMAIL.fullmatch(plain):
        raise InvalidParams(
            "That is no e-mail address that can be used here.",
            remedy="Write one such as ada@example.com: letters, digits and _ . + -, 127 characters at most.",
            info={"field": "email"},
        )
    return plain


def called(name: str) -> str:
    """What a person is called. Raises InvalidParams."""
    plain = " ".join(name.split())
    if not plain or len(plain) > _MOST_NAME or not plain.isprintable():
        raise InvalidParams(
            f"A name has 1 to {_MOST_NAME} characters that can be printed.", info={"field": "name"}
        )
    return plain


class Accounts:
    """See the module."""

    def __init__(
        self, rows: PeopleRows, journal: Journal, hashes: passwords.Passwords, clock: Clock, ids: Ids
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._hashes = hashes
        self._clock = clock
        self._ids = ids

    def by_id(self, account_id: str) -> Account | None:
        """The account with that id."""
        return self._rows.account(account_id)

    def by_email(self, email: str) -> Account | None:
        """The account with that e-mail address, however it is written."""
        return self._rows.account_of(email.strip().lower())

    async def create(
        self, email: str, name: str, password: str = "", *, with_it: Sequence[Op] = (), account_id: str = ""
    ) -> Account:
        """A new account; `with_it` is written together with it, or neither is. Raises InvalidParams,
        AlreadyExists."""
        plain, shown = address(email), called(name)
        stored = ""
        if password:
            passwords.check(password, plain)
            stored = await self._hashes.hash(password)
        if self._rows.account_of(plain) is not None:
            raise _taken()
        now = self._clock.now()
        made = Account(account_id or self._ids.new("acct"), plain, shown, now, bool(stored))
        try:
            await self._journal.write(
                [(ADD_ACCOUNT, (made.id, plain, shown, now, stored, now if stored else 0.0)), *with_it]
            )
        except Refusal:
            raise _taken() from None
        return made

    async def matching(self, email: str, password: str) -> Account | None:
        """The account that this password opens; whether there is one takes as long to say as whether the
        password is right."""
        account = self._rows.account_of(email.strip().lower())
        stored = self._rows.password(account.id) if account is not None else ""
        good, again = await self._hashes.matches(stored, password)
        if not good or account is None:
            return None
        if again:
            await self._journal.write([(REHASH, (again, account.id, stored))])
        return account

    async def setting_password(self, account: Account, password: str) -> Op:
        """What gives the account that password. Raises InvalidParams."""
        passwords.check(password, account.email)
        return SET_PASSWORD, (await self._hashes.hash(password), self._clock.now(), account.id)

    def close(self) -> None:
        """Let go of the threads."""
        self._hashes.close()


def _taken() -> AlreadyExists:
    return AlreadyExists(
        "This e-mail address has an account already.",
        remedy="Sign in with it, then open the link again.",
        info={"field": "email"},
    )
