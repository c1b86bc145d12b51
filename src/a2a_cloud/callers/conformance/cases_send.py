"""SendMessage, what a task looks like, and turns of talk (A2A 1.0, sections 3.1.1, 3.2, 3.4 and 4.1)."""

from __future__ import annotations

import base64
import re
from time import monotonic
from typing import Any

from a2a_cloud.callers.conformance.trial import (
    TERMINAL,
    Skipped,
    Trial,
    case,
    parts_of,
    shown,
    state_of,
    unlike,
)
from a2a_cloud.client.shapes import items, obj, objs, text

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_SNAKE = re.compile(r"[a-z]+(_[a-z]+)+")


@case("send.task", "3.1.1")
async def a_task(t: Trial) -> None:
    """A task has an id, a context, a state and a UTC time"""
    task = await t.task("complete", "COMPLETED")
    t.check(task.get("id"), "The task has no id.")
    t.check(task.get("contextId"), "The task has no contextId, though the message named none.")
    stamp = text(obj(task.get("status")).get("timestamp"))
    t.check(_STAMP.fullmatch(stamp), f"status.timestamp is {stamp!r}, no UTC time with a Z.")
    t.check(not _snake(task), f"Members are not in camelCase: {', '.join(_snake(task))}.")


@case("send.status_message", "4.1.2")
async def a_status_message(t: Trial) -> None:
    """A completed task's status can carry a message of the agent"""
    task = await t.task("complete", "COMPLETED", "with sugar")
    message = obj(obj(task.get("status")).get("message"))
    if not message:
        raise Skipped(unlike("complete", "its status says nothing"))
    t.check(message.get("role") == "ROLE_AGENT", f"Its role is {message.get('role')!r}.")
    t.check(message.get("messageId"), "It has no messageId.")
    t.check(parts_of(message), "It has no parts.")


@case("send.silent", "4.1.1")
async def without_a_message(t: Trial) -> None:
    """A task can complete without a status message"""
    task = await t.task("silent", "COMPLETED")
    t.check("message" not in obj(task.get("status")), "The status carries a message.")


@case("send.message", "3.1.1")
async def an_answer(t: Trial) -> None:
    """An answer may be a Message and no task"""
    result = await t.send("answer", "hello")
    message = obj(result.get("message"))
    if not message:
        raise Skipped(unlike("answer", "it made a task"))
    t.check("task" not in result, "It has a task too.")
    t.check(message.get("role") == "ROLE_AGENT", f"Its role is {message.get('role')!r}.")
    t.check(message.get("messageId") and parts_of(message), f"It is incomplete: {shown(message)}")


@case("send.artifact_text", "4.1.6")
async def a_text(t: Trial) -> None:
    """A text part comes as it was made"""
    part = await _part(t, "text", "a cup of tea: \u2615 é")
    if "a cup of tea" not in text(part.get("text")):
        raise Skipped(unlike("text", f"it made {shown(part)}"))
    t.check(part.get("text") == "a cup of tea: \u2615 é", f"It is {shown(part)}.")


@case("send.artifact_file", "4.1.6")
async def a_file(t: Trial) -> None:
    """A file part has its bytes (or a url), its name and its media type"""
    part = await _part(t, "file", "a cup of tea")
    if "raw" not in part and "url" not in part:
        raise Skipped(unlike("file", f"it made {shown(part)}"))
    t.check(part.get("mediaType"), "It has no mediaType.")
    t.check(part.get("filename"), "It has no filename.")
    if "url" not in part:
        body = base64.b64decode(text(part.get("raw")))
        t.check(body == b"a cup of tea", f"Its bytes are {body[:60]!r}.")


@case("send.artifact_url", "4.1.6")
async def an_address(t: Trial) -> None:
    """A url part names an address"""
    part = await _part(t, "url", "")
    if "url" not in part:
        raise Skipped(unlike("url", f"it made {shown(part)}"))
    t.check(text(part.get("url")).startswith("http"), f"It is {shown(part)}.")


