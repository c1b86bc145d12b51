"""A line to an agent that fails in every way: what is tried again, what is not, and where a key never
goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cli_platform import Played, playing

from a2a_cloud.client import a2a_line
from a2a_cloud.client.a2a import A2AClient
from a2a_cloud.client.a2a_card import read_card
from a2a_cloud.client.a2a_choice import interfaces
from a2a_cloud.client.a2a_http import Limits, Web
from a2a_cloud.client.a2a_shapes import Event, Task
from a2a_cloud.client.discovery import PATHS, CardCache, Trust, find_card
from a2a_cloud.client.errors import BadAnswer, NoAnswer, NoCard, NoInterface, ServerProblem, Untrusted
from a2a_cloud.model.card import IDEMPOTENCY

GRPC = {"url": "127.0.0.1:1", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
DONE = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}
WORKING = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_WORKING"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    with playing() as played:
        yield played


@pytest.fixture
def played(server: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    server.asked.clear()
    server.answers.clear()
    monkeypatch.setattr(a2a_line, "RETRIES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(a2a_line, "PAUSES", (0.0,) * 4)
    monkeypatch.setattr(a2a_line, "LOOK", 0.0)
    return server


def card(played: Played, **members: Any) -> dict[str, Any]:
    interfaces = [{"url": played.url + "/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    return {
        "name": "echo",
        "description": "d",
        "version": "1",
        "capabilities": {"streaming": True},
        "supportedInterfaces": interfaces,
        **members,
    }


def speak(
    played: Played,
    test: Callable[[A2AClient], Awaitable[Any]],
    document: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Runs `test` with a client of the played agent."""
    played.json("GET", PATHS[0], document or card(played))

    async def inside() -> Any:
        async with A2AClient.discover(played.url, **options) as agent:
            return await test(agent)

    return asyncio.run(inside())


