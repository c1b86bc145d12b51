"""People whom an outside provider vouches for: who they are here, where its claims put them, and how an
identity there is connected to an account here. An e-mail address alone opens nobody's account."""

from __future__ import annotations

from collections.abc import Callable

from a2a_cloud.control.people.accounts import Accounts
from a2a_cloud.control.people.federation import Outside, Provider
from a2a_cloud.control.people.links import Links
from a2a_cloud.control.people.ports import Journal, Members
from a2a_cloud.control.people.rows import ADD_IDENTITY, Account, Link, PeopleRows
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import DEFAULT_ORG, Principal, Role
from a2a_cloud.model.problem import Forbidden, NameTaken, NotFound, Unauthenticated
from a2a_cloud.storage.journal.port import Op, Refusal
from a2a_cloud.storage.sql.audit import change


class Outsiders:
    """See the module. `org_no` gives an organisation's number."""

    def __init__(
        self,
        rows: PeopleRows,
        journal: Journal,
        accounts: Accounts,
        members: Members,
        links: Links,
        provider: Provider | None,
        clock: Clock,
        ids: Ids,
        org_no: Callable[[str], int | None],
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._accounts = accounts
        self._members = members
        self._links = links
        self._provider = provider
        self._clock = clock
        self._ids = ids
        self._org_no = org_no

    async def admit(self, outside: Outside, link: Link | None) -> Account:
        """The account of somebody, who may have an invitation. Raises Forbidden, Unauthenticated."""
        provider = self._provider
        assert provider is not None
        places = provider.places(outside)
        if provider.rules and not places:
            # Where there are rules they decide, each time: who left a group there comes in no more.
            raise _nowhere()
        known = self._rows.identity(outside.issuer, outside.subject)
        if known:
            account = self._accounts.by_id(known)
            if account is None:
                raise Unauthenticated("There is no such account any more.", remedy="Ask an admin.")
        elif link is None and not places:
            raise _nowhere()
        else:
            account = await self._newcomer(outside)
        if link is not None:
            await take(self._members, self._links, link, account)
        there, out = dict(self._members.orgs(account.id)), self._members.suspended(account.id)
        for org, role in places.items():
            if org in out:
                continue  # Who was suspended is let in again by people and directories.
            await self._place(account, org, role, there.get(org), f"{provider.name} (sign-in)")
        if not self._members.orgs(account.id):
            raise _nowhere()
        return account

    async def connect(self, outside: Outside, account: Account) -> Account:
        """Let the identity open the account from now on. Raises Forbidden."""
        known = self._rows.identity(outside.issuer, outside.subject)
        if known not in ("", account.id):
            raise Forbidden("That identity belongs to another account.", remedy="Disconnect it there first.")
        if not known:
            now = self._clock.now()
            event = change(self._home(), now, account.email, "identity.connected", outside.issuer)
            await self._journal.write(
                [(ADD_IDENTITY, (outside.issuer, outside.subject, account.id, now)), event]
            )
        return account

    async def _newcomer(self, outside: Outside) -> Account:
        email, now = outside.email, self._clock.now()
        if not email:
            raise Forbidden("The provider vouches for no e-mail address of yours.", remedy="Verify it there.")
        if self._accounts.by_email(email) is not None:
            # Whoever controls an address there is not yet the person who has an account here.
            raise Forbidden(
                "This e-mail address has an account here that is not connected to that identity.",
                remedy="Sign in as before, then connect the two on your account's page.",
            )
        account_id = self._ids.new("acct")
        name = " ".join(part for part in outside.name.split() if part.isprintable())[:100] or email
        ops: list[Op] = [
            (ADD_IDENTITY, (outside.issuer, outside.subject, account_id, now)),
            change(self._home(), now, email, "account.created", email, issuer=outside.issuer),
        ]
        return await self._accounts.create(email, name, with_it=ops, account_id=account_id)

    async def _place(self, account: Account, org: str, role: str, before: str | None, by: str) -> None:
        """Give the account the role that a rule says."""
        if before is None:
            await self._members.join(account.id, org, role, by)
        elif before not in (role, Role.OWNER):  # Only people unmake an owner.
            org_no = self._org_no(org)
            assert org_no is not None
            await self._members.change(
                Principal(-1, org_no, by, org, Role.OWNER), org_no, account.id, role=role
            )

    def _home(self) -> int:
        return self._org_no(DEFAULT_ORG) or 0


async def take(members: Members, links: Links, link: Link, account: Account) -> None:
    """Use a link up and join. Raises NotFound for the second of two who do so at once."""
    try:
        await members.join(
            account.id, link.org, link.role, link.made_by, also=[links.using(link, account.id)]
        )
    except (Refusal, NameTaken):
        raise ended() from None


def ended() -> NotFound:
    """That a link opens nothing any more."""
    return NotFound("This link was used, or has ended.", remedy="Ask for another one.")


def _nowhere() -> Forbidden:
    return Forbidden("You belong to no organisation of this platform.", remedy="Ask an admin to invite you.")
