"""Version specifiers (PEP 440), as far as they are needed to say early whether a version fits: release
numbers alone. What resolves dependencies is uv.
"""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"(~=|===|==|!=|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)(\.\*)?(?:[-_.]?(?:a|b|rc|dev|post)\d*)*")
_RELEASE = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)")

Release = tuple[int, ...]


def fits(version: str, specifier: str) -> bool:
    """Whether `version` ("3.11.7") is one that `specifier` (">=3.11,<4") names.

    What follows the release number (rc1, +local) is not compared. Raises ValueError with a sentence
    when one of the two can't be read.
    """
    found = _RELEASE.match(version.strip())
    if found is None:
        raise ValueError(f"`{version}` is not a version.")
    release = _release(found[1])
    return all(_holds(release, clause) for clause in specifier.split(",") if clause.strip())


def _holds(version: Release, clause: str) -> bool:
    found = _CLAUSE.fullmatch(clause.strip())
    if found is None or (found[3] and found[1] not in ("==", "!=")):
        raise ValueError(f"`{clause.strip()}` is not a version specifier.")
    wanted = _release(found[2])
    same_start = _padded(version, len(wanted))[: len(wanted)] == wanted
    match found[1]:
        case "==" | "===":
            return same_start if found[3] else _compare(version, wanted) == 0
        case "!=":
            return not same_start if found[3] else _compare(version, wanted) != 0
        case "~=":
            if len(wanted) < 2:
                raise ValueError(f"`{clause.strip()}` needs a second number.")
            start = wanted[:-1]
            return _compare(version, wanted) >= 0 and _padded(version, len(start))[: len(start)] == start
        case ">=":
            return _compare(version, wanted) >= 0
        case "<=":
            return _compare(version, wanted) <= 0
        case ">":
            return _compare(version, wanted) > 0
        case _:
            return _compare(version, wanted) < 0


def _release(text: str) -> Release:
    return tuple(int(part[:9]) for part in text.split("."))


def _padded(version: Release, length: int) -> Release:
    return version + (0,) * (length - len(version))


def _compare(one: Release, other: Release) -> int:
    length = max(len(one), len(other))
    a, b = _padded(one, length), _padded(other, length)
    return (a > b) - (a < b)
