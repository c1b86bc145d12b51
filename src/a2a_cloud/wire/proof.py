"""Checking a receipt with nothing but the document and the issuer's public keys: no I/O, no server.

Format and meaning of each step and verdict: docs/receipts.md (reference: proof.md, "Receipt"). Every part of
a document is either inside the signature, checked against what is inside, or signed by itself; what
this module does not know outside the body is refused, so no byte can change unnoticed. The steps are in
wire/verify.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.receipt import BODY_VERSION, ReceiptBody, ReceiptDocument
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import canonical, parse_strict
from a2a_cloud.wire.seal import ID_PREFIX
from a2a_cloud.wire.verify.inside import Inside, check_inside
from a2a_cloud.wire.verify.log import check_log
from a2a_cloud.wire.verify.payloads import check_payloads, check_sections
from a2a_cloud.wire.verify.signatures import check_signature
from a2a_cloud.wire.verify.trail import RefusedError, Step, Trail

if TYPE_CHECKING:
    from a2a_cloud.wire.note import NoteKey

__all__ = ("STEPS", "Outcome", "Step", "Verdict", "verify_receipt")

#: A document larger than this is refused unread. Payloads are left out of documents long before.
MAX_DOCUMENT = 64 << 20

#: The steps, in order. One that can't be read at all has the one step `document`.
STEPS = (
    "id",
    "signature",
    "countersignature",
    "sections",
    "payloads",
    "log place",
    "inclusion",
    "checkpoint",
    "witness",
    "grants",
    "approvals",
    "ledger",
    "children",
)


class Outcome(Enum):
    """What a check came to; the value is the exit code of `a2a receipt verify` (docs/cli.md)."""

    VALID = 0
    UNCHECKED = 7
    REFUSED = 8


class Verdict(Struct, frozen=True):
    """The outcome of a check. `reason` says why it was refused or what was not checked; `steps` are all
    steps; `checked` names the parts that held; `notes` what a reader should know. `body` is None when
    refused: nothing in a refused document may be relied on."""

    outcome: Outcome
    reason: str = ""
    receipt_id: str = ""
    issuer_kid: str = ""
    checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    body: ReceiptBody | None = None
    steps: tuple[Step, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 valid, 7 internally consistent but the signer was not checked, 8 refused."""
        return self.outcome.value

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.outcome is Outcome.VALID:
            return f"valid: {self.receipt_id}, signed with key {self.issuer_kid}"
        if self.outcome is Outcome.UNCHECKED:
            return f"internally consistent; signer not checked: {self.reason}"
        return f"refused: {self.reason}"


class Checked(Struct, frozen=True):
    """A verdict, and what a whole view told of the inside: for the check of a tree of receipts."""

    verdict: Verdict
    inside: Inside


def verify_receipt(
    document: bytes,
    jwks: Iterable[jws.Jwk] | None = None,
    witnesses: Sequence[NoteKey] = (),
    proof: str = "",
) -> Verdict:
    """Check a receipt document. `jwks` are the keys that the reader trusts, from elsewhere than the
    document (`jws.read_jwks`), of the issuer and of its log; None: the signer stays unchecked, and the
    verdict says so. Each of `witnesses` has to have cosigned the log's checkpoint (`note.read_vkey`). `proof`
    is the text of a `.tlog-proof` file from elsewhere: it has to hold, and so has the one in the document."""
    return check_receipt(document, jwks, witnesses, proof).verdict


def check_receipt(
    document: bytes, jwks: Iterable[jws.Jwk] | None, witnesses: Sequence[NoteKey] = (), proof: str = ""
) -> Checked:
    """As `verify_receipt`."""
    keys = None if jwks is None else jws.by_kid(jwks)
    trail = Trail()
    try:
        receipt, body = _read(document)
        data = canonical(body)
    except RefusedError as refusal:
        trail.failed("document", refusal)
        return Checked(_refused(trail), Inside())
    digest = sha256(data)
    kid = _signed(trail, receipt, data, ID_PREFIX + digest.hexdigest(), keys)
    _countersigned(trail, receipt, data, keys)
    check_sections(trail, receipt)
    check_payloads(trail, receipt, keys)
    check_log(trail, receipt, digest.digest(), keys, witnesses, proof)
    inside = check_inside(trail, receipt)
    if canonical(receipt.body) != data:
        trail.notes.append("The signed body has fields that this version does not know; they are not judged.")
    if trail.failure is not None:
        return Checked(_refused(trail), Inside())
    reason, outcome = "", Outcome.VALID
    if keys is None:
        reason, outcome = f"no key was given (it names {kid})", Outcome.UNCHECKED
    verdict = Verdict(
        outcome,
        reason,
        receipt.id,
        kid,
        tuple(trail.held),
        tuple(trail.notes),
        receipt.body,
        tuple(trail.steps),
    )
    return Checked(verdict, inside)


