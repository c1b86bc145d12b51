"""Whose rows a storage call may touch: every query names one."""

from __future__ import annotations

from msgspec import Struct

from a2a_cloud.model.principal import Permission, Principal


class Scope(Struct, frozen=True):
    """Rows of one organisation (`org`), of one owner in it (`owner` not None), or all (`system`).

    `system` is for the platform's own work (recovery, migration) and is never made from a request.
    Numbers are those of `Principal`.
    """

    org: int
    owner: int | None = None
    system: bool = False


SYSTEM = Scope(org=-1, system=True)


def owner_scope(principal: Principal, org_no: int) -> Scope:
    """What `principal` may see as the owner of rows in organisation `org_no`: their own."""
    return Scope(org=org_no, owner=principal.no)


def reader_scope(principal: Principal, org_no: int) -> Scope:
    """What `principal` may see in organisation `org_no`: all of it with READ_RUNS, else their own."""
    if principal.may(Permission.READ_RUNS) and principal.org_no == org_no:
        return Scope(org=org_no)
    return owner_scope(principal, org_no)


def manager_scope(principal: Principal, org_no: int) -> Scope:
    """What `principal` may change in organisation `org_no`: all of it with MANAGE_RUNS, else their own."""
    if principal.may(Permission.MANAGE_RUNS) and principal.org_no == org_no:
        return Scope(org=org_no)
    return owner_scope(principal, org_no)
