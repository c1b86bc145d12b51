"""What an organisation sets for its callers, and what follows from it for one of them.

A rule stands for a target and says some of what CallerLimits has. For a caller: their own rule, else that for
all callers of the organisation, else what is usual; and never more than the ceiling that whoever runs the
platform set for the organisation. A key's rule narrows its caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from a2a_cloud.model.limits import (
    ANONYMOUS,
    MEMBER,
    MOST,
    OPERATOR,
    SIGN_IN,
    WRITE_RATE,
    CallerLimits,
    least,
    lower,
    read_rate,
)
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import InvalidParams

CALLERS, CEILING, UNKNOWN, SIGNING = "callers", "ceiling", "anonymous", "sign-in"
#: Targets that the people who run the platform set: the first for an organisation, the others for all.
OF_PLATFORM = (CEILING, UNKNOWN, SIGNING)
_TARGET = re.compile(
    r"callers|ceiling|anonymous|sign-in|caller:[a-z0-9][a-z0-9_.@+-]{0,126}|key:[0-9A-Za-z_-]{1,64}"
)
_RATES = ("requests", "calls")
_ALL = (*_RATES, "runs", "day", "month")

Rules = Mapping[tuple[int, str], CallerLimits]
NONE = CallerLimits()


def read_target(text: str) -> str:
    """The target that a text names. Raises InvalidParams."""
    if not _TARGET.fullmatch(text):
        raise InvalidParams(
            f"{text[:140]!r} is nothing that limits are set for.",
            remedy="Write callers, caller:NAME or key:ID; who runs the platform also ceiling, anonymous, "
            "sign-in.",
            info={"field": "target"},
        )
    return text


def read_limits(target: str, table: Mapping[str, Any]) -> CallerLimits:
    """What a table says: rates as texts, counts as whole numbers. Raises InvalidParams."""
    known = _RATES if target == SIGNING else _ALL
    fields: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise InvalidParams(
                f"{name[:80]!r} is no limit of {target}.",
                remedy=f"It has: {', '.join(known)}.",
                info={"field": name[:80]},
            )
        if name in _RATES:
            if not isinstance(value, str):
                raise InvalidParams(
                    f"{name} is no rate.", remedy=f"Write {WRITE_RATE}.", info={"field": name}
                )
            fields[name] = read_rate(value)
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST:
            fields[name] = value
        else:
            raise InvalidParams(
                f"{name} is no number of {'runs' if name == 'runs' else 'calls'}.",
                remedy=f"Write a whole number from 0 to {MOST}.",
                info={"field": name},
            )
    if not fields:
        raise InvalidParams("Nothing is set.", remedy=f"Set one of: {', '.join(known)}.")
    return CallerLimits(**fields)


def table_of(limits: CallerLimits) -> dict[str, Any]:
    """The other way: what is set, as people write it."""
    found = {name: getattr(limits, name) for name in _ALL}
    return {
        name: str(value) if name in _RATES else value for name, value in found.items() if value is not None
    }


def stored(body: str) -> CallerLimits:
    """What `table_of` gave, as JSON."""
    table = cast("dict[str, Any]", msgspec.json.decode(body))
    fields: dict[str, Any] = {
        name: read_rate(value) if name in _RATES else value for name, value in table.items()
    }
    return CallerLimits(**fields)


def first(*rules: CallerLimits) -> CallerLimits:
    """For each limit the first rule that says something of it."""
    found: dict[str, Any] = {}
    for rule in reversed(rules):
        found.update({name: value for name in _ALL if (value := getattr(rule, name)) is not None})
    return CallerLimits(**found)


def under(one: CallerLimits, other: CallerLimits) -> CallerLimits:
    """What both allow."""
    return CallerLimits(
        lower(one.requests, other.requests),
        lower(one.calls, other.calls),
        least(one.runs, other.runs),
        least(one.day, other.day),
        least(one.month, other.month),
    )


def of_caller(rules: Rules, caller: Principal, default_org: int) -> CallerLimits:
    """What a caller may do, whichever key they show."""
    if caller.anonymous:
        return first(rules.get((default_org, UNKNOWN), NONE), ANONYMOUS)
    org = caller.org_no
    usual = OPERATOR if caller.may(Permission.MANAGE_PLATFORM) else MEMBER
    own = first(rules.get((org, f"caller:{caller.name}"), NONE), rules.get((org, CALLERS), NONE), usual)
    return under(own, rules.get((org, CEILING), NONE))


def of_key(rules: Rules, caller: Principal) -> CallerLimits:
    """What is set for the key that the caller shows."""
    return rules.get((caller.org_no, f"key:{caller.key_id}"), NONE) if caller.key_id else NONE


def of_sign_in(rules: Rules, default_org: int) -> CallerLimits:
    """How often an address (`requests`), and somebody as an account (`calls`), may try to sign in."""
    return first(rules.get((default_org, SIGNING), NONE), SIGN_IN)
