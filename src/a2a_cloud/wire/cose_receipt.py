"""COSE receipts (RFC 9942): an entry's place in a log as one COSE_Sign1 (RFC 9052), for who reads CBOR.

The log signs the root, which is not in the message: the reader makes it from the entry and the inclusion
proof. Claims in the protected header (RFC 9597, as RFC 9943 asks) name the log and the entry. Made on request
from the same tree as `.tlog-proof` files; cbor2 is loaded with the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from a2a_cloud.wire import merkle
from a2a_cloud.wire.merkle import HASH_SIZE, MAX_PROOF, MAX_SIZE, ProofError
from a2a_cloud.wire.note import RawSigner

#: A message longer than this is refused unread.
MAX_MESSAGE: Final = 16 << 10

_SIGN1: Final = 18
_ALG, _KID, _CLAIMS, _TREE, _PROOFS = 1, 4, 15, 395, 396
#: EdDSA: RFC 9864 prefers -19, which few readers know yet. Both are read.
_EDDSA: Final = (-8, -19)
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_ISSUER, _SUBJECT = 1, 2
#: A claim for private use (RFC 8392, section 9.1): the tree's size, which the signed root alone does not fix.
_SIZE: Final = -65537


class CoseReceipt(Struct, frozen=True):
    """What a COSE receipt said that held: the entry is leaf `index` of the tree with `size` leaves and
    `root`, which `origin` signed with the key `kid` about `subject`."""

    index: int
    size: int
    root: bytes
    origin: str
    subject: str
    kid: str


def write_receipt(
    *,
    index: int,
    size: int,
    root: bytes,
    path: Sequence[bytes],
    origin: str,
    subject: str,
    kid: str,
    signer: RawSigner,
) -> bytes:
    """The receipt for the leaf at `index` of the tree of `size` leaves: `subject` names the entry, `origin`
    the log, `kid` the key. The caller signs only roots of checkpoints that it has published."""
    import cbor2

    protected = cbor2.dumps(
        {
            _ALG: _EDDSA[0],
            _KID: kid.encode(),
            _CLAIMS: {_ISSUER: origin, _SUBJECT: subject, _SIZE: size},
            _TREE: _RFC9162_SHA256,
        }
    )
    proof = cbor2.dumps([size, index, list(path)])
    signature = signer.sign_raw(_signed(protected, root))
    message = [protected, {_PROOFS: {_INCLUSION: [proof]}}, None, signature]
    return cbor2.dumps(cbor2.CBORTag(_SIGN1, message))


def verify_receipt(data: bytes, entry: bytes, public: bytes) -> CoseReceipt:
    """Check a COSE receipt with the log's Ed25519 key. `entry` is what the leaf is made of: 32 bytes for a
    receipt of a run, 33 for an event. Raises ProofError."""
    protected, size, index, path, signature = _read(data)
    headers = _map(_decode(protected, "the protected header"), "the protected header")
    if headers.keys() - {_ALG, _KID, _CLAIMS, _TREE}:
        raise ProofError("the protected header has fields that are not known here")
    if headers.get(_ALG) not in _EDDSA or headers.get(_TREE) != _RFC9162_SHA256:
        raise ProofError("not a receipt of an RFC 9162 tree, signed with Ed25519")
    root = merkle.root_of_inclusion(merkle.leaf_hash(entry), index, size, path)
    try:
        crypto_sign_open(signature + _signed(protected, root), public)
    except (BadSignatureError, ValueError):
        raise ProofError(f"the key did not sign the root {root.hex()}, to which the proof leads") from None
    claims = _map(headers.get(_CLAIMS, {}), "the claims")
    if claims.get(_SIZE, size) != size:
        raise ProofError(f"the receipt says a tree of {size} leaves, its signature one of {claims[_SIZE]}")
    kid = headers.get(_KID, b"")
    origin, subject = claims.get(_ISSUER, ""), claims.get(_SUBJECT, "")
    if not (isinstance(kid, bytes) and isinstance(origin, str) and isinstance(subject, str)):
        raise ProofError("the receipt's key, log or subject is not a text")
    return CoseReceipt(index, size, root, origin, subject, kid.decode(errors="replace"))


def _read(data: bytes) -> tuple[bytes, int, int, list[bytes], bytes]:
    """(protected header, size, index, path, signature)."""
    import cbor2

    if len(data) > MAX_MESSAGE:
        raise ProofError(f"the receipt is longer than {MAX_MESSAGE >> 10} KiB")
    tagged = _decode(data, "the receipt")
    if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != _SIGN1:
        raise ProofError("the receipt is not a COSE_Sign1")
    parts = _list(tagged.value, "the receipt")
    if len(parts) != 4 or parts[2] is not None:
        raise ProofError("the receipt is not a COSE_Sign1 with its payload left out")
    protected, signature = parts[0], parts[3]
    if not isinstance(protected, bytes) or not isinstance(signature, bytes) or len(signature) != 64:
        raise ProofError("the receipt's signature is not one of Ed25519")
    headers = _map(parts[1], "the unprotected header")
    proofs = _map(headers.get(_PROOFS, {}), "the proofs")
    found = _list(proofs.get(_INCLUSION, []), "the inclusion proofs")
    if set(headers) != {_PROOFS} or set(proofs) != {_INCLUSION} or len(found) != 1:
        raise ProofError("the receipt has not one inclusion proof and nothing beside it")
    if not isinstance(found[0], bytes):
        raise ProofError("the inclusion proof is not a byte string")
    proof = _list(_decode(found[0], "the inclusion proof"), "the inclusion proof")
    if len(proof) != 3 or not all(type(each) is int and 0 <= each <= MAX_SIZE for each in proof[:2]):
        raise ProofError("the inclusion proof is not [size, index, path]")
    path = _list(proof[2], "the path")
    if len(path) > MAX_PROOF or not all(isinstance(each, bytes) and len(each) == HASH_SIZE for each in path):
        raise ProofError("the path is not one of hashes")
    return protected, proof[0], proof[1], path, signature


def _signed(protected: bytes, root: bytes) -> bytes:
    """The Sig_structure (RFC 9052, section 4.4)."""
    import cbor2

    return cbor2.dumps(["Signature1", protected, b"", root])


def _decode(data: bytes, what: str) -> Any:
    """The value of CBOR with nothing after it, in the shortest spelling: no byte may be one of two."""
    import cbor2

    try:
        value: Any = cbor2.loads(data)
        if cbor2.dumps(value) != data:
            raise ProofError(f"{what} is not CBOR in its shortest spelling")
    except ProofError:
        raise
    except Exception:  # Whatever strange bytes make the decoder say: ValueError, EOFError, TypeError, …
        raise ProofError(f"{what} is not CBOR") from None
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ProofError(f"{what} is not a list")
    return list(cast("Sequence[Any]", value))


def _map(value: object, what: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise ProofError(f"{what} is not a map")
    return dict(cast("Mapping[Any, Any]", value))
