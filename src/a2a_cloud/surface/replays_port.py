"""What the surface consumes of replays, by shape."""

from __future__ import annotations

from typing import Protocol

from a2a_cloud.model.receipt import ReceiptBody
from a2a_cloud.model.release import Release
from a2a_cloud.model.replay import Verdict


class Replays(Protocol):
    """Runs that have ended, run again with what is recorded of them."""

    async def replay(
        self, org_no: int, run_id: str, *, release: Release | None = None, body: ReceiptBody | None = None
    ) -> Verdict:
        """What came of it, with the code of `release` (None: its own); `body` is of a verified receipt of
        that run. Raises RunNotFound, ReceiptPending, Busy, Unavailable."""
        ...
