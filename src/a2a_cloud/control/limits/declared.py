"""What an agent's a2a.toml limits: in `[limits]` for the agent, in `[skills.NAME]` for one of its skills."""

from __future__ import annotations

from typing import NamedTuple

from a2a_cloud.model.limits import AGENT, Rate, least, read_rate
from a2a_cloud.model.release import Release, SkillRules

_NONE = SkillRules()


class Rates(NamedTuple):
    """Of all callers together, and of each."""

    of_all: Rate
    of_caller: Rate | None


def rates_of(release: Release, skill: str | None = None) -> Rates:
    """The rates of an agent, or of one of its skills."""
    manifest = release.manifest
    said = manifest.limits if skill is None else manifest.skills.get(skill, _NONE)
    return Rates(
        read_rate(said.rate) if said.rate else AGENT,
        read_rate(said.caller_rate) if said.caller_rate else None,
    )


def budget_of(release: Release, skill: str) -> tuple[int | None, int | None]:
    """How often one caller may call a skill in a day, and in a month; None: it says nothing."""
    agent, rules = release.manifest.limits, release.manifest.skills.get(skill, _NONE)
    return (
        least(agent.caller_day or None, rules.caller_day or None),
        least(agent.caller_month or None, rules.caller_month or None),
    )
