"""What was used: calls, what was metered, and money, added up by what somebody asks for."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from a2a_cloud.model.billing import Money

#: What usage is added up by.
BY = ("caller", "agent", "skill", "day", "month", "key", "run", "meter")
#: Whose: calls of an organisation's agents, or calls that its people, keys and agents made.
Side = Literal["agents", "callers"]


class UsageQuery(Struct, frozen=True):
    """A question. `by` are some of BY, in the order of the answer's columns. Times are wall seconds, `until`
    not included; `agent`, `skill`, `caller` narrow when they are not "": `name` or `org.name`, a skill's id,
    `name@org`."""

    by: tuple[str, ...]
    since: float
    until: float
    side: Side = "agents"
    agent: str = ""
    skill: str = ""
    caller: str = ""


class Metered(Struct, frozen=True):
    """So much of a meter; `qty` is a decimal string."""

    meter: str
    unit: str
    qty: str


class UsageLine(Struct):
    """One line of an answer: `keys` say what it is of, in the order of the question's `by`. `open` runs have
    not ended; runs that were canceled or rejected are among `calls` alone."""

    keys: tuple[str, ...]
    calls: int = 0
    completed: int = 0
    failed: int = 0
    open: int = 0
    meters: list[Metered] = []
    money: list[Money] = []
