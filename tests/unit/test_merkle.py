"""The Merkle tree against RFC 6962 written down as it stands there."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.wire import merkle
from a2a_cloud.wire.merkle import Frontier, ProofError


def mth(entries: list[bytes]) -> bytes:
    """RFC 6962, section 2.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962, section 2.1.2."""
    n = len(entries)
    if m == n:
        return [] if whole else [mth(entries)]
    k = split(n)
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def entries_of(size: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(size)]


def tree(entries: list[bytes]) -> tuple[Frontier, merkle.Read]:
    frontier, nodes = Frontier(), dict[tuple[int, int], bytes]()
    for entry in entries:
        for level, index, node in frontier.add(merkle.leaf_hash(entry)):
            assert (level, index) not in nodes
            nodes[level, index] = node
    return frontier, lambda level, index: nodes[level, index]


SIZES = st.integers(1, 70)


@given(size=st.integers(0, 70))
def test_the_root_is_that_of_the_rfc(size: int) -> None:
    entries = entries_of(size)
    frontier, read = tree(entries)
    assert frontier.root() == merkle.root(read, size) == mth(entries)
    assert Frontier(size, frontier.hashes).root() == mth(entries)


@given(size=SIZES, data=st.data())
def test_inclusion_is_that_of_the_rfc_and_no_byte_may_change(size: int, data: st.DataObject) -> None:
    entries = entries_of(size)
    index = data.draw(st.integers(0, size - 1))
    _, read = tree(entries)
    proof, root = merkle.prove_inclusion(read, index, size), mth(entries)
    assert proof == path(index, entries)
    leaf = merkle.leaf_hash(entries[index])
    merkle.verify_inclusion(leaf, index, size, root, proof)
    for place, node in enumerate(proof):
        for byte in range(32):
            changed = node[:byte] + bytes([node[byte] ^ 1]) + node[byte + 1 :]
            with pytest.raises(ProofError):
                merkle.verify_inclusion(
                    leaf, index, size, root, [*proof[:place], changed, *proof[place + 1 :]]
                )
    for wrong in ([*proof, root], proof[:-1] if proof else [root]):
        with pytest.raises(ProofError):
            merkle.verify_inclusion(leaf, index, size, root, wrong)
    for other in range(size + 1):
        if other != index:
            with pytest.raises(ProofError):
                merkle.verify_inclusion(leaf, other, size, root, proof)


@settings(max_examples=200)
@given(new=SIZES, data=st.data())
def test_consistency_is_that_of_the_rfc_and_no_byte_may_change(new: int, data: st.DataObject) -> None:
    entries = entries_of(new)
    old = data.draw(st.integers(1, new))
    _, read = tree(entries)
    proof, before, after = merkle.prove_consistency(read, old, new), mth(entries[:old]), mth(entries)
    assert proof == (subproof(old, entries, True) if old < new else [])
    merkle.verify_consistency(old, before, new, after, proof)
    for place, node in enumerate(proof):
        for byte in range(0, 32, 5):
            changed = node[:byte] + bytes([node[byte] ^ 0x80]) + node[byte + 1 :]
            with pytest.raises(ProofError):
                merkle.verify_consistency(
                    old, before, new, after, [*proof[:place], changed, *proof[place + 1 :]]
                )
    other = sha256(b"other").digest()
    for wrong in ([*proof, after], proof[:-1] if proof else [before]):
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, before, new, after, wrong)
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, other, new, after, proof)
    with pytest.raises(ProofError):
        merkle.verify_consistency(old, before, new, other, proof)


def test_from_nothing_everything_follows_and_nothing_is_proved() -> None:
    root = mth(entries_of(3))
    assert merkle.prove_consistency(lambda level, index: b"", 0, 3) == []
    merkle.verify_consistency(0, merkle.EMPTY_ROOT, 3, root, [])
    merkle.verify_consistency(0, merkle.EMPTY_ROOT, 0, merkle.EMPTY_ROOT, [])
    with pytest.raises(ProofError):
        merkle.verify_consistency(0, root, 3, root, [])
    with pytest.raises(ProofError):
        merkle.verify_consistency(0, merkle.EMPTY_ROOT, 3, root, [root])
    with pytest.raises(ProofError, match="forked"):
        merkle.verify_consistency(3, root, 3, merkle.EMPTY_ROOT, [])
    with pytest.raises(ProofError):
        merkle.verify_consistency(4, root, 3, root, [])


def test_strange_input_is_refused() -> None:
    with pytest.raises(ValueError, match="another number"):
        Frontier(3, [b"\x00" * 32])
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier(1, [b"\x00" * 31])
    _, read = tree(entries_of(3))
    for index in (-1, 3):
        with pytest.raises(ValueError, match="none at"):
            merkle.prove_inclusion(read, index, 3)
    with pytest.raises(ValueError, match="not the beginning"):
        merkle.prove_consistency(read, 3, 2)
    with pytest.raises(ProofError, match="more than"):
        merkle.verify_inclusion(b"\x00" * 32, 0, 3, b"\x00" * 32, [b"\x00" * 32] * 65)
    with pytest.raises(ProofError, match="32 bytes"):
        merkle.verify_inclusion(b"\x00" * 32, 0, 3, b"\x00" * 32, [b"\x00" * 31] * 2)
