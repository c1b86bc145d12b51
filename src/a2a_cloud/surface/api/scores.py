"""Evals and scores as programs read them, and what a release's last one says of it."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.evaluation import Eval, Score
from a2a_cloud.model.release import Release
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.ports import Services


def document(one: Eval) -> dict[str, Any]:
    """An eval as programs read it."""
    return {
        "id": one.id,
        "agent": one.agent,
        "release": one.release,
        "digest": one.digest,
        "rubric_sha256": one.rubric_sha256,
        "own_rubric": one.own,
        "all_cases": one.whole,
        "state": one.state,
        "by": one.by,
        "runs": one.runs,
        "repeat": one.repeat,
        "done": one.done,
        "passed": one.passed,
        "score": one.score or None,
        "created": stamp(one.created),
        "ended": None if one.ended is None else stamp(one.ended),
        "why": one.why or None,
    }


def score(one: Score, *, whole: bool) -> dict[str, Any]:
    """A score; `whole` with what its checks expected and got."""
    found: dict[str, Any] = {
        "no": one.no,
        "case": one.case,
        "attempt": one.attempt,
        "run": one.run or None,
        "receipt": one.receipt or None,
        "score": one.score,
        "passed": one.passed,
        "failures": one.failures,
        "weight": one.weight,
        "at": stamp(one.at),
        "seconds": one.seconds,
        "checks_sha256": one.checks_sha256,
    }
    if whole:
        found["salt"] = one.salt
        found["checks"] = None if one.checks is None else msgspec.to_builtins(one.checks)
    return found


def last_eval(services: Services, release: Release) -> dict[str, Any] | None:
    """How good a release is, by its own rubric: the last whole eval of it."""
    last = services.evals.last(release) if services.evals is not None else None
    if last is None or last.ended is None:
        return None
    return {
        "id": last.id,
        "score": last.score,
        "runs": last.done,
        "passed": last.passed,
        "at": stamp(last.ended),
    }
