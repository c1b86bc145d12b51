"""The forms in which `a2a call` takes an argument: `k=text`, `k:=json`, `k=@file`, `k:=@file.json`.

A text that begins with `@` is written `k==@text` or `k=\\@text`; `k=@-` and `k:=@-` read standard
input. `write_argument` is the inverse of `parse_argument`, so a command that we print can be pasted.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2a_cloud.callers.cli.exits import Exit, Failure

STDIN = "-"
_FORMS = "NAME=TEXT, NAME:=JSON, NAME=@FILE or NAME:=@FILE.json"


@dataclass(frozen=True)
class Text:
    """`name=text`."""

    name: str
    value: str


@dataclass(frozen=True)
class Json:
    """`name:=json`."""

    name: str
    value: Any


@dataclass(frozen=True)
class FromFile:
    """`name=@path` (the skill's file parameter, or the text of a text parameter) or `name:=@path`."""

    name: str
    path: str
    as_json: bool = False


Argument = Text | Json | FromFile


def parse_argument(text: str) -> Argument:
    """One argument of the command line. Raises Failure (usage)."""
    name, equals, value = text.partition("=")
    as_json = name.endswith(":")
    name = name[:-1] if as_json else name
    if not equals or not name:
        raise Failure(Exit.USAGE, f"{text!r} is not an argument.", remedy=f"Write {_FORMS}.")
    if value.startswith("@"):
        if len(value) == 1:
            raise Failure(Exit.USAGE, f"{text!r} names no file.", remedy=f"For a lone @ write {name}==@")
        return FromFile(name, value[1:], as_json)
    if as_json:
        return Json(name, parse_json(value, name))
    if value.startswith("=@"):
        return Text(name, value[1:])
    bare = value.lstrip("\\")
    if value != bare and bare.startswith("@"):
        return Text(name, value[1:])
    return Text(name, value)


def write_argument(name: str, value: Any) -> str:
    """The argument that `parse_argument` reads back as `name` with `value` (a JSON value)."""
    if isinstance(value, str):
        if value.lstrip("\\").startswith("@"):
            return f"{name}=\\{value}"
        if not value.startswith("=@"):
            return f"{name}={value}"
    return f"{name}:={json.dumps(value, ensure_ascii=False)}"


def parse_arguments(texts: tuple[str, ...]) -> list[Argument]:
    """All arguments of a command, each name once, but for files. Raises Failure (usage)."""
    arguments = [parse_argument(text) for text in texts]
    seen: dict[str, Argument] = {}
    for each in arguments:
        before = seen.get(each.name)
        if before is not None and not (_is_file(before) and _is_file(each)):
            raise Failure(
                Exit.USAGE,
                f"The argument {each.name!r} is given twice.",
                remedy=f'For several values give a list: {each.name}:=\'["one", "two"]\'',
            )
        seen[each.name] = each
    if sum(isinstance(each, FromFile) and each.path == STDIN for each in arguments) > 1:
        raise Failure(Exit.USAGE, "Two arguments want standard input.", remedy="Name a file for one of them.")
    return arguments


def _is_file(argument: Argument) -> bool:
    return isinstance(argument, FromFile) and not argument.as_json


def files_of(path: str, name: str) -> list[Path]:
    """The file of an argument, or the plain files of a folder, hidden ones left out, by name.

    Raises Failure (usage) when there is none or one can't be read.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return [existing_file(path, name)]
    found = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    if not found:
        raise Failure(Exit.USAGE, f"The folder {path} (argument {name!r}) holds no file.")
    return [existing_file(str(each), name) for each in found]


def parse_json(text: str | bytes, name: str) -> Any:
    """Strict JSON (no NaN, no Infinity). Raises Failure (usage) that names `name`."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Failure(Exit.USAGE, f"The JSON of {name!r} is nested too deeply.") from None
    except ValueError as error:
        remedy = f"For text write {name}=…" if isinstance(text, str) else ""
        raise Failure(Exit.USAGE, f"The value of {name!r} is not JSON: {error}.", remedy=remedy) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def existing_file(path: str, name: str) -> Path:
    """The file named by argument `name`. Raises Failure (usage) when it can't be read."""
    file = Path(path).expanduser()
    if file.is_dir():
        raise Failure(Exit.USAGE, f"{path} (argument {name!r}) is a folder.", remedy="Name a file.")
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"The file {path} of argument {name!r} can't be read: {error.strerror}.",
            remedy=f"For text that begins with @ write {name}==@{path}",
        ) from None


def command(*words: str) -> str:
    """A command line to paste into a shell."""
    return shlex.join(words)
