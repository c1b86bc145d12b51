"""`People`: everything that lets a person in, in one place: sign-in with a password, a passkey or at an
outside provider, invitations, recovery, and the first admin. Each change is written with its audit event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from a2a_cloud.control.people.accounts import Accounts, address
from a2a_cloud.control.people.failures import Failures
from a2a_cloud.control.people.federation import Outside, Provider
from a2a_cloud.control.people.links import ADMIN, INVITE, RECOVER, Links
from a2a_cloud.control.people.outsiders import Outsiders, ended, take
from a2a_cloud.control.people.passkeys import Passkeys
from a2a_cloud.control.people.ports import Journal, Members, Send
from a2a_cloud.control.people.rows import (
    DROP_IDENTITIES,
    DROP_IDENTITY,
    DROP_PASSKEYS,
    Account,
    Link,
    PeopleRows,
)
from a2a_cloud.control.people.sessions import Session, Sessions, Where
from a2a_cloud.control.people.throttle import Throttle
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import DEFAULT_ORG, Permission, Principal, Role
from a2a_cloud.model.problem import (
    Busy,
    Forbidden,
    InvalidParams,
    NotFound,
    Problem,
    Unauthenticated,
)
from a2a_cloud.storage.journal.port import Op, Refusal
from a2a_cloud.storage.sql.audit import change

log = logging.getLogger("a2a_cloud.people")

#: Seconds after a sign-in in which one may change what one signs in with.
FRESH = 900.0


class People:
    """See the module. `org_no` gives an organisation's number. `operator`: the id of the key in the data
    folder; who has it has the machine."""

    def __init__(
        self,
        *,
        rows: PeopleRows,
        journal: Journal,
        accounts: Accounts,
        sessions: Sessions,
        links: Links,
        passkeys: Passkeys,
        provider: Provider | None,
        members: Members,
        send: Send | None,
        clock: Clock,
        ids: Ids,
        org_no: Callable[[str], int | None],
        operator: str,
    ) -> None:
        self.accounts = accounts
        self.sessions = sessions
        self.links = links
        self.passkeys = passkeys
        self.provider = provider
        self.members = members
        self.mails = send is not None
        self._rows = rows
        self._journal = journal
        self._send = send
        self._clock = clock
        self._ids = ids
        self._org_no = org_no
        self._operator = operator
        self._outsiders = Outsiders(rows, journal, accounts, members, links, provider, clock, ids, org_no)
        self._throttle = Throttle(clock)
        self._failures = Failures(journal, clock, self._home)
        #: Ends what programs hold to act for a principal whose account was recovered.
        self.on_recovered: Callable[[Principal], Awaitable[None]] = _nothing
        self._posting: set[asyncio.Task[None]] = set()

    # --- signing in ---------------------------------------------------------------------------------

    async def with_password(self, email: str, password: str, where: Where) -> Account:
        """Who that is. Raises Unauthenticated, Busy."""
        name = email.strip().lower()[:200]
        self._may_try(name, where)
        # Counted before it is looked at, so that many at once are no way around.
        self._throttle.failed(name, where.address)
        account = await self.accounts.matching(email, password)
        if account is None:
            await self._failures.failed("password", where, self.accounts.by_email(name))
            raise Unauthenticated(
                "The e-mail address and the password don't belong together.",
                remedy="Try again, or ask for a new password.",
            )
        self._throttle.passed(name, where.address)
        return account

    async def with_passkey(
        self, ticket: str, credential: dict[str, Any], where: Where, *, rp: str, origin: str
    ) -> Account:
        """Who that is. Raises Unauthenticated, InvalidParams, Busy."""
        # Whose passkey it is comes out afterwards: counted is the address alone.
        name = f"passkey {where.address}"
        self._may_try(name, where)
        try:
            account_id = await self.passkeys.sign_in(ticket, credential, rp=rp, origin=origin)
        except Unauthenticated:
            self._throttle.failed(name, where.address)
            await self._failures.failed("passkey", where, None)
            raise
        return self._living(account_id)

    async def with_outside(self, outside: Outside, joining: str = "", signed_in: str = "") -> Account:
        """Who the provider says that is. `joining` is the token of an invitation that they came with,
        `signed_in` the account that wants to be connected. Raises Forbidden, Unauthenticated."""
        if signed_in:
            return await self._outsiders.connect(outside, self._living(signed_in))
        link = self.offered(joining) if joining else None
        if joining and (link is None or link.email not in ("", outside.email)):
            raise Forbidden(
                "The invitation is for another e-mail address, or has ended.",
                remedy="Ask who invited you for another one.",
            )
        return await self._outsiders.admit(outside, link)

    async def begin(
        self, account: Account, method: str, where: Where, *, before: Session | None = None
    ) -> tuple[str, Session]:
        """(the token for the cookie, the session). The one that this browser had ends."""
        session_id, token, op = self.sessions.beginning(account, method, where)
        at = self._clock.now()
        event = change(self._home(account.id), at, account.email, "session.began", session_id, method=method)
        await self._journal.write([op, event])
        if before is not None:
            await self.sessions.end(before.account_id, before.id)
        session = self.sessions.of(token)
        assert session is not None
        return token, session

    async def end(self, session: Session, other: str = "") -> bool:
        """End the session, or `other` of the same account."""
        gone = other or session.id
        return await self.sessions.end(session.account_id, gone, self._event(session, "session.ended", gone))

    async def end_others(self, session: Session) -> None:
        """End all sessions of the account but this one."""
        event = self._event(session, "session.ended", "all others")
        await self.sessions.end_all(session.account_id, event, but=session.id)

    def fresh(self, session: Session) -> bool:
        """Whether the sign-in is recent enough to change what one signs in with."""
        return self._clock.now() - session.created < FRESH

    # --- one's own account --------------------------------------------------------------------------

    async def change_password(self, session: Session, old: str, new: str, where: Where) -> None:
        """Set a password; the old one has to come along where there is one. All other sessions end. Raises
        Unauthenticated, InvalidParams, Busy."""
        account = self._living(session.account_id)
        if account.has_password:
            await self.with_password(account.email, old, where)
        elif not self.fresh(session):
            raise stale()
        op = await self.accounts.setting_password(account, new)
        event = self._event(session, "password.changed", account.email)
        await self.sessions.end_all(account.id, op, event, but=session.id)

    async def add_passkey(
        self, session: Session, ticket: str, credential: dict[str, Any], label: str, *, rp: str, origin: str
    ) -> None:
        """Keep a passkey. Raises Forbidden, InvalidParams, Busy."""
        if not self.fresh(session):
            raise stale()
        account = self._living(session.account_id)
        event = self._event(session, "passkey.added", account.email)
        await self.passkeys.register(account, ticket, credential, label, event, rp=rp, origin=origin)

    async def drop_passkey(self, session: Session, credential: bytes) -> None:
        """Remove a passkey. Raises Forbidden."""
        if not self.fresh(session):
            raise stale()
        event = self._event(session, "passkey.removed", session.account_id)
        await self.passkeys.drop(session.account_id, credential, event)

    async def disconnect(self, session: Session, issuer: str) -> None:
        """Forget an outside identity. Raises Forbidden, InvalidParams when nothing else would be left to sign
        in with."""
        if not self.fresh(session):
            raise stale()
        account = self._living(session.account_id)
        if not account.has_password and not self.passkeys.listed(account.id):
            raise InvalidParams("Nothing else would let you in.", remedy="Set a password or a passkey first.")
        event = self._event(session, "identity.disconnected", issuer)
        await self._journal.write([(DROP_IDENTITY, (issuer, account.id)), event])

    def connected(self, account_id: str) -> list[str]:
        """Issuers of the account's outside identities."""
        return [each.issuer for each in self._rows.identities(account_id)]

    # --- links --------------------------------------------------------------------------------------

    async def first(self) -> str:
        """The token of a link for the first admin, as long as there is no account; else ""."""
        if self._rows.any_account():
            return ""
        _, token = await self.links.make(ADMIN, org=DEFAULT_ORG, role=Role.OWNER, email="", by="platform")
        return token

    async def invite(self, by: Principal, org: str, email: str, role: str) -> tuple[Link, str]:
        """A link that makes the person with that address a member of `org`. Raises Forbidden, NotFound,
        InvalidParams."""
        org_no = by.org_no if not org else self._org_no(org)
        if org_no is None:
            raise NotFound(f"There is no organisation {org[:60]!r}.", remedy="See `a2a orgs ls`.")
        if not (role == Role.OWNER and self._operates(by)):
            self.members.check_invites(by, org_no, role)
        return await self._linked(by, INVITE, org=org or by.org, role=role, email=address(email))

    async def invite_admin(self, by: Principal) -> tuple[Link, str]:
        """A link that makes who opens it an admin of the platform; an owner's, or the machine's, an owner.
        Raises Forbidden."""
        if not by.may(Permission.MANAGE_PLATFORM):
            raise Forbidden(
                "Admins of the platform are made by its admins.", remedy="Use the key in $A2A_DATA/admin.key."
            )
        role = Role.ADMIN
        if self._operates(by) or by.role == Role.OWNER:
            role = Role.OWNER
        if not self._operates(by):
            self.members.check_invites(by, by.org_no, role)
        return await self._linked(by, ADMIN, org=DEFAULT_ORG, role=role, email="", instead=False)

    async def recovery(self, by: Principal, email: str) -> tuple[Link, str]:
        """A link with which the account gets a new password: for whoever could have made its person all that
        they are, in each of their organisations. Raises Forbidden, NotFound."""
        account = self.accounts.by_email(email)
        platform = by.may(Permission.MANAGE_PLATFORM)
        if account is None or not (platform or self._alone(by, account)):
            raise NotFound("There is no such account that is yours to recover.", remedy="See its members.")
        if not self._operates(by):
            self.members.check_recovers(by, account.id)
        return await self._linked(by, RECOVER, org=by.org, role="", email=account.email, account=account.id)

    async def ask_recovery(self, email: str, base: str, where: Where) -> None:
        """Somebody says that they can't sign in: a link is mailed if there is such an account. The answer is
        the same in any case. Raises Busy."""
        name = f"recover {email.strip().lower()[:200]}"
        self._may_try(name, where)
        self._throttle.failed(name, where.address)
        account = self.accounts.by_email(email)
        if account is None or self._send is None:
            return
        # Beside the answer, which must not tell by its time or its words whether there is such an account.
        task = asyncio.create_task(self._post_recovery(account, base, self._send))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _post_recovery(self, account: Account, base: str, send: Send) -> None:
        orgs = self.members.orgs(account.id)
        event = change(
            self._home(account.id), self._clock.now(), account.email, f"link.{RECOVER}", account.email
        )
        try:
            _, token = await self.links.make(
                RECOVER,
                event,
                org=orgs[0][0] if orgs else DEFAULT_ORG,
                role="",
                email=account.email,
                by=account.email,
                account=account.id,
            )
            await send(
                account.email,
                "A new password",
                f"Somebody, you most likely, asked for a new password at {base}.\n\n"
                f"Within an hour, open: {base}/recover/{token}\n\nIf it was not you, do nothing.\n",
            )
        except Problem as problem:
            log.warning("A link for a new password was not mailed: %s", problem.operator or problem.detail)

    async def mail(self, link: Link, address_of_it: str) -> bool:
        """Send a link to its person; False without a mail server. Raises Unavailable."""
        if self._send is None or not link.email:
            return False
        what = f"You are invited to {link.org}" if link.kind == INVITE else "A new password"
        await self._send(link.email, what, f"{what}. Open: {address_of_it}\n")
        return True

    async def accept(self, token: str, email: str, name: str, password: str) -> Account:
        """A new account with what the link offers. Raises NotFound, InvalidParams, Busy."""
        link = self._offer(token)
        if link.email and address(email) != link.email:
            raise InvalidParams("The invitation is for another e-mail address.", info={"field": "email"})
        if not password:
            raise InvalidParams("A password is missing.", info={"field": "password"})
        event = self._told(link, "account.created", address(email), offer=link.kind)
        account = await self.accounts.create(email, name, password, with_it=[event])
        # The link is used up with the membership: who is cut off between the two opens it again.
        await take(self.members, self.links, link, account)
        return account

    async def accept_as(self, account: Account, token: str) -> None:
        """The same for an account that is there. Raises NotFound, Forbidden."""
        link = self._offer(token)
        if link.email not in ("", account.email):
            raise Forbidden("The invitation is for another e-mail address.", remedy="Sign in as that person.")
        await take(self.members, self.links, link, account)

    async def recover(self, token: str, password: str) -> Account:
        """Set a new password; all sessions end, and whatever else let somebody in, who may have been another.
        Raises NotFound, InvalidParams, Busy."""
        link = self.links.find(token)
        if link is None or link.kind != RECOVER:
            raise ended()
        account = self._living(link.account)
        op = await self.accounts.setting_password(account, password)
        event = self._told(link, "password.recovered", account.email)
        doors: list[Op] = [(DROP_PASSKEYS, (account.id,)), (DROP_IDENTITIES, (account.id,))]
        try:
            await self.sessions.end_all(account.id, self.links.using(link, account.id), op, event, *doors)
        except Refusal:
            raise ended() from None
        # Whoever had the account may have let programs act for it.
        for org, _ in self.members.orgs(account.id):
            principal = self.members.principal(account.id, org)
            if principal is not None:
                await self.on_recovered(principal)
        return account

    def offered(self, token: str) -> Link | None:
        """The living link of an invitation."""
        link = self.links.find(token)
        return link if link is not None and link.kind in (ADMIN, INVITE) else None

    def recovering(self, token: str) -> bool:
        """Whether that is a living link for a new password."""
        link = self.links.find(token)
        return link is not None and link.kind == RECOVER

    def links_of(self, by: Principal) -> list[Link]:
        """Links that the caller governs. Raises Forbidden."""
        if by.may(Permission.MANAGE_PLATFORM):
            return self.links.listed("")
        if not by.may(Permission.MANAGE_MEMBERS):
            raise Forbidden("Links are for those who manage members.", remedy="Ask an admin.")
        return self.links.listed(by.org)

    async def drop_link(self, by: Principal, link_id: str) -> None:
        """End a link. Raises NotFound, Forbidden."""
        link = next((each for each in self.links_of(by) if each.id == link_id), None)
        if link is None:
            raise NotFound(f"There is no link {link_id[:60]!r}.", remedy="See `a2a link ls`.")
        event = change(by.org_no, self._clock.now(), by.label, "link.revoked", link.id, link=link.kind)
        await self.links.drop(link, event)

    # --- other people's sessions --------------------------------------------------------------------

    def governed(self, by: Principal, email: str) -> Account:
        """The account of a person whose sessions the caller may see and end: their own, those of
        members who are nowhere else, for the platform's admins anybody's. Raises NotFound."""
        account = self.accounts.by_email(email or by.name)
        if account is not None:
            me = self.members.principal(account.id, by.org)
            own = me is not None and me.no == by.no
            if own or self._alone(by, account) or by.may(Permission.MANAGE_PLATFORM):
                return account
        raise NotFound("There is no such account that is yours to see.", remedy="Name one with --account.")

    async def end_of(self, by: Principal, account: Account, session_id: str) -> bool:
        """End a session of an account that `governed` gave; "" ends all."""
        event = change(
            by.org_no,
            self._clock.now(),
            by.label,
            "session.ended",
            session_id or "all",
            account=account.email,
        )
        if session_id:
            return await self.sessions.end(account.id, session_id, event)
        await self.sessions.end_all(account.id, event)
        return True

    # --- the house ----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Clear away what has ended."""
        self.sessions.sweep()
        self.links.sweep()

    async def close(self) -> None:
        """Let go of threads and connections; mail that is under way is sent."""
        if self._posting:
            await asyncio.wait(self._posting, timeout=2)
        self.accounts.close()
        if self.provider is not None:
            await self.provider.close()

    # --- inside -------------------------------------------------------------------------------------

    def _may_try(self, name: str, where: Where) -> None:
        wait = self._throttle.wait(name, where.address)
        if wait > 0:
            raise Busy(
                "There were too many attempts that failed.",
                remedy=f"Wait {int(wait) + 1} seconds, then try again.",
                retry_after=int(wait) + 1,
            )

    def _living(self, account_id: str) -> Account:
        account = self.accounts.by_id(account_id)
        if account is None:
            raise Unauthenticated("There is no such account any more.", remedy="Ask an admin.")
        return account

    def _offer(self, token: str) -> Link:
        link = self.offered(token)
        if link is None:
            raise ended()
        return link

    async def _linked(
        self,
        by: Principal,
        kind: str,
        *,
        org: str,
        role: str,
        email: str,
        account: str = "",
        instead: bool = True,
    ) -> tuple[Link, str]:
        at = self._clock.now()
        org_no = self._org_no(org)
        if org_no is None:
            raise NotFound(f"There is no organisation {org[:60]!r}.", remedy="See `a2a orgs ls`.")
        event = change(org_no, at, by.label, f"link.{kind}", email or org, role=role)
        return await self.links.make(
            kind, event, org=org, role=role, email=email, by=by.label, account=account, instead=instead
        )

    def _operates(self, by: Principal) -> bool:
        """Whether somebody has the machine: the key in the data folder."""
        return by.key_id != "" and by.key_id == self._operator

    def _alone(self, by: Principal, account: Account) -> bool:
        """Whether the person came with an organisation whose members `by` manages, and is in no other."""
        return by.may(Permission.MANAGE_MEMBERS) and self.members.came_with(account.id, by.org)

    def _home(self, account_id: str) -> int:
        principal = self.members.principal(account_id)
        return principal.org_no if principal is not None else self._org_no(DEFAULT_ORG) or 0

    def _event(self, session: Session, kind: str, target: str) -> Op:
        by = session.principal.label if session.principal is not None else session.account_id
        return change(self._home(session.account_id), self._clock.now(), by, kind, target)

    def _told(self, link: Link, kind: str, target: str, **detail: str) -> Op:
        return change(self._org_no(link.org) or 0, self._clock.now(), link.made_by, kind, target, **detail)


async def _nothing(_principal: Principal) -> None: ...


def stale() -> Forbidden:
    """That a sign-in is too old for what changes how one signs in."""
    return Forbidden("Sign in again before you change this.", info={"again": "1"})
