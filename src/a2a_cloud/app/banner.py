"""What the terminal shows when a platform is up."""

from __future__ import annotations

import mimetypes
import shlex
import sys
from pathlib import Path

import a2a_cloud
from a2a_cloud.app.platform import Platform
from a2a_cloud.model.release import Release


def banner(plat: Platform, recovered: dict[str, int]) -> str:
    """What the terminal shows: where it is, and three commands to paste."""
    a2a = shlex.quote(str(Path(sys.executable).with_name("a2a")))
    lines = [
        f"a2a cloud {a2a_cloud.__version__} is up at {plat.url}",
        f"  data       {plat.data}",
        f"  admin key  {plat.key_path}",
    ]
    if any(recovered.values()):
        lines.append(
            "  recovered  " + ", ".join(f"{count} {what}" for what, count in recovered.items() if count)
        )
    releases = plat.registry.everything()
    for release in releases:
        skills = ", ".join(spec.id for spec in release.skills)
        lines.append(f"  agent      {release.name} · release {release.number} · {skills}")
    lines.append(f"  sandbox    {_sandbox(plat)}")
    if releases:
        lines += ["", "Try, from another shell:", *_commands(plat, releases[0], a2a)]
    else:
        lines += ["", "No agent is served. Write one (see README), then: a2a up FOLDER"]
    return "\n".join(lines)


def _sandbox(plat: Platform) -> str:
    sandbox = plat.sandbox
    if sandbox.name == "process":
        return "none: agents are not isolated, their code can do what you can (a2a doctor says why)"
    lacks = f", {len(sandbox.missing)} gaps on this machine" if sandbox.missing else ""
    return f"{sandbox.name}, {len(sandbox.layers)} layers{lacks} (a2a doctor lists them)"


def _commands(plat: Platform, release: Release, a2a: str) -> list[str]:
    spec = release.skill(release.manifest.default_skill) or (release.skills[0] if release.skills else None)
    if spec is None:
        return []
    folder = Path(release.folder)
    sample = next(iter(sorted(folder.glob("samples/*"))), None)
    key, receipt, jwks = (
        shlex.quote(str(path))
        for path in (plat.key_path, plat.data / "receipt.json", plat.data / "jwks.json")
    )
    url = f"{plat.url}/agents/{release.name}/invoke/{spec.id}"
    if spec.files and sample is not None:
        kind = mimetypes.guess_type(sample.name)[0] or "text/markdown"
        argument = f"{spec.files[0].name}=@{shlex.quote(str(sample))}"
        body = f"-H 'Content-Type: {kind}' --data-binary @{shlex.quote(str(sample))}"
    else:
        argument = f"{spec.text_param or 'text'}=hello"
        body = f"-H 'Content-Type: application/json' -d '{{\"{spec.text_param or 'text'}\":\"hello\"}}'"
    return [
        f"  {a2a} call {release.name} {spec.id} {argument}",
        f'  curl -sS {url} -H "Authorization: Bearer $(cat {key})" {body}',
        f"  {a2a} receipt get last --out {receipt} && curl -sS {plat.url}/.well-known/jwks.json -o {jwks}"
        f" && {a2a} receipt verify {receipt} --key {jwks}",
    ]
