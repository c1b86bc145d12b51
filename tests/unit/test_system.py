"""ops/system.py: the real clock, entropy and ids; model/stamp.py."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds


class Fixed:
    def __init__(self, now: float) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def test_the_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = time.time()
    now = clock.now()
    assert before <= now <= time.time()
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize("count", [0, 1, 10, 16, 31, 32, 64, 128, 5000])
def test_entropy_gives_as_many_bytes_as_asked(count: int) -> None:
    entropy = SystemEntropy()
    for _ in range(600):  # over several refills of the pool
        assert len(entropy.bytes(count)) == count


def test_entropy_refuses_a_negative_count() -> None:
    with pytest.raises(ValueError, match="negative"):
        SystemEntropy().bytes(-1)


def test_entropy_never_repeats_also_between_threads() -> None:
    entropy = SystemEntropy()
    found: list[list[bytes]] = [[] for _ in range(4)]
    gate = threading.Barrier(4)

    def draw(mine: list[bytes]) -> None:
        gate.wait()
        mine.extend(entropy.bytes(16) for _ in range(5000))

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in found]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads change inside of a call too
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    everything = [piece for mine in found for piece in mine]
    assert len(set(everything)) == 20_000


def test_a_forked_child_does_not_share_bytes_with_its_parent() -> None:
    entropy = SystemEntropy()
    entropy.bytes(1)  # a pool is filled now
    entropy._lock.acquire()  # and another thread is in the middle of it when we fork
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # a child that waits for the lock ends, and leaves the pipe empty
        os.write(writer, entropy.bytes(16))
        os._exit(0)
    entropy._lock.release()
    os.close(writer)
    theirs = os.read(reader, 16)
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0
    assert len(theirs) == 16
    assert theirs != entropy.bytes(16)


def test_ids_have_their_shape_and_sort_by_time() -> None:
    clock = Fixed(1_764_000_000.123)
    ids = TimeIds(clock, SystemEntropy())
    first = ids.new("run")
    assert re.fullmatch(r"run_[0-9a-f]{32}", first)
    assert int(first[4:16], 16) == 1_764_000_000_123
    clock.at += 1
    second = ids.new("run")
    assert first < second
    assert len({ids.new("run") for _ in range(5000)}) == 5000


@given(st.integers(0, 4_000_000_000_000))
def test_stamp_is_rfc3339_with_milliseconds(milliseconds: int) -> None:
    text = stamp(milliseconds / 1000)
    assert text.endswith("Z")
    back = datetime.fromisoformat(text)
    assert back.tzinfo == UTC
    assert round(back.timestamp() * 1000) == milliseconds


def test_stamp_carries_into_the_next_second() -> None:
    assert stamp(0.9996) == "1970-01-01T00:00:01.000Z"
    assert stamp(1_764_547_200) == "2025-12-01T00:00:00.000Z"
