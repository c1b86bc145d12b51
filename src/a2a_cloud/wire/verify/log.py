"""The place of a receipt in its organisation's log: the platform's promise of an index, and the proof that a
signed checkpoint, cosigned by witnesses, covers it (C2SP tlog-proof, tlog-checkpoint, tlog-cosignature)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from a2a_cloud.model.receipt import LogEntry, ReceiptDocument
from a2a_cloud.wire.seal import leaf_hash, log_statement
from a2a_cloud.wire.verify.signatures import check_signature
from a2a_cloud.wire.verify.trail import RefusedError, Trail

if TYPE_CHECKING:
    from a2a_cloud.wire.note import NoteKey
    from a2a_cloud.wire.tlog_proof import TlogProof

_PROOF = "$.log.proof"


def check_log(
    trail: Trail,
    receipt: ReceiptDocument,
    entry: bytes,
    keys: Mapping[str, bytes] | None,
    witnesses: Sequence[NoteKey],
    proof: str = "",
) -> None:
    """The steps `log place`, `inclusion`, `checkpoint` and `witness`. `entry` is the hash of the body,
    `proof` a proof from elsewhere."""
    log = receipt.log
    if log is UNSET:
        trail.unchecked("log place", "this copy does not say where it stands in the log")
        if proof:
            check_proof(trail, proof, None, entry, receipt.body.org, keys, witnesses)
        else:
            _without(trail, "this copy brings no proof", witnesses)
        return
    try:
        _place(trail, receipt, log, entry, keys)
    except RefusedError as refusal:
        trail.failed("log place", refusal)
    own = "" if log.proof is UNSET else log.proof
    if not (own or proof):
        _without(trail, "this copy brings no proof: a2a receipt proof RUN fetches it", witnesses)
        return
    if own and proof:  # Both have to hold; what is told is of the one that was asked about.
        first = Trail()
        check_proof(first, own, log.index, entry, log.org, keys, ())
        if first.failure is not None:
            trail.steps += first.steps
            return
    check_proof(trail, proof or own, log.index, entry, log.org, keys, witnesses)


def _place(
    trail: Trail, receipt: ReceiptDocument, log: LogEntry, entry: bytes, keys: Mapping[str, bytes] | None
) -> None:
    if log.leaf_sha256 != leaf_hash(entry).hex():
        raise RefusedError("the log's leaf is not the hash of this receipt's id", "$.log.leaf_sha256")
    if log.org != receipt.body.org:
        raise RefusedError(
            f"the log is that of {log.org}, the receipt that of {receipt.body.org}", "$.log.org"
        )
    statement = log_statement(receipt.id, log.org, log.index, log.leaf_sha256)
    check_signature(f"the log index {log.index}", "$.log.signatures", log.signatures, statement, keys)
    if keys is None:
        trail.unchecked("log place", f"index {log.index} of {log.org}: no key was given")
        trail.held.append("log.leaf")
    else:
        trail.ok("log place", f"index {log.index} of {log.org}", "log")


def _without(trail: Trail, why: str, witnesses: Sequence[NoteKey]) -> None:
    trail.unchecked("inclusion", why)
    trail.unchecked("checkpoint", why)
    if witnesses:  # Who names a witness wants to hear of it.
        trail.failed("witness", RefusedError(f"{witnesses[0].name} has cosigned nothing here: {why}"))
    else:
        trail.unchecked("witness", why)


def check_proof(
    trail: Trail,
    text: str,
    index: int | None,
    entry: bytes,
    org: str,
    keys: Mapping[str, bytes] | None,
    witnesses: Sequence[NoteKey],
) -> None:
    """The steps `inclusion`, `checkpoint` and `witness` for the `.tlog-proof` in `text`. `index` None: the
    proof's own."""
    from a2a_cloud.wire.merkle import ProofError
    from a2a_cloud.wire.tlog_proof import read_proof

    try:
        proof = read_proof(text.encode())
    except (ProofError, UnicodeEncodeError) as error:
        trail.failed("inclusion", RefusedError(f"the proof can't be read: {error}", _PROOF))
        _without_checkpoint(trail, witnesses)
        return
    try:
        if proof.extra is not None:
            raise RefusedError("the proof has a line `extra`, which nobody has signed", _PROOF)
        if index is not None and proof.index != index:
            raise RefusedError(f"the proof is for index {proof.index}, the receipt stands at {index}", _PROOF)
        proof.check_inclusion(leaf_hash(entry))
        size = proof.checkpoint.size
        trail.ok("inclusion", f"index {proof.index} of {size} in the tree of the checkpoint", "log.inclusion")
    except ProofError as error:
        trail.failed("inclusion", RefusedError(str(error), _PROOF))
    except RefusedError as refusal:
        trail.failed("inclusion", refusal)
    try:
        _checkpoint(trail, proof, org, keys)
    except RefusedError as refusal:
        trail.failed("checkpoint", refusal)
    try:
        _witness(trail, proof, witnesses)
    except RefusedError as refusal:
        trail.failed("witness", refusal)


def _without_checkpoint(trail: Trail, witnesses: Sequence[NoteKey]) -> None:
    why = "the proof that it stands in can't be read"
    trail.unchecked("checkpoint", why)
    if witnesses:
        trail.failed("witness", RefusedError(why, _PROOF))
    else:
        trail.unchecked("witness", why)


def _checkpoint(trail: Trail, proof: TlogProof, org: str, keys: Mapping[str, bytes] | None) -> None:
    from a2a_cloud.wire.note import NoteKey

    origin = proof.checkpoint.origin
    if not origin.endswith(f"/log/{org}"):
        raise RefusedError(f"the checkpoint is of the log {origin}, not of one of {org}", _PROOF)
    own = [one for one in proof.note.signatures if one.name == origin]
    if not own:
        raise RefusedError(f"the log {origin} has not signed its checkpoint", _PROOF)
    if keys is None:
        return trail.unchecked("checkpoint", f"{origin}, {proof.checkpoint.size} leaves: no key was given")
    known = {key.id: key for key in (NoteKey(origin, public) for public in keys.values())}
    signed = [known[one.id] for one in own if one.id in known]
    if not signed:
        raise RefusedError(f"the checkpoint of {origin} is signed with no key that was given", _PROOF)
    for key in signed:
        if not proof.note.verified_by(key):
            raise RefusedError(f"the signature of {origin} ({key.id.hex()}) does not hold", _PROOF)
    others = len(own) - len(signed)
    more = f"; {others} further signature(s) of keys that were not given" if others else ""
    trail.ok("checkpoint", f"{origin}, {proof.checkpoint.size} leaves{more}", "log.checkpoint")
    return None


def _witness(trail: Trail, proof: TlogProof, witnesses: Sequence[NoteKey]) -> None:
    origin = proof.checkpoint.origin
    known = {(key.name, key.id) for key in witnesses}
    others = sorted(
        {one.name for one in proof.note.signatures if one.name != origin and (one.name, one.id) not in known}
    )
    if not witnesses:
        named = f"no witness was named, and {', '.join(others)} cosigned" if others else "nobody cosigned it"
        return trail.unchecked("witness", named)
    for key in witnesses:
        at = proof.note.cosigned_at(key)
        if at is None:
            raise RefusedError(f"{key.name} has not cosigned this checkpoint", _PROOF)
    names = ", ".join(key.name for key in witnesses)
    more = f"; {', '.join(others)} cosigned too, with keys that were not given" if others else ""
    trail.ok("witness", f"cosigned by {names}{more}", "log.witness")
    return None
