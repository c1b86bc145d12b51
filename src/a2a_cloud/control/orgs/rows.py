"""What is stored of organisations: members, their own roles, teams, and the audit log as people read it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from a2a_cloud.model.org import Change, Member, Org, OrgRole, Team
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement
from a2a_cloud.storage.log.leaves import EVENT
from a2a_cloud.wire.log_event import event_bytes

PUT_MEMBER = Statement(
    "put_membership",
    "INSERT INTO membership(org, account, principal, role, active, created, added_by) VALUES(?,?,?,?,?,?,?)"
    " ON CONFLICT(org, account) DO UPDATE SET role=excluded.role, active=excluded.active",
    IN_ORDER,
)
DROP_MEMBER = Statement("drop_membership", "DELETE FROM membership WHERE org=? AND account=?", IN_ORDER)

PUT_ROLE = Statement(
    "put_org_role",
    "INSERT INTO org_role(org, name, description, permissions, created, made_by) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT(org, name) DO UPDATE SET description=excluded.description,"
    " permissions=excluded.permissions",
    IN_ORDER,
)
DROP_ROLE = Statement("drop_org_role", "DELETE FROM org_role WHERE org=? AND name=?", IN_ORDER)

PUT_TEAM = Statement(
    "put_team",
    "INSERT INTO team(id, org, name, role, external, created, changed, made_by) VALUES(?,?,?,?,?,?,?,?)"
    " ON CONFLICT(id) DO UPDATE SET name=excluded.name, role=excluded.role, external=excluded.external,"
    " changed=excluded.changed",
    IN_ORDER,
)
DROP_TEAM = Statement("drop_team", "DELETE FROM team WHERE org=? AND id=?", IN_ORDER)
JOIN_TEAM = Statement(
    "join_team", "INSERT INTO team_member(org, team, account) VALUES(?,?,?) ON CONFLICT DO NOTHING", IN_ORDER
)
LEAVE_TEAM = Statement("leave_team", "DELETE FROM team_member WHERE org=? AND team=? AND account=?", IN_ORDER)
EMPTY_TEAM = Statement("empty_team", "DELETE FROM team_member WHERE org=? AND team=?", IN_ORDER)
LEAVE_TEAMS = Statement("leave_teams", "DELETE FROM team_member WHERE org=? AND account=?", IN_ORDER)

_MEMBER = "SELECT org, account, principal, role, active, created, added_by FROM membership"
_ROLE = "SELECT org, name, description, permissions, created, made_by FROM org_role"
_TEAM = "SELECT id, org, name, role, external, created, changed, made_by FROM team"
_INSIDE = "(SELECT team FROM team_member WHERE org=?1 AND account=?2)"
_EVENT = f"SELECT no, leaf, salt, {EVENT} FROM audit_event INDEXED BY"  # noqa: S608
#: Events that a search for words looks at in one go; the next one goes on from there.
SEARCHED = 20_000
_SEARCHED_IN = ("kind", "caller", "target", "detail", "run", "grant_id", "operation", "reason")


class OrgRows:
    """Reads of committed rows; a scope names one organisation, but where it says otherwise."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    # --- organisations ----------------------------------------------------------------------------------

    def orgs(self, scope: Scope) -> list[Org]:
        """The organisation; all, for the platform's own scope."""
        if scope.system:
            return [Org(*row) for row in self._all("SELECT no, name, created FROM org ORDER BY name", ())]
        return [Org(*row) for row in self._all("SELECT no, name, created FROM org WHERE no=?", (scope.org,))]

    # --- members ----------------------------------------------------------------------------------------

    def members(self, scope: Scope) -> list[Member]:
        """The organisation's members, as they came."""
        return _members(self._all(f"{_MEMBER} WHERE org=? ORDER BY created, account", (_org(scope),)))

    def member(self, scope: Scope, account: str) -> Member | None:
        """The one with that account."""
        found = _members(self._all(f"{_MEMBER} WHERE org=? AND account=?", (_org(scope), account)))
        return found[0] if found else None

    def of_principal(self, scope: Scope, no: int) -> Member | None:
        """The one whose rows name this principal."""
        found = _members(self._all(f"{_MEMBER} WHERE org=? AND principal=?", (_org(scope), no)))
        return found[0] if found else None

    def memberships(self, scope: Scope, account: str) -> list[Member]:
        """Where an account belongs, as it came there. System only."""
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        return _members(self._all(f"{_MEMBER} WHERE account=? ORDER BY created, org", (account,)))

    def key_roles(self, scope: Scope, now: float) -> list[str]:
        """The roles of an owner's keys that are good."""
        sql = (
            "SELECT DISTINCT role FROM api_key WHERE org=? AND principal=? AND revoked IS NULL"
            " AND (expires IS NULL OR expires>?)"
        )
        return [row[0] for row in self._all(sql, (_org(scope), scope.owner, now))]

    def owners(self, scope: Scope) -> int:
        """How many active owners there are."""
        sql = "SELECT COUNT(*) FROM membership WHERE org=? AND role='owner' AND active=1"
        return int(self._all(sql, (_org(scope),))[0][0])

    # --- roles ------------------------------------------------------------------------------------------

    def roles(self, scope: Scope) -> list[OrgRole]:
        """The organisation's own, by name; all, for the platform's own scope."""
        if scope.system:
            return [_role(row) for row in self._all(_ROLE, ())]
        return [_role(row) for row in self._all(f"{_ROLE} WHERE org=? ORDER BY name", (scope.org,))]

    def role_in_use(self, scope: Scope, name: str) -> bool:
        """Whether a member, a team, a living key or a directory's token has it."""
        org = _org(scope)
        sql = (
            "SELECT 1 FROM membership WHERE org=?1 AND role=?2 UNION ALL SELECT 1 FROM team WHERE org=?1 AND"
            " role=?2 UNION ALL SELECT 1 FROM api_key WHERE org=?1 AND role=?2 AND revoked IS NULL"
            " UNION ALL SELECT 1 FROM scim_token WHERE org=?1 AND role=?2 LIMIT 1"
        )
        return bool(self._all(sql, (org, name)))

    # --- teams ------------------------------------------------------------------------------------------

    def teams(self, scope: Scope) -> list[Team]:
        """The organisation's teams by name, with their members."""
        org = _org(scope)
        inside: dict[str, list[str]] = {}
        sql = "SELECT team, account FROM team_member WHERE org=? ORDER BY team, account"
        for team, account in self._all(sql, (org,)):
            inside.setdefault(team, []).append(account)
        found = self._all(f"{_TEAM} WHERE org=? ORDER BY name", (org,))
        return [_team(row, inside.get(row[0], ())) for row in found]

    def team(self, scope: Scope, team_id: str) -> Team | None:
        """The one with that id."""
        org = _org(scope)
        found = self._all(f"{_TEAM} WHERE org=? AND id=?", (org, team_id))
        if not found:
            return None
        sql = "SELECT account FROM team_member WHERE org=? AND team=? ORDER BY account"
        return _team(found[0], [row[0] for row in self._all(sql, (org, team_id))])

    def team_named(self, scope: Scope, name: str) -> Team | None:
        """The one with that name."""
        found = self._all("SELECT id FROM team WHERE org=? AND name=?", (_org(scope), name))
        return self.team(scope, found[0][0]) if found else None

    def teams_of(self, scope: Scope, account: str) -> list[Team]:
        """The teams that an account is in, without their members."""
        sql = f"{_TEAM} WHERE org=?1 AND id IN {_INSIDE}"
        return [_team(row) for row in self._all(sql, (_org(scope), account))]

    # --- the audit log ----------------------------------------------------------------------------------

    def changes(
        self,
        scope: Scope,
        *,
        kind: str = "",
        by: str = "",
        run: str = "",
        grant: str = "",
        since: float = 0.0,
        until: float = 0.0,
        changes: bool = False,
        after: int = 0,
        limit: int = 100,
    ) -> list[Change]:
        """Events in their order, those after `after`, else the newest: of a run, of a grant, the `changes`
        that are of no run, or all. `kind` is a whole kind or its first word. Changes are few; of all the
        others only what an index leads to is looked through."""
        params: list[Any] = [_org(scope)]
        index, where = "audit_event_org", ""
        if run:
            index, where = "audit_event_run", " AND run=?"
            params.append(run)
        if grant:
            index = index if run else "audit_event_grant"
            where += " AND +grant_id=?" if run else " AND grant_id=?"
            params.append(grant)
        if not run and not grant and (changes or kind or by or since or until):
            index, where = "audit_event_change", " AND run=''"
        if kind:
            where += " AND (kind=? OR substr(kind, 1, ?)=?)"
            params += [kind, len(kind) + 1, f"{kind}."]
        if by:
            where += " AND caller=?"
            params.append(by)
        if since:
            where += " AND at>=?"
            params.append(since)
        if until:
            where += " AND at<?"
            params.append(until)
        if after:
            where += " AND no>? ORDER BY no LIMIT ?"
            params.append(after)
        else:
            where += " ORDER BY no DESC LIMIT ?"
        found = self._all(f"{_EVENT} {index} WHERE org=?{where}", (*params, limit))
        read = [_change(row) for row in found]
        return read if after else read[::-1]

    def search(self, scope: Scope, words: Sequence[str], before: int, limit: int) -> tuple[list[Change], int]:
        """(events that have all of the words, the newest first; where to go on, 0 at the end) among those
        before the number `before` (0: all). Letters are alike in both cases, within ASCII."""
        top = before or 1 << 62
        wanted = "".join(" AND instr(lower(text), lower(?))" for _ in words)
        first = self._all(
            "SELECT MIN(no) FROM (SELECT no FROM audit_event INDEXED BY audit_event_org WHERE org=? AND no<?"
            " ORDER BY no DESC LIMIT ?)",
            (_org(scope), top, SEARCHED),
        )[0][0]
        if first is None:
            return [], 0
        text = "||' '||".join(_SEARCHED_IN)
        found = self._all(
            f"SELECT no, leaf, salt, {EVENT} FROM (SELECT *, {text} AS text FROM audit_event"  # noqa: S608
            f" INDEXED BY audit_event_org WHERE org=? AND no<? AND no>=?) WHERE 1{wanted}"
            " ORDER BY no DESC LIMIT ?",
            (_org(scope), top, first, *words, limit),
        )
        read = [_change(row) for row in found]
        return read, read[-1].no if len(read) == limit else first


def _members(rows: Sequence[tuple[Any, ...]]) -> list[Member]:
    return [
        Member(org, account, principal, role, bool(active), created, by)
        for org, account, principal, role, active, created, by in rows
    ]


def _team(row: tuple[Any, ...], members: Sequence[str] = ()) -> Team:
    team_id, org, name, role, external, created, changed, by = row
    return Team(team_id, org, name, role, external, created, changed, by, tuple(members))


def _change(row: tuple[Any, ...]) -> Change:
    no, leaf, salt, at, kind, by, target, detail, run, grant, root, blocks, operation, allowed, reason = row
    digests = tuple(blocks.split())
    return Change(
        no, at, kind, by, target, detail, run, grant, root, digests, operation, bool(allowed), reason,
        leaf, salt, event_bytes(*row[3:]),
    )  # fmt: skip


def _role(row: tuple[Any, ...]) -> OrgRole:
    return OrgRole(row[0], row[1], row[2], frozenset(json.loads(row[3])), row[4], row[5])


def _org(scope: Scope) -> int:
    if scope.system:
        raise Internal("Rows of an organisation were asked for without it.")
    return scope.org
