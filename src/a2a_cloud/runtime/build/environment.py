"""An environment that was built, as it is kept beside its files, and what it is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from msgspec import Struct

from a2a_cloud.runtime.build.lock import Pin
from a2a_cloud.runtime.build.requirements import normal_name

_LICENSE_LENGTH = 200


class Package(Struct, frozen=True, kw_only=True):
    """One installed distribution.

    `name` in its normal form; `hashes`: `sha256:<hex>` of the wheels that the lock allows, mostly
    one; `license`: an SPDX expression or what its author wrote, "" for nothing; `requires`: names
    of installed packages that it depends on.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    license: str = ""
    requires: tuple[str, ...] = ()


class Interpreter(Struct, frozen=True):
    """A Python: "cpython", "3.11.7", "linux-x86_64", "cpython-311-x86_64-linux-gnu"."""

    implementation: str
    version: str
    platform: str
    abi: str


class EnvironmentRecord(Struct, frozen=True, kw_only=True):
    """What an environment is, as `environment.json` keeps it.

    `digest`: `sha256:<hex>` over lock, interpreter and kit; `packages`: what is installed beside the
    kit, by name; `uv`: the version that built it.
    """

    digest: str
    lock_digest: str
    packages: tuple[Package, ...]
    kit: Package
    interpreter: Interpreter
    uv: str


class BuiltEnvironment(EnvironmentRecord, frozen=True, kw_only=True):
    """An environment on disk: `python` is the interpreter to run, `lock` a requirements file with hashes."""

    python: Path
    lock: bytes


def installed(site_packages: Path, pins: Iterable[Pin], kit: Package) -> tuple[tuple[Package, ...], Package]:
    """What is installed in a folder of packages, and the kit as it is there."""
    hashes: dict[tuple[str, str], set[str]] = {}
    for pin in pins:
        hashes.setdefault((pin.name, pin.version), set()).update(pin.hashes)
    found = {normal_name(one.name): one for one in distributions(path=[str(site_packages)])}
    packages = [
        Package(
            name=name,
            version=one.version,
            hashes=kit.hashes if name == kit.name else tuple(sorted(hashes.get((name, one.version), ()))),
            license=_license(one),
            requires=tuple(sorted(_requires(one) & found.keys() - {name})),
        )
        for name, one in sorted(found.items())
    ]
    others = tuple(one for one in packages if one.name != kit.name)
    return others, next((one for one in packages if one.name == kit.name), kit)


def _requires(one: Distribution) -> set[str]:
    """Names that its metadata asks for, beside those of an extra."""
    names: set[str] = set()
    for text in one.requires or ():
        name = re.match(r"[A-Za-z0-9._-]+", text)
        if name is not None and not re.search(r"\bextra\s*==", text):
            names.add(normal_name(name[0]))
    return names


def _license(one: Distribution) -> str:
    fields = one.metadata
    # Some write the whole text into `License`; its first line says which it is.
    found = [*(fields.get_all("License-Expression") or ()), *(fields.get_all("License") or ())]
    text = found[0].strip().partition("\n")[0] if found else ""
    if not text:
        marks = [line for line in fields.get_all("Classifier") or [] if line.startswith("License ::")]
        text = marks[0].rpartition("::")[2] if marks else ""
    return text.strip()[:_LICENSE_LENGTH]
