"""Whether every value of one JSON Schema is a value of another, and if not, where.

Sound and not complete: without a gap, no value of the first is refused by the second; a gap may be
reported where a cleverer proof would find none. Two readings are looser, because they are how agents
grow. Fields that an object names nowhere, and says nothing of, are ignored and count as not sent. And a
result may gain fields.

A value is finite, so a pair of schemas that is met again deeper inside may be taken for granted.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from a2a_cloud.control.deploys.conjunction import (
    Parts,
    apart,
    domain_of,
    field_of,
    further_of,
    is_multiple,
    lower_bound,
    most_items,
    nodes,
    shown_bound,
    takes_leaf,
    values_of,
)
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
_NUMBERS = frozenset({"integer", "fraction"})

Pair = tuple[frozenset[int], int, str]


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
    return found.all(nodes(small.root), root)


class _Inclusion:
    """One comparison. `small` is always a conjunction: a value has to fit all its parts."""

    def __init__(self, small: Document, big: Document, output: bool, small_is_old: bool) -> None:
        self._small = small
        self._big = big
        self._output = output
        self._small_is_old = small_is_old
        # Pairs that were met, as a trail: a trial that fails takes its own back.
        self._assumed: set[Pair] = set()
        self._trail: list[Pair] = []
        self._same_refs: dict[str, bool] = {}
        # Pairs go by identity, so derived nodes are made once and kept.
        self._derived: dict[tuple[int, str], Node] = {}
        self._keep: list[Schema] = []
        self._typed = {one: Node(types=frozenset({one})) for one in TYPES}
        self._any = Node()
        # What lies deeper waits its turn, except in a trial, which needs the answer at once.
        self._waiting: deque[tuple[Parts, Schema, str]] = deque()
        self._trials = 0
        self._steps = 0
        self._depth = 0

    def all(self, small: Parts | None, root: str) -> list[Gap]:
        """Every gap once, those near the root first."""
        found = dict.fromkeys(self._descend(small, self._big.root, root))
        while self._waiting:
            found.update(dict.fromkeys(self._inside(*self._waiting.popleft())))
        return list(found)

    def _descend(self, small: Parts | None, big: Schema, where: str) -> list[Gap]:
        """Gaps one level deeper in the value; None for `small` is no value at all."""
        if small is None or big is True:
            return []
        if self._met(small, big, "value"):
            return []
        if self._trials:
            return self._inside(small, big, where)
        self._waiting.append((small, big, where))
        return []

    def _met(self, small: Parts, big: Schema, what: str) -> bool:
        """Whether a pair was met before; from now on it was."""
        pair = (frozenset(map(id, small)), id(big), what)
        if pair in self._assumed:
            return True
        self._assumed.add(pair)
        self._trail.append(pair)
        self._keep += [*small, big]
        return False

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
            if part.ref is not None and part.ref not in seen:
                seen.add(part.ref)
                todo.append(self._small.at(part.ref))
            todo += part.all_of
            if part.ref is not None or part.all_of:
                part = self._without(part, "ref")
            if part != self._any:
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
        domain = domain_of(parts)
        values = values_of(parts, domain)
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
        meant = [arm for arm in arms if self._kinds(arm) & domain_of(parts)]
        if len(meant) == 1 and domain_of(parts) <= self._kinds(meant[0]):
            return self._inside(parts, meant[0], where)
        if any(self._trial(parts, arm, where) for arm in arms):
            return []
        domain = sorted(domain_of(parts))
        pieces = [(*parts, self._typed[one]) for one in domain] if len(domain) > 1 else [parts]
        found: list[Gap] = []
        for piece in pieces:
            if not any(self._trial(piece, arm, where) for arm in arms):
                found += self._nearest(piece, arms, where)
        return found

    def _nearest(self, piece: Parts, arms: Sequence[Schema], where: str) -> list[Gap]:
        """The gaps to the one alternative that can be meant, or the loss of the whole."""
        kinds = domain_of(piece)
        meant = [arm for arm in arms if self._kinds(arm) & kinds]
        titles = {part.title for part in piece if part.title}
        titled = [arm for arm in meant if self._title(arm) in titles]
        if len(titled) == 1 or len(meant) == 1:
            self._trials += 1
            found = self._inside(piece, (titled if len(titled) == 1 else meant)[0], where)
            self._trials -= 1
            if found:
                return found
        return [Gap(where, "value", self._gone(piece))]

    def _trial(self, parts: Parts, arm: Schema, where: str) -> bool:
        mark = len(self._trail)
        self._trials += 1
        found = self._inside(parts, arm, where)
        self._trials -= 1
        if not found:
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
        return all(apart(a, b) for place, a in enumerate(targets) for b in targets[:place])

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
            try:
                a, b = self._small.at(ref), self._big.at(ref)
            except Undecided:
                # One of the two has no such place.
                a, b = True, False
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
            mine = max(lower_bound(part, sign, plain, exclusive, whole) for part in parts)
            wanted = lower_bound(big, sign, plain, exclusive, whole)
            if mine < wanted:
                yield self._changed(where, f"its {plain}", shown_bound(mine, sign), shown_bound(wanted, sign))
        wanted = big.multiple
        mine = [part.multiple for part in parts if part.multiple is not None]
        if (
            wanted is not None
            and not (whole and wanted == 1)
            and not any(is_multiple(m, wanted) for m in mine)
        ):
            yield self._changed(where, "`multipleOf`", mine[0] if mine else "none", wanted)

    def _counts(self, parts: Parts, big: Node, what: str, where: str) -> Iterator[Gap]:
        least = max(part.bounds.get(f"min{what}", 0) for part in parts)
        if least < big.bounds.get(f"min{what}", 0):
            yield self._changed(where, f"`min{what}`", least or "none", big.bounds[f"min{what}"])
        most = min(part.bounds.get(f"max{what}", math.inf) for part in parts)
        if what == "Items":
            most = min(most, most_items(parts))
        if most > big.bounds.get(f"max{what}", math.inf):
            shown = "none" if most == math.inf else most
            yield self._changed(where, f"`max{what}`", shown, big.bounds[f"max{what}"])

    def _items(self, parts: Parts, big: Node, where: str) -> list[Gap]:
        found: list[Gap] = []
        longest = min(*(part.bounds.get("maxItems", math.inf) for part in parts), most_items(parts))
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
            found += self._descend(nodes(*mine), wanted, label)
        return found

    def _object(self, parts: Parts, big: Node, where: str) -> list[Gap]:
        # The same two are met at many places; all that follows lies deeper, so once is enough.
        if self._met(parts, big, "fields"):
            return []
        found: list[Gap] = []
        declared = {name: None for part in parts for name in part.properties or ()}
        rest = further_of(parts)
        required = frozenset[str]().union(*(part.required for part in parts))
        for name in sorted(big.required - required):
            if name in declared or not self._output or name not in (big.properties or {}):
                found.append(Gap(f"{where}.{name}", "required", "" if name in declared else "new"))
        for name, wanted in (big.properties or {}).items():
            if name in declared:
                found += self._descend(field_of(parts, name), wanted, f"{where}.{name}")
            elif self._output:
                found.append(Gap(f"{where}.{name}", "name", ""))
            elif rest is not None and rest != "ignored":
                found += self._descend(rest, wanted, f"{where}.{name}")
        for name in declared:
            if name in (big.properties or {}):
                continue
            if big.additional is None or big.additional is False:
                if not self._output:
                    found.append(Gap(f"{where}.{name}", "name", ""))
            else:
                found += self._descend(field_of(parts, name), big.additional, f"{where}.{name}")
        found += self._further(rest, big, where)
        if big.names is not None:
            mine = [part.names for part in parts if part.names is not None]
            found += self._descend(nodes(*mine, self._typed["string"]), big.names, f"{where}.*")
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
        return self._descend(() if rest == "ignored" else rest, big.additional, f"{where}.*")

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
            if not takes_leaf(big, value):
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
        return titles[0] if titles else spelled(domain_of(parts))

    def _changed(self, where: str, what: str, small: object, big: object) -> Gap:
        old, new = (small, big) if self._small_is_old else (big, small)
        return Gap(where, "value", f"{what} was {str(old)[:100]} and is {str(new)[:100]}")
