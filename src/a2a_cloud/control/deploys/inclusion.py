"""Whether every value of one JSON Schema is a value of another, and if not, where.

Sound and not complete: without a gap, no value of the first is refused by the second; a gap may be
reported where a cleverer proof would find none. Two readings are looser, because they are how agents
grow. Fields that an object names nowhere, and says nothing of, are ignored and count as not sent. And a
result may gain fields.

A value is finite, so a pair of schemas that is met again deeper inside may be taken for granted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jsonschema_rs

from a2a_cloud.control.deploys.shape import (
    TYPES,
    Document,
    Node,
    Schema,
    Undecided,
    canonical,
    kind_of,
    spelled,
)

#: Steps and depth after which two schemas count as too large to compare.
MAX_STEPS = 20_000
MAX_DEPTH = 80
_FINITE = {"null": [None], "boolean": [False, True]}
_NUMBERS = frozenset({"integer", "fraction"})

Parts = tuple[Node, ...]


class Gap(NamedTuple):
    """Where the inclusion fails. `name`: only one of the two schemas names the field; `required`: only
    one requires it; `value`: see `text`."""

    where: str
    kind: Literal["name", "required", "value"]
    text: str


def gaps(small: Document, big: Document, root: str, *, output: bool, small_is_old: bool) -> list[Gap]:
    """What of `small` does not lie in `big`; none: every value of `small` is one of `big`.

    `root` begins each `where`. `output`: the schemas are of a result, which may gain fields. Texts say
    what was and what is, hence `small_is_old`. Raises Undecided.
    """
    found = _Inclusion(small, big, output, small_is_old)
    return list(dict.fromkeys(found.descend(_nodes(small.root), big.root, root)))


class _Inclusion:
    """One comparison. `small` is always a conjunction: a value has to fit all its parts."""

    def __init__(self, small: Document, big: Document, output: bool, small_is_old: bool) -> None:
        self._small = small
        self._big = big
        self._output = output
        self._small_is_old = small_is_old
        # Pairs that were met, as a trail: a trial that fails takes its own back.
        self._assumed: set[tuple[frozenset[int], int]] = set()
        self._trail: list[tuple[frozenset[int], int]] = []
        self._same_refs: dict[str, bool] = {}
        # Pairs go by identity, so derived nodes are made once and kept.
        self._derived: dict[tuple[int, str], Node] = {}
        self._keep: list[Schema] = []
        self._typed = {one: Node(types=frozenset({one})) for one in TYPES}
        self._any = Node()
        self._steps = 0
        self._depth = 0

    def descend(self, small: Parts | None, big: Schema, where: str) -> list[Gap]:
        """Gaps one level deeper in the value; None for `small` is no value at all."""
        if small is None or big is True:
            return []
        pair = (frozenset(map(id, small)), id(big))
        if pair in self._assumed:
            return []
        self._assumed.add(pair)
        self._trail.append(pair)
        self._keep += [*small, big]
        return self._inside(small, big, where)

    # -- the logic of schemas: references, conjunctions, alternatives

    def _inside(self, small: Sequence[Schema], big: Schema, where: str) -> list[Gap]:
        self._steps += 1
        if self._steps > MAX_STEPS or self._depth > MAX_DEPTH:
            raise Undecided("the schema is too large or refers to itself in too many ways")
        self._depth += 1
        try:
            if big is True or any(self._same(part, big) for part in small):
                return []
            parts = self._flat(small)
            if parts is None or any(self._same(part, big) for part in parts):
                return []
            return self._against(parts, big, where)
        finally:
            self._depth -= 1

    def _flat(self, small: Sequence[Schema]) -> Parts | None:
        """`small` without references and allOf; None when nothing fits it."""
        out: list[Node] = []
        todo = list(reversed(small))
        seen: set[str] = set()
        while todo:
            part = todo.pop()
            if part is False:
                return None
            if part is True:
                continue
            if part.ref is not None:
                if part.ref not in seen:
                    seen.add(part.ref)
                    todo.append(self._small.at(part.ref))
            todo += part.all_of
            if part.ref is not None or part.all_of:
                part = self._without(part, "ref")
            out.append(part)
        types = TYPES.intersection(*(part.types for part in out))
        return tuple(out or (self._any,)) if types else None

    def _without(self, part: Node, what: Literal["ref", "union"]) -> Node:
        made = self._derived.get((id(part), what))
        if made is None:
            none = {"ref": None, "all_of": ()} if what == "ref" else {"any_of": (), "one_of": ()}
            made = self._derived[id(part), what] = replace(part, **none)  # pyright: ignore[reportArgumentType]
            self._keep.append(part)
        return made

    def _against(self, parts: Parts, big: Schema, where: str) -> list[Gap]:
        for place, part in enumerate(parts):
            if part.any_of or part.one_of:
                return self._arms(parts, place, big, where)
        if big is False or big is True:
            return [] if big else [Gap(where, "value", self._gone(parts))]
        domain = _domain(parts)
        values = _values(parts, domain)
        if values is not None:
            refused = [value for value in values if not self._takes(big, value)]
            text = ", ".join(canonical(value).decode("utf-8", "replace")[:60] for value in refused[:8])
            return [Gap(where, "value", self._said(text))] if refused else []
        found: list[Gap] = []
        if big.ref is not None:
            found += self._inside(parts, self._big.at(big.ref), where)
        for one in big.all_of:
            found += self._inside(parts, one, where)
        for arms, exactly in ((big.any_of, False), (big.one_of, True)):
            if arms:
                found += self._union(parts, arms, where)
                if exactly and not self._disjoint(arms):
                    found.append(Gap(where, "value", "the alternatives of its `oneOf` may overlap"))
        return found + self._plain(parts, big, domain, where)

    def _arms(self, parts: Parts, place: int, big: Schema, where: str) -> list[Gap]:
        """Each alternative of a part has to fit."""
        part = parts[place]
        rest = [*parts[:place], *parts[place + 1 :], self._without(part, "union")]
        # Of two unions in one schema the second is left out: fewer limits, so that nothing is missed.
        found: list[Gap] = []
        for arm in part.any_of or part.one_of:
            found += self._inside([*rest, arm], big, where)
        return found

    def _union(self, parts: Parts, arms: Sequence[Schema], where: str) -> list[Gap]:
        """Some alternative has to take it; or, type by type, another one each."""
        if any(self._trial(parts, arm, where) for arm in arms):
            return []
        domain = sorted(_domain(parts))
        pieces = [(*parts, self._typed[one]) for one in domain] if len(domain) > 1 else [parts]
        found: list[Gap] = []
        for piece in pieces:
            if not any(self._trial(piece, arm, where) for arm in arms):
                found += self._nearest(piece, arms, where)
        return found

    def _nearest(self, piece: Parts, arms: Sequence[Schema], where: str) -> list[Gap]:
        """The gaps to the one alternative that can be meant, or the loss of the whole."""
        kinds = _domain(piece)
        meant = [arm for arm in arms if self._kinds(arm) & kinds]
        titles = {part.title for part in piece if part.title}
        titled = [arm for arm in meant if self._title(arm) in titles]
        if len(titled) == 1 or len(meant) == 1:
            found = self._inside(piece, (titled if len(titled) == 1 else meant)[0], where)
            if found:
                return found
        return [Gap(where, "value", self._gone(piece))]

    def _trial(self, parts: Parts, arm: Schema, where: str) -> bool:
        mark = len(self._trail)
        if not self._inside(parts, arm, where):
            return True
        self._assumed.difference_update(self._trail[mark:])
        del self._trail[mark:]
        return False

    def _target(self, schema: Schema) -> Schema:
        """What a schema that is a reference leads to in `big`."""
        for _ in range(8):
            if isinstance(schema, bool) or schema.ref is None:
                break
            schema = self._big.at(schema.ref)
        return schema

    def _kinds(self, schema: Schema) -> frozenset[str]:
        target = self._target(schema)
        return (TYPES if target else frozenset()) if isinstance(target, bool) else target.types

    def _title(self, schema: Schema) -> str:
        target = self._target(schema)
        return "" if isinstance(target, bool) else target.title

    def _disjoint(self, arms: Sequence[Schema]) -> bool:
        """Whether no value fits two of the alternatives, by their types or by a tag."""
        targets = [self._target(arm) for arm in arms]
        return all(_apart(a, b) for place, a in enumerate(targets) for b in targets[:place])

    def _same(self, small: Schema, big: Schema) -> bool:
        """Equal, and so is everything that they refer to."""
        if isinstance(small, bool) or isinstance(big, bool):
            return small is big
        return small == big and all(self._refs_same(ref) for ref in big.refs | small.refs)

    def _refs_same(self, start: str) -> bool:
        known = self._same_refs.get(start)
        if known is not None:
            return known
        seen: set[str] = set()
        todo = [start]
        while todo:
            ref = todo.pop()
            if ref in seen or self._same_refs.get(ref):
                continue
            seen.add(ref)
            a, b = self._small.at(ref), self._big.at(ref)
            if self._same_refs.get(ref) is False or a != b:
                self._same_refs[start] = False
                return False
            if isinstance(a, Node) and isinstance(b, Node):
                todo += a.refs | b.refs
        self._same_refs.update(dict.fromkeys(seen, True))
        return True

    # -- keywords

    def _plain(self, parts: Parts, big: Node, domain: frozenset[str], where: str) -> list[Gap]:
        found: list[Gap] = []
        if missing := domain - big.types:
            found.append(Gap(where, "value", self._said(spelled(missing))))
        kinds = domain & big.types
        if not kinds:
            return found
        if big.enum is not None:
            shown = ", ".join(key.decode("utf-8", "replace")[:60] for key in list(big.enum)[:8])
            found.append(self._changed(where, "its values", spelled(domain), shown))
        for mark, wanted in big.marks.items():
            if not ({part.marks.get(mark) for part in parts} & {wanted}) and (
                mark == "format" or "string" in kinds
            ):
                had = next((part.marks[mark] for part in parts if mark in part.marks), "none")
                found.append(self._changed(where, f"`{mark}`", had, wanted))
        if big.other and not self._other(parts, big):
            names = ", ".join(f"`{name}`" for name in big.other)
            found.append(Gap(where, "value", f"{names} changed, which can't be judged"))
        if kinds & _NUMBERS:
            found += self._numbers(parts, big, kinds, where)
        if "string" in kinds:
            found += self._counts(parts, big, "Length", where)
        if "array" in kinds:
            found += self._counts(parts, big, "Items", where)
            found += self._items(parts, big, where)
        if "object" in kinds:
            found += self._counts(parts, big, "Properties", where)
            found += self._object(parts, big, where)
        return found

    def _other(self, parts: Parts, big: Node) -> bool:
        """Whether the keywords that are compared as text alone are the same in one of the parts."""
        if any(name.startswith("unevaluated") for name in big.other):
            return False  # They depend on their neighbours.
        return any(part.other == big.other for part in parts) and all(map(self._refs_same, big.refs))

    def _numbers(self, parts: Parts, big: Node, kinds: frozenset[str], where: str) -> Iterator[Gap]:
        whole = "fraction" not in kinds
        for sign, plain, exclusive in (
            (1, "minimum", "exclusiveMinimum"),
            (-1, "maximum", "exclusiveMaximum"),
        ):
            # A least upper bound is a greatest lower one of the negated values.
            mine = max(_bound(part, sign, plain, exclusive, whole) for part in parts)
            wanted = _bound(big, sign, plain, exclusive, whole)
            if mine < wanted:
                yield self._changed(where, f"its {plain}", _shown(mine, sign), _shown(wanted, sign))
        wanted = big.multiple
        mine = [part.multiple for part in parts if part.multiple is not None]
        if wanted is not None and not (whole and wanted == 1) and not any(_times(m, wanted) for m in mine):
            yield self._changed(where, "`multipleOf`", mine[0] if mine else "none", wanted)

    def _counts(self, parts: Parts, big: Node, what: str, where: str) -> Iterator[Gap]:
        least = max(part.bounds.get(f"min{what}", 0) for part in parts)
        if least < big.bounds.get(f"min{what}", 0):
            yield self._changed(where, f"`min{what}`", least or "none", big.bounds[f"min{what}"])
        most = min(part.bounds.get(f"max{what}", math.inf) for part in parts)
        if what == "Items":
            most = min(most, _length(parts))
        if most > big.bounds.get(f"max{what}", math.inf):
            shown = "none" if most == math.inf else most
            yield self._changed(where, f"`max{what}`", shown, big.bounds[f"max{what}"])

    def _items(self, parts: Parts, big: Node, where: str) -> list[Gap]:
        found: list[Gap] = []
        longest = min(*(part.bounds.get("maxItems", math.inf) for part in parts), _length(parts))
        if big.unique and longest > 1 and not any(part.unique for part in parts):
            found.append(self._changed(where, "`uniqueItems`", "false", "true"))
        named = max(len(big.prefix), *(len(part.prefix) for part in parts))
        for place in range(named + 1):
            if place >= longest:
                break
            wanted = big.prefix[place] if place < len(big.prefix) else big.items
            if wanted is None:
                continue
            mine = [
                part.prefix[place] if place < len(part.prefix) else part.items
                for part in parts
                if place < len(part.prefix) or part.items is not None
            ]
            label = f"{where}[{place}]" if place < named else f"{where}[]"
            found += self.descend(_nodes(*mine), wanted, label)
        return found

    def _object(self, parts: Parts, big: Node, where: str) -> list[Gap]:
        found: list[Gap] = []
        declared = {name: None for part in parts for name in part.properties or ()}
        rest = _rest(parts)
        required = frozenset[str]().union(*(part.required for part in parts))
        for name in sorted(big.required - required):
            if name in declared or not self._output or name not in (big.properties or {}):
                found.append(Gap(f"{where}.{name}", "required", "" if name in declared else "new"))
        for name, wanted in (big.properties or {}).items():
            if name in declared:
                found += self.descend(_of(parts, name), wanted, f"{where}.{name}")
            elif self._output:
                found.append(Gap(f"{where}.{name}", "name", ""))
            elif rest is not None and rest != "ignored":
                found += self.descend(rest, wanted, f"{where}.{name}")
        for name in declared:
            if name in (big.properties or {}):
                continue
            if big.additional is None or big.additional is False:
                if not self._output:
                    found.append(Gap(f"{where}.{name}", "name", ""))
            else:
                found += self.descend(_of(parts, name), big.additional, f"{where}.{name}")
        found += self._further(rest, big, where)
        if big.names is not None:
            mine = [part.names for part in parts if part.names is not None]
            found += self.descend(_nodes(*mine, self._typed["string"]), big.names, f"{where}.*")
        return found

    def _further(self, rest: Parts | Literal["ignored"] | None, big: Node, where: str) -> list[Gap]:
        """Fields that have no schema of their own."""
        if rest is None or big.additional is True:
            return []
        if big.additional is None:
            # From a map to named fields: the others are not read any more.
            lost = rest != "ignored" and not self._output
            return [Gap(f"{where}.*", "value", "fields of any name")] if lost else []
        if big.additional is False:
            if self._output and rest == "ignored":
                return []
            return [Gap(f"{where}.*", "value", "fields that the schema doesn't name")]
        return self.descend(() if rest == "ignored" else rest, big.additional, f"{where}.*")

    def _takes(self, big: Schema, value: Any) -> bool:
        """Whether a value fits; of lists and objects only those that are listed are known to."""
        self._steps += 1
        self._depth += 1
        try:
            if isinstance(big, bool):
                return big
            if self._steps > MAX_STEPS or self._depth > MAX_DEPTH:
                raise Undecided("the schema is too large")
            if isinstance(value, list | dict) and replace(big, types=TYPES, enum=None) != self._any:
                return False
            if isinstance(value, str) and not big.marks.keys() <= {"pattern", "format"}:
                return False
            if big.other or kind_of(value) not in big.types:
                return False
            if not _leaf(big, value):
                return False
            targets = [*big.all_of] + ([self._big.at(big.ref)] if big.ref is not None else [])
            return (
                all(self._takes(one, value) for one in targets)
                and (not big.any_of or any(self._takes(one, value) for one in big.any_of))
                and (not big.one_of or self._takes_one(big.one_of, value))
            )
        finally:
            self._depth -= 1

    def _takes_one(self, arms: Sequence[Schema], value: Any) -> bool:
        # `_takes` may say no where it doesn't know, so exactly one yes proves nothing by itself.
        return self._disjoint(arms) and any(self._takes(arm, value) for arm in arms)

    # -- words

    def _said(self, what: str) -> str:
        return what or "some values"

    def _gone(self, parts: Parts) -> str:
        titles = [part.title for part in parts if part.title]
        return titles[0] if titles else spelled(_domain(parts))

    def _changed(self, where: str, what: str, small: object, big: object) -> Gap:
        old, new = (small, big) if self._small_is_old else (big, small)
        return Gap(where, "value", f"{what} was {str(old)[:100]} and is {str(new)[:100]}")


def _nodes(*schemas: Schema | None) -> Parts | None:
    """A conjunction; None when nothing fits."""
    return None if False in schemas else tuple(one for one in schemas if isinstance(one, Node))


def _domain(parts: Parts) -> frozenset[str]:
    return TYPES.intersection(*(part.types for part in parts))


def _values(parts: Parts, domain: frozenset[str]) -> list[Any] | None:
    """All values, where they can be listed; perhaps some too many."""
    for part in parts:
        if part.enum is not None:
            return [value for value in part.enum.values() if kind_of(value) in domain]
    if domain <= _FINITE.keys():
        return [value for kind in sorted(domain) for value in _FINITE[kind]]
    return None


def _leaf(node: Node, value: Any) -> bool:
    try:
        return jsonschema_rs.validator_for(node.leaves, validate_formats=True).is_valid(value)
    except ValueError as error:
        raise Undecided(str(error).splitlines()[0][:200]) from None


def _apart(a: Schema, b: Schema) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is False or b is False
    if not a.types & b.types:
        return True
    if a.types & b.types != frozenset({"object"}):
        return a.enum is not None and b.enum is not None and not a.enum.keys() & b.enum.keys()
    # A tag that one of them demands; in the other it may have a default.
    for name in a.required | b.required:
        one, two = (a.properties or {}).get(name), (b.properties or {}).get(name)
        mine = one.enum if isinstance(one, Node) else None
        other = two.enum if isinstance(two, Node) else None
        if mine is not None and other is not None and not mine.keys() & other.keys():
            return True
    return False


def _bound(node: Node, sign: int, plain: str, exclusive: str, whole: bool) -> tuple[float, bool]:
    """(lower bound of sign × value, whether it is excluded); of whole numbers never excluded."""
    found = [(-math.inf, False)]
    if plain in node.bounds:
        found.append((sign * node.bounds[plain], False))
    if exclusive in node.bounds:
        found.append((sign * node.bounds[exclusive], True))
    value, excluded = max(found)
    if whole and math.isfinite(value):
        return (math.floor(value) + 1 if excluded else math.ceil(value)), False
    return value, excluded


def _shown(bound: tuple[float, bool], sign: int) -> str:
    value, excluded = bound
    if not math.isfinite(value):
        return "none"
    words = {(1, False): "", (1, True): "more than ", (-1, False): "", (-1, True): "less than "}
    return f"{words[sign, excluded]}{sign * value}"


def _times(mine: float, wanted: float) -> bool:
    if mine == wanted:
        return True
    return isinstance(mine, int) and isinstance(wanted, int) and wanted > 0 and mine % wanted == 0


def _length(parts: Parts) -> float:
    """How many items arrays have at most, by `items: false`."""
    return min((len(part.prefix) for part in parts if part.items is False), default=math.inf)


def _of(parts: Parts, name: str) -> Parts | None:
    """What is known of a field that some of the parts name."""
    said: list[Schema | None] = []
    for part in parts:
        if name in (part.properties or {}):
            said.append((part.properties or {})[name])
        elif "patternProperties" not in part.other:
            said.append(part.additional)
    return _nodes(*said)


def _rest(parts: Parts) -> Parts | Literal["ignored"] | None:
    """What is known of fields that no part names: None is that there are none of them."""
    said: list[Schema] = []
    ignored = False
    for part in parts:
        if "patternProperties" in part.other:
            said.append(True)
        elif part.additional is None:
            ignored = True
        else:
            said.append(part.additional)
    if False in said:
        return None
    nodes = tuple(one for one in said if isinstance(one, Node))
    return "ignored" if ignored and not nodes else nodes