def _refused(trail: Trail) -> Verdict:
    step = trail.failure
    assert step is not None
    return Verdict(Outcome.REFUSED, step.why, steps=tuple(trail.steps))


def _read(document: bytes) -> tuple[ReceiptDocument, dict[str, Any]]:
    """The document with its types checked, and its body as it was written."""
    if len(document) > MAX_DOCUMENT:
        raise RefusedError(f"the document is larger than {MAX_DOCUMENT >> 20} MiB")
    try:
        parsed = parse_strict(document)
    except ValueError as error:
        raise RefusedError(f"the document is not readable: {error}") from None
    if not isinstance(parsed, dict):
        raise RefusedError("the document is not a JSON object", "$")
    body = cast("dict[str, Any]", parsed).get("body")
    if not isinstance(body, dict):
        raise RefusedError("the document has no body", "$")
    fields = cast("dict[str, Any]", body)
    version = fields.get("v")
    if type(version) is not int or version != BODY_VERSION:
        raise RefusedError(
            f"the body's version (v) is not {BODY_VERSION}, the one that is known here", "$.body.v"
        )
    if "kind" not in fields:
        raise RefusedError("the body has no kind", "$.body")
    try:
        return msgspec.convert(parsed, ReceiptDocument), fields
    except msgspec.ValidationError as error:
        at = re.search(r"`(\$[^`]*)`$", str(error))
        raise RefusedError(f"the document is not a receipt: {error}", at[1] if at else "$") from None


def _signed(
    trail: Trail, receipt: ReceiptDocument, data: bytes, found: str, keys: Mapping[str, bytes] | None
) -> str:
    """The steps `id` and `signature`; gives the kid."""
    signature: RefusedError | None = None
    kid = ""
    try:
        kid = check_signature("the receipt", "$.signatures", receipt.signatures, data, keys)
        if kid != receipt.body.issuer_kid:
            raise RefusedError(
                f"the body names the key {receipt.body.issuer_kid}, but {kid} signed", "$.body.issuer_kid"
            )
    except RefusedError as refusal:
        signature = refusal
    if receipt.id == found:
        trail.ok("id", found, "id")
    else:
        whose = ""
        if keys is not None:  # The signature tells which of the two was changed.
            whose = (
                "; the signature is over this body" if signature is None else "; nor is it what was signed"
            )
        where = "$.id" if keys is not None and signature is None else "$.body"
        trail.failed(
            "id", RefusedError(f"the body hashes to {found}, but the id is {receipt.id}{whose}", where)
        )
    if signature is not None:
        trail.failed("signature", signature)
    elif keys is None:
        trail.unchecked("signature", f"no key was given (it names {kid})")
    else:
        trail.ok("signature", f"key {kid}", "signature")
    return kid


def _countersigned(
    trail: Trail, receipt: ReceiptDocument, data: bytes, keys: Mapping[str, bytes] | None
) -> None:
    """The step `countersignature`. Its key needs no trust from elsewhere: the body, which is signed, names
    it."""
    agent, shown = receipt.body.agent, receipt.countersignature
    try:
        if shown is UNSET:
            if agent.service_kid is UNSET:  # From before there were service identities.
                trail.unchecked("countersignature", "the body names no key for one")
            else:
                trail.notes.append(f"{agent.service_id} has not countersigned this copy.")
                trail.unchecked("countersignature", f"{agent.service_id} has not countersigned this copy")
            return
        if agent.service_kid is UNSET:
            raise RefusedError(
                "there is a countersignature, and the body names no key for it", "$.countersignature"
            )
        try:
            public = jws.b64url_decode(shown.key)
            if len(public) != 32 or jws.thumbprint(public) != agent.service_kid:
                raise ValueError("its key is not the one that the body names")
            jws.verify(data, shown.protected, shown.signature, {agent.service_kid: public})
        except ValueError as refusal:  # A SignatureError is one.
            why = f"the countersignature of {agent.service_id}: {refusal}"
            raise RefusedError(why, "$.countersignature") from None
    except RefusedError as refusal:
        trail.failed("countersignature", refusal)
        return
    if keys is None:
        why = f"it holds, but it is not known who signed the body that names {agent.service_id}"
        trail.unchecked("countersignature", why)
    else:
        trail.ok("countersignature", str(agent.service_id), "countersignature")
