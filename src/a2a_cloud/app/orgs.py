"""Organisations tied to accounts, keys and the log; and who a principal is that is known by number alone."""

from __future__ import annotations

import sqlite3

from a2a_cloud.control.identity.keys import Committer, Identity
from a2a_cloud.control.orgs.access import Access
from a2a_cloud.control.orgs.members import Members
from a2a_cloud.control.orgs.orgs import Orgs
from a2a_cloud.control.orgs.ports import Accounts
from a2a_cloud.control.orgs.roles import Roles
from a2a_cloud.control.orgs.rows import OrgRows
from a2a_cloud.control.orgs.scim import Scim
from a2a_cloud.control.orgs.scim_rows import ScimRows
from a2a_cloud.control.orgs.teams import Teams
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.surface.orgs_port import Organisations


class Tied:
    """What `tie` made: `all` for the surface, `members` for whoever lets people in; and who has a number."""

    def __init__(self, every: Organisations, members: Members, identity: Identity) -> None:
        self.all = every
        self.members = members
        self.by_no = identity.by_no

    def rights(self, no: int) -> Principal | None:
        """The principal with that number, with the rights that they have now."""
        base = self.by_no(no)
        return base if base is None or base.anonymous else self.members.rights(base)


def tie(
    connection: sqlite3.Connection,
    journal: Committer,
    clock: Clock,
    entropy: Entropy,
    ids: Ids,
    identity: Identity,
    accounts: Accounts,
) -> Tied:
    """Organisations, with roles of their own known to who checks keys."""
    rows = OrgRows(connection)
    roles = Roles(rows, journal, clock)
    identity.roles = roles.permissions
    members = Members(rows, journal, clock, roles, accounts, identity)
    identity.rights = members.rights
    teams = Teams(rows, journal, clock, ids, roles, members)
    scim_rows = ScimRows(connection)
    every = Organisations(
        orgs=Orgs(rows, clock, identity, accounts, members),
        members=members,
        roles=roles,
        teams=teams,
        scim=Scim(scim_rows, journal, clock, entropy, identity, accounts, roles, members, teams),
        access=Access(members, identity),
    )
    return Tied(every, members, identity)
