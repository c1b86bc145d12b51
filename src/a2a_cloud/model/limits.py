"""Rates and budgets as people write them (`100/s`, `6000/min`), and how much of what a caller may use."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from msgspec import Struct

from a2a_cloud.model.problem import InvalidParams

_UNITS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_RATE = re.compile(r"([1-9][0-9]{0,9})/([1-9][0-9]{0,4})?(s|min|h|day)")
#: Windows are no longer than that: what goes by months is a budget.
LONGEST = 86_400
#: The largest count of anything here.
MOST = 10**12
WRITE_RATE = "a number of calls and their time, such as 10/s, 600/min, 1000/h or 50/10s"


def subscriber(address: str) -> str:
    """What addresses are counted by: a /64 of IPv6 is one, for so much has one subscriber."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(known, IPv6Address):
        known = known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64)
    return str(known)


class Rate(NamedTuple):
    """`quota` in `window` seconds: so many at once, and from there on one each `window / quota`."""

    quota: int
    window: int

    def __str__(self) -> str:
        for unit, seconds in reversed(_UNITS.items()):
            times, rest = divmod(self.window, seconds)
            if not rest:
                return f"{self.quota}/{times if times > 1 else ''}{unit}"
        raise AssertionError("every number of seconds is one of s")

    @property
    def sustained(self) -> float:
        """Per second, in the long run."""
        return self.quota / self.window


def read_rate(text: str) -> Rate:
    """The rate that a text says. Raises InvalidParams."""
    found = _RATE.fullmatch(text.replace(" ", ""))
    seconds = int(found[2] or 1) * _UNITS[found[3]] if found is not None else 0
    if found is None or not 0 < seconds <= LONGEST:
        raise InvalidParams(f"{text[:80]!r} is no rate.", remedy=f"Write {WRITE_RATE}.")
    return Rate(int(found[1]), seconds)


class CallerLimits(Struct, frozen=True, omit_defaults=True):
    """What one caller may do. `requests`: of any kind; `calls`: new runs; `runs`: that have not ended at one
    time; `day`, `month`: calls of one skill in a day or month (UTC)."""

    requests: Rate | None = None
    calls: Rate | None = None
    runs: int | None = None
    day: int | None = None
    month: int | None = None


#: Where nobody set anything. Somebody who runs the platform gets more than one machine can do, so that only
#: the machine limits them; a member gets what no person and few programs reach.
OPERATOR = CallerLimits(Rate(50_000, 1), Rate(20_000, 1), 100_000, 2 * 10**9, 60 * 10**9)
MEMBER = CallerLimits(Rate(30_000, 60), Rate(6_000, 60), 1_000, 100_000, 2_000_000)
#: Per address: those without a key.
ANONYMOUS = CallerLimits(Rate(6_000, 60), Rate(1_200, 60), 200, 20_000, 200_000)
#: Of an agent, and of a skill, by all callers together.
AGENT = Rate(20_000, 1)
#: At whatever people and clients sign in or register with: `requests` of an address, `calls` for one account.
SIGN_IN = CallerLimits(Rate(300, 60), Rate(60, 600))


def lower(one: Rate | None, other: Rate | None) -> Rate | None:
    """The rate that allows less in the long run; None: no limit."""
    if one is None or other is None:
        return one if other is None else other
    return one if one.sustained <= other.sustained else other


def least(*counts: int | None) -> int | None:
    """The least of those that are set."""
    given = [count for count in counts if count is not None]
    return min(given) if given else None
