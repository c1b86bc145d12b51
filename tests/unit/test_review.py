"""Reviews: what is signed verifies by itself, every change of it is refused, and the platform takes only what
comes of the key that was shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.reviews.reviews import SKEW, Reviews
from a2a_cloud.control.reviews.rows import ReviewRows, erased
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, ReceiptPending
from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.system import SystemEntropy, TimeIds
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.wire import jws
from a2a_cloud.wire.review import (
    INFO,
    MAX_DOCUMENT,
    Notes,
    ReviewDocument,
    ReviewError,
    read_review,
    sign,
    signing_key,
    statement_sha256,
    verify_review,
)

RECEIPT = "rcpt_" + "ab" * 32
KEY = "a2a_0123456789ab_" + "A" * 49
ABOUT = {"receipt_id": RECEIPT, "run_id": "run_1", "by": "ada@default", "at": "2026-01-31T12:00:00.000Z"}
NOTES = Notes("0f" * 16, "Well done.")


def made(signer: jws.Signer | None = None, **more: Any) -> ReviewDocument:
    fields = {**ABOUT, "verdict": "approve", "key_id": "0123456789ab", "notes": NOTES, **more}
    return sign(signer or signing_key(KEY), **fields)


def again(document: ReviewDocument, **changes: Any) -> ReviewDocument:
    """The document with fields of its statement, or its own, changed."""
    plain = msgspec.to_builtins(document)
    for name, value in changes.items():
        (plain if name in plain else plain["statement"])[name] = value
    return read_review(msgspec.json.encode(plain))


def test_the_signing_key_is_what_hkdf_makes_of_the_api_key() -> None:
    # RFC 5869 by hand: extract with a salt of zeros, expand once.
    import hashlib
    import hmac

    secret = hmac.digest(bytes(32), KEY.encode(), "sha256")
    seed = hmac.digest(secret, INFO + b"\x01", "sha256")
    assert signing_key(KEY).public == jws.Signer(seed).public
    assert hashlib.sha256(seed).digest() != hashlib.sha256(KEY.encode()).digest()


def test_a_review_verifies_by_itself_and_with_joserfc() -> None:
    from joserfc import jws as outside
    from joserfc.jwk import OKPKey

    document = read_review(msgspec.json.encode(made()))
    checked = verify_review(document, receipt_id=RECEIPT)
    assert (checked.statement.verdict, checked.notes, checked.vouched) == ("approve", "Well done.", "")
    public = OKPKey.import_key(jws.public_jwk(jws.b64url_decode(document.key)))
    payload = jws.b64url(msgspec.json.encode(msgspec.to_builtins(document.statement, order="sorted")))
    token = {"payload": payload.decode(), "protected": document.protected, "signature": document.signature}
    outside.deserialize_json(token, public, ["Ed25519"])


CHANGES = {
    "verdict": "reject",
    "run_id": "run_2",
    "receipt_id": "rcpt_" + "00" * 32,
    "by": "eve@default",
    "at": "2026-01-31T12:00:01.000Z",
    "key_id": "ffffffffffff",
    "signed_by": "platform",
    "key": jws.b64url(signing_key("other").public).decode(),
    "signature": "A" * 86,
    "notes": {"salt": "0f" * 16, "text": "Badly done."},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_refused(name: str) -> None:
    with pytest.raises(ReviewError):
        verify_review(again(made(), **{name: CHANGES[name]}))


def test_notes_can_be_taken_away_and_the_rest_holds() -> None:
    document = msgspec.structs.replace(made(), notes=msgspec.UNSET)
    assert verify_review(document).notes is None


def test_the_platforms_signature_needs_its_key() -> None:
    signer = jws.Signer(bytes(32))
    document = made(signer, key_id="", notes=None)
    keys = jws.by_kid([signer.jwk()])
    assert document.statement.signed_by == "platform"
    assert verify_review(document, keys=keys).vouched == "platform"
    assert verify_review(document).vouched == ""
    with pytest.raises(ReviewError, match="not among"):
        verify_review(document, keys=jws.by_kid([jws.Signer(b"1" * 32).jwk()]))


def test_the_event_in_the_log_says_whose_key_signed() -> None:
    document = made()
    detail = {
        "statement_sha256": statement_sha256(document.statement),
        "key": signing_key(KEY).kid,
        "receipt": RECEIPT,
    }
    event = {"kind": "review.signed", "by": "ada@default", "detail": detail}
    assert verify_review(document, event=event).vouched == "log"
    for other in (
        {**event, "by": "eve@default"},
        {**event, "kind": "eval.scored"},
        {**event, "detail": {**detail, "key": "x"}},
        {**event, "detail": {**detail, "statement_sha256": "x"}},
        {},
    ):
        with pytest.raises(ReviewError, match="event in the log"):
            verify_review(document, event=other)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"v":1.5}', b" " * (MAX_DOCUMENT + 1), b"\xff", b'{"key":"a","key":"b"}'],
    ids=["empty", "list", "object", "float", "large", "bytes", "twice"],
)
def test_what_is_no_review_is_refused(data: bytes) -> None:
    with pytest.raises(ReviewError):
        read_review(data)


def test_a_list_of_reviews_says_what_was_signed() -> None:
    """A server may sign a row with somebody's true review of another verdict."""
    from a2a_cloud.callers.cli.review import _holds  # pyright: ignore[reportPrivateUsage]

    document = msgspec.to_builtins(made())
    row = {
        "receipt": RECEIPT,
        "run": "run_1",
        "verdict": "approve",
        "by": "ada@default",
        "key_id": "0123456789ab",
        "notes": NOTES.text,
        "document": document,
    }
    assert _holds(row) == "holds"
    for name, value in (("verdict", "reject"), ("by", "eve@default"), ("run", "run_2"), ("notes", "Bad.")):
        assert _holds({**row, name: value}) == f"refused: another {name} was signed"
    assert _holds({**row, "key_id": None}) == "refused: another key_id was signed"
    assert _holds({**row, "receipt": "rcpt_" + "0" * 64}).startswith("refused: it is about")


