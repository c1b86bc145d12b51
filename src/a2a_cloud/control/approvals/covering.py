"""What two patterns of `wire.glob` have in common: whether one means everything that another means, and
whether there could be a path that both mean. Decided on their text, a segment and a character at a time.

`covers` is sound: it never says yes wrongly, and says no in doubt. `may_meet` errs the other way. A
permission is given where the first says yes, and withheld where the second does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from a2a_cloud.model.grant import Widening
from a2a_cloud.wire.glob import host_glob

#: The four lists of a Widening.
KINDS = ("read", "write", "skills", "egress")
#: One step of the comparison: whether the two pieces at hand go together.
Fits = Callable[[str, str], bool]


def covers(wide: str, narrow: str) -> bool:
    """Every path that `narrow` means, `wide` means too."""
    return wide == narrow or _all(wide.split("/"), narrow.split("/"), "**", _segment_covers)


def may_meet(one: str, other: str) -> bool:
    """There could be a path that both mean."""
    return one == other or _any(one.split("/"), other.split("/"), "**", _segment_meets)


def plain(kind: str, pattern: str) -> str:
    """The pattern as one over paths: an `egress` one is read from the other end. Raises InvalidParams."""
    return host_glob(pattern) if kind == "egress" else pattern


def covered(kind: str, asked: Iterable[str], narrow: str) -> bool:
    """One of `asked` means everything that `narrow` does; both of the same kind."""
    small = plain(kind, narrow)
    return any(covers(plain(kind, each), small) for each in asked)


def outside(narrowed: Widening, asked: Widening) -> tuple[str, str] | None:
    """The first (kind, pattern) of `narrowed` that no single asked pattern covers; None: it is within."""
    for kind in KINDS:
        for pattern in getattr(narrowed, kind):
            if not covered(kind, getattr(asked, kind), pattern):
                return kind, pattern
    return None


def common(one: Widening, other: Widening) -> Widening:
    """Patterns that both allow: those of each that the other covers. Never more than both mean; less,
    where two patterns overlap and neither covers the other."""

    def both(kind: str) -> tuple[str, ...]:
        a: tuple[str, ...] = getattr(one, kind)
        b: tuple[str, ...] = getattr(other, kind)
        kept = [each for each in a if covered(kind, b, each)] + [each for each in b if covered(kind, a, each)]
        return tuple(dict.fromkeys(kept))

    return Widening(read=both("read"), write=both("write"), skills=both("skills"), egress=both("egress"))


@lru_cache(maxsize=4096)
def _segment_covers(wide: str, narrow: str) -> bool:
    if wide in ("*", narrow):
        return True
    if "*" not in wide and "?" not in wide:
        return False
    return _all(wide, narrow, "*", lambda w, n: w == n or (w == "?" and n != "*"))


@lru_cache(maxsize=4096)
def _segment_meets(one: str, other: str) -> bool:
    if "*" in (one, other) or one == other:
        return True
    if not any(sign in one + other for sign in "*?"):
        return False
    return _any(one, other, "*", lambda a, b: a == b or "?" in (a, b))


def _all(wide: Sequence[str], narrow: Sequence[str], star: str, fits: Fits) -> bool:
    """`star` in `wide` takes any number of pieces, also a `star` of `narrow`; nothing else takes that.

    `row[i]`: `wide[i:]` covers what is left of `narrow`; from its end to its begin.
    """
    row = [False] * len(wide) + [True]
    for at in range(len(wide) - 1, -1, -1):
        row[at] = wide[at] == star and row[at + 1]
    for piece in reversed(narrow):
        below, row = row, [False] * (len(wide) + 1)
        for at in range(len(wide) - 1, -1, -1):
            if wide[at] == star:
                row[at] = row[at + 1] or below[at]
            elif piece != star:
                row[at] = below[at + 1] and fits(wide[at], piece)
        if not any(row):
            return False
    return row[0]


def _any(one: Sequence[str], other: Sequence[str], star: str, fits: Fits) -> bool:
    """As `_all`, with `star` on either side taking any number of pieces."""
    row = [False] * len(one) + [True]
    for at in range(len(one) - 1, -1, -1):
        row[at] = one[at] == star and row[at + 1]
    for piece in reversed(other):
        below, row = row, [False] * (len(one) + 1)
        row[len(one)] = piece == star and below[len(one)]
        for at in range(len(one) - 1, -1, -1):
            if one[at] == star:
                row[at] = row[at + 1] or below[at]
            elif piece == star:
                row[at] = below[at] or row[at + 1]
            else:
                row[at] = below[at + 1] and fits(one[at], piece)
        if not any(row):
            return False
    return row[0]
