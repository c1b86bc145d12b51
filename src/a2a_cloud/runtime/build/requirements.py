"""Requirements as people write them: which lines of a requirements.txt, and which dependencies of a
pyproject.toml, are taken, and why the others are not.

An environment is made of wheels from the operator's index, checked by their hashes. So there are no
URLs, repositories, folders or editable installs, no index of the agent's own (it could make the
platform fetch from anywhere), and no `${VARIABLE}` (uv would put in what the platform's environment
holds).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NoReturn

from msgspec import Struct

from a2a_cloud.model.problem import BuildFailed

#: Requirements of one agent, and characters of one of them.
MAX_REQUIREMENTS = 5_000
MAX_LENGTH = 2_000

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_COMMENT = re.compile(r"(?:^|\s+)#.*")
_OPTION = re.compile(r"--[A-Za-z][A-Za-z-]*|-[A-Za-z]")
_HASH = re.compile(r"--hash(?:=|\s+)(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})(?=\s|$)")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_INCLUDE = {
    "-r": "requirements",
    "--requirement": "requirements",
    "-c": "constraints",
    "--constraint": "constraints",
}
#: Options of a whole file that say what is done here anyway.
_IDLE = frozenset({"--require-hashes", "--only-binary", "--prefer-binary"})
_INDEX = frozenset(
    {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host"}
)


class Requirement(Struct, frozen=True):
    """A requirement without its hashes; `where` is `file:line`, or the name of the table it is in."""

    text: str
    hashes: tuple[str, ...]
    where: str


class Include(Struct, frozen=True):
    """Another file that a requirements file names: `what` is "requirements" or "constraints"."""

    what: str
    path: str
    where: str


def normal_name(name: str) -> str:
    """A distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """The normal name at the start of a requirement, "" when there is none."""
    found = _NAME.match(requirement)
    return normal_name(found[0]) if found else ""


def parse_requirements(text: str, where: str) -> list[Requirement]:
    """The requirements of a text that includes no other files. Raises BuildFailed."""
    found: list[Requirement] = []
    for line in parse_file(text, where):
        if isinstance(line, Include):
            _refuse(line.where, f"names the file `{line.path}`", "Write what is in it here.")
        found.append(line)
    return found


def parse_file(text: str, name: str) -> list[Requirement | Include]:
    """What a requirements file asks for, in its order. Raises BuildFailed with the file and line."""
    found: list[Requirement | Include] = []
    for number, line in _logical_lines(text):
        where = f"{name}:{number}"
        if "${" in line:
            _refuse(where, "uses a variable", "Write the value itself: variables are not put in.")
        if line.startswith("-"):
            include = _option(line, where, PurePosixPath(name).parent)
            if include is not None:
                found.append(include)
        else:
            found.append(_requirement(line, where))
        if len(found) > MAX_REQUIREMENTS:
            raise BuildFailed(
                f"{name} has more than {MAX_REQUIREMENTS} lines that count.", remedy="Ask for less."
            )
    return found


def check_requirement(text: str, where: str) -> None:
    """Refuse what is not `name` with versions, extras and a marker. Raises BuildFailed."""
    if len(text) > MAX_LENGTH or not text.isprintable():
        _refuse(where, "can't be read: too long, or with control characters", "Shorten it.")
    if "${" in text:
        _refuse(where, "uses a variable", "Write the value itself: variables are not put in.")
    bare = text.partition(";")[0].strip()
    found = _NAME.match(bare)
    rest = bare[found.end() :].lstrip() if found else ""
    if rest.startswith("["):
        rest = rest.partition("]")[2].lstrip()
    if (
        "://" in bare
        or "/" in bare
        or rest.startswith(("@", "+"))
        or bare.startswith(".")
        or bare.lower().endswith(_ARCHIVES)
    ):
        _refuse(
            where,
            f"asks for `{text[:200]}`, which is a URL, a repository, a folder or a file",
            "Name a release on a package index (`name==1.2`); code of your own goes into the agent's "
            "folder, where it can be imported.",
        )
    if found is None or (rest and not rest.startswith(("<", ">", "=", "!", "~", "("))):
        _refuse(where, f"is not a requirement: `{text[:200]}`", "Write a name and versions, `name>=1.2,<2`.")


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    start, held = 0, ""
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            held += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", held + raw).strip()
        if line:
            lines.append((start, line))
        start, held = 0, ""
    rest = _COMMENT.sub("", held).strip()
    return [*lines, (start, rest)] if rest else lines


def _option(line: str, where: str, folder: PurePosixPath) -> Include | None:
    found = _OPTION.match(line)
    option = found[0] if found else line
    value = line[len(option) :].lstrip(" =")
    if option in _INCLUDE:
        path = folder / value
        if not value or "://" in value or path.is_absolute() or ".." in path.parts or "\0" in value:
            what = f"names the file `{value[:200]}`, which is not in the agent's folder"
            _refuse(where, what, "Put the file there.")
        return Include(_INCLUDE[option], path.as_posix(), where)
    if option in ("-e", "--editable"):
        _refuse(
            where,
            "asks for an editable install",
            "Code of your own goes into the agent's folder, where it can be imported; everything else is "
            "a release on a package index.",
        )
    if option in _INDEX:
        _refuse(
            where,
            f"sets `{option}`, and which index is used is the operator's to say",
            "Remove the line; the operator names indexes in the platform's environment: UV_INDEX, "
            "UV_DEFAULT_INDEX or UV_FIND_LINKS.",
        )
    if option not in _IDLE:
        _refuse(where, f"has the option `{option}`, which is not taken", "Remove it.")
    return None


def _requirement(line: str, where: str) -> Requirement:
    text, dashes, options = line.partition(" --")
    hashes: list[str] = []
    if dashes:
        options = "--" + options
        left = _HASH.sub("", options).strip()
        if left:
            remedy = "Hashes are `--hash=sha256:` and 64 digits; other options are not taken."
            _refuse(where, f"has an option that can't be used: `{left[:200]}`", remedy)
        hashes = _HASH.findall(options)
    text = " ".join(text.split())
    check_requirement(text, where)
    return Requirement(text, tuple(hashes), where)


def _refuse(where: str, what: str, remedy: str) -> NoReturn:
    raise BuildFailed(f"{where} {what}.", remedy=remedy)
