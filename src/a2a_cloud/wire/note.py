"""Signed notes, checkpoints and witnesses' cosignatures: c2sp.org/signed-note, /tlog-checkpoint and
/tlog-cosignature, with Ed25519 (types 0x01 and 0x04).

A note is text, an empty line, and a line per signature; a checkpoint is a note whose text says a log's
origin, size and root. Reading is bounded and takes one spelling of everything. A signature of a key that
the reader does not know is kept and ignored, as the specification wants: so keys rotate, witnesses
cosign, and other kinds of keys may stand beside ours.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Protocol

from msgspec import Struct
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from a2a_cloud.wire.merkle import HASH_SIZE, MAX_SIZE

#: A note longer than this, or with more signatures, is refused unread.
MAX_NOTE: Final = 128 << 10
MAX_SIGNATURES: Final = 100
#: A key's name longer than this is refused.
MAX_NAME: Final = 255

#: Types of keys: the byte that their id is made with.
ED25519: Final = 0x01
COSIGNATURE: Final = 0x04

_DASH: Final = "— ".encode()
# Blanks one by one: what `\s` means is another thing in JavaScript, and verify_log.js has to agree.
_BLANKS = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NAME = re.compile(rf"[^{_BLANKS}+\x00-\x1f\x7f-\x9f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteError(ValueError):
    """Text that is not a note, a checkpoint or a key; the message says why."""


class RawSigner(Protocol):
    """An Ed25519 key that signs bytes as they are (`wire.jws.Signer` is one)."""

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        ...

    def sign_raw(self, data: bytes) -> bytes:
        """The 64 bytes of the signature."""
        ...


class NoteKey(Struct, frozen=True):
    """A public key with the name under which it signs. `kind` is ED25519, or COSIGNATURE for a witness."""

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def id(self) -> bytes:
        """Four bytes that go before each signature."""
        return key_id(self.name, self.public, self.kind)

    @property
    def vkey(self) -> str:
        """The key in one line: `name+id+base64`."""
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"


class NoteSignature(Struct, frozen=True):
    """One signature line: the key's name and id, and what it made."""

    name: str
    id: bytes
    signature: bytes


class Note(Struct, frozen=True):
    """A note as it was read: nothing in it counts before a known key has signed it."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def verified_by(self, key: NoteKey) -> bool:
        """Whether `key` signed the text: at least once, and with nothing that fails."""
        found = self._of(key)
        return bool(found) and all(_holds(key, self.text, each.signature) for each in found)

    def cosigned_at(self, key: NoteKey) -> int | None:
        """When the witness `key` cosigned it (seconds since 1970); None when it did not."""
        if key.kind != COSIGNATURE or not self.verified_by(key):
            return None
        return max(int.from_bytes(each.signature[:8], "big") for each in self._of(key))

    def _of(self, key: NoteKey) -> list[NoteSignature]:
        id_ = key.id
        return [each for each in self.signatures if each.name == key.name and each.id == id_]


class Checkpoint(Struct, frozen=True):
    """What a log signs of itself: `size` leaves have the `root`. Other logs may add lines: `extensions`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def key_id(name: str, public: bytes, kind: int = ED25519) -> bytes:
    """SHA-256(name ‖ newline ‖ type ‖ public key), its first four bytes."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def read_vkey(text: str) -> NoteKey:
    """The key of `name+id+base64`. Raises NoteError for anything but an Ed25519 key or witness key."""
    name, _, rest = text.partition("+")
    id_, _, data = rest.partition("+")
    check_name(name)
    if not re.fullmatch(r"[0-9a-f]{8}", id_):
        raise NoteError("a key is written name+id+base64, its id with eight hexadecimal digits")
    raw = unb64(data)
    if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
        raise NoteError("not the public key of an Ed25519 log (type 1) or witness (type 4)")
    key = NoteKey(name, raw[1:], raw[0])
    if key.id.hex() != id_:
        raise NoteError(f"the key's id is {key.id.hex()}, not {id_}: it was changed")
    return key


def check_name(name: str) -> None:
    """Raises NoteError for what cannot be a key's name: spaces, plus, control characters, nothing."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise NoteError("a key's name has no spaces, no plus and no control characters, and is not empty")


def sign_note(text: bytes, signers: Sequence[tuple[str, RawSigner]]) -> bytes:
    """`text` (it ends in a newline) signed by each key under its name."""
    if not text.endswith(b"\n"):
        raise NoteError("a note's text ends in a newline")
    return text + b"\n" + b"".join(_line(name, signer, text) for name, signer in signers)


def cosign(text: bytes, name: str, signer: RawSigner, at: int) -> bytes:
    """A witness's line under the checkpoint `text`: seen at `at` (seconds since 1970)."""
    check_name(name)
    signature = at.to_bytes(8, "big") + signer.sign_raw(_cosigned(text, at))
    return _signature_line(name, key_id(name, signer.public, COSIGNATURE), signature)


