"""Where settings come from: the environment, a2a-cloud.toml, files that hold secrets, and the defaults.

The file is `A2A_CONFIG`, else `a2a-cloud.toml` in the folder of the start. Its keys are the variables' names
by one rule: the way to a key, joined by `_` and in capitals, with `A2A_` in front (`[http] head_bytes` is
A2A_HTTP_HEAD_BYTES). The environment comes before the file. A relative path in the file is relative to it.
`A2A_X_FILE` (in the file `x_file`) reads the secret A2A_X from a file of its own.
"""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings.platform import Settings
from a2a_cloud.settings.read import secret

FILE = "a2a-cloud.toml"
#: Variables that others than the platform read: the command line, and what is told to workers.
_OTHERS = frozenset({"A2A_CONFIG", "A2A_URL", "A2A_KEY", "A2A_PROFILE", "A2A_TOKEN"})
_MOST_BYTES = 1 << 20
_MOST_SECRET = 64 << 10


class Told(NamedTuple):
    """A setting as it is shown: its variable, its value (secrets masked), and where that comes from."""

    name: str
    value: str
    source: str


def load(environ: Mapping[str, str]) -> Settings:
    """The settings, and in `told` where each comes from. Raises BadSetting."""
    sources = Sources(environ, _found(environ))
    settings = Settings.from_env(sources)
    sources.refuse_unread()
    return replace(settings, told=sources.told(), config=sources.path)


class Sources(Mapping[str, str]):
    """The variables, as the environment and the file at `path` say them. What was looked for is remembered,
    so that a key of the file that nobody reads can be refused."""

    def __init__(self, environ: Mapping[str, str], path: Path | None) -> None:
        self.path = path
        self._environ = environ
        self._file = {} if path is None else _read(path)
        self._given: dict[str, tuple[str, str]] = {}
        self._assumed: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        found = self._given.get(name)
        if found is None:
            found = self._given[name] = self._look(name)
        return found[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def assume(self, name: str, value: object) -> None:
        """See `read.assume`."""
        self._assumed[name] = str(value)

    def base_of(self, name: str) -> Path:
        """See `read.base_of`."""
        inside = self.path is not None and name in self._file and not self._environ.get(name, "").strip()
        return self.path.parent if inside and self.path is not None else Path.cwd()

    def _look(self, name: str) -> tuple[str, str]:
        """(value, where it comes from) of a variable."""
        places = [(self._environ, "environment"), (self._file, str(self.path))]
        for place, source in places:
            plain = place.get(name, "").strip()
            kept = place.get(f"{name}_FILE", "").strip() if secret(name) else ""
            if plain and kept:
                raise BadSetting(
                    f"{name} and {name}_FILE are both set.",
                    remedy="Take one of the two away.",
                    info={"setting": name},
                )
            if kept:
                inside = place is self._file and self.path is not None
                file = (self.path.parent if inside and self.path else Path.cwd()) / Path(kept).expanduser()
                return _secret(name, file), f"{source}, the file {file}"
            if plain:
                self._check_private(name, place)
                return plain, source
        return "", "default"

    def _check_private(self, name: str, place: object) -> None:
        path = self.path
        if place is self._file and path is not None and secret(name) and path.stat().st_mode & 0o077:
            raise BadSetting(
                f"{path} holds the secret {_key(name)} and can be read by others.",
                remedy=f"chmod 600 {path}, or name a file that holds it: {_key(name)}_file.",
                info={"setting": name},
            )

    def refuse_unread(self) -> None:
        """Raises BadSetting for a key of the file that is no setting."""
        known = set(self._given) | {f"{name}_FILE" for name in self._given if secret(name)}
        for name in self._file:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise BadSetting(
                    f"{self.path} has {_key(name)}, which is no setting.",
                    remedy=f"Did you mean {_key(near[0])}?" if near else "See docs/settings.md.",
                    info={"setting": name},
                )

    def told(self) -> tuple[Told, ...]:
        """Every setting with its source, and variables named A2A_… that nobody reads."""
        rows = [
            Told(name, _shown(name, value or self._assumed.get(name, "")), source)
            for name, (value, source) in self._given.items()
        ]
        known = set(self._given) | {f"{name}_FILE" for name in self._given if secret(name)} | _OTHERS
        rows += [
            Told(name, "", "environment, and read by nobody")
            for name in sorted(self._environ)
            if name.startswith("A2A_") and name not in known
        ]
        return tuple(rows)


def _found(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("A2A_CONFIG", "").strip()
    path = Path(os.path.abspath(Path(named or FILE).expanduser()))
    if path.is_file():
        return path
    if named:
        raise BadSetting(
            f"A2A_CONFIG is {named[:200]!r}, and there is no such file.",
            remedy=f"Write the path of an {FILE}.",
            info={"setting": "A2A_CONFIG"},
        )
    return None


def _read(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadSetting(f"{path} is larger than {_MOST_BYTES} bytes.", remedy="Name a file of settings.")
        table: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"{path} can't be read: {error}.", remedy="Mend it, or take it away.") from None
    found: dict[str, str] = {}
    _flatten(path, "A2A", table, found)
    return found


def _flatten(path: Path, stem: str, table: dict[str, Any], found: dict[str, str]) -> None:
    for key, value in table.items():
        name = f"{stem}_{key.upper().replace('-', '_')}"
        if isinstance(value, dict):
            _flatten(path, name, cast("dict[str, Any]", value), found)
            continue
        if name in found:
            raise BadSetting(f"{path} says {_key(name)} twice.", remedy="Take one of the two away.")
        written = _written(value)
        if written is None:
            raise BadSetting(
                f"{path}: {_key(name)} is of a kind that no setting has.",
                remedy="Write a text, a number, true or false, or a list of texts.",
                info={"setting": name},
            )
        found[name] = written


def _written(value: Any) -> str | None:
    """A value of the file as its variable would be written."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if all(isinstance(item, str) and "," not in item for item in items):
            return ",".join(items)
    return None


def _secret(name: str, path: Path) -> str:
    """What a secret's file says. Raises BadSetting."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadSetting(f"{name}_FILE is {path}, which is no plain file.", remedy="Name a file.")
            data = file.read(_MOST_SECRET + 1)
        if len(data) > _MOST_SECRET:
            raise BadSetting(
                f"{path}, the file of {name}, is too large.", remedy="Name the secret's own file."
            )
        return data.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadSetting(
            f"{path}, the file of {name}, can't be read: {why}.",
            remedy=f"Give the platform's user that file, or set {name}.",
            info={"setting": name},
        ) from None


def _shown(name: str, value: str) -> str:
    if not value:
        return ""
    if secret(name):
        return "(secret)"
    if "://" in value and "@" in value:  # A password in an address.
        parts = urlsplit(value)
        if parts.username is not None or parts.password is not None:
            where = parts.netloc.rpartition("@")[2]
            return urlunsplit(parts._replace(netloc=f"(secret)@{where}"))
    return value


def _key(name: str) -> str:
    """A variable's name as the file may say it."""
    return name.removeprefix("A2A_").lower()
