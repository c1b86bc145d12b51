"""Reviews: somebody's signed verdict on a run's receipt (docs/reviews.md). Making one and checking one, with
nothing but the document: no I/O, no server.

A statement is signed as receipts are: canonical JSON (RFC 8785), detached JWS with Ed25519. The key comes of
the signer's API key (HKDF, RFC 5869), so that nobody keeps a second one; or it is the platform's, which then
signs on behalf of somebody who came without such a key, and the statement says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from a2a_cloud.model.receipt import ReceiptId, SaltHex, Sha256
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import canonical, parse_strict, salted_sha256

#: What the key is derived for: a key of another purpose is another key.
INFO: Final = b"a2a-cloud review signing key v1"
#: A document larger than this is refused unread.
MAX_DOCUMENT: Final = 256 << 10
#: Characters of notes.
MAX_NOTES: Final = 10_000

Verdict = Literal["approve", "reject"]
_Text = Annotated[str, Meta(min_length=1, max_length=512)]


class ReviewError(ValueError):
    """A review that does not hold; the text says why."""


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. `by` is `name@org`; `key_id` names the API key from which the signing key comes;
    `notes_sha256` is SHA-256(salt ‖ notes), where there are notes."""

    v: Literal[1]
    kind: Literal["review"]
    receipt_id: ReceiptId
    run_id: _Text
    verdict: Verdict
    by: _Text
    at: Annotated[str, Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")]
    signed_by: Literal["key", "platform"]
    key_id: _Text | UnsetType = UNSET
    notes_sha256: Sha256 | UnsetType = UNSET


class Notes(Struct, frozen=True, forbid_unknown_fields=True):
    """Notes with their salt. They can be deleted; the review stays."""

    salt: SaltHex
    text: Annotated[str, Meta(min_length=1, max_length=MAX_NOTES)]


class ReviewDocument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A review as a file: `key` is the public key that signed, 32 bytes in base64url."""

    statement: Statement
    key: str
    protected: str
    signature: str
    notes: Notes | UnsetType = UNSET


class Checked(NamedTuple):
    """A review that holds. `kid` is the thumbprint of the key that signed; `vouched` says who says whose key
    that is: "platform" (it is one of the given keys), "log" (the event in the log names it), "" (nobody but
    the document)."""

    statement: Statement
    sha256: str
    kid: str
    vouched: str
    notes: str | None


def signing_key(api_key: str) -> jws.Signer:
    """The key with which the owner of an API key signs reviews: HKDF-SHA256 of the key's text."""
    from cryptography.hazmat.primitives.hashes import SHA256  # Only who signs needs it.
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return jws.Signer(HKDF(algorithm=SHA256(), length=32, salt=None, info=INFO).derive(api_key.encode()))


def sign(
    signer: jws.Signer,
    *,
    receipt_id: str,
    run_id: str,
    verdict: str,
    by: str,
    at: str,
    key_id: str = "",
    notes: Notes | None = None,
) -> ReviewDocument:
    """A signed review; `key_id` "" when the platform signs. Raises ReviewError for a wrong shape."""
    fields: dict[str, Any] = {
        "v": 1,
        "kind": "review",
        "receipt_id": receipt_id,
        "run_id": run_id,
        "verdict": verdict,
        "by": by,
        "at": at,
        "signed_by": "key" if key_id else "platform",
    }
    if key_id:
        fields["key_id"] = key_id
    if notes is not None:
        fields["notes_sha256"] = salted_sha256(bytes.fromhex(notes.salt), notes.text.encode())
    try:
        statement = msgspec.convert(fields, Statement)
    except msgspec.ValidationError as error:
        raise ReviewError(f"the review has no right shape: {error}") from None
    key = jws.b64url(signer.public).decode()
    signature = signer.sign(canonical(statement))
    return ReviewDocument(statement, key, signer.protected, signature, UNSET if notes is None else notes)


def statement_sha256(statement: Statement) -> str:
    """What the log has of a review."""
    return sha256(canonical(statement)).hexdigest()


def read_review(data: bytes) -> ReviewDocument:
    """The document in `data`. Raises ReviewError."""
    if len(data) > MAX_DOCUMENT:
        raise ReviewError(f"it is larger than {MAX_DOCUMENT >> 10} KiB")
    try:
        return msgspec.convert(parse_strict(data), ReviewDocument)
    except ValueError as error:  # ValidationError is one.
        raise ReviewError(f"it is no review: {error}") from None


def verify_review(
    document: ReviewDocument,
    *,
    receipt_id: str = "",
    keys: Mapping[str, bytes] | None = None,
    event: Mapping[str, Any] | None = None,
) -> Checked:
    """Check a review: its signature, its notes, and that it is about `receipt_id` where that is given.

    `keys` are the platform's that the reader trusts (`jws.by_kid`): one that the platform signed needs one of
    them. `event` is the payload of its `review.signed` event, whose place in the log was checked: it says
    whose key signed. Raises ReviewError.
    """
    statement = document.statement
    try:
        public = jws.b64url_decode(document.key)
        if len(public) != 32:
            raise ReviewError("its key is not 32 bytes")
        data = canonical(statement)
        kid = jws.verify(data, document.protected, document.signature, {jws.thumbprint(public): public})
    except jws.SignatureError as error:
        raise ReviewError(str(error)) from None
    except ValueError as error:
        raise ReviewError(f"its key is {error}") from None
    if receipt_id and statement.receipt_id != receipt_id:
        raise ReviewError(f"it is about {statement.receipt_id}, not {receipt_id}")
    if (statement.signed_by == "key") != (statement.key_id is not UNSET):
        raise ReviewError("it does not say who signed it")
    digest, notes = sha256(data).hexdigest(), document.notes
    if notes is not UNSET and statement.notes_sha256 != salted_sha256(
        bytes.fromhex(notes.salt), notes.text.encode()
    ):
        raise ReviewError("its notes are not those that were signed")
    vouched = ""
    if statement.signed_by == "platform" and keys is not None:
        if kid not in keys:
            raise ReviewError(f"the platform's key {kid} is not among the given keys")
        vouched = "platform"
    if event is not None:
        told: object = event.get("detail")
        detail: Mapping[str, Any] = cast("Mapping[str, Any]", told) if isinstance(told, Mapping) else {}
        for name, wanted in (("statement_sha256", digest), ("key", kid), ("receipt", statement.receipt_id)):
            if detail.get(name) != wanted:
                raise ReviewError(f"the event in the log has another {name}")
        if event.get("by") != statement.by or event.get("kind") != "review.signed":
            raise ReviewError("the event in the log is another one")
        vouched = vouched or "log"
    return Checked(statement, digest, kid, vouched, None if notes is UNSET else notes.text)
