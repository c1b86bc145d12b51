"""surface/streams.py: what an open stream does when its client reads slowly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import pytest
from tape import Links, Tape

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Busy
from a2a_cloud.model.run import StatusEvent, TextEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.surface.framing import PLAIN
from a2a_cloud.surface.metrics import Metrics
from a2a_cloud.surface.ports import SurfaceLimits
from a2a_cloud.surface.streams import Stream, Streams

ALICE = Principal(7, 1, "alice", "default")
SCOPE = Scope(1, 7)


class Transport:
    def __init__(self, client: Client) -> None:
        self.client = client

    def abort(self) -> None:
        self.client.aborted = True
        self.client.leave()


class Client:
    """One connection of a server: `send` waits before it writes while the client is slow."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.gone = asyncio.Event()
        self.body = b""
        self.complete = False
        self.aborted = False
        self.transport = Transport(self)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self.writable.is_set():
            await self.writable.wait()
        self.body += message.get("body", b"")
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True
            self.gone.set()

    async def receive(self) -> MutableMapping[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self.gone.set()


COMPLETED = StatusEvent(state=TaskState.COMPLETED, at=1.0)
ASKED = StatusEvent(state=TaskState.INPUT_REQUIRED, at=1.0)


class Bench:
    def __init__(self, **limits: Any) -> None:
        self.tape = Tape()
        self.metrics = Metrics()
        self.streams = Streams(cast("Any", self.tape), SurfaceLimits(**limits), self.metrics)

    async def open(self, client: Client, **kwargs: Any) -> tuple[Stream, asyncio.Task[None]]:
        stream = Stream(self.streams, ALICE, client.receive, client.send, PLAIN, Links(), **kwargs)
        await stream.start(b"event: status\ndata: {}\n\n")
        stream.subscribe(SCOPE, 1, "task_1", (1, 0))
        return stream, asyncio.create_task(stream.wait())


async def turns() -> None:
    """Lets everything that is ready go on."""
    for _ in range(10):
        await asyncio.sleep(0)


def ids(body: bytes) -> list[int]:
    return [int(line[6:]) for line in body.split(b"\n") if line.startswith(b"id: 1.")]


def check(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_a_stream_ends_with_its_task() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        _, over = await bench.open(client)
        bench.tape.add(TextEvent(delta="a"))
        bench.tape.add(COMPLETED, closes=True)
        await over
        assert ids(client.body) == [1, 2]
        assert client.complete
        assert bench.tape.sinks == []
        assert (bench.metrics.streams_open, dict(bench.metrics.streams_closed)) == (0, {"ended": 1})

    check(test)


def test_a_slow_client_catches_up_from_where_it_was() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        stream, over = await bench.open(client)
        bench.tape.add(TextEvent(delta="a"))
        client.writable.clear()
        for n in range(5):
            bench.tape.add(TextEvent(delta=str(n)))
        assert ids(client.body) == [1]
        assert stream.position == (1, 1)
        await turns()
        client.writable.set()
        await turns()
        assert ids(client.body) == [1, 2, 3, 4, 5, 6]
        bench.tape.add(COMPLETED, closes=True)
        await over
        assert ids(client.body) == [1, 2, 3, 4, 5, 6, 7]
        assert bench.metrics.streams_lagged == 1
        assert bench.tape.subscribed == [(1, 0), (1, 1)]

    check(test)


def test_a_client_that_lags_at_the_end_still_gets_it() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        _, over = await bench.open(client)
        client.writable.clear()
        bench.tape.add(COMPLETED, closes=True)
        await turns()
        assert not over.done()
        client.writable.set()
        await over
        assert ids(client.body) == [1]
        assert client.complete

    check(test)


def test_a_client_that_lags_at_a_question_still_sees_it_close() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        _, over = await bench.open(client, until_input=True)
        client.writable.clear()
        bench.tape.add(ASKED)
        await turns()
        client.writable.set()
        await over
        assert ids(client.body) == [1]
        assert dict(bench.metrics.streams_closed) == {"input-required": 1}

    check(test)


def test_a_client_that_never_reads_is_dropped() -> None:
    async def test() -> None:
        bench, client = Bench(drain_seconds=0.0), Client()
        _, over = await bench.open(client)
        client.writable.clear()
        bench.tape.add(TextEvent(delta="a"))
        await over
        assert client.aborted
        assert not client.complete
        assert dict(bench.metrics.streams_closed) == {"too-slow": 1}
        assert bench.tape.sinks == []

    check(test)


def test_one_slow_client_holds_up_nobody() -> None:
    async def test() -> None:
        bench, slow, fast = Bench(), Client(), Client()
        _, slow_over = await bench.open(slow)
        _, fast_over = await bench.open(fast)
        slow.writable.clear()
        bench.tape.add(TextEvent(delta="a"))
        bench.tape.add(COMPLETED, closes=True)
        await fast_over
        assert ids(fast.body) == [1, 2]
        slow.leave()
        await slow_over
        assert dict(bench.metrics.streams_closed) == {"ended": 1, "disconnected": 1}

    check(test)


def test_a_disconnect_ends_the_subscription_alone() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        _, over = await bench.open(client)
        client.leave()
        await over
        assert bench.tape.sinks == []
        bench.tape.add(TextEvent(delta="a"))
        assert ids(client.body) == []

    check(test)


def test_questions_that_were_answered_do_not_close_a_replay() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        bench.tape.add(ASKED)
        bench.tape.add(TextEvent(delta="a"))
        _, over = await bench.open(client, until_input=True)
        await turns()
        assert not over.done()
        bench.tape.add(ASKED)
        await over
        assert ids(client.body) == [1, 2, 3]

    check(test)


def test_an_open_question_in_a_replay_closes_it() -> None:
    async def test() -> None:
        bench, client = Bench(), Client()
        bench.tape.add(ASKED)
        _, over = await bench.open(client, until_input=True)
        await over
        assert client.complete

    check(test)


def test_all_streams_get_keep_alive_comments() -> None:
    async def test() -> None:
        bench = Bench(keep_alive_seconds=0.015)
        clients = [Client() for _ in range(20)]
        over = [(await bench.open(client))[1] for client in clients]
        while not all(b"\n: keep-alive\n" in client.body for client in clients):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        for client in clients:
            client.leave()
        await asyncio.gather(*over)

    check(test)


def test_streams_per_principal_are_capped() -> None:
    async def test() -> None:
        bench = Bench(streams=2)
        clients = [Client(), Client()]
        over = []
        for client in clients:
            bench.streams.check(ALICE)
            over.append((await bench.open(client))[1])
        with pytest.raises(Busy):
            bench.streams.check(ALICE)
        bench.streams.check(Principal(8, 1, "bob", "default"))
        clients[0].leave()
        await over[0]
        bench.streams.check(ALICE)
        clients[1].leave()
        await over[1]

    check(test)
