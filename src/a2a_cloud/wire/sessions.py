"""The session dialect's messages, to and from those of A2A 1.0: `sender`, `receiver`, `content`,
`metadata`, `attachments` (docs/dialects.md).

Content is text, or any JSON value where a message holds just that; what else a message holds is attached
to it. Names in snake_case, as in the rest of our own HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.task import Message, Part, Role, Task
from a2a_cloud.wire.members import Members

#: In a message's metadata: who said it to whom, as the caller put it.
SAID: Final = "a2a-cloud/said"
_JSON = "application/json"
_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder()

Json = dict[str, Any]


# --- what comes in ------------------------------------------------------------------------------------


def read_message(given: Members, message_id: str, session_id: str, agent: tuple[str, ...]) -> Message:
    """The message in a body. `agent`: the names by which it may be addressed. Raises InvalidParams."""
    receiver, sender = given.text("receiver"), given.text("sender")
    if receiver and receiver not in agent:
        raise given.misfit(
            "receiver", "is another than this session's agent", f"Leave it out, or say {agent[0]}."
        )
    parts = [*_read_content(given), *(_read_attachment(one) for one in given.objects("attachments") or ())]
    if not parts:
        raise given.misfit("content", "is missing", "Send text or a JSON value, or attachments.")
    message = Message(given.text("id") or message_id, Role.USER, parts, context_id=session_id)
    metadata: Json = {} if given.table("metadata") is UNSET else dict(given.get("metadata"))
    if sender or receiver:
        metadata[SAID] = {"sender": sender, "receiver": receiver}
    if metadata:
        message.metadata = Raw(_encode(metadata))
    return message


def _read_content(given: Members) -> list[Part]:
    content = given.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [Part(text=content)] if content else []
    return [Part(data=given.value("content"))]


def _read_attachment(given: Members) -> Part:
    content, address = given.text("content", "bytes"), given.text("url")
    media_type = given.text("mediaType", "contentType")
    if "data" in given and not content and not address:
        return Part(data=given.value("data"), media_type=media_type or _JSON)
    if bool(content) == bool(address):
        raise InvalidParams(
            f"{given.at} needs one of content (base64), url and data.", info={"field": given.at}
        )
    part = Part(filename=given.text("name") or UNSET, media_type=media_type or UNSET)
    if address:
        part.url = address
    else:
        part.raw = content
    return part


# --- what goes out ------------------------------------------------------------------------------------


class Telling:
    """Messages of one session, told to its caller."""

    __slots__ = ("_agent", "_caller", "_session_id")

    def __init__(self, session_id: str, agent: str, caller: str) -> None:
        self._session_id = session_id
        self._agent = agent
        self._caller = caller

    def message(self, said: Message, task_id: str = "", state: str = "") -> Json:
        """A message that somebody said."""
        metadata: Json = {} if said.metadata is UNSET else _any.decode(said.metadata)
        names = _said(metadata.pop(SAID, None))
        sender, receiver = self._agent, self._caller
        if said.role is Role.USER:
            sender, receiver = names.sender or self._caller, names.receiver or self._agent
        told: Json = {
            "id": said.message_id,
            "session_id": self._session_id,
            "sender": sender,
            "receiver": receiver,
            **_content(said.parts),
            "metadata": metadata,
        }
        if task_id:
            told |= {"task_id": task_id, "state": state}
        return told

    def answer(self, task: Task) -> Json | None:
        """What the agent made and says now; None while that is nothing."""
        made = [] if task.artifacts is UNSET else [part for one in task.artifacts for part in one.parts]
        said = task.status.message
        parts = made if said is UNSET else [*made, *said.parts]
        if not parts:
            return None
        told = self.message(
            Message(f"{task.id}.answer" if said is UNSET else said.message_id, Role.AGENT, parts),
            task.id,
            task.status.state.short,
        )
        told["metadata"] = {} if task.metadata is UNSET else task.metadata
        if said is not UNSET and said.metadata is not UNSET:
            told["metadata"] = {**told["metadata"], **_any.decode(said.metadata)}
        if task.status.timestamp is not UNSET:
            told["at"] = task.status.timestamp
        return told

    def talk(self, task: Task) -> Iterator[Json]:
        """All that was said in a task, in order, and what came of it."""
        for said in () if task.history is UNSET else task.history:
            yield self.message(said, task.id, task.status.state.short)
        answer = self.answer(task)
        if answer is not None:
            yield answer


class _Said(msgspec.Struct):
    sender: str = ""
    receiver: str = ""


def _said(value: Any) -> _Said:
    """Who said a message to whom. Another dialect's caller may have put anything there."""
    try:
        return msgspec.convert(value, _Said)
    except msgspec.ValidationError:
        return _Said()


def _content(parts: list[Part]) -> Json:
    texts = [part.text for part in parts if part.text is not UNSET and part.filename is UNSET]
    values = [part.data for part in parts if part.data is not UNSET]
    attached: list[Json] = []
    content: Any = "\n".join(texts)
    if len(values) == 1 and not texts:
        content = values[0]
    else:
        attached += [{"media_type": _JSON, "data": value} for value in values]
    attached += [_attachment(part) for part in parts if _is_file(part)]
    return {"content": content, "attachments": attached}


def _is_file(part: Part) -> bool:
    return part.raw is not UNSET or part.url is not UNSET or part.filename is not UNSET


def _attachment(part: Part) -> Json:
    told: Json = {}
    if part.filename is not UNSET:
        told["name"] = part.filename
    if part.media_type is not UNSET:
        told["media_type"] = part.media_type
    if part.url is not UNSET:
        told["url"] = part.url
    elif part.raw is not UNSET:
        told["content"] = part.raw
    elif part.data is not UNSET:
        told["data"] = part.data
    else:
        told["text"] = part.text
    return told
