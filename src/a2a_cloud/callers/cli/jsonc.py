"""Editing JSON that people edit too: one member is put in or taken out, and every other character stays.

Editors' configuration is JSON with comments and trailing commas. It is never written anew here: the text
is scanned for the place of the member, changed there, and read again to see that nothing else changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"(?:[ \t\r\n]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null")
_DEEPEST = 100


class NotEditable(Exception):
    """The text is no JSON that can be edited; the message says why."""


@dataclass
class _Node:
    start: int
    value: Any
    end: int = 0
    #: Of an object: its members, each with the place of its name.
    members: dict[str, tuple[int, _Node]] = field(default_factory=dict[str, "tuple[int, _Node]"])


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def fail(self, what: str) -> NotEditable:
        line = self.text.count("\n", 0, self.at) + 1
        return NotEditable(f"line {line}: {what}")

    def string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise self.fail("a name in quotes is expected")
        self.at = found.end()
        try:
            return json.loads(found[0])
        except ValueError:
            raise self.fail("a text can't be read") from None

    def node(self, depth: int = 0) -> _Node:
        self.space()
        if depth > _DEEPEST:
            raise self.fail("it nests too deeply")
        start = self.at
        first = self.text[start : start + 1]
        if first == "{":
            node = self._object(start, depth)
        elif first == "[":
            node = self._array(start, depth)
        elif first == '"':
            node = _Node(start, self.string())
        else:
            found = _SCALAR.match(self.text, start)
            if found is None:
                raise self.fail("a value is expected")
            self.at = found.end()
            try:
                node = _Node(start, json.loads(found[0]))
            except ValueError:
                raise self.fail("a number can't be read") from None
        node.end = self.at
        return node

    def _object(self, start: int, depth: int) -> _Node:
        node = _Node(start, {})
        self.at += 1
        while self._more("}"):
            name_at = self.at
            name = self.string()
            if name in node.members:
                raise self.fail(f"{name!r} stands twice in one object")
            self.space()
            if self.text[self.at : self.at + 1] != ":":
                raise self.fail("a colon is expected")
            self.at += 1
            value = self.node(depth + 1)
            node.members[name] = (name_at, value)
            node.value[name] = value.value
            self._comma("}")
        return node

    def _array(self, start: int, depth: int) -> _Node:
        node = _Node(start, [])
        self.at += 1
        while self._more("]"):
            node.value.append(self.node(depth + 1).value)
            self._comma("]")
        return node

    def _more(self, close: str) -> bool:
        self.space()
        if self.at >= len(self.text):
            raise self.fail(f"{close} is missing")
        if self.text[self.at] == close:
            self.at += 1
            return False
        return True

    def _comma(self, close: str) -> None:
        self.space()
        here = self.text[self.at : self.at + 1]
        if here == ",":
            self.at += 1
        elif here != close:
            raise self.fail(f"a comma or {close} is expected")


def _parsed(text: str) -> _Node:
    scanner = _Scanner(text)
    node = scanner.node()
    scanner.space()
    if scanner.at != len(text):
        raise scanner.fail("more follows after the end")
    if not isinstance(node.value, dict):
        raise NotEditable("it is no JSON object")
    return node


def parse(text: str) -> dict[str, Any]:
    """The object in `text`, {} for nothing but space. Raises NotEditable."""
    return _parsed(text).value if text.strip() else {}


def put(text: str, path: Sequence[str], value: Any) -> str:
    """`text` with `value` at `path`, containers made where there are none. Raises NotEditable."""
    before = parse(text)
    if not text.strip():
        text = "{}\n"
    wanted = _with(before, path, value)
    node = _parsed(text)
    depth = 0
    for step in path[:-1]:
        if step not in node.members:
            break
        node = node.members[step][1]
        if not isinstance(node.value, dict):
            raise NotEditable(f"{step} is no object")
        depth += 1
    # What is missing on the way is put in with it.
    for step in reversed(path[depth + 1 :]):
        value = {step: value}
    changed = _put(text, node, path[depth], value)
    if parse(changed) != wanted:
        raise NotEditable("the place to change could not be found for certain")
    return changed


def remove(text: str, path: Sequence[str]) -> str:
    """`text` without the member at `path`; as it is when there is none. Raises NotEditable."""
    if not text.strip():
        return text
    node = _parsed(text)
    before = node.value
    for step in path[:-1]:
        if step not in node.members:
            return text
        node = node.members[step][1]
    if path[-1] not in node.members:
        return text
    changed = _remove(text, node, path[-1])
    if parse(changed) != _with(before, path, None, gone=True):
        raise NotEditable("the place to change could not be found for certain")
    return changed


def _with(value: dict[str, Any], path: Sequence[str], put_in: Any, *, gone: bool = False) -> dict[str, Any]:
    changed = dict(value)
    if len(path) == 1:
        changed.pop(path[0], None)
        return changed if gone else {**changed, path[0]: put_in}
    inner = value.get(path[0], {})
    if not isinstance(inner, dict):
        raise NotEditable(f"{path[0]} is no object")
    return {**changed, path[0]: _with(inner, path[1:], put_in, gone=gone)}  # pyright: ignore


def _put(text: str, node: _Node, name: str, value: Any) -> str:
    outer = _indent(text, node.start)
    if name in node.members:
        old = node.members[name][1]
        inner = _indent(text, node.members[name][0])
        return text[: old.start] + _dumped(value, inner) + text[old.end :]
    if not node.members:
        inner = outer + "  "
        kept = text[node.start + 1 : node.end - 1].rstrip()  # a comment may stand in it
        member = f"{kept}\n{inner}{json.dumps(name)}: {_dumped(value, inner)}\n{outer}"
        return text[: node.start + 1] + member + text[node.end - 1 :]
    last_at, last = list(node.members.values())[-1]
    inner = _indent(text, last_at)
    member = f"\n{inner}{json.dumps(name)}: {_dumped(value, inner)}"
    scanner = _Scanner(text)
    scanner.at = last.end
    scanner.space()
    if text[scanner.at] == ",":  # a comma trails
        return text[: scanner.at + 1] + member + "," + text[scanner.at + 1 :]
    return text[: last.end] + "," + member + text[last.end :]


def _remove(text: str, node: _Node, name: str) -> str:
    places = list(node.members.values())
    index = list(node.members).index(name)
    start, gone = places[index]
    if index + 1 < len(places):
        return text[:start] + text[places[index + 1][0] :]
    scanner = _Scanner(text)
    scanner.at = gone.end
    scanner.space()
    end = scanner.at + 1 if text[scanner.at] == "," else gone.end
    if index:
        return text[: places[index - 1][1].end] + text[end:]
    left, right = text[:start].rstrip(" \t\r\n"), text[end:].lstrip(" \t\r\n")
    if left.endswith("{") and right.startswith("}"):
        return left + right
    return text[:start] + text[end:]  # a comment stands there


def _indent(text: str, at: int) -> str:
    """The white space that the line of `at` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _dumped(value: Any, indent: str) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n" + indent)
