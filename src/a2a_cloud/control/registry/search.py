"""The search among the agents that serve: by words, by meaning, by what skills take and give.

The index is brought up to date by the search that comes after a release: it compares what serves with what it
has, and a release never changes. It holds every agent; a search looks at those that its caller sees, and
nothing of the others has a part in the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from a2a_cloud.control.registry.meaning import Meaning as Model
from a2a_cloud.control.registry.words import Words
from a2a_cloud.model.access import address
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import InvalidParams, Unavailable
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.model.search import MAX_TEXT, AgentFound, By, Found, Meaning, Query, SkillFound

_MODES = ("text/plain", "application/json")
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
#: How alike texts have to be, at least and as a share of the best, to count as meaning the same.
_ALIKE = 0.2
_ALIKE_SHARE = 0.5
#: Releases that are taken in without a pause.
_AT_ONCE = 8
#: Of reciprocal rank fusion (Cormack et al., 2009).
_RANKS = 60


class Serving(Protocol):
    """The registry, as the search needs it."""

    def everything(self) -> Sequence[Release]:
        """The releases that serve."""
        ...


class _Document(NamedTuple):
    """A skill, or an agent that has none. `key` and `text` are what its meaning is read from."""

    release: Release
    spec: SkillSpec | None
    key: str
    text: str
    parameters: dict[str, frozenset[str]]
    gives: dict[str, frozenset[str]]
    result: frozenset[str]
    input_modes: tuple[str, ...]
    output_modes: tuple[str, ...]


class Search:
    """The index and those who ask it. `model` None: by words alone."""

    def __init__(self, serving: Serving, model: Model | None) -> None:
        self._serving = serving
        self._model = model
        self._words = Words()
        self._documents: dict[int, _Document] = {}
        self._releases: dict[int, range] = {}
        self._next = 0
        self._lock = asyncio.Lock()

    async def find(self, query: Query, principal: Principal) -> Found:
        """The agents that fit, of those that `principal` sees. Raises InvalidParams, Unavailable."""
        text = query.text.strip()
        if len(text) > MAX_TEXT:
            raise InvalidParams(
                f"A search has {MAX_TEXT} characters at most.",
                remedy="Say what you look for in a few words.",
                info={"field": "q"},
            )
        if query.by is By.MEANING and self._model is None:
            raise InvalidParams(
                "There is no model here to search by meaning with.",
                remedy="Search by words; who runs the platform can install the extra a2a-cloud[search].",
                info={"field": "by"},
            )
        await self._refresh()
        seen = {
            number: found
            for number, found in self._documents.items()
            if _shown(found, principal) and _fits(found, query)
        }
        if not text:
            return _grouped([(one, 0.0) for one in seen], seen, principal, query, Meaning.UNASKED)
        words = self._words.rank(text, seen.keys()) if query.by is not By.MEANING else []
        if query.by is By.WORDS:
            return _grouped(words, seen, principal, query, Meaning.UNASKED)
        if self._model is None:
            return _grouped(words, seen, principal, query, Meaning.ABSENT)
        meant = await self._meant(text, seen, query.patience)
        if meant is None:
            trouble = self._model.trouble
            if query.by is By.MEANING:
                raise Unavailable(
                    "The search by meaning does not work." if trouble else "The agents are still being read.",
                    remedy="Search again in a moment, or by words.",
                    retry_after=5,
                    operator=trouble,
                )
            part = Meaning.ABSENT if trouble else Meaning.LEARNING
            return _grouped(words, seen, principal, query, part)
        ranks = [meant] if query.by is By.MEANING else [words, meant]
        return _grouped(_fused(ranks), seen, principal, query, Meaning.USED)

    async def _meant(
        self, text: str, seen: dict[int, _Document], patience: float
    ) -> list[tuple[int, float]] | None:
        """Those that mean the like, best first."""
        assert self._model is not None
        texts = {found.key: found.text for found in self._documents.values()}
        keys = [found.key for found in seen.values()]
        scores = await self._model.scores(text, texts, keys, patience)
        if scores is None:
            return None
        least = max(_ALIKE, _ALIKE_SHARE * max(scores, default=0.0))
        ranked = sorted(zip(seen, scores, strict=True), key=lambda item: (-item[1], item[0]))
        return [(number, score) for number, score in ranked if score >= least]

    # --- the index --------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Takes in releases that serve since the last search, lets go of those that no longer do."""
        async with self._lock:
            serving = {release.no: release for release in self._serving.everything()}
            for gone in self._releases.keys() - serving.keys():
                for number in self._releases.pop(gone):
                    self._words.drop(number)
                    del self._documents[number]
            new = [release for no, release in serving.items() if no not in self._releases]
            for count, release in enumerate(new, 1):
                self._releases[release.no] = self._take(release)
                if not count % _AT_ONCE:
                    await asyncio.sleep(0)  # Calls come first.

    def _take(self, release: Release) -> range:
        first = self._next
        for spec in release.skills or (None,):
            found = _document(release, spec)
            self._documents[self._next] = found
            self._words.add(self._next, _parts(release, spec))
            self._next += 1
        return range(first, self._next)


def _parts(release: Release, spec: SkillSpec | None) -> Iterable[tuple[str, float]]:
    """What words are read from, and what each part counts."""
    manifest = release.manifest
    yield manifest.name, 2.0
    yield manifest.description, 1.0
    yield manifest.provider_name, 1.0
    if spec is not None:
        yield spec.id, 3.0
        if spec.name != spec.id:
            yield spec.name, 2.0
        yield spec.description, 1.5
        yield " ".join(plain_tags(spec)), 2.0
        yield "\n".join(spec.examples[:10]), 1.0
        yield " ".join(_members(spec.input_schema)), 0.5
        yield " ".join(param.name for param in spec.files), 0.5


