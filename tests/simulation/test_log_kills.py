"""The log of a platform that is killed at random moments: whatever checkpoint anybody saw stays a beginning
of every later one."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path

from ledger import settle
from test_kill_under_load import Load
from witness import Cut, Witness
from world import World

from a2a_cloud.wire.note import read_checkpoint

KILLS = 6
#: What `default` is by number.
ORG = 1


class Watcher:
    """Fetches the checkpoint over and over, and keeps each that it saw: (size, root)."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self.seen: list[tuple[int, bytes]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with contextlib.suppress(Cut):
            while not self._over.wait(0.05):
                said = self._witness.request("GET", "/api/v1/log/default/checkpoint")
                told, _ = read_checkpoint(said.body)
                if (told.size, told.root) not in self.seen:
                    self.seen.append((told.size, told.root))

    def end(self) -> None:
        self._over.set()
        self._thread.join(30)


def test_no_checkpoint_that_was_seen_is_ever_taken_back(tmp_path: Path) -> None:
    world = World(tmp_path, real=True)
    witness = Witness(world)
    draw = random.Random(11)
    seen: list[tuple[int, bytes]] = []
    try:
        for round_ in range(KILLS):
            world.start()
            watcher = Watcher(witness)
            load = Load(witness, round_, str(tmp_path / "trace"))
            time.sleep(draw.uniform(0.2, 1.2))
            world.kill()
            watcher.end()
            for thread in load.threads:
                thread.join(30)
            witness.join()
            sizes = [size for size, _ in watcher.seen]
            assert sizes == sorted(set(sizes)), f"a checkpoint shrank, or there were two of one size: {sizes}"
            seen += watcher.seen
        world.start()
        ledger = settle(world)
        ledger.check()
        for size, root in seen:
            assert ledger.root(ORG, size) == root, f"the checkpoint of size {size} was taken back"
        assert len(seen) > KILLS
        assert world.stop() == 0
    finally:
        world.close()
