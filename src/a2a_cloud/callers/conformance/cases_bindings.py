"""What belongs to one binding, versions, and that the bindings agree (A2A 1.0, sections 3.6, 5, 9 to 11)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

from a2a_cloud.callers.conformance.said import Refusal
from a2a_cloud.callers.conformance.speakers import JsonRpc, dumped, parsed
from a2a_cloud.callers.conformance.trial import Skipped, Trial, case, parts_of, shown
from a2a_cloud.client.shapes import items, obj, objs, text

_BROKEN_RPC: list[tuple[str, bytes, int]] = [
    ("no JSON", b'{"jsonrpc": "2.0", "method"', -32700),
    ("no request", b'{"jsonrpc":"2.0","id":1}', -32600),
    ("another version", b'{"jsonrpc":"1.0","id":1,"method":"GetTask","params":{"id":"x"}}', -32600),
    ("an unknown method", b'{"jsonrpc":"2.0","id":1,"method":"NoSuchMethod","params":{}}', -32601),
    ("params that don't fit", b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}', -32602),
    ("params of the wrong kind", b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":7}}', -32602),
]


@case("version.known", "3.6")
async def known_versions(t: Trial) -> None:
    """1.0 is served, and so is 1.0.7: the patch is not looked at"""
    for version in ("1.0", "1.0.7"):
        await t.speaker.call("SendMessage", t.request("complete"), key=t.key, version=version)


@case("version.unknown", "3.6")
async def unknown_versions(t: Trial) -> None:
    """A version that is not served is refused as such"""
    for version in ("99.0", "abc"):
        doing = t.speaker.call("SendMessage", t.request("complete"), key=t.key, version=version)
        await t.refused(doing, "VERSION_NOT_SUPPORTED")


@case("version.old", "3.6.2", each=False)
async def an_old_caller(t: Trial) -> None:
    """Where the card lists a 0.3 interface, a caller without A2A-Version is served as 0.3"""
    found = [one for one in t.agent.interfaces("0.3") if one.get("protocolBinding") == "JSONRPC"]
    if not found:
        raise Skipped("the card lists no 0.3 interface for JSON-RPC")
    message = {
        "kind": "message",
        "messageId": f"{t.agent.prefixes.get('text', 'case-text')}-{uuid.uuid4()}",
        "role": "user",
        "parts": [{"kind": "text", "text": "tea"}],
    }
    body = {"jsonrpc": "2.0", "id": "old", "method": "message/send", "params": {"message": message}}
    _, _, answer = await t.agent.http.fetch(
        "POST",
        text(found[0].get("url")),
        key=t.key,
        body=dumped(body),
        headers={"Content-Type": "application/json"},
    )
    said = obj(parsed(answer))
    t.check(said.get("id") == "old", f"The answer is {shown(said)}.")
    task = obj(said.get("result"))
    t.check(task.get("kind") == "task", f"The result is {shown(task or said)}.")
    state = text(obj(task.get("status")).get("state"))
    t.check(state == "completed", f"Its state is {state!r}.")
    kinds = [text(part.get("kind")) for one in objs(task.get("artifacts")) for part in parts_of(one)]
    t.check(kinds == ["text"], f"Its artifact's parts are {kinds}.")


@case("jsonrpc.errors", "9.5", each=False, binding="JSONRPC")
async def broken_requests(t: Trial) -> None:
    """What is no JSON, no request, no method or no params gets JSON-RPC's own error, with the request's id"""
    rpc = t.speaker
    assert isinstance(rpc, JsonRpc)
    for what, body, code in _BROKEN_RPC:
        status, answer = await rpc.raw(body, key=t.key)
        error = obj(obj(answer).get("error"))
        t.check(status < 500, f"{what}: HTTP {status}.")
        t.check(error.get("code") == code, f"{what}: {code} was expected, not {shown(answer)}")
        if code in (-32601, -32602):
            t.check(obj(answer).get("id") == 1, f"{what}: the id is {obj(answer).get('id')!r}.")


@case("jsonrpc.ids", "9.1", each=False, binding="JSONRPC")
async def ids(t: Trial) -> None:
    """The id of a request comes back as it was: text stays text"""
    rpc = t.speaker
    assert isinstance(rpc, JsonRpc)
    for number in ("seven", 7, 0):
        body = {"jsonrpc": "2.0", "id": number, "method": "SendMessage", "params": t.request("complete")}
        _, answer = await rpc.raw(dumped(body), key=t.key)
        got = obj(answer).get("id")
        t.check(got == number and type(got) is type(number), f"{number!r} came back as {got!r}.")


@case("rest.paths", "11.3", each=False, binding="HTTP+JSON")
async def strange_paths(t: Trial) -> None:
    """A path that is none, and a body that is none, are the caller's errors, told in JSON"""
    base = text(next(one["url"] for one in t.agent.interfaces("1") if one["protocolBinding"] == "HTTP+JSON"))
    headers = {"Content-Type": "application/a2a+json", "A2A-Version": "1.0"}
    for method, path, body in (
        ("GET", "/no/such/path", None),
        ("POST", "/message:send", b"{"),
        ("POST", "/message:send", b"[]"),
        ("POST", "/tasks/x:dance", b"{}"),
    ):
        status, got, answer = await t.agent.http.fetch(
            method, base.rstrip("/") + path, key=t.key, body=body, headers=headers
        )
        t.check(400 <= status < 500, f"{method} {path}: HTTP {status}.")
        t.check("json" in got.get("Content-Type", ""), f"{method} {path}: {got.get('Content-Type')!r}.")
        t.check(obj(parsed(answer)), f"{method} {path}: the answer is no object.")


