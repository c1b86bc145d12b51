"""What is gRPC's own in the gRPC binding: bytes that are no message, deadlines, clients that leave or read
nothing, many readers, the port, the end.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import httpx
import official as sdk
import pytest
from a2a.types import a2a_pb2 as pb
from bindings import Refused, Spoken
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from running import Running

PREFIX = "/lf.a2a.v1.A2AService/"


@pytest.fixture
def spoken(desk: Running) -> Spoken:
    return Spoken("GRPC", desk.url, desk.grpc, "desk", desk.auth)


@pytest.fixture
def raw(desk: Running) -> Iterator[Callable[..., bytes]]:
    """`raw(method, body)` sends bytes as they are."""
    with grpc.insecure_channel(desk.grpc) as channel:

        def call(method: str, body: bytes, **metadata: str) -> bytes:
            said = {"authorization": f"Bearer {desk.key}", **metadata}
            return channel.unary_unary(PREFIX + method)(body, metadata=list(said.items()), timeout=20)

        yield call


def refused(call: Callable[..., bytes], *args: Any, **metadata: str) -> tuple[str, str]:
    """(code, ErrorInfo's reason) of a call that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **metadata)
    error: Any = caught.value
    trailing = dict(error.trailing_metadata() or ())
    info = error_details_pb2.ErrorInfo()
    if "grpc-status-details-bin" in trailing:
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        assert status.code == error.code().value[0]
        assert status.details[0].Unpack(info)
        assert info.domain == "a2a-protocol.org"
    return error.code().name, info.reason


def message(skill: str, tenant: str = "desk", **arguments: Any) -> pb.SendMessageRequest:
    request = sdk.call(skill, arguments)
    request.tenant = tenant
    return request


# --- what is no message, or none that fits ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["SendMessage", "GetTask", "ListTasks"])
@pytest.mark.parametrize(
    "body", [b"\xff\xff", b"\x0a\x05a", b"\x0a\x02\xff\xfe"], ids=["wild", "cut", "utf-8"]
)
def test_bytes_that_are_no_message(raw: Callable[..., bytes], method: str, body: bytes) -> None:
    assert refused(raw, method, body) == ("INVALID_ARGUMENT", "MALFORMED")


values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["", "x", "desk", "task_none", "\x00", "ü", "x" * 300]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)
requests = st.builds(
    lambda message, rest: {"message": message, **rest},
    st.fixed_dictionaries(
        {},
        optional={
            "messageId": names,
            "contextId": names,
            "taskId": names,
            "role": st.sampled_from(["ROLE_USER", "ROLE_AGENT", 7]),
            "parts": st.lists(
                st.one_of(
                    st.builds(lambda data: {"data": data}, values),
                    st.builds(
                        lambda skill, data: {"data": {"skill": skill, "arguments": data}}, names, values
                    ),
                    st.builds(lambda text, name: {"text": text, "filename": name}, names, names),
                    st.just({"raw": "AAAA", "mediaType": "a/b"}),
                    st.just({}),
                ),
                max_size=3,
            ),
            "metadata": st.dictionaries(st.sampled_from(["skill", "a2a-cloud/grant", "x"]), values),
            "extensions": st.lists(names, max_size=2),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "metadata": st.dictionaries(st.text(max_size=3), values, max_size=2),
            "configuration": st.fixed_dictionaries(
                {},
                optional={
                    "historyLength": st.integers(-(2**31), 2**31 - 1),
                    "acceptedOutputModes": st.lists(names, max_size=2),
                },
            ),
        },
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests)
def test_whatever_is_said_is_answered(spoken: Spoken, request: dict[str, Any]) -> None:
    answer = spoken.call("SendMessage", request)
    if isinstance(answer, Refused):
        assert spoken.status in ("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS")


def test_a_method_that_is_not_there(raw: Callable[..., bytes]) -> None:
    assert refused(raw, "Explode", b"")[0] == "UNIMPLEMENTED"


def test_a_key_comes_before_everything(raw: Callable[..., bytes]) -> None:
    assert refused(raw, "GetTask", b"\xff", authorization="Bearer no") == (
        "UNAUTHENTICATED",
        "UNAUTHENTICATED",
    )


def test_a_message_that_is_too_large(raw: Callable[..., bytes], spoken: Spoken) -> None:
    request = sdk.request(pb.Part(raw=bytes(17 << 20)))
    assert refused(raw, "SendMessage", request.SerializeToString())[0] == "RESOURCE_EXHAUSTED"
    assert "task" in spoken.call("SendMessage", {"message": _text("still there")})


def test_without_a_tenant_and_with_many_agents(raw: Callable[..., bytes]) -> None:
    body = pb.GetTaskRequest(id="x").SerializeToString()
    assert refused(raw, "GetTask", body) == ("INVALID_ARGUMENT", "INVALID_PARAMS")


def test_without_a_tenant_the_only_agent_is_meant(desk: Running) -> None:
    # Who has no key sees one agent here.
    with grpc.insecure_channel(desk.grpc) as channel:
        call = channel.unary_unary(
            PREFIX + "SendMessage", pb.SendMessageRequest.SerializeToString, pb.SendMessageResponse.FromString
        )
        answer = call(sdk.text("hello"), timeout=20)
    assert answer.task.artifacts[0].parts[0].text == "HELLO"


def test_a_release_by_its_number(desk: Running) -> None:
    for tenant, headers in (("1--desk", {}), ("desk", {"A2A-Release": "1"})):
        spoken = Spoken("GRPC", desk.url, desk.grpc, tenant, {**desk.auth, **headers})
        assert "task" in spoken.call("SendMessage", {"message": _text("x")})
    spoken = Spoken("GRPC", desk.url, desk.grpc, "desk", {**desk.auth, "A2A-Release": "99"})
    found = spoken.call("SendMessage", {"message": _text("x")})
    assert (found.reason, spoken.status) == ("RELEASE_NOT_FOUND", "NOT_FOUND")


def _text(words: str) -> dict[str, Any]:
    return {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": words}]}


def test_calls_are_counted(desk: Running, spoken: Spoken) -> None:
    spoken.call("GetTask", {"id": "task_none"})
    text = _metrics(desk)
    assert 'a2a_http_requests_total{route="grpc-GetTask",status="404"}' in text


# --- deadlines, and clients that leave --------------------------------------------------------------------


def run(desk: Running, test: Callable[[grpc.aio.Channel], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with grpc.aio.insecure_channel(desk.grpc) as channel, asyncio.timeout(40):
            await test(channel)

    asyncio.run(inside())


def unary(channel: grpc.aio.Channel, desk: Running, method: str, takes: Any, gives: Any) -> Any:
    call = channel.unary_unary(PREFIX + method, takes.SerializeToString, gives.FromString)
    metadata = [("authorization", f"Bearer {desk.key}")]
    return lambda request, **more: call(request, metadata=metadata, **more)


def streaming(channel: grpc.aio.Channel, desk: Running, method: str, takes: Any) -> Any:
    call = channel.unary_stream(PREFIX + method, takes.SerializeToString, pb.StreamResponse.FromString)
    return lambda request, **more: call(request, metadata=[("authorization", f"Bearer {desk.key}")], **more)


def test_a_deadline_ends_the_wait_and_not_the_work(desk: Running, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def test(channel: grpc.aio.Channel) -> None:
        send = unary(channel, desk, "SendMessage", pb.SendMessageRequest, pb.SendMessageResponse)
        request = message("hold", gate=str(gate))
        request.message.context_id = f"ctx-{uuid4()}"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(request, timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.touch()
        # The retry attaches to the run that goes on.
        answer = await send(request, timeout=20)
        assert answer.task.status.state == pb.TASK_STATE_COMPLETED
        listed = unary(channel, desk, "ListTasks", pb.ListTasksRequest, pb.ListTasksResponse)
        page = await listed(pb.ListTasksRequest(tenant="desk", context_id=request.message.context_id))
        assert page.total_size == 1

    run(desk, test)


def test_a_reader_that_leaves_ends_its_own_stream_alone(desk: Running, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def test(channel: grpc.aio.Channel) -> None:
        begin = streaming(channel, desk, "SendStreamingMessage", pb.SendMessageRequest)
        first = begin(message("hold", gate=str(gate), words=1))
        task = (await first.read()).task
        follow = streaming(channel, desk, "SubscribeToTask", pb.SubscribeToTaskRequest)
        second = follow(pb.SubscribeToTaskRequest(tenant="desk", id=task.id))
        assert (await second.read()).task.id == task.id
        first.cancel()
        while _open_streams(desk) != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        gate.touch()
        seen = []
        while (event := await second.read()) is not grpc.aio.EOF:
            seen.append(event)
        assert seen[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
        while _open_streams(desk):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    run(desk, test)


def _metrics(desk: Running) -> str:
    return httpx.get(desk.url + "/metrics", headers=desk.auth).text


def _open_streams(desk: Running) -> int:
    (line,) = [line for line in _metrics(desk).splitlines() if line.startswith("a2a_streams_open ")]
    return int(float(line.split()[1]))


def test_many_readers_by_every_binding_see_the_same(desk: Running, tmp_path: Path) -> None:
    """Twenty by gRPC and one by each of the others, from the same point on."""
    gate = tmp_path / "gate"
    headers = desk.auth
    opened = Spoken("JSONRPC", desk.url, desk.grpc, "desk", headers).call(
        "SendMessage",
        {
            "message": {
                **_text(""),
                "parts": [
                    {
                        "data": {
                            "skill": "pour",
                            "arguments": {"gate": str(gate), "pieces": 300, "size": 200},
                        }
                    }
                ],
            },
            "configuration": {"returnImmediately": True},
        },
    )
    task_id = opened["task"]["id"]
    names = ["GRPC"] * 20 + ["JSONRPC", "HTTP+JSON"]
    seen: list[list[Any]] = [[] for _ in names]

    def read(name: str, events: list[Any]) -> None:
        spoken = Spoken(name, desk.url, desk.grpc, "desk", headers)
        events.extend(spoken.opened("SubscribeToTask", {"id": task_id}))

    readers = [
        threading.Thread(target=read, args=pair, daemon=True) for pair in zip(names, seen, strict=True)
    ]
    for reader in readers:
        reader.start()
    while _open_streams(desk) < len(names):
        time.sleep(0.01)
    gate.touch()
    for reader in readers:
        reader.join(30)
    assert seen[0][-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    for events in seen[1:]:
        assert events[1:] == seen[0][1:]


def test_who_reads_nothing_is_cut_off_and_may_go_on(desk: Running, tmp_path: Path) -> None:
    """A client that asks for no second event, while 12 MB are made."""
    gate = tmp_path / "gate"

    async def test(channel: grpc.aio.Channel) -> None:
        send = unary(channel, desk, "SendMessage", pb.SendMessageRequest, pb.SendMessageResponse)
        options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535)]
        async with grpc.aio.insecure_channel(desk.grpc, options=options) as slow:
            begin = streaming(slow, desk, "SendStreamingMessage", pb.SendMessageRequest)
            lazy = begin(message("pour", gate=str(gate), pieces=400, size=30_000))
            task = (await lazy.read()).task
            gate.touch()
            listed = unary(channel, desk, "ListTasks", pb.ListTasksRequest, pb.ListTasksResponse)
            wanted = pb.ListTasksRequest(tenant="desk", context_id=task.context_id)
            while (await listed(wanted)).tasks[0].status.state != pb.TASK_STATE_COMPLETED:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            answer = await send(message("add", a=1))  # Nobody waits for the lazy one.
            assert answer.task.status.state == pb.TASK_STATE_COMPLETED
            while _open_streams(desk):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            assert 'reason="too-slow"' in _metrics(desk)
            with pytest.raises(grpc.aio.AioRpcError) as caught:  # noqa: PT012
                while await lazy.read() is not grpc.aio.EOF:
                    pass
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "SubscribeToTask" in (caught.value.details() or "")

    run(desk, test)


def test_the_agent_of_those_who_name_none(tester: Running, desk: Running) -> None:
    """A2A_GRPC_AGENT; without it, nothing says which of many is meant."""
    auth = [("authorization", f"Bearer {tester.key}")]
    body = message("text_artifact", tenant="").SerializeToString()
    with grpc.insecure_channel(tester.grpc) as channel:
        answer = channel.unary_unary(PREFIX + "SendMessage")(body, metadata=auth, timeout=20)
    assert pb.SendMessageResponse.FromString(answer).task.status.state == pb.TASK_STATE_COMPLETED
    with grpc.insecure_channel(desk.grpc) as channel:

        def call(method: str, body: bytes) -> bytes:
            auth = [("authorization", f"Bearer {desk.key}")]
            return channel.unary_unary(PREFIX + method)(body, metadata=auth, timeout=20)

        assert refused(call, "SendMessage", body) == ("INVALID_ARGUMENT", "INVALID_PARAMS")


# --- the port, and the end --------------------------------------------------------------------------------


def test_the_card_names_it(desk: Running) -> None:
    def grpc_of(base: str, **headers: str) -> list[dict[str, str]]:
        card = httpx.get(base + "/.well-known/agent-card.json", headers={**desk.auth, **headers}).json()
        return [one for one in card["supportedInterfaces"] if one["protocolBinding"] == "GRPC"]

    port = desk.grpc.rpartition(":")[2]
    shape = {"protocolBinding": "GRPC", "protocolVersion": "1.0"}
    assert grpc_of(desk.agent("desk")) == [{**shape, "url": desk.grpc, "tenant": "desk"}]
    assert grpc_of(desk.agent("desk@1"))[0]["tenant"] == "desk@1"
    by_name = grpc_of(desk.url, Host=f"desk.localhost:{desk.port}")
    assert by_name == [{**shape, "url": f"localhost:{port}", "tenant": "desk"}]


def test_without_it(platform: Callable[..., Running]) -> None:
    running = platform(["open"], A2A_GRPC_PORT="off")
    assert running.grpc == ""
    card = httpx.get(running.agent("open") + "/.well-known/agent-card.json").json()
    assert "GRPC" not in [one["protocolBinding"] for one in card["supportedInterfaces"]]


def test_an_address_of_the_operators(platform: Callable[..., Running]) -> None:
    running = platform(["open"], A2A_GRPC_URL="grpc.example.com:443")
    card = httpx.get(running.agent("open") + "/.well-known/agent-card.json").json()
    (url,) = [one["url"] for one in card["supportedInterfaces"] if one["protocolBinding"] == "GRPC"]
    assert url == "grpc.example.com:443"


def test_a_port_that_is_taken(platform: Callable[..., Running], tmp_path: Path) -> None:
    with socket.socket() as other, socket.socket() as below:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        try:
            below.bind(("127.0.0.1", port - 1))
            free = True
        except OSError:
            free = False
        below.close()
        # Named, it has to be that one; the port beside HTTP's may be another.
        running = platform(["open"])
        done = subprocess.run(
            [running.process.args[0], "-m", "a2a_cloud.app"],  # type: ignore[index]
            env={**running.env, "A2A_DATA": str(tmp_path / "taken"), "A2A_GRPC_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 1
        assert f"gRPC can't listen on 127.0.0.1, port {port}" in done.stderr
        assert "A2A_GRPC_PORT" in done.stderr
        assert "Traceback" not in done.stderr
        if free:
            beside = platform(["open"], A2A_PORT=str(port - 1))
            assert beside.port == port - 1
            assert beside.grpc.rpartition(":")[2] not in ("", str(port))


def test_its_end_tells_who_still_listens(platform: Callable[..., Running], tmp_path: Path) -> None:
    running = platform(["desk"])
    ends: list[str] = []

    def listen() -> None:
        spoken = Spoken("GRPC", running.url, running.grpc, "desk", running.auth)
        data = {"skill": "advise", "arguments": {"topic": "tea"}}
        first = {**_text(""), "parts": [{"data": data}]}
        task = spoken.call("SendMessage", {"message": first})["task"]
        events = spoken.opened("SubscribeToTask", {"id": task["id"]})
        ends.append(next(events)["task"]["id"])
        last = list(events)[-1]
        assert isinstance(last, Refused)
        ends.append(str(spoken.status))

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    while not ends:
        time.sleep(0.01)
    assert running.stop() == 0
    reader.join(20)
    assert ends[1] in ("UNAVAILABLE", "CANCELLED")
    log = running.log.read_text()
    assert "Traceback" not in log
    assert "grpc" not in log.lower().replace("\n  grpc       127.0.0.1", "")