def test_members_that_nobody_knows_are_refused() -> None:
    plain = msgspec.to_builtins(made())
    for place in (plain, plain["statement"], plain["notes"]):
        place["more"] = 1
        with pytest.raises(ReviewError):
            read_review(msgspec.json.encode(plain))
        del place["more"]
    read_review(msgspec.json.encode(plain))


# --- what the platform takes ------------------------------------------------------------------------


class Run(NamedTuple):
    id: str = "run_1"
    agent: str = "greeter"
    owner: str = "bob@default"
    receipt_id: str = RECEIPT


class Clock:
    def __init__(self) -> None:
        self.at = 1_770_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Site:
    """A store of reviews over a database, and somebody with a key."""

    def __init__(self, folder: Path) -> None:
        path = folder / "journal.db"
        self.clock, entropy = Clock(), SystemEntropy()
        self.journal = SqliteJournal(path)
        self.reader = SqliteReader(path)
        self.identity = Identity(self.reader, self.journal, self.clock, entropy)
        ids = TimeIds(self.clock, entropy)
        self.signer = jws.Signer(b"p" * 32)
        rows = ReviewRows(self.reader.connection)
        self.reviews = Reviews(rows, self.journal, self.clock, ids, entropy, self.signer)

    def events(self) -> list[tuple[str, str, Any]]:
        found = self.reader.connection.execute(
            "SELECT kind, target, detail FROM audit_event WHERE kind='review.signed'"
        ).fetchall()
        return [(kind, target, msgspec.json.decode(detail)) for kind, target, detail in found]


