"""What the surface consumes of reviews (control/reviews)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from a2a_cloud.model.principal import Principal
from a2a_cloud.wire.review import ReviewDocument


class Reviewed(Protocol):
    """A run as its reviewer sees it; `owner` is `name@org`."""

    @property
    def id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def receipt_id(self) -> str: ...


class Review(Protocol):
    """A stored review. `own`: of the reviewer's own run. `at` in wall seconds."""

    @property
    def id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def receipt(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def own(self) -> bool: ...


class Reviews(Protocol):
    """Reviews of runs."""

    async def on_behalf(self, principal: Principal, run: Reviewed, verdict: str, notes: str) -> Review:
        """One that the platform signs. Raises Forbidden, InvalidParams, ReceiptPending, StorageFull."""
        ...

    async def signed(
        self, principal: Principal, token: str, run: Reviewed, document: ReviewDocument
    ) -> Review:
        """One that its author signed with the key that comes of `token`, the API key of the request. Raises
        Forbidden, InvalidParams, ReceiptPending, StorageFull."""
        ...

    def one(self, org_no: int, review_id: str) -> Review:
        """Raises NotFound."""
        ...

    def of_run(self, org_no: int, run_id: str) -> Sequence[Review]:
        """Those of a run, oldest first."""
        ...

    def listed(self, org_no: int, *, agent: str = "", before: str = "", limit: int = 50) -> Sequence[Review]:
        """The organisation's or an agent's, newest first."""
        ...

    def document(self, row: Any) -> ReviewDocument:
        """The signed document, with its notes while they exist."""
        ...
