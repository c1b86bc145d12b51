"""Checking a receipt with nothing but the document and the issuer's public keys: no I/O, no server.

Format and meaning of each verdict: docs/receipts.md (reference: proof.md, "Receipt"). Every part of
a document is either inside the signature, checked against what is inside, or signed by itself; what
this module does not know outside the body is refused, so no byte can change unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any, cast

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.receipt import (
    BODY_VERSION,
    DisclosedPayload,
    ReceiptBody,
    ReceiptDocument,
    Signature,
)
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import canonical, parse_strict, salted_sha256
from a2a_cloud.wire.seal import ID_PREFIX, leaf_hash, log_statement

#: A document larger than this is refused unread. Payloads are left out of documents long before.
MAX_DOCUMENT = 64 << 20


class Outcome(Enum):
    """What a check came to; the value is the exit code of `a2a receipt verify` (docs/cli.md)."""

    VALID = 0
    UNCHECKED = 7
    REFUSED = 8


class Verdict(Struct, frozen=True):
    """The outcome of a check. `reason` says why it was refused or what was not checked; `checked`
    names what held; `notes` what a reader should know. `body` is None when refused: nothing in a
    refused document may be relied on."""

    outcome: Outcome
    reason: str = ""
    receipt_id: str = ""
    issuer_kid: str = ""
    checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    body: ReceiptBody | None = None

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


class _RefusedError(Exception):
    pass


def verify_receipt(document: bytes, jwks: Iterable[jws.Jwk] | None = None) -> Verdict:
    """Check a receipt document. `jwks` are the keys that the reader trusts, from elsewhere than the
    document (`jws.read_jwks`); None: the signer stays unchecked, and the verdict says so."""
    try:
        return _verify(document, None if jwks is None else jws.by_kid(jwks))
    except _RefusedError as refusal:
        return Verdict(Outcome.REFUSED, str(refusal))


def _verify(document: bytes, keys: Mapping[str, bytes] | None) -> Verdict:
    receipt, body = _read(document)
    facts = receipt.body
    data = canonical(body)
    digest = sha256(data)
    if receipt.id != ID_PREFIX + digest.hexdigest():
        raise _RefusedError(f"the body hashes to {ID_PREFIX}{digest.hexdigest()}, but the id is {receipt.id}")
    checked = ["id"]
    kid = _signature("the receipt", receipt.signatures, data, keys)
    if kid != facts.issuer_kid:
        raise _RefusedError(f"the body names the key {facts.issuer_kid}, but {kid} signed")
    checked.append("signature")
    notes = _countersignature(receipt, data)
    if receipt.countersignature is not UNSET and keys is not None:
        checked.append("countersignature")
    if _log(receipt, digest.digest(), keys):
        checked.append("log" if keys is not None else "log.leaf")
    checked += _sections(receipt)
    checked += _payloads(receipt)
    if canonical(facts) != data:
        notes.append("The signed body has fields that this version does not know; they are not judged.")
    if keys is None:
        checked.remove("signature")
        reason, outcome = f"no key was given (it names {kid})", Outcome.UNCHECKED
    else:
        reason, outcome = "", Outcome.VALID
    return Verdict(outcome, reason, receipt.id, kid, tuple(checked), tuple(notes), facts)


def _read(document: bytes) -> tuple[ReceiptDocument, dict[str, Any]]:
    """The document with its types checked, and its body as it was written."""
    if len(document) > MAX_DOCUMENT:
        raise _RefusedError(f"the document is larger than {MAX_DOCUMENT >> 20} MiB")
    try:
        parsed = parse_strict(document)
    except ValueError as error:
        raise _RefusedError(f"the document is not readable: {error}") from None
    if not isinstance(parsed, dict):
        raise _RefusedError("the document is not a JSON object")
    body = cast("dict[str, Any]", parsed).get("body")
    if not isinstance(body, dict):
        raise _RefusedError("the document has no body")
    fields = cast("dict[str, Any]", body)
    version = fields.get("v")
    if type(version) is not int or version != BODY_VERSION:
        raise _RefusedError(f"the body's version (v) is not {BODY_VERSION}, the one that is known here")
    if "kind" not in fields:
        raise _RefusedError("the body has no kind")
    try:
        return msgspec.convert(parsed, ReceiptDocument), fields
    except msgspec.ValidationError as error:
        raise _RefusedError(f"the document is not a receipt: {error}") from None


def _signature(what: str, signatures: list[Signature], data: bytes, keys: Mapping[str, bytes] | None) -> str:
    """The kid that signed `data`; without keys the kid that claims to have."""
    if len(signatures) != 1:
        raise _RefusedError(f"{what} has {len(signatures)} signatures, not one")
    (signature,) = signatures
    try:
        if keys is not None:
            return jws.verify(data, signature.protected, signature.signature, keys)
        jws.read_signature(signature.signature)
        return jws.read_header(signature.protected)
    except jws.SignatureError as refusal:
        raise _RefusedError(f"{what}: {refusal}") from None


def _countersignature(receipt: ReceiptDocument, data: bytes) -> list[str]:
    """What a reader should know of the agent's own signature. Its key needs no trust from elsewhere: the
    body, which is signed, names it."""
    agent, shown = receipt.body.agent, receipt.countersignature
    if shown is UNSET:
        if agent.service_kid is UNSET:
            return []  # From before there were service identities.
        return [f"{agent.service_id} has not countersigned this copy."]
    if agent.service_kid is UNSET:
        raise _RefusedError("there is a countersignature, and the body names no key for it")
    try:
        public = jws.b64url_decode(shown.key)
        if len(public) != 32 or jws.thumbprint(public) != agent.service_kid:
            raise ValueError("its key is not the one that the body names")
        jws.verify(data, shown.protected, shown.signature, {agent.service_kid: public})
    except ValueError as refusal:  # A SignatureError is one.
        raise _RefusedError(f"the countersignature of {agent.service_id}: {refusal}") from None
    return []


def _log(receipt: ReceiptDocument, entry: bytes, keys: Mapping[str, bytes] | None) -> bool:
    """Whether there is a log entry, and it holds."""
    log = receipt.log
    if log is UNSET:
        return False
    if log.leaf_sha256 != leaf_hash(entry).hex():
        raise _RefusedError("the log's leaf is not the hash of this receipt's id")
    if log.org != receipt.body.org:
        raise _RefusedError(f"the log is that of {log.org}, the receipt that of {receipt.body.org}")
    statement = log_statement(receipt.id, log.org, log.index, log.leaf_sha256)
    _signature(f"the log index {log.index}", log.signatures, statement, keys)
    return True


def _sections(receipt: ReceiptDocument) -> list[str]:
    if receipt.sections is UNSET:
        return []
    held: list[str] = []
    for name in ("approvals", "children", "effects", "env", "grants", "workspace"):
        shown = getattr(receipt.sections, name)
        if shown is UNSET:
            continue
        found = salted_sha256(bytes.fromhex(shown.salt), canonical(shown.value))
        if found != getattr(receipt.body.sections, name):
            raise _RefusedError(f"the section {name} does not have the hash that the body gives")
        held.append(f"sections.{name}")
    return held


def _payloads(receipt: ReceiptDocument) -> list[str]:
    if receipt.disclosed is UNSET:
        return []
    body, shown = receipt.body, receipt.disclosed
    held: list[str] = []
    for name, payload, expected in (
        ("events", shown.events, body.events_sha256),
        ("idempotency_key", shown.idempotency_key, body.idempotency_key),
        ("request", shown.request, body.request_sha256),
        ("response", shown.response, body.response_sha256),
    ):
        if payload is UNSET:
            continue
        if salted_sha256(bytes.fromhex(payload.salt), _payload(name, payload)) != expected:
            raise _RefusedError(f"the payload {name} does not have the hash that the body gives")
        held.append(f"disclosed.{name}")
    return held


def _payload(name: str, shown: DisclosedPayload) -> bytes:
    if shown.payload is not UNSET and shown.payload_b64 is UNSET:
        return shown.payload.encode()
    if shown.payload_b64 is not UNSET and shown.payload is UNSET:
        try:
            return jws.b64url_decode(shown.payload_b64)
        except ValueError as error:
            raise _RefusedError(f"the payload {name} is {error}") from None
    raise _RefusedError(f"the payload {name} is given neither once as text nor once as base64url")
