"""What is weak in an agent's card. Callers, people and planning agents alike, choose by these texts alone:
each finding names the skill, says what is missing and what to write."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from a2a_cloud.model.release import Manifest, SkillSpec

#: Fewer words than this say too little.
MIN_WORDS = 5
_ANNOTATIONS = {"title", "description", "default", "examples", "$comment", "$defs", "$schema"}
_LIMITS = re.compile(
    r"\b(not|never|only|no|nor|neither|none|without|cannot|except|excluding|excludes|refuses|ignores"
    r"|limited to|at most|up to|nothing|unless|instead of)\b|n['’]t\b",
    re.I,
)
_WORD = re.compile(r"[^\W_]+")
_FILLING = frozenset(
    {"agent", "a", "an", "the", "this", "skill", "to", "of", "for", "and", "it", "its", "that", "is"}
)
_WHERE = "Write it in the first paragraph of its docstring, or as @skill(description=…)"


class Finding(Struct, frozen=True):
    """One weak point. `code` is stable; `skill` is "" for the agent itself; `detail` says what is weak,
    `remedy` what to write, in whole sentences."""

    code: str
    skill: str
    detail: str
    remedy: str


def lint(manifest: Manifest, skills: Sequence[SkillSpec], has_handler: bool) -> list[Finding]:
    """What is weak in the card that these make: the agent first, then each skill in its order."""
    found = [Finding(code, "", detail, remedy) for code, detail, remedy in _agent(manifest)]
    found += [Finding(*one) for one in _together(manifest, skills, has_handler)]
    for spec in skills:
        found += [Finding(code, spec.id, detail, remedy) for code, detail, remedy in _skill(spec)]
    return found


Weak = tuple[str, str, str]


def _agent(manifest: Manifest) -> Iterator[Weak]:
    said = _words(manifest.description)
    if not said:
        yield (
            "agent_description_missing",
            "The agent has no description.",
            'Write description = "…" in a2a.toml: what it does, for whom, and what it does not do.',
        )
    elif len(said) < MIN_WORDS or _repeats(manifest.description, manifest.name):
        yield (
            "agent_description_short",
            f"The agent's description, “{_cut(manifest.description)}”, says little beyond its name.",
            "Say in a2a.toml what it does, for whom, and what it does not do.",
        )
    if not manifest.provider_name:
        yield (
            "provider_missing",
            "The card doesn't say who offers the agent.",
            'Write [provider] with name = "…" and url = "https://…" in a2a.toml.',
        )
    elif not manifest.provider_url:
        yield (
            "provider_url_missing",
            f"The provider {_cut(manifest.provider_name)} has no address.",
            'Write url = "https://…" under [provider] in a2a.toml.',
        )
    if re.match(r"0(\D|$)", manifest.version):
        yield (
            "version_unstable",
            f"Version {manifest.version} tells callers that anything may change at any time.",
            'Write version = "1.0.0" once callers rely on it.',
        )


def _together(manifest: Manifest, skills: Sequence[SkillSpec], handler: bool) -> Iterator[tuple[str, ...]]:
    if not skills:
        yield (
            "skills_missing",
            "",
            "The agent has a message handler and no skill, so its card shows nothing to choose.",
            "Mark what it can do with @agent.skill.",
        )
    if len(skills) > 1 and not handler and not manifest.default_skill:
        yield (
            "default_skill_missing",
            "",
            "A message that names no skill is refused: there are several, and none is the default.",
            f'Write default_skill = "{skills[0].id}" in a2a.toml, or an @agent.message handler.',
        )
    same: defaultdict[str, list[str]] = defaultdict(list)
    for spec in skills:
        same[" ".join(_words(spec.description))].append(spec.id)
    for text, ids in same.items():
        for one in ids[1:] if text else ():
            yield (
                "description_repeated",
                one,
                f"Its description is that of {ids[0]}, so callers can't tell them apart.",
                f"Say what it does that {ids[0]} doesn't.",
            )


def _skill(spec: SkillSpec) -> Iterator[Weak]:
    yield from _description(spec)
    if not spec.examples:
        yield (
            "examples_missing",
            "It shows no example of a request.",
            'Write one or two that callers can copy: @skill(examples=["…"]).',
        )
    if not spec.tags:
        yield (
            "tags_missing",
            "It has no tags, so a search by subject doesn't find it.",
            'Write a few words that people search for: @skill(tags=["…"]).',
        )
    yield from _modes(spec)
    yield from _parameters(spec)
    yield from _output(spec)


def _description(spec: SkillSpec) -> Iterator[Weak]:
    said = _words(spec.description)
    if not said or _repeats(spec.description, f"{spec.name} {spec.id}"):
        yield (
            "description_repeats_name" if said else "description_missing",
            "Its description only repeats its name." if said else "It has no description.",
            f"{_WHERE}: what it does with what, what comes back, and what it does not do.",
        )
        return
    if len(said) < MIN_WORDS:
        yield (
            "description_short",
            f"Its description, “{_cut(spec.description)}”, is very short.",
            f"{_WHERE}: what it does with what, and what comes back.",
        )
    if not _LIMITS.search(spec.description):
        yield (
            "limits_unsaid",
            "Its description says what it does, and not what it does not do.",
            f"{_WHERE}: a sentence such as “It does not …” or “Only for …”.",
        )


def _modes(spec: SkillSpec) -> Iterator[Weak]:
    open_files = [file.name for file in spec.files if not file.media_types]
    if open_files and not spec.input_modes:
        yield (
            "input_modes_missing",
            f"It doesn't say which files it takes as {_list(open_files)}.",
            f'Write the types: {open_files[0]}: Annotated[File, "text/csv"], or '
            '@skill(input_modes=["text/csv"]).',
        )
    if not spec.output_modes:
        yield (
            "output_modes_missing",
            "It doesn't say in which media types it answers, so the card names the platform's defaults.",
            'Write @skill(output_modes=["application/json"]).',
        )


def _parameters(spec: SkillSpec) -> Iterator[Weak]:
    schema = _object(msgspec.json.decode(spec.input_schema))
    declared = _object(schema.get("properties"))
    parameters = {name: _object(one) for name, one in declared.items()}
    defs = _object(schema.get("$defs"))
    mute = [name for name, one in parameters.items() if not _described(one, defs)]
    mute += [file.name for file in spec.files if not file.description.strip()]
    if mute:
        yield (
            "parameter_undescribed",
            f"It doesn't say what to give as {_list(mute)}.",
            f"Write a line for each under Args in its docstring: “{mute[0]}: …”.",
        )
    echoed = [name for name, one in parameters.items() if _repeats(str(one.get("description", "")), name)]
    echoed += [file.name for file in spec.files if _repeats(file.description, file.name)]
    if echoed:
        yield (
            "parameter_description_repeats_name",
            f"The description of {_list(echoed)} only repeats the name.",
            "Say what is meant, in which unit or form, and what is left out when it is absent.",
        )
    untyped = [name for name, one in parameters.items() if not one.keys() - _ANNOTATIONS]
    if untyped:
        yield (
            "parameter_untyped",
            f"Anything goes as {_list(untyped)}: callers can't know what works.",
            f"Write a type: {untyped[0]}: str, say, a dataclass or a TypedDict.",
        )


def _output(spec: SkillSpec) -> Iterator[Weak]:
    raw: Any = msgspec.json.decode(spec.output_schema)
    schema = _object(raw)
    defs = _object(schema.get("$defs"))
    target = _object(defs.get(str(schema.get("$ref", "")).rpartition("/")[2])) if "$ref" in schema else schema
    kind = target.get("type")
    if raw is True or not target.keys() - _ANNOTATIONS:
        yield (
            "output_untyped",
            "Its result may be anything: callers can't know what comes back.",
            "Write the return type: -> str, or a dataclass or TypedDict with the fields.",
        )
    elif kind == "object" and not any(
        target.get(key) for key in ("properties", "additionalProperties", "patternProperties")
    ):
        yield (
            "output_fields_unsaid",
            "Its result is an object, and the schema names no field of it.",
            "Return a dataclass or a TypedDict with the fields instead of a dict.",
        )
    elif kind == "array" and not any(target.get(key) for key in ("items", "prefixItems")):
        yield (
            "output_items_unsaid",
            "Its result is a list, and the schema doesn't say of what.",
            "Write the type of the items: -> list[str], say.",
        )


def _described(schema: dict[str, Any], defs: dict[str, Any]) -> bool:
    """Whether a parameter has a description, of its own or of its type."""
    if str(schema.get("description", "")).strip():
        return True
    ref = str(schema.get("$ref", "")).rpartition("/")[2]
    return bool(ref) and bool(str(_object(defs.get(ref)).get("description", "")).strip())


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _repeats(text: str, name: str) -> bool:
    """Whether a text has no word but those of a name and such that fill; an empty one repeats nothing."""
    said = set(_words(text))
    # `reviews` of review, `reviewing` of review: endings say nothing new.
    known = [word for word in _words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)) if len(word) > 2]
    rest = said - _FILLING - set(_words(name))
    return bool(said) and all(
        any(word.startswith(one) and len(word) <= len(one) + 3 for one in known) for word in rest
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"


def _list(names: Sequence[str]) -> str:
    shown = [f"`{_cut(name)}`" for name in names[:8]]
    if len(names) > 8:
        shown.append(f"{len(names) - 8} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
