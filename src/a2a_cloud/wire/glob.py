"""The one language of paths and globs: what a path in a workspace may be, and which paths a pattern means.

A path is refused, never repaired: relative, NFC, case-sensitive, `/` between segments. In a pattern `*`
and `?` stand within a segment, `**` for zero or more whole segments, and nothing else has a meaning
(docs/grants.md; reference: mcp-and-identity.md, "Grants"). Time is linear in the path for every pattern.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

from a2a_cloud.model.problem import InvalidParams

#: In bytes of UTF-8; object stores end at 1,024, file systems at 255 for a name.
MAX_PATH = 1024
MAX_SEGMENT = 255
MAX_SEGMENTS = 64

# Most paths: nothing here can break a rule but length. A segment ends in no dot, so it is neither `.`
# nor `..`.
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9_-](?:/[A-Za-z0-9_.-]*[A-Za-z0-9_-])*").fullmatch
#: `%2e`, `%2f`, `%5c`, an encoded control character, or an encoded `%`: somebody decoded once too little.
_ENCODED = re.compile(r"%(?:2[ef]|5c|25|[01][0-9a-f]|7f)", re.IGNORECASE).search
#: Format characters that words and emoji need (joiners); all others are invisible or turn the reading.
_JOINERS = "\u200c\u200d"
_NO_CLASSES = "[]{}!"

Match = Callable[[str], object]


def check_path(path: str) -> str:
    """`path` itself, when it is one. Raises InvalidParams with the rule that it breaks."""
    if len(path) <= MAX_SEGMENT and path.count("/") < MAX_SEGMENTS and _PLAIN(path):
        return path
    why = _wrong(path)
    if why:
        raise InvalidParams(
            f"The path {path[:120]!a} {why}.",
            remedy="Paths are relative, such as reports/2026/may.md; docs/grants.md has the rules.",
            info={"reason": "path"},
        )
    return path


def path_from_bytes(raw: bytes) -> str:
    """The path that these bytes are in UTF-8. Raises InvalidParams as `check_path` does."""
    try:
        return check_path(raw.decode())
    except UnicodeDecodeError:
        raise InvalidParams(
            f"The path {raw[:120]!r} is not UTF-8.", remedy="Send it as UTF-8.", info={"reason": "path"}
        ) from None


def _wrong(path: str) -> str:
    """The rule that `path` breaks, as the end of a sentence; "" for none."""
    if not path:
        return "is empty"
    if len(path) > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    if size > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    if path[0] == "/":
        return "is absolute"
    if "\\" in path:
        return "holds a backslash"
    if ":" in path:
        return "holds a colon, which names a drive or a stream on some systems"
    if _ENCODED(path):
        return "holds a percent-encoded character that could become a separator, a dot or a control character"
    for sign in path:
        kind = unicodedata.category(sign)
        if kind in ("Cc", "Zl", "Zp") or (kind == "Cf" and sign not in _JOINERS):
            return f"holds the control character U+{ord(sign):04X}"
        if kind == "Cn":
            return f"holds U+{ord(sign):04X}, which is no character"
    if not unicodedata.is_normalized("NFC", path):
        return "is not in the Unicode form NFC"
    segments = path.split("/")
    if len(segments) > MAX_SEGMENTS:
        return f"has more than {MAX_SEGMENTS} segments"
    for segment in segments:
        why = _wrong_segment(segment)
        if why:
            return why
    return ""


def _wrong_segment(segment: str) -> str:
    if not segment:
        return "has an empty segment: a `/` at its end, or two in a row"
    if segment in (".", ".."):
        return f"has the segment `{segment}`"
    if segment[-1] == "." or segment != segment.strip():
        return "has a segment with a dot at its end, or a space at either end"
    if len(segment.encode()) > MAX_SEGMENT:
        return f"has a segment longer than {MAX_SEGMENT} bytes"
    folded = unicodedata.normalize("NFKC", segment)
    if folded in (".", "..") or "/" in folded or "\\" in folded or ":" in folded:
        return "has a character that other systems read as a dot, a separator or a colon"
    return ""


class Globs:
    """A list of patterns; a path matches when one of them means it. An empty list means nothing.

    Made by `globs`. `patterns` are as written.
    """

    __slots__ = ("_every", "_exact", "_hard", "_prefixes", "_regex", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        """Raises InvalidParams for a pattern that is not in the language."""
        self.patterns = patterns
        self._every = False
        exact: set[str] = set()
        prefixes: list[str] = []
        regexes: list[str] = []
        hard: list[Match] = []
        for pattern in patterns:
            segments = _segments(pattern)
            stars = segments.count("**")
            literal = not any(_wild(segment) for segment in segments if segment != "**")
            if segments == ["**"]:
                self._every = True
            elif literal and not stars:
                exact.add(pattern)
            elif literal and stars == 1 and segments[-1] == "**":
                folder = "/".join(segments[:-1])
                exact.add(folder)
                prefixes.append(folder + "/")
            elif stars <= 1 and all(segment == "**" or segment.count("*") <= 1 for segment in segments):
                regexes.append(_regex(segments))
            else:
                hard.append(_search(segments))
        self._exact = frozenset(exact)
        self._prefixes = tuple(prefixes)
        self._regex: Match | None = re.compile("|".join(regexes), re.DOTALL).fullmatch if regexes else None
        self._hard = tuple(hard)

    def matches(self, path: str) -> bool:
        """Whether a pattern means `path`, which `check_path` has passed."""
        if self._every or path in self._exact or path.startswith(self._prefixes):
            return True
        if self._regex is not None and self._regex(path) is not None:
            return True
        return any(match(path) for match in self._hard) if self._hard else False

    def first(self, path: str) -> str | None:
        """The first pattern that means `path`: the reason to give."""
        for pattern in self.patterns:
            if globs((pattern,)).matches(path):
                return pattern
        return None


@lru_cache(maxsize=2048)
def globs(patterns: tuple[str, ...]) -> Globs:
    """The compiled list; the same patterns are compiled once. Raises InvalidParams for a bad pattern."""
    return Globs(patterns)


def check_globs(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns as a tuple, when all are in the language. Raises InvalidParams."""
    return globs(tuple(patterns)).patterns


