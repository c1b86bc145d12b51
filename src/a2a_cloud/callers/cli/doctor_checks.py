"""What `a2a doctor` looks at on this machine, without any platform: one function for each check."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from urllib.parse import urlsplit

from a2a_cloud.callers.cli.units import size
from a2a_cloud.client.profile import NotConfigured, Target, profiles_path, read_profiles

OK, WARN, FAIL = "ok", "warn", "fail"
#: Free bytes of a disk below which it is told, and below which deploys fail.
LITTLE, TOO_LITTLE = 2_000_000_000, 200_000_000
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*([^;]*)")
_CLAUSE = re.compile(r"(>=|<=|==|<|>)\s*(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Check:
    """One check: `state` is ok, warn or fail; `remedy` says what to do about it."""

    name: str
    state: str
    detail: str
    remedy: str = ""

    def document(self) -> dict[str, str]:
        """For programs."""
        return {"name": self.name, "state": self.state, "detail": self.detail, "remedy": self.remedy}


def local_checks(target: Target | None, *, reached: bool) -> list[Check]:
    """All checks of this machine; `reached`: the platform at `target` answers."""
    data = data_folder()
    return [
        _python(),
        *_packages(),
        _uv(),
        _bubblewrap(),
        *_data(data),
        _port(target if reached else None),
        *_profiles(),
        *_keys(data),
    ]


def data_folder() -> Path:
    """The data folder of a platform that is started here."""
    return Path(os.environ.get("A2A_DATA") or ".a2a").expanduser().absolute()


def _python() -> Check:
    """Which one runs. One that is too old could not have read this file."""
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", OK, found)


def _packages() -> list[Check]:
    """Whether everything that the platform needs is here, in versions that fit."""
    install = "pip install 'a2a-cloud[platform]'"
    try:
        own = version("a2a-cloud")
        wanted = requires("a2a-cloud") or []
    except PackageNotFoundError:
        return [Check("packages", WARN, "a2a-cloud runs from source and is not installed", install)]
    checks: list[Check] = []
    fits: list[str] = []
    for line in wanted:
        match = _REQUIREMENT.match(line)
        if match is None or ("extra ==" in line and "platform" not in line):
            continue
        name, clauses = match[1], match[2]
        try:
            found = version(name)
        except PackageNotFoundError:
            checks.append(Check("packages", FAIL, f"{name} is not installed", install))
            continue
        if not version_fits(found, clauses):
            detail = f"{name} {found} does not fit {clauses.strip()}"
            checks.append(Check("packages", FAIL, detail, f"{install} --upgrade"))
        fits.append(f"{name} {found}")
    return checks or [Check("packages", OK, f"a2a-cloud {own}; {', '.join(fits)}")]


def version_fits(found: str, clauses: str) -> bool:
    """Whether a version lies within `>=1,<2`: its numbers alone are compared."""
    have = _numbers(found)
    for sign, text in _CLAUSE.findall(clauses):
        want = _numbers(text)
        width = max(len(have), len(want))
        a, b = (each + (0,) * (width - len(each)) for each in (have, want))
        good = {">=": a >= b, "<=": a <= b, "==": a == b, "<": a < b, ">": a > b}[sign]
        if not good:
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(each) for each in match[0].split(".")) if match else ()


def _uv() -> Check:
    """uv builds the agents' environments."""
    remedy = "pip install uv, or see https://docs.astral.sh/uv"
    path = _find_uv()
    if not path:
        return Check("uv", FAIL, "not found: agents with dependencies can't be built", remedy)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("uv", FAIL, f"{path} does not run: {error}", remedy)
    return Check("uv", OK, f"{done.stdout.strip()} ({path})")


def _bubblewrap() -> Check:
    """bubblewrap makes the jails; what else they need, the platform says of itself."""
    # Where the platform looks, whatever PATH says.
    path = shutil.which("bwrap", path="/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin")
    if not path:
        remedy = "On Debian or Ubuntu: sudo apt-get install bubblewrap"
        return Check("bubblewrap", WARN, "not found: a platform here can't keep agents in jails", remedy)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("bubblewrap", WARN, f"{path} does not run: {error}", "Install it again.")
    return Check("bubblewrap", OK, f"{done.stdout.strip()} ({path})")


def _find_uv() -> str:
    if importlib.util.find_spec("uv") is not None:
        from uv import find_uv_bin

        try:
            return find_uv_bin()
        except FileNotFoundError:
            pass  # the package without its program; one on PATH does as well
    return shutil.which("uv") or ""


def _data(data: Path) -> list[Check]:
    """Whether the data folder can be written, and what is free there."""
    place = data
    while not place.exists() and place != place.parent:
        place = place.parent
    other = "Name another folder: A2A_DATA, or a2a up --data DIR"
    if not place.is_dir():
        return [Check("data", FAIL, f"{place} is a file", other)]
    if not os.access(place, os.W_OK | os.X_OK):
        return [Check("data", FAIL, f"{place} can't be written", other)]
    made = str(data) if place == data else f"{data} (is made at the first start)"
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return [Check("data", WARN, f"{made}: what is free is not known ({error.strerror})", other)]
    remedy = f"Free some space, or: {other}"
    state = FAIL if free < TOO_LITTLE else WARN if free < LITTLE else OK
    return [
        Check("data", OK, made),
        Check("disk", state, f"{size(free)} free", "" if state == OK else remedy),
    ]


def _port(target: Target | None) -> Check:
    """Whether the port is free, or taken by the platform that answers."""
    host = os.environ.get("A2A_HOST") or "127.0.0.1"
    word = os.environ.get("A2A_PORT") or "8080"
    if not (word.isascii() and word.isdigit() and int(word) <= 65_535):
        return Check("port", FAIL, f"A2A_PORT is {word!r}", "Write a port from 1 to 65535.")
    port = int(word)
    if target is not None and (urlsplit(target.url).port or 80) == port:
        return Check("port", OK, f"{port} is the platform's, which runs")
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        return Check(
            "port",
            WARN,
            f"{port} on {host} can't be taken ({(error.strerror or str(error)).lower()})",
            "Stop what listens there, or start on another: a2a up --port 0",
        )
    return Check("port", OK, f"{port} on {host} is free")


def _profiles() -> list[Check]:
    path = profiles_path()
    try:
        profiles = read_profiles()
    except NotConfigured as error:
        return [Check("profiles", FAIL, error.detail, error.remedy)]
    if not path.exists():
        return [Check("profiles", OK, f"{path} is written by the first `a2a up`")]
    return [_private("profiles", path, f"{', '.join(profiles) or 'none'} in {path}")]


def _keys(data: Path) -> list[Check]:
    """The files that hold keys: of the profiles, and of the data folder here."""
    try:
        named = [Path(each["key_file"]) for each in read_profiles().values() if each.get("key_file")]
    except NotConfigured:
        named = []  # told by the check of the profiles
    checks: list[Check] = []
    own = data / "admin.key"
    if own.exists():
        named.append(own)
    for path in dict.fromkeys(named):
        if not path.expanduser().exists():
            detail = f"{path} of a profile is not there"
            checks.append(Check("key file", WARN, detail, "Start its platform again, or remove the profile."))
        else:
            checks.append(_private("key file", path.expanduser(), str(path)))
    return checks


def _private(name: str, path: Path, detail: str) -> Check:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        return Check(name, FAIL, f"{path} can't be read: {error.strerror}", "Look at its owner and mode.")
    if mode & 0o077:
        return Check(name, WARN, f"{path} can be read by others (mode {mode:o})", f"chmod 600 {path}")
    return Check(name, OK, detail)
