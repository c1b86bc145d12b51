"""runtime/push/outbox.py: pauses, giving up, order, places; against a real receiver, with a turned clock
and letters that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from aiohttp import web
from cli_platform import Played, playing
from grant_fixtures import NOW, TurnedClock

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.model.run import PushTarget
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.runtime.outward import Outward, private
from a2a_cloud.runtime.push.letters import Letter, Page
from a2a_cloud.runtime.push.outbox import PAUSES, Fate, Outbox, _seconds
from a2a_cloud.runtime.push.rows import PushRow
from a2a_cloud.storage.journal.port import Op, Write


class Paper:
    """A journal that commits at once and keeps the last cursor of each config."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Any, ...]] = {}

    def submit(self, write: Write) -> None:
        def commit() -> None:
            ops: Sequence[Op] = write.collect() if write.collect is not None else write.ops or ()
            for _, values in ops:
                self.rows[values[7]] = values

        asyncio.get_running_loop().call_soon(commit)

    def state(self, handle: str) -> str:
        return self.rows[handle][4] if handle in self.rows else ""


class Shelf:
    """Letters of tasks, one for each seq."""

    def __init__(self) -> None:
        self.tasks: dict[str, list[Letter]] = {}
        self.over: set[str] = set()

    def write(self, task: str, *bodies: bytes, closes: bool = True) -> None:
        letters = self.tasks.setdefault(task, [])
        for place, body in enumerate(bodies, 1):
            seq = len(letters) + 1
            last = closes and place == len(bodies)
            letters.append(Letter(f"{task}.1.{seq}", body, (1, seq), last, 0))

    def after(self, row: PushRow, position: tuple[int, int], text: int, name: object) -> Page:
        left = [each for each in self.tasks.get(row.task_id, []) if each.position > position]
        return Page(left[:2], not left and row.task_id in self.over)


class Key:
    kid = "k"

    def sign(self, data: bytes) -> bytes:
        return b"s" * 64


class Site:
    """An outbox with what it stands on."""

    def __init__(self, url: str, *pauses: float) -> None:
        self.url = url
        self.paper = Paper()
        self.shelf = Shelf()
        self.outward = Outward(private("127.0.0.0/8", "X"))
        self.outbox = Outbox(
            journal=cast("Any", self.paper),
            letters=cast("Any", self.shelf),
            outward=self.outward,
            key=Key(),
            issuer=lambda: "http://here",
            opened=self.opened,
            clock=TurnedClock(),
            entropy=SystemEntropy(),
            pauses=pauses,
        )
        self.broken = False

    def opened(self, row: PushRow) -> PushTarget:
        if self.broken:
            raise Unavailable("The push config can't be opened.")
        return PushTarget(f"{self.url}/{row.task_id}")

    def add(self, task: str, owner: int = 1) -> str:
        row = PushRow(
            f"push_{task}", 1, owner, 1, 1, task, "c", "http://h", b"", "", "a2a-1.0", NOW, 1, 0, 0, 0.0,
            "open", "", NOW,
        )  # fmt: skip
        self.outbox.add(row, lambda _outlet: None)
        return row.handle

    def wake(self, handle: str) -> None:
        self.outbox.wake(self.outbox._outlets[handle])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a server in another thread sets no event
            await asyncio.sleep(0.005)


@pytest.fixture
def played() -> Iterator[Played]:
    with playing() as server:
        yield server


def answers(played: Played, task: str, *statuses: int) -> None:
    left = list(statuses)

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0])

    played.answers["POST", f"/{task}"] = answer


def play(played: Played, game: Callable[[Site], Any], *pauses: float) -> None:
    async def run() -> None:
        site = Site(played.url, *pauses)
        try:
            await game(site)
        finally:
            await site.outbox.close()
            await site.outward.close()

    asyncio.run(run())


def test_ten_attempts_in_about_an_hour() -> None:
    assert len(PAUSES) == 9
    assert 3600 < sum(PAUSES) < 4200
    assert list(PAUSES) == sorted(PAUSES)


def test_order_holds_under_failures(played: Played) -> None:
    answers(played, "t", 500, 200, 503, 429, 200, 404, 200)

    async def game(site: Site) -> None:
        site.shelf.write("t", b"a", b"b", b"c")
        handle = site.add("t")
        await until(lambda: site.paper.state(handle) == "done")
        assert site.outbox.waiting() == 0

    play(played, game, 0, 0, 0)
    assert [each.body for each in played.asked] == [b"a", b"a", b"b", b"b", b"b", b"c", b"c"]
    assert [each.headers["A2A-Notification-Id"] for each in played.asked][-1] == "t.1.3"


