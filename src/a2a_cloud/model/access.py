"""Who may call which skill: the rules of every call, whatever the dialect, and the same rules one by one for
`a2a access explain`. Whether the agent is there for a caller at all is `Release.open_to`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from a2a_cloud.model.principal import DEFAULT_ORG, Permission, Principal
from a2a_cloud.model.problem import Forbidden, Problem, SkillNotFound, Unauthenticated
from a2a_cloud.model.release import Release, SkillSpec, Visibility


class Rule(NamedTuple):
    """What one rule says. `allows` None: it does not matter for this call. `why` is a sentence."""

    name: str
    allows: bool | None
    why: str


def check_call(
    release: Release, principal: Principal, skill: SkillSpec | None, *, child: bool = False
) -> None:
    """Raises Unauthenticated, Forbidden, SkillNotFound unless `principal` may call `skill` (None: the message
    handler). `child`: another agent calls for them. The agent itself is open to them: admission has seen to
    that."""
    if skill is not None:
        if skill.extended and principal.anonymous and not child:
            raise SkillNotFound(f"The agent has no skill {skill.id}.")  # None that they know of.
        if skill.scopes:
            for scope in skill.scopes:
                if not _holds(release, principal, scope):
                    raise _unscoped(principal, skill.id, scope)
    if child:
        return  # What a key or role opens is asked where the caller came in; the grant goes on from there.
    if release.manifest.visibility is not Visibility.PUBLIC and not principal.has(Permission.CALL):
        raise Forbidden(
            f"The role {principal.role} may not call agents.",
            remedy="Ask somebody who manages your organisation's members for another role.",
            info={"permission": Permission.CALL.value},
        )
    if principal.scopes is not None:
        name = address(release, principal)
        if not principal.reaches(name, skill.id if skill is not None else ""):
            raise Forbidden(
                "This key or token is good for other skills alone.",
                remedy=f"Use one whose scopes have agent:{name}"
                + (f" or agent:{name}/{skill.id}." if skill is not None else "."),
                info={"scope": f"agent:{name}"},
            )


def rules(release: Release, principal: Principal, skill: SkillSpec | None) -> Iterator[Rule]:
    """The rules that decide a call, in their order, each with its verdict."""
    yield _visibility(release, principal)
    if skill is not None and skill.extended:
        said = not principal.anonymous
        which = "says" if said else "does not say"
        yield Rule("extended", said, f"the skill is for callers with a key; the caller {which} who they are")
    if release.public:
        yield Rule("permission", None, f"the agent is public: {Permission.CALL} is not asked for")
    else:
        has = principal.has(Permission.CALL)
        which = "has" if has else "lacks"
        yield Rule("permission", has, f"the role {principal.role} {which} {Permission.CALL}")
    name, skill_id = address(release, principal), skill.id if skill is not None else ""
    if principal.scopes is None:
        yield Rule("key", None, "the key or token is not narrowed")
    else:
        reaches = principal.reaches(name, skill_id)
        listed = ", ".join(sorted(principal.scopes)) or "nothing"
        yield Rule("key", reaches, f"the key or token is narrowed to {listed}")
    for scope in skill.scopes if skill is not None else ():
        holds = _holds(release, principal, scope)
        which = "has" if holds else "lacks"
        yield Rule("scope", holds, f"the skill requires {scope}, which the caller {which}")


def refused(release: Release, principal: Principal, skill: SkillSpec | None) -> Problem | None:
    """Why a call would be refused; None when it would not."""
    if not release.open_to(principal):
        return Forbidden("The agent is not there for this caller.")
    try:
        check_call(release, principal, skill)
    except Problem as problem:
        return problem
    return None


def address(release: Release, principal: Principal) -> str:
    """The agent as scopes of a principal's keys name it: `name`, or `org.name` of another organisation."""
    if release.org_no == principal.org_no or (principal.anonymous and release.org == DEFAULT_ORG):
        return release.name
    return f"{release.org}.{release.name}"


def _holds(release: Release, principal: Principal, scope: str) -> bool:
    """What somebody has in their own organisation counts in that one alone."""
    return principal.org_no == release.org_no and principal.holds(scope)


def _visibility(release: Release, principal: Principal) -> Rule:
    manifest = release.manifest
    if principal.org_no == release.org_no:
        return Rule("visibility", True, f"the caller is of the agent's organisation {release.org}")
    match manifest.visibility:
        case Visibility.PUBLIC:
            return Rule("visibility", True, "the agent is public")
        case Visibility.SIGNED_IN:
            good = not principal.anonymous
            return Rule("visibility", good, "the agent is there for everybody who says who they are")
        case Visibility.ORG:
            names = ", ".join((release.org, *manifest.visible_to))
            listed = principal.org in manifest.visible_to
            who = principal.org or "of no organisation"
            return Rule("visibility", listed, f"the agent is there for {names}; the caller is {who}")


def _unscoped(principal: Principal, skill: str, scope: str) -> Problem:
    if principal.anonymous:
        return Unauthenticated(
            f"The skill {skill} is for callers who hold {scope}.",
            remedy="Send a key as Authorization: Bearer KEY, or as X-API-Key: KEY.",
            info={"scope": scope},
        )
    return Forbidden(
        f"The skill {skill} is for callers who hold {scope}.",
        remedy="Ask somebody who manages your organisation's roles for it, or use a key that has it.",
        info={"scope": scope},
    )
