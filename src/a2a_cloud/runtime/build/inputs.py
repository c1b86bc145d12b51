"""What an agent's folder says about its dependencies, read without running anything of it.

In this order: uv.lock, requirements.txt, `[project] dependencies` of pyproject.toml, nothing. The
kit itself is no dependency that anybody resolves: the platform adds it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build.kit import NAME as KIT
from a2a_cloud.runtime.build.lock import Pin, pinned
from a2a_cloud.runtime.build.requirements import (
    Include,
    Requirement,
    check_requirement,
    name_of,
    normal_name,
    parse_file,
)
from a2a_cloud.runtime.build.versions import fits
from a2a_cloud.wire import toml_text

MAX_FILE = 1 << 20
MAX_LOCK = 16 << 20
MAX_INCLUDES = 20

#: Files that other tools keep dependencies in: not read, and it is said.
_UNREAD = ("poetry.lock", "pdm.lock", "Pipfile", "Pipfile.lock", "environment.yml", "setup.py", "setup.cfg")
_PLAIN_CLAUSE = re.compile(r"(?:[<>=!~]=|===|[<>])\d+(?:\.\d+)*(?:\.\*)?")


class Inputs(Struct, frozen=True):
    """Dependencies as they were found.

    `source`: the file they are from, "" for none. One of three holds: `pins` (all fixed, with
    hashes), `uv_lock` (to be exported for `project`), or `requirements` under `constraints` (to be
    resolved). `notes`: sentences that the author should see.
    """

    source: str
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    pins: tuple[Pin, ...] | None = None
    uv_lock: bytes = b""
    project: str = ""
    notes: tuple[str, ...] = ()


def read_inputs(folder: Path, python_version: str) -> Inputs:
    """Read them; `python_version` ("3.11.7") is the interpreter that the agent will get.

    Raises BuildFailed: a file that can't be read, a requirement that is not taken, a lock that is
    older than what it locks, a Python that the agent does not want.
    """
    notes: list[str] = []
    project = _project(folder)
    _check_python(project.get("requires-python"), "pyproject.toml", python_version)
    if (folder / "uv.lock").exists():
        found = _from_uv_lock(folder, project, python_version)
    elif (folder / "requirements.txt").exists():
        found = _from_requirements(folder)
    else:
        found = _from_project(project)
    if found.source == "uv.lock" and (folder / "requirements.txt").exists():
        notes.append("uv.lock is used; requirements.txt says nothing here.")
    if found.source == "requirements.txt" and project.get("dependencies"):
        notes.append("requirements.txt is used; the dependencies in pyproject.toml say nothing here.")
    if not found.source:
        unread = [name for name in _UNREAD if (folder / name).exists()]
        if unread:
            notes.append(
                f"{', '.join(unread)} is not read: write dependencies into pyproject.toml, "
                "requirements.txt or uv.lock."
            )
    return Inputs(
        source=found.source,
        requirements=found.requirements,
        constraints=found.constraints,
        pins=found.pins,
        uv_lock=found.uv_lock,
        project=found.project,
        notes=tuple(notes),
    )


# --- uv.lock --------------------------------------------------------------------------------------


def _from_uv_lock(folder: Path, project: dict[str, Any], python_version: str) -> Inputs:
    content = _read(folder, "uv.lock", MAX_LOCK)
    lock = _toml(content, "uv.lock")
    name = project.get("name")
    if not isinstance(name, str) or not name_of(name):
        raise BuildFailed(
            "There is a uv.lock, and no pyproject.toml with the project's name that it locks.",
            remedy="Deploy the folder that holds both, or remove uv.lock.",
        )
    _check_python(lock.get("requires-python"), "uv.lock", python_version)
    stale = _stale(project, lock, normal_name(name))
    if stale:
        raise BuildFailed(
            f"uv.lock does not fit pyproject.toml: {stale}.", remedy="Run `uv lock`, and deploy again."
        )
    return Inputs("uv.lock", uv_lock=content, project=normal_name(name))


def _stale(project: dict[str, Any], lock: dict[str, Any], name: str) -> str:
    """What shows that the lock is older than the dependencies, "" when nothing does.

    Said only where there is no doubt: names, and specifiers made of plain clauses.
    """
    if "dependencies" in _list(project.get("dynamic")):
        return ""
    own = [one for one in _tables(lock.get("package")) if normal_name(str(one.get("name"))) == name]
    if not own:
        return f"it locks another project, not `{name}`"
    metadata = (_tables([own[0].get("metadata")]) or [{"": None}])[0]
    locked = {
        normal_name(str(entry.get("name"))): str(entry.get("specifier", ""))
        for entry in _tables(metadata.get("requires-dist"))
        if "extra ==" not in str(entry.get("marker", ""))
    }
    wanted = {name_of(one): one for one in map(str, _list(project.get("dependencies")))}
    missing, gone = sorted(wanted.keys() - locked.keys()), sorted(locked.keys() - wanted.keys())
    if missing:
        return f"`{missing[0]}` is not in it"
    if gone:
        return f"`{gone[0]}` is no dependency any more"
    for one, text in wanted.items():
        specifier = re.sub(r"^[A-Za-z0-9._-]+\s*(\[[^\]]*\])?", "", text.partition(";")[0])
        if "@" in specifier or text.count(";") or not locked[one]:
            continue
        ours, theirs = _clauses(specifier), _clauses(locked[one])
        if ours is not None and theirs is not None and ours != theirs:
            return f"`{text}` was `{one}{locked[one]}` when it was made"
    return ""


def _clauses(specifier: str) -> set[str] | None:
    clauses = {"".join(one.split()) for one in specifier.strip(" ()").split(",")} - {""}
    return clauses if all(_PLAIN_CLAUSE.fullmatch(one) for one in clauses) else None


# --- requirements.txt -----------------------------------------------------------------------------


def _from_requirements(folder: Path) -> Inputs:
    wanted: list[Requirement] = []
    limits: list[Requirement] = []
    todo = [("requirements", "requirements.txt", "")]
    seen: set[str] = set()
    while todo:
        what, name, where = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if len(seen) > MAX_INCLUDES:
            raise BuildFailed(
                f"{where} includes one file too many.", remedy=f"At most {MAX_INCLUDES} are read."
            )
        if where and not (folder / name).is_file():
            raise BuildFailed(
                f"{where} names `{name}`, which is not in the agent's folder.",
                remedy="Put the file there, and see that .a2aignore does not leave it out.",
            )
        for one in parse_file(_text(_read(folder, name, MAX_FILE), name), name):
            if isinstance(one, Include):
                todo.append((what if what == "constraints" else one.what, one.path, one.where))
            else:
                (wanted if what == "requirements" else limits).append(one)
    others = [one for one in wanted if name_of(one.text) != KIT]
    with_hash = [one for one in others if one.hashes]
    if not with_hash:
        return Inputs(
            "requirements.txt", tuple(one.text for one in wanted), tuple(one.text for one in limits)
        )
    pins = [(one, pinned(one)) for one in others]
    for one, pin in pins:
        if pin is None:
            what = "has no hash" if not one.hashes else "has hashes and no fixed version (`==`)"
            raise BuildFailed(
                f"{one.where}: `{one.text}` {what}, while others are fixed by hashes.",
                remedy="Fix all of them (`uv pip compile --generate-hashes requirements.in`), or none.",
            )
    return Inputs("requirements.txt", pins=tuple(sorted({pin for _, pin in pins if pin is not None})))


# --- pyproject.toml -------------------------------------------------------------------------------


def _project(folder: Path) -> dict[str, Any]:
    """The [project] table, {} when there is none."""
    if not (folder / "pyproject.toml").exists():
        return {}
    whole = _toml(_read(folder, "pyproject.toml", MAX_FILE), "pyproject.toml")
    project = whole.get("project")
    tools = whole.get("tool")
    if isinstance(project, dict):
        return cast("dict[str, Any]", project)
    if project is not None:
        raise BuildFailed("`project` in pyproject.toml is not a table.", remedy="Write `[project]`.")
    poetry = cast("dict[str, Any]", tools).get("poetry") if isinstance(tools, dict) else None
    if isinstance(poetry, dict) and "dependencies" in poetry and not (folder / "requirements.txt").exists():
        raise BuildFailed(
            "pyproject.toml keeps its dependencies in [tool.poetry], which is not read.",
            remedy="Write them into `[project] dependencies`, or run "
            "`poetry export -f requirements.txt -o requirements.txt`.",
        )
    return {}


def _from_project(project: dict[str, Any]) -> Inputs:
    if "dependencies" in _list(project.get("dynamic")):
        raise BuildFailed(
            "pyproject.toml leaves its dependencies to a build (`dynamic`), and nothing is run to find them.",
            remedy="Write them into `[project] dependencies` or requirements.txt.",
        )
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list) or any(
        not isinstance(one, str) for one in cast("list[object]", dependencies)
    ):
        raise BuildFailed(
            "`dependencies` in pyproject.toml is not a list of texts.",
            remedy='Write `dependencies = ["name>=1.2"]`.',
        )
    found: list[str] = []
    for one in cast("list[str]", dependencies):
        text = " ".join(one.split())
        check_requirement(text, "pyproject.toml")
        found.append(text)
    return Inputs("pyproject.toml" if found else "", tuple(found))


def _check_python(specifier: object, where: str, version: str) -> None:
    if specifier is None:
        return
    try:
        good = isinstance(specifier, str) and fits(version, specifier)
    except ValueError as error:
        raise BuildFailed(
            f"`requires-python` in {where} can't be read: {error}", remedy="Write it like `>=3.11`."
        ) from None
    if not good:
        raise BuildFailed(
            f"The agent wants Python {specifier} ({where}), and the platform runs {version}.",
            remedy="Widen `requires-python`, or run the platform with a Python that fits.",
        )


# --- reading --------------------------------------------------------------------------------------


def _read(folder: Path, name: str, limit: int) -> bytes:
    try:
        number = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BuildFailed(
            f"{name} can't be read: {error.strerror}.", remedy="Make it a plain file."
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise BuildFailed(f"{name} is not a plain file.", remedy="Make it one, or remove it.")
        with open(number, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(number)
    if len(content) > limit:
        raise BuildFailed(f"{name} is larger than {limit >> 20} MiB.", remedy="Shorten it.")
    return content


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BuildFailed(f"{name} is not UTF-8.", remedy="Save it as UTF-8.") from None


def _toml(content: bytes, name: str) -> dict[str, Any]:
    try:
        return toml_text.loads(_text(content, name))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BuildFailed(
            f"{name} is not valid TOML: {error or 'it is nested too deep'}.",
            remedy="Correct the file, and deploy again.",
        ) from None


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _tables(value: object) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", one) for one in _list(value) if isinstance(one, dict)]
