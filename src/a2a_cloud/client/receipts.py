"""Checking receipts as a function: `verify` for one document, `verify_folder` for a run's and its
descendants'. Nothing is asked of any server; the keys are the reader's (docs/receipts.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct

from a2a_cloud.model.receipt import ReceiptId
from a2a_cloud.wire.jws import Jwk, by_kid, read_jwks
from a2a_cloud.wire.note import NoteError, NoteKey, read_vkey
from a2a_cloud.wire.proof import MAX_DOCUMENT, Outcome, Step, Verdict, verify_receipt
from a2a_cloud.wire.verify.place import find, line_and_column
from a2a_cloud.wire.verify.tree import verify_tree

__all__ = (
    "NoteError",
    "Outcome",
    "Step",
    "Verdict",
    "pinned",
    "position",
    "read",
    "read_jwks",
    "read_tree",
    "read_vkey",
    "shown",
    "verify",
    "verify_folder",
)

#: Receipts of one folder.
MOST = 10_000
#: What lies in a folder beside receipts.
_KEYS = frozenset({"jwks.json", "keys.json"})
_READ = re.compile(r"at (character|byte) ([0-9]+)$")


def verify(
    document: bytes,
    jwks: Iterable[Jwk] | None = None,
    *,
    witnesses: Sequence[NoteKey] = (),
    proof: str = "",
) -> Verdict:
    """Check one receipt. `jwks` are the issuer's keys (`read_jwks`), from elsewhere than the document; None
    leaves the signer unchecked. Each of `witnesses` (`read_vkey`) has to have cosigned. `proof` is the text
    of a `.tlog-proof` file that has to hold too."""
    return verify_receipt(document, jwks, witnesses, proof)


def verify_folder(
    folder: Path, jwks: Iterable[Jwk] | None = None, *, witnesses: Sequence[NoteKey] = ()
) -> Mapping[str, Verdict]:
    """Check the receipts in `folder` (`*.json`; keys aside) one by one and as a tree, by file name.

    Raises ValueError when there are none or more than MOST, OSError when one can't be read.
    """
    names = sorted(path.name for path in folder.glob("*.json") if path.name not in _KEYS)
    if not 0 < len(names) <= MOST:
        raise ValueError("there are none" if not names else f"there are more than {MOST}")
    strange = next((name for name in names if not (folder / name).is_file()), None)
    if strange is not None:  # A pipe or device would never end.
        raise ValueError(f"{strange} is no file")
    return verify_tree({name: read(folder / name) for name in names}, jwks, witnesses)


class _Named(Struct):
    id: ReceiptId


class _Tree(Struct):
    receipts: list[Raw]
    more: bool


def read_tree(answer: bytes) -> tuple[list[tuple[str, bytes]], bool]:
    """(id, document) of each receipt in the answer of `/runs/{id}/receipts`, the run's own first, and whether
    there were more than it holds. Raises ValueError."""
    tree = msgspec.json.decode(answer, type=_Tree)
    return [(msgspec.json.decode(one, type=_Named).id, bytes(one)) for one in tree.receipts], tree.more


def pinned(jwks: Iterable[Jwk], fingerprints: Iterable[str]) -> list[Jwk]:
    """Those keys whose RFC 7638 thumbprint is among `fingerprints`; what else a file of keys holds is not
    believed."""
    wanted = frozenset(fingerprints)
    return [key for key in jwks if wanted & by_kid([key]).keys()]


def position(document: bytes, step: Step) -> tuple[int, int] | None:
    """Line and column, from 1, of what a failed step is about; None when it is no one place."""
    try:
        text = document.decode()
    except UnicodeDecodeError as error:
        before = document[: error.start].decode()
        return line_and_column(before, len(before))
    if not step.at:
        read = _READ.search(step.why)
        return line_and_column(text, int(read[2])) if read else None
    index = find(text, step.at)
    return None if index is None else line_and_column(text, index)


def shown(verdict: Verdict, document: bytes) -> dict[str, Any]:
    """A verdict as JSON, with the line and column of what failed."""
    steps: list[dict[str, Any]] = []
    for step in verdict.steps:
        where = position(document, step) if step.state == "failed" else None
        found: dict[str, Any] = {"name": step.name, "state": step.state, "why": step.why}
        if step.at:
            found["at"] = step.at
        if where is not None:
            found["line"], found["column"] = where
        steps.append(found)
    return {
        "verdict": verdict.outcome.name.lower(),
        "reason": verdict.reason,
        "receipt_id": verdict.receipt_id,
        "issuer_kid": verdict.issuer_kid,
        "checked": list(verdict.checked),
        "notes": list(verdict.notes),
        "steps": steps,
    }


def read(path: Path) -> bytes:
    """A document's bytes, no more than tell that it is too large. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_DOCUMENT + 1)
