"""How a release came about: an in-toto Statement v1 with a SLSA provenance v1 predicate.

https://in-toto.io/Statement/v1, https://slsa.dev/spec/v1.0/provenance. Who signs it wraps these
bytes; here is the statement alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

import a2a_cloud
from a2a_cloud.model.stamp import stamp
from a2a_cloud.runtime.build.environment import BuiltEnvironment, Package
from a2a_cloud.runtime.build.sbom import purl

#: What the parameters below mean.
BUILD_TYPE = "https://a2a.cloud/build/release/v1"


def provenance(
    *,
    name: str,
    release: int,
    source_digest: str,
    environment: BuiltEnvironment,
    started: float,
    ended: float,
    builder: str,
) -> bytes:
    """The statement, as JSON.

    `name`: the agent's, with its organisation where that matters; `source_digest`: `sha256:<hex>` of
    its source, which is the subject; `started`, `ended`: seconds since the epoch; `builder`: the URI
    of the platform that built it.
    """
    python = environment.interpreter
    return msgspec.json.encode(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": f"{name}@{release}", "digest": _digest_set(source_digest)}],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {"agent": name, "release": release, "source": source_digest},
                    "internalParameters": {
                        "environment": environment.digest,
                        "python": msgspec.to_builtins(python),
                        "uv": environment.uv,
                    },
                    "resolvedDependencies": [
                        {"name": "source", "digest": _digest_set(source_digest)},
                        {"name": "lock", "digest": _digest_set(environment.lock_digest)},
                        _package(environment.kit),
                        *map(_package, environment.packages),
                    ],
                },
                "runDetails": {
                    "builder": {"id": builder, "version": {"a2a-cloud": a2a_cloud.__version__}},
                    "metadata": {
                        "invocationId": f"{name}@{release}",
                        "startedOn": stamp(started),
                        "finishedOn": stamp(ended),
                    },
                },
            },
        }
    )


def _package(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = {"name": package.name, "uri": purl(package)}
    # A digest set names one artifact: a lock that allows several wheels does not say which it was.
    if len(package.hashes) == 1:
        found["digest"] = _digest_set(package.hashes[0])
    return found


def _digest_set(digest: str) -> dict[str, str]:
    kind, _, value = digest.partition(":")
    return {kind: value}
