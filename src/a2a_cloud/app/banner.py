"""What the terminal shows when a platform is up."""

from __future__ import annotations

import mimetypes
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

import a2a_cloud
from a2a_cloud.app.platform import Platform
from a2a_cloud.model.release import Release, SkillSpec


def banner(plat: Platform, recovered: dict[str, int], first: str = "") -> str:
    """What the terminal shows: where it is, and three commands to paste. `first`: the address at which the
    first admin makes an account, once."""
    a2a = shlex.quote(str(Path(sys.executable).with_name("a2a")))
    lines = [
        f"a2a cloud {a2a_cloud.__version__} is up at {plat.url}",
        *([f"  gRPC       {plat.grpc_at}"] if plat.grpc_at else []),
        f"  data       {plat.data}",
        f"  admin key  {plat.key_path}",
        *([f"  sign in    {first} (the first admin; good once, for a day)"] if first else []),
    ]
    if any(recovered.values()):
        lines.append(
            "  recovered  " + ", ".join(f"{count} {what}" for what, count in recovered.items() if count)
        )
    if plat.money.clock.movable:
        lines.append("  TEST CLOCK billing's time can be put forward (A2A_TEST_CLOCK): bill nobody with it")
    releases = plat.registry.everything()
    for release in releases:
        skills = ", ".join(spec.id for spec in release.skills)
        lines.append(f"  agent      {release.name} · release {release.number} · {skills}")
    lines.append(f"  sandbox    {_sandbox(plat)}")
    if releases:
        lines += ["", "Try, from another shell:", *_commands(plat, *_shown(releases), a2a)]
    else:
        lines += ["", "No agent is served. Write one (see README), then: a2a up FOLDER"]
    return "\n".join(lines)


def _sandbox(plat: Platform) -> str:
    sandbox = plat.sandbox
    if sandbox.name == "process":
        return "none: agents are not isolated, their code can do what you can (a2a doctor says why)"
    lacks = f", {len(sandbox.missing)} gaps on this machine" if sandbox.missing else ""
    return f"{sandbox.name}, {len(sandbox.layers)} layers{lacks} (a2a doctor lists them)"


def _shown(releases: list[Release]) -> tuple[Release, SkillSpec | None]:
    """What the commands call: the first whose usual skill takes text, or a file that it has a sample of."""
    usual = [
        (release, release.skill(release.manifest.default_skill) or next(iter(release.skills), None))
        for release in releases
    ]
    for release, spec in usual:
        if spec is not None and ((spec.files and _sample(release)) or spec.text_param):
            return release, spec
    return usual[0]


def _sample(release: Release) -> Path | None:
    return next((each for each in sorted(Path(release.folder).glob("samples/*")) if each.is_file()), None)


def _commands(plat: Platform, release: Release, spec: SkillSpec | None, a2a: str) -> list[str]:
    if spec is None:
        return []
    sample = _sample(release)
    key, receipt, jwks = (
        shlex.quote(str(path))
        for path in (plat.key_path, plat.data / "receipt.json", plat.data / "jwks.json")
    )
    if not spec.text_param and not (spec.files and sample is not None):
        needed = msgspec.json.decode(spec.input_schema, type=dict[str, Any]).get("required")
        if needed or any(file.required for file in spec.files):
            return [f"  {a2a} show {release.name}"]  # What it takes nobody can guess.
    url = f"{plat.url}/agents/{release.name}/invoke/{spec.id}"
    if spec.files and sample is not None:
        kind = mimetypes.guess_type(sample.name)[0] or "text/markdown"
        argument = f"{spec.files[0].name}=@{shlex.quote(str(sample))}"
        body = f"-H 'Content-Type: {kind}' --data-binary @{shlex.quote(str(sample))}"
    else:
        argument = f"{spec.text_param}=hello" if spec.text_param else ""
        text = f'{{"{spec.text_param}":"hello"}}' if spec.text_param else "{}"
        body = f"-H 'Content-Type: application/json' -d '{text}'"
    return [
        f"  {a2a} call {release.name} {spec.id} {argument}".rstrip(),
        f'  curl -sS {url} -H "Authorization: Bearer $(cat {key})" {body}',
        f"  {a2a} receipt get last --out {receipt} && curl -sS {plat.url}/.well-known/jwks.json -o {jwks}"
        f" && {a2a} receipt verify {receipt} --key {jwks}",
    ]
