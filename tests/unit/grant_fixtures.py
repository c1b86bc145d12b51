"""Grants for tests: one key, one clock, and a block 0 that allows what a test says."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.grant import EVERYTHING, RootBlock
from a2a_cloud.wire.grant import GrantKey, mint

NOW = 1_800_000_000.0
KEY = GrantKey("k1", "default", bytes(range(32)))
KEYS = {"k1": KEY}
AGENT = "agent:default/reviewer"

ROOT = RootBlock(
    v=1,
    kid="k1",
    id="grant_1",
    root_id="grant_1",
    iss="http://127.0.0.1:8080",
    org="default",
    sub="ada@default",
    aud=AGENT,
    run="run_1",
    workspace="default",
    base=7,
    ops=EVERYTHING,
    read=("contracts/**", "shared/*.md"),
    write=("drafts/**",),
    deny=("**/secret/**",),
    skills=("pricing/*",),
    egress=("api.example.com",),
    prefix="outputs/run_1/",
    nbf=int(NOW) - 10,
    exp=int(NOW) + 300,
    max_depth=6,
)


class TurnedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Numbers:
    """Ids that count."""

    def __init__(self) -> None:
        self.last = 0

    def new(self, prefix: str) -> str:
        self.last += 1
        return f"{prefix}_{self.last:032x}"


def root(**changes: Any) -> RootBlock:
    """Block 0 with some claims changed."""
    return msgspec.structs.replace(ROOT, **changes)


def token(**changes: Any) -> str:
    """Its token."""
    return mint(KEY, root(**changes))
