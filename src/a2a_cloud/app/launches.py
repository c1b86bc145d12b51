"""Where releases run: how their workers are started, and the documents that say what is in there."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

import a2a_cloud
from a2a_cloud.control.deploys.ports import Built
from a2a_cloud.control.registry.variables import Variables
from a2a_cloud.model.receipt import Environment
from a2a_cloud.model.release import Release
from a2a_cloud.ops.checks import Cage
from a2a_cloud.runtime.build.environments import BuiltEnvironment, Environments
from a2a_cloud.runtime.process import COMMAND
from a2a_cloud.runtime.sandbox.port import Sandbox, roots_of
from a2a_cloud.surface.a2a.card import card_of
from a2a_cloud.surface.ports import UNTOLD
from a2a_cloud.wire.card_digest import card_sha256


def sbom_of(release: Release, built: Built, _started: float, _ended: float) -> bytes:
    """The bill of materials of a release."""
    from a2a_cloud.runtime.build.sbom import sbom  # seldom asked for

    version = release.manifest.version
    return sbom(cast("BuiltEnvironment", built), name=release.name, version=version, digest=release.digest)


def provenance_of(release: Release, built: Built, started: float, ended: float) -> bytes:
    """Where a release came from, and what made it."""
    from a2a_cloud.runtime.build.provenance import provenance

    return provenance(
        name=release.name,
        release=release.number,
        source_digest=release.source,
        environment=cast("BuiltEnvironment", built),
        started=started,
        ended=ended,
        builder=f"https://a2a-cloud.invalid/builder/{a2a_cloud.__version__}",
    )


class Launches:
    """How workers are started: by the interpreter of the release's environment."""

    def __init__(self, environments: Environments, variables: Variables, command: Sequence[str]) -> None:
        self._environments = environments
        self._variables = variables
        self._command = command

    def command(self, release: Release) -> Sequence[str]:
        """See runtime.ports.Launch."""
        if self._command:
            return self._command
        built = self._environments.find(release.environment) if release.environment else None
        return COMMAND if built is None else (str(built.python), *COMMAND[1:])

    def roots(self, release: Release) -> Sequence[Path]:
        """See runtime.ports.Launch. A command of ours that is no environment's needs the kit as well."""
        command = self.command(release)
        return _roots(tuple(command), bool(self._command) or command is COMMAND)

    def settings(self, release: Release) -> Mapping[str, str]:
        """See runtime.ports.Launch."""
        return self._variables.of(release.org_no, release.agent_no)


@functools.lru_cache(maxsize=256)
def _roots(command: tuple[str, ...], bare: bool) -> tuple[Path, ...]:
    python = Path(command[0])
    roots = list(roots_of(python)) if python.name.startswith("python") else []
    if bare:
        named = [Path(word).parent for word in command[1:] if word.startswith("/") and Path(word).is_file()]
        wanted = [Path(a2a_cloud.__file__).parents[1], *named]
        roots += [one for one in wanted if not any(one.is_relative_to(root) for root in roots)]
    return tuple(dict.fromkeys(roots))


def cage_of(sandbox: Sandbox) -> Cage:
    """What a sandbox says of itself, for `a2a doctor`."""
    tried = [(attack.name, attack.refused, attack.detail) for attack in sandbox.attacks]
    return Cage(sandbox.name, tuple(sandbox.layers), tuple(sandbox.missing), tuple(tried))


def environment_facts(sandbox: str, release: Release) -> Environment:
    """Where a release's code runs, for receipts: its environment, this interpreter, and the sandbox that is
    in force (its name)."""
    return Environment(deps_digest=release.environment, runtime_digest=_runtime_digest(), sandbox=sandbox)


@functools.cache
def _runtime_digest() -> str:
    """Of the interpreter's own file, and of the shared library where that holds what it does."""
    digest = hashlib.sha256()
    folder, library = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    found = [Path(sys.executable).resolve()]
    if folder and library and str(library) != found[0].name:
        found.append(Path(str(folder), str(library)))
    for path in found:
        with suppress(OSError), path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + digest.hexdigest()


def card_facts(release: Release) -> str:
    """The hash of a release's card, for receipts: the same at every address and under all settings."""
    card = msgspec.json.encode(card_of(release, "", UNTOLD))
    return card_sha256(msgspec.json.decode(card, type=dict[str, Any]))


def uv_program() -> str:
    """Where uv is, "" when it is missing."""
    import uv

    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        return ""
