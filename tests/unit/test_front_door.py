"""surface/front_door.py and request.py: whatever comes, an answer goes out, and never a stack trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any, ClassVar, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import AgentNotFound, InvalidRequest, Problem, Unauthenticated
from a2a_cloud.model.release import Manifest, Release, SkillSpec, Visibility
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import check_path, segment

SPEC = SkillSpec("echo", "", "", Raw(b'{"type":"object"}'), Raw(b"true"), text_param="text")
OPEN = Release(
    1, 1, 1, "default", 1, "sha256:0", "", Manifest("open", "a.py", visibility=Visibility.PUBLIC), (SPEC,)
)


class Registry:
    notices: ClassVar[dict[Any, Any]] = {}

    def serving(self, name: str) -> Release:
        if name != "open":
            raise AgentNotFound("There is no such agent.")
        return OPEN

    def agents(self, principal: Principal) -> list[Release]:
        return [OPEN]


class Identity:
    def authenticate(self, token: str) -> Principal:
        if token == "crash":
            raise RuntimeError("secret inside")
        raise Unauthenticated("That key is not good.")


def door() -> FrontDoor:
    clock = SystemClock()
    services = Services(
        runs=cast("Any", None),
        identity=cast("Any", Identity()),
        registry=cast("Any", Registry()),
        objects=cast("Any", None),
        deploys=cast("Any", None),
        parts=cast("Any", None),
        variables=cast("Any", None),
        renew=lambda _agent: None,
        clock=clock,
        ids=TimeIds(clock, SystemEntropy()),
        link_key=b"k" * 32,
    )
    return FrontDoor(services)


DOOR = door()


def ask(
    method: str, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"", query: bytes = b""
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(DOOR(scope, receive, send))
    assert sent[0]["type"] == "http.response.start"
    for name, value in sent[0]["headers"]:
        assert b"\n" not in name + value
        assert b"\r" not in name + value
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:])


HOST = (b"host", b"localhost")


def test_what_nobody_expected_is_internal_and_has_an_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, _, body = ask("GET", b"/api/v1/whoami", [HOST, (b"x-api-key", b"crash")])
    problem = msgspec.json.decode(body)
    assert (status, problem["code"]) == (500, "internal")
    assert problem["incident"].startswith("req_")
    assert b"secret" not in body
    assert b"Traceback" not in body
    assert problem["incident"] in caplog.text
    assert "secret inside" in caplog.text


def test_two_different_hosts_or_keys_are_refused() -> None:
    assert ask("GET", b"/healthz", [HOST, (b"host", b"127.0.0.1")])[0] == 400
    keys = [HOST, (b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]
    assert ask("GET", b"/api/v1/whoami", keys)[0] == 400


tokens = st.sampled_from(
    [
        b"agents",
        b"open",
        b"none",
        b"tasks",
        b"sse",
        b"runs",
        b"invoke",
        b"echo",
        b"message:send",
        b"card",
        b"..",
        b".",
        b"%2e%2e",
        b"%00",
        b"%ff",
        b"%",
        b"a:cancel",
        b"\xc3\xa9",
        b" ",
        b"",
        b"api",
        b"v1",
        b"keys",
    ]
)
paths = st.lists(tokens, max_size=6).map(lambda parts: b"/" + b"/".join(parts))
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"content-type",
                b"a2a-version",
                b"accept",
                b"last-event-id",
                b"if-none-match",
                b"a2a-extensions",
                b"content-disposition",
                b"idempotency-key",
                b"if-modified-since",
                b"traceparent",
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=4,
)


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"]),
    paths | st.binary(max_size=30),
    headers,
    st.binary(max_size=60),
    st.binary(max_size=30),
)
def test_no_request_is_our_fault(
    method: str, path: bytes, extra: list[tuple[bytes, bytes]], body: bytes, query: bytes
) -> None:
    # GetTask and the like need runs, which aren't there: only what is refused before is asked for.
    if b"tasks" in path or b"sse" in path or b"runs" in path or b"message" in path or b"invoke" in path:
        method = "BREW"
    status, found, answer = ask(method, path, [HOST, *extra], body, query)
    assert status < 500, answer
    if status >= 400 and method != "HEAD":
        msgspec.json.decode(answer)
    if status == 405:
        assert found[b"allow"]


@given(st.binary(max_size=60))
def test_a_clean_path_is_clean(raw: bytes) -> None:
    try:
        path = check_path(raw)
    except Problem as problem:
        refused: Problem | None = problem
        path = ""
    else:
        refused = None
    assert refused is None or isinstance(refused, InvalidRequest)
    if refused is None:
        assert path.startswith("/")
        assert "//" not in path
        assert not {".", ".."} & set(path.split("/"))


@pytest.mark.parametrize("text", ["%00", "%ff", "%0a", "a%1bb", "%c3%28"])
def test_segments_are_printable_text(text: str) -> None:
    with pytest.raises(InvalidRequest):
        segment(text)
    assert segment("a%20b%2Fc%C3%A9") == "a b/cé"