def test_it_is_given_up_after_the_last_attempt(played: Played) -> None:
    answers(played, "t", 500)

    async def game(site: Site) -> None:
        site.shelf.write("t", b"a", b"b")
        handle = site.add("t")
        await until(lambda: site.paper.state(handle) == "dead")
        ordinal, seq, attempts, _, _, reason, *_ = site.paper.rows[handle]
        assert (ordinal, seq, attempts) == (1, 0, 3)
        assert reason == "It answered 500."
        assert site.outbox.waiting() == 0

    play(played, game, 0, 0)
    assert len(played.asked) == 3


def test_what_can_t_be_opened_is_given_up_at_once(played: Played) -> None:
    async def game(site: Site) -> None:
        site.broken = True
        site.shelf.write("t", b"a")
        handle = site.add("t")
        await until(lambda: site.paper.state(handle) == "dead")

    play(played, game, 60, 60)
    assert played.asked == []


def test_news_during_a_pause_changes_nothing(played: Played) -> None:
    answers(played, "t", 500)

    async def game(site: Site) -> None:
        site.shelf.write("t", b"a", closes=False)
        handle = site.add("t")
        await until(lambda: handle in site.paper.rows)
        for _ in range(20):
            site.shelf.write("t", b"more", closes=False)
            site.wake(handle)
            await asyncio.sleep(0)
        assert site.paper.rows[handle][2] == 1

    play(played, game, 60)
    assert len(played.asked) == 1


def test_what_comes_later_is_delivered_when_it_comes(played: Played) -> None:
    answers(played, "t", 200)

    async def game(site: Site) -> None:
        handle = site.add("t")
        for n in range(5):
            site.shelf.write("t", b"%d" % n, closes=n == 4)
            site.wake(handle)
        await until(lambda: site.paper.state(handle) == "done")

    play(played, game)
    assert [each.body for each in played.asked] == [b"0", b"1", b"2", b"3", b"4"]


def test_what_has_no_words_is_passed_over(played: Played) -> None:
    answers(played, "t", 200)

    async def game(site: Site) -> None:
        site.shelf.write("t", b"", b"a", b"")
        handle = site.add("t")
        await until(lambda: site.paper.state(handle) == "done")

    play(played, game)
    assert [each.body for each in played.asked] == [b"a"]


def test_a_task_that_ended_without_a_word_is_done(played: Played) -> None:
    """As when its follow-up could not be stored: nothing comes after what the receiver has."""
    answers(played, "t", 200)

    async def game(site: Site) -> None:
        site.shelf.write("t", b"a", closes=False)
        handle = site.add("t")
        await until(lambda: handle in site.paper.rows)
        site.shelf.over.add("t")
        site.wake(handle)
        await until(lambda: site.paper.state(handle) == "done")
        assert site.outbox.waiting() == 0

    play(played, game)
    assert len(played.asked) == 1


def test_a_dropped_config_hears_nothing_more(played: Played) -> None:
    answers(played, "t", 500)

    async def game(site: Site) -> None:
        site.shelf.write("t", b"a")
        handle = site.add("t")
        await until(lambda: handle in site.paper.rows)
        site.outbox.drop(handle)
        site.outbox.drop(handle)
        assert site.outbox.waiting(1) == 0

    play(played, game, 60)
    assert len(played.asked) == 1


def test_slow_receivers_of_one_owner_leave_room_for_others(played: Played) -> None:
    """However many of an owner's configs wait, another owner's is delivered meanwhile."""

    async def game(site: Site) -> None:
        held = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def slow(_request: web.Request) -> web.StreamResponse:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(held.wait(), loop))
            return web.Response(status=200)

        for n in range(200):
            played.answers["POST", f"/slow{n}"] = slow
            site.shelf.write(f"slow{n}", b"x")
            site.add(f"slow{n}", owner=1)
        answers(played, "quick", 200)
        site.shelf.write("quick", b"y")
        handle = site.add("quick", owner=2)
        await until(lambda: site.paper.state(handle) == "done")
        assert sum(each.path.startswith("/slow") for each in played.asked) <= 4  # one owner, one receiver
        held.set()
        await until(lambda: site.outbox.waiting() == 0)
        assert len(site.outbox._places) == 0

    play(played, game)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("120", 120),
        ("999999", 3600),
        ("-5", 0),
        ("soon", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2000 22:14:20 GMT", 0),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    assert _seconds(text, 1_700_000_000.0) == seconds


def test_a_fate_without_a_reason_is_good() -> None:
    assert Fate() == Fate("", False, 0.0)
