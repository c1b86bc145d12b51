"""Who may call a skill, and why: the rules of every call (model/access.py), asked for members, keys, people
of other organisations and nobody in particular."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from a2a_cloud.control.orgs.members import Members
from a2a_cloud.control.orgs.ports import Numbers
from a2a_cloud.model.access import Rule, refused, rules
from a2a_cloud.model.principal import ANONYMOUS, Permission, Principal
from a2a_cloud.model.problem import Forbidden, NotFound
from a2a_cloud.model.release import Release, SkillSpec

#: Verdicts of one answer.
MOST = 500


class Verdict(NamedTuple):
    """What becomes of a call. `via`: membership, key, anonymous, or organisation: anybody of another one.
    `why` is the refusal's sentence, "" when there is none."""

    who: str
    via: str
    role: str
    allowed: bool
    why: str
    rules: tuple[Rule, ...]


class Access:
    """See the module."""

    def __init__(self, members: Members, numbers: Numbers) -> None:
        self._members = members
        self._numbers = numbers

    def explain(
        self, by: Principal, release: Release, skill: SkillSpec | None, who: str = ""
    ) -> tuple[list[Verdict], bool]:
        """A verdict for each way in which `who` may come ("": everybody that the organisation knows), and
        whether that is all. `who` is `name@org`, an e-mail address, the id of a key, `anonymous`, or `me`.
        Raises NotFound, Forbidden."""
        if who == "me" or who == by.label:
            return [_verdict(release, skill, by, "key" if by.key_id else "membership")], True
        if by.org_no != release.org_no:
            raise Forbidden(
                "Who may call an agent of another organisation is asked there.", remedy="Ask about `me`."
            )
        if not (by.may(Permission.DEPLOY) or by.may(Permission.MANAGE_MEMBERS)):
            raise Forbidden(
                "Others' access is for who deploys agents or manages members.", remedy="Ask about `me`."
            )
        found: list[Verdict] = []
        for principal, via in self._ways(by, release, who):
            if len(found) == MOST:
                return found, False
            found.append(_verdict(release, skill, principal, via))
        if not found:
            raise NotFound(
                f"There is nobody {who[:127]!a} here.",
                remedy="Name a member, `name@org`, the id of a key, or `anonymous`.",
            )
        return found, True

    def _ways(self, by: Principal, release: Release, who: str) -> Iterator[tuple[Principal, str]]:
        if who in ("", ANONYMOUS.name):
            yield ANONYMOUS, "anonymous"
        if who == ANONYMOUS.name:
            return
        name, _, org = who.rpartition("@")
        for person in self._members.listed(by.org_no):
            if who in ("", person.account.email, f"{person.account.email}@{by.org}"):
                principal = self._members.principal(person.account.id, by.org)
                if principal is not None:
                    yield principal, "membership"
        for _, principal in self._numbers.behind_keys(by.org_no):
            if who in ("", principal.label, principal.name, principal.key_id):
                yield principal, "key"
        others = release.manifest.visible_to if not who else ()
        if name and org and org != by.org and self._numbers.org_no(org) is not None:
            others = (org,)
        for other in others:
            # Who there is in another organisation is not told: what holds for anybody of it is.
            yield (
                msgspec.structs.replace(ANONYMOUS, no=-1, org_no=-1, name="anybody", org=other),
                "organisation",
            )


def _verdict(release: Release, skill: SkillSpec | None, principal: Principal, via: str) -> Verdict:
    problem = refused(release, principal, skill)
    who = f"key {principal.key_id} of {principal.label}" if via == "key" else principal.label
    return Verdict(
        who,
        via,
        str(principal.role),
        problem is None,
        problem.sentence if problem is not None else "",
        tuple(rules(release, principal, skill)),
    )
