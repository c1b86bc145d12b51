"""Ignore files: which paths of an agent's folder its author leaves out (the pattern format of gitignore(5)).

Written here and not taken from a library, because the platform reads ignore files that strangers send:
the usual translation to regular expressions needs exponential time for `*a*a*a*a*b`. Here every run of
wildcards is atomic, and `**` goes back to its last place alone, so that a match costs at most the length
of the name times that of the pattern. A `?` stands for one character, where git counts bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from a2a_cloud.model.problem import InvalidParams, TooLarge

MAX_RULES = 1000
MAX_LENGTH = 256

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    keeps: bool
    folders_only: bool
    anywhere: bool
    #: One expression for each part of the path; None is `**`.
    parts: tuple[re.Pattern[str] | None, ...]

    def fits(self, path: str, base: str, folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        if self.anywhere:
            (only,) = self.parts
            return only is not None and only.match(base) is not None
        return _fit(self.parts, path.split("/"))


class Ignore:
    """The rules of one ignore file. Raises InvalidParams (not UTF-8) and TooLarge.

    `text` is the file's content; `name` is its name, for sentences.
    """

    def __init__(self, text: bytes, name: str) -> None:
        try:
            lines = text.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError:
            raise InvalidParams(f"`{name}` is not UTF-8.", remedy="Save it as UTF-8.") from None
        rules: list[_Rule] = []
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_LENGTH:
                raise TooLarge(
                    f"Line {number} of `{name}` is longer than {MAX_LENGTH} characters.",
                    remedy="Write a shorter pattern.",
                )
            rule = _rule(line.removesuffix("\r"))
            if rule is not None:
                rules.append(rule)
        if len(rules) > MAX_RULES:
            raise TooLarge(
                f"`{name}` has more than {MAX_RULES} patterns.",
                remedy="Write a shorter .a2aignore; it is read instead of .gitignore.",
            )
        rules.reverse()  # The last one that fits decides.
        self._rules = rules

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Whether `path` (relative, POSIX) is left out by itself; ask for its folders first."""
        base = path.rpartition("/")[2]
        for rule in self._rules:
            if rule.fits(path, base, folder):
                return not rule.keeps
        return False


def _rule(line: str) -> _Rule | None:
    if line.startswith("#"):
        return None
    keeps = line.startswith("!")
    pattern = _without_spaces(line[1:] if keeps else line)
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    anywhere = "/" not in pattern
    texts = pattern.removeprefix("/").split("/")
    if texts == [""]:
        return None
    parts: list[re.Pattern[str] | None] = []
    for place, text in enumerate(texts):
        if len(text) > 1 and not text.strip("*") and not anywhere:
            if not parts or parts[-1] is not None:
                parts.append(None)
            continue
        if place < len(texts) - 1 and (len(text) - len(text.rstrip("\\"))) % 2:
            text = text[:-1]  # An escaped slash is a slash.
        expression = _expression(text)
        if expression is None:
            return None  # Such a pattern fits nothing.
        parts.append(re.compile(expression, re.DOTALL))
    return _Rule(keeps, folders_only, anywhere, tuple(parts))


def _without_spaces(line: str) -> str:
    """Without the spaces at its end, but for one that a backslash protects."""
    bare = line.rstrip(" ")
    if len(bare) < len(line) and (len(bare) - len(bare.rstrip("\\"))) % 2:
        bare += " "
    return bare


def _expression(text: str) -> str | None:
    """A part of a pattern as an expression for a part of a path; None when it can fit nothing."""
    # Between stars stand pieces of fixed length. The first place where a piece fits is as good as any
    # other, so each search is atomic: never begun again when a later piece does not fit.
    pieces: list[str] = [""]
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        elif char == "[":
            found = _bracket(text, at)
            if found is None:
                return None
            expression, at = found
            pieces[-1] += expression
        elif char == "\\":
            if at == len(text):
                return None
            pieces[-1] += re.escape(text[at])
            at += 1
        else:
            pieces[-1] += re.escape(char)
    first, *rest = pieces
    if not rest:
        return first + r"\Z"
    *inner, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in inner if piece) + f".*{last}" + r"\Z"


def _bracket(text: str, at: int) -> tuple[str, int] | None:
    """(the expression, where it ends) for what follows a `[`; None when it is never closed."""
    inverted = text[at : at + 1] in ("!", "^")
    at += inverted
    items: list[str] = []
    first = True
    while True:
        if at >= len(text):
            return None
        if text[at] == "]" and not first:
            break
        first = False
        if text.startswith("[:", at) and (end := text.find(":]", at)) > 0:
            name = _CLASSES.get(text[at + 2 : end])
            if name is None:
                return None
            items.append(name)
            at = end + 2
            continue
        low, at = _member(text, at)
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("", "]"):
            high, at = _member(text, at + 1)
            if low and high:  # A range the wrong way round holds its first character, as in git.
                items.append(f"{re.escape(low)}-{re.escape(high if low <= high else low)}")
        elif low:
            items.append(re.escape(low))
    if not items:
        return ("." if inverted else r"(?!)"), at + 1
    return f"[{'^' if inverted else ''}{''.join(items)}]", at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    if text[at] == "\\":
        return text[at + 1 : at + 2], at + 2
    return text[at], at + 1


def _fit(parts: Sequence[re.Pattern[str] | None], names: Sequence[str]) -> bool:
    if parts[-1] is None:
        # At the end it stands for everything inside, which is one name at least.
        parts, names = parts[:-1], names
        return any(_fit(parts, names[:end]) for end in _ends(parts, names)) if parts else True
    part = name = 0
    back: tuple[int, int] | None = None
    while name < len(names):
        if part < len(parts):
            expression = parts[part]
            if expression is None:
                part += 1
                back = (part, name)
                continue
            if expression.match(names[name]):
                part += 1
                name += 1
                continue
        if back is None:
            return False
        # The names that the last `**` stands for are one more.
        part, name = back[0], back[1] + 1
        back = (part, name)
    return part == len(parts)


def _ends(parts: Sequence[re.Pattern[str] | None], names: Sequence[str]) -> range:
    """How many names may stand before a `**` at the end: as many as there are parts, or more."""
    if None in parts:
        return range(len(names))
    return range(len(parts), min(len(parts) + 1, len(names)))
