"""Reviews: a person's verdict on a run, signed with a key that comes of their API key, or by the platform on
behalf of somebody who came without one. A review never changes; who thinks again signs again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from a2a_cloud.control.reviews.rows import ADD_REVIEW, ReviewRow, ReviewRows
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, ReceiptPending
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.a2a_v1 import read_timestamp
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.review import (
    MAX_NOTES,
    Notes,
    ReviewDocument,
    ReviewError,
    sign,
    signing_key,
    statement_sha256,
    verify_review,
)

#: Seconds that a signed statement's time may be off ours.
SKEW = 300.0
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReviewDocument).decode


class Committer(Protocol):
    """The journal."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Reviewed(Protocol):
    """A run as the reviewer sees it."""

    @property
    def id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def receipt_id(self) -> str: ...


class Reviews:
    """See the module. `signer` is the platform's own key."""

    def __init__(
        self, rows: ReviewRows, journal: Committer, clock: Clock, ids: Ids, entropy: Entropy, signer: Signer
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._entropy = entropy
        self._signer = signer

    # --- reads --------------------------------------------------------------------------------------

    def one(self, org_no: int, review_id: str) -> ReviewRow:
        """Raises NotFound."""
        found = self._rows.one(Scope(org=org_no), review_id) if len(review_id) < 100 else None
        if found is None:
            raise NotFound(f"There is no review {readable(review_id)}.")
        return found

    def of_run(self, org_no: int, run_id: str) -> list[ReviewRow]:
        """Those of a run, oldest first."""
        return self._rows.of_run(Scope(org=org_no), run_id)

    def listed(self, org_no: int, *, agent: str = "", before: str = "", limit: int = 50) -> list[ReviewRow]:
        """The organisation's or an agent's, newest first."""
        return self._rows.listed(Scope(org=org_no), agent=agent, before=before, limit=limit)

    def document(self, row: ReviewRow) -> ReviewDocument:
        """The signed document, with its notes while they exist."""
        found = _decode(row.document)
        if row.salt is None or row.notes is None:
            return found
        return replace(found, notes=Notes(row.salt.hex(), row.notes))

    # --- changes ------------------------------------------------------------------------------------

    async def on_behalf(self, principal: Principal, run: Reviewed, verdict: str, notes: str) -> ReviewRow:
        """A review that the platform signs: somebody says so who has no key to sign with, or does not use it.
        Raises Forbidden, InvalidParams, ReceiptPending, StorageFull."""
        _check(principal, run)
        if len(notes) > MAX_NOTES:
            raise InvalidParams(f"The notes are longer than {MAX_NOTES} characters.", info={"field": "notes"})
        try:
            made = sign(
                self._signer,
                receipt_id=run.receipt_id,
                run_id=run.id,
                verdict=verdict,
                by=principal.label,
                at=stamp(self._clock.now()),
                notes=Notes(self._entropy.bytes(16).hex(), notes) if notes else None,
            )
        except ReviewError:
            raise InvalidParams("The verdict is approve or reject.", info={"field": "verdict"}) from None
        return await self._store(principal, run, made)

    async def signed(
        self, principal: Principal, token: str, run: Reviewed, document: ReviewDocument
    ) -> ReviewRow:
        """A review that its author signed with the key that comes of `token`, the API key of the request.
        Raises Forbidden, InvalidParams, ReceiptPending, StorageFull."""
        _check(principal, run)
        try:
            checked = verify_review(document, receipt_id=run.receipt_id)
        except ReviewError as error:
            raise InvalidParams(f"The review does not hold: {error}.", info={"field": "document"}) from None
        said = checked.statement
        wanted = {"run_id": run.id, "by": principal.label, "key_id": principal.key_id, "signed_by": "key"}
        for name, value in wanted.items():
            if getattr(said, name) != value:
                raise InvalidParams(
                    f"The statement's {name} is {readable(str(getattr(said, name)))}, not {value}.",
                    remedy="Sign what this run and this key are.",
                    info={"field": f"document.statement.{name}"},
                )
        if checked.kid != signing_key(token).kid:
            raise InvalidParams(
                "The review is signed with another key than the one that comes of this request's API key.",
                remedy="Derive it as docs/reviews.md says, or send no document: then the platform signs.",
                info={"field": "document.key"},
            )
        off = abs(read_timestamp(said.at, "document.statement.at") - self._clock.now())
        if off > SKEW:
            raise InvalidParams(
                f"The statement's time is {off:.0f} s off.", remedy="Set the clock right, and sign again."
            )
        return await self._store(principal, run, document)

    async def _store(self, principal: Principal, run: Reviewed, document: ReviewDocument) -> ReviewRow:
        notes, said = document.notes, document.statement
        row = ReviewRow(
            self._ids.new("review"),
            run.agent,
            run.id,
            run.receipt_id,
            said.verdict,
            self._clock.now(),
            run.owner == principal.label,
            _encode(replace(document, notes=UNSET)),
            None if notes is UNSET else bytes.fromhex(notes.salt),
            None if notes is UNSET else notes.text,
        )
        event = change(
            principal.org_no,
            row.at,
            principal.label,
            "review.signed",
            run.id,
            review=row.id,
            receipt=run.receipt_id,
            verdict=said.verdict,
            statement_sha256=statement_sha256(said),
            signed_by=said.signed_by,
            key=verify_review(document).kid,
        )
        stored = (
            row.id,
            principal.org_no,
            row.agent,
            row.run,
            row.receipt,
            principal.no,
            row.verdict,
            row.at,
        )
        await self._journal.write(
            [(ADD_REVIEW, (*stored, int(row.own), row.document, row.salt, row.notes)), event]
        )
        return row


def _check(principal: Principal, run: Reviewed) -> None:
    """Raises Forbidden for an agent that acts for somebody, ReceiptPending for a run that has not ended."""
    if principal.anonymous or principal.actors:
        raise Forbidden("A review is a person's own: agents that act for them don't sign it.")
    if not run.receipt_id:
        raise ReceiptPending(f"Run {run.id} has not ended.", remedy="Review it when it has.", retry_after=1)