@case("rest.media_type", "11.1", each=False, binding="HTTP+JSON")
async def media_type(t: Trial) -> None:
    """Answers are application/a2a+json or application/json"""
    base = text(next(one["url"] for one in t.agent.interfaces("1") if one["protocolBinding"] == "HTTP+JSON"))
    for kind in ("application/a2a+json", "application/json"):
        status, headers, _ = await t.agent.http.fetch(
            "POST",
            base.rstrip("/") + "/message:send",
            key=t.key,
            body=dumped(t.request("complete")),
            headers={"Content-Type": kind, "A2A-Version": "1.0"},
        )
        t.check(status == 200, f"A body of {kind} gets HTTP {status}.")
        got = headers.get("Content-Type", "").partition(";")[0]
        t.check(got in ("application/a2a+json", "application/json"), f"The answer is {got!r}.")


# --- the bindings agree -----------------------------------------------------------------------------------

Doing = Callable[[Trial], Awaitable[Any]]


async def _asked(t: Trial) -> Any:
    task = await t.task("ask", "INPUT_REQUIRED")
    answered = await t.send("complete", "England", taskId=task["id"])
    return [task, answered, await t.get(task, historyLength=1)]


async def _streamed(t: Trial) -> Any:
    return await t.events("SendStreamingMessage", t.request("stream"))


async def _ended(t: Trial) -> Any:
    return await t.send("complete", taskId=(await t.task("complete", "COMPLETED"))["id"])


_SAME: dict[str, Doing] = {
    "completed": lambda t: t.send("complete"),
    "message": lambda t: t.send("answer"),
    "text": lambda t: t.send("text"),
    "file": lambda t: t.send("file"),
    "url": lambda t: t.send("url"),
    "data": lambda t: t.send("data"),
    "rejected": lambda t: t.send("reject"),
    "failed": lambda t: t.send("fail"),
    "question": _asked,
    "stream": _streamed,
    "unknown task": lambda t: t.call("GetTask", {"id": "task-that-nobody-made"}),
    "ended task": _ended,
    "no parts": lambda t: t.send("complete", parts=[]),
    "page size": lambda t: t.call("ListTasks", {"pageSize": 1000}),
    "media type": lambda t: t.send("complete", parts=[{"raw": "dGVh", "mediaType": "application/x-none"}]),
}


def _agree(name: str, doing: Doing) -> None:
    async def compared(t: Trial) -> None:
        speakers = t.agent.speakers
        if len(speakers) < 2:
            raise Skipped("the card lists one binding alone")
        if name == "stream":
            t.streams()
        said = {binding: await _said(doing, Trial(t.agent, speaker)) for binding, speaker in speakers.items()}
        first, *others = said.items()
        for binding, other in others:
            t.check(other == first[1], f"{first[0]} says {shown(first[1])}, {binding} says {shown(other)}")

    compared.__doc__ = f"The bindings agree: {name}"
    case(f"bindings.{name.replace(' ', '_')}", "5.1", each=False)(compared)


for _name, _doing in _SAME.items():
    _agree(_name, _doing)

_ID = re.compile(r"^.*(id|ids|token)$", re.IGNORECASE)


async def _said(doing: Doing, t: Trial) -> Any:
    """What a binding says, without what differs from call to call: ids, times, links."""
    try:
        return _same(await doing(t))
    except Refusal as refusal:
        return refusal.name


def _same(value: Any) -> Any:
    if isinstance(value, list):
        return [_same(each) for each in items(cast("Any", value))]
    found = obj(value)
    if not found:
        return value
    kept: dict[str, Any] = {}
    for name, each in found.items():
        if name == "metadata":
            kept[name] = sorted(obj(each))
        elif name == "timestamp" or (isinstance(each, str) and _ID.match(name) and name != "artifactId"):
            kept[name] = "…"
        # Protocol Buffers leave out what is false, empty or 0.
        elif each not in (False, "", 0, [], {}):
            kept[name] = _same(each)
    return kept