class Script:
    """Answers of the agent's JSON-RPC, one after the other; the last one stays."""

    def __init__(self, played: Played, *answers: Any) -> None:
        self.played = played
        self.left = list(answers)
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        played.answers["POST", "/rpc"] = self.answer

    @property
    def methods(self) -> list[str]:
        return [call["method"] for call in self.calls]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        call = json.loads(self.played.asked[-1].body)
        self.calls.append(call)
        self.headers.append(dict(request.headers))
        said = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(said, int):
            return web.Response(status=said, headers={"Retry-After": "0"})
        if said == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(said, list):
            return await self.stream(request, call, said)
        key = "error" if "code" in said else "result"
        return web.json_response({"jsonrpc": "2.0", "id": call["id"], key: said})

    async def stream(
        self, request: web.Request, call: dict[str, Any], events: list[Any]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, event in enumerate(events):
            if event == "cut":
                assert request.transport is not None
                request.transport.abort()
                return response
            body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": event})
            await response.write(f"id: {number}\ndata: {body}\n\n".encode())
        return response


def status(state: str) -> dict[str, Any]:
    return {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": {"state": f"TASK_STATE_{state}"}}}


async def send(agent: A2AClient) -> Task:
    answer = await agent.send("hello")
    assert isinstance(answer, Task)
    return answer


async def stream(agent: A2AClient) -> list[Event]:
    return [event async for event in agent.stream("hello")]


# --- again, or not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cut", 502, 503, 504])
def test_a_message_is_not_sent_twice(played: Played, first: Any) -> None:
    script = Script(played, first, {"task": DONE})
    with pytest.raises((NoAnswer, ServerProblem)):
        speak(played, send, key="k")
    assert script.methods == ["SendMessage"]


@pytest.mark.parametrize("first", ["cut", 502, 503, 429])
def test_but_it_is_where_the_agent_answers_it_once(played: Played, first: Any) -> None:
    script = Script(played, first, {"task": DONE})
    document = card(played, capabilities={"streaming": True, "extensions": [{"uri": IDEMPOTENCY}]})
    assert speak(played, send, document, key="k").state == "completed"
    sent = [call["params"]["message"]["messageId"] for call in script.calls]
    assert len(sent) == 2
    assert sent[0] == sent[1]


def test_nobody_is_known_without_a_key(played: Played) -> None:
    script = Script(played, "cut", {"task": DONE})
    document = card(played, capabilities={"extensions": [{"uri": IDEMPOTENCY}]})
    with pytest.raises(NoAnswer):
        speak(played, send, document)
    assert len(script.calls) == 1


@pytest.mark.parametrize("first", ["cut", 429, 502, 503, 504])
def test_a_question_may_be_asked_again(played: Played, first: Any) -> None:
    script = Script(played, first, first, DONE)
    assert speak(played, lambda agent: agent.get_task("t1")).state == "completed"
    assert script.methods == ["GetTask"] * 3


def test_but_not_for_ever(played: Played) -> None:
    script = Script(played, 503)
    with pytest.raises(ServerProblem):
        speak(played, lambda agent: agent.get_task("t1"))
    assert len(script.calls) == 4


def test_a_refusal_is_not_asked_again(played: Played) -> None:
    script = Script(played, {"code": -32001, "message": "gone"})
    with pytest.raises(ServerProblem) as refused:
        speak(played, lambda agent: agent.get_task("t1"))
    assert (refused.value.code, refused.value.status, len(script.calls)) == ("task_not_found", 404, 1)


def test_an_answer_that_is_none(played: Played) -> None:
    Script(played, {"surprise": True})
    with pytest.raises(BadAnswer):
        speak(played, send)


# --- streams -----------------------------------------------------------------------------------------------


def test_a_broken_stream_is_taken_up(played: Played) -> None:
    script = Script(
        played, [{"task": WORKING}, "cut"], [{"task": WORKING}, status("WORKING"), "cut"], [{"task": DONE}]
    )
    broken: list[str] = []
    events = speak(played, stream, broken=broken.append)
    assert [event.state for event in events] == ["working", "working", "working", "completed"]
    assert script.methods == ["SendStreamingMessage", "SubscribeToTask", "SubscribeToTask"]
    assert script.calls[1]["params"] == {"id": "t1"}
    assert [headers.get("Last-Event-ID") for headers in script.headers] == [None, "0", "1"]
    assert len(broken) == 2


def test_a_stream_that_closes_early_is_taken_up(played: Played) -> None:
    Script(played, [{"task": WORKING}], [{"task": WORKING}, status("COMPLETED")])
    assert [event.state for event in speak(played, stream)] == ["working", "working", "completed"]


def test_a_task_that_ended_meanwhile_is_read(played: Played) -> None:
    gone = {"code": -32004, "message": "it has ended"}
    script = Script(played, [{"task": WORKING}, "cut"], gone, DONE)
    assert [event.state for event in speak(played, stream)] == ["working", "completed"]
    assert script.methods == ["SendStreamingMessage", "SubscribeToTask", "GetTask"]


def test_a_stream_that_always_breaks_ends(played: Played) -> None:
    script = Script(played, [{"task": WORKING}, "cut"])
    with pytest.raises(NoAnswer):
        speak(played, stream)
    assert len(script.calls) == 5


def test_a_stream_that_named_no_task_is_not_opened_again(played: Played) -> None:
    script = Script(played, ["cut"])
    with pytest.raises(NoAnswer):
        speak(played, stream, key="k")
    assert len(script.calls) == 1


def test_a_question_ends_the_stream_unless_we_wait(played: Played) -> None:
    asks = [{"task": WORKING}, status("INPUT_REQUIRED")]
    Script(played, asks)
    assert [event.state for event in speak(played, stream)] == ["working", "input-required"]
    waiting = {**DONE, "status": {"state": "TASK_STATE_INPUT_REQUIRED"}}
    script = Script(played, asks, waiting, waiting, DONE)

    async def wait(agent: A2AClient) -> list[Event]:
        return [event async for event in agent.stream("hello", wait=True)]

    assert [event.state for event in speak(played, wait)] == ["working", "input-required", "completed"]
    assert script.methods == ["SendStreamingMessage", "GetTask", "GetTask", "GetTask"]


def test_an_agent_that_does_not_stream_is_looked_at(played: Played) -> None:
    script = Script(played, {"task": WORKING}, WORKING, {**WORKING, "artifacts": []}, DONE)
    events = speak(played, stream, card(played, capabilities={}))
    assert [event.state for event in events] == ["working", "working", "completed"]
    assert script.calls[0]["params"]["configuration"] == {"returnImmediately": True}


def test_a_server_that_answers_at_once_is_waited_for(played: Played) -> None:
    script = Script(played, {"task": WORKING}, WORKING, DONE)
    assert speak(played, send).state == "completed"
    assert script.methods == ["SendMessage", "GetTask", "GetTask"]


# --- interfaces ------------------------------------------------------------------------------------------


def test_a_version_that_is_refused_is_left(played: Played) -> None:
    document = card(played, url=played.url + "/rpc", protocolVersion="0.3.0")
    task = {"kind": "task", "id": "t1", "contextId": "c1", "status": {"state": "completed"}}
    script = Script(played, {"code": -32009, "message": "no"}, task)
    assert speak(played, send, document).state == "completed"
    assert script.methods == ["SendMessage", "message/send"]
    assert [headers["A2A-Version"] for headers in script.headers] == ["1.0", "0.3"]


def test_an_interface_that_has_answered_is_kept(played: Played) -> None:
    document = card(played, url=played.url + "/rpc", protocolVersion="0.3.0")
    script = Script(played, DONE, {"code": -32601, "message": "no such method"})

    async def test(agent: A2AClient) -> None:
        await agent.get_task("t1")
        with pytest.raises(ServerProblem) as refused:
            await agent.get_task("t1")
        assert refused.value.code == "method_not_found"
        assert agent.interface.version == "1.0"

    speak(played, test, document)
    assert script.methods == ["GetTask", "GetTask"]
    # And one that only lacks a method is not left for it.
    Script(played, {"code": -32601, "message": "no such method"})

    async def lists(agent: A2AClient) -> None:
        with pytest.raises(ServerProblem):
            await anext(agent.list_tasks())
        assert agent.interface.version == "1.0"

    speak(played, lists, document)


def test_a_server_that_is_away_is_left_for_another(played: Played) -> None:
    interfaces = [
        {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        for url in ("http://127.0.0.1:1/rpc", "http://127.0.0.1:1/other", played.url + "/rpc")
    ]
    script = Script(played, {"task": DONE})
    assert speak(played, send, card(played, supportedInterfaces=interfaces)).state == "completed"
    assert len(script.calls) == 1


def test_an_agent_of_before_0_3(played: Played) -> None:
    early = {
        "name": "old",
        "url": played.url + "/rpc",
        "version": "0",
        "capabilities": {"streaming": True},
        "skills": [],
    }
    task = {"id": "t1", "sessionId": "s1", "status": {"state": "completed"}}
    script = Script(played, {"code": -32601, "message": "no such method"}, task)
    played.json("GET", PATHS[1], early)

    async def inside() -> Any:
        async with A2AClient.discover(played.url) as agent:
            return await agent.send("hello", message_id="m1")

    answer = asyncio.run(inside())
    assert (answer.id, answer.context_id, answer.state) == ("t1", "s1", "completed")
    assert script.methods == ["message/send", "tasks/send"]
    assert script.calls[1]["params"]["id"] == "m1"
    assert script.calls[1]["params"]["message"]["parts"] == [{"type": "text", "text": "hello"}]


def test_without_a_card(played: Played) -> None:
    script = Script(played, {"id": "t1", "status": {"state": "completed"}})

    async def inside() -> Any:
        async with A2AClient.at(played.url + "/rpc", version="") as agent:
            return await agent.send("hello")

    assert asyncio.run(inside()).state == "completed"
    assert script.methods == ["tasks/send"]


# --- keys ------------------------------------------------------------------------------------------------


def test_a_key_never_leaves_its_origin(played: Played) -> None:
    with playing() as other:
        elsewhere = [{"url": other.url + "/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
        script = Script(other, {"task": DONE})
        speak(played, send, card(played, supportedInterfaces=elsewhere), key="k1")
        assert "Authorization" not in script.headers[0]
        assert played.asked[0].headers["Authorization"] == "Bearer k1"
        speak(played, send, card(played, supportedInterfaces=elsewhere), key="k1", keys={other.url: "k2"})
        assert script.headers[1]["Authorization"] == "Bearer k2"


def test_a_key_in_a_header_of_its_own(played: Played) -> None:
    script = Script(played, {"task": DONE})
    schemes = {"k": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}}}
    speak(played, send, card(played, securitySchemes=schemes), key="k1")
    assert script.headers[0]["X-Key"] == "k1"
    assert "Authorization" not in script.headers[0]


def test_redirects_are_not_followed(played: Played) -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/evil"})

    played.answers["POST", "/rpc"] = away
    with pytest.raises(ServerProblem) as refused:
        speak(played, send, key="k1")
    assert refused.value.code == "redirect"


def test_a_connector_sees_every_address(played: Played) -> None:
    class Refused(OSError):
        pass

    def guard(address: Any) -> Any:
        raise Refused(f"{address[4]} is private")

    async def inside() -> None:
        connector = aiohttp.TCPConnector(socket_factory=guard)
        async with connector, A2AClient.discover(played.url, connector=connector):
            pass

    with pytest.raises(NoAnswer) as refused:
        asyncio.run(inside())
    assert not refused.value.sent
    assert played.asked == []
    grpc = read_card({"name": "x", "supportedInterfaces": [GRPC]}, played.url)
    assert [each.binding for each in interfaces(grpc)] == ["GRPC"]
    with pytest.raises(NoInterface):  # it would go past the connector
        interfaces(grpc, grpc=False)


@pytest.mark.parametrize("where", ["card", "answer"])
def test_sizes_have_an_end(played: Played, where: str) -> None:
    Script(played, {"task": {**DONE, "metadata": {"x": "y" * 5000}}})
    limits = Limits(card=100) if where == "card" else Limits(body=1000)
    with pytest.raises(BadAnswer, match="larger"):
        speak(played, send, limits=limits)


# --- cards -----------------------------------------------------------------------------------------------


def find(played: Played, cache: CardCache, key: str = "") -> str:
    async def inside() -> str:
        async with Web({played.url: key} if key else {}) as connection:
            return (await find_card(connection, played.url, cache=cache)).name

    return asyncio.run(inside())


def test_a_card_is_asked_for_by_its_etag(played: Played) -> None:
    cache = CardCache()

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"ETag": '"1"', "Cache-Control": "public, max-age=0"}
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers=headers)
        return web.json_response(card(played), headers=headers)

    played.answers["GET", PATHS[0]] = answer
    assert [find(played, cache) for _ in range(3)] == ["echo"] * 3
    assert [asked.headers.get("If-None-Match") for asked in played.asked] == [None, '"1"', '"1"']


@pytest.mark.parametrize(
    ("control", "asked"),
    [("max-age=60", 1), ("no-store, max-age=60", 2), ("no-cache", 2), ("", 2), ("max-age=x", 2)],
)
def test_how_long_a_card_is_fresh(played: Played, control: str, asked: int) -> None:
    cache = CardCache()

    async def inside() -> None:
        async with Web() as connection:
            for _ in range(2):
                await find_card(connection, played.url, cache=cache)

    played.json("GET", PATHS[0], card(played), Cache_Control=control)
    asyncio.run(inside())
    assert len(played.asked) == asked


def test_the_cache_is_bounded_and_keeps_keys_apart(played: Played) -> None:
    cache = CardCache(most=2)

    async def inside() -> None:
        for key in ("", "a", "b", ""):
            async with Web({_origin(played.url): key} if key else {}) as connection:
                await find_card(connection, played.url, cache=cache)

    played.json("GET", PATHS[0], card(played), Cache_Control="max-age=60")
    asyncio.run(inside())
    assert len(played.asked) == 4


def _origin(url: str) -> str:
    return url.lower()


@pytest.mark.parametrize("path", PATHS)
def test_each_place_where_a_card_may_be(played: Played, path: str) -> None:
    played.json("GET", path, card(played))
    assert find(played, CardCache()) == "echo"


def test_no_card(played: Played) -> None:
    with pytest.raises(NoCard):
        find(played, CardCache())
    played.json("GET", PATHS[0], {"hello": "world"})
    with pytest.raises(NoCard):
        find(played, CardCache())


def test_a_card_that_has_to_be_signed(played: Played) -> None:
    with pytest.raises(Untrusted):
        speak(played, send, trust=Trust(require=True))


def test_a_jku_elsewhere_is_not_asked(played: Played) -> None:
    from a2a_cloud.wire.jws import b64url

    with playing() as other:
        header = {"alg": "ES256", "kid": "k", "jku": other.url + "/keys"}
        signature = {"protected": b64url(json.dumps(header).encode()).decode(), "signature": "AA"}
        Script(played, {"task": DONE})
        assert speak(played, send, card(played, signatures=[signature])).state == "completed"
        assert other.asked == []
        assert "/.well-known/jwks.json" in [asked.path for asked in played.asked]
        with pytest.raises(Untrusted):
            speak(played, send, card(played, signatures=[signature]), trust=Trust(require=True))
        assert other.asked == []
