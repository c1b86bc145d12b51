"""What checking a value against a JSON Schema (2020-12) can cost, counted before it is done.

References let a small schema be looked at any number of times for one place in a value: `a` refers to `b`
twice, `b` to `c` twice, and so on. So a schema is drawn as a graph of its parts. Parts that apply to the
same place are added up once (`Plan`); where several of them lead on to the same place of a value, what a
value would cost is counted along the value, with how often each part is looked at, and nothing is evaluated.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, cast
from urllib.parse import unquote, urldefrag, urljoin

#: Looks at parts of a schema that one place of a value may cost, and all of a value.
MOST_OF_PLACE: Final = 2_000
MOST_OF_VALUE: Final = 2_000_000
#: Parts of all places together, as they are kept.
_MOST_KEPT: Final = 300_000
#: Places of a value that are counted one by one.
_MOST_PLACES: Final = 1_000_000

_SAME = ("not", "if", "then", "else")
_SAME_LISTS = ("allOf", "anyOf", "oneOf")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ITEMS = ("items", "additionalItems", "contains", "unevaluatedItems")
_VALUES = ("additionalProperties", "unevaluatedProperties")
#: Stands where two parts have one name.
_TWO: Final = object()
_META = ("https://json-schema.org/", "http://json-schema.org/")

#: Where a part leads to: an item of a list, a property by name, any property, a property's name.
_ITEM, _ANY, _NAME = "[]", "{}", "{name}"


class TooCostly(ValueError):
    """The check would take too long; the text says why."""


class _Part:
    """A schema inside the schema: parts for the same place, and (where to, part)."""

    __slots__ = ("children", "reach", "same")

    def __init__(self) -> None:
        self.same: list[_Part] = []
        self.children: list[tuple[str, _Part]] = []
        #: All parts for the same place, this one too, with how often each is looked at.
        self.reach: Counter[_Part] | None = None


class Plan:
    """The graph of one schema. `counted`: values have to be counted before they are checked."""

    def __init__(self, schema: Any) -> None:
        """Raises TooCostly."""
        self._parts: dict[int, _Part] = {}
        self._named: dict[str, Any] = {}
        #: How often each anchor's name is given, "" for `$recursiveAnchor`.
        self._anchors: Counter[str] = Counter()
        self._kept = 0
        self._name(schema, "")
        self._root = self._part(schema, "")
        self.counted = False
        for part in list(self._parts.values()):
            self._reach(part)
        self.counted = any(self._meets(part) for part in self._parts.values())

    def check(self, value: Any) -> None:
        """Raises TooCostly when `value` would take too long."""
        if not self.counted:
            return
        cost = places = 0
        waiting: list[tuple[Any, Counter[_Part]]] = [(value, self._reach(self._root))]
        while waiting:
            here, parts = waiting.pop()
            places += 1
            cost += sum(parts.values())
            if cost > MOST_OF_VALUE or places > _MOST_PLACES:
                raise TooCostly(
                    "this value is nested too deeply, or too large, for a schema with such references"
                )
            if isinstance(here, dict):
                for name, inner in cast("dict[str, Any]", here).items():
                    if below := self._below(parts, (f".{name}", _ANY)):
                        waiting.append((inner, below))
            elif isinstance(here, list):
                below = self._below(parts, (_ITEM,))
                if below:
                    waiting += [(inner, below) for inner in cast("list[Any]", here)]

    def _below(self, parts: Counter[_Part], steps: tuple[str, ...]) -> Counter[_Part]:
        found: Counter[_Part] = Counter()
        for part, times in parts.items():
            for step, child in part.children:
                if step in steps:
                    for one, often in self._reach(child).items():
                        found[one] += often * times
        return found

    def _meets(self, part: _Part) -> bool:
        """Whether several parts for one place lead on to one place below it and go on from there."""
        seen: set[str] = set()
        general = 0
        for one, times in self._reach(part).items():
            for step, child in one.children:
                reach = self._reach(child)
                if not any(each.children for each in reach):
                    continue
                if times > 1 or step in seen or (general and step.startswith((".", "{"))):
                    return True
                if step == _ANY:
                    if any(each.startswith(".") for each in seen):
                        return True
                    general += 1
                seen.add(step)
        return False

    def _reach(self, part: _Part) -> Counter[_Part]:
        """Filled from the bottom up, without recursion: chains of references may be long."""
        if part.reach is not None:
            return part.reach
        path, under = [part], {part}
        while path:
            here = path[-1]
            missing = next((one for one in here.same if one.reach is None), None)
            if missing is not None:
                if missing in under:
                    raise TooCostly("a part of it refers to itself for the same value")
                path.append(missing)
                under.add(missing)
                continue
            found = Counter({here: 1})
            for one in here.same:
                assert one.reach is not None
                found.update(one.reach)
            self._kept += len(found)
            if sum(found.values()) > MOST_OF_PLACE or self._kept > _MOST_KEPT:
                raise TooCostly(f"its references unfold to more than {MOST_OF_PLACE} parts for one value")
            here.reach = found
            under.discard(path.pop())
        assert part.reach is not None
        return part.reach

    # --- reading ------------------------------------------------------------------------------------------

    def _name(self, schema: Any, base: str) -> None:
        """Learn what references may name: `$id`, `$anchor`, at any depth. A name of two parts is nobody's:
        whoever checks may take the other one."""
        waiting: list[tuple[Any, str]] = [(schema, base)]
        self._named[base] = schema

        def give(name: str, part: dict[str, Any]) -> None:
            self._named[name] = part if self._named.get(name, part) is part else _TWO

        while waiting:
            here, base = waiting.pop()
            if isinstance(here, dict):
                members = cast("dict[str, Any]", here)
                name = members.get("$id")
                if isinstance(name, str) and name.startswith(
                    "#"
                ):  # An anchor, as drafts before 2019 have it.
                    give(f"{base}{name}", members)
                    self._anchors[name[1:]] += 1
                elif isinstance(name, str):
                    base = urldefrag(urljoin(base, name))[0]
                    give(base, members)
                for word in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := members.get(word), str):
                        give(f"{base}#{name}", members)
                        self._anchors[name] += 1
                self._anchors[""] += members.get("$recursiveAnchor") is True
                # Also in what may be data (`const`, or a property of that name): who finds more names than
                # the checker does only refuses more.
                waiting += [(one, base) for one in members.values()]
            elif isinstance(here, list):
                waiting += [(one, base) for one in cast("list[Any]", here)]

    def _part(self, schema: Any, base: str) -> _Part:
        root = _Part()
        if not isinstance(schema, dict):
            return root
        self._parts[id(schema)] = root  # pyright: ignore[reportUnknownArgumentType]
        waiting: list[tuple[dict[str, Any], str, _Part]] = [(cast("dict[str, Any]", schema), base, root)]

        def reach(found: Any, base: str) -> _Part | None:
            if not isinstance(found, dict):
                return None
            known = self._parts.get(id(found))  # pyright: ignore[reportUnknownArgumentType]
            if known is None:
                known = self._parts[id(found)] = _Part()  # pyright: ignore[reportUnknownArgumentType]
                waiting.append((cast("dict[str, Any]", found), base, known))
            return known

        while waiting:
            here, base, part = waiting.pop()
            if isinstance(name := here.get("$id"), str) and not name.startswith("#"):
                base = urldefrag(urljoin(base, name))[0]
            for step, found in _inner(here):
                inner = reach(found, base)
                if inner is not None and step:
                    part.children.append((step, inner))
                elif inner is not None:
                    part.same.append(inner)
            for word in _REFERENCES:
                if isinstance(name := here.get(word), str):
                    if word != "$ref":
                        self._check_dynamic(name)
                    inner = reach(*self._referred(name, base))
                    if inner is not None:
                        part.same.append(inner)
        return root

    def _check_dynamic(self, name: str) -> None:
        # Where there are several, whoever calls decides which of them is meant.
        if self._anchors[unquote(name.partition("#")[2])] > 1:
            raise TooCostly(f"it is not clear what its dynamic reference {name[:80]!r} names")

    def _referred(self, name: str, base: str) -> tuple[Any, str]:
        """What a reference names, and the base of references in it."""
        whole = urljoin(base, name) if base else name
        document, _, fragment = whole.partition("#")
        if document.startswith(_META) and not (self._anchors["meta"] or self._anchors[""]):
            return None, base
        try:
            if fragment and not fragment.startswith("/"):
                found = self._named[f"{document}#{unquote(fragment)}"]
            else:
                found = start = self._named[document]
                for step in unquote(fragment).split("/")[1:]:
                    if found is not start and "$id" in found:
                        raise KeyError  # Below it references have another base.
                    step = step.replace("~1", "/").replace("~0", "~")
                    found = found[int(step) if isinstance(found, list) else step]
            if found is _TWO:
                raise KeyError
        except (KeyError, IndexError, TypeError, ValueError):
            raise TooCostly(f"it is not clear what its reference {name[:80]!r} names") from None
        return found, document


def _inner(schema: dict[str, Any]) -> list[tuple[str, Any]]:
    """(where to, schema) of a schema's direct parts; "" for the same place."""
    found: list[tuple[str, Any]] = [("", schema[word]) for word in _SAME if word in schema]
    for word in _SAME_LISTS:
        if isinstance(many := schema.get(word), list):
            found += [("", one) for one in cast("list[Any]", many)]
    for word in ("dependentSchemas", "dependencies"):
        if isinstance(many := schema.get(word), dict):
            found += [("", one) for one in cast("dict[str, Any]", many).values()]
    if isinstance(many := schema.get("properties"), dict):
        found += [(f".{name}", one) for name, one in cast("dict[str, Any]", many).items()]
    if isinstance(many := schema.get("patternProperties"), dict):
        found += [(_ANY, one) for one in cast("dict[str, Any]", many).values()]
    found += [(_ANY, schema[word]) for word in _VALUES if word in schema]
    if "propertyNames" in schema:
        found.append((_NAME, schema["propertyNames"]))
    if isinstance(many := schema.get("prefixItems"), list):
        found += [(_ITEM, one) for one in cast("list[Any]", many)]
    for word in _ITEMS:
        if isinstance(many := schema.get(word), list):
            found += [(_ITEM, one) for one in cast("list[Any]", many)]
        elif word in schema:
            found.append((_ITEM, schema[word]))
    return found
