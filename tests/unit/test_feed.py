"""surface/feed.py: a reader gets every event once and in order, however slowly it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from tape import Tape

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import TaskNotFound
from a2a_cloud.model.run import AttemptEvent, StatusEvent, TextEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.surface.feed import Feed
from a2a_cloud.surface.metrics import Metrics
from a2a_cloud.surface.ports import SurfaceLimits
from a2a_cloud.surface.streams import Streams

ALICE = Principal(7, 1, "alice", "default")
COMPLETED = StatusEvent(state=TaskState.COMPLETED, at=1.0)
ASKED = StatusEvent(state=TaskState.INPUT_REQUIRED, at=1.0)
WORKING = StatusEvent(state=TaskState.WORKING, at=1.0)


class Bench:
    def __init__(self) -> None:
        self.tape = Tape()
        self.metrics = Metrics()
        self.streams = Streams(cast("Any", self.tape), SurfaceLimits(), self.metrics)

    def feed(self, **kwargs: Any) -> Feed:
        return Feed(self.streams, ALICE, Scope(1, 7), 1, "task_1", **kwargs)

    def say(self, count: int) -> None:
        for _ in range(count):
            self.tape.add(TextEvent(delta="x"))


def run(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.timeout(20):
            await test(Bench())

    asyncio.run(inside())


async def seqs(feed: Feed) -> list[int]:
    return [delivered.seq async for delivered, _ in feed]


def test_events_that_were_there_and_those_that_come() -> None:
    async def test(bench: Bench) -> None:
        bench.say(3)
        async with bench.feed(after=(1, 1)) as feed:
            assert (await anext(feed))[0].seq == 2
            assert (await anext(feed))[0].seq == 3
            waiting = asyncio.create_task(seqs(feed))
            await asyncio.sleep(0)
            bench.say(1)
            await asyncio.sleep(0)
            bench.tape.add(COMPLETED, closes=True)
            assert await waiting == [4, 5]
        assert bench.tape.sinks == []
        assert bench.metrics.streams_open == 0
        assert bench.metrics.streams_closed == {"ended": 1}

    run(test)


@pytest.mark.parametrize("count", [64, 65, 1000], ids=str)
def test_a_reader_that_is_behind_misses_nothing(count: int) -> None:
    async def test(bench: Bench) -> None:
        async with bench.feed() as feed:
            bench.say(count)
            bench.tape.add(COMPLETED, closes=True)
            assert await seqs(feed) == list(range(1, count + 2))
        assert len(bench.tape.subscribed) == 1 + (count + 1 - 1) // 64
        assert bench.metrics.streams_lagged == len(bench.tape.subscribed) - 1

    run(test)


def test_it_ends_when_the_task_asks() -> None:
    async def test(bench: Bench) -> None:
        async with bench.feed(until_input=True) as feed:
            bench.tape.add(ASKED)
            bench.say(1)
            assert await seqs(feed) == [1]
        assert bench.metrics.streams_closed == {"input-required": 1}
        async with bench.feed() as feed:
            bench.tape.add(COMPLETED, closes=True)
            assert await seqs(feed) == [1, 2, 3]

    run(test)


def test_a_question_of_the_past_ends_it_only_while_it_is_open() -> None:
    async def test(bench: Bench) -> None:
        bench.tape.add(ASKED)
        async with bench.feed(until_input=True) as feed:
            assert await seqs(feed) == [1]
        bench.tape.add(WORKING)
        async with bench.feed(until_input=True) as feed:
            bench.tape.add(COMPLETED, closes=True)
            assert await seqs(feed) == [1, 2, 3]

    run(test)


def test_a_question_among_what_was_dropped() -> None:
    async def test(bench: Bench) -> None:
        async with bench.feed(until_input=True) as feed:
            bench.say(100)
            bench.tape.add(ASKED)
            assert await seqs(feed) == list(range(1, 102))

    run(test)


def test_the_first_text_of_each_attempt() -> None:
    async def test(bench: Bench) -> None:
        bench.say(2)
        bench.tape.add(AttemptEvent(attempt=2, why="lost"))
        bench.say(2)
        bench.tape.add(COMPLETED, closes=True)
        async with bench.feed() as feed:
            firsts = [first async for delivered, first in feed if type(delivered.event) is TextEvent]
        assert firsts == [True, False, True, False]
        async with bench.feed(after=(1, 1), text_begun=1) as feed:
            assert (await anext(feed))[1] is False

    run(test)


def test_a_task_that_cannot_be_followed_is_counted_out() -> None:
    async def test(bench: Bench) -> None:
        def gone(*_: Any) -> None:
            raise TaskNotFound

        bench.tape.subscribe = cast("Any", gone)
        with pytest.raises(TaskNotFound):
            async with bench.feed():
                pass
        assert bench.metrics.streams_open == 0

    run(test)


def test_a_reader_that_leaves() -> None:
    async def test(bench: Bench) -> None:
        async def read() -> None:
            async with bench.feed() as feed:
                await seqs(feed)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        assert bench.tape.sinks == []
        assert bench.metrics.streams_closed == {"disconnected": 1}

    run(test)
