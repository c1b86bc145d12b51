"""What a release is made of, as a bill of materials: CycloneDX 1.6, JSON.

It holds no time and nothing random: the same release has the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import quote

import msgspec

import a2a_cloud
from a2a_cloud.runtime.build.environment import BuiltEnvironment, Package
from a2a_cloud.runtime.build.licenses import SPDX

_ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_OPERATORS = frozenset({"AND", "OR", "WITH", "(", ")"})


def sbom(environment: BuiltEnvironment, *, name: str, version: str, digest: str) -> bytes:
    """The bill of materials of the agent `name`, whose source has `digest` (`sha256:<hex>`).

    `version` is the one that its author wrote. Components: the Python, the kit and each package,
    with purl, license, and the hash of its wheel. A package whose lock allows several wheels has
    their hashes as properties (`a2a:lock:hash`), because which was taken is not on record.
    """
    root = f"agent:{name}@{version}"
    parts = [environment.kit, *environment.packages]
    needed = {one for each in parts for one in each.requires}
    return msgspec.json.encode(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": _serial(f"{root}\n{digest}\n{environment.digest}"),
            "version": 1,
            "metadata": {
                "tools": {
                    "components": [
                        {"type": "application", "name": "a2a-cloud", "version": a2a_cloud.__version__},
                        {"type": "application", "name": "uv", "version": environment.uv},
                    ]
                },
                "component": {
                    "type": "application",
                    "bom-ref": root,
                    "name": name,
                    "version": version,
                    "hashes": _hashes((digest,)),
                },
                "properties": [
                    {"name": "a2a:environment", "value": environment.digest},
                    {"name": "a2a:lock", "value": environment.lock_digest},
                ],
            },
            "components": [_interpreter(environment), *map(_component, parts)],
            "dependencies": [
                {
                    "ref": root,
                    "dependsOn": [
                        "python",
                        *(purl(one) for one in parts if one.name not in needed or one == environment.kit),
                    ],
                },
                {"ref": "python", "dependsOn": []},
                *(
                    {
                        "ref": purl(part),
                        "dependsOn": [purl(one) for one in parts if one.name in part.requires],
                    }
                    for part in parts
                ),
            ],
        }
    )


def purl(package: Package) -> str:
    """A package's URL: `pkg:pypi/name@version`."""
    return f"pkg:pypi/{package.name}@{quote(package.version, safe='.!')}"


def _component(package: Package) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
    }
    if len(package.hashes) == 1:
        component["hashes"] = _hashes(package.hashes)
    elif package.hashes:
        component["properties"] = [{"name": "a2a:lock:hash", "value": one} for one in package.hashes]
    if package.license:
        component["licenses"] = [_license(package.license)]
    return component


def _interpreter(environment: BuiltEnvironment) -> dict[str, Any]:
    python = environment.interpreter
    return {
        "type": "platform",
        "bom-ref": "python",
        "name": python.implementation,
        "version": python.version,
        "properties": [
            {"name": "a2a:python:platform", "value": python.platform},
            {"name": "a2a:python:abi", "value": python.abi},
        ],
    }


def _license(text: str) -> dict[str, Any]:
    """An id or an expression where all of it is SPDX; otherwise the name that its author gave."""
    if text in SPDX:
        return {"license": {"id": text}}
    words = re.findall(r"[()]|[^\s()]+", text)
    if len(words) > 1 and all(word in SPDX or word in _OPERATORS for word in words):
        return {"expression": text}
    return {"license": {"name": text}}


def _hashes(hashes: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"alg": _ALGORITHMS[kind], "content": value} for kind, _, value in (h.partition(":") for h in hashes)
    ]


def _serial(what: str) -> str:
    """A UUID (RFC 9562, version 8: of the maker's own kind) that depends on what the bill is of."""
    digits = list(hashlib.sha256(what.encode()).hexdigest()[:32])
    digits[12], digits[16] = "8", "89ab"[int(digits[16], 16) % 4]
    one = "".join(digits)
    return f"urn:uuid:{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}"
