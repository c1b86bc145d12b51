"""What a compliance pack says of itself: `manifest.json`, every file with its hash, and `manifest.jws`, the
platform's signature over the manifest's bytes (detached JWS, RFC 7515 appendix F): docs/packs.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Annotated, BinaryIO, Literal
from zlib import crc32

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from a2a_cloud.model.receipt import Count, Instant, Sha256, Signature
from a2a_cloud.wire.canonical import canonical, parse_strict
from a2a_cloud.wire.pack_zip import CHUNK, PackError, ZipReader, ZipWriter

MANIFEST, SIGNATURE = "manifest.json", "manifest.jws"
#: A manifest larger than this is refused unread; it has about 150 bytes for each file.
MAX_MANIFEST = 64 << 20
MAX_SIGNATURE = 4096

Name = Annotated[str, Meta(max_length=300)]


class Listed(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the pack."""

    sha256: Sha256
    size: Count


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Which files belong to a pack, and what was asked for. `view`: whether its receipts are the agent's
    organisation's (`whole`) or those of the runs' owner (`own`). `since` and `until` bound when its runs were
    accepted, where the pack was made for a time; `agent` where it was made for one agent's."""

    agent: Name | UnsetType = UNSET
    files: dict[str, Listed]
    kind: Literal["pack"]
    made_at: Instant
    made_by: Name
    org: Name
    runs: Count
    since: Instant | UnsetType = UNSET
    until: Instant | UnsetType = UNSET
    v: Literal[1]
    view: Literal["whole", "own"]


class PackWriter:
    """Says the bytes of a pack, one file after the other. Raises ValueError for a name that is no plain one
    or is there already, and when the pack would be larger than one may be."""

    def __init__(self) -> None:
        self._zip = ZipWriter()
        self._files: dict[str, Listed] = {}

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._zip.size

    def add(self, name: str, data: bytes) -> bytes:
        """A file, whole."""
        head = self._zip.begin(name, crc32(data), len(data))
        self._files[name] = Listed(sha256(data).hexdigest(), len(data))
        return head + data

    def add_file(self, name: str, file: BinaryIO) -> Iterator[bytes]:
        """A file that is too large to hold: it is read twice."""
        digest, crc, size = sha256(), 0, 0
        file.seek(0)
        while piece := file.read(CHUNK):
            digest.update(piece)
            crc = crc32(piece, crc)
            size += len(piece)
        yield self._zip.begin(name, crc, size)
        self._files[name] = Listed(digest.hexdigest(), size)
        file.seek(0)
        while piece := file.read(CHUNK):
            yield piece

    def close(self, describe: Callable[[dict[str, Listed]], Manifest], sign: Sign) -> Iterator[bytes]:
        """The manifest over everything so far, its signature, and the end of the zip."""
        manifest = canonical(describe(self._files))
        self.manifest_sha256 = sha256(manifest).hexdigest()
        yield self._member(MANIFEST, manifest)
        yield self._member(SIGNATURE, canonical(sign(manifest)))
        yield from self._zip.end()

    def _member(self, name: str, data: bytes) -> bytes:
        return self._zip.begin(name, crc32(data), len(data)) + data


#: Signs a manifest's bytes.
Sign = Callable[[bytes], Signature]


def read_manifest(pack: ZipReader) -> tuple[Manifest, bytes]:
    """The manifest and its bytes, when it lists the same names as are there. Raises PackError."""
    for name in (MANIFEST, SIGNATURE):
        if name not in pack.members:
            raise PackError(name, "it is missing, so nothing says what belongs to the pack")
    data = pack.data(MANIFEST, MAX_MANIFEST)
    try:
        parsed = parse_strict(data)
        if canonical(parsed) != data:
            raise ValueError("it is not written in the one canonical way")
        manifest = msgspec.convert(parsed, Manifest)
    except ValueError as error:  # msgspec's own are ValueErrors.
        raise PackError(MANIFEST, f"it is no manifest of a pack: {error}") from None
    for name in pack.members:
        if name not in manifest.files and name not in (MANIFEST, SIGNATURE):
            raise PackError(name, "the manifest does not list it: somebody has added it")
    for name in manifest.files:
        if name not in pack.members:
            raise PackError(name, "the manifest lists it, and it is not there: somebody has taken it out")
    return manifest, data


def read_signature(pack: ZipReader) -> Signature:
    """The manifest's signature. Raises PackError."""
    data = pack.data(SIGNATURE, MAX_SIGNATURE)
    try:
        signature = msgspec.convert(parse_strict(data), Signature)
        if canonical(signature) != data:
            raise ValueError("it is not written in the one canonical way")
    except ValueError as error:
        raise PackError(SIGNATURE, f"it is no signature: {error}") from None
    return signature


def check_file(pack: ZipReader, name: str, listed: Listed) -> None:
    """Raises PackError unless the file is the one that the manifest lists."""
    if pack.members[name].size != listed.size:
        raise PackError(name, f"it has {pack.members[name].size} bytes, and the manifest says {listed.size}")
    digest = sha256()
    for piece in pack.pieces(name):
        digest.update(piece)
    if digest.hexdigest() != listed.sha256:
        raise PackError(name, f"its hash is {digest.hexdigest()}, and the manifest says {listed.sha256}")
