"""What an eval takes of a release's source and of a rubric: the cases that are wanted, and that all that they
name is there, before anything is run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.release import Release
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.rubric import FILE, MAX_BYTES, Case, Rubric, validator
from a2a_cloud.wire.source import open_source

#: Bytes of a file that a schema check names.
_MAX_SCHEMA = 1 << 20


def own_rubric(release: Release) -> bytes | None:
    """The rubric that a release carries, one byte more than it may have at most."""
    folder = Path(release.folder)
    return _read(folder, FILE, MAX_BYTES) if (folder / FILE).is_file() else None


def _read(folder: Path, name: str, most: int) -> bytes:
    """A file of a release's source, one byte more than `most` at most. Raises InvalidParams."""
    with open_source(folder, name) as (file, _):
        found = b""
        while len(found) <= most and (block := file.read(most + 1 - len(found))):
            found += block
    return found


def choose(rubric: Rubric, names: Sequence[str]) -> list[Case]:
    """The cases that are wanted. Raises InvalidParams."""
    known = {case.name: case for case in rubric.cases}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise InvalidParams(
                f"The rubric has no case {readable(name)}.",
                remedy=f"Did you mean {near[0]}?" if near else "See its names in the file.",
                info={"field": "cases"},
            )
    return [case for case in rubric.cases if not names or case.name in names]


def check_source(release: Release, cases: Sequence[Case]) -> dict[str, Any]:
    """The schemas that checks name by file; what cases name has to be in the release. Raises
    InvalidParams."""
    folder, schemas = Path(release.folder), dict[str, Any]()
    for case in cases:
        if case.skill and release.skill(case.skill) is None:
            known = ", ".join(spec.id for spec in release.skills)
            raise InvalidParams(
                f"Case {readable(case.name)}: release {release.number} has no skill {readable(case.skill)}.",
                remedy=f"It has: {known}." if known else "",
            )
        for check in case.checks:
            module = check.function.partition(":")[0].replace(".", "/")
            if module and not any((folder / f"{module}{end}").is_file() for end in (".py", "/__init__.py")):
                raise _not_there(case, f"{module}.py")
            if check.file and check.file not in schemas:
                if not (folder / check.file).is_file():
                    raise _not_there(case, check.file)
                schemas[check.file] = _schema(case, check.file, _read(folder, check.file, _MAX_SCHEMA))
        for file in case.files:
            if not (folder / file.path).is_file():
                raise _not_there(case, file.path)
    return schemas


def _schema(case: Case, name: str, text: bytes) -> Any:
    try:
        schema = msgspec.json.decode(text)
        validator(schema)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidParams(
            f"Case {readable(case.name)}: {name} can't be used as a schema: {str(error).splitlines()[0]}."
        ) from None
    return schema


def _not_there(case: Case, name: str) -> InvalidParams:
    return InvalidParams(
        f"Case {readable(case.name)} names {readable(name)}, which the release does not have.",
        remedy="Put it into the agent's folder and deploy again, or mend the rubric.",
    )