def _segments(pattern: str) -> list[str]:
    """The pattern's segments, `**` after `**` dropped. Raises InvalidParams."""
    why = ""
    segments = pattern.split("/")
    if any(sign in pattern for sign in _NO_CLASSES):
        why = "holds one of [ ] { } !, which mean nothing here (`?` stands for any one character)"
    elif any("**" in segment and segment != "**" for segment in segments):
        why = "has `**` beside other characters: it stands alone in its segment"
    else:
        # With a letter in the place of each wildcard it must be a path, or it could never match one.
        why = _wrong(pattern.replace("**", "x").replace("*", "x").replace("?", "x"))
    if why:
        raise InvalidParams(
            f"The pattern {pattern[:120]!a} {why}.",
            remedy="Write a path in which `*` and `?` stand within a segment, `**` for whole segments.",
            info={"reason": "glob"},
        )
    return [
        segment
        for at, segment in enumerate(segments)
        if segment != "**" or at == 0 or segments[at - 1] != "**"
    ]


def _wild(segment: str) -> bool:
    return "*" in segment or "?" in segment


def _segment_regex(segment: str) -> str:
    return "".join("[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c) for c in segment)


def _regex(segments: list[str]) -> str:
    """For one `**` at most, and one `*` a segment: each part can end in one place only, so that a
    search never goes over the same ground twice."""
    parts: list[str] = []
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment != "**":
            parts.append(("/" if at and segments[at - 1] != "**" else "") + _segment_regex(segment))
        elif last:
            parts.append("(?:/.+)?")
        else:
            parts.append(("/" if at else "") + "(?:.+/)?")
    return "".join(parts)


def _search(segments: list[str]) -> Match:
    """For several `**` or several `*` in a segment: each run of segments between two `**` is looked for
    from the left, and its first place is the best one, because `**` takes whatever follows."""
    runs: list[list[Match]] = [[]]
    for segment in segments:
        if segment == "**":
            runs.append([])
        else:
            runs[-1].append(_segment_search(segment))
    head, *middle, tail = runs if len(runs) > 1 else [runs[0], []]
    open_end = len(runs) > 1
    middle = [run for run in middle if run]

    def match(path: str) -> bool:
        names = path.split("/")
        at, end = len(head), len(names) - len(tail)
        if at > end or (not open_end and at != end):
            return False
        if not (_fits(head, names, 0) and _fits(tail, names, end)):
            return False
        for run in middle:
            while at + len(run) <= end and not _fits(run, names, at):
                at += 1
            at += len(run)
            if at > end:
                return False
        return True

    return match


def _fits(run: list[Match], names: list[str], at: int) -> bool:
    return all(match(names[at + step]) for step, match in enumerate(run))


def _segment_search(segment: str) -> Match:
    """The same within a segment: the text between two `*` is looked for from the left."""
    if segment.count("*") <= 1:
        return re.compile(_segment_regex(segment), re.DOTALL).fullmatch
    chunks = segment.split("*")
    head, *middle, tail = [re.compile(_segment_regex(chunk), re.DOTALL) for chunk in chunks]
    first, last = len(chunks[0]), len(chunks[-1])

    def match(name: str) -> bool:
        at, end = first, len(name) - last
        if at > end or not head.match(name) or not tail.fullmatch(name, end):
            return False
        for chunk in middle:
            found = chunk.search(name, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return match


# --- hosts: the same language, read from the other end -------------------------------------------------

_HOST = re.compile(r"(?:(?:\*\*?|[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.|$))+").fullmatch
_PORT = re.compile(r"[1-9][0-9]{0,4}").fullmatch
HTTPS = "443"


def host_glob(pattern: str) -> str:
    """`*.example.com:8443` as a glob over what `host_path` makes. `*` is one label, `**` any number of
    them, `:*` any port; without a port it is 443. Raises InvalidParams."""
    host, colon, port = pattern.partition(":")
    port = port if colon else HTTPS
    if len(host) > 253 or host.endswith(".") or not _HOST(host) or not (port == "*" or _is_port(port)):
        raise InvalidParams(
            f"{pattern[:120]!a} is no host to reach.",
            remedy="Write small letters, such as api.example.com, *.example.com or example.com:8443.",
            info={"reason": "glob"},
        )
    return host.replace(".", "/") + "/" + port


def host_path(host: str, port: int) -> str:
    """`api.example.com`, 443 as `api/example/com/443`. Raises InvalidParams for what is no name or
    IPv4 address in its one right spelling."""
    plain = host.lower()
    if len(plain) > 253 or plain.endswith(".") or "*" in plain or not _HOST(plain) or not _is_port(str(port)):
        raise InvalidParams(
            f"{host[:120]!a}, port {port} is no host to reach.",
            remedy="Name it without a dot at its end, such as api.example.com.",
            info={"reason": "host"},
        )
    return plain.replace(".", "/") + f"/{port}"


def _is_port(text: str) -> bool:
    return _PORT(text) is not None and int(text) <= 65535
