"""What an agent's code declares, checked. It comes from a worker and is not trusted, whatever the kit
checks on its side: ids become addresses, media types header fields, texts are shown to people, schemas
are compiled for every call."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.release import SCOPE, Manifest, SkillSpec
from a2a_cloud.wire.json_schema import BadSchema, compiled
from a2a_cloud.wire.json_text import MAX_DEPTH, depth_over

#: Ids are segments of addresses (`/invoke/{skill}`): letters, digits and three signs that no URL escapes.
SKILL_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.+!#$&^_-]{0,99}/(\*|[A-Za-z0-9][A-Za-z0-9.+!#$&^_-]{0,99})|\*/\*"
)

#: Bytes of all skills of an agent as JSON, their number, and the length of lists and texts in each.
MAX_BYTES = 4 << 20
MAX_SKILLS = 500
MAX_ITEMS = 100
MAX_LINE = 200
MAX_TEXT = 20_000

_WEEK = 7 * 24 * 3600.0
_decode = msgspec.json.Decoder(tuple[SkillSpec, ...]).decode


def read_specs(raw: bytes) -> tuple[SkillSpec, ...]:
    """The skills of a stored release."""
    return _decode(raw)


def check_skills(manifest: Manifest, raw: bytes, handler: bool) -> tuple[SkillSpec, ...]:
    """The skills that a worker reports as JSON, if all of them can be served. Raises InvalidParams."""
    if len(raw) > MAX_BYTES:
        raise InvalidParams(f"The skills of {manifest.name} are larger than {MAX_BYTES >> 20} MiB.")
    try:
        raw.decode()
        if depth_over(raw, MAX_DEPTH):
            raise InvalidParams(f"The skills of {manifest.name} nest deeper than {MAX_DEPTH} levels.")
        skills = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParams(f"The skills of {manifest.name} are not readable: {error}.") from None
    if not skills and not handler:
        raise InvalidParams(
            f"{manifest.name} has no skill.", remedy=f"Mark a function in {manifest.entry} with @skill."
        )
    ids = [one.id for one in skills]
    if len(ids) > MAX_SKILLS:
        raise InvalidParams(f"{manifest.name} declares more than {MAX_SKILLS} skills.")
    for place, one in enumerate(skills):
        if not SKILL_ID.fullmatch(one.id):
            raise InvalidParams(
                f"{manifest.name} has a skill whose id is {one.id[:80]!r}.",
                remedy="Give it one of letters, digits, `_`, `-` and `.`, a letter first, 63 at most: "
                '@skill(id="review").',
            )
        if one.id in ids[:place]:
            raise InvalidParams(f"{manifest.name} declares the skill {one.id} twice.")
        wrong = next(_wrong(one), "")
        if wrong:
            raise InvalidParams(f"The skill {one.id} of {manifest.name} can't be served: {wrong}.")
    if manifest.default_skill and manifest.default_skill not in ids:
        raise InvalidParams(
            f"default_skill of {manifest.name} is {manifest.default_skill!r}, which is none of its skills.",
            remedy=f"Write one of: {', '.join(ids)}.",
        )
    return _with_rules(manifest, skills)


def _with_rules(manifest: Manifest, skills: tuple[SkillSpec, ...]) -> tuple[SkillSpec, ...]:
    """The skills with what `[skills.NAME]` adds to them. Raises InvalidParams for a NAME that is none."""
    rules = manifest.skills
    unknown = [name for name in rules if name not in {one.id for one in skills}]
    if unknown:
        raise InvalidParams(
            f"[skills.{unknown[0]}] of {manifest.name} is about none of its skills.",
            remedy=f"It has: {', '.join(one.id for one in skills)}.",
        )
    return tuple(
        msgspec.structs.replace(
            one, scopes=sorted({*one.scopes, *(rules[one.id].require if one.id in rules else ())})
        )
        if one.id in rules or one.scopes
        else one
        for one in skills
    )


def _wrong(spec: SkillSpec) -> Iterator[str]:
    if not _short([spec.name], MAX_LINE) or not spec.name.isprintable():
        yield f"its name is empty, or no line of {MAX_LINE} characters at most"
    if len(spec.description) > MAX_TEXT:
        yield f"its description is longer than {MAX_TEXT} characters"
    if len(spec.scopes) > MAX_ITEMS or not all(SCOPE.fullmatch(one) for one in spec.scopes):
        yield "its scopes are too many, or not small letters, digits and `._-` with a letter first"
    if not _short(spec.tags, MAX_LINE) or not _short(spec.examples, MAX_TEXT):
        yield "its tags or examples are empty, too long or too many"
    for what, kinds in (("input_modes", spec.input_modes), ("output_modes", spec.output_modes)):
        if not _media_types(kinds):
            yield f"{what} holds what is no media type"
    if not (math.isfinite(spec.timeout) and 0 <= spec.timeout <= _WEEK):
        yield f"its timeout is {spec.timeout}"
    if not 0 <= spec.retries <= 20:
        yield f"its retries are {spec.retries}"
    if not 0 <= spec.concurrency <= 1024:
        yield f"its concurrency is {spec.concurrency}"
    for what, schema in (("input", spec.input_schema), ("output", spec.output_schema)):
        try:
            compiled(bytes(schema))
        except BadSchema as error:
            yield f"its {what} schema can't be used: {error}"
    yield from _wrong_parameters(spec)


def _wrong_parameters(spec: SkillSpec) -> Iterator[str]:
    schema: Any = msgspec.json.decode(spec.input_schema)
    declared = cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}
    if declared.get("type") != "object":
        yield "its input schema is not that of an object"
    properties = declared.get("properties", {})
    if not isinstance(properties, dict):
        yield "its input schema has no readable properties"
        return
    names = list(cast("dict[str, Any]", properties))
    if spec.text_param and spec.text_param not in names:
        yield f"text_param is {spec.text_param[:80]!r}, which is none of its parameters"
    if len(spec.files) > MAX_ITEMS:
        yield f"it takes more than {MAX_ITEMS} files"
    for file in spec.files:
        if not file.name.isidentifier() or len(file.name) > MAX_LINE or file.name in names:
            yield f"a file parameter is called {file.name[:80]!r}, which is no name or taken"
        if not _media_types(file.media_types) or len(file.description) > MAX_TEXT:
            yield f"the file parameter {file.name[:80]!r} has bad media types, or too long a description"
        names.append(file.name)


def _short(texts: Sequence[str], length: int) -> bool:
    return len(texts) <= MAX_ITEMS and all(0 < len(text) <= length for text in texts)


def _media_types(kinds: Sequence[str]) -> bool:
    return len(kinds) <= MAX_ITEMS and all(MEDIA_TYPE.fullmatch(kind) for kind in kinds)
