"""The params of the card's extension `urn:a2a-cloud:limits:v1` (docs/limits.md): what is enforced on calls of
an agent, and how long its skills take. Made anew at most once a minute, so that a card stays cacheable."""

from __future__ import annotations

from typing import Any

from a2a_cloud.control.limits.declared import budget_of, rates_of
from a2a_cloud.control.limits.limits import Limits
from a2a_cloud.model.limits import CallerLimits, Rate, least, lower
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.release import Release

#: Seconds for which what was said stands.
FRESH = 60.0
_MOST_KEPT = 1024


class Shown:
    """What cards say of limits, by release."""

    __slots__ = ("_clock", "_kept", "_limits")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        #: (params, since when in wall seconds, good until, with so many changes of rules).
        self._kept: dict[int, tuple[dict[str, Any], float, float, int]] = {}

    def of(self, release: Release) -> tuple[dict[str, Any], float]:
        """(params, since when they say so)."""
        now, changes = self._clock.monotonic(), self._limits.changes
        kept = self._kept.get(release.no)
        if kept is not None and now < kept[2] and kept[3] == changes:
            return kept[0], kept[1]
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        params, since = self._params(release), self._clock.now()
        if kept is not None and params == kept[0]:
            params, since = kept[0], kept[1]
        self._kept[release.no] = (params, since, now + FRESH, changes)
        return params, since

    def _params(self, release: Release) -> dict[str, Any]:
        # Of somebody with a key whom nothing in particular was set for: what a stranger may know.
        limits = self._limits.of_caller(Principal(-1, release.org_no, "", ""))
        agent = rates_of(release)
        declared = release.manifest.limits
        runs = declared.caller_runs or None
        params: dict[str, Any] = {
            "rate": _rate(agent.of_all),
            "caller": {
                "rate": _rate(lower(limits.calls, agent.of_caller)),
                "runs": least(limits.runs, runs),
            },
            "skills": {
                spec.id: self._skill(release, spec.id, limits) for spec in release.skills if not spec.extended
            },
        }
        if release.public:
            strangers = self._limits.of_caller(ANONYMOUS)
            params["anonymous"] = {
                "rate": _rate(lower(strangers.calls, agent.of_caller)),
                "runs": least(strangers.runs, runs),
                "budget": {
                    "day": least(strangers.day, declared.caller_day or None),
                    "month": least(strangers.month, declared.caller_month or None),
                },
            }
        return params

    def _skill(self, release: Release, skill: str, limits: CallerLimits) -> dict[str, Any]:
        rates = rates_of(release, skill)
        day, month = budget_of(release, skill)
        said: dict[str, Any] = {
            "rate": _rate(rates.of_all),
            "budget": {"day": least(limits.day, day), "month": least(limits.month, month)},
        }
        if rates.of_caller is not None:
            said["callerRate"] = _rate(rates.of_caller)
        typical = self._limits.typical(release, skill)
        if typical is not None:
            p50, p95, runs = typical
            said["latency"] = {"p50": p50, "p95": p95, "runs": runs}
        return said


def _rate(rate: Rate | None) -> dict[str, int]:
    assert rate is not None  # Somebody's rate of calls always has an end.
    return {"quota": rate.quota, "window": rate.window}
