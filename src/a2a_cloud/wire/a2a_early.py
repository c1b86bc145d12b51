"""A2A before 0.2 (`tasks/send`), from a server's side: its parameters become those of 1.0, tasks and
stream events of 1.0 are said in its words.

A caller names the task by an id of its own and `sessionId` is the context; parts have `type`, messages no
id, artifacts an `index`. There is no rejected and no auth-required: those are said as failed and
input-required, with the agent's words beside them. A stream's first event is a status, since there is
none that holds a task.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.task import Artifact, Message, Part, Task, TaskState, TaskStatus
from a2a_cloud.wire import a2a_v03
from a2a_cloud.wire.a2a_render import ArtifactUpdate, StreamResponse
from a2a_cloud.wire.a2a_v03 import Json
from a2a_cloud.wire.a2a_v1 import (
    SendMessageConfiguration,
    SendMessageParams,
    TaskPushNotificationConfig,
)
from a2a_cloud.wire.members import Members

_TAG = "type"
_STATES = {TaskState.REJECTED: "failed", TaskState.AUTH_REQUIRED: "input-required"}
_MAX_NAME = 256


class Sent(NamedTuple):
    """TaskSendParams: what the caller calls the task, and the rest as 1.0 says it. The message id is ""
    where the caller gave none."""

    name: str
    params: SendMessageParams


def read_send(params: Members) -> Sent:
    """TaskSendParams. The answer holds as much history as is asked for, and none else."""
    name = read_name(params)
    given = params.object("message")
    if given is None:
        raise params.misfit("message", "is missing")
    parts = given.objects("parts")
    if parts is None:
        raise given.misfit("parts", "is missing")
    metadata = given.object("metadata")
    message = Message(
        given.text("messageId") or (metadata.text("messageId") if metadata is not None else ""),
        a2a_v03.read_role(given, a2a_v03.ROLES),
        [_read_part(part) for part in parts],
    )
    message.context_id = params.text("sessionId") or UNSET
    message.metadata = given.table("metadata")
    push = params.object("pushNotification")
    length = params.whole("historyLength")
    configuration = SendMessageConfiguration(
        params.texts("acceptedOutputModes") or [],
        UNSET if push is None else a2a_v03.read_push(push),
        0 if length is UNSET else length,
    )
    return Sent(name, SendMessageParams(message, configuration, params.table("metadata")))


def read_name(params: Members) -> str:
    """What the caller calls the task."""
    name = params.needed("id")
    if len(name) > _MAX_NAME or not name.isprintable():
        raise InvalidParams(
            f"{params.place('id')} has to be 1 to {_MAX_NAME} printable characters.",
            info={"field": params.place("id")},
        )
    return name


def _read_part(given: Members) -> Part:
    file = given.object("file")
    if file is not None and "bytes" not in file and "data" in file:  # As the first samples had it.
        members = {"bytes": file.text("data"), "mimeType": file.get("mimeType"), "name": file.get("name")}
        return a2a_v03.read_file(Members(members, file.at), given.table("metadata"))
    return a2a_v03.read_part(given, _TAG)


# --- what is answered ---------------------------------------------------------------------------------


def task(given: Task, name: str) -> Json:
    """A Task by its caller's name."""
    told: Json = {"id": name, "sessionId": given.context_id, "status": _status(given.status)}
    if given.artifacts is not UNSET:
        told["artifacts"] = [_artifact(made, index) for index, made in enumerate(given.artifacts)]
    if given.history is not UNSET:
        told["history"] = [_message(said) for said in given.history]
    if given.metadata is not UNSET:
        told["metadata"] = given.metadata
    return told


def _message(said: Message) -> Json:
    told: Json = {
        "role": a2a_v03.role(said.role),
        "parts": [a2a_v03.part(one, _TAG) for one in said.parts],
    }
    if said.metadata is not UNSET:
        told["metadata"] = said.metadata
    return told


def state(given: TaskState | str) -> str:
    """The state's name; `unknown` for one that nobody here knows."""
    if isinstance(given, TaskState):
        return _STATES.get(given) or given.short
    return a2a_v03.UNKNOWN


def _status(status: TaskStatus) -> Json:
    told: Json = {"state": state(status.state)}
    if status.message is not UNSET:
        told["message"] = _message(status.message)
    if status.timestamp is not UNSET:
        told["timestamp"] = status.timestamp
    return told


def _artifact(made: Artifact, index: int) -> Json:
    told: Json = {"index": index, "parts": [a2a_v03.part(one, _TAG) for one in made.parts]}
    for field in ("name", "description", "metadata"):
        value = getattr(made, field)
        if value is not UNSET:
            told[field] = value
    told.setdefault("name", made.artifact_id)
    return told


class Telling:
    """The events of one stream, told by the caller's name for the task. Artifacts keep their index."""

    __slots__ = ("_indexes", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._indexes: dict[str, int] = {}

    def first(self, given: Task) -> list[Json]:
        """What stands for the task at the beginning: its status, and what it made so far."""
        made = [] if given.artifacts is UNSET else given.artifacts
        status: Json = {"id": self._name, "status": _status(given.status), "final": False}
        return [
            status,
            *(
                self._made(ArtifactUpdate(given.id, given.context_id, artifact, last_chunk=True))
                for artifact in made
            ),
        ]

    def shown(self, response: StreamResponse, final: bool) -> Json:
        """An event. `final`: the stream ends with it."""
        if response.status_update is not UNSET:
            update = response.status_update
            told: Json = {"id": self._name, "status": _status(update.status), "final": final}
            if update.metadata is not UNSET:
                told["metadata"] = update.metadata
            return told
        assert response.artifact_update is not UNSET
        return self._made(response.artifact_update)

    def _made(self, update: ArtifactUpdate) -> Json:
        index = self._indexes.setdefault(update.artifact.artifact_id, len(self._indexes))
        artifact = _artifact(update.artifact, index)
        artifact["append"], artifact["lastChunk"] = update.append, update.last_chunk
        return {"id": self._name, "artifact": artifact}


def push(config: TaskPushNotificationConfig, name: str) -> Json:
    """A TaskPushNotificationConfig by the caller's name."""
    return {"id": name, "pushNotificationConfig": a2a_v03.push(config)["pushNotificationConfig"]}