def plain_tags(spec: SkillSpec) -> list[str]:
    """A skill's tags, without those that only MCP reads."""
    return [tag for tag in spec.tags if not tag.startswith("mcp:")]


def _document(release: Release, spec: SkillSpec | None) -> _Document:
    name = release.name.replace("_", " ").replace("-", " ")
    if spec is None:
        text = f"{name}. {release.manifest.description}"
        return _Document(release, None, _key(text), text, {}, {}, frozenset(), _MODES, _MODES)
    said = [
        f"{name}: {spec.name.replace('_', ' ')}.",
        spec.description,
        ", ".join(plain_tags(spec)),
        *spec.examples[:2],
        release.manifest.description,
    ]
    text = " ".join(one for one in said if one)[:MAX_TEXT]
    parameters = _members(spec.input_schema) | {param.name: frozenset({"file"}) for param in spec.files}
    files = [kind for param in spec.files for kind in param.media_types or ("*/*",)]
    return _Document(
        release,
        spec,
        _key(text),
        text,
        parameters,
        _members(spec.output_schema),
        _types(_schema(spec.output_schema)),
        (*(spec.input_modes or _MODES), *files),
        tuple(spec.output_modes) or _MODES,
    )


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def _schema(raw: msgspec.Raw) -> dict[str, Any]:
    schema: Any = msgspec.json.decode(raw)
    return cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}


def _members(raw: msgspec.Raw) -> dict[str, frozenset[str]]:
    """The members of the object that a schema describes, with their types."""
    properties: Any = _schema(raw).get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: _types(one) for name, one in cast("dict[str, Any]", properties).items()}


def _types(schema: Any) -> frozenset[str]:
    """The JSON types that a schema names at its top, through anyOf and oneOf."""
    if not isinstance(schema, dict):
        return frozenset()
    known = cast("dict[str, Any]", schema)
    said: Any = known.get("type", [])
    found = {said} if isinstance(said, str) else {one for one in said if isinstance(one, str)}
    for word in ("anyOf", "oneOf"):
        for one in cast("list[Any]", known.get(word, [])):
            found |= _types(one)
    return frozenset(found)


# --- what fits ------------------------------------------------------------------------------------------


def _shown(found: _Document, principal: Principal) -> bool:
    """Whether the caller may know of it, and what they showed is good for it."""
    release, spec = found.release, found.spec
    if not release.open_to(principal) or (spec is not None and spec.extended and principal.anonymous):
        return False
    return principal.reaches(address(release, principal), spec.id if spec is not None else "")


def _fits(found: _Document, query: Query) -> bool:
    spec = found.spec
    if query.tag and (spec is None or query.tag.casefold() not in (tag.casefold() for tag in spec.tags)):
        return False
    if query.parameter:
        name, _, kind = query.parameter.partition(":")
        types = found.parameters.get(name)
        if types is None or (kind and not _is_type(kind, types)):
            return False
    if query.accepts and not _any_alike(query.accepts, found.input_modes):
        return False
    if query.mode and not _any_alike(query.mode, found.input_modes + found.output_modes):
        return False
    return not query.returns or _returns(found, query.returns)


def _returns(found: _Document, wanted: str) -> bool:
    if "/" in wanted:
        return _any_alike(wanted, found.output_modes)
    if wanted in _TYPES:
        return _is_type(wanted, found.result)
    return wanted in found.gives


def _is_type(kind: str, types: frozenset[str]) -> bool:
    return kind in types or (kind == "number" and "integer" in types)


def _any_alike(wanted: str, kinds: Iterable[str]) -> bool:
    """Whether a media type is among `kinds`; a `*` on either side stands for anything."""
    main, _, sub = wanted.partition(";")[0].strip().casefold().partition("/")
    for kind in kinds:
        other, _, below = kind.partition(";")[0].strip().casefold().partition("/")
        if (main == other or "*" in (main, other)) and (sub == below or "*" in (sub, below)):
            return True
    return False


# --- the order ------------------------------------------------------------------------------------------


def _fused(ranks: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """One order out of several: who is first in all of them has the score 1."""
    scores: dict[int, float] = {}
    for rank in ranks:
        for place, (number, _) in enumerate(rank):
            share = (_RANKS + 1) / (_RANKS + 1 + place) / len(ranks)
            scores[number] = scores.get(number, 0.0) + share
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _grouped(
    ranked: Sequence[tuple[int, float]],
    seen: dict[int, _Document],
    principal: Principal,
    query: Query,
    meaning: Meaning,
) -> Found:
    """The best skills of the best agents; where nothing was compared, by name."""
    agents: dict[int, tuple[Release, list[SkillFound], float]] = {}
    for number, score in ranked:
        found = seen[number]
        release, score = found.release, round(score, 4)
        _, skills, _ = agents.setdefault(release.no, (release, [], score))
        if found.spec is not None:
            skills.append(SkillFound(found.spec, score))
    groups = list(agents.values())
    if not query.text.strip():
        groups.sort(key=lambda group: (group[0].name, group[0].org))
    shown = [
        AgentFound(release.seen_by(principal.anonymous), skills, score)
        for release, skills, score in groups[: query.limit]
    ]
    return Found(shown, len(groups), meaning)