@case("send.artifact_data", "4.1.6")
async def data(t: Trial) -> None:
    """A data part keeps numbers, booleans, empty lists and nesting"""
    part = await _part(t, "data", "")
    value = obj(part.get("data"))
    if value.get("word") != "tea":
        raise Skipped(unlike("data", f"another value: {shown(value)}"))
    want = {"word": "tea", "nested": {"list": [1, 2.5, True], "none": []}}
    t.check(value == want, f"It is {shown(value)}.")


@case("send.rejected", "4.1.3")
async def a_refusal(t: Trial) -> None:
    """An agent that refuses ends the task as rejected"""
    task = await t.task("reject", "REJECTED", "not today")
    t.check(state_of(await t.get(task)) == "REJECTED", "GetTask shows another state.")


@case("send.failed", "4.1.3")
async def a_failure(t: Trial) -> None:
    """An agent that fails ends the task as failed, without a stack trace"""
    task = await t.task("fail", "FAILED", "boom")
    t.check("Traceback" not in shown(task), "A stack trace is shown to the caller.")


@case("send.blocks", "3.2.2")
async def blocking(t: Trial) -> None:
    """Without returnImmediately the answer comes once the task has ended"""
    result = await t.send("slow")
    task = obj(result.get("task"))
    t.check(state_of(task) in TERMINAL, f"The task is {state_of(task)}.")


@case("send.at_once", "3.2.2")
async def at_once(t: Trial) -> None:
    """With returnImmediately the answer comes at once, and the task goes on"""
    begun = monotonic()
    result = await t.send("slow", configuration={"returnImmediately": True})
    took = monotonic() - begun
    task = obj(result.get("task"))
    t.check(task.get("id"), f"There is no task: {shown(result)}")
    if state_of(task) in TERMINAL:
        if took > 1:
            t.fail(f"It came after {took:.1f} s, and the task had ended.")
        raise Skipped(unlike("slow", "it had ended at once"))
    now = await t.get(task)
    t.check(now.get("id") == task["id"], "GetTask shows another task.")


@case("send.context", "3.4.1")
async def a_context(t: Trial) -> None:
    """A context of the caller's is kept, or refused; no other one takes its place"""
    context = f"case-context-{id(t):x}"
    result = await t.send("complete", contextId=context)
    got = text((obj(result.get("task")) or obj(result.get("message"))).get("contextId"))
    t.check(got == context, f"The answer's contextId is {got!r}, the message's was {context!r}.")


@case("send.history_none", "3.2.4")
async def no_history(t: Trial) -> None:
    """historyLength 0 gives no history, in SendMessage and GetTask"""
    task = obj((await t.send("silent", configuration={"historyLength": 0})).get("task"))
    t.check(not task.get("history"), f"SendMessage gave {len(items(task.get('history')))} messages.")
    if task.get("id"):
        got = await t.get(task, historyLength=0)
        t.check(not got.get("history"), f"GetTask gave {len(items(got.get('history')))} messages.")


@case("send.unknown_members", "5.6")
async def unknown_members(t: Trial) -> None:
    """Members that the server does not know are ignored"""
    if t.speaker.binding == "GRPC":
        raise Skipped("Protocol Buffers have no unknown names")
    request = t.request("complete", caseUnknown={"deep": [1]})
    await t.call("SendMessage", {**request, "caseUnknown": True})


@case("send.empty", "3.3.2")
async def no_parts(t: Trial) -> None:
    """A message without parts is refused"""
    await t.refused(t.send("complete", parts=[]), "INVALID_PARAMS")


@case("send.media_type", "3.1.1")
async def a_strange_type(t: Trial) -> None:
    """A media type that the agent does not take is refused as such"""
    part = {"raw": "dGVh", "mediaType": "application/x-nobody-takes-this"}
    await t.refused(t.send("complete", parts=[part]), "CONTENT_TYPE_NOT_SUPPORTED")


