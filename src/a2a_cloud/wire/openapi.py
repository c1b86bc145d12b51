"""OpenAPI 3.1 of an agent: each skill as an operation, and the paths that every agent has."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.wire.openapi_components import components
from a2a_cloud.wire.openapi_paths import paths
from a2a_cloud.wire.openapi_shapes import KEYED, Json
from a2a_cloud.wire.openapi_skills import Fits, operation

_ABOUT = (
    "Skills are called with POST /invoke/{skill}. What a call made is named in the headers A2A-Run, "
    "A2A-Task, A2A-Context and, once it has ended, A2A-Receipt. Everything that can go wrong is a problem "
    "with a code that stays."
)
_TAGS = {
    "skills": "What the agent can do.",
    "tasks": "Messages and tasks, as A2A 1.0 over HTTP+JSON has them.",
    "sessions": "Talks whose messages stay together.",
    "runs": "What runs made, and their receipts.",
    "agent": "What the agent says of itself.",
    "hooks": "Webhooks that come in.",
}


def _nothing_fits(_spec: SkillSpec, _arguments: Any) -> bool:
    return False


def document(release: Release, base: str, fits: Fits = _nothing_fits) -> dict[str, Any]:
    """The document of `release`, reached at `base`. Examples are those that fit."""
    public = release.public
    fixed = paths(public=public)
    taken = {each["operationId"] for methods in fixed.values() for each in methods.values()}
    shared: Json = {}
    skills: Json = {}
    for spec in release.skills:
        name = spec.id if spec.id not in taken else f"invoke_{spec.id}"
        found = operation(spec, name, shared, fits)
        if found is not None:
            skills[f"/invoke/{spec.id}"] = {"post": found}
    parts = cast("Json", msgspec.json.decode(components()))
    described = release.manifest.description
    return {
        "openapi": "3.1.0",
        "info": {
            "title": release.name,
            "description": f"{described}\n\n{_ABOUT}" if described else _ABOUT,
            "version": release.manifest.version,
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": base}],
        "security": [{}, *KEYED] if public else KEYED,
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": {**skills, **fixed},
        "components": {
            **parts,
            "schemas": {**shared, **parts["schemas"]},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of the platform."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "sig",
                    "description": "A signed link, as the platform gives them out, with `exp`.",
                },
            },
        },
    }
