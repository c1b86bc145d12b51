"""The text of an organisation's rules: TOML with a table `[[rule]]` for each, read whole or refused with
the line, the key and what to write (docs/approvals.md)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, cast

from a2a_cloud.control.approvals.policy import (
    MOST_SECONDS,
    OPERATIONS,
    Decision,
    Rule,
    check_pattern,
)
from a2a_cloud.model.approval import Risk
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire import toml_text

MOST_TEXT = 64 << 10
MOST_RULES = 100
_MOST_ENTRIES = 64
_MOST_DEADLINE = 90 * 86_400
_HEADER = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_ANY_HEADER = re.compile(r"\s*\[")
_AT_LINE = re.compile(r"line (\d+)")
_NAME = re.compile(r"[^/\s]{1,200}")
#: What people write, and what it is called here.
_MEANT = {
    "path": "paths",
    "read": "paths",
    "write": "paths",
    "ops": "operations",
    "hosts": "egress",
    "calls": "skills",
    "skill": "skills",
    "agent": "agents",
    "caller": "callers",
    "requesters": "callers",
    "seconds": "for",
    "action": "decision",
    "effect": "decision",
    "own": "self",
}


class _Wrong(Exception):
    """A value that does not fit: what was wrong, and what to write."""

    def __init__(self, detail: str, write: str) -> None:
        self.detail, self.write = detail, write
        super().__init__(detail)


def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules in order. Raises InvalidParams; its info has `line` and `key` where they are known."""
    if len(text.encode("utf-8", "replace")) > MOST_TEXT:
        raise InvalidParams(f"The rules are longer than {MOST_TEXT} bytes.", remedy="Use fewer, wider rules.")
    try:
        table = toml_text.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _AT_LINE.search(str(error))
        raise InvalidParams(
            f"The rules are not valid TOML: {error}.",
            remedy='A rule is [[rule]] and lines below it such as paths = ["reports/**"].',
            info={"line": line[1]} if line else {},
        ) from None
    except RecursionError:
        raise InvalidParams("The rules are nested too deeply to be read.") from None
    for key in table:
        if key != "rule":
            raise InvalidParams(
                f"The rules have an unknown key `{key[:80]}`{_where(_line(text, 0, key))}.",
                remedy="Everything stands below a line [[rule]].",
                info=_info(_line(text, 0, key), key),
            )
    found = table.get("rule", [])
    if not isinstance(found, list) or any(not isinstance(each, dict) for each in cast("list[Any]", found)):
        raise InvalidParams(
            "`rule` is one table here.", remedy="Write [[rule]], in two brackets.", info={"key": "rule"}
        )
    tables = cast("list[dict[str, Any]]", found)
    if len(tables) > MOST_RULES:
        raise InvalidParams(
            f"{len(tables)} rules are too many; {MOST_RULES} are the most.",
            remedy="One rule takes many patterns.",
        )
    return tuple(_rule(text, number, each) for number, each in enumerate(tables, 1))


def _rule(text: str, number: int, table: dict[str, Any]) -> Rule:
    fields: dict[str, Any] = {}
    for key, value in table.items():
        known = _KEYS.get(key)
        if known is None:
            _refuse(text, number, key, f"has an unknown key `{key[:80]}`", _near(key))
        field, check = known
        try:
            fields[field] = check(value)
        except _Wrong as wrong:
            _refuse(text, number, key, f"`{key}` {wrong.detail}", f"Write {wrong.write}.")
        except InvalidParams as problem:
            _refuse(text, number, key, f"`{key}`: {problem.detail.rstrip('.')}", problem.remedy)
    if "decision" not in fields:
        _refuse(text, number, "", "has no `decision`", f'Write decision = "ask", or one of {_DECISIONS}.')
    return Rule(number=number, **fields)


def _refuse(text: str, number: int, key: str, what: str, remedy: str) -> NoReturn:
    line = _line(text, number, key)
    joint = ": " if what.startswith("`") else " "
    raise InvalidParams(
        f"Rule {number}{_where(line)}{joint}{what}.",
        remedy=remedy,
        info={"rule": str(number), **_info(line, key)},
    )


