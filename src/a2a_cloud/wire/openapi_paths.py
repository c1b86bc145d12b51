"""The paths that every agent has beside its skills; here events, runs, the card and hooks. docs/http.md says
what each is for.
"""

from __future__ import annotations

from a2a_cloud.wire.openapi_problems import problems
from a2a_cloud.wire.openapi_sessions import session_paths
from a2a_cloud.wire.openapi_shapes import (
    POSITION,
    TEXT,
    Json,
    answer,
    events,
    header,
    parameter,
    path_id,
    query,
    ref,
    run_headers,
)
from a2a_cloud.wire.openapi_tasks import task_paths

_WHOLE: Json = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
#: The link in `sse_url` and in a part's `url` opens one thing to who has no key, for a while.
_LINK: list[Json] = [
    query("exp", "Of a signed link: when it ends.", TEXT),
    query("sig", "Of a signed link: its signature.", TEXT),
]


def paths(*, public: bool) -> Json:
    """The paths by their template. `public`: nothing asks for a key."""
    links: Json = {} if public else {"security": [{"link": []}, {"bearer": []}, {"apiKey": []}]}
    return {
        **task_paths(),
        **session_paths(),
        "/sse/{task}": {
            "get": {
                "operationId": "followTask",
                "tags": ["tasks"],
                "summary": "The task's events, until it ends",
                "parameters": [
                    path_id("task", "The task's id."),
                    query("after", "The id of the event after which to go on, such as 1.7.", POSITION),
                    parameter("LastEventID"),
                    *_LINK,
                ],
                "responses": {
                    "200": events(
                        "Events: status, progress, text, artifact, result, reply, attempt, answer."
                    ),
                    **problems("Events"),
                },
                **links,
            }
        },
        **_runs(links),
        **_about(),
        "/hooks/{skill}/{key}": _hook(),
    }


def _runs(links: Json) -> Json:
    an_id = path_id("id", "The run's id.")
    octets = answer(
        "The bytes, as an attachment",
        {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "*/*": {"schema": {}},
        },
        {"Content-Disposition": header("Content-Disposition")},
    )
    elsewhere = {"description": "They are at another address.", "headers": {"Location": header("Location")}}
    part = query("part", "The part with this number, from 0.", {**_WHOLE, "maximum": 9_999})
    missing = problems("Bytes")
    return {
        "/runs/{id}/receipt": {
            "get": {
                "operationId": "getReceipt",
                "tags": ["runs"],
                "summary": "The signed receipt of a run",
                "parameters": [an_id],
                "responses": {
                    "200": answer("The receipt", {"application/json": {"schema": ref("Receipt")}}),
                    **problems("Receipt"),
                },
            }
        },
        "/runs/{id}/receipt/proof": {
            "get": {
                "operationId": "getReceiptProof",
                "tags": ["runs"],
                "summary": "The proof that the receipt is in its organisation's log",
                "parameters": [
                    an_id,
                    query("format", "A `.tlog-proof`, or a COSE receipt.", {"enum": ["tlog", "cose"]}),
                ],
                "responses": {
                    "200": answer(
                        "The proof", {"text/plain": {"schema": TEXT}, "application/cose": {"schema": {}}}
                    ),
                    **problems("Proof"),
                },
            }
        },
        "/runs/{id}/receipts": {
            "get": {
                "operationId": "getReceipts",
                "tags": ["runs"],
                "summary": "The receipts of a run and of all that it called",
                "parameters": [an_id],
                "responses": {
                    "200": answer("Receipts", {"application/json": {"schema": ref("Receipts")}}),
                    **problems("Receipt"),
                },
            }
        },
        "/runs/{id}/artifacts/{artifact}": {
            "get": {
                "operationId": "getArtifact",
                "tags": ["runs"],
                "summary": "What a run made",
                "parameters": [
                    an_id,
                    {
                        **path_id("artifact", "The artifact's id."),
                        "schema": {"type": "string", "minLength": 1},
                    },
                    part,
                    *_LINK,
                ],
                "responses": {"200": octets, "302": elsewhere, **missing},
                **links,
            }
        },
        "/runs/{id}/parts/{part}": {
            "get": {
                "operationId": "getPart",
                "tags": ["runs"],
                "summary": "A part of a message or event of a run",
                "parameters": [
                    an_id,
                    {
                        **path_id("part", "The event's number and the part's, such as 3.0."),
                        "schema": {"type": "string", "pattern": r"^\d{1,9}\.\d{1,4}$"},
                    },
                    *_LINK,
                ],
                "responses": {"200": octets, "302": elsewhere, **missing},
                **links,
            }
        },
    }


def _about() -> Json:
    same = {"description": "The caller has it.", "headers": {"ETag": header("ETag")}}
    etag = {"ETag": header("ETag")}
    errors = problems("About")

    def document(name: str, summary: str, schema: Json) -> Json:
        return {
            "get": {
                "operationId": name,
                "tags": ["agent"],
                "summary": summary,
                "parameters": [parameter("IfNoneMatch")],
                "responses": {
                    "200": answer(summary, {"application/json": {"schema": schema}}, etag),
                    "304": same,
                    **errors,
                },
            }
        }

    page = answer("A page for people", {"text/html": {"schema": {"type": "string"}}})
    return {
        "/.well-known/agent-card.json": document("getCard", "The AgentCard", ref("AgentCard")),
        "/card": document("getCardShort", "The AgentCard", ref("AgentCard")),
        "/openapi.json": document("getOpenApi", "This document", {"type": "object"}),
        "/docs": {
            "get": {
                "operationId": "getDocs",
                "tags": ["agent"],
                "summary": "What the agent does and how to call it",
                "responses": {"200": page, **errors},
            }
        },
    }


def _hook() -> Json:
    return {
        "post": {
            "operationId": "deliverWebhook",
            "tags": ["hooks"],
            "summary": "A webhook of somebody else calls a skill",
            "description": "The address is made by `a2a hooks create`; who sends signs the body in the "
            "hook's scheme. Forms and text are taken too. A redelivery leads to the same run.",
            "security": [{}],
            "parameters": [
                {
                    "name": "skill",
                    "in": "path",
                    "required": True,
                    "description": "The skill's id.",
                    "schema": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,62}$"},
                },
                {
                    **path_id("key", "What only the sender knows."),
                    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "responses": {
                "200": answer(
                    "To Slack: the delivery became a run, or was one already; to others: the address works",
                    {"application/json": {"schema": ref("HookAnswer")}, "text/plain": {"schema": TEXT}},
                    run_headers(receipt=False),
                ),
                "202": answer(
                    "The delivery became a run, or was one already",
                    {"application/json": {"schema": ref("HookAnswer")}},
                    run_headers(receipt=False),
                ),
                **problems("Hook"),
            },
        }
    }
