"""Directories: users and groups that another system provisions over SCIM. A user is a member of the
organisation, under their account's id; a group is a team. A directory's token says which organisation it is
for and which role those get whom it brings; who is an owner, and what a team's role is, people decide.

A directory never changes an account: its e-mail address and its password are the person's own, who may
belong to other organisations too. It suspends and ends memberships.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

from a2a_cloud.control.orgs import rules
from a2a_cloud.control.orgs.members import Members, Person
from a2a_cloud.control.orgs.ports import Accounts, Committer, Numbers
from a2a_cloud.control.orgs.roles import Roles
from a2a_cloud.control.orgs.scim_rows import (
    ADD_TOKEN,
    DROP_TOKEN,
    DROP_USER,
    PUT_USER,
    ScimRows,
    TokenRow,
    UserRow,
)
from a2a_cloud.control.orgs.teams import Teams
from a2a_cloud.model.org import Team
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import Permission, Principal, Role
from a2a_cloud.model.problem import AlreadyExists, InvalidParams, NotFound, Unauthenticated
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change

MAX_TOKENS = 5
_TOKEN = re.compile(r"a2a_scim_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")
#: What a directory's principal may do: it fills teams that people gave a role. It makes no owners.
_PERMISSIONS = frozenset(Permission)
#: No row names a directory.
_NO = -1


class DirectoryUser(NamedTuple):
    """A member as a directory sees them. `said` None: the directory has said nothing of them yet."""

    person: Person
    said: UserRow | None
    teams: tuple[Team, ...]


class Scim:
    """See the module."""

    def __init__(
        self,
        rows: ScimRows,
        journal: Committer,
        clock: Clock,
        entropy: Entropy,
        numbers: Numbers,
        accounts: Accounts,
        roles: Roles,
        members: Members,
        teams: Teams,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._numbers = numbers
        self._accounts = accounts
        self._roles = roles
        self._members = members
        self._teams = teams
        self._lock = asyncio.Lock()

    # --- tokens -----------------------------------------------------------------------------------------

    async def make_token(self, by: Principal, org_no: int, role: str = Role.MEMBER) -> tuple[TokenRow, str]:
        """A token and its secret, which nobody sees again. Raises Forbidden, NotFound, InvalidParams."""
        rules.check_manages(by, org_no)
        if role == Role.OWNER:
            raise InvalidParams("A directory makes nobody an owner.", info={"field": "role"})
        # Who has the token fills teams, and so gives what those have: everything that a directory may.
        rules.check_gives(by, org_no, role, self._roles.check(org_no, role) | _PERMISSIONS)
        if len(self._rows.tokens(Scope(org=org_no))) >= MAX_TOKENS:
            raise InvalidParams(f"An organisation has {MAX_TOKENS} tokens for directories at most.")
        now = self._clock.now()
        row = TokenRow(self._entropy.bytes(6).hex(), org_no, role, now, by.label)
        drawn = base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")
        token = f"a2a_scim_{row.id}_{drawn}"
        digest = hashlib.sha256(token.encode()).digest()
        await self._journal.write(
            [
                (ADD_TOKEN, (row.id, org_no, digest, role, now, by.label)),
                change(org_no, now, by.label, "scim.token_made", row.id, role=role),
            ]
        )
        return row, token

    def tokens(self, by: Principal, org_no: int) -> list[TokenRow]:
        """Raises Forbidden, NotFound."""
        rules.check_manages(by, org_no)
        return self._rows.tokens(Scope(org=org_no))

    async def drop_token(self, by: Principal, org_no: int, token_id: str) -> None:
        """Raises Forbidden, NotFound."""
        if token_id not in {row.id for row in self.tokens(by, org_no)}:
            raise NotFound(f"There is no token {token_id[:40]!a}.", remedy="See `a2a scim ls`.")
        event = change(org_no, self._clock.now(), by.label, "scim.token_removed", token_id)
        await self._journal.write([(DROP_TOKEN, (org_no, token_id)), event])

    def authenticate(self, token: str) -> tuple[Principal, str]:
        """The directory behind a token, and the role that it gives. Raises Unauthenticated."""
        row = None
        if _TOKEN.fullmatch(token):
            row = self._rows.token(SYSTEM, hashlib.sha256(token.encode()).digest())
        if row is None:
            raise Unauthenticated(
                "This is no token of a directory.",
                remedy="Send one as Authorization: Bearer TOKEN; `a2a scim create` makes it.",
            )
        org = self._numbers.org_name(row.org)
        name = f"scim:{row.id}"
        return Principal(_NO, row.org, name, org, role="directory", permissions=_PERMISSIONS), row.role

    # --- users ------------------------------------------------------------------------------------------

    def users(self, by: Principal) -> list[DirectoryUser]:
        """All members of the directory's organisation."""
        scope = Scope(org=by.org_no)
        said = self._rows.users(scope)
        inside: dict[str, list[Team]] = {}
        for team in self._teams.listed(by.org_no):
            for account in team.members:
                inside.setdefault(account, []).append(team)
        return [
            DirectoryUser(one, said.get(one.account.id), tuple(inside.get(one.account.id, ())))
            for one in self._members.listed(by.org_no)
        ]

    def user(self, by: Principal, user_id: str) -> DirectoryUser:
        """Raises NotFound."""
        person = self._members.one(by.org_no, user_id) if "@" not in user_id else None
        if person is None:
            raise NotFound("There is no such user.")
        teams = [team for team in self._teams.listed(by.org_no) if person.account.id in team.members]
        return DirectoryUser(person, self._rows.user(Scope(org=by.org_no), person.account.id), tuple(teams))

    async def add(
        self,
        by: Principal,
        role: str,
        *,
        user_name: str,
        email: str,
        shown: str,
        external: str,
        active: bool,
        body: dict[str, Any],
    ) -> DirectoryUser:
        """Raises AlreadyExists, InvalidParams."""
        async with self._lock:
            if any(_name(one).lower() == user_name.lower() for one in self.users(by)):
                raise AlreadyExists(f"There is a user {user_name[:80]!a} already.")
            account = self._accounts.by_email(email)
            if account is None:
                account = await self._accounts.create(email, shown)
            elif any(one.person.account.id == account.id for one in self.users(by)):
                raise AlreadyExists(f"{email[:127]} is a member already.")
            row = self._row(by, account.id, user_name, external, body)
            await self._members.join(account.id, by.org, role, by.label, also=[(PUT_USER, row)])
            if not active:
                await self._members.change(by, by.org_no, account.id, active=False)
        return self.user(by, account.id)

    async def change(
        self,
        by: Principal,
        user_id: str,
        *,
        user_name: str,
        external: str,
        active: bool,
        body: dict[str, Any],
    ) -> DirectoryUser:
        """Raises NotFound, AlreadyExists, Forbidden (owners are suspended by people)."""
        async with self._lock:
            old = self.user(by, user_id)
            if user_name.lower() != _name(old).lower() and any(
                _name(one).lower() == user_name.lower() for one in self.users(by)
            ):
                raise AlreadyExists(f"There is a user {user_name[:80]!a} already.")
            row = self._row(by, user_id, user_name, external, body)
            if active != old.person.member.active:
                await self._members.change(by, by.org_no, user_id, active=active, also=[(PUT_USER, row)])
            elif old.said is None or (row[2:5]) != (old.said.name, old.said.external, _dump(old.said.body)):
                email, now = old.person.account.email, self._clock.now()
                event = change(by.org_no, now, by.label, "scim.user_changed", email)
                await self._journal.write([(PUT_USER, row), event])
        return self.user(by, user_id)

    async def drop(self, by: Principal, user_id: str) -> None:
        """The membership ends; the account stays. Raises NotFound, Forbidden."""
        async with self._lock:
            self.user(by, user_id)
            await self._members.remove(by, by.org_no, user_id, also=[(DROP_USER, (by.org_no, user_id))])

    def _row(
        self, by: Principal, account: str, user_name: str, external: str, body: dict[str, Any]
    ) -> tuple[int, str, str, str, str, float]:
        return (by.org_no, account, user_name.lower(), external, _dump(body), self._clock.now())

    # --- groups -----------------------------------------------------------------------------------------

    def groups(self, by: Principal) -> list[Team]:
        """The teams of the directory's organisation."""
        return self._teams.listed(by.org_no)

    def group(self, by: Principal, group_id: str) -> Team:
        """Raises NotFound."""
        found = next((team for team in self.groups(by) if team.id == group_id), None)
        if found is None:
            raise NotFound("There is no such group.")
        return found

    async def put_group(
        self, by: Principal, group_id: str, name: str, external: str, members: Collection[str] | None
    ) -> Team:
        """A new group ("" for the id), or what it is from now on. Raises NotFound, AlreadyExists,
        InvalidParams."""
        if members is not None:
            known = {one.member.account for one in self._members.listed(by.org_no)}
            unknown = sorted(set(members) - known)
            if unknown:
                raise InvalidParams(
                    f"There is no user {unknown[0][:80]!a}.", info={"scimType": "invalidValue"}
                )
        if not group_id:
            made = await self._teams.make(by, by.org_no, name, external=external)
            group_id = made.id
        else:
            self.group(by, group_id)
        return await self._teams.change(
            by, by.org_no, group_id, name=name, external=external, members=members
        )

    async def drop_group(self, by: Principal, group_id: str) -> None:
        """Raises NotFound."""
        await self._teams.drop(by, by.org_no, self.group(by, group_id).id)


def _name(user: DirectoryUser) -> str:
    return user.said.name if user.said is not None else user.person.account.email


def _dump(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)