def at_site(test: Callable[[Site, Principal, str], Awaitable[None]]) -> Callable[[Path], None]:
    """A test of a store with somebody in it, in a loop of its own."""

    def run(tmp_path: Path) -> None:
        async def whole() -> None:
            site = Site(tmp_path)
            key = await site.identity.admin_key(tmp_path / "admin.key")
            await test(site, site.identity.authenticate(key), key)
            await site.journal.close()
            site.reader.close()

        asyncio.run(whole())

    return run


@at_site
async def test_a_signed_review_is_stored_with_its_event(site: Site, who: Principal, token: str) -> None:
    run = Run(owner=who.label)
    about = {"receipt_id": RECEIPT, "run_id": run.id, "by": who.label, "key_id": who.key_id}
    document = sign(signing_key(token), verdict="reject", at=stamp(site.clock.at), notes=NOTES, **about)
    row = await site.reviews.signed(who, token, run, document)
    assert row.own
    assert site.reviews.document(row) == document
    assert site.reviews.of_run(who.org_no, run.id) == [row]
    assert site.reviews.listed(who.org_no, agent="greeter") == [row]
    assert site.reviews.listed(who.org_no, before=row.id) == []
    ((kind, target, detail),) = site.events()
    assert (kind, target, detail["verdict"]) == ("review.signed", run.id, "reject")
    event = {"kind": kind, "by": who.label, "detail": detail}
    assert verify_review(site.reviews.document(row), event=event).vouched == "log"
    # Another organisation has no such review; erased notes leave one that holds.
    with pytest.raises(NotFound):
        site.reviews.one(who.org_no + 1, row.id)
    await site.journal.write(erased(who.org_no, run.id))
    left = site.reviews.document(site.reviews.one(who.org_no, row.id))
    assert verify_review(left).notes is None


@at_site
async def test_what_is_not_the_callers_own_is_refused(site: Site, who: Principal, token: str) -> None:
    now = stamp(site.clock.at)
    good = {
        "receipt_id": RECEIPT,
        "run_id": "run_1",
        "by": who.label,
        "key_id": who.key_id,
        "at": now,
        "verdict": "approve",
    }
    for change in (
        {"run_id": "run_2"},
        {"receipt_id": "rcpt_" + "00" * 32},
        {"by": "eve@default"},
        {"key_id": "000000000000"},
        {"key_id": ""},
        {"at": stamp(site.clock.at - SKEW - 1)},
        {"at": stamp(site.clock.at + SKEW + 1)},
    ):
        with pytest.raises(InvalidParams):
            await site.reviews.signed(who, token, Run(), sign(signing_key(token), **{**good, **change}))
    with pytest.raises(InvalidParams, match="another key"):
        await site.reviews.signed(who, token, Run(), sign(signing_key(KEY), **good))
    acting = msgspec.structs.replace(who, actors=("spiffe://x/agent",))
    with pytest.raises(Forbidden):
        await site.reviews.signed(acting, token, Run(), sign(signing_key(token), **good))
    with pytest.raises(ReceiptPending):
        await site.reviews.on_behalf(who, Run(receipt_id=""), "approve", "")
    assert site.events() == []


@at_site
async def test_the_platform_signs_on_behalf_and_says_so(site: Site, who: Principal, token: str) -> None:
    row = await site.reviews.on_behalf(who, Run(), "approve", "Fine.")
    document = site.reviews.document(row)
    keys = jws.by_kid([site.signer.jwk()])
    checked = verify_review(document, receipt_id=RECEIPT, keys=keys)
    assert (checked.vouched, checked.statement.signed_by, checked.notes) == ("platform", "platform", "Fine.")
    with pytest.raises(InvalidParams, match="approve or reject"):
        await site.reviews.on_behalf(who, Run(), "maybe", "")
    with pytest.raises(InvalidParams, match="longer"):
        await site.reviews.on_behalf(who, Run(), "approve", "x" * 10_001)
    assert len(site.events()) == 1
