"""Where the platform is and which key is for it.

The first of these names the URL: `--url`, a profile named with `--profile` or `A2A_PROFILE`,
`A2A_URL`, `A2A_DATA` (its `server.json`), the profile that `a2a profiles use` chose, the profile `local`.
The key is looked for in the same order, and a key is taken only when it is for the origin of that URL: the
one exception is a key without an address of its own (`--key`, `--key-file`, or `A2A_KEY` while `A2A_URL` is
unset), which the user means for the platform of this command. Profiles lie in
`$XDG_CONFIG_HOME/a2a/profiles.toml` (`~/.config` without it), one table each with `url`, and with `key_file`
or `login` (where the tokens of a sign-in are kept: tokens.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from a2a_cloud.client.tokens import SignIn

LOCAL = "local"
_CURRENT = "current"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = "# Platforms that `a2a` knows. `a2a up` writes the table [local]; comments are not kept.\n"


class NotConfigured(Exception):
    """No platform is named, or what names it is broken. `remedy` is the next thing to do."""

    def __init__(self, detail: str, remedy: str) -> None:
        self.detail = detail
        self.remedy = remedy
        super().__init__(f"{detail} {remedy}")


@dataclass(frozen=True)
class Target:
    """A platform: `url` without a trailing slash, `key` ("" to call as nobody).

    `source` says in words what named it, `note` what happened to the key, for messages. `signed_in`: the key
    is the token of a sign-in, good for minutes, which is asked for the next one.
    """

    url: str
    key: str = ""
    source: str = ""
    note: str = ""
    signed_in: SignIn | None = field(default=None, compare=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a key is pinned to."""
        return origin(self.url)


def origin(url: str) -> str:
    """`scheme://host:port` in lower case, with the scheme's own port written out.

    Raises NotConfigured for what is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotConfigured(f"{url!r} is not a URL.", "Write it as http://HOST:PORT.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotConfigured(f"{url!r} is not an http or https URL.", "Write it as http://HOST:PORT.")
    if parts.username is not None or parts.password is not None:
        raise NotConfigured(
            "The URL carries a user name or password.", "Give a key with A2A_KEY or --key-file."
        )
    host = parts.hostname.lower()
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}"


def profiles_path(env: Mapping[str, str] | None = None) -> Path:
    """The profiles file of this user. XDG says that a relative XDG_CONFIG_HOME does not count."""
    env = os.environ if env is None else env
    home = env.get("XDG_CONFIG_HOME", "")
    if home and os.path.isabs(home):
        return Path(home) / "a2a" / "profiles.toml"
    user = env.get("HOME", "")
    return (Path(user) if user else Path.home()) / ".config" / "a2a" / "profiles.toml"


def read_profiles(env: Mapping[str, str] | None = None) -> dict[str, dict[str, str]]:
    """Every profile by name; empty when there is no file. Raises NotConfigured for a broken one."""
    profiles: dict[str, dict[str, str]] = {}
    for name, table in _raw(env).items():
        if isinstance(table, dict):
            entries = cast("dict[str, Any]", table)
            profiles[name] = {k: v for k, v in entries.items() if isinstance(v, str)}
    return profiles


def current_profile(env: Mapping[str, str] | None = None) -> str:
    """The profile that is meant when nothing names one: what `a2a profiles use` said, else `local`. Raises
    NotConfigured."""
    named: Any = _raw(env).get(_CURRENT)
    return named if isinstance(named, str) and named else LOCAL


def _raw(env: Mapping[str, str] | None) -> dict[str, Any]:
    path = profiles_path(env)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NotConfigured(
            f"{path} can't be read: {error}.", "Mend it, or remove it and start the platform again."
        ) from None


def write_local_profile(
    url: str, key_path: Path | str, *, env: Mapping[str, str] | None = None, name: str = LOCAL
) -> bool:
    """Make `name` point at `url` with the key in `key_path`; other profiles stay.

    True when the file changed. The file is 0600 and replaced in one step. Raises NotConfigured
    (a broken file, a URL that is none) and OSError.
    """
    return write_profile(name, {"url": url.rstrip("/"), "key_file": os.path.abspath(key_path)}, env=env)


def write_profile(name: str, table: Mapping[str, str], *, env: Mapping[str, str] | None = None) -> bool:
    """Make `table` (`url`, and `key_file` or `login`) the profile `name`. As `write_local_profile`."""
    origin(table["url"])
    profiles = read_profiles(env)
    if profiles.get(name) == table:
        return False
    profiles[name] = dict(table)
    _write(profiles, current_profile(env), env)
    return True


def use_profile(name: str, *, env: Mapping[str, str] | None = None) -> None:
    """Let `name` be meant when nothing names a profile. Raises NotConfigured, OSError."""
    _named(name, os.environ if env is None else env)
    _write(read_profiles(env), name, env)


def remove_profile(name: str, *, env: Mapping[str, str] | None = None) -> None:
    """Forget a profile. Raises NotConfigured, OSError."""
    profiles = read_profiles(env)
    if name not in profiles:
        raise _unknown(name, profiles, env)
    del profiles[name]
    current = current_profile(env)
    _write(profiles, LOCAL if current == name else current, env)


def _write(profiles: Mapping[str, Mapping[str, str]], current: str, env: Mapping[str, str] | None) -> None:
    lines = [_HEADER]
    if current != LOCAL:
        lines.append(f"{_CURRENT} = {_toml(current)}\n")
    for each, table in profiles.items():
        lines.append(f"\n[{_toml_key(each)}]\n")
        lines.extend(f"{_toml_key(key)} = {_toml(value)}\n" for key, value in table.items())
    replace_file(profiles_path(env), "".join(lines))


def replace_file(path: Path, text: str) -> None:
    """Write `text` to a file that only its owner reads, in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def resolve(
    *,
    url: str = "",
    key: str = "",
    key_file: str = "",
    profile: str = "",
    env: Mapping[str, str] | None = None,
) -> Target:
    """The platform that a command means. Raises NotConfigured."""
    env = os.environ if env is None else env
    profile = profile or ("" if url else env.get("A2A_PROFILE", ""))
    own = _Own(env)
    if url:
        address, source = url, "--url"
    elif profile:
        address, source = _named(profile, env), f"the profile {profile}"
    elif env.get("A2A_URL"):
        address, source = env["A2A_URL"], "A2A_URL"
    elif env.get("A2A_DATA"):
        address, source = own.data_url(), "A2A_DATA"
        if not address:
            raise NotConfigured(
                f"No platform is running with the data folder {env['A2A_DATA']} (it has no server.json).",
                "Start one there: a2a up",
            )
    else:
        current = current_profile(env)
        address = read_profiles(env).get(current, {}).get("url", "")
        source = f"the profile {current}"
        if not address:
            raise NotConfigured(
                "No platform is known: neither A2A_URL nor A2A_DATA is set, and there is no profile.",
                "Start one: a2a up; or sign in to one: a2a login https://HOST",
            )
    where = origin(address)
    found, note, signed_in = own.key_for(where, key, key_file, profile, explicit_url=bool(url))
    if found and (not found.isascii() or not found.isprintable() or " " in found):
        raise NotConfigured("The key has characters that no key has.", "Give the key alone, on one line.")
    return Target(address.rstrip("/"), found, source, note, signed_in)


