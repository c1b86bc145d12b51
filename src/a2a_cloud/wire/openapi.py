"""OpenAPI 3.1 of an agent's skills: one POST for each, its schemas as the skill declares them."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from a2a_cloud.model.release import Release, SkillSpec, Visibility

_decode = msgspec.json.Decoder().decode
#: What the name of a component may not hold.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_HEADERS = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in (
        ("A2A-Run", "The run."),
        ("A2A-Task", "The task."),
        ("A2A-Context", "The context."),
        ("A2A-Receipt", "The receipt, once the run has ended."),
    )
}


def document(release: Release, base: str) -> dict[str, Any]:
    """The document of `release`, reached at `base`."""
    shared: dict[str, Any] = {}
    paths: dict[str, Any] = {
        f"/invoke/{spec.id}": {"post": _operation(spec, shared)} for spec in release.skills
    }
    paths["/tasks/{id}"] = {
        "get": {
            "operationId": "getTask",
            "summary": "The task as A2A 1.0 shows it",
            "parameters": [_path("id")],
            "responses": {
                "200": {"description": "The Task", "content": {"application/a2a+json": {"schema": True}}},
                "default": {"description": "An A2A error"},
            },
        }
    }
    paths["/sse/{task}"] = {
        "get": {
            "operationId": "followTask",
            "summary": "The task's events",
            "parameters": [
                _path("task"),
                {"name": "after", "in": "query", "required": False, "schema": {"type": "string"}},
            ],
            "responses": {
                "200": {"description": "Events", "content": {"text/event-stream": {}}},
                **_problem(),
            },
        }
    }
    paths["/runs/{id}/receipt"] = {
        "get": {
            "operationId": "getReceipt",
            "summary": "The signed receipt of a run",
            "parameters": [_path("id")],
            "responses": {
                "200": {"description": "The receipt", "content": {"application/json": {"schema": True}}},
                **_problem(),
            },
        }
    }
    security: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
    if release.manifest.visibility is Visibility.PUBLIC:
        security.insert(0, {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": release.name,
            "description": release.manifest.description,
            "version": release.manifest.version,
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": base}],
        "security": security,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": {
                **shared,
                "Problem": {
                    "type": "object",
                    "required": ["title", "status", "detail", "code"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "code": {"type": "string"},
                        "remedy": {"type": "string"},
                    },
                },
                "Question": {
                    "type": "object",
                    "required": ["state", "task_id"],
                    "properties": {
                        "state": {"enum": ["input-required", "auth-required"]},
                        "run_id": {"type": "string"},
                        "task_id": {"type": "string"},
                        "context_id": {"type": "string"},
                        "task_url": {"type": "string"},
                        "question": {
                            "type": "object",
                            "properties": {"text": {"type": "string"}, "schema": True},
                        },
                        "approval": {
                            "type": "object",
                            "properties": {"id": {"type": "string"}, "text": {"type": "string"}},
                        },
                    },
                },
            },
        },
    }


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _problem() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "default": {"description": "A problem", "content": {"application/problem+json": {"schema": schema}}}
    }


def _hoisted(schema: Any, prefix: str, shared: dict[str, Any]) -> Any:
    """`schema` with its `$defs` moved into `shared` (components/schemas) under `prefix`: in OpenAPI a
    reference `#/…` starts at the document, not at the schema."""
    top = cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}
    defs: dict[str, Any] = top.pop("$defs", {})
    names = {f"#/$defs/{_pointer(name)}": _UNSAFE.sub("_", f"{prefix}.{name}") for name in defs}

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            found = cast("dict[str, Any]", node)
            return {
                key: f"#/components/schemas/{names[value]}"
                if key == "$ref" and str(value) in names
                else walk(value)
                for key, value in found.items()
            }
        return [walk(each) for each in cast("list[Any]", node)] if isinstance(node, list) else node

    shared.update({names[f"#/$defs/{_pointer(name)}"]: walk(each) for name, each in defs.items()})
    return walk(schema)


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _operation(spec: SkillSpec, shared: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    parameters: list[dict[str, Any]] = [
        {
            "name": "async",
            "in": "query",
            "required": False,
            "description": "1 answers 202 at once.",
            "schema": {"type": "string", "enum": ["0", "1"]},
        },
        {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}},
    ]
    if not any(param.required for param in spec.files):
        content["application/json"] = {
            "schema": _hoisted(_decode(spec.input_schema), f"{spec.id}.input", shared)
        }
    for param in spec.files:
        for kind in param.media_types or ["application/octet-stream"]:
            content[kind] = {"schema": {"description": param.description or f"The file {param.name}."}}
    result: Any = _hoisted(_decode(spec.output_schema), f"{spec.id}.output", shared)
    events = {"description": "The run's events, when Accept is text/event-stream"}
    return {
        "operationId": spec.id,
        "summary": spec.name or spec.id,
        "description": spec.description,
        "tags": spec.tags,
        "parameters": parameters,
        "requestBody": {"required": bool(spec.files), "content": content},
        "responses": {
            "200": {
                "description": "The return value",
                "headers": _HEADERS,
                "content": {"application/json": {"schema": result}, "text/event-stream": {"schema": events}},
            },
            "202": {
                "description": "The skill asks something, or was called with async=1",
                "headers": _HEADERS,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Question"}}},
            },
            **_problem(),
        },
    }
