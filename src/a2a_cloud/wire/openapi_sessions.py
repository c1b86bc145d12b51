"""The session dialect in an agent's OpenAPI document (docs/dialects.md)."""

from __future__ import annotations

from a2a_cloud.wire.openapi_problems import problems
from a2a_cloud.wire.openapi_shapes import KEYED, TEXT, Json, answer, header, parameter, path_id, query, ref


def session_paths() -> Json:
    """The paths by their template. All ask for a key, whoever may call the agent."""
    an_id = path_id("id", "The session's id.")
    session = answer("The session", {"application/json": {"schema": ref("Session")}})
    said = {"application/json": {"schema": ref("SessionMessage")}}
    return {
        "/sessions": {
            "post": _operation(
                "openSession",
                "Begin a session: what is said in it stays together",
                "SessionBody",
                {"201": {**session, "headers": {"Location": header("Location")}}},
                body="NewSession",
            )
        },
        "/sessions/{id}": {
            "get": _operation("getSession", "A session", "Session", {"200": session}, [an_id]),
            "delete": _operation(
                "endSession",
                "End a session, and with it what was said and kept in it",
                "Session",
                {"204": {"description": "It has ended."}},
                [an_id],
            ),
        },
        "/sessions/{id}/messages": {
            "get": _operation(
                "listSessionMessages",
                "What was said, oldest first",
                "Session",
                {"200": answer("Messages", {"application/json": {"schema": ref("SessionMessages")}})},
                [
                    an_id,
                    query("limit", "Tasks at most, 50 if nothing is said.", _limit()),
                    query("before", "`next` of an answer: what was said before that.", TEXT),
                ],
            ),
            "post": _operation(
                "sendSessionMessage",
                "Say something, and hear the answer",
                "SessionMessage",
                {
                    "200": answer("What the agent says", said),
                    "202": answer("It says nothing yet: it was to be answered at once", said),
                },
                [
                    an_id,
                    query("async", "Answer 202 at once.", {"type": "boolean"}),
                    parameter("IdempotencyKey"),
                    parameter("Grant"),
                ],
                body="NewSessionMessage",
            ),
        },
    }


def _operation(
    name: str,
    summary: str,
    family: str,
    answers: Json,
    parameters: list[Json] | None = None,
    *,
    body: str = "",
) -> Json:
    found: Json = {
        "operationId": name,
        "tags": ["sessions"],
        "summary": summary,
        "security": KEYED,
        "parameters": parameters or [],
        "responses": {**answers, **problems(family)},
    }
    if body:
        media = {"schema": ref(body)}
        found["requestBody"] = {"required": body != "NewSession", "content": {"application/json": media}}
    return found


def _limit() -> Json:
    return {"type": "integer", "minimum": 1, "maximum": 100}


def session_schemas() -> Json:
    """The shapes of sessions and of what is said in them."""
    free: Json = {"type": "object"}
    given = {"name": TEXT, "media_type": TEXT, "url": TEXT, "content": TEXT, "data": {}}
    attachment: Json = {"type": "object", "description": "A file (base64), an address, or JSON."}
    told: Json = {
        "id": TEXT,
        "session_id": TEXT,
        "sender": TEXT,
        "receiver": TEXT,
        "content": {"description": "Text, or a JSON value."},
        "attachments": {"type": "array", "items": {**attachment, "properties": {**given, "text": TEXT}}},
        "metadata": free,
        "task_id": TEXT,
        "state": TEXT,
        "at": TEXT,
    }
    needed = ["id", "session_id", "sender", "receiver", "content", "attachments", "metadata"]
    session: Json = dict.fromkeys(("id", "agent", "state", "created", "messages_url"), TEXT)
    return {
        "NewSession": {
            "type": "object",
            "description": "What begins a session; nothing is needed.",
            "properties": {"metadata": free},
        },
        "Session": {
            "type": "object",
            "description": "A session.",
            "required": [*session, "metadata"],
            "properties": {**session, "metadata": free},
        },
        "NewSessionMessage": {
            "type": "object",
            "description": "What a caller says: content, attachments, or both.",
            "properties": {
                "content": {"description": "Text, or a JSON value."},
                "attachments": {"type": "array", "items": {**attachment, "properties": given}},
                "sender": TEXT,
                "receiver": TEXT,
                "metadata": free,
            },
        },
        "SessionMessage": {
            "type": "object",
            "description": "A message as it was said.",
            "required": needed,
            "properties": told,
        },
        "SessionMessages": {
            "type": "object",
            "description": "`next` leads to what was said before, and is empty at the beginning.",
            "required": ["messages", "next"],
            "properties": {"messages": {"type": "array", "items": ref("SessionMessage")}, "next": TEXT},
        },
    }
