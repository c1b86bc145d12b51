"""What a replay of a recorded run came to: identical, the first difference, or what is no longer there
(docs/replay.md)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Difference(Struct, frozen=True):
    """The first thing that was not as recorded. `seq` is the event of the record that it is about (0: none),
    `kind` what it is: an effect's kind (`step`, `ask`, `call`, `ws`…), an output's (`text`, `progress`,
    `artifact`, `log`, `usage`, `now`), `result`, `reply`, `end`, `workspace`, `arguments`, `skill`, or
    `record`, when what is stored is not what the receipt says. `path` is a JSON pointer into a result or a
    reply. `expected` and `got` are shortened, for people."""

    seq: int
    kind: str
    name: str
    expected: str
    got: str
    path: str = ""


class Missing(Struct, frozen=True):
    """What a replay needs and is not there any more. `what` is `payload`, `workspace`, `object`, `release`,
    `environment`, `worker` or `end`; `detail` a sentence."""

    what: str
    detail: str


class Verdict(Struct, frozen=True):
    """What became of the replay of `run`. `release` is the number of the one that was run, `recorded` that
    of the one that the record is of. `effects`, `outputs` and `files` count what was compared; `seconds` is
    how long the code ran."""

    run: str
    receipt: str
    agent: str
    skill: str
    recorded: int
    release: int
    verdict: Literal["identical", "different", "unavailable"]
    difference: Difference | None = None
    missing: Missing | None = None
    notes: list[str] = []
    effects: int = 0
    outputs: int = 0
    files: int = 0
    seconds: float = 0.0
