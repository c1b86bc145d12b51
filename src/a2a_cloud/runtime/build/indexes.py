"""Where the operator's configuration lets uv take packages from, and whether a build can be caged with it.

A cage is shown folders of packages, certificates and uv's own configuration, and may connect to the
indexes that are named there. What has credentials is not handed in: such builds stay outside.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from a2a_cloud.model.problem import InvalidRequest
from a2a_cloud.runtime.egress.hosts import host_and_port

#: Where uv goes when nothing else says, and where that index keeps its files.
PYPI = (("pypi.org", 443), ("files.pythonhosted.org", 443))
_PORTS = {"http": 80, "https": 443}
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "UV_HTTP_PROXY", "UV_HTTPS_PROXY")
_PROXIES_SMALL = ("all_proxy", "http_proxy", "https_proxy")
#: Variables about places outside of the cage, or with something in them that must not come in.
_KEPT_OUT = frozenset(
    {"HOME", "NETRC", "NO_PROXY", "PATH", "TMPDIR", "UV_CACHE_DIR", "UV_KEYRING_PROVIDER", "UV_LINK_MODE"}
    | {"XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "SSL_CLIENT_CERT", "no_proxy"}
)
_NAMED = re.compile(r"[A-Za-z0-9._-]+=(?=[^=])")


@dataclass(slots=True)
class Indexes:
    """What a caged build is given.

    `hosts`: (name, port) that it may connect to; `shown`: files and folders that it sees, read-only;
    `settings`: uv's variables; `why`: a sentence when a build can't be caged, else "".
    """

    hosts: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    shown: list[Path] = field(default_factory=list[Path])
    settings: dict[str, str] = field(default_factory=dict[str, str])
    why: str = ""

    def refuse(self, why: str) -> None:
        """A build can't be caged; the first reason counts."""
        self.why = self.why or why


def read_indexes(environ: Mapping[str, str], also: Iterable[tuple[str, int]] = ()) -> Indexes:
    """What `environ`, the variables that uv sees, and its files of configuration say. `also`: further
    hosts that the operator opened to builds. Reads a few files."""
    found = Indexes(hosts=set(also))
    found.settings = {name: value for name, value in environ.items() if name not in _KEPT_OUT}
    for name in (*_PROXIES, *_PROXIES_SMALL):
        if environ.get(name):
            found.refuse(f"The index is reached through a proxy ({name}), which a cage does not go through.")
    default = _variables(found, environ)
    default |= _files(found, environ)
    if not default:
        found.hosts.update(PYPI)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        # The second is a list, as PATH is.
        for part in filter(None, environ.get(name, "").split(":" if name.endswith("DIR") else "\0")):
            _show(found, part)
    _stored(found, environ)
    return found


def _variables(found: Indexes, environ: Mapping[str, str]) -> bool:
    """The variables; whether they name the default index, or that there is none."""
    for name in environ:
        if name.startswith("UV_INDEX_") and name.endswith(("_PASSWORD", "_USERNAME")) and environ[name]:
            found.refuse(f"The index has credentials ({name}), which are not handed into a cage.")
    if environ.get("SSL_CLIENT_CERT"):
        found.refuse("The index wants a certificate of ours (SSL_CLIENT_CERT), whose key stays outside.")
    if environ.get("UV_KEYRING_PROVIDER", "disabled") not in ("", "disabled"):
        found.refuse("Credentials come from a keyring (UV_KEYRING_PROVIDER), which stays outside.")
    if _true(environ.get("UV_OFFLINE", "")):
        found.refuse("uv is offline (UV_OFFLINE) and lives on the platform's cache, which no cage is shown.")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for one in environ.get(name, "").split():
            _place(found, one, name)
    for one in filter(None, re.split(r"[,\s]+", environ.get("UV_FIND_LINKS", ""))):
        _place(found, one, "UV_FIND_LINKS")
    named = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    return bool(named) or _true(environ.get("UV_NO_INDEX", ""))


