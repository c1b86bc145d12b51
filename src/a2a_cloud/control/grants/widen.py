"""What an approval adds to a chain of blocks: (A ∧ B ∧ C) ∨ X = (A ∨ X) ∧ (B ∨ X) ∧ (C ∨ X), so each block
is widened by itself. What the organisation's policy set, and what any block denies, stays as it is.

A block lists operations and, apart, patterns for reading and for writing. Widening must not open old
patterns to operations that the block did not have: where it had none of a kind, its patterns of that kind
were dead and are replaced.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from a2a_cloud.model.grant import (
    BY_POLICY,
    READING,
    WRITING,
    LaterBlock,
    Operation,
    Patterns,
    RootBlock,
    Widening,
)

_KINDS: tuple[tuple[str, tuple[Operation, ...]], ...] = (
    ("read", READING),
    ("write", WRITING),
    ("skills", (Operation.CALL,)),
    ("egress", (Operation.EGRESS,)),
)
_PATHS = ("read", "write")


def widened_root(root: RootBlock, extra: Widening) -> RootBlock:
    """Block 0 that also allows `extra`."""
    return msgspec.structs.replace(root, **_wider(root, extra))


def widened(block: LaterBlock, extra: Widening, *, by: str, end: int) -> LaterBlock:
    """A later block that also allows `extra`, for a chain that begins anew: it hands nothing over, and
    where it had an end of its own, that is `end` now, the end of the new block 0: the caller has chosen it
    no later than the old chain's, but for a renewal, which outlives it."""
    changes: dict[str, Any] = {} if by == BY_POLICY else dict(_wider(block, extra))
    if block.exp is not UNSET:
        changes["exp"] = end
    return msgspec.structs.replace(block, by=by, aud=UNSET, run=UNSET, max_depth=UNSET, **changes)


def _wider(block: RootBlock | LaterBlock, extra: Widening) -> dict[str, Patterns | str]:
    changes: dict[str, Patterns | str] = {}
    ops: Patterns | UnsetType = block.ops
    prefix = block.prefix or ""
    added: list[Operation] = []
    dead: list[str] = []
    for name, operations in _KINDS:
        had: Patterns | UnsetType = getattr(block, name)
        more: Patterns = getattr(extra, name)
        if not more:
            continue
        if ops is UNSET or any(each in ops for each in operations):
            if had is not UNSET:
                changes[name] = (*had, *(each for each in more if each not in had))
        else:
            dead.append(name)
            changes[name] = more
            added += operations
    if added and ops is not UNSET:
        changes["ops"] = (*ops, *added)
    if prefix and any(name in _PATHS for name in dead):
        changes |= _without_prefix(block, prefix, dead, changes)
    return changes


def _without_prefix(
    block: RootBlock | LaterBlock, prefix: str, dead: list[str], changes: dict[str, Patterns | str]
) -> dict[str, Patterns | str]:
    """The pinned folder serves reading and writing alike; where one of them is new, it becomes a pattern
    of the other alone, so that the new one does not get it too."""
    out: dict[str, Patterns | str] = {"prefix": ""}
    for name, pattern in (("read", prefix + "**"), ("write", prefix + "*/**")):
        had: Patterns | UnsetType = changes[name] if name in changes else getattr(block, name)  # pyright: ignore[reportAssignmentType]
        if name not in dead and had is not UNSET:
            out[name] = (*had, pattern)
    return out
