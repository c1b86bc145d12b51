"""A stream of A2A that was cut goes on after the last event that came, in either binding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from a2a_cloud.client.events import ServerEvent, SseParser
from running import Running

BINDINGS = ("jsonrpc", "rest")


@pytest.fixture
def http(desk: Running) -> Iterator[httpx.Client]:
    with httpx.Client(headers=desk.auth, timeout=30) as client:
        yield client


def _send(http: httpx.Client, base: str, binding: str) -> list[ServerEvent]:
    parts = [{"data": {"skill": "words", "arguments": {"text": "one two three"}}}]
    params = {"message": {"messageId": f"resume-{binding}", "role": "ROLE_USER", "parts": parts}}
    if binding == "rest":
        answer = http.post(f"{base}/message:stream", json=params)
    else:
        answer = http.post(base, json=_rpc("SendStreamingMessage", params))
    return _events(answer)


def _subscribe(http: httpx.Client, base: str, binding: str, task: str, last: str) -> httpx.Response:
    headers = {"Last-Event-ID": last} if last else {}
    if binding == "rest":
        return http.post(f"{base}/tasks/{task}:subscribe", headers=headers)
    return http.post(base, json=_rpc("SubscribeToTask", {"id": task}), headers=headers)


def _rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _events(answer: httpx.Response) -> list[ServerEvent]:
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return SseParser().feed(answer.content)


def _response(event: ServerEvent) -> dict[str, Any]:
    found = json.loads(event.data)
    return found.get("result", found)


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_cut_stream_goes_on_where_it_was(desk: Running, http: httpx.Client, binding: str) -> None:
    base = desk.agent("desk")
    whole = _send(http, base, binding)
    task = _response(whole[0])["task"]["id"]
    assert len(whole) >= 3
    assert all(event.id for event in whole)
    for other in BINDINGS:
        for at, seen in enumerate(whole):
            rest = _events(_subscribe(http, base, other, task, seen.id))
            assert [event.id for event in rest] == [event.id for event in whole[at + 1 :]]
            assert [_response(e) for e in rest] == [_response(e) for e in whole[at + 1 :]]


@pytest.mark.parametrize("binding", BINDINGS)
def test_what_is_no_event_id_is_refused(desk: Running, http: httpx.Client, binding: str) -> None:
    base = desk.agent("desk")
    task = _response(_send(http, base, binding)[0])["task"]["id"]
    answer = _subscribe(http, base, binding, task, "yesterday")
    assert "no event id" in answer.text
    ended = _subscribe(http, base, binding, task, "")
    assert "has ended" in ended.text
