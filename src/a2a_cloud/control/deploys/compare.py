"""What a release changes for the callers of another: each change with where, and whether it breaks them.

A skill's input may take more and its result may give less; the other way breaks somebody. What can't be
judged counts as breaking, and its detail says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.control.deploys.inclusion import Gap, gaps
from a2a_cloud.control.deploys.shape import Document, Undecided, canonical
from a2a_cloud.model.release import FileParam, SkillSpec

#: What a skill that names no output modes answers in.
_DEFAULT_OUTPUT = ["text/plain", "application/json"]
_MAJOR = re.compile(r"\d+")


class Change(Struct, frozen=True):
    """One change. `where`: "" for the skill itself, or a path such as `input.options.depth`,
    `output.findings[].severity`, `files.contract`, `text`, `input_modes`; `.*` is a field of any name,
    `[]` an item. `detail` is a phrase without a full stop."""

    skill: str
    where: str
    breaking: bool
    detail: str


def compare(old: Sequence[SkillSpec], new: Sequence[SkillSpec]) -> list[Change]:
    """What callers of `old` meet in `new`, skill by skill in the order of `old`, breaking ones first.

    Descriptions, tags, examples and limits are not compared.
    """
    after = {spec.id: spec for spec in new}
    found: list[Change] = []
    for spec in old:
        if spec.id not in after:
            found.append(Change(spec.id, "", True, "the skill was removed"))
            continue
        # No phrase twice, and a place that breaks is not called compatible too.
        changes = list(dict.fromkeys(_skill(spec, after[spec.id])))
        broken = {change.where for change in changes if change.breaking}
        found += [change for change in changes if change.breaking]
        found += [change for change in changes if not change.breaking and change.where not in broken]
    before = {spec.id for spec in old}
    found += [Change(spec.id, "", False, "the skill is new") for spec in new if spec.id not in before]
    return found


def major(version: str) -> int:
    """The first number of a version such as `2.1.0`; 0 if it begins with none."""
    found = _MAJOR.match(version)
    return int(found[0]) if found else 0


def needs_new_major(old_version: str, new_version: str, changes: Sequence[Change]) -> bool:
    """Whether changes break callers under a version that doesn't say so."""
    return any(change.breaking for change in changes) and major(new_version) <= major(old_version)


def _skill(old: SkillSpec, new: SkillSpec) -> Iterator[Change]:
    if new.extended and not old.extended:
        yield Change(old.id, "", True, "only callers with a key see it now")
    asked = sorted(set(new.scopes) - set(old.scopes))
    if asked:
        yield Change(old.id, "", True, f"only callers who hold {', '.join(asked)} may call it now")
    for output in (False, True):
        for where, breaking, detail in _schemas(old, new, output):
            yield Change(old.id, where, breaking, detail)
    for where, breaking, detail in (*_files(old, new), *_ways(old, new)):
        yield Change(old.id, where, breaking, detail)


Found = tuple[str, bool, str]


def _schemas(old: SkillSpec, new: SkillSpec, output: bool) -> Iterator[Found]:
    before, after = (old.output_schema, new.output_schema) if output else (old.input_schema, new.input_schema)
    if bytes(before) == bytes(after):
        return
    root = "output" if output else "input"
    was: Any = msgspec.json.decode(before)
    now: Any = msgspec.json.decode(after)
    if canonical(was) == canonical(now):
        return
    try:
        one, two = Document(was), Document(now)
        # An input must take all that it took, a result may give nothing that it didn't.
        small, big = (two, one) if output else (one, two)
        broken = gaps(small, big, root, output=output, small_is_old=not output)
    except (Undecided, RecursionError) as error:
        why = str(error) if isinstance(error, Undecided) else "the schema nests too deep"
        yield root, True, f"the schema changed, and whether it breaks callers can't be decided: {why}"
        return
    yield from ((gap.where, True, _breaking(gap, output)) for gap in broken)
    try:
        wider = gaps(big, small, root, output=output, small_is_old=output)
    except (Undecided, RecursionError):
        yield root, False, "the schema changed, and fits what it was"
        return
    yield from ((gap.where, False, _compatible(gap, output)) for gap in wider)


