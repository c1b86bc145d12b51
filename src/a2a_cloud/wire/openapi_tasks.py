"""Messages, tasks, push configurations and the extended card, as A2A 1.0 over HTTP+JSON has them
(specification, section 11), in an agent's OpenAPI document.
"""

from __future__ import annotations

from a2a_cloud.wire.openapi_problems import problems
from a2a_cloud.wire.openapi_shapes import (
    KEYED,
    TEXT,
    Json,
    answer,
    events,
    header,
    parameter,
    path_id,
    query,
    ref,
)

_A2A = "application/a2a+json"
_WHOLE: Json = {"type": "integer", "minimum": 0, "maximum": 999_999_999}


def task_paths() -> Json:
    """The paths by their template."""
    return {
        "/message:send": {
            "post": _operation(
                "sendMessage",
                "Send a message: a call, a follow-up, or the answer to a question",
                "Message",
                _json("The task, or a message that made none", "SendMessageResponse"),
                body="SendMessageRequest",
                description="Answers once the task has ended or asks, unless `returnImmediately` is set.",
            )
        },
        "/message:stream": {
            "post": _operation(
                "streamMessage",
                "Send a message and follow what comes of it",
                "Message",
                events("Each event's data is a StreamResponse."),
                body="SendMessageRequest",
                parameters=[parameter("LastEventID")],
            )
        },
        **_tasks(),
        **_push(),
        "/extendedAgentCard": {
            "get": {
                **_operation(
                    "getExtendedCard",
                    "The AgentCard for callers with a key",
                    "ExtendedCard",
                    _json("The card", "AgentCard"),
                    parameters=[parameter("IfNoneMatch")],
                    others={"304": {"description": "The caller has it."}},
                ),
                "security": KEYED,
            }
        },
    }


def _operation(
    name: str,
    summary: str,
    family: str,
    ok: Json,
    *,
    status: int = 200,
    parameters: list[Json] | None = None,
    body: str = "",
    description: str = "",
    others: Json | None = None,
) -> Json:
    found: Json = {"operationId": name, "tags": ["tasks"], "summary": summary}
    if description:
        found["description"] = description
    found["parameters"] = [*(parameters or []), parameter("Version")]
    if body:
        media = {"schema": ref(body)}
        found["requestBody"] = {"required": True, "content": {_A2A: media, "application/json": media}}
    found["responses"] = {str(status): ok, **(others or {}), **problems(family)}
    return found


def _json(about: str, schema: str) -> Json:
    return answer(about, {_A2A: {"schema": ref(schema)}})


def _tasks() -> Json:
    length = query("historyLength", "How many messages of the history, the last ones.", _WHOLE)
    an_id = path_id("id", "The task's id.")
    accepted = _json("The task as it was accepted", "TaskAccepted")
    accepted["headers"] = {"Location": header("Location")}
    in_context = {"type": "string", "pattern": "^[!-~]{0,256}$"}
    filters = [
        query("contextId", "Tasks of this context.", in_context),
        query("status", "Tasks in this state.", ref("TaskState")),
        query("statusTimestampAfter", "Since then.", {"type": "string", "format": "date-time"}),
        query("pageSize", "How many, 50 if nothing is said.", {**_WHOLE, "minimum": 1, "maximum": 100}),
        query("pageToken", "nextPageToken of the page before.", TEXT),
        length,
        query("includeArtifacts", "With what they made.", {"type": "boolean"}),
    ]

    def subscribe(name: str) -> Json:
        return _operation(
            name,
            "The task, then what happens to it, until it ends",
            "TaskEvents",
            events("Each event's data is a StreamResponse."),
            parameters=[an_id, parameter("LastEventID")],
        )

    return {
        "/tasks": {
            "get": _operation(
                "listTasks",
                "The caller's tasks, newest status first",
                "Task",
                _json("A page", "TaskList"),
                parameters=filters,
            ),
            "post": _operation(
                "createTask",
                "A task at once, and the address of its events",
                "Message",
                accepted,
                status=202,
                body="SendMessageRequest",
            ),
        },
        "/tasks/{id}": {
            "get": _operation(
                "getTask",
                "A task as it is now",
                "Task",
                _json("The task", "Task"),
                parameters=[an_id, length],
            )
        },
        "/tasks/{id}:cancel": {
            "post": _operation(
                "cancelTask", "End a task", "TaskCancel", _json("The task", "Task"), parameters=[an_id]
            )
        },
        "/tasks/{id}:subscribe": {"get": subscribe("subscribeToTask"), "post": subscribe("subscribeByPost")},
    }


def _push() -> Json:
    of_task = path_id("id", "The task's id.")
    an_id = path_id("config", "The configuration's id.")
    one = _json("The configuration", "TaskPushNotificationConfig")
    page = [
        query("pageSize", "How many.", {**_WHOLE, "maximum": 100}),
        query("pageToken", "nextPageToken of the page before.", TEXT),
    ]
    return {
        "/tasks/{id}/pushNotificationConfigs": {
            "get": _operation(
                "listPushConfigs",
                "Where notifications of a task go",
                "Push",
                _json("A page", "PushConfigList"),
                parameters=[of_task, *page],
            ),
            "post": _operation(
                "createPushConfig",
                "Have notifications of a task sent somewhere",
                "PushBody",
                one,
                parameters=[of_task],
                body="TaskPushNotificationConfig",
            ),
        },
        "/tasks/{id}/pushNotificationConfigs/{config}": {
            "get": _operation("getPushConfig", "One of them", "Push", one, parameters=[of_task, an_id]),
            "delete": _operation(
                "deletePushConfig",
                "Send no more there",
                "Push",
                answer("It is gone", {_A2A: {"schema": {"type": "object"}}}),
                parameters=[of_task, an_id],
            ),
        },
    }
