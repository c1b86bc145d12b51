"""The paths that every agent has beside its skills: messages and tasks (A2A 1.0 over HTTP+JSON), events,
runs, the card, hooks. docs/http.md says what each is for.
"""

from __future__ import annotations

from a2a_cloud.wire.openapi_shapes import (
    Json,
    answer,
    header,
    parameter,
    path_id,
    problems,
    query,
    ref,
    run_headers,
)

_A2A = "application/a2a+json"
_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
#: The link in `sse_url` and in a part's `url` opens one thing to who has no key, for a while.
_LINK: list[Json] = [
    query("exp", "Of a signed link: when it ends.", _TEXT),
    query("sig", "Of a signed link: its signature.", _TEXT),
]


def paths(*, public: bool) -> Json:
    """The paths by their template. `public`: nothing asks for a key."""
    links: Json = {} if public else {"security": [{"link": []}, {"bearer": []}, {"apiKey": []}]}
    return {
        **_messages(),
        **_tasks(),
        "/sse/{task}": {
            "get": {
                "operationId": "followTask",
                "tags": ["tasks"],
                "summary": "The task's events, until it ends",
                "parameters": [
                    path_id("task", "The task's id."),
                    query("after", "The id of the event after which to go on, such as 1.7.", _position()),
                    {
                        "name": "Last-Event-ID",
                        "in": "header",
                        "description": "The same.",
                        "schema": _position(),
                    },
                    *_LINK,
                ],
                "responses": {
                    "200": _events(
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


def _position() -> Json:
    return {"type": "string", "pattern": r"^\d{1,9}\.\d{1,15}$"}


def _events(about: str) -> Json:
    return answer(about, {"text/event-stream": {"schema": {"type": "string"}}})


def _message_body() -> Json:
    media = {"schema": ref("SendMessageRequest")}
    return {"required": True, "content": {_A2A: media, "application/json": media}}


def _messages() -> Json:
    errors = problems("Message")
    return {
        "/message:send": {
            "post": {
                "operationId": "sendMessage",
                "tags": ["tasks"],
                "summary": "Send a message: a call, a follow-up, or the answer to a question",
                "description": "Answers once the task has ended or asks, unless `returnImmediately` is set.",
                "parameters": [parameter("Version")],
                "requestBody": _message_body(),
                "responses": {
                    "200": answer(
                        "The task, or a message that made none",
                        {_A2A: {"schema": ref("SendMessageResponse")}},
                    ),
                    **errors,
                },
            }
        },
        "/message:stream": {
            "post": {
                "operationId": "streamMessage",
                "tags": ["tasks"],
                "summary": "Send a message and follow what comes of it",
                "parameters": [parameter("Version")],
                "requestBody": _message_body(),
                "responses": {"200": _events("Each event's data is a StreamResponse."), **errors},
            }
        },
    }


def _tasks() -> Json:
    errors = problems("Task")
    length = query("historyLength", "How many messages of the history, the last ones.", _WHOLE)
    task = answer("The task", {_A2A: {"schema": ref("Task")}})
    an_id = path_id("id", "The task's id.")
    return {
        "/tasks": {
            "get": {
                "operationId": "listTasks",
                "tags": ["tasks"],
                "summary": "The caller's tasks, newest status first",
                "parameters": [
                    parameter("Version"),
                    query(
                        "contextId", "Tasks of this context.", {"type": "string", "pattern": "^[!-~]{0,256}$"}
                    ),
                    query("status", "Tasks in this state.", ref("TaskState")),
                    query("statusTimestampAfter", "Since then.", {"type": "string", "format": "date-time"}),
                    query(
                        "pageSize",
                        "How many, 50 if nothing is said.",
                        {**_WHOLE, "minimum": 1, "maximum": 100},
                    ),
                    query("pageToken", "nextPageToken of the page before.", _TEXT),
                    length,
                    query("includeArtifacts", "With what they made.", {"type": "boolean"}),
                ],
                "responses": {"200": answer("A page", {_A2A: {"schema": ref("TaskList")}}), **errors},
            },
            "post": {
                "operationId": "createTask",
                "tags": ["tasks"],
                "summary": "A task at once, and the address of its events",
                "parameters": [parameter("Version")],
                "requestBody": _message_body(),
                "responses": {
                    "202": answer(
                        "The task as it was accepted",
                        {_A2A: {"schema": ref("TaskAccepted")}},
                        {"Location": header("Location")},
                    ),
                    **problems("Message"),
                },
            },
        },
        "/tasks/{id}": {
            "get": {
                "operationId": "getTask",
                "tags": ["tasks"],
                "summary": "A task as it is now",
                "parameters": [an_id, parameter("Version"), length],
                "responses": {"200": task, **errors},
            }
        },
        "/tasks/{id}:cancel": {
            "post": {
                "operationId": "cancelTask",
                "tags": ["tasks"],
                "summary": "End a task",
                "parameters": [an_id, parameter("Version")],
                "responses": {"200": task, **problems("TaskCancel")},
            }
        },
        "/tasks/{id}:subscribe": {"get": _subscribe("subscribeToTask"), "post": _subscribe("subscribeByPost")},
    }


def _subscribe(name: str) -> Json:
    return {
        "operationId": name,
        "tags": ["tasks"],
        "summary": "The task, then what happens to it, until it ends",
        "parameters": [path_id("id", "The task's id."), parameter("Version")],
        "responses": {
            "200": _events("Each event's data is a StreamResponse."),
            **problems("TaskEvents"),
        },
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
    anything: Json = {"schema": {"type": "object"}}
    return {
        "post": {
            "operationId": "deliverWebhook",
            "tags": ["hooks"],
            "summary": "A webhook of somebody else calls a skill",
            "description": "The address is made by `a2a hooks create`; who sends signs the body in the "
            "hook's scheme. A redelivery leads to the same run.",
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
                "content": {
                    "application/json": anything,
                    "application/x-www-form-urlencoded": anything,
                },
            },
            "responses": {
                "200": answer(
                    "To Slack: the delivery became a run, or was one already; to others: the address works",
                    {"application/json": {"schema": ref("HookAnswer")}, "text/plain": {"schema": _TEXT}},
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
