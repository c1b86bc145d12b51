"""Checking a compliance pack with nothing but its file and the issuer's public keys: no I/O but reading it,
no server (docs/packs.md).

First the pack: its zip, that every file is there, unchanged and none too many, the signature over the list.
Then each file: receipts by their steps, all of them as one tree; proofs, events and reviews against the log's
checkpoints. A pack brings the keys with it, and they prove nothing: the reader's come from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from msgspec import Meta, Struct

from a2a_cloud.model.receipt import Count, ReceiptId, SaltHex
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.log_event import event_entry, is_event
from a2a_cloud.wire.note import NoteKey
from a2a_cloud.wire.pack_manifest import SIGNATURE, Manifest, check_file, read_manifest, read_signature
from a2a_cloud.wire.pack_zip import PackError, ZipReader
from a2a_cloud.wire.proof import MAX_DOCUMENT, Outcome, Step, Verdict
from a2a_cloud.wire.review import ReviewDocument, ReviewError, verify_review
from a2a_cloud.wire.verify.log import check_proof
from a2a_cloud.wire.verify.trail import RefusedError, Trail
from a2a_cloud.wire.verify.tree import verify_tree

RECEIPTS, PROOFS, EVENTS, REVIEWS = "receipts/", "proofs/", "events/", "reviews/"
KEYS, PAGE = "keys.json", "verify.html"
#: A file of a pack that is read whole and is larger is refused.
MAX_FILE = MAX_DOCUMENT
_PROOF_NAME = re.compile(rf"{PROOFS}rcpt_([0-9a-f]{{64}})\.(tlog-proof|cose)")


class FileSteps(Struct, frozen=True):
    """What the check of one file came to; `file` "" is the pack itself."""

    file: str
    steps: tuple[Step, ...]

    @property
    def failure(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.state == "failed"), None)


class PackVerdict(Struct, frozen=True):
    """The outcome of a check. `file` and `reason` say what was refused first, or what was not checked;
    `manifest` is None when nothing of the pack may be relied on."""

    outcome: Outcome
    reason: str
    file: str
    manifest: Manifest | None
    files: tuple[FileSteps, ...]

    @property
    def exit_code(self) -> int:
        """0 valid, 7 whole but the signer was not checked, 8 refused."""
        return self.outcome.value

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.outcome is Outcome.REFUSED:
            return f"refused: {self.file or 'the pack'}: {self.reason}"
        if self.outcome is Outcome.UNCHECKED:
            return f"internally consistent; signer not checked: {self.reason}"
        assert self.manifest is not None
        receipts, files = _many(self.manifest.runs, "receipt"), _many(len(self.manifest.files), "file")
        return f"valid: {receipts} in {files}, packed {self.manifest.made_at}"


class Event(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event of the audit log: its leaf's entry is 0x01 ‖ SHA-256(salt ‖ payload). `proof` is a
    `.tlog-proof`."""

    index: Count
    payload: str
    salt: SaltHex
    proof: str = ""


class _Events(Struct, forbid_unknown_fields=True):
    events: list[Event]
    receipt_id: ReceiptId
    run: Annotated[str, Meta(max_length=256)]


class _Reviews(Struct, forbid_unknown_fields=True):
    receipt_id: ReceiptId
    reviews: list[ReviewDocument]
    run: Annotated[str, Meta(max_length=256)]


