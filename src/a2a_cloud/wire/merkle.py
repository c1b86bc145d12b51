"""The Merkle tree of RFC 6962 (section 2.1) over SHA-256: roots, inclusion and consistency proofs.

Pure functions over a `Read`: the hash of the complete subtree of 2**level leaves at `index`, counted in
subtrees of that size. Whoever keeps a tree keeps those and nothing else; hashes of incomplete subtrees are
made from them. Proofs are checked as RFC 9162 (sections 2.1.3.2 and 2.1.4.2) says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
#: Trees larger than this are none of ours, nor of anybody who counts in 64 bits with a sign.
MAX_SIZE: Final = 2**63 - 1
#: No proof in a tree of at most MAX_SIZE leaves has more hashes.
MAX_PROOF: Final = 64

#: The root of a tree without leaves.
EMPTY_ROOT: Final = sha256(b"").digest()

#: (level, index) → the hash of the complete subtree over the leaves [index << level, (index + 1) << level).
Read = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof that does not hold; the text says why."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf: SHA-256(0x00 ‖ entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree's right edge: enough to add leaves and to know the root.

    `hashes` are the roots of the complete subtrees that `size` leaves fall into, the largest first: as many
    as `size` has bits set.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Raises ValueError when the hashes cannot be those of a tree of that size."""
        self.size = size
        self._hashes = list(hashes)
        if not 0 <= size <= MAX_SIZE or len(self._hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has another number of complete subtrees")
        if any(len(each) != HASH_SIZE for each in self._hashes):
            raise ValueError("a hash that has not 32 bytes")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, the largest first."""
        return tuple(self._hashes)

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add the hash of a leaf; answer every subtree that it completed as (level, index, hash), the leaf
        itself first."""
        index, node, level = self.size, leaf, 0
        completed = [(0, index, leaf)]
        while index & 1:
            node = node_hash(self._hashes.pop(), node)
            index >>= 1
            level += 1
            completed.append((level, index, node))
        self._hashes.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree as it is."""
        return _fold(self._hashes)


def peaks(leaves: Sequence[bytes]) -> list[bytes]:
    """The roots of the complete subtrees over the hashes of leaves that stand at the right end of a tree, the
    largest first: what a Frontier keeps of them, provided that their number's largest power of two divides
    the number of those before them."""
    found: list[bytes] = []
    nodes = list(leaves)
    while nodes:
        if len(nodes) & 1:
            found.append(nodes.pop())
        nodes = pair(nodes)
    found.reverse()
    return found


def pair(nodes: Sequence[bytes]) -> list[bytes]:
    """The level above an even number of neighbours."""
    both = zip(nodes[::2], nodes[1::2], strict=True)
    return [sha256(b"\x01" + left + right).digest() for left, right in both]


def root(read: Read, size: int) -> bytes:
    """The root of the tree's first `size` leaves."""
    return _fold([read(level, index) for level, index in complete_subtrees(size)])


def complete_subtrees(size: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees that `size` leaves fall into, the largest first."""
    found: list[tuple[int, int]] = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append((level, start >> level))
            start += 1 << level
    return found


def prove_inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """The audit path of the leaf at `index` in the tree of `size` leaves, from its sibling up.

    Raises ValueError when there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has none at {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(read, middle, end))
            end = middle
        else:
            path.append(_range(read, start, middle))
            start = middle
    path.reverse()
    return path


def prove_consistency(read: Read, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of that of `new`. It is empty when `old` is 0
    or `new`. Raises ValueError when `old` is larger than `new`."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(read, middle, end))
            end = middle
        else:
            path.append(_range(read, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(_range(read, start, end))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the leaf with the hash `leaf` stands at `index` in the tree with `size` leaves and `root`.
    Raises ProofError."""
    found = root_of_inclusion(leaf, index, size, proof)
    if found != root:
        raise ProofError(f"the inclusion proof leads to {found.hex()}, not to the root {root.hex()}")


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root to which an inclusion proof leads. Raises ProofError when it cannot be one for this place."""
    _check_hashes(proof)
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"a tree of {size} leaves has none at {index}")
    node, last, place = leaf, size - 1, index
    for sibling in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long for this place")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        place >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the inclusion proof is too short for this place")
    return node


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves with `old_root` is the beginning of that of `new` with `new_root`.
    Raises ProofError."""
    _check_hashes(proof)
    if not 0 <= old <= new <= MAX_SIZE:
        raise ProofError(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old in (0, new):
        if proof:
            raise ProofError("the consistency proof should be empty")
        if old == new and old_root != new_root:
            raise ProofError(f"two trees of {new} leaves with different roots: the log was forked")
        if old == 0 and old_root != EMPTY_ROOT:
            raise ProofError("the root of the empty tree is not the hash of nothing")
        return
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not hashes:
        raise ProofError("the consistency proof is empty")
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    first = second = hashes[0]
    for node in hashes[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long for these sizes")
        if place & 1 or place == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            second = node_hash(second, node)
        place >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the consistency proof is too short for these sizes")
    if first != old_root:
        raise ProofError(f"the consistency proof does not lead to the earlier root {old_root.hex()}")
    if second != new_root:
        raise ProofError(f"the consistency proof does not lead to the later root {new_root.hex()}")


def _check_hashes(proof: Sequence[bytes]) -> None:
    if len(proof) > MAX_PROOF:
        raise ProofError(f"a proof of more than {MAX_PROOF} hashes")
    if any(len(each) != HASH_SIZE for each in proof):
        raise ProofError("a hash in the proof has not 32 bytes")


def _split(size: int) -> int:
    """The largest power of two below `size` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _range(read: Read, start: int, end: int) -> bytes:
    """The hash over the leaves [start, end): `start` is a multiple of a power of two that is not less than
    their number, so they fall into complete subtrees as a tree of its own does."""
    parts: list[bytes] = []
    for level, index in complete_subtrees(end - start):
        parts.append(read(level, (start >> level) + index))
    return _fold(parts)


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, the largest first."""
    if not hashes:
        return EMPTY_ROOT
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = node_hash(left, node)
    return node