def _breaking(gap: Gap, output: bool) -> str:
    match gap.kind:
        case "name":
            return f"the {'field' if output else 'parameter'} was removed"
        case "required":
            if output:
                return "the field is not always there any more"
            return "the parameter is new and required" if gap.text else "the parameter is required now"
        case _:
            return f"{'may give what callers do not know' if output else 'takes less'}: {gap.text}"


def _compatible(gap: Gap, output: bool) -> str:
    match gap.kind:
        case "name":
            return f"the {'field' if output else 'parameter'} is new"
        case "required":
            return "the field is always there now" if output else "the parameter is optional now"
        case _:
            return f"{'gives less' if output else 'takes more'}: {gap.text}"


def _files(old: SkillSpec, new: SkillSpec) -> Iterator[Found]:
    after = {file.name: file for file in new.files}
    for file in old.files:
        where = f"files.{file.name}"
        now = after.pop(file.name, None)
        if now is None:
            yield where, True, "the file parameter was removed"
            continue
        if file.required != now.required:
            detail = "the file is required now" if now.required else "the file is optional now"
            yield where, now.required, detail
        if file.many != now.many:
            detail = "takes many files now" if now.many else "takes one file now, and took many"
            yield where, file.many, detail
        yield from _kinds(where, _file_kinds(file), _file_kinds(now))
    for name, file in after.items():
        need = "required" if file.required else "optional"
        yield f"files.{name}", file.required, f"the file parameter is new and {need}"


def _file_kinds(file: FileParam) -> list[str]:
    return file.media_types or ["*/*"]


def _ways(old: SkillSpec, new: SkillSpec) -> Iterator[Found]:
    """How it is asked and answers, beside the schemas."""
    if old.text_param != new.text_param:
        was, now = (f"`{spec.text_param}`" if spec.text_param else "nothing" for spec in (old, new))
        yield "text", bool(old.text_param), f"free text filled {was} and fills {now}"
    takes, took = _input(new), [*old.input_modes, *_sent(old)]
    if old.input_modes != new.input_modes and any(not _covered(kind, takes) for kind in took):
        yield from _kinds("input_modes", took, takes)
    elif old.input_modes != new.input_modes and old.input_modes:
        yield from _kinds("input_modes", _input(old), takes)
    made, makes = old.output_modes or _DEFAULT_OUTPUT, new.output_modes or _DEFAULT_OUTPUT
    lost = [kind for kind in made if not _covered(kind, makes)]
    if lost:
        yield "output_modes", True, f"no longer answers in {', '.join(lost)}"
    elif gained := [kind for kind in makes if not _covered(kind, made)]:
        yield "output_modes", False, f"answers in {', '.join(gained)} too"
    if old.streams != new.streams:
        yield "streams", False, "gives its text as it comes" if new.streams else "answers in one piece"


def _input(spec: SkillSpec) -> list[str]:
    """The media types that get in: the declared ones, and those of file parameters whatever these are."""
    if not spec.input_modes:
        return ["*/*"]
    return [*spec.input_modes, *(kind for file in spec.files for kind in file.media_types)]


def _sent(spec: SkillSpec) -> list[str]:
    """The media types of the files that a caller can send."""
    return [kind for file in spec.files for kind in file.media_types or _input(spec)]


def _kinds(where: str, old: list[str], new: list[str]) -> Iterator[Found]:
    """Media types that are taken."""
    lost = list(dict.fromkeys(kind for kind in old if not _covered(kind, new)))
    if lost:
        instead = "" if lost != ["*/*"] else f", only {', '.join(new)}"
        yield where, True, f"no longer takes {', '.join(lost)}{instead}"
    elif gained := [kind for kind in new if not _covered(kind, old)]:
        yield where, False, f"takes {', '.join(gained)} too"


def _covered(kind: str, by: Sequence[str]) -> bool:
    """Whether a media type, which may be a glob itself, lies in one of others."""
    name = kind.lower()
    return any(one.lower() in (name, f"{name.partition('/')[0]}/*", "*/*") for one in by)
