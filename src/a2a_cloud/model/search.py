"""What somebody looks for among the agents, what was found, and how an agent stands."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from a2a_cloud.model.release import Release, SkillSpec

#: Characters of a query's text that are read.
MAX_TEXT = 1000
#: Agents in one answer.
MAX_FOUND = 50


class By(StrEnum):
    """How text is compared: by its words, by its meaning, or by both as far as both can be had."""

    WORDS = "words"
    MEANING = "meaning"
    BOTH = "both"


class Meaning(StrEnum):
    """What became of the search by meaning: it was not asked for, there is no model here or it does not
    work, the agents are still being read (the next search will have it), or it has had its part in the
    answer."""

    UNASKED = "unasked"
    ABSENT = "absent"
    LEARNING = "learning"
    USED = "used"


class Query(NamedTuple):
    """`text` "": everything that fits the rest, by name. `parameter`: a skill takes one of that name, with
    `:TYPE` of that JSON type. `accepts`, `returns`: a media type that goes in or comes out (`returns` also a
    JSON type, or a member of the result); `mode`: one that does either. `tag`: of a skill. `patience`:
    seconds that an answer may wait for the model."""

    text: str = ""
    by: By = By.BOTH
    parameter: str = ""
    accepts: str = ""
    returns: str = ""
    mode: str = ""
    tag: str = ""
    limit: int = 10
    patience: float = 2.0


class SkillFound(NamedTuple):
    """A skill that fits; `score` counts within one answer only, 0 where nothing was compared."""

    spec: SkillSpec
    score: float


class AgentFound(NamedTuple):
    """An agent that fits, its fitting skills best first. `release` is as the caller sees it."""

    release: Release
    skills: Sequence[SkillFound]
    score: float


class Found(NamedTuple):
    """The best agents; `total` is how many fit."""

    agents: Sequence[AgentFound]
    total: int
    meaning: Meaning


class Health(StrEnum):
    """Of an agent: a process waits for calls, or one begins; there is none, and the next call starts one; or
    none can be started."""

    READY = "ready"
    STARTING = "starting"
    RESTING = "resting"
    FAILING = "failing"


class Usage(NamedTuple):
    """Of the last `runs` runs of an agent (RECENT at most), the oldest of which began at `since` (wall
    seconds): how many failed, and in how many seconds half of those that completed were done (None: none
    has)."""

    runs: int
    failed: int
    p50: float | None
    since: float
