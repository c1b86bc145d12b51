"""Which organisations somebody belongs to who signs in at an outside provider: rules over the claims that it
makes about them. `CLAIM=PATTERN -> ORGANISATION:ROLE`, or `* -> …` for everybody; for each organisation the
first rule that fits counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from a2a_cloud.model.problem import BadSetting

_RULE = re.compile(
    r"(?:(?P<every>\*)|(?P<claim>[A-Za-z0-9_.:/-]{1,100})\s*=\s*(?P<pattern>\S(?:.{0,200}?\S)?))"
    r"\s*->\s*(?P<org>[a-z0-9][a-z0-9_-]{0,62}):(?P<role>[a-z0-9][a-z0-9_-]{0,62})"
)


class Rule(NamedTuple):
    """One line. `claim` "" is for everybody; a `*` in `pattern` stands for any text."""

    claim: str
    pattern: re.Pattern[str]
    org: str
    role: str

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims are such."""
        if not self.claim:
            return True
        if self.claim == "email" and claims.get("email_verified") is not True:
            return False  # Anybody may say that they are somebody.
        value = claims.get(self.claim)
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        return any(isinstance(each, str) and self.pattern.fullmatch(each) is not None for each in values)


def parse(text: str, setting: str) -> tuple[Rule, ...]:
    """Rules by lines or semicolons; what follows `#` is a comment. Raises BadSetting."""
    found: list[Rule] = []
    for line in text.replace(";", "\n").splitlines():
        plain = line.partition("#")[0].strip()
        if not plain:
            continue
        match = _RULE.fullmatch(plain)
        if match is None:
            raise BadSetting(
                f"{setting} holds {plain[:120]!r}, which is no rule.",
                remedy="Write CLAIM=PATTERN -> ORGANISATION:ROLE, such as groups=ops -> default:admin, "
                "email=*@example.com -> example:member, or * -> default:viewer.",
                info={"setting": setting},
            )
        pieces = (match["pattern"] or "").split("*")
        pattern = re.compile(".*".join(re.escape(piece) for piece in pieces), re.DOTALL)
        found.append(Rule(match["claim"] or "", pattern, match["org"], match["role"]))
    return tuple(found)


def places(rules: tuple[Rule, ...], claims: Mapping[str, Any]) -> dict[str, str]:
    """Organisation → role."""
    found: dict[str, str] = {}
    for rule in rules:
        if rule.org not in found and rule.fits(claims):
            found[rule.org] = rule.role
    return found
