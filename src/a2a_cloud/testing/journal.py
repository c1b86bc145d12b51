"""The conformance suite of the journal's port (storage/journal/port.py): what any driver must do.

Subclass `JournalSuite` in a test module, give it `open`, and pytest collects the rest. The suite knows
statements by name and the reader's port, and nothing of the database below. A driver whose COMMIT can
be made to fail (testing/commits.py) subclasses `FaultySuite` too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2a_cloud.model.problem import Problem, StorageFull, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Journal, Op, Refusal, Statement, Write
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader
from a2a_cloud.testing.commits import Commits, Fault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: Seconds after which something that should have happened never will.
PATIENCE = 20.0
OWNER = Scope(org=1, owner=1)
#: Values that no database takes as a principal's name: of no type, no text, no number that fits.
BAD_VALUES: tuple[Any, ...] = (object(), "\ud800", 1 << 70, ["a", {"b": 1}], None)


def principal(no: int, name: str | None = None) -> Op:
    """An op that adds a principal: unique by number and by name."""
    return sql.ADD_PRINCIPAL, (no, 1, name or f"p{no}", 0.0)


def task(no: int) -> Op:
    """An op that adds a task, number and id from `no`."""
    return sql.ADD_TASK, (no, f"task_{no}", 1, 1, 1, "ctx", "TASK_STATE_SUBMITTED", 0.0)


def put(key: str, value: bytes) -> Op:
    """An op that keeps a value under `key`."""
    return sql.PUT_STATE, (1, 1, 1, "ctx", key, value)


def drop(key: str) -> Op:
    """An op that forgets `key`."""
    return sql.DROP_STATE, (1, 1, 1, "ctx", key)


class Told:
    """What a write was told: errors or None, in order."""

    def __init__(self) -> None:
        self.words: list[BaseException | None] = []
        self._told = asyncio.Event()

    def __call__(self, error: BaseException | None) -> None:
        self.words.append(error)
        self._told.set()

    async def word(self) -> BaseException | None:
        """The first word, when it comes."""
        await asyncio.wait_for(self._told.wait(), PATIENCE)
        return self.words[0]


class JournalSuite:
    """What every driver does."""

    async def open(self, folder: Path, commits: Commits) -> tuple[Journal, Reader]:
        """The driver under test over the database in `folder`, which is empty at first; called again
        after a close. `commits` is for drivers whose COMMIT can be made to fail."""
        raise NotImplementedError

    @asynccontextmanager
    async def opened(
        self, folder: Path, commits: Commits | None = None
    ) -> AsyncGenerator[tuple[Journal, Reader]]:
        """`open`, and closed in the end."""
        journal, reader = await self.open(folder, commits or Commits())
        try:
            yield journal, reader
        finally:
            await asyncio.wait_for(journal.close(), PATIENCE)
            reader.close()

    def go(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test's body on a loop of its own."""
        asyncio.run(body())

    def test_statements_of_other_planes_are_taken_too(self, tmp_path: Path) -> None:
        """A slice brings its own, whenever it first needs one; in a group with others, and again later."""

        async def body() -> None:
            other = Statement("of_a_slice", "INSERT INTO principal(no, org, name, created) VALUES(?,?,?,?)")
            async with self.opened(tmp_path) as (journal, reader):
                await journal.write([principal(1), (other, (2, 1, "p2", 0.0))])
                await journal.write([(other, (3, 1, "p3", 0.0))])
                assert names(reader) == ["p1", "p2", "p3"]

        self.go(body)

    def test_what_is_done_is_readable_and_outlives_the_journal(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                seen: list[object] = []
                told = Told()

                def done(error: BaseException | None) -> None:
                    seen.append((error, names(reader)))
                    told(error)

                journal.submit(Write([principal(1)], done))
                assert names(reader) == []
                await told.word()
                assert seen == [(None, ["p1"])]
            async with self.opened(tmp_path) as (_, reader):
                assert names(reader) == ["p1"]

        self.go(body)

    def test_writes_are_done_in_the_order_of_submit(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                order: list[int] = []
                last = Told()
                for number in range(1, 101):
                    journal.submit(Write([principal(number)], lambda _, number=number: order.append(number)))
                    if number % 10 == 0:
                        await asyncio.sleep(0)
                journal.submit(Write([], last))
                assert await last.word() is None
                assert order == list(range(1, 101))
                assert len(names(reader)) == 100

        self.go(body)

    def test_later_facts_win_in_one_group(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                # An update before its insert in the group's order of kinds; the later update wins.
                later = Told()
                journal.submit(Write([(sql.SET_TASK, ("TASK_STATE_WORKING", 1.0, 1, 1)), task(1)]))
                journal.submit(Write([(sql.SET_TASK, ("TASK_STATE_COMPLETED", 2.0, 1, 1))]))
                journal.submit(Write([task(2)]))
                journal.submit(Write([(sql.SET_TASK, ("TASK_STATE_COMPLETED", 2.0, 2, 1))]))
                journal.submit(Write([(sql.SET_TASK, ("TASK_STATE_WORKING", 3.0, 2, 1))]))
                journal.submit(Write([task(3), (sql.DROP_TASK, (3, 1))], later))
                assert await later.word() is None
                first, second = reader.task(OWNER, "task_1"), reader.task(OWNER, "task_2")
                assert first is not None
                assert (first.state, first.at) == ("TASK_STATE_COMPLETED", 2.0)
                assert second is not None
                assert (second.state, second.at) == ("TASK_STATE_WORKING", 3.0)
                assert reader.task(OWNER, "task_3") is None

        self.go(body)

    def test_setting_and_dropping_one_key_keep_their_order(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                last = Told()
                for op in (put("a", b"1"), drop("a"), put("a", b"2"), put("b", b"1"), drop("b"), drop("c")):
                    journal.submit(Write([op]))
                journal.submit(Write([put("c", b"3"), put("d", b"4"), drop("d")], last))
                assert await last.word() is None
                kept = {key: reader.state(OWNER, 1, "ctx", key) for key in "abcd"}
                assert kept == {"a": b"2", "b": None, "c": b"3", "d": None}

        self.go(body)

    def test_a_refused_write_fails_alone(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                await journal.write([principal(1)])
                bad = [Told() for _ in range(len(BAD_VALUES) + 2)]
                good = [Told() for _ in bad]
                for place, told in enumerate(bad):
                    journal.submit(Write([principal(100 + place)], good[place]))
                    if place < len(BAD_VALUES):
                        ops = [principal(200 + place), (sql.ADD_PRINCIPAL, (300, 1, BAD_VALUES[place], 0.0))]
                    elif place == len(BAD_VALUES):
                        ops = [principal(200 + place), principal(1)]
                    else:
                        ops = [principal(200 + place), principal(201 + place, "p1")]
                    journal.submit(Write(ops, told, must=place % 2 == 0))
                for told in good:
                    assert await told.word() is None
                for told in bad:
                    assert isinstance(await told.word(), Refusal)
                # All or nothing: what stood beside the refused op in its write is not there either.
                assert names(reader) == ["p1", *sorted(f"p{100 + place}" for place in range(len(bad)))]
                assert not journal.full

        self.go(body)

    def test_what_follows_a_refused_write_is_refused_with_it(self, tmp_path: Path) -> None:
        """In one group, whatever it was refused for."""

        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                await journal.write([principal(1)])
                refused, kept = [Told() for _ in range(6)], [Told() for _ in range(3)]
                bad = Write([principal(1)], refused[0])
                unreadable = Write([(sql.ADD_PRINCIPAL, (9, 1, object(), 0.0))], refused[1])

                def fail() -> list[Op]:
                    raise RuntimeError("no ops")

                broken = Write(done=refused[2], collect=fail)
                good = Write([principal(2)], kept[0])
                for write in (
                    bad,
                    unreadable,
                    broken,
                    good,
                    Write([principal(3)], refused[3], after=bad, must=True),
                    Write([principal(4)], refused[4], after=unreadable),
                    Write([principal(14)], refused[5], after=broken),
                    Write([principal(5)], kept[1], after=good),
                    Write([principal(6)], kept[2]),
                ):
                    journal.submit(write)
                for told in kept:
                    assert await told.word() is None
                for told in refused:
                    assert isinstance(await told.word(), Refusal)
                assert names(reader) == ["p1", "p2", "p5", "p6"]
                # What was done long ago refuses nothing.
                await journal.write([principal(7)])
                later = Told()
                journal.submit(Write([principal(8)], later, after=good))
                assert await later.word() is None

        self.go(body)

    def test_collect_is_called_once_when_its_group_forms(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):
                calls: list[int] = []
                told = Told()
                extra: list[Op] = []

                def collect() -> list[Op]:
                    calls.append(1)
                    return [principal(1), *extra]

                journal.submit(Write(collect=collect, done=told))
                extra.append(principal(2))  # What happens before the group forms is part of it.
                assert not calls
                assert await told.word() is None
                assert calls == [1]
                assert names(reader) == ["p1", "p2"]

        self.go(body)

    def test_a_collect_or_done_that_breaks_harms_nobody_else(self, tmp_path: Path) -> None:
        async def body() -> None:
            reported: list[object] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
            async with self.opened(tmp_path) as (journal, reader):
                broken, fine = Told(), Told()

                def collect() -> list[Op]:
                    raise RuntimeError("no ops")

                def done(_: BaseException | None) -> None:
                    raise RuntimeError("deaf")

                journal.submit(Write(collect=collect, done=broken))
                journal.submit(Write([principal(1)], done))
                journal.submit(Write([principal(2)], fine))
                assert await fine.word() is None
                assert isinstance(await broken.word(), Exception)
                assert names(reader) == ["p1", "p2"]
                assert len(reported) == 1

        self.go(body)

    def test_threads_write_through_the_blocking_face(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, reader):

                def write(thread: int) -> str:
                    for number in range(10):
                        journal.write_blocking([principal(1 + thread * 10 + number)])
                    try:
                        journal.write_blocking([principal(1 + thread * 10)])
                    except Refusal:
                        return "refused"
                    return "stored twice"

                outcomes = await asyncio.gather(*(asyncio.to_thread(write, thread) for thread in range(6)))
                assert outcomes == ["refused"] * 6
                assert len(names(reader)) == 60

        self.go(body)

    def test_close_commits_what_is_queued_and_takes_no_more(self, tmp_path: Path) -> None:
        async def body() -> None:
            journal, reader = await self.open(tmp_path, Commits())
            told = [Told() for _ in range(20)]
            for number, one in enumerate(told, 1):
                journal.submit(Write([principal(number)], one))
            closing = asyncio.create_task(journal.close())
            await asyncio.sleep(0)
            refused(lambda: journal.submit(Write([principal(99)])))
            await asyncio.wait_for(closing, PATIENCE)
            assert [one.words for one in told] == [[None]] * 20
            refused(lambda: journal.submit(Write([principal(99)])))
            late = asyncio.to_thread(refused, lambda: journal.write_blocking([principal(99)]))
            await asyncio.wait_for(late, PATIENCE)
            await asyncio.wait_for(journal.close(), PATIENCE)
            assert len(names(reader)) == 20
            reader.close()

        self.go(body)


class FaultySuite(JournalSuite):
    """What a driver does when a commit fails, hangs or is of unknown fate."""

    def test_what_queues_during_a_commit_shares_the_next_one(self, tmp_path: Path) -> None:
        async def body() -> None:
            commits = Commits({1: Fault.HANGS})
            async with self.opened(tmp_path, commits) as (journal, reader):
                first, second, collected = Told(), Told(), Told()
                calls: list[int] = []
                journal.submit(Write([principal(1)], first))
                assert await asyncio.to_thread(commits.wait_held)
                for number in range(2, 50):
                    journal.submit(Write([principal(number)]))

                def collect() -> list[Op]:
                    calls.append(1)
                    return []

                journal.submit(Write(collect=collect, done=collected))
                journal.submit(Write([principal(50)], second))
                await asyncio.sleep(0)
                assert (first.words, second.words, calls, names(reader)) == ([], [], [], [])
                commits.release()
                assert await second.word() is None
                assert await collected.word() is None
                assert commits.count == 2
                assert calls == [1]
                assert len(names(reader)) == 50

        self.go(body)

    def test_a_commit_that_took_effect_and_failed_is_done_once(self, tmp_path: Path) -> None:
        async def body() -> None:
            commits = Commits(lambda number: Fault.FAILS_AFTER if number % 2 else None)
            async with self.opened(tmp_path, commits) as (journal, reader):
                for number in range(1, 7):
                    plain, must, twice = Told(), Told(), Told()
                    journal.submit(Write([principal(number * 10)], plain))
                    journal.submit(Write([principal(number * 10 + 1)], must, must=True))
                    journal.submit(Write([principal(number * 10)], twice, must=True))
                    assert await plain.word() is None
                    assert await must.word() is None
                    # The verdicts of that group are known too.
                    assert isinstance(await twice.word(), Refusal)
                assert commits.count == 6
                assert len(names(reader)) == 12
                assert not journal.full

        self.go(body)

    def test_a_commit_that_failed_is_told_or_tried_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            for fault in (Fault.FAILS_BEFORE, Fault.LOST):
                commits = Commits({1: fault})
                commits.release()
                async with self.opened(tmp_path / fault.name, commits) as (journal, reader):
                    plain, must = Told(), Told()
                    calls: list[int] = []

                    def collect(calls: list[int] = calls) -> list[Op]:
                        calls.append(1)
                        return [principal(2)]

                    journal.submit(Write([principal(1)], plain))
                    journal.submit(Write(collect=collect, done=must, must=True))
                    assert isinstance(await plain.word(), Problem)
                    assert await must.word() is None
                    assert calls == [1]
                    assert names(reader) == ["p2"]

        self.go(body)

    def test_a_full_disk_loses_nothing_that_must_be_kept(self, tmp_path: Path) -> None:
        async def body() -> None:
            commits = Commits(lambda number: Fault.FULL if number > 1 else None)
            async with self.opened(tmp_path, commits) as (journal, reader):
                await journal.write([principal(1)])
                assert not journal.full
                plain = Told()
                must = [Told() for _ in range(5)]
                journal.submit(Write([principal(2)], plain))
                for number, told in enumerate(must):
                    journal.submit(Write([put("k", str(number).encode())], told, must=True))
                assert isinstance(await plain.word(), StorageFull)
                assert journal.full
                await until(lambda: commits.count >= 4)
                assert [told.words for told in must] == [[]] * 5
                commits.set(None)
                assert [await told.word() for told in must] == [None] * 5
                assert not journal.full
                assert names(reader) == ["p1"]
                assert reader.state(OWNER, 1, "ctx", "k") == b"4"  # Kept in order.

        self.go(body)

    def test_what_follows_a_dropped_write_is_not_kept(self, tmp_path: Path) -> None:
        async def body() -> None:
            commits = Commits({1: Fault.FULL, 2: Fault.FULL})
            async with self.opened(tmp_path, commits) as (journal, reader):
                first, follower, must = Told(), Told(), Told()
                dropped = Write([principal(1)], first)
                journal.submit(dropped)
                journal.submit(Write([principal(2)], follower, must=True, after=dropped))
                journal.submit(Write([principal(3)], must, must=True))
                assert isinstance(await first.word(), StorageFull)
                assert isinstance(await follower.word(), StorageFull)
                assert await must.word() is None
                assert names(reader) == ["p3"]

        self.go(body)

    def test_room_is_noticed_though_nobody_writes(self, tmp_path: Path) -> None:
        async def body() -> None:
            commits = Commits({1: Fault.FULL, 2: Fault.FULL})
            async with self.opened(tmp_path, commits) as (journal, reader):
                told = Told()
                journal.submit(Write([principal(1)], told))
                assert isinstance(await told.word(), StorageFull)
                assert journal.full
                await until(lambda: not journal.full)
                assert names(reader) == []

        self.go(body)

    def test_close_ends_on_a_disk_that_stays_full(self, tmp_path: Path) -> None:
        async def body() -> None:
            commits = Commits(lambda _: Fault.FULL)
            journal, reader = await self.open(tmp_path, commits)
            told = [Told(), Told()]
            journal.submit(Write([principal(1)], told[0], must=True))
            await until(lambda: commits.count >= 1)
            waiting = asyncio.create_task(journal.write([principal(2)]))
            await asyncio.sleep(0)
            await asyncio.wait_for(journal.close(), PATIENCE)
            assert isinstance(await told[0].word(), StorageFull)
            assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], StorageFull)
            assert names(reader) == []
            reader.close()

        self.go(body)


def names(reader: Reader) -> list[str]:
    """The names of all principals, sorted."""
    return sorted(name for _, _, name in reader.principals(SYSTEM))


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so that nobody announces."""
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.01)


def refused(act: Callable[[], object]) -> None:
    """`act` is refused because the journal is closed."""
    try:
        act()
    except Unavailable:
        return
    raise AssertionError("a closed journal took a write")