def _files(found: Indexes, environ: Mapping[str, str]) -> bool:
    """uv's files of configuration; whether one names the default index, or that there is none."""
    if environ.get("UV_CONFIG_FILE"):
        paths = [Path(environ["UV_CONFIG_FILE"]).absolute()]
        found.settings["UV_CONFIG_FILE"] = str(paths[0])
    else:
        home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
        machine = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        places = [Path(one) / "uv" / "uv.toml" for one in machine.split(":") if one.startswith("/")]
        system = next((one for one in [*places, Path("/etc/uv/uv.toml")] if one.is_file()), None)
        paths = [system] if system is not None else []
        if home:
            paths.append(Path(home).absolute() / "uv" / "uv.toml")
            found.settings["XDG_CONFIG_HOME"] = str(Path(home).absolute())
        found.settings["XDG_CONFIG_DIRS"] = machine
    default = False
    for path in paths:
        try:
            content = tomllib.loads(path.read_bytes().decode())
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            found.refuse(f"The configuration {path} can't be read, so it is not known what it names.")
            continue
        _show(found, str(path))
        default |= _table(found, content, path)
        if isinstance(content.get("pip"), dict):
            default |= _table(found, cast("dict[str, Any]", content["pip"]), path)
    return default


def _table(found: Indexes, table: dict[str, Any], path: Path) -> bool:
    base, default = path.parent, bool(table.get("no-index"))
    for key in ("http-proxy", "https-proxy"):
        if table.get(key):
            found.refuse(f"The index is reached through a proxy ({path}), which a cage does not go through.")
    if table.get("keyring-provider", "disabled") != "disabled":
        found.refuse(f"Credentials come from a keyring ({path}), which stays outside.")
    if table.get("offline"):
        found.refuse(f"uv is offline ({path}) and lives on the platform's cache, which no cage is shown.")
    for one in _all(table.get("index")):
        if not isinstance(one, dict):
            found.refuse(f"An index in {path} can't be read, so it is not known what it names.")
            continue
        index = cast("dict[str, Any]", one)
        _place(found, str(index.get("url", "")), str(path), base)
        default |= bool(index.get("default"))
    for key in ("index-url", "extra-index-url", "find-links"):
        for one in _all(table.get(key)):
            _place(found, str(one), str(path), base)
            default |= key == "index-url"
    return default


def _place(found: Indexes, text: str, where: str, base: Path | None = None) -> None:
    """An index or a folder of packages, as `url`, `name=url` or a path."""
    text = _NAMED.sub("", text, count=1) if "://" not in text.partition("=")[0] else text
    scheme = urlsplit(text).scheme.lower() if "://" in text else ""
    if scheme == "file":
        _show(found, unquote(urlsplit(text).path))
    elif scheme in _PORTS:
        netloc = urlsplit(text).netloc
        if "@" in netloc:
            found.refuse(f"The index has credentials ({where}), which are not handed into a cage.")
            return
        try:
            host, port = host_and_port(netloc, _PORTS[scheme])
        except InvalidRequest as problem:
            found.refuse(f"An index in {where} can't be read: {problem.detail}")
            return
        found.hosts.add((host.name, port))
    elif scheme or not text:
        found.refuse(f"An index in {where} can't be read, so it is not known what it names.")
    else:
        _show(found, str((base or Path.cwd()) / text))


def _show(found: Indexes, text: str) -> None:
    path = Path(text)
    if path.is_absolute() and path.exists() and path not in found.shown:
        found.shown.append(path)


def _stored(found: Indexes, environ: Mapping[str, str]) -> None:
    """Credentials that uv finds by itself: those of `uv auth login`, and netrc's for one of the hosts."""
    home = environ.get("HOME", "")
    data = environ.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    kept = Path(data) / "uv" / "credentials" / "credentials.toml"
    if data and kept.is_file():
        found.refuse(f"uv keeps credentials ({kept}), which are not handed into a cage.")
    netrc = environ.get("NETRC") or (f"{home}/.netrc" if home else "")
    if not netrc:
        return
    try:
        words = Path(netrc).read_text().split()
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        words = ["default"]
    if {"default", *(host.strip("[]") for host, _ in found.hosts)} & set(words):
        found.refuse(f"The index has credentials ({netrc}), which are not handed into a cage.")


def _all(value: object) -> list[object]:
    if value is None:
        return []
    return list(cast("list[object]", value)) if isinstance(value, list) else [value]


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on", "y", "t")
