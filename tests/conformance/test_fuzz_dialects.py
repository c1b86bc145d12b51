"""What no client of any generation would send: always the protocol's own error, never a 500, and the
platform goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from running import Running

METHODS = [
    *("SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask"),
    *("CreateTaskPushNotificationConfig", "GetExtendedAgentCard"),
    *("message/send", "message/stream", "tasks/get", "tasks/cancel", "tasks/resubscribe"),
    *(f"tasks/pushNotificationConfig/{verb}" for verb in ("set", "get", "list", "delete")),
    *("agent/getAuthenticatedExtendedCard", "tasks/send", "tasks/sendSubscribe"),
    *("tasks/pushNotification/set", "tasks/pushNotification/get"),
]
#: JSON-RPC's own codes, A2A's and ours; -32603 would be a fault of ours.
CODES = {*range(-32099, -32000), -32700, -32600, -32601, -32602}
JSON_TYPE = "application/json"

MESSAGE = (
    '{"messageId":"m","role":"user","kind":"message","parts":[{"kind":"text","type":"text","text":"x"}]}'
)
VALUES = {
    "null": "null",
    "list": "[]",
    "text": '"x"',
    "number": "5",
    "huge": "1" * 400,
    "exponent": "1e999",
    "minus": "-0.0e-999",
    "deep": "[" * 60 + "]" * 60,
    "deeper": '{"a":' * 100 + "1" + "}" * 100,
    "long": '"' + "é" * 5000 + '"',
    "surrogate": '"\\ud800"',
    "nul": '"\\u0000"',
    "control": '"a\\u0007b\\u2028"',
    "objects": '{"id":{"id":{"id":1}},"message":{"message":{}}}',
    "keys": '{"":"","__proto__":1,"constructor":{},"toString":null}',
}


def around(part: str) -> str:
    """A format for params whose message holds one part."""
    doubled = part.replace("{", "{{").replace("}", "}}").replace("@", "{0}")
    return '{{"id":"n","message":{{"messageId":"m","role":"user","parts":[' + doubled + "]}}}}"


#: Where a value is put: in the place of the params, and of their members.
PLACES = {
    "params": "{}",
    "id": '{{"id":{},"message":' + MESSAGE.replace("{", "{{").replace("}", "}}") + "}}",
    "message": '{{"id":"n","message":{}}}',
    "parts": '{{"id":"n","message":{{"messageId":"m","role":"user","parts":{}}}}}',
    "part": around("@"),
    "content": around('{"kind":"text","type":"text","text":@}'),
    "data": around('{"kind":"data","type":"data","data":@}'),
    "file": around('{"kind":"file","type":"file","file":@}'),
    "metadata": '{{"id":"n","metadata":{0},"message":{{"messageId":"m","role":"user","metadata":{0},'
    '"parts":[]}}}}',
    "configuration": '{{"id":"n","configuration":{0},"historyLength":{0},"pushNotification":{0},"message":'
    + MESSAGE.replace("{", "{{").replace("}", "}}")
    + "}}",
    "push": '{{"id":"n","taskId":"n","pushNotificationConfig":{0},"pushNotificationConfigId":{0}}}',
}

BODIES: dict[str, bytes] = {
    "empty": b"",
    "space": b"  \n",
    "word": b"hello",
    "open": b"{",
    "half": b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"message":',
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"x"}}]',
    "empty-batch": b"[]",
    "batch-of-rubbish": b"[1,2,3]",
    "number": b"1",
    "bad-utf8": b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"\xff\xfe"}}',
    "cut-utf8": b'{"jsonrpc":"2.0","id":1,"method":"tasks/get\xc3',
    "bom": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"x"}}',
    "utf16": '{"jsonrpc":"2.0","id":1,"method":"tasks/get"}'.encode("utf-16"),
    "nan": b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":NaN}}',
    "comment": b'{"jsonrpc":"2.0",/* x */"id":1,"method":"tasks/get"}',
    "trailing": b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"x"}} {}',
    "twice": b'{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"method":"tasks/get","params":{"id":"x"}}',
    "method-twice": b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","method":"gone","params":{"id":"x"}}',
    "no-version": b'{"id":1,"method":"tasks/get","params":{"id":"x"}}',
    "id-object": b'{"jsonrpc":"2.0","id":{},"method":"tasks/get","params":{"id":"x"}}',
    "id-long": b'{"jsonrpc":"2.0","id":"' + b"x" * 5000 + b'","method":"tasks/get","params":{"id":"x"}}',
    "id-huge": b'{"jsonrpc":"2.0","id":' + b"9" * 400 + b',"method":"tasks/get","params":{"id":"x"}}',
    "method-number": b'{"jsonrpc":"2.0","id":1,"method":5}',
    "method-odd": b'{"jsonrpc":"2.0","id":1,"method":"tasks/\\u0000get"}',
    "params-list": b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":["x"]}',
    "params-text": b'{"jsonrpc":"2.0","id":1,"method":"tasks/send","params":"x"}',
    "deep": b"[" * 100_000,
    "deep-object": b'{"a":' * 50_000,
    "nul": b"\0" * 100,
}


@pytest.fixture
def http(desk: Running) -> Iterator[httpx.Client]:
    with httpx.Client(headers=desk.auth, timeout=30) as client:
        yield client


def rpc_answer(answer: httpx.Response) -> Any:
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.headers["content-type"].startswith("text/event-stream"):
        return None
    document = json.loads(answer.content)
    assert document["jsonrpc"] == "2.0"
    assert ("result" in document) != ("error" in document)
    if "error" in document:
        assert document["error"]["code"] in CODES, document
        assert document["error"]["message"]
    return document


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_are_no_request(http: httpx.Client, desk: Running, body: bytes) -> None:
    for kind in (JSON_TYPE, "application/a2a+json"):
        document = rpc_answer(http.post(desk.agent("desk"), content=body, headers={"Content-Type": kind}))
        assert "error" in document


@pytest.mark.parametrize("method", METHODS)
def test_params_that_fit_nothing(http: httpx.Client, desk: Running, method: str) -> None:
    for place in PLACES.values():
        for value in VALUES.values():
            body = f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{place.format(value)}}}'
            rpc_answer(
                http.post(desk.agent("desk"), content=body.encode(), headers={"Content-Type": JSON_TYPE})
            )


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "x", "application/json/x"]
)
def test_other_content_types(http: httpx.Client, desk: Running, kind: str) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}'
    base = desk.agent("desk")
    for path in ("", "/v1/message:send", "/message:send", "/sessions"):
        answer = http.post(base + path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 415
        json.loads(answer.content)


PATHS = [
    "/v1/message:send",
    "/v1/message:stream",
    "/v1/tasks/x/pushNotificationConfigs",
    "/message:send",
    "/sessions",
]


@pytest.mark.parametrize("path", PATHS)
def test_bodies_below_a_path(http: httpx.Client, desk: Running, path: str) -> None:
    address = desk.agent("desk") + path
    bodies = [
        *BODIES.values(),
        *(place.format(value).encode() for place in PLACES.values() for value in VALUES.values()),
        *(
            place.format(value).replace('"parts"', '"content"').replace('"message"', '"request"').encode()
            for place in PLACES.values()
            for value in VALUES.values()
        ),
    ]
    for body in bodies:
        answer = http.post(address, content=body, headers={"Content-Type": JSON_TYPE})
        assert answer.status_code < 500, (body[:200], answer.text)
        if answer.headers["content-type"].startswith("text/event-stream"):
            continue
        document = json.loads(answer.content)
        if answer.status_code >= 400:
            told = document.get("error", document)
            assert told.get("message") or told.get("detail"), document


@pytest.mark.parametrize(
    "path",
    [
        *("/v1", "/v1/", "/v1/tasks", "/v1/tasks/", "/v1/tasks/%00", "/v1/tasks/x:y", "/v1/tasks/:cancel"),
        *("/v1/tasks/x/pushNotificationConfigs/a/b", "/v1/tasks/x/y", "/v1/%6dessage:send", "/v1/card/x"),
        *("/v1/message%3Asend", "/v1/message:send/x", "/v1/tasks/" + "x" * 2000),
        *("/v1/tasks/x?historyLength=x", "/v1/tasks/x?historyLength=1e9", "/sessions/x", "/sessions/%FF"),
        *("/sessions/x/messages/y", "/sessions/x/%2e%2e"),
    ],
    ids=lambda path: path[:40],
)
def test_paths_that_lead_nowhere(http: httpx.Client, desk: Running, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PUT"):
        answer = http.request(method, desk.agent("desk") + path)
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
        json.loads(answer.content)


def test_the_platform_goes_on(http: httpx.Client, desk: Running) -> None:
    params = {"message": {"messageId": "after", "role": "user", "parts": [{"kind": "text", "text": "hi"}]}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": params}
    assert http.post(desk.agent("desk"), json=body).json()["result"]["status"]["state"] == "completed"
    assert "failed" not in desk.log.read_text()


@pytest.mark.parametrize(
    "value", ["[]", '["a2a-cloud/grant"]', '["a2a-cloud/priority"]', '"a2a-cloud/grant"', "5"]
)
def test_metadata_of_an_answer_has_to_be_an_object(desk: Running, value: str) -> None:
    """An answer needs no skill, so nobody looks into the metadata for one."""
    said = {
        "messageId": "asks",
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": "advise", "arguments": {"topic": "x"}}}],
    }
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
    task = httpx.post(desk.agent("desk"), json=call, headers=desk.auth).json()["result"]["task"]
    said = {"messageId": "answers", "role": "ROLE_USER", "taskId": task["id"], "parts": [{"text": "England"}]}
    call["params"] = {"message": said, "metadata": json.loads(value)}
    answer = httpx.post(desk.agent("desk"), json=call, headers=desk.auth).json()
    assert answer["error"]["code"] == -32602
