"""Making a receipt: salts, hashes, the signed body, its leaf, and the document that a viewer gets.

Format: docs/receipts.md (reference: proof.md, "Receipt"). `seal` is on the way of every call, so it
does one encoding, two hashes and one signature and nothing else. `document` is made when somebody
asks for the receipt, so it can afford a second signature, over the place in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256, sha384

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.receipt import (
    SALT,
    ApprovalEntry,
    ChildEntry,
    Countersignature,
    DisclosedPayload,
    DisclosedPayloads,
    DisclosedSection,
    DisclosedSections,
    EffectEntry,
    Environment,
    Erased,
    GrantEntry,
    LedgerEntry,
    LogEntry,
    ReceiptBody,
    SectionHashes,
    Signature,
    WorkspaceFacts,
)
from a2a_cloud.wire.canonical import salted_sha256
from a2a_cloud.wire.jws import Signer, b64url

ID_PREFIX = "rcpt_"
#: A payload larger than this is not put into the document; its hash still stands in the body.
DISCLOSE_LIMIT = 1 << 20
#: The bytes of an empty list section, ready made: most runs have no effects and no children.
EMPTY = b"[]"
#: The section of a run that touched no workspace.
NOTHING = b"null"

# The Structs of model/receipt.py are declared in alphabetical order, hold no floats and have ASCII
# keys: what this prints is canonical JSON. A test compares it with rfc8785.
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


class Salts:
    """The salts of one run: one block of random bytes, cut into 16-byte pieces.

    Stored as `raw` beside the payloads and deleted with them; without them no hash in the receipt
    can be compared with a guess. `inner` is never disclosed: the salts of single effects' payloads
    come from it, and those of the sections that came later (`later`, `ledger`), which outlive it when a
    run is erased.
    """

    __slots__ = (
        "approvals",
        "children",
        "effects",
        "env",
        "events",
        "grants",
        "inner",
        "key",
        "later",
        "raw",
        "request",
        "response",
        "workspace",
    )

    LENGTH = 8 * SALT

    def __init__(self, raw: bytes, later: bytes = b"") -> None:
        """From stored bytes, and what `kept_later` gave once the run was erased. Raises ValueError unless
        there are `Salts.LENGTH` of them."""
        if len(raw) != 128:
            raise ValueError("the salts of a run are 128 bytes")
        self.raw = raw
        self.request = raw[0:16]
        self.response = raw[16:32]
        self.events = raw[32:48]
        self.key = raw[48:64]
        self.effects = raw[64:80]
        self.env = raw[80:96]
        self.children = raw[96:112]
        self.inner = raw[112:128]
        self.later = later
        more = later or sha384(self.inner + b"sections").digest()
        self.approvals = more[0:16]
        self.grants = more[16:32]
        self.workspace = more[32:48]

    @property
    def ledger(self) -> bytes:
        """The salt of the ledger's entries; most runs have none."""
        return self.later[48:64] or sha384(self.inner + b"ledger").digest()[:SALT]

    def kept_later(self) -> bytes:
        """The salts that come from `inner`, but those of effects: what an erasure keeps in its place."""
        return self.approvals + self.grants + self.workspace + self.ledger

    @classmethod
    def draw(cls, entropy: Entropy) -> Salts:
        """New salts for a new run."""
        return cls(entropy.bytes(128))

    def effect(self, seq: int, what: str) -> bytes:
        """The salt of one effect's payload; `what` is `args` or `result`."""
        return sha256(self.inner + f"{what}:{seq}".encode()).digest()[:SALT]


class EventsDigest:
    """`events_sha256`, fed as a run's events are written, so that no seal reads them again.

    The hashed payload is a JSON array of the stored events in order, all of them, effects too: the
    event with sequence number n stands at place n - 1. Equal to
    `salted_sha256(salt, events_payload(bodies))`.
    """

    __slots__ = ("_hash", "_mark")

    def __init__(self, salt: bytes) -> None:
        self._hash = sha256(salt)
        self._mark = b"["

    def add(self, body: bytes) -> None:
        """The next event, as stored (`model.run.encode_event`)."""
        self._hash.update(self._mark + body)
        self._mark = b","

    def hexdigest(self) -> str:
        """The hash of the events so far, in hex; more may be added after it."""
        final = self._hash.copy()
        final.update(b"[]" if self._mark == b"[" else b"]")
        return final.hexdigest()


