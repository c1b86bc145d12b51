"""What a new key may be: a role that there is, scopes that are words, and no more than its maker may do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from a2a_cloud.model.principal import PERMISSIONS, Permission, Principal, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams

#: Scopes that one key may have.
MOST_SCOPES = 64
_AGENT = re.compile(
    r"agent:(?:[a-z0-9][a-z0-9_-]{0,62}\.)?[a-z][a-z0-9_-]{0,62}(?:/[A-Za-z][A-Za-z0-9_.-]{0,62})?"
)
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,63}(?:\.[a-z0-9_-]{1,63}){1,3}")


def read_scopes(scopes: Iterable[str], words: frozenset[str]) -> frozenset[str]:
    """The scopes of a key as they are kept. `words`: those of the organisation's own that its roles have.
    Raises InvalidParams."""
    found = frozenset(scopes)
    if not found:
        raise InvalidParams(
            "A key without any scope would open nothing.",
            remedy="Leave `scopes` out for a key that is not narrowed, or name at least one.",
            info={"field": "scopes"},
        )
    if len(found) > MOST_SCOPES:
        raise InvalidParams(f"A key has at most {MOST_SCOPES} scopes.", info={"field": "scopes"})
    known = words | frozenset(str(one) for one in Permission)
    for scope in found:
        if scope in known or _AGENT.fullmatch(scope):
            continue
        near = difflib.get_close_matches(scope[:100], sorted(known), 1)
        # A skill may ask for a word that no role has yet; a slip of the pen in a permission is none.
        if _WORD.fullmatch(scope) and not near:
            continue
        raise InvalidParams(
            f"{scope[:100]!r} is no scope.",
            remedy=f"Did you mean {near[0]}?"
            if near
            else "Write agent:NAME, agent:NAME/SKILL, or a permission such as runs.read (docs/keys.md).",
            info={"field": "scopes"},
        )
    return found


def check_name(by: Principal, who: Principal) -> None:
    """Raises Forbidden when `by` makes no key in the name of `who`, given with the rights that they have now:
    of somebody who is suspended; of an owner, for others than owners, whose way it would be to what is the
    owner's own, such as their membership."""
    if who.permissions is not None and not who.permissions:
        raise Forbidden(f"{who.name} is suspended.", remedy="Let them in again first.")
    others = who.no != by.no and who.org_no == by.org_no and by.role != Role.OWNER
    if who.role == Role.OWNER and others:
        raise Forbidden("Keys in an owner's name are made by owners.", remedy="Take another name for it.")


def check_made(by: Principal, made: Principal) -> None:
    """Raises Forbidden when the key `made` could do what its maker `by` can't."""
    if made.role == Role.OWNER and by.role != Role.OWNER:
        raise Forbidden(
            "Keys with the role owner are made by owners.",
            remedy=f"Take one of {', '.join(one for one in PERMISSIONS if one != Role.OWNER)}.",
        )
    for permission in Permission:
        if made.may(permission) and not by.may(permission):
            raise Forbidden(
                f"The key could do what yours can't: {permission}.",
                remedy="Give it another role, or narrow it with scopes.",
                info={"permission": permission.value},
            )
    mine = by.scopes
    for scope in made.scopes or ():
        agent, slash, skill = scope.removeprefix("agent:").partition("/")
        if scope.startswith("agent:"):
            held = by.has(Permission.CALL) and (mine is None or by.reaches(agent, skill if slash else ""))
        else:
            held = mine is None or scope in mine
        if not held:
            raise Forbidden(f"Your own key is not good for {scope}.", info={"scope": scope})
    if mine is not None and made.scopes is None:
        raise Forbidden(
            "Your own key is narrowed, and this one would not be.",
            remedy="Give it scopes that yours has.",
        )
