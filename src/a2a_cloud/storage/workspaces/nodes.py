"""Nodes of a tree, as they are stored: canonical JSON, addressed by its SHA-256.

A folder is a leaf: its entries sorted by name. A folder of many entries is cut into pages, each a leaf
again, under a wide node that lists them; so a commit of one file rewrites one page and that list, also
where a folder holds 10^5 files. Where a page ends follows from the names in it alone: the same entries
make the same nodes, whatever happened before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.task import ObjectRef

#: A page has at least PAGE_LEAST entries (but for the last one of a folder) and at most PAGE_MOST;
#: between the two it ends with a name whose SHA-256 begins with a zero byte: at 320 on the average.
PAGE_LEAST = 64
PAGE_MOST = 1024


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """A name in a folder. Of a file: its content's hash and size, and 1. Of a folder: its node's hash,
    the bytes and the number of all files below it."""

    name: str
    kind: Literal["file", "folder"]
    sha256: str
    size: int
    files: int

    @property
    def ref(self) -> ObjectRef | None:
        """The content, if this is a file."""
        return ObjectRef(self.sha256, self.size) if self.kind == "file" else None


class Page(Struct, frozen=True, array_like=True, gc=False):
    """A page of a wide folder: its first name, its leaf's hash, its entries, and what they sum up to."""

    first: str
    sha256: str
    entries: int
    size: int
    files: int


class Leaf(Struct, frozen=True, tag_field="node", tag="leaf"):
    """A folder, or a page of one."""

    entries: list[Entry]


class Wide(Struct, frozen=True, tag_field="node", tag="wide"):
    """A folder of more than one page."""

    pages: list[Page]


Node = Leaf | Wide

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Leaf | Wide).decode


def encode(node: Node) -> tuple[str, bytes]:
    """(its address, its bytes)."""
    body = _encode(node)
    return sha256(body).hexdigest(), body


def decode(address: str, body: bytes) -> Node:
    """The node. Raises Internal when the bytes are not those of the address."""
    if sha256(body).hexdigest() != address:
        raise Internal(
            "A folder of the workspace is damaged.",
            remedy="Put back a copy of the object store, or restore an older version.",
            operator=f"The object {address} has other bytes than its name says.",
        )
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise Internal("A folder of the workspace can't be read.", operator=f"{address}: {error}") from None


EMPTY_NODE = Leaf([])
#: The address of the tree without files.
EMPTY, EMPTY_BODY = encode(EMPTY_NODE)


def ends_page(name: str) -> bool:
    """Whether a page that is long enough ends with this name."""
    return sha256(name.encode()).digest()[0] == 0


def cut(entries: Sequence[Entry]) -> tuple[list[Sequence[Entry]], bool]:
    """(pages, whether the last one is still open: more entries after it would have joined it)."""
    pages: list[Sequence[Entry]] = []
    start = 0
    at = PAGE_LEAST - 1
    while at < len(entries):
        if at - start + 1 == PAGE_MOST or ends_page(entries[at].name):
            pages.append(entries[start : at + 1])
            start = at + 1
            at = start + PAGE_LEAST - 1
        else:
            at += 1
    if start < len(entries):
        pages.append(entries[start:])
        return pages, True
    return pages, False


def sums(parts: Iterable[Entry | Page]) -> tuple[int, int]:
    """(bytes, files) of all."""
    size = files = 0
    for part in parts:
        size += part.size
        files += part.files
    return size, files
