"""Who may give and take what in an organisation: nobody gives more than they have, only owners make and
unmake owners, and an organisation that has an owner keeps one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from a2a_cloud.model.principal import DEFAULT_ORG, PERMISSIONS, Permission, Principal, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound

#: Words of an organisation's own, which skills ask for (control/registry/skills.py).
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KNOWN = frozenset(each.value for each in Permission)
_MOST_PERMISSIONS = 100


def manages(by: Principal, org_no: int) -> bool:
    """Whether `by` governs the members of an organisation: their own, or any for who runs the platform."""
    if by.org_no == org_no:
        return by.may(Permission.MANAGE_MEMBERS)
    return by.may(Permission.MANAGE_PLATFORM)


def check_manages(by: Principal, org_no: int) -> None:
    """Raises NotFound for another organisation, Forbidden for one's own."""
    if manages(by, org_no):
        return
    if by.org_no != org_no:
        raise NotFound("There is no such organisation.", remedy="See `a2a orgs ls`.")
    raise Forbidden(
        "Members are managed by who may manage members.",
        remedy="Ask an owner or admin of your organisation.",
        info={"permission": Permission.MANAGE_MEMBERS.value},
    )


def owns(by: Principal, org_no: int) -> bool:
    """Whether `by` may make and unmake owners: an owner, or for other organisations who runs the platform."""
    if by.org_no != org_no:
        return by.may(Permission.MANAGE_PLATFORM)
    return by.role == Role.OWNER and by.may(Permission.MANAGE_MEMBERS)


def check_gives(by: Principal, org_no: int, role: str, permissions: Iterable[str]) -> None:
    """Raises Forbidden unless `by`, who manages members, may give a role with these permissions."""
    if role == Role.OWNER and not owns(by, org_no):
        raise Forbidden("Only an owner makes owners.", remedy="Give the role admin, or ask an owner.")
    if by.org_no != org_no:
        return
    for each in permissions:
        if each == Permission.MANAGE_PLATFORM and by.org != DEFAULT_ORG:
            continue  # It counts for nothing there.
        if not by.holds(each):
            raise Forbidden(
                f"Nobody gives more than they have: {each} is not among yours.",
                remedy="Give a role with less, or ask somebody who has it.",
                info={"permission": each},
            )


def check_role_name(name: str) -> None:
    """Raises InvalidParams for what can't be the name of a role of an organisation's own."""
    if not _ROLE.fullmatch(name):
        raise InvalidParams(
            f"{name[:80]!a} is no name for a role.",
            remedy="Use small letters, digits, `-` and `_`, a letter first, 63 at most.",
            info={"field": "name"},
        )
    if name in PERMISSIONS:
        raise InvalidParams(
            f"{name} is a role that every organisation has.", remedy="Choose another name.",
            info={"field": "name"},
        )  # fmt: skip


def check_permissions(permissions: Iterable[str]) -> frozenset[str]:
    """Permissions and words as a role holds them. Raises InvalidParams."""
    found = frozenset(permissions)
    if not 0 < len(found) <= _MOST_PERMISSIONS:
        raise InvalidParams(
            f"A role has 1 to {_MOST_PERMISSIONS} permissions.",
            remedy=f"The platform's are {', '.join(sorted(_KNOWN))}; skills may ask for words of your own.",
            info={"field": "permissions"},
        )
    for each in found:
        if not _WORD.fullmatch(each):
            raise InvalidParams(
                f"{each[:80]!a} is no permission.",
                remedy=f"Write one of {', '.join(sorted(_KNOWN))}, or a word that a skill asks for.",
                info={"field": "permissions"},
            )
    return found
