"""Evals: a release put to the cases of a rubric, and the score of each run that came of one.

Scores are decimal strings from 0 to 1: they are hashed and compared, and a float has no one spelling.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What one check came to. `kind` "state" is how the run ended. `expected` and `got` are there where they
    explain a failure; a long one is cut, and then a text. `run` is a judge's."""

    kind: str
    score: str
    passed: bool
    path: str = ""
    detail: str = ""
    expected: Any | UnsetType = UNSET
    got: Any | UnsetType = UNSET
    run: str = ""
    receipt: str = ""


class Score(Struct, frozen=True):
    """One case of one eval, once (`attempt` counts from 1): its run, if there was one, and what was found.

    `checks` are None once the run's payloads were erased; `checks_sha256` is SHA-256(`salt` ‖ their canonical
    JSON), and stands in the log. `no` counts the eval's scores; `at` in wall seconds, `seconds` of the run.
    """

    no: int
    case: str
    attempt: int
    run: str
    receipt: str
    score: str
    passed: bool
    failures: int
    weight: str
    at: float
    seconds: float
    checks_sha256: str
    salt: str | None
    checks: list[Outcome] | None


class Eval(Struct, frozen=True):
    """A release put to a rubric. `own`: the rubric is the release's own; `whole`: all of its cases.

    `state` is running, done, canceled, interrupted (the platform stopped) or failed (`why`). `score` is the
    mean of its scores by weight, "" until it is done. Times are wall seconds or None.
    """

    id: str
    agent_no: int
    agent: str
    release_no: int
    release: int
    digest: str
    rubric_sha256: str
    own: bool
    whole: bool
    state: str
    by: str
    runs: int
    repeat: int
    done: int
    passed: int
    score: str
    created: float
    ended: float | None
    why: str
