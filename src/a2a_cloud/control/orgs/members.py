"""Members: which accounts belong to an organisation, in which role, and who they are there.

A member's principal is named by their e-mail address, so that what they own has a name. Who leaves, or is no
longer active, is let in nowhere from the next request on: their principal is forgotten, their keys end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from a2a_cloud.control.orgs import rules
from a2a_cloud.control.orgs.ports import Account, Accounts, Committer, Numbers
from a2a_cloud.control.orgs.roles import Roles
from a2a_cloud.control.orgs.rows import DROP_MEMBER, LEAVE_TEAMS, PUT_MEMBER, OrgRows
from a2a_cloud.model.org import Member
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import MAX_PRIORITY, PERMISSIONS, Permission, Principal, Role
from a2a_cloud.model.problem import AlreadyExists, Forbidden, InvalidRequest, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op, Refusal
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.storage.sql.statements import REVOKE_KEY

#: Members that are kept in memory; others are read again.
_KEPT = 10_000
#: Seconds between an account and its membership that were made together.
_MADE_FOR = 3600.0


class Person(NamedTuple):
    """A member with their account and teams, as people read them."""

    member: Member
    account: Account
    teams: tuple[str, ...]


class Members:
    """See the module. `on_change` hears the number of each principal that may do something else now."""

    def __init__(
        self,
        rows: OrgRows,
        journal: Committer,
        clock: Clock,
        roles: Roles,
        accounts: Accounts,
        numbers: Numbers,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._roles = roles
        self._accounts = accounts
        self._numbers = numbers
        self._known: dict[tuple[str, str], Principal] = {}
        self._lock = asyncio.Lock()
        self.on_change: list[Callable[[int], None]] = []
        #: What else ends with a membership, in the same write: (organisation, e-mail address) -> that.
        self.on_end: Callable[[str, str], Sequence[Op]] = lambda _org, _email: ()
        roles.changed = self._all_changed

    # --- who they are -----------------------------------------------------------------------------------

    def principal(self, account_id: str, org: str = "") -> Principal | None:
        """Who an account is in an organisation ("": the first that it came to); None when it is nobody."""
        known = self._known.get((account_id, org))
        if known is not None:
            return known
        found = self._active(account_id, org)
        if found is None:
            return None
        principal = self._made(found)
        if principal is not None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[account_id, org] = principal
        return principal

    def orgs(self, account_id: str) -> list[tuple[str, str]]:
        """(organisation, role) of an account, as it came there."""
        found = self._rows.memberships(SYSTEM, account_id)
        return [(self._numbers.org_name(one.org), one.role) for one in found if one.active]

    def suspended(self, account_id: str) -> list[str]:
        """The organisations that let an account in no more, and may again."""
        found = self._rows.memberships(SYSTEM, account_id)
        return [self._numbers.org_name(one.org) for one in found if not one.active]

    def role(self, org_no: int, name: str) -> frozenset[str] | None:
        """What a role of an organisation allows; None when there is none of that name."""
        return self._roles.permissions(org_no, name)

    def rights(self, principal: Principal) -> Principal:
        """A principal that is known by number alone, with the rights that they have now: a member's, else
        those of the role that allows most among their keys'; of somebody with neither, a plain member's."""
        scope = Scope(org=principal.org_no, owner=principal.no)
        member = self._rows.of_principal(scope, principal.no)
        if member is not None:
            none = msgspec.structs.replace(principal, permissions=frozenset())
            return (self._made(member) or none) if member.active else none
        roles = [
            (name, self._roles.permissions(principal.org_no, name) or frozenset[str]())
            for name in self._rows.key_roles(scope, self._clock.now())
        ]
        if not roles:
            return principal
        name, allowed = max(roles, key=lambda each: len(each[1]))
        return msgspec.structs.replace(principal, role=name, permissions=allowed)

    def _active(self, account_id: str, org: str) -> Member | None:
        if not org:
            found = self._rows.memberships(SYSTEM, account_id)
            return next((one for one in found if one.active), None)
        org_no = self._numbers.org_no(org)
        member = self._rows.member(Scope(org=org_no), account_id) if org_no is not None else None
        return member if member is not None and member.active else None

    def _made(self, member: Member) -> Principal | None:
        base = self._numbers.by_no(member.principal)
        if base is None:
            return None
        allowed = self._allowed(member)
        plain = member.role in PERMISSIONS and allowed == PERMISSIONS[Role(member.role)]
        return msgspec.structs.replace(
            base,
            role=member.role,
            priority=MAX_PRIORITY if Permission.MANAGE_KEYS in allowed else 0,
            permissions=None if plain else allowed,
        )

    def _allowed(self, member: Member, but: str = "") -> frozenset[str]:
        allowed = self._roles.permissions(member.org, member.role) or frozenset[str]()
        for team in self._rows.teams_of(Scope(org=member.org), member.account):
            if team.role and team.id != but:
                allowed |= self._roles.permissions(member.org, team.role) or frozenset[str]()
        return allowed

    # --- what people see --------------------------------------------------------------------------------

    def listed(self, org_no: int) -> list[Person]:
        """The members of an organisation, as they came."""
        scope = Scope(org=org_no)
        inside: dict[str, list[str]] = {}
        for team in self._rows.teams(scope):
            for account in team.members:
                inside.setdefault(account, []).append(team.name)
        found: list[Person] = []
        for member in self._rows.members(scope):
            account = self._accounts.by_id(member.account)
            if account is not None:
                found.append(Person(member, account, tuple(inside.get(member.account, ()))))
        return found

    def one(self, org_no: int, who: str) -> Person:
        """A member by e-mail address or account. Raises NotFound."""
        account = self._accounts.by_email(who) if "@" in who else self._accounts.by_id(who)
        scope = Scope(org=org_no)
        member = self._rows.member(scope, account.id) if account is not None else None
        if account is None or member is None:
            raise NotFound(f"There is no member {who[:127]!a}.", remedy="See `a2a members ls`.")
        return Person(member, account, tuple(team.name for team in self._rows.teams_of(scope, account.id)))

    # --- changes ----------------------------------------------------------------------------------------

    async def join(
        self, account_id: str, org: str, role: str, by: str, *, also: Sequence[Op] = ()
    ) -> Principal:
        """Make an account a member: what an invitation, a directory or the first start does; who may was
        checked then. Who is one already keeps their role. `also` is written with it. Raises NotFound,
        InvalidParams."""
        org_no = self._numbers.org_no(org)
        account = self._accounts.by_id(account_id)
        if org_no is None or account is None:
            raise NotFound("There is no such organisation or account.")
        self._roles.check(org_no, role)
        async with self._lock:
            scope, now = Scope(org=org_no), self._clock.now()
            old = self._rows.member(scope, account_id)
            if old is not None and old.active:
                if also:
                    await self._journal.write(also)
            else:
                no = (await self._numbers.ensure(org, account.email)).no
                kind = "member.added" if old is None else "member.activated"
                event = change(org_no, now, by, kind, account.email, role=role, account=account_id)
                row = (org_no, account_id, no, role, 1, now, by)
                try:
                    await self._journal.write([(PUT_MEMBER, row), event, *also])
                except Refusal:
                    raise AlreadyExists(f"Somebody else is {account.email} in {org} already.") from None
                self._forget(account_id, no)
        made = self.principal(account_id, org)
        assert made is not None
        return made

    def check_invites(self, by: Principal, org_no: int, role: str) -> None:
        """Whether `by` may let somebody in with that role. Raises NotFound, Forbidden, InvalidParams."""
        rules.check_manages(by, org_no)
        rules.check_gives(by, org_no, role, self._roles.check(org_no, role))

    def check_recovers(self, by: Principal, account_id: str) -> None:
        """Whether `by` could make somebody all that an account is, by role and teams, also where it is
        suspended: who sets its password may be it. Raises NotFound, Forbidden."""
        for member in self._rows.memberships(SYSTEM, account_id):
            rules.check_manages(by, member.org)
            rules.check_gives(by, member.org, member.role, self._allowed(member))

    def came_with(self, account_id: str, org: str) -> bool:
        """Whether an account was made for an organisation, and belongs to no other: one that was there
        before is not that organisation's to open, even if it was let in there."""
        account, found = self._accounts.by_id(account_id), self._rows.memberships(SYSTEM, account_id)
        return (
            account is not None
            and [self._numbers.org_name(one.org) for one in found] == [org]
            and found[0].created - account.created < _MADE_FOR
        )

    async def add(self, by: Principal, org_no: int, email: str, role: str) -> Person:
        """Make who has an account already a member, unasked: for who runs the platform. Others invite, and
        learn nothing of who has an account. Raises as `check_invites`, NotFound for no account."""
        self.check_invites(by, org_no, role)
        if not by.may(Permission.MANAGE_PLATFORM):
            raise Forbidden(
                "People come to your organisation by an invitation.",
                remedy=f"Send one: a2a link invite E-MAIL --role {role}",
            )
        account = self._accounts.by_email(email)
        if account is None:
            raise NotFound(f"Nobody has an account with {email[:127]!a}.", remedy="Send them an invitation.")
        if self._rows.member(Scope(org=org_no), account.id) is not None:
            raise AlreadyExists(f"{account.email} is a member already.", remedy="Change their role instead.")
        await self.join(account.id, self._numbers.org_name(org_no), role, by.label)
        return self.one(org_no, account.id)

    async def change(
        self,
        by: Principal,
        org_no: int,
        who: str,
        *,
        role: str | None = None,
        active: bool | None = None,
        also: Sequence[Op] = (),
    ) -> Person:
        """Give a member another role, let them in no more, or again. Raises NotFound, Forbidden,
        InvalidParams, InvalidRequest."""
        rules.check_manages(by, org_no)
        async with self._lock:
            old = self.one(org_no, who).member
            wanted = old.role if role is None else role
            on = old.active if active is None else active
            allowed = self._roles.check(org_no, wanted)
            if wanted != old.role or (on and not old.active):
                if on and not old.active:  # With what their teams give.
                    allowed |= self._allowed(msgspec.structs.replace(old, role=wanted))
                rules.check_gives(by, org_no, wanted, allowed)
            self._check_takes(by, old, ends=wanted != Role.OWNER or not on)
            if (wanted, on) != (old.role, old.active) or also:
                await self._write_change(by, old, wanted, on, who, also)
        self._forget(old.account, old.principal)
        return self.one(org_no, who)

    async def _write_change(
        self, by: Principal, old: Member, role: str, active: bool, who: str, also: Sequence[Op]
    ) -> None:
        now = self._clock.now()
        email = self.one(old.org, who).account.email
        row = (old.org, old.account, old.principal, role, int(active), old.created, old.added_by)
        ops: list[Op] = [(PUT_MEMBER, row), *also]
        if role != old.role:
            ops.append(change(old.org, now, by.label, "member.role", email, role=role, before=old.role))
            ops += self._outgrown(by, msgspec.structs.replace(old, role=role), now)
        if active != old.active:
            kind = "member.activated" if active else "member.suspended"
            ops.append(change(old.org, now, by.label, kind, email))
            if not active:
                ops.append(self._numbers.end_keys(old.org, old.principal))
                ops += self.on_end(self._numbers.org_name(old.org), email)
        await self._journal.write(ops)

    def without(self, by: Principal, org_no: int, account: str, team: str, now: float) -> list[Op]:
        """What ends those of a member's keys that may do more than the member does without a team."""
        member = self._rows.member(Scope(org=org_no), account)
        return self._outgrown(by, member, now, team) if member is not None else []

    def _outgrown(self, by: Principal, member: Member, now: float, but: str = "") -> list[Op]:
        """What ends those of a member's keys that may do more than the member from now on, without the team
        `but`."""
        allowed, ops = self._allowed(member, but), list[Op]()
        for _, key in self._numbers.behind_keys(member.org):
            if key.no == member.principal and any(
                key.may(each) and each not in allowed for each in Permission
            ):
                ops.append((REVOKE_KEY, (now, member.org, key.key_id)))
                ops.append(change(member.org, now, by.label, "key.revoked", key.key_id, reason="role"))
        return ops

    async def remove(self, by: Principal, org_no: int, who: str, *, also: Sequence[Op] = ()) -> Person:
        """Who leaves keeps nothing but what they own; anybody may leave themselves. Raises NotFound,
        Forbidden, InvalidRequest."""
        async with self._lock:
            person = self._seen(by, org_no, who)
            member = person.member
            if member.principal != by.no:
                rules.check_manages(by, org_no)
            self._check_takes(by, member, ends=True)
            now = self._clock.now()
            await self._journal.write(
                [
                    (LEAVE_TEAMS, (org_no, member.account)),
                    (DROP_MEMBER, (org_no, member.account)),
                    self._numbers.end_keys(org_no, member.principal),
                    change(org_no, now, by.label, "member.removed", person.account.email, role=member.role),
                    *self.on_end(self._numbers.org_name(org_no), person.account.email),
                    *also,
                ]
            )
        self._forget(member.account, member.principal)
        return person

    def _seen(self, by: Principal, org_no: int, who: str) -> Person:
        """A member, for who may know that they are one. Raises NotFound, Forbidden."""
        if not rules.manages(by, org_no):
            own = self._rows.of_principal(Scope(org=org_no), by.no) if by.org_no == org_no else None
            account = self._accounts.by_id(own.account) if own is not None else None
            if own is None or account is None or who not in (account.id, account.email):
                rules.check_manages(by, org_no)
        return self.one(org_no, who)

    def _check_takes(self, by: Principal, member: Member, *, ends: bool) -> None:
        if member.role != Role.OWNER:
            return
        if member.principal != by.no and not rules.owns(by, member.org):
            raise Forbidden("Only an owner changes owners.", remedy="Ask an owner.")
        if ends and member.active and self._rows.owners(Scope(org=member.org)) < 2:
            raise InvalidRequest(
                "An organisation keeps its last owner.", remedy="Make somebody else an owner first."
            )

    # --- what is kept -----------------------------------------------------------------------------------

    def forget(self, org_no: int, account: str) -> None:
        """What a member may do has changed, as by a team."""
        member = self._rows.member(Scope(org=org_no), account)
        if member is not None:
            self._forget(account, member.principal)

    def _forget(self, account: str, principal: int) -> None:
        for key in [key for key in self._known if key[0] == account]:
            del self._known[key]
        self._numbers.forget(principal=principal)
        for told in self.on_change:
            told(principal)

    def _all_changed(self, org_no: int) -> None:
        self._numbers.forget(org_no=org_no)
        for member in self._rows.members(Scope(org=org_no)):
            self._forget(member.account, member.principal)
