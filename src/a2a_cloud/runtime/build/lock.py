"""The lock of an environment: a requirements file in which every package has one version and hashes.

It is written in one fixed form (sorted, normal names, no comments), so that what says the same has
the same digest. Anything that can read a requirements file can read it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, cast

from msgspec import Struct

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build.requirements import Requirement, normal_name, parse_requirements

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?\s*={2,3}\s*(?P<version>[A-Za-z0-9.!+_-]+)"
    r"\s*(?:;\s*(?P<marker>.+))?"
)


class Pin(Struct, frozen=True, order=True):
    """One package of a lock: `marker` says where it is installed at all, "" everywhere."""

    name: str
    version: str
    extras: str
    marker: str
    hashes: tuple[str, ...]


def pinned(requirement: Requirement) -> Pin | None:
    """The requirement as a pin, or None when it leaves the version open or has no hash."""
    found = _PINNED.fullmatch(requirement.text)
    if found is None or not requirement.hashes:
        return None
    extras = sorted({one.strip().lower() for one in (found["extras"] or "[]")[1:-1].split(",")} - {""})
    return Pin(
        name=normal_name(found["name"]),
        version=found["version"],
        extras=f"[{','.join(extras)}]" if extras else "",
        marker=" ".join((found["marker"] or "").split()),
        hashes=tuple(sorted(set(requirement.hashes))),
    )


def parse_lock(text: str, where: str) -> tuple[Pin, ...]:
    """The pins of a lock. Raises BuildFailed when something in it is no pin with a hash."""
    found: list[Pin] = []
    for requirement in parse_requirements(text, where):
        pin = pinned(requirement)
        if pin is None:
            raise BuildFailed(
                f"{requirement.where}: `{requirement.text}` has no fixed version with a hash.",
                remedy="An environment is made of wheels from an index, checked by their hashes.",
            )
        found.append(pin)
    return tuple(sorted(set(found)))


def render_lock(pins: Iterable[Pin]) -> bytes:
    """A requirements file with hashes; one form for the same pins. Ends with a newline unless empty."""
    lines: list[str] = []
    for pin in sorted(set(pins)):
        marker = f" ; {pin.marker}" if pin.marker else ""
        hashes = "".join(f" \\\n    --hash={one}" for one in pin.hashes)
        lines.append(f"{pin.name}{pin.extras}=={pin.version}{marker}{hashes}\n")
    return "".join(lines).encode()


def read_pylock(text: str) -> tuple[Pin, ...]:
    """The pins of a `pylock.toml` (PEP 751) that was made for one interpreter on one platform.

    It names the very wheels that fit, so that the lock holds their hashes and no others. Raises
    BuildFailed for a package that has no wheel with a hash.
    """
    found: list[Pin] = []
    packages = cast("Sequence[dict[str, Any]]", tomllib.loads(text).get("packages", ()))
    for package in packages:
        wheels = cast("Sequence[dict[str, Any]]", package.get("wheels", ()))
        hashes = {
            f"{kind}:{value}"
            for wheel in wheels
            for kind, value in cast("dict[str, str]", wheel.get("hashes", {})).items()
            if kind in ("sha256", "sha384", "sha512")
        }
        name = normal_name(str(package["name"]))
        if not hashes or "version" not in package:
            raise BuildFailed(
                f"`{name}` has no wheel on the index whose hash is known.",
                remedy="Take a version of it that has a wheel.",
            )
        marker = str(package.get("marker", ""))
        found.append(Pin(name, str(package["version"]), "", marker, tuple(sorted(hashes))))
    return tuple(sorted(set(found)))


def preferences(pins: Iterable[Pin]) -> str:
    """A `pylock.toml` with names and versions alone: uv keeps to them where the requirements allow."""
    lines = ['lock-version = "1.0"', 'created-by = "a2a-cloud"']
    for name, version in sorted({pin.name: pin.version for pin in pins}.items()):
        lines += ["", "[[packages]]", f'name = "{name}"', f'version = "{version}"']
    return "\n".join(lines) + "\n"