@case("send.unknown_task", "3.4.2")
async def an_unknown_task(t: Trial) -> None:
    """A message to a task that does not exist is refused"""
    await t.refused(t.send("complete", taskId="task-that-nobody-made"), "TASK_NOT_FOUND")


@case("send.ended_task", "3.1.1")
async def an_ended_task(t: Trial) -> None:
    """A message to a task that has ended is refused"""
    task = await t.task("complete", "COMPLETED")
    await t.refused(t.send("complete", taskId=task["id"]), "UNSUPPORTED_OPERATION")


@case("talk.asks", "3.4.3")
async def asks(t: Trial) -> None:
    """A question interrupts; the answer goes on in the same task and context"""
    task = await t.task("ask", "INPUT_REQUIRED")
    t.check(parts_of(obj(obj(task.get("status")).get("message"))), "The status does not say what is asked.")
    answered = obj((await t.send("complete", "England", taskId=task["id"])).get("task"))
    t.check(answered.get("id") == task["id"], "The answer made another task.")
    t.check(answered.get("contextId") == task.get("contextId"), "The context is another one.")
    t.check(state_of(answered) == "COMPLETED", f"After the answer the task is {state_of(answered)}.")


@case("talk.history", "3.2.4")
async def history(t: Trial) -> None:
    """history holds the turns in order, at most as many as asked for"""
    task = await t.task("ask", "INPUT_REQUIRED", "begin")
    await t.send("complete", "England", taskId=task["id"])
    turns = objs((await t.get(task)).get("history"))
    said = [text(part.get("text")) for turn in turns for part in parts_of(turn)]
    if "begin" not in said or "England" not in said:
        raise Skipped("the server keeps no history of these turns, as it may")
    t.check(said.index("begin") < said.index("England"), f"The turns are {said}.")
    last = objs((await t.get(task, historyLength=1)).get("history"))
    t.check(len(last) <= 1, f"historyLength 1 gave {len(last)} messages.")


@case("talk.mismatch", "3.4.3")
async def mismatch(t: Trial) -> None:
    """A contextId that is not the task's is refused"""
    task = await t.task("ask", "INPUT_REQUIRED")
    doing = t.send("complete", taskId=task["id"], contextId="case-another-context")
    await t.refused(doing, "INVALID_PARAMS", "UNSUPPORTED_OPERATION")
    await t.cancel(task)


@case("talk.authorization", "7.6.1")
async def authorization(t: Trial) -> None:
    """A task that needs an authorization waits as auth-required, and is not settled without"""
    task = await t.task("auth", "AUTH_REQUIRED")
    t.check(parts_of(obj(obj(task.get("status")).get("message"))), "The status does not say what is needed.")
    now = await t.get(task)
    t.check(state_of(now) == "AUTH_REQUIRED", f"GetTask shows {state_of(now)}.")
    await t.cancel(task)


async def _part(t: Trial, behaviour: str, said: str) -> dict[str, Any]:
    """The one part of the one artifact that a behaviour makes."""
    task = await t.task(behaviour, "COMPLETED", said or "tea")
    artifacts = objs(task.get("artifacts"))
    if not artifacts:
        raise Skipped(unlike(behaviour, "it made no artifact"))
    t.check(artifacts[0].get("artifactId"), "The artifact has no artifactId.")
    parts = parts_of(artifacts[0])
    t.check(parts, "The artifact has no parts.")
    kinds = [name for name in ("text", "raw", "url", "data") if name in parts[0]]
    t.check(len(kinds) == 1, f"The part has {kinds or 'none'} of text, raw, url and data.")
    return parts[0]


def _snake(value: Any) -> list[str]:
    """Names of members in snake_case, metadata and data aside: those are somebody's own."""
    if isinstance(value, list):
        return [name for each in items(value) for name in _snake(each)]
    found: list[str] = []
    for name, each in obj(value).items():
        if name in ("metadata", "data"):
            continue
        found += ([name] if _SNAKE.fullmatch(name) else []) + _snake(each)
    return found