def verify_pack(
    source: Path | BinaryIO | bytes, jwks: Iterable[jws.Jwk] | None = None, witnesses: Sequence[NoteKey] = ()
) -> PackVerdict:
    """Check a pack. `jwks` are the keys that the reader trusts, from elsewhere than the pack, of the issuer
    and of its log; None: signers stay unchecked, and the verdict says so. Raises OSError."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return verify_pack(file, jwks, witnesses)
    listed = None if jwks is None else list(jwks)
    trail = Trail()
    try:
        pack = ZipReader(source)
        trail.ok("zip", f"{_many(len(pack.members), 'file')}, each written in the one way")
        manifest, data = read_manifest(pack)
        trail.ok(
            "manifest", f"{_many(manifest.runs, 'receipt')} of {manifest.org}, packed {manifest.made_at}"
        )
        signature = read_signature(pack)
    except PackError as error:
        at = f"{error.file}: " if error.file else ""
        trail.failed("pack", RefusedError(f"{at}{error}"))
        steps = FileSteps("", tuple(trail.steps))
        return PackVerdict(Outcome.REFUSED, str(error), error.file, None, (steps,))
    keys = None if listed is None else jws.by_kid(listed)
    _signature(trail, data, signature.protected, signature.signature, keys)
    changed = dict(_changed(pack, manifest))
    if changed:
        first = next(iter(changed))
        trail.failed("files", RefusedError(f"{first}: {changed[first]}"))
    else:
        trail.ok("files", f"all {len(manifest.files)} are there as they were, and none besides")
    files = [FileSteps("", tuple(trail.steps))]
    files += [FileSteps(name, (Step("file", "failed", why),)) for name, why in changed.items()]
    good = [name for name in sorted(pack.members) if name not in changed]
    files += _files(pack, good, manifest.org, listed, keys, witnesses)
    return _verdict(files, manifest, listed is None)


def own_keys(path: Path) -> bytes:
    """The keys that came with a pack, for who knows a fingerprint: by themselves they prove nothing. Of what
    is no pack, or has none: an empty set. Raises OSError."""
    try:
        with path.open("rb") as file:
            pack = ZipReader(file)
            return pack.data(KEYS, jws.MAX_JWKS) if KEYS in pack.members else b'{"keys":[]}'
    except PackError:
        return b'{"keys":[]}'


def _verdict(files: list[FileSteps], manifest: Manifest, unchecked: bool) -> PackVerdict:
    # What is wrong with a file says more than that the list of files does not hold.
    failed = next((each for each in files[1:] if each.failure), files[0] if files[0].failure else None)
    if failed is not None:
        step = failed.failure
        assert step is not None
        return PackVerdict(Outcome.REFUSED, step.why, failed.file, None, tuple(files))
    if unchecked:
        return PackVerdict(Outcome.UNCHECKED, "no key was given", "", manifest, tuple(files))
    return PackVerdict(Outcome.VALID, "", "", manifest, tuple(files))


def _signature(
    trail: Trail, data: bytes, protected: str, signature: str, keys: Mapping[str, bytes] | None
) -> None:
    try:
        if keys is None:
            jws.read_signature(signature)
            kid = jws.read_header(protected)
            return trail.unchecked("signature", f"no key was given (it names {kid})")
        kid = jws.verify(data, protected, signature, keys)
    except jws.SignatureError as refusal:
        return trail.failed("signature", RefusedError(f"{SIGNATURE}: {refusal}"))
    return trail.ok("signature", f"key {kid}")


def _changed(pack: ZipReader, manifest: Manifest) -> Iterator[tuple[str, str]]:
    for name, listed in manifest.files.items():
        try:
            check_file(pack, name, listed)
        except PackError as error:
            yield name, str(error)


def _files(
    pack: ZipReader,
    names: Sequence[str],
    org: str,
    jwks: list[jws.Jwk] | None,
    keys: Mapping[str, bytes] | None,
    witnesses: Sequence[NoteKey],
) -> Iterator[FileSteps]:
    receipts = _Documents(pack, [name for name in names if name.startswith(RECEIPTS)])
    for name, verdict in verify_tree(receipts, jwks, witnesses).items():
        yield FileSteps(name, _named(name, verdict))
    for name in names:
        trail = Trail()
        try:
            if name.startswith(PROOFS):
                _proof(trail, name, pack.data(name, MAX_FILE), org, keys, witnesses)
            elif name.startswith(EVENTS):
                _events(trail, _read(pack, name, _Events), org, keys, witnesses)
            elif name.startswith(REVIEWS):
                told = _read(pack, name, _Reviews)
                _reviews(trail, told, _events_beside(pack, name), org, keys, witnesses)
            elif name == PAGE:
                trail.unchecked(
                    "page", "a page that comes with a pack proves nothing: open one from elsewhere"
                )
            elif name == KEYS:
                trail.unchecked("keys", "keys that come with a pack prove nothing: take them from elsewhere")
        except RefusedError as refusal:
            trail.failed("file", refusal)
        except PackError as error:
            trail.failed("file", RefusedError(str(error)))
        if trail.steps:
            yield FileSteps(name, tuple(trail.steps))


class _Documents(Mapping[str, bytes]):
    """Receipts of a pack, read when they are looked at: a pack may have thousands."""

    def __init__(self, pack: ZipReader, names: Sequence[str]) -> None:
        self._pack = pack
        self._names = names

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._pack.data(name, MAX_FILE)
        except PackError as error:
            return str(error).encode()  # Which is no receipt, and is refused as one.

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _named(name: str, verdict: Verdict) -> tuple[Step, ...]:
    """The steps of a receipt, and that its file has its name."""
    if not verdict.receipt_id or name == f"{RECEIPTS}{verdict.receipt_id}.json":
        return verdict.steps
    return (
        *verdict.steps,
        Step("file", "failed", f"it is the receipt {verdict.receipt_id}, under another name"),
    )


def _read(pack: ZipReader, name: str, kind: Any) -> Any:
    try:
        return msgspec.convert(parse_strict(pack.data(name, MAX_FILE)), kind)
    except PackError:
        raise
    except ValueError as error:  # ValidationError is one.
        raise RefusedError(f"it can't be read: {error}") from None


def _events_beside(pack: ZipReader, name: str) -> list[Event]:
    """The events of a run whose reviews are in the file `name`, those with a proof."""
    file = EVENTS + name.removeprefix(REVIEWS)
    try:
        if file not in pack.members:
            return []
        found: list[Event] = _read(pack, file, _Events).events
    except (RefusedError, PackError):
        return []  # It is refused under its own name.
    return [event for event in found if event.proof]


def _proof(
    trail: Trail,
    name: str,
    data: bytes,
    org: str,
    keys: Mapping[str, bytes] | None,
    witnesses: Sequence[NoteKey],
) -> None:
    named = _PROOF_NAME.fullmatch(name)
    if named is None:
        raise RefusedError("its name does not say which receipt it is for")
    entry = bytes.fromhex(named[1])
    if named[2] == "cose":
        return _cose(trail, data, entry, org, keys)
    from a2a_cloud.wire.merkle import ProofError
    from a2a_cloud.wire.tlog_proof import read_proof

    try:
        index = read_proof(data).index
    except ProofError as error:
        raise RefusedError(f"the proof can't be read: {error}") from None
    return check_proof(trail, data.decode(), index, entry, org, keys, witnesses)


def _cose(trail: Trail, data: bytes, entry: bytes, org: str, keys: Mapping[str, bytes] | None) -> None:
    from a2a_cloud.wire import cose_receipt
    from a2a_cloud.wire.merkle import ProofError

    if keys is None:
        return trail.unchecked("cose", "no key was given")
    why = "no key was given that could have signed it"
    for public in keys.values():
        try:
            found = cose_receipt.verify_receipt(data, entry, public)
        except ModuleNotFoundError:
            return trail.unchecked("cose", "CBOR can't be read here: install cbor2")
        except ProofError as error:
            why = str(error)
            continue
        if not found.origin.endswith(f"/log/{org}"):
            raise RefusedError(f"it is of the log {found.origin}, not of one of {org}")
        return trail.ok("cose", f"index {found.index} of {found.size} in {found.origin}")
    return trail.failed("cose", RefusedError(why))


def _events(
    trail: Trail,
    told: _Events,
    org: str,
    keys: Mapping[str, bytes] | None,
    witnesses: Sequence[NoteKey],
) -> None:
    """That each event is in the log: its leaf is made of what is here."""
    proven = 0
    for event in told.events:
        if not is_event(event.payload):
            raise RefusedError(f"the entry at {event.index} is no event")
        if not event.proof:
            continue
        failed = _place_of(event, org, keys, witnesses)
        if failed is not None:
            raise RefusedError(f"the event at {event.index}: {failed.why}")
        proven += 1
    count = len(told.events)
    if proven < count:
        return trail.unchecked("events", f"{count - proven} of {count} have no proof")
    if keys is None:
        return trail.unchecked("events", f"{count} in the trees of their checkpoints: no key was given")
    return trail.ok("events", f"{count} in the log")


def _reviews(
    trail: Trail,
    told: _Reviews,
    events: Sequence[Event],
    org: str,
    keys: Mapping[str, bytes] | None,
    witnesses: Sequence[NoteKey],
) -> None:
    """That each is signed as it says, and where a key was given, by whose."""
    unknown = 0
    for review in told.reviews:
        try:
            checked = verify_review(review, receipt_id=told.receipt_id, keys=keys)
            if keys is None or checked.vouched:
                continue
            event = _vouching(events, checked.sha256, org, keys, witnesses)
            if event is None:
                unknown += 1
            else:
                verify_review(review, receipt_id=told.receipt_id, keys=keys, event=event)
        except ReviewError as error:
            raise RefusedError(f"the review by {review.statement.by}: {error}") from None
    count = len(told.reviews)
    if keys is None:
        return trail.unchecked("reviews", f"{count} signed as they say: no key was given")
    if unknown:
        why = f"{count} signed as they say; no event in the log says whose {unknown} of the keys are"
        return trail.unchecked("reviews", why)
    return trail.ok("reviews", f"{count} signed, by keys that the log or the platform vouches for")


def _vouching(
    events: Sequence[Event],
    statement: str,
    org: str,
    keys: Mapping[str, bytes],
    witnesses: Sequence[NoteKey],
) -> dict[str, Any] | None:
    """What the log says of a review, when its place there holds."""
    for event in events:
        try:
            payload = msgspec.convert(parse_strict(event.payload.encode()), dict[str, Any])
            detail = msgspec.convert(payload.get("detail"), dict[str, Any])
        except ValueError:
            continue  # An event without detail, or one of a later form.
        if detail.get("statement_sha256") != statement:
            continue
        if _place_of(event, org, keys, witnesses) is None:
            return payload
    return None


def _place_of(
    event: Event, org: str, keys: Mapping[str, bytes] | None, witnesses: Sequence[NoteKey]
) -> Step | None:
    """What does not hold of an event's place in the log."""
    trail = Trail()
    entry = event_entry(bytes.fromhex(event.salt), event.payload.encode())
    check_proof(trail, event.proof, event.index, entry, org, keys, witnesses)
    return trail.failure


def _many(count: int, one: str) -> str:
    return f"{count} {one if count == 1 else one + 's'}"
