"""Proof files and COSE receipts: what is written verifies, and every flipped byte is refused."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.wire import cose_receipt, merkle, note, tlog_proof
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.merkle import Frontier, ProofError
from a2a_cloud.wire.note import COSIGNATURE, Checkpoint, NoteKey
from built_log import refusal

ORIGIN = "a2a.example/log/default"
SIGNER, WITNESS = Signer(bytes(range(32))), Signer(bytes(range(1, 33)))
KEY = NoteKey(ORIGIN, SIGNER.public)
WITNESS_KEY = NoteKey("witness.example", WITNESS.public, COSIGNATURE)
SIZE, INDEX = 11, 6
ENTRIES = [sha256(b"%d" % number).digest() for number in range(SIZE)]


def made() -> tuple[bytes, bytes]:
    """(a proof file, a COSE receipt) for the entry at INDEX."""
    frontier, nodes = Frontier(), dict[tuple[int, int], bytes]()
    for entry in ENTRIES:
        nodes |= {(level, at): node for level, at, node in frontier.add(merkle.leaf_hash(entry))}
    path = merkle.prove_inclusion(lambda level, at: nodes[level, at], INDEX, SIZE)
    text = note.checkpoint_text(Checkpoint(ORIGIN, SIZE, frontier.root()))
    signed = note.sign_note(text, [(ORIGIN, SIGNER)])
    signed = note.add_lines(signed, [note.cosign(text, WITNESS_KEY.name, WITNESS, 5)])
    receipt = cose_receipt.write_receipt(
        index=INDEX,
        size=SIZE,
        root=frontier.root(),
        path=path,
        origin=ORIGIN,
        subject="rcpt_1",
        kid=SIGNER.kid,
        signer=SIGNER,
    )
    return tlog_proof.write_proof(INDEX, path, signed), receipt


PROOF, COSE = made()


def test_a_proof_file_proves_its_entry() -> None:
    assert refusal(PROOF, ENTRIES[INDEX], KEY, WITNESS_KEY) == ""
    proof = tlog_proof.read_proof(PROOF)
    assert (proof.index, proof.checkpoint.size, proof.checkpoint.origin) == (INDEX, SIZE, ORIGIN)
    assert proof.note.cosigned_at(WITNESS_KEY) == 5
    assert tlog_proof.write_proof(proof.index, proof.path, proof.signed) == PROOF
    extra = tlog_proof.write_proof(proof.index, proof.path, proof.signed, b"more")
    assert tlog_proof.read_proof(extra).extra == b"more"
    assert "which nobody has signed" in refusal(extra, ENTRIES[INDEX], KEY)


def test_a_proof_file_proves_nothing_else() -> None:
    assert "leads to" in refusal(PROOF, ENTRIES[0], KEY)
    assert "no key that was given" in refusal(PROOF, ENTRIES[INDEX], NoteKey(ORIGIN, WITNESS.public))
    assert "not of one of other" in refusal(PROOF, ENTRIES[INDEX], NoteKey("x/log/other", SIGNER.public))


def test_no_byte_of_a_proof_file_may_change() -> None:
    for place in range(len(PROOF)):
        changed = PROOF[:place] + bytes([PROOF[place] ^ 1]) + PROOF[place + 1 :]
        assert refusal(changed, ENTRIES[INDEX], KEY, WITNESS_KEY), place


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"\nindex 6", b""),
        (b"index 6", b"index 06"),
        (b"index 6", b"index -6"),
        (b"index 6", b"index 6 "),
        (b"index 6", b"extra AAAA\nextra AAAA\nindex 6"),
        (b"index 6", b"extra A\nindex 6"),
        (b"index 6\n", b"index 6\n" + b"A" * 43 + b"=\n" + (b"A" * 43 + b"=\n") * 64),
        (b"index 6\n", b"index 6\nAAAA\n"),
        (b"\n\n", b"\n"),
        (b"index", "\u0456ndex".encode()),
    ],
    ids=lambda value: None,
)
def test_other_spellings_are_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(ProofError):
        tlog_proof.read_proof(PROOF.replace(old, new))


def test_a_cose_receipt_proves_its_entry_and_nothing_else() -> None:
    found = cose_receipt.verify_receipt(COSE, ENTRIES[INDEX], SIGNER.public)
    assert (found.index, found.size, found.origin, found.subject) == (INDEX, SIZE, ORIGIN, "rcpt_1")
    assert found.kid == SIGNER.kid
    with pytest.raises(ProofError, match="did not sign"):
        cose_receipt.verify_receipt(COSE, ENTRIES[0], SIGNER.public)
    with pytest.raises(ProofError, match="did not sign"):
        cose_receipt.verify_receipt(COSE, ENTRIES[INDEX], WITNESS.public)


def test_no_byte_of_a_cose_receipt_may_change() -> None:
    for place in range(len(COSE)):
        for bit in (0x01, 0x40):
            changed = COSE[:place] + bytes([COSE[place] ^ bit]) + COSE[place + 1 :]
            with pytest.raises(ProofError):
                cose_receipt.verify_receipt(changed, ENTRIES[INDEX], SIGNER.public)
    for changed in (COSE + b"\x00", COSE[:-1], b"", cbor2.dumps([1]), cbor2.dumps(5), b"\x00" * 20000):
        with pytest.raises(ProofError):
            cose_receipt.verify_receipt(changed, ENTRIES[INDEX], SIGNER.public)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    for given_ in (data, PROOF[:40] + data, data + PROOF[40:]):
        with suppress(ProofError):
            tlog_proof.read_proof(given_)
    for given_ in (data, COSE[:30] + data, COSE[:30] + data + COSE[30:]):
        with pytest.raises(ProofError):
            cose_receipt.verify_receipt(given_, b"entry", SIGNER.public)


@given(
    st.recursive(
        st.none() | st.integers() | st.binary(max_size=8) | st.text(max_size=4) | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([1, 4, 15, 395, 396, -1]), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_no_cbor_breaks_the_reader(value: object) -> None:
    for message in (value, cbor2.CBORTag(18, value), cbor2.CBORTag(18, [b"", value, None, bytes(64)])):
        with pytest.raises(ProofError):
            cose_receipt.verify_receipt(cbor2.dumps(message), b"entry", SIGNER.public)
