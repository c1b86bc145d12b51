"""Questions and approvals in the words of the public extension `https://kagent.dev/extensions/hitl/v1`.

A status message that waits for a person carries a request in its metadata under the extension's URI, and
names the URI in `extensions`; the answer is a message to the same task that carries a response the same
way. A question is an `ask_user_request` with one question for each value that is wanted; a request for more
rights a `tool_approval_request` with one tool. Both have an id that the response repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import UNSET, Raw, Struct

from a2a_cloud.model.card import HITL
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.task import Message
from a2a_cloud.wire.json_schema import BadSchema, fits

_MOST_QUESTIONS = 20
_MOST_CHOICES = 200
_YES_NO = ("yes", "no")
_FLAGS = {"yes": True, "true": True, "no": False, "false": False}
_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, Raw])
_any = msgspec.json.Decoder()


class Decision(NamedTuple):
    """What somebody decided about the request with that id."""

    id: str
    approved: bool
    reason: str


class Answers(NamedTuple):
    """The answers to the request with that id, each a list of texts, in the order of its questions."""

    id: str
    answers: list[list[str]]


class _Approval(Struct):
    id: str
    approved: bool
    rejection_reason: str = ""


class _Decisions(Struct, tag="tool_approval_response"):
    approvals: list[_Approval]


class _Answer(Struct):
    answer: list[str] = []


class _Answered(Struct, tag="ask_user_response"):
    id: str
    answers: list[_Answer] = []


_responses: msgspec.json.Decoder[_Decisions | _Answered] = msgspec.json.Decoder(_Decisions | _Answered)


# --- requests ---------------------------------------------------------------------------------------------


def carry(message: Message, payload: dict[str, Any]) -> None:
    """Puts a request into a status message."""
    metadata = b"{" if message.metadata is UNSET else bytes(message.metadata)[:-1] + b","
    message.metadata = Raw(metadata + _encode(HITL) + b":" + _encode(payload) + b"}")
    message.extensions = [HITL]


def approval_request(approval: str, call: str, hint: str, wants: dict[str, Any]) -> dict[str, Any]:
    """The request of a run for more than its grant allows; `call` identifies what waits for it."""
    tool = {"id": approval, "call_id": call, "name": "request_scope", "args": wants}
    return {"type": "tool_approval_request", "hint": hint, "tools": [tool]}


def ask_request(ident: str, text: str, schema: bytes) -> dict[str, Any]:
    """A question whose answer has to fit `schema`: one for each property of an object, else one."""
    declared = _any.decode(schema)
    fields = _fields(declared)
    if fields is None:
        questions = [_question(text, declared, declared)]
    else:
        questions = [
            _question(f"{text} — {name}{_about(_resolved(kind, declared))}", kind, declared)
            for name, kind in fields
        ]
    return {"type": "ask_user_request", "id": ident, "questions": questions}


def _question(text: str, kind: Any, root: Any) -> dict[str, Any]:
    choices, multiple = _choices(kind, root)
    return {"question": text, "choices": choices, "multiple": multiple}


def _about(kind: Any) -> str:
    found = kind.get("description") or kind.get("title") if isinstance(kind, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return f": {found}" if isinstance(found, str) and found else ""


def _fields(schema: Any) -> list[tuple[str, Any]] | None:
    """(name, schema) of what an object is asked for property by property; None where it is asked as one."""
    kind = _resolved(schema, schema)
    if not isinstance(kind, dict):
        return None
    properties = cast("dict[str, Any]", kind).get("properties")
    if not isinstance(properties, dict) or not 0 < len(cast("dict[str, Any]", properties)) <= _MOST_QUESTIONS:
        return None
    return list(cast("dict[str, Any]", properties).items())


def _resolved(kind: Any, root: Any) -> Any:
    """What a reference into the document's `$defs` leads to."""
    for _ in range(8):
        reference = cast("dict[str, Any]", kind).get("$ref") if isinstance(kind, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
            break
        definitions: Any = cast("dict[str, Any]", root).get("$defs")
        known = cast("dict[str, Any]", definitions) if isinstance(definitions, dict) else {}
        kind = known.get(reference[8:])
    return cast("Any", kind)


def _choices(kind: Any, root: Any) -> tuple[list[str], bool]:
    """(what may be chosen, whether several may be)."""
    kind = _resolved(kind, root)
    if not isinstance(kind, dict):
        return [], False
    known = cast("dict[str, Any]", kind)
    if known.get("type") == "array":
        return _choices(known.get("items"), root)[0], True
    if known.get("type") == "boolean":
        return list(_YES_NO), False
    values = known.get("enum")
    if not isinstance(values, list):
        return [], False
    return [_shown(value) for value in cast("list[Any]", values)[:_MOST_CHOICES]], False


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


# --- responses --------------------------------------------------------------------------------------------


def response_in(message: Message) -> Decision | Answers | None:
    """The response that a message carries; None when it carries none. Raises InvalidParams."""
    if message.extensions is UNSET or HITL not in message.extensions or message.metadata is UNSET:
        return None
    try:
        payload = _members.decode(message.metadata).get(HITL)
        if payload is None:
            return None
        found = _responses.decode(payload)
    except msgspec.MsgspecError as error:
        raise _misfit(f"The response can't be read: {error}.") from None
    if isinstance(found, _Answered):
        return Answers(found.id, [one.answer for one in found.answers])
    if len(found.approvals) != 1:
        raise _misfit("The response has to decide exactly the one request that the status carries.")
    (one,) = found.approvals
    if one.approved and one.rejection_reason:
        raise _misfit("What is approved has no rejection_reason.")
    return Decision(one.id, one.approved, one.rejection_reason)


def value_of(schema: bytes, answers: list[list[str]]) -> Any:
    """The answer that texts stand for, as the question's schema wants it; what can't be brought there stays
    as it was said. Raises InvalidParams when there are more or fewer than questions."""
    declared = _any.decode(schema)
    fields = _fields(declared)
    expected = 1 if fields is None else len(fields)
    if len(answers) != expected:
        raise _misfit(f"There are {expected} questions, and {len(answers)} answers.")
    if fields is None:
        return _value(declared, declared, answers[0])
    # A question that nobody answered is a property left out.
    said = zip(fields, answers, strict=True)
    return {name: _value(kind, declared, texts) for (name, kind), texts in said if texts}


def _value(kind: Any, root: Any, texts: Sequence[str]) -> Any:
    resolved = _resolved(kind, root)
    if isinstance(resolved, dict) and cast("dict[str, Any]", resolved).get("type") == "array":
        items = cast("dict[str, Any]", resolved).get("items", {})
        return [_scalar(items, root, text) for text in texts]
    return _scalar(kind, root, texts[0]) if len(texts) == 1 else list(texts)


def _scalar(kind: Any, root: Any, text: str) -> Any:
    """The first reading of a text that fits: itself, one of the choices, yes or no, JSON."""
    readings: list[Any] = [text]
    resolved = _resolved(kind, root)
    if isinstance(resolved, dict):
        values = cast("dict[str, Any]", resolved).get("enum")
        if isinstance(values, list):
            readings += [value for value in cast("list[Any]", values) if _shown(value) == text]
    if text.strip().lower() in _FLAGS:
        readings.append(_FLAGS[text.strip().lower()])
    with suppress(msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        readings.append(_any.decode(text.encode()))
    schema = kind
    if isinstance(kind, dict) and isinstance(root, dict) and "$defs" in root:
        schema = {**cast("dict[str, Any]", kind), "$defs": cast("dict[str, Any]", root)["$defs"]}
    try:
        return next((value for value in readings if fits(_encode(schema), value)), text)
    except BadSchema:
        return text


def _misfit(what: str) -> InvalidParams:
    return InvalidParams(
        what,
        remedy=f"Repeat the ids in the status message's metadata under {HITL}, and answer each question.",
        info={"field": f"message.metadata.{HITL}"},
    )