def events_payload(bodies: Sequence[bytes]) -> bytes:
    """The bytes that `events_sha256` is over: a JSON array of the stored events."""
    return b"[" + b",".join(bodies) + b"]"


def effect_entry(
    salts: Salts, seq: int, kind: str, name: str, args: bytes, result: bytes | None
) -> EffectEntry:
    """The entry of an effect that began at `seq`. `result` is None when it never ended."""
    return EffectEntry(
        seq=seq,
        kind=kind,
        name=name,
        args_sha256=salted_sha256(salts.effect(seq, "args"), args),
        result_sha256=UNSET if result is None else salted_sha256(salts.effect(seq, "result"), result),
    )


Section = (
    Sequence[EffectEntry]
    | Sequence[ChildEntry]
    | Sequence[GrantEntry]
    | Sequence[ApprovalEntry]
    | Sequence[LedgerEntry]
    | Environment
    | WorkspaceFacts
)


def section(value: Section) -> bytes:
    """The canonical bytes of a section. An Environment's may be kept per release."""
    return _encode(value)


def section_hashes(
    salts: Salts,
    env: bytes,
    effects: bytes = EMPTY,
    children: bytes = EMPTY,
    *,
    approvals: bytes = EMPTY,
    grants: bytes = EMPTY,
    workspace: bytes = NOTHING,
) -> SectionHashes:
    """The hashes that go into the body, from the bytes that `section` made."""
    return SectionHashes(
        approvals=sha256(salts.approvals + approvals).hexdigest(),
        children=sha256(salts.children + children).hexdigest(),
        effects=sha256(salts.effects + effects).hexdigest(),
        env=sha256(salts.env + env).hexdigest(),
        grants=sha256(salts.grants + grants).hexdigest(),
        workspace=sha256(salts.workspace + workspace).hexdigest(),
    )


class SealedReceipt(Struct, frozen=True):
    """What is stored of a receipt; it never changes.

    `id` = `rcpt_` + SHA-256 of `body` in hex; `protected` and `signature` are the detached JWS over
    `body`; `leaf` is the 32-byte leaf hash for the organisation's log.
    """

    id: str
    body: bytes
    protected: str
    signature: str
    leaf: bytes


def leaf_hash(entry: bytes) -> bytes:
    """The RFC 6962 leaf hash of a log entry: the 32 raw bytes of a receipt's id."""
    return sha256(b"\x00" + entry).digest()


class DraftReceipt(Struct, frozen=True):
    """A receipt that only lacks its signature; fields as in SealedReceipt."""

    id: str
    body: bytes
    leaf: bytes


def draft(body: ReceiptBody) -> DraftReceipt:
    """Hash `body`; who commits it signs its bytes. Raises ValueError for half a surrogate pair."""
    data = _encode(body)
    digest = sha256(data)
    return DraftReceipt(ID_PREFIX + digest.hexdigest(), data, sha256(b"\x00" + digest.digest()).digest())


def seal(signer: Signer, body: ReceiptBody) -> SealedReceipt:
    """Hash and sign `body`. Pure; may run in the thread that commits.

    Raises ValueError when `body.issuer_kid` is not the signer's, or holds half a surrogate pair.
    """
    if body.issuer_kid != signer.kid:
        raise ValueError("the body names another key than the one that signs")
    data = _encode(body)
    digest = sha256(data)
    return SealedReceipt(
        ID_PREFIX + digest.hexdigest(),
        data,
        signer.protected,
        signer.sign(data),
        sha256(b"\x00" + digest.digest()).digest(),
    )


class LogStatement(Struct, frozen=True, kw_only=True):
    """What is signed about a place in the log; its kind keeps it apart from every receipt body."""

    id: str
    index: int
    kind: str = "log-entry"
    leaf_sha256: str
    org: str
    v: int = 1


def log_statement(receipt_id: str, org: str, index: int, leaf: str) -> bytes:
    """The canonical bytes of the statement that the leaf of `receipt_id` stands at `index`."""
    return _encode(LogStatement(id=receipt_id, index=index, leaf_sha256=leaf, org=org))


class ErasureStatement(Struct, frozen=True, kw_only=True):
    """What is signed about an erasure; its kind keeps it apart from every receipt body."""

    at: str
    by: str
    id: str
    kind: str = "erasure"
    v: int = 1


