"""Deliveries: each config's letters strictly in order, at least once, and never in anybody's way.

The journal holds what is to be told, a config's cursor what was: nothing else has to survive a crash. A
receiver that fails is tried again after a growing pause, and given up after the last one: the config is
then dead until somebody says otherwise. Deliveries share a bounded number of places, of which an owner has
some and each of an owner's receivers a few, so that a slow one holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import EgressRefused, InvalidParams, Problem, Unavailable
from a2a_cloud.model.run import PushTarget
from a2a_cloud.runtime.bus import Delivered, Subscription
from a2a_cloud.runtime.outward import Answered, Outward, Place, place
from a2a_cloud.runtime.places import Places
from a2a_cloud.runtime.push.letters import Letter, Letters
from a2a_cloud.runtime.push.rows import DEAD, DONE, MOVE_PUSH, PushRow
from a2a_cloud.runtime.push.sign import SIGNATURE, Key, signature
from a2a_cloud.runtime.push.targets import headers
from a2a_cloud.storage.journal.port import Journal, Op, Write

log = logging.getLogger("a2a_cloud.push")

#: Seconds before each further attempt, give or take: ten attempts in about an hour.
PAUSES = (1.0, 3.0, 9.0, 27.0, 81.0, 240.0, 600.0, 1200.0, 1800.0)
#: Seconds for one attempt; the longest pause that a receiver may ask for.
ANSWER = 15.0
MOST_PAUSE = 3600.0
#: Deliveries under way: in all, of one owner, of one owner to one receiver.
AT_ONCE, BY_OWNER, BY_HOST = 128, 16, 4


class Fate(NamedTuple):
    """What came of an attempt: `why` it failed, "" when it did not; `final`: no other will do better;
    `pause`: seconds that the receiver asks for."""

    why: str = ""
    final: bool = False
    pause: float = 0.0


class Outlet:
    """One config that has something to come. Wakes when its task has news; a task of the loop runs only
    while there is something to deliver."""

    __slots__ = (
        "attempts",
        "busy",
        "dirty",
        "over",
        "position",
        "row",
        "subscription",
        "text",
        "timer",
        "writing",
    )

    def __init__(self, row: PushRow) -> None:
        self.row = row
        self.position = row.position
        self.attempts = row.attempts
        #: The ordinal of the run whose text the receiver has a beginning of; -1: that is not known yet.
        self.text = -1
        self.busy: asyncio.Task[None] | None = None
        self.dirty = False
        self.over = False
        self.timer: asyncio.TimerHandle | None = None
        self.subscription: Subscription | None = None
        self.writing = False


class Outbox:
    """See the module. `opened` gives a config's target; `issuer` the platform's address."""

    def __init__(
        self,
        *,
        journal: Journal,
        letters: Letters,
        outward: Outward,
        key: Key,
        issuer: Callable[[], str],
        opened: Callable[[PushRow], PushTarget],
        clock: Clock,
        entropy: Entropy,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._journal = journal
        self._letters = letters
        self._outward = outward
        self._key = key
        self._issuer = issuer
        self._opened = opened
        self._clock = clock
        self._entropy = entropy
        self._pauses = pauses
        self._loop = asyncio.get_running_loop()
        self._outlets: dict[str, Outlet] = {}
        self._by_owner: defaultdict[int, int] = defaultdict(int)
        self._all = asyncio.Semaphore(AT_ONCE)
        self._places = Places()
        self._closed = False
        self.delivered = 0
        self.failed = 0

    def waiting(self, owner: int | None = None) -> int:
        """Configs that are open, of all owners or of one."""
        return len(self._outlets) if owner is None else self._by_owner[owner]

    # --- outlets --------------------------------------------------------------------------------------

    def __contains__(self, handle: str) -> bool:
        return handle in self._outlets

    def add(self, row: PushRow, subscribe: Callable[[Outlet], Subscription | None]) -> None:
        """Deliver what the row's receiver does not have, now and as it comes. An outlet of that config that
        is there already goes on with the new row."""
        if self._closed:
            return
        self.drop(row.handle)
        outlet = self._outlets[row.handle] = Outlet(row)
        self._by_owner[row.owner] += 1
        outlet.subscription = subscribe(outlet)
        pause = row.next_at - self._clock.now()
        if pause > 0:
            self._later(outlet, min(pause, MOST_PAUSE))
        else:
            self.wake(outlet)

    def drop(self, handle: str) -> None:
        """Deliver no more of a config."""
        outlet = self._outlets.pop(handle, None)
        if outlet is None:
            return
        outlet.over = True
        left = self._by_owner[outlet.row.owner] - 1
        if left:
            self._by_owner[outlet.row.owner] = left
        else:
            del self._by_owner[outlet.row.owner]
        if outlet.subscription is not None:
            outlet.subscription.close()
        if outlet.timer is not None:
            outlet.timer.cancel()
        if outlet.busy is not None:
            outlet.busy.cancel()

    def wake(self, outlet: Outlet) -> None:
        """There may be something to deliver."""
        outlet.dirty = True
        if outlet.busy is None and outlet.timer is None and not self._closed:
            outlet.busy = self._loop.create_task(self._work(outlet))

    async def close(self) -> None:
        """Stop; what is under way comes again after a restart."""
        self._closed = True
        busy = [outlet.busy for outlet in self._outlets.values() if outlet.busy is not None]
        for handle in list(self._outlets):
            self.drop(handle)
        await asyncio.gather(*busy, return_exceptions=True)

    # --- one outlet's work ----------------------------------------------------------------------------

    async def _work(self, outlet: Outlet) -> None:
        try:
            while outlet.dirty and not outlet.over and outlet.timer is None:
                outlet.dirty = False
                while await self._page(outlet):  # noqa: ASYNC110 (it is the work, and not a wait)
                    await asyncio.sleep(0)  # A page without a word for the receiver waits for nothing.
        except Problem as problem:
            log.warning("push %s to %s waits: %s", outlet.row.handle, outlet.row.host, problem.detail)
            self._later(outlet, self._pauses[-1])
        except Exception:
            log.exception("push %s to %s failed", outlet.row.handle, outlet.row.host)
            self._later(outlet, self._pauses[-1])
        finally:
            outlet.busy = None

    async def _page(self, outlet: Outlet) -> bool:
        """Deliver a page of letters; whether there may be another one."""
        row = outlet.row
        page = self._letters.after(row, outlet.position, outlet.text, lambda: self._opened(row).name)
        if page.over:
            self._end(outlet, DONE, "")
            return False
        for letter in page.letters:
            if letter.body:
                fate = await self._deliver(row, letter)
                if fate.why:
                    self._failed(outlet, fate)
                    return False
                self.delivered += 1
            outlet.attempts = 0
            outlet.position, outlet.text = letter.position, letter.text
            if outlet.row.reason:
                outlet.row = outlet.row._replace(reason="", next_at=0.0)
            if letter.closes:
                self._end(outlet, DONE, "")
                return False
        if page.letters:
            self._save(outlet)
        return bool(page.letters)

    async def _deliver(self, row: PushRow, letter: Letter) -> Fate:
        try:
            target = self._opened(row)
            where = place(target.url)
        except (Unavailable, InvalidParams) as problem:
            return Fate(problem.sentence, final=True)
        async with (
            self._places.one_of((row.owner, row.host), BY_HOST),
            self._places.one_of(row.owner, BY_OWNER),
            self._all,
        ):
            return await self._post(row, letter, target, where)

    async def _post(self, row: PushRow, letter: Letter, target: PushTarget, where: Place) -> Fate:
        now = self._clock.now()
        version = row.dialect.removeprefix("a2a-") if row.dialect.startswith("a2a-") else "1.0"
        sent = {
            "Content-Type": "application/json",
            "A2A-Version": version,
            "A2A-Notification-Id": letter.id,
            SIGNATURE: signature(
                self._key,
                issuer=self._issuer(),
                audience=target.url,
                subject=row.task_id,
                id=letter.id,
                at=now,
                body=letter.body,
            ),
            **headers(target),
        }
        try:
            answered = await self._outward.post(where, letter.body, sent, ANSWER)
        except (EgressRefused, InvalidParams) as refused:
            return Fate(refused.sentence, final=True)
        except Problem as problem:
            return Fate(problem.detail)
        return _fate(answered, now)

    def _failed(self, outlet: Outlet, fate: Fate) -> None:
        outlet.attempts += 1
        self.failed += 1
        if fate.final or outlet.attempts > len(self._pauses):
            log.warning(
                "push %s to %s was given up after attempt %d: %s",
                outlet.row.handle,
                outlet.row.host,
                outlet.attempts,
                fate.why,
            )
            self._end(outlet, DEAD, fate.why)
            return
        pause = max(self._jitter(self._pauses[outlet.attempts - 1]), fate.pause)
        outlet.row = outlet.row._replace(next_at=self._clock.now() + pause, reason=fate.why)
        self._save(outlet)
        self._later(outlet, pause)

    def _jitter(self, pause: float) -> float:
        """From half of `pause` to one and a half: those that failed together don't come back together."""
        return pause * (0.5 + int.from_bytes(self._entropy.bytes(4)) / (1 << 32))

    def _later(self, outlet: Outlet, pause: float) -> None:
        if outlet.over:
            return

        def again() -> None:
            outlet.timer = None
            self.wake(outlet)

        outlet.timer = self._loop.call_later(pause, again)

    def _end(self, outlet: Outlet, state: str, reason: str) -> None:
        outlet.row = outlet.row._replace(state=state, reason=reason, next_at=0.0)
        self._save(outlet)
        outlet.busy = None  # It is the one who calls.
        self.drop(outlet.row.handle)

    # --- the cursor -----------------------------------------------------------------------------------

    def _save(self, outlet: Outlet) -> None:
        """Write the cursor with the journal's next group, as it is then. Nothing waits for it: what is
        delivered again after a crash has the same id."""
        if outlet.writing:
            return
        outlet.writing = True

        def collect() -> list[Op]:
            outlet.writing = False
            row = outlet.row
            values = (
                *outlet.position,
                outlet.attempts,
                row.next_at,
                row.state,
                row.reason,
                self._clock.now(),
                row.handle,
                row.org,
            )
            return [(MOVE_PUSH, values)]

        try:
            self._journal.submit(Write(collect=collect, must=True))
        except Unavailable:
            outlet.writing = False  # The platform stops; the letter comes again after a restart.


class Waker:
    """Follows a task for an outlet: looks at nothing, and lets go of the event."""

    __slots__ = ("_outbox", "_outlet")

    def __init__(self, outbox: Outbox, outlet: Outlet) -> None:
        self._outbox, self._outlet = outbox, outlet

    def deliver(self, delivered: Delivered) -> None:
        """See `runtime.bus.Sink`."""
        self._outbox.wake(self._outlet)


def _fate(answered: Answered, now: float) -> Fate:
    status = answered.status
    if 200 <= status < 300:
        return Fate()
    if status == 410:
        return Fate("It answered 410: it is gone for good.", final=True)
    why = f"It answered {status}."
    if 300 <= status < 400:
        why = f"It answered {status}: redirects are not followed."
    return Fate(why, pause=_seconds(answered.retry_after, now))


def _seconds(retry_after: str, now: float) -> float:
    """What a Retry-After header asks for, in seconds or as a date; 0 for nothing, or nothing readable."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MOST_PAUSE)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), MOST_PAUSE)
    except (ValueError, TypeError, OverflowError):
        return 0.0
