"""Readers of single settings: each takes the variables and a name, and gives a typed value or raises a
BadSetting that names the setting, its value and what to write. An empty variable counts as unset."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from a2a_cloud.model.problem import BadSetting

Environ = Mapping[str, str]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A setting whose name ends so is a secret, but for these.
_SECRET = ("SECRET", "PASSWORD", "TOKEN", "KEY", "HEADERS")
_PLAIN = frozenset({"A2A_TLS_KEY", "A2A_PROXY_HEADERS"})

_HOST_NAME = re.compile(
    r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
)


def secret(name: str) -> bool:
    """Whether what the setting says is to be shown to nobody, and may be in a file of its own."""
    return name.endswith(_SECRET) and name not in _PLAIN


def assume(environ: Environ, name: str, value: object) -> None:
    """Tell what holds when nothing is said, for people who ask which settings hold (sources.py)."""
    told = getattr(environ, "assume", None)
    if told is not None:
        told(name, value)


def text(environ: Environ, name: str, default: str = "") -> str:
    """The value as it stands, without the blanks around it."""
    if default:
        assume(environ, name, default)
    return environ.get(name, "").strip() or default


def bad(name: str, value: str, write: str) -> BadSetting:
    """The problem of a value that can't be used; a secret is not repeated."""
    shown = value if len(value) <= 200 else value[:200] + "…"
    told = "set to what" if secret(name) else f"{shown!r}, which"
    return BadSetting(f"{name} is {told} can't be used.", remedy=f"Write {write}.", info={"setting": name})


def whole(environ: Environ, name: str, default: int, low: int, high: int, write: str) -> int:
    """A whole number from `low` to `high`."""
    assume(environ, name, default)
    value = text(environ, name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 18 and low <= int(value) <= high):
        raise bad(name, value, write)
    return int(value)


def seconds(
    environ: Environ,
    name: str,
    default: float,
    low: float = 0.05,
    high: float = 86_400,
    write: str = "seconds from 0.05 to 86400, such as 10 or 2.5",
) -> float:
    """A time in seconds."""
    assume(environ, name, default)
    value = text(environ, name)
    if not value:
        return default
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", value) or not low <= float(value) <= high:
        raise bad(name, value, write)
    return float(value)


def flag(environ: Environ, name: str) -> bool:
    """`1` or nothing; in the file `true` or `false`."""
    value = text(environ, name)
    if value not in ("", "0", "1"):
        raise bad(name, value, "1, or nothing")
    return value == "1"


def choice(environ: Environ, name: str, words: tuple[str, ...], default: str, write: str) -> str:
    """One of `words`."""
    value = text(environ, name, default)
    if value not in words:
        raise bad(name, value, write)
    return value


def base_of(environ: Environ, name: str) -> Path:
    """The folder that a relative path of this setting is relative to: the one of the file that says it, else
    the folder that the platform was started in."""
    found = getattr(environ, "base_of", None)
    return Path.cwd() if found is None else found(name)


def folder(environ: Environ, name: str, default: str) -> Path:
    """The absolute path of a folder that is there or can be made."""
    value = text(environ, name, default)
    path = _path(environ, name, value, "the path of a folder that exists or can be made")
    if path.exists() and not path.is_dir():
        raise bad(name, value, "the path of a folder; this is a file")
    return path


def file(environ: Environ, name: str) -> Path | None:
    """The absolute path of a file; whoever opens it says whether it is there."""
    value = text(environ, name)
    return _path(environ, name, value, "the path of a file") if value else None


def _path(environ: Environ, name: str, value: str, write: str) -> Path:
    if "\0" in value:
        raise bad(name, value, write)
    try:
        return Path(os.path.abspath(base_of(environ, name) / Path(value).expanduser()))
    except RuntimeError as error:  # "~someone" without a home folder
        raise bad(name, value, write) from error


def hosts(environ: Environ, name: str) -> tuple[str, ...]:
    """Host names without port by commas, `*.name` for all below one."""
    found: list[str] = []
    for part in text(environ, name).split(","):
        host = part.strip().lower().rstrip(".")
        if not host:
            continue
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not (_HOST_NAME.fullmatch(bare) or re.fullmatch(r"[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*", bare)):
            write = "host names without port, separated by commas, such as agents.example.com,*.example.org"
            raise bad(name, part.strip(), write)
        found.append(bare)
    return tuple(dict.fromkeys(found))


def networks(environ: Environ, name: str) -> tuple[Network, ...]:
    """Addresses and ranges by commas."""
    found: list[Network] = []
    for part in text(environ, name).split(","):
        if part.strip():
            try:
                found.append(ipaddress.ip_network(part.strip()))
            except ValueError as error:
                write = "addresses and ranges, separated by commas, such as 127.0.0.1,10.0.0.0/8"
                raise bad(name, part.strip(), f"{write} ({error})") from None
    return tuple(dict.fromkeys(found))


def url(environ: Environ, name: str) -> str:
    """An http or https address without user, query and fragment, and without a slash at its end."""
    value = text(environ, name)
    if not value:
        return ""
    write = "an http or https address without a query, such as https://agents.example.com"
    if any(c.isspace() or not c.isprintable() for c in value):
        raise bad(name, value, write)
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        good = False
        parts = None
    if parts is None or not good or parts.query or parts.fragment or parts.username is not None:
        raise bad(name, value, write)
    return value.rstrip("/")
