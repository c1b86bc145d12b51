"""Sections and payloads against the salted hashes in the body, and what an erasure says."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from a2a_cloud.model.receipt import DisclosedPayload, ReceiptDocument
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import canonical, salted_sha256
from a2a_cloud.wire.seal import erasure_statement
from a2a_cloud.wire.verify.signatures import check_signature
from a2a_cloud.wire.verify.trail import RefusedError, Trail

_SECTIONS = ("approvals", "children", "effects", "env", "grants", "workspace")


def check_sections(trail: Trail, receipt: ReceiptDocument) -> None:
    """The step `sections`. The ledger's entries have a step of their own."""
    if receipt.sections is UNSET:
        return trail.unchecked("sections", "this view shows none")
    held: list[str] = []
    for name in _SECTIONS:
        shown = getattr(receipt.sections, name)
        if shown is UNSET:
            continue
        found = salted_sha256(bytes.fromhex(shown.salt), canonical(shown.value))
        if found != getattr(receipt.body.sections, name):
            refusal = RefusedError(
                f"the section {name} does not have the hash that the body gives", f"$.sections.{name}"
            )
            return trail.failed("sections", refusal)
        held.append(name)
    return trail.ok("sections", ", ".join(held), *(f"sections.{name}" for name in held))


def check_payloads(trail: Trail, receipt: ReceiptDocument, keys: Mapping[str, bytes] | None) -> None:
    """The step `payloads`."""
    try:
        _payloads(trail, receipt, keys)
    except RefusedError as refusal:
        trail.failed("payloads", refusal)


def _payloads(trail: Trail, receipt: ReceiptDocument, keys: Mapping[str, bytes] | None) -> None:
    body, shown, erased = receipt.body, receipt.disclosed, receipt.erased
    gone = ""
    if erased is not UNSET:
        statement = erasure_statement(receipt.id, erased.at, erased.by)
        check_signature("the erasure", "$.erased.signatures", erased.signatures, statement, keys)
        gone = f"erased at {erased.at} by {erased.by}"
        trail.notes.append(f"What the run was told, said and did was {gone}.")
    held: list[str] = []
    if shown is not UNSET:
        for name, payload, expected in (
            ("events", shown.events, body.events_sha256),
            ("idempotency_key", shown.idempotency_key, body.idempotency_key),
            ("request", shown.request, body.request_sha256),
            ("response", shown.response, body.response_sha256),
        ):
            if payload is UNSET:
                continue
            if gone:
                raise RefusedError(f"it is {gone}, and has the payload {name}", f"$.disclosed.{name}")
            if salted_sha256(bytes.fromhex(payload.salt), _bytes(name, payload)) != expected:
                raise RefusedError(
                    f"the payload {name} does not have the hash that the body gives", f"$.disclosed.{name}"
                )
            held.append(name)
    if held:
        trail.ok("payloads", ", ".join(held), *(f"disclosed.{name}" for name in held))
    else:
        trail.unchecked("payloads", gone or "this view shows none")


def _bytes(name: str, shown: DisclosedPayload) -> bytes:
    if shown.payload is not UNSET and shown.payload_b64 is UNSET:
        return shown.payload.encode()
    if shown.payload_b64 is not UNSET and shown.payload is UNSET:
        try:
            return jws.b64url_decode(shown.payload_b64)
        except ValueError as error:
            raise RefusedError(f"the payload {name} is {error}", f"$.disclosed.{name}") from None
    raise RefusedError(
        f"the payload {name} is given neither once as text nor once as base64url", f"$.disclosed.{name}"
    )
