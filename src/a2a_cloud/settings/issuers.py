"""The outside issuers whose tokens agents may take: a file of TOML, a table for each under the name that
agents call it by (docs/keys.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from a2a_cloud.model.issuer import ALGORITHMS, Issuer
from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings.read import file

_SETTING = "A2A_ISSUERS"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
#: Names that cards have for other ways in.
_TAKEN = frozenset({"agent", "bearer", "apikey", "oauth2", "mtls", "sigv4"})
_LISTS = ("audience", "algorithms", "organisations")
_TEXTS = ("issuer", "jwks_uri", "subject", "words")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def read_issuers(environ: Mapping[str, str]) -> tuple[Issuer, ...]:
    """The issuers of the file that `A2A_ISSUERS` names. Raises BadSetting."""
    path = file(environ, _SETTING)
    if path is None:
        return ()
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(path, f"can't be read: {error}", "Mend it (docs/keys.md).") from None
    return tuple(_issuer(path, name, table) for name, table in tables.items())


def _issuer(path: Path, name: str, table: Any) -> Issuer:
    if not _NAME.fullmatch(name) or name in _TAKEN or not isinstance(table, dict):
        raise _bad(
            path,
            f"has {name[:60]!r}, which is no issuer",
            'Write a table of small letters, digits and `-`: [corp], then issuer = "https://…".',
        )
    found: dict[str, Any] = {"name": name}
    for key, value in cast("dict[str, Any]", table).items():
        if key in _TEXTS:
            if not isinstance(value, str) or not value.isprintable() or len(value) > 2000:
                raise _bad(path, f"has no text as {name}.{key}", f'Write {key} = "…".')
            found[key] = value
        elif key in _LISTS:
            found[key] = _texts(path, f"{name}.{key}", value)
        elif key == "require":
            found[key] = _require(path, name, value)
        else:
            known = ", ".join((*_TEXTS, *_LISTS, "require"))
            raise _bad(path, f"has an unknown key {name}.{key[:60]}", f"An issuer takes {known}.")
    _check_address(path, f"{name}.issuer", found.get("issuer", ""))
    if "jwks_uri" in found:
        _check_address(path, f"{name}.jwks_uri", found["jwks_uri"])
    for algorithm in found.get("algorithms", ()):
        if algorithm not in ALGORITHMS:
            raise _bad(
                path, f"names {algorithm[:60]!r} in {name}.algorithms", f"Of these: {', '.join(ALGORITHMS)}."
            )
    return Issuer(**found)


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    if not listed or not all(isinstance(one, str) and one for one in listed):
        raise _bad(path, f"has no list of texts as {key}", f'Write {key.partition(".")[2]} = ["…"].')
    return tuple(listed)


def _require(path: Path, name: str, value: Any) -> tuple[tuple[str, tuple[str | bool | int, ...]], ...]:
    found: list[tuple[str, tuple[str | bool | int, ...]]] = []
    for claim, wanted in (cast("dict[str, Any]", value) if isinstance(value, dict) else {"": None}).items():
        values: list[Any] = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
        if not values or not all(isinstance(one, str | bool | int) for one in values):
            raise _bad(
                path,
                f"has no claims with their values as {name}.require",
                'Write require = { groups = ["agents", "ops"], email_verified = true }.',
            )
        found.append((claim, tuple(values)))
    return tuple(found)


def _check_address(path: Path, key: str, address: str) -> None:
    """Raises BadSetting unless it is an https address, or one of this machine."""
    try:
        parts = urlsplit(address)
        good = bool(parts.hostname) and parts.username is None and not parts.fragment and parts.port != 0
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    except ValueError:
        good = safe = False
    if not good or not safe:
        raise _bad(path, f"has {address[:200]!r} as {key}", "Write an https address.")


def _bad(path: Path, what: str, remedy: str) -> BadSetting:
    return BadSetting(f"{path} ({_SETTING}) {what}.", remedy=remedy, info={"setting": _SETTING})
