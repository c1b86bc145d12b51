"""Pieces that all operations of an agent's OpenAPI document are made of: references, answers, parameters."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
TEXT: Json = {"type": "string"}
#: An event's id.
POSITION: Json = {"type": "string", "pattern": r"^\d{1,9}\.\d{1,15}$"}
#: For operations that ask for a key, whoever may call the agent.
KEYED: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]


def ref(name: str) -> Json:
    """A reference to a schema."""
    return {"$ref": SCHEMAS + name}


def header(name: str) -> Json:
    """A reference to a header of answers."""
    return {"$ref": f"#/components/headers/{name}"}


def run_headers(*, receipt: bool = True) -> Json:
    """The headers that name what a call made."""
    names = ("A2A-Run", "A2A-Task", "A2A-Context", "A2A-Receipt")
    return {name: header(name) for name in names[: 4 if receipt else 3]}


def answer(description: str, content: Json, headers: Json | None = None) -> Json:
    """A response."""
    found: Json = {"description": description, "content": content}
    if headers:
        found["headers"] = headers
    return found


def events(about: str) -> Json:
    """The response that is a stream of events."""
    return answer(about, {"text/event-stream": {"schema": TEXT}})


def path_id(name: str, about: str) -> Json:
    """A path parameter that is an id of ours."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": about,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,256}$"},
    }


def query(name: str, about: str, schema: Json) -> Json:
    """A query parameter that may be left out."""
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


def parameter(name: str) -> Json:
    """A reference to a parameter that many operations take."""
    return {"$ref": f"#/components/parameters/{name}"}
