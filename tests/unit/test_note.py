"""Notes and checkpoints: the specification's own example, every byte flipped, every strange text refused."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.wire import note
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.note import COSIGNATURE, Checkpoint, NoteError, NoteKey

SIGNER = Signer(bytes(range(32)))
WITNESS = Signer(bytes(range(1, 33)))
ORIGIN = "example.com/log/default"
KEY = NoteKey(ORIGIN, SIGNER.public)
WITNESS_KEY = NoteKey("witness.example/w1", WITNESS.public, COSIGNATURE)
CHECKPOINT = Checkpoint(ORIGIN, 20852163, bytes(32))
TEXT = note.checkpoint_text(CHECKPOINT)
SIGNED = note.sign_note(TEXT, [(ORIGIN, SIGNER)])
COSIGNED = note.add_lines(SIGNED, [note.cosign(TEXT, WITNESS_KEY.name, WITNESS, 1679315147)])


def test_gos_own_example_is_read_and_verified() -> None:
    # From golang.org/x/mod/sumdb/note, its documentation.
    key = note.read_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert key.vkey == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    data = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNI"
        "uGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    ).encode()
    assert note.open_note(data).verified_by(key)


def test_a_checkpoint_comes_back_with_who_signed_it() -> None:
    found, signed = note.read_checkpoint(COSIGNED)
    assert found == CHECKPOINT
    assert signed.verified_by(KEY)
    assert signed.verified_by(WITNESS_KEY)
    assert signed.cosigned_at(WITNESS_KEY) == 1679315147
    assert signed.cosigned_at(KEY) is None
    assert not signed.verified_by(NoteKey(ORIGIN, WITNESS.public))
    assert not signed.verified_by(NoteKey("other", SIGNER.public))
    assert b"".join(note.signature_line(each) for each in signed.signatures) == COSIGNED[len(TEXT) + 1 :]


def test_both_keys_sign_while_one_follows_the_other() -> None:
    later = NoteKey(ORIGIN, WITNESS.public)
    signed = note.open_note(note.sign_note(TEXT, [(ORIGIN, SIGNER), (ORIGIN, WITNESS)]))
    assert signed.verified_by(KEY)
    assert signed.verified_by(later)


def test_no_byte_may_change() -> None:
    for place in range(len(COSIGNED)):
        for bit in (0x01, 0x20):
            data = COSIGNED[:place] + bytes([COSIGNED[place] ^ bit]) + COSIGNED[place + 1 :]
            try:
                _, changed = note.read_checkpoint(data)
            except NoteError:
                continue
            assert not (changed.verified_by(KEY) and changed.verified_by(WITNESS_KEY)), place


def test_a_signature_that_fails_is_not_outvoted() -> None:
    (held,) = note.open_note(SIGNED).signatures
    broken = note.signature_line(msgspec.structs.replace(held, signature=bytes(64)))
    assert not note.open_note(note.add_lines(SIGNED, [broken])).verified_by(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+12345678",
        f"name+{KEY.id.hex()}+{KEY.vkey.split('+', 2)[2]}",
        KEY.vkey.upper(),
        KEY.vkey + "=",
        KEY.vkey[:-4],
        " " + KEY.vkey,
        KEY.vkey + "\n",
        "a b+00000000+AAAA",
    ],
    ids=[
        "nothing",
        "name",
        "no-key",
        "other-name",
        "upper",
        "more",
        "less",
        "space",
        "newline",
        "spaced-name",
    ],
)
def test_other_spellings_of_a_key_are_refused(text: str) -> None:
    with pytest.raises(NoteError):
        note.read_vkey(text)


def test_keys_come_back() -> None:
    for key in (KEY, WITNESS_KEY):
        assert note.read_vkey(key.vkey) == key


BAD = {
    "no-signature": TEXT,
    "no-newline": SIGNED[:-1],
    "leading-zero": SIGNED.replace(b"\n20852163", b"\n020852163"),
    "negative": SIGNED.replace(b"\n20852163", b"\n-20852163"),
    "too-large": SIGNED.replace(b"\n20852163", b"\n9223372036854775808"),
    "two-lines": note.sign_note(b"origin\n5\n", [(ORIGIN, SIGNER)]),
    "short-root": note.sign_note(b"origin\n5\nAAAA\n", [(ORIGIN, SIGNER)]),
    "empty-line": note.sign_note(b"origin\n\n5\n" + TEXT, [(ORIGIN, SIGNER)]),
    "carriage-return": SIGNED.replace(b"\n", b"\r\n"),
    "tab": SIGNED.replace(b"example", b"exam\tple"),
    "not-utf-8": b"\xff" + SIGNED,
    "hyphen": SIGNED.replace("\u2014".encode(), b"-"),
    "long": b"x" * (note.MAX_NOTE + 1),
    "many": SIGNED + SIGNED[len(TEXT) + 1 :] * 101,
    "long-origin": note.sign_note(b"o" * 256 + b"\n5\n" + TEXT.split(b"\n")[2] + b"\n", [(ORIGIN, SIGNER)]),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(NoteError):
        note.read_checkpoint(data)


def test_extension_lines_of_other_logs_are_kept() -> None:
    other = Checkpoint("other", 1, bytes(32), ("one", "two"))
    signed = note.sign_note(note.checkpoint_text(other), [(ORIGIN, SIGNER)])
    assert note.read_checkpoint(signed)[0] == other
    for wrong in (Checkpoint("", 1, bytes(32)), Checkpoint("a\nb", 1, bytes(32)), Checkpoint("a", 1, b"")):
        with pytest.raises(NoteError):
            note.checkpoint_text(wrong)
    with pytest.raises(NoteError):
        note.sign_note(b"no newline", [(ORIGIN, SIGNER)])
    with pytest.raises(NoteError):
        note.sign_note(b"text\n", [("a name", SIGNER)])


@given(st.binary(max_size=300))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    for given_ in (data, TEXT + b"\n" + data, b"a\n" + data + SIGNED):
        try:
            found, signed = note.read_checkpoint(given_)
        except NoteError:
            continue
        assert note.checkpoint_text(found) == signed.text
    with suppress(NoteError):
        note.read_vkey(data.decode("latin-1"))


def test_a_receipt_key_and_a_log_key_cannot_sign_for_one_another() -> None:
    # A JWS is signed over base64url, a note over text with a newline: no bytes are both.
    assert b"\n" in TEXT
    assert "\n" not in SIGNER.protected
