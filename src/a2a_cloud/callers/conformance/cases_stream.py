"""SendStreamingMessage and SubscribeToTask: what begins, what follows, in which order (A2A 1.0, sections
3.1.2, 3.1.6 and 3.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from a2a_cloud.callers.conformance.trial import (
    TERMINAL,
    Skipped,
    Trial,
    case,
    kind_of,
    parts_of,
    shown,
    state_of,
    unlike,
)
from a2a_cloud.client.shapes import obj, text

_SEND = "SendStreamingMessage"
_SUBSCRIBE = "SubscribeToTask"


@case("stream.task", "3.1.2")
async def a_task(t: Trial) -> None:
    """A stream begins with the task, has updates, and closes when the task has ended"""
    t.streams()
    events = await t.events(_SEND, t.request("stream"))
    _shape(t, events)
    t.check(_state_at_end(events) == "COMPLETED", f"The last event is {shown(events[-1])}.")


@case("stream.message", "3.1.2")
async def a_message(t: Trial) -> None:
    """A stream of a Message has that alone"""
    t.streams()
    events = await t.events(_SEND, t.request("answer"))
    t.check(events, "The stream is empty.")
    if kind_of(events[0]) != "message":
        raise Skipped("the server shows a task in a stream, as it may")
    t.check(len(events) == 1, f"{len(events)} events came.")


@case("stream.pieces", "4.2.2")
async def pieces(t: Trial) -> None:
    """An artifact in pieces: each adds to the one before, the last one says so"""
    t.streams()
    events = await t.events(_SEND, t.request("stream"))
    updates = [obj(event["artifactUpdate"]) for event in events if "artifactUpdate" in event]
    name = text(obj(updates[-1].get("artifact")).get("artifactId")) if updates else ""
    mine = [one for one in updates if obj(one.get("artifact")).get("artifactId") == name]
    if len(mine) < 2:
        raise Skipped(unlike("stream", f"{len(mine)} pieces came"))
    appends = [bool(one.get("append")) for one in mine]
    t.check(appends == [False] + [True] * (len(mine) - 1), f"append is {appends}.")
    lasts = [bool(one.get("lastChunk")) for one in mine]
    t.check(lasts == [False] * (len(mine) - 1) + [True], f"lastChunk is {lasts}.")
    streamed = [text(part.get("text")) for one in mine for part in parts_of(obj(one.get("artifact")))]
    task = obj(await t.get({"id": mine[0].get("taskId")}))
    kept = [
        text(part.get("text"))
        for artifact in task.get("artifacts", [])
        if artifact.get("artifactId") == name
        for part in parts_of(artifact)
    ]
    t.check("".join(kept) == "".join(streamed), f"The task has {kept}, the stream had {streamed}.")


@case("stream.asks", "3.1.2")
async def asks(t: Trial) -> None:
    """A stream tells that the agent asks, and an answer's stream goes on in the same task"""
    t.streams()
    events = await t.events(_SEND, t.request("ask"))
    _shape(t, events, ended=False)
    if _state_at_end(events) != "INPUT_REQUIRED":
        raise Skipped(unlike("ask", f"the stream ended with {_state_at_end(events)}"))
    task_id = _task_id(events)
    more = await t.events(_SEND, t.request("complete", "England", taskId=task_id))
    _shape(t, more)
    t.check(_task_id(more) == task_id, "The answer made another task.")


@case("stream.subscribers", "3.5.2")
async def subscribers(t: Trial) -> None:
    """Every subscriber sees the task first and then the same events in the same order; one that goes
    touches no other"""
    t.streams()
    sent = t.speaker.stream(_SEND, t.request("slow"), key=t.key)
    async with aclosing(sent) as events:
        opened = await anext(events)
        task_id = _task_id([opened])
        if state_of(obj(opened.get("task"))) in TERMINAL:
            raise Skipped(unlike("slow", "it had ended at once"))
        others = [t.speaker.stream(_SUBSCRIBE, {"id": task_id}, key=t.key) for _ in range(3)]
        firsts = [await anext(each) for each in others]
        for first in firsts:
            t.check(kind_of(first) == "task", f"A subscription begins with {shown(first)}.")
            t.check(obj(first["task"]).get("id") == task_id, "It begins with another task.")
        await others.pop().aclose()
        rest = await asyncio.gather(_rest(events), *map(_rest, others))
    # Who came later has seen more of it in the first event, and so has fewer after it.
    shortest = min(rest, key=len)
    for each in rest:
        tail = each[len(each) - len(shortest) :]
        t.check(tail == shortest, f"Subscribers saw different events: {shown([tail, shortest])}")
    t.check(shortest and _state_at_end(shortest) in TERMINAL, "The streams closed before the task had ended.")


@case("stream.ended", "3.1.6")
async def ended(t: Trial) -> None:
    """There is nothing to subscribe to once a task has ended"""
    t.streams()
    task = await t.task("complete", "COMPLETED")
    await t.refused(t.events(_SUBSCRIBE, {"id": task["id"]}), "UNSUPPORTED_OPERATION")


@case("stream.unknown", "3.1.6")
async def unknown(t: Trial) -> None:
    """A task that does not exist can't be subscribed to"""
    t.streams()
    await t.refused(t.events(_SUBSCRIBE, {"id": "task-that-nobody-made"}), "TASK_NOT_FOUND")


@case("stream.undeclared", "3.3.4")
async def undeclared(t: Trial) -> None:
    """Without the capability, streaming is refused as unsupported"""
    if t.agent.capabilities.get("streaming"):
        raise Skipped("the card declares streaming")
    await t.refused(t.events(_SEND, t.request("complete")), "UNSUPPORTED_OPERATION")


async def _rest(events: AsyncGenerator[dict[str, Any]]) -> list[dict[str, Any]]:
    async with aclosing(events):
        return [event async for event in events]


def _shape(t: Trial, events: list[dict[str, Any]], *, ended: bool = True) -> None:
    """What every stream of a task keeps to."""
    t.check(events, "The stream is empty.")
    t.check(kind_of(events[0]) == "task", f"The first event is no task: {shown(events[0])}")
    task = obj(events[0]["task"])
    for number, event in enumerate(events[1:], 2):
        kind = kind_of(event)
        if kind == "task":
            continue
        t.check(kind != "message", f"Event {number} is a Message within a task's stream.")
        update = obj(event[kind])
        t.check(update.get("taskId") == task.get("id"), f"Event {number} names another task.")
        t.check(update.get("contextId") == task.get("contextId"), f"Event {number} names another context.")
        if kind == "statusUpdate" and state_of(update) in TERMINAL:
            t.check(number == len(events), f"{len(events) - number} events follow the task's end.")
    if ended:
        t.check(_state_at_end(events) in TERMINAL, f"The stream closed at {shown(events[-1])}.")


def _task_id(events: list[dict[str, Any]]) -> str:
    return text(obj(events[0].get("task")).get("id"))


def _state_at_end(events: list[dict[str, Any]]) -> str:
    last = events[-1]
    return state_of(obj(last.get("statusUpdate")) or obj(last.get("task")))