class _Found(NamedTuple):
    """A key, or a token; "" for none."""

    key: str
    note: str
    signed_in: SignIn | None = None


class _Own:
    """The keys that this user has, each with the origin it is for."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def data_url(self) -> str:
        folder = self._env.get("A2A_DATA", "")
        if not folder:
            return ""
        path = Path(folder) / "server.json"
        try:
            state: Any = json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except (OSError, ValueError) as error:
            raise NotConfigured(
                f"{path} can't be read: {error}.", "Start the platform again: a2a up"
            ) from None
        address: Any = cast("dict[str, Any]", state).get("url", "") if isinstance(state, dict) else ""
        return address if isinstance(address, str) else ""

    def key_for(self, where: str, key: str, key_file: str, profile: str, *, explicit_url: bool) -> _Found:
        if key:
            return _Found(key.strip(), "the key of --key")
        if key_file:
            return _Found(_read_key(Path(key_file)), f"the key in {key_file}")
        note = f"no key for {where} is known"
        profiles = read_profiles(self._env)
        if profile:
            found = self._of_profile(profile, profiles.get(profile, {}), where)
            if found is not None:
                return found
            if not explicit_url:
                return _Found("", f"the profile {profile} has no key")
        mine = self._env.get("A2A_KEY", "").strip()
        if mine:
            home = self._env.get("A2A_URL", "")
            if not home or origin(home) == where:
                return _Found(mine, "the key in A2A_KEY")
            note = f"the key in A2A_KEY is for {origin(home)}, so it was not sent to {where}"
        if self._env.get("A2A_DATA"):
            address = self.data_url()
            path = Path(self._env["A2A_DATA"]) / "admin.key"
            if address and origin(address) == where and path.exists():
                return _Found(_read_key(path), f"the key in {path}")
        current = current_profile(self._env)
        for name in sorted(profiles, key=lambda each: each != current):
            found = self._of_profile(name, profiles[name], where)
            if found is not None:
                return found
        return _Found("", note)

    def _of_profile(self, name: str, table: Mapping[str, str], where: str) -> _Found | None:
        """The key, or the token of the sign-in, that a profile has for `where`."""
        if not table.get("url") or not _same(table["url"], where):
            return None
        if table.get("key_file"):
            return _Found(_read_key(Path(table["key_file"])), f"the key of the profile {name}")
        if not table.get("login"):
            return None
        from a2a_cloud.client.tokens import SignIn  # Who has a key needs none of it.

        signed_in = SignIn(name, where, table["login"], self._env)
        return _Found(signed_in.access(), f"the sign-in of the profile {name}", signed_in)


def _same(url: str, where: str) -> bool:
    try:
        return origin(url) == where
    except NotConfigured:
        return False


def _named(profile: str, env: Mapping[str, str]) -> str:
    profiles = read_profiles(env)
    address = profiles.get(profile, {}).get("url", "")
    if not address:
        raise _unknown(profile, profiles, env)
    return address


def _unknown(profile: str, profiles: Mapping[str, Any], env: Mapping[str, str] | None) -> NotConfigured:
    known = ", ".join(sorted(profiles)) or "none"
    return NotConfigured(
        f"There is no profile {profile!r} in {profiles_path(env)}.", f"The profiles there: {known}."
    )


def _read_key(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(
            f"The key file {path} can't be read: {error}.",
            "Name another with --key-file, or start the platform again.",
        ) from None


def _toml_key(text: str) -> str:
    return text if _BARE.fullmatch(text) else _toml(text)


def _toml(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
