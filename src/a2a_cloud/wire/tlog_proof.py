"""Proof files, `.tlog-proof` (c2sp.org/tlog-proof@v1): an entry's place in a log, checkable without the log.

Such a file holds the index, the inclusion proof and the checkpoint that it leads to, with the signatures of
the log and of its witnesses. Which entry it is for is not in it: the reader has that, as a receipt or event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from a2a_cloud.wire import merkle
from a2a_cloud.wire.merkle import HASH_SIZE, MAX_PROOF, ProofError
from a2a_cloud.wire.note import (
    MAX_NOTE,
    Checkpoint,
    Note,
    NoteError,
    b64,
    read_checkpoint,
    read_size,
    unb64,
)

_FIRST: Final = "c2sp.org/tlog-proof@v1"
#: A proof file longer than this is refused unread.
MAX_FILE: Final = MAX_NOTE + (64 << 10)


class TlogProof(Struct, frozen=True):
    """What a proof file says. `checkpoint` and `note` are what `signed` holds, read; nothing in it counts
    before a known key has signed it. `extra` is the application's, and signed by nobody."""

    index: int
    path: tuple[bytes, ...]
    signed: bytes
    checkpoint: Checkpoint
    note: Note
    extra: bytes | None = None

    def check_inclusion(self, leaf: bytes) -> None:
        """Check that the leaf with this hash is at `index` in the checkpoint's tree. Raises ProofError."""
        merkle.verify_inclusion(leaf, self.index, self.checkpoint.size, self.checkpoint.root, self.path)


def write_proof(index: int, path: Iterable[bytes], signed: bytes, extra: bytes | None = None) -> bytes:
    """The file: an inclusion proof, from the leaf's sibling up, under the signed checkpoint `signed`."""
    lines = [_FIRST]
    if extra is not None:
        lines.append(f"extra {b64(extra)}")
    lines.append(f"index {index}")
    lines += [b64(each) for each in path]
    return ("\n".join(lines) + "\n\n").encode() + signed


def read_proof(data: bytes) -> TlogProof:
    """Read a proof file. Raises ProofError when it is none; says nothing yet of what it proves."""
    if len(data) > MAX_FILE:
        raise ProofError(f"the proof file is longer than {MAX_FILE >> 10} KiB")
    head, empty, signed = data.partition(b"\n\n")
    if not empty:
        raise ProofError("the proof file has no empty line before its checkpoint")
    try:
        first, *lines = head.decode("ascii").split("\n")
        if first != _FIRST:
            raise ProofError(f"the proof file does not begin with {_FIRST}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = unb64(lines.pop(0)[len("extra ") :])
        if not lines or not lines[0].startswith("index "):
            raise ProofError("the proof file has no line with the index")
        index = read_size(lines.pop(0)[len("index ") :])
        if len(lines) > MAX_PROOF:
            raise ProofError(f"the proof file has more than {MAX_PROOF} hashes")
        path = tuple(unb64(line) for line in lines)
        if any(len(each) != HASH_SIZE for each in path):
            raise ProofError("a hash in the proof file has not 32 bytes")
        checkpoint, note = read_checkpoint(signed)
    except UnicodeDecodeError as error:
        raise ProofError(f"the proof file has a strange character at byte {error.start}") from None
    except NoteError as error:
        raise ProofError(f"the proof file is damaged: {error}") from None
    return TlogProof(index, path, signed, checkpoint, note, extra)