def _where(line: int) -> str:
    return f" (line {line})" if line else ""


def _info(line: int, key: str) -> dict[str, str]:
    return ({"line": str(line)} if line else {}) | ({"key": key[:80]} if key else {})


def _line(text: str, number: int, key: str) -> int:
    """The line of a key of rule `number` (0: before the first), else of its header; 0 when not known."""
    rule = at = 0
    key_line = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]") if key else None
    for line, content in enumerate(text.splitlines(), 1):
        if _HEADER.match(content):
            rule += 1
            if rule > number:
                break
            at = line
        elif key_line is not None and rule == number and (key_line.match(content) or _heads(content, key)):
            return line
    return at if rule >= number else 0


def _heads(line: str, key: str) -> bool:
    """`line` begins a table that is named by `key`."""
    return _ANY_HEADER.match(line) is not None and key in line


def _near(key: str) -> str:
    plain = key.lower().replace("-", "_")
    close = [_MEANT[plain]] if plain in _MEANT else difflib.get_close_matches(plain, _KEYS, n=1, cutoff=0.55)
    return f"Did you mean `{close[0]}`?" if close else f"It takes {', '.join(f'`{one}`' for one in _KEYS)}."


def _said(value: Any) -> str:
    return f'can\'t be "{value[:80]}"' if isinstance(value, str) else f"can't be {str(value)[:80]}"


def _texts(value: Any, write: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _Wrong(_said(value), f"a list: {write}")
    items = cast("list[object]", value)
    if len(items) > _MOST_ENTRIES:
        raise _Wrong(f"has {len(items)} entries", f"{_MOST_ENTRIES} at most")
    for each in items:
        if not isinstance(each, str):
            raise _Wrong(_said(each), f"texts: {write}")
    return tuple(cast("list[str]", items))


def _patterns(kind: str, write: str) -> Callable[[Any], tuple[str, ...]]:
    def check(value: Any) -> tuple[str, ...]:
        patterns = _texts(value, write)
        for each in patterns:
            check_pattern(kind, each)
        return patterns

    return check


def _names(write: str) -> Callable[[Any], tuple[str, ...]]:
    def check(value: Any) -> tuple[str, ...]:
        names = _texts(value, write)
        for each in names:
            if not _NAME.fullmatch(each) or "**" in each:
                raise _Wrong(_said(each), f"names, in which `*` stands for any characters: {write}")
        return names

    return check


def _words(allowed: Iterable[str]) -> Callable[[Any], tuple[str, ...]]:
    known = tuple(allowed)
    listed = ", ".join(f'"{each}"' for each in known)

    def check(value: Any) -> tuple[str, ...]:
        words = _texts([value] if isinstance(value, str) else value, f"some of {listed}")
        for each in words:
            if each not in known:
                raise _Wrong(_said(each), f"some of {listed}")
        return words

    return check


def _decision(value: Any) -> Decision:
    if not isinstance(value, str) or value not in tuple(Decision):
        raise _Wrong(_said(value), f"one of {_DECISIONS}")
    return Decision(value)


def _seconds(most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise _Wrong(_said(value), f"seconds, a whole number from 1 to {most}")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(_said(value), "true or false")
    return value


def _label(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 80 or not value.isprintable():
        raise _Wrong(_said(value), "a short text")
    return value


_DECISIONS = ", ".join(f'"{each.value}"' for each in Decision)
_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "name": ("name", _label),
    "paths": ("paths", _patterns("read", '["reports/**"]')),
    "operations": ("operations", _words(OPERATIONS)),
    "skills": ("skills", _patterns("skills", '["pricing/quote", "mailer/*"]')),
    "egress": ("egress", _patterns("egress", '["api.example.com"]')),
    "agents": ("agents", _names('["reviewer"]')),
    "callers": ("callers", _names('["*@acme"]')),
    "risk": ("risk", _words(Risk)),
    "decision": ("decision", _decision),
    "for": ("seconds", _seconds(MOST_SECONDS)),
    "deadline": ("deadline", _seconds(_MOST_DEADLINE)),
    "self": ("own", _flag),
}