def erasure_statement(receipt_id: str, at: str, by: str) -> bytes:
    """The canonical bytes of the statement that the payloads of `receipt_id` were erased."""
    return _encode(ErasureStatement(at=at, by=by, id=receipt_id))


class _Document(Struct, frozen=True, omit_defaults=True):
    """A ReceiptDocument whose body is bytes already."""

    body: msgspec.Raw
    id: str
    signatures: list[Signature]
    log: LogEntry
    countersignature: Countersignature | None = None
    erased: Erased | None = None
    sections: DisclosedSections | None = None
    disclosed: DisclosedPayloads | None = None


def document(
    sealed: SealedReceipt,
    signer: Signer,
    *,
    org: str,
    index: int,
    sections: DisclosedSections | None = None,
    disclosed: DisclosedPayloads | None = None,
    agent: Signer | None = None,
    proof: str = "",
    erased: tuple[str, str] | None = None,
) -> bytes:
    """The receipt as a file (docs/receipts.md): without `sections` the caller's view, with them the
    whole view. Both carry the same signatures. `signer` (any current key) signs the log index, `agent` (the
    service identity that the body names) countersigns the body. `proof` is the text of a `.tlog-proof`, ""
    while there is none; `erased` says when and by whom its payloads were."""
    leaf = sealed.leaf.hex()
    statement = log_statement(sealed.id, org, index, leaf)
    return _encode(
        _Document(
            body=msgspec.Raw(sealed.body),
            id=sealed.id,
            signatures=[Signature(sealed.protected, sealed.signature)],
            log=LogEntry(
                index=index,
                leaf_sha256=leaf,
                org=org,
                signatures=[Signature(signer.protected, signer.sign(statement))],
                proof=proof or UNSET,
            ),
            countersignature=None
            if agent is None
            else Countersignature(b64url(agent.public).decode(), agent.protected, agent.sign(sealed.body)),
            erased=None
            if erased is None
            else Erased(
                *erased,
                [Signature(signer.protected, signer.sign(erasure_statement(sealed.id, *erased)))],
            ),
            sections=sections,
            disclosed=disclosed,
        )
    )


def disclose_sections(
    salts: Salts,
    env: bytes,
    effects: bytes = EMPTY,
    children: bytes = EMPTY,
    *,
    approvals: bytes = EMPTY,
    grants: bytes = EMPTY,
    ledger: bytes = b"",
    workspace: bytes = NOTHING,
    later: bool = True,
) -> DisclosedSections:
    """The sections for the whole view, from the bytes whose hashes are in the body; empty ones too, so that
    nobody can leave one out and say that it was empty. `later`: whether the body has the hashes of approvals,
    grants and workspace, which early receipts have not."""

    def shown(salt: bytes, value: bytes) -> DisclosedSection | msgspec.UnsetType:
        return DisclosedSection(salt.hex(), msgspec.Raw(value)) if later else UNSET

    return DisclosedSections(
        approvals=shown(salts.approvals, approvals),
        children=DisclosedSection(salts.children.hex(), msgspec.Raw(children)),
        effects=DisclosedSection(salts.effects.hex(), msgspec.Raw(effects)),
        env=DisclosedSection(salts.env.hex(), msgspec.Raw(env)),
        grants=shown(salts.grants, grants),
        ledger=DisclosedSection(salts.ledger.hex(), msgspec.Raw(ledger)) if ledger else UNSET,
        workspace=shown(salts.workspace, workspace),
    )


def disclose_payloads(
    salts: Salts,
    *,
    request: bytes | None = None,
    response: bytes | None = None,
    events: bytes | None = None,
    idempotency_key: str = "",
) -> DisclosedPayloads:
    """The payloads for a viewer who may have them, each with its salt. What is absent, deleted or
    larger than DISCLOSE_LIMIT is left out, and its salt too: a salt goes only with its payload."""
    return DisclosedPayloads(
        events=_payload(salts.events, events),
        idempotency_key=_payload(salts.key, idempotency_key.encode() or None),
        request=_payload(salts.request, request),
        response=_payload(salts.response, response),
    )


def _payload(salt: bytes, payload: bytes | None) -> DisclosedPayload | msgspec.UnsetType:
    if payload is None or len(payload) > DISCLOSE_LIMIT:
        return UNSET
    try:
        return DisclosedPayload(salt.hex(), payload=payload.decode())
    except UnicodeDecodeError:
        return DisclosedPayload(salt.hex(), payload_b64=b64url(payload).decode())
