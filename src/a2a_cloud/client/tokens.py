"""The tokens of a sign-in, as this user keeps them: in the keyring of the desktop where there is one, else in
a file that only they read.

An access token is good for minutes; the refresh token that gets the next one is good once (RFC 6749, section
6; RFC 9700, section 4.14: who uses one twice ends the whole sign-in). So one process at a time asks for a new
one, under a lock, and others take what it got.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from a2a_cloud.client.oauth import OAuthRefused, OAuthUnreachable, refreshed
from a2a_cloud.client.profile import NotConfigured, profiles_path, replace_file

#: Seconds before its end that a token is replaced.
EARLY = 30.0
_SERVICE = "a2a-cloud"
_PATIENCE = 20.0


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gave. `expires` is wall seconds; `url` is the platform, `client` who asked."""

    url: str
    client: str
    token_endpoint: str
    revocation_endpoint: str
    access: str
    refresh: str
    expires: float

    def good(self) -> bool:
        """Whether the access token is good for a while longer."""
        return bool(self.access) and time.time() < self.expires - EARLY


class Store(Protocol):
    """Where the tokens of one profile are kept."""

    def read(self) -> str | None:
        """What is kept there; None for nothing. Raises NotConfigured."""
        ...

    def write(self, text: str) -> None:
        """Raises NotConfigured."""
        ...

    def remove(self) -> None:
        """Forget it."""
        ...


class SignIn:
    """The sign-in of a profile at the origin `where`; `kind` is the store that it is in."""

    def __init__(self, profile: str, where: str, kind: str, env: Mapping[str, str] | None = None) -> None:
        self.profile = profile
        self.where = where
        self._env = os.environ if env is None else env
        self._store = store_of(kind, profile, where, self._env)
        self._known: Tokens | None = None

    def access(self) -> str:
        """An access token that is good for a while. Raises NotConfigured."""
        known = self._known
        if known is None or not known.good():
            known = self.tokens()
            if not known.good():
                known = self._renewed()
            self._known = known
        return known.access

    def tokens(self) -> Tokens:
        """What is kept. Raises NotConfigured."""
        text = self._store.read()
        try:
            found: Any = json.loads(text) if text else None
            return Tokens(**cast("dict[str, Any]", found))
        except (ValueError, TypeError):
            raise NotConfigured(
                f"The profile {self.profile} is signed out.", f"Sign in: a2a login {self.where}"
            ) from None

    def keep(self, tokens: Tokens) -> None:
        """Keep the tokens of a new sign-in. Raises NotConfigured."""
        with self._locked():
            self._put(tokens)

    def forget(self) -> None:
        """Keep nothing."""
        with self._locked():
            self._known = None
            self._store.remove()

    def _put(self, tokens: Tokens) -> None:
        self._store.write(json.dumps(asdict(tokens)))

    def _renewed(self) -> Tokens:
        with self._locked():
            tokens = self.tokens()
            if tokens.good():
                return tokens  # Another command was here first.
            try:
                answer = refreshed(tokens.token_endpoint, tokens.client, tokens.refresh, tokens.url)
            except OAuthRefused as refused:
                if refused.error == "invalid_grant":
                    self._store.remove()
                raise NotConfigured(
                    f"The sign-in of the profile {self.profile} has ended ({refused}).",
                    f"Sign in again: a2a login {self.where}",
                ) from None
            except OAuthUnreachable as error:
                raise NotConfigured(
                    f"The sign-in of the profile {self.profile} can't be renewed: {error}.",
                    "Try again when the platform answers.",
                ) from None
            tokens = replace(
                tokens,
                access=answer.access,
                refresh=answer.refresh or tokens.refresh,
                expires=time.time() + answer.seconds,
            )
            self._put(tokens)
            return tokens

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One process of this user at a time."""
        path = _folder(self._env) / f"{_plain(self.profile)}.lock"
        try:
            import fcntl

            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (ImportError, OSError) as error:
            raise NotConfigured(f"{path} can't be locked: {error}.", "Make its folder writable.") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


# --- where they are kept --------------------------------------------------------------------------------


def best_store(env: Mapping[str, str] | None = None) -> str:
    """The safest kind of store that there is here: `secret-service` or `file`."""
    env = os.environ if env is None else env
    wanted = env.get("A2A_TOKENS", "")
    if wanted == "file":
        return "file"
    if shutil.which("secret-tool") and env.get("DBUS_SESSION_BUS_ADDRESS"):
        probe = _SecretService("probe", "a2a-cloud")
        with contextlib.suppress(NotConfigured):
            probe.write("probe")
            kept = probe.read() == "probe"
            probe.remove()
            if kept:
                return "secret-service"
    return "file"


def store_of(kind: str, profile: str, where: str, env: Mapping[str, str]) -> Store:
    """The store of that kind. Raises NotConfigured."""
    if kind == "file":
        return _File(_folder(env) / f"{_plain(profile)}.json")
    if kind == "secret-service":
        return _SecretService(profile, where)
    raise NotConfigured(
        f"The profile {profile} keeps its sign-in in {kind!r}, which is unknown here.",
        f"Sign in again: a2a login {where}",
    )


def _folder(env: Mapping[str, str]) -> Path:
    return profiles_path(env).parent / "tokens"


def _plain(profile: str) -> str:
    """The name of a profile as a file's; no two are alike."""
    safe = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "." for sign in profile)
    return safe if safe == profile else f"{safe}.{profile.encode().hex()}"


class _File:
    """A file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        try:
            if self._path.stat().st_mode & 0o077:
                raise NotConfigured(f"{self._path} can be read by others.", f"Run: chmod 600 {self._path}")
            return self._path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise NotConfigured(f"{self._path} can't be read: {error}.", "Sign in again: a2a login") from None

    def write(self, text: str) -> None:
        try:
            replace_file(self._path, text + "\n")
        except OSError as error:
            raise NotConfigured(
                f"{self._path} can't be written: {error}.", "Make its folder writable."
            ) from None

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


class _SecretService:
    """The desktop's secret service (GNOME, KDE) by libsecret's own program, which reads secrets as input."""

    def __init__(self, profile: str, where: str) -> None:
        self._words = ("service", _SERVICE, "profile", profile, "origin", where)
        self._label = f"a2a cloud: {profile}"

    def read(self) -> str | None:
        done = self._run("lookup")
        return done.stdout if done.returncode == 0 and done.stdout else None

    def write(self, text: str) -> None:
        done = self._run("store", f"--label={self._label}", secret=text)
        if done.returncode != 0:
            raise NotConfigured(
                f"The keyring takes nothing: {done.stderr.strip()[:200] or 'it is locked'}.",
                "Unlock it, or keep the sign-in in a file: A2A_TOKENS=file a2a login",
            )

    def remove(self) -> None:
        with contextlib.suppress(NotConfigured):
            self._run("clear")

    def _run(self, verb: str, *options: str, secret: str | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [shutil.which("secret-tool") or "secret-tool", verb, *options, *self._words],
                input=secret,
                stdin=subprocess.DEVNULL if secret is None else None,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NotConfigured(
                f"The keyring does not answer: {type(error).__name__}.",
                "Unlock it, or keep the sign-in in a file: A2A_TOKENS=file a2a login",
            ) from None