def add_lines(note: bytes, lines: Iterable[bytes]) -> bytes:
    """A note with further signature lines."""
    return note + b"".join(lines)


def open_note(data: bytes) -> Note:
    """Read a note. Raises NoteError when it is none; says nothing of who signed."""
    if len(data) > MAX_NOTE:
        raise NoteError(f"longer than {MAX_NOTE >> 10} KiB")
    _readable(data)
    end = data.rfind(b"\n\n")
    if end < 0:
        raise NoteError("no empty line between the text and its signatures")
    text, block = data[: end + 1], data[end + 2 :]
    return Note(text, read_signatures(block))


def read_signatures(block: bytes) -> tuple[NoteSignature, ...]:
    """The signature lines below a note's text, or in a witness's answer. Raises NoteError."""
    if len(block) > MAX_NOTE:
        raise NoteError(f"longer than {MAX_NOTE >> 10} KiB")
    _readable(block)
    if not block.endswith(b"\n"):
        raise NoteError("the last signature does not end in a newline")
    lines = block[:-1].split(b"\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"more than {MAX_SIGNATURES} signatures")
    return tuple(_read_line(line, number) for number, line in enumerate(lines, 1))


def signature_line(signature: NoteSignature) -> bytes:
    """The line of one signature, with its newline."""
    return _signature_line(signature.name, signature.id, signature.signature)


def checkpoint_text(checkpoint: Checkpoint) -> bytes:
    """The text that a log signs: origin, size and root, a line each (and what it adds)."""
    if not checkpoint.origin or len(checkpoint.root) != HASH_SIZE or not 0 <= checkpoint.size <= MAX_SIZE:
        raise NoteError("a checkpoint has an origin, a size and a root of 32 bytes")
    lines = (checkpoint.origin, str(checkpoint.size), b64(checkpoint.root), *checkpoint.extensions)
    if any(not line or "\n" in line for line in lines):
        raise NoteError("a checkpoint's lines are not empty")
    return ("\n".join(lines) + "\n").encode()


def read_checkpoint(data: bytes) -> tuple[Checkpoint, Note]:
    """A checkpoint and the note that it stands in. Raises NoteError; says nothing of who signed."""
    note = open_note(data)
    lines = note.text.decode()[:-1].split("\n")
    if len(lines) < 3:
        raise NoteError("a checkpoint has at least three lines: origin, size, root")
    if any(not line for line in lines):
        raise NoteError("an empty line in a checkpoint")
    origin, size, root, *extensions = lines
    if len(origin) > MAX_NAME:
        raise NoteError(f"an origin longer than {MAX_NAME} characters")
    return Checkpoint(origin, read_size(size), _read_root(root), tuple(extensions)), note


def read_size(text: str) -> int:
    """A tree's size in decimal, without leading zeros. Raises NoteError."""
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteError("a size is a decimal number without leading zeros, at most 2^63 - 1")
    return int(text)


def b64(data: bytes) -> str:
    """Standard base64 with padding."""
    return binascii.b2a_base64(data, newline=False).decode()


def unb64(text: str) -> bytes:
    """The bytes of standard base64 in its one right spelling. Raises NoteError."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise NoteError("not base64") from None
    if b64(data) != text:
        raise NoteError("not base64 in its one right spelling")
    return data


def _read_root(text: str) -> bytes:
    data = unb64(text)
    if len(data) != HASH_SIZE:
        raise NoteError("the root has not 32 bytes")
    return data


def _readable(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NoteError(f"not UTF-8 at byte {error.start}") from None
    found = re.search(r"[\x00-\x09\x0b-\x1f]", text)
    if found:
        raise NoteError(f"a control character at character {found.start()}")


def _read_line(line: bytes, number: int) -> NoteSignature:
    if not line.startswith(_DASH):
        raise NoteError(f"line {number} of the signatures does not begin with an em dash and a space")
    name, _, data = line[len(_DASH) :].decode().partition(" ")
    check_name(name)
    raw = unb64(data)
    if len(raw) < 5:
        raise NoteError(f"the signature of {name} is too short")
    return NoteSignature(name, raw[:4], raw[4:])


def _line(name: str, signer: RawSigner, text: bytes) -> bytes:
    check_name(name)
    return _signature_line(name, key_id(name, signer.public), signer.sign_raw(text))


def _signature_line(name: str, id_: bytes, signature: bytes) -> bytes:
    return _DASH + f"{name} {b64(id_ + signature)}\n".encode()


def _cosigned(text: bytes, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n".encode() + text


def _holds(key: NoteKey, text: bytes, signature: bytes) -> bool:
    if key.kind == COSIGNATURE:
        at = int.from_bytes(signature[:8], "big")
        if len(signature) != 72 or at >= 2**63:
            return False
        text, signature = _cosigned(text, at), signature[8:]
    if len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + text, key.public)
    except (BadSignatureError, ValueError):
        return False
    return True
