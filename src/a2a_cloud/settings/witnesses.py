"""Who cosigns the audit log's checkpoints: `A2A_WITNESSES`, an address and a key each, by commas."""

from __future__ import annotations

from collections.abc import Mapping

from a2a_cloud.settings.read import bad, text, url
from a2a_cloud.wire.note import COSIGNATURE, NoteError, NoteKey, read_vkey

_NAME = "A2A_WITNESSES"
_WRITE = "the address and the key (`a2a witness --vkey` prints it) of each witness: URL VKEY, URL VKEY"


def read_witnesses(environ: Mapping[str, str]) -> tuple[tuple[str, NoteKey], ...]:
    """(address without the last slash, key) of each. Raises BadSetting."""
    found: list[tuple[str, NoteKey]] = []
    for item in text(environ, _NAME).split(","):
        if not item.strip():
            continue
        address, _, vkey = item.strip().partition(" ")
        address = url({_NAME: address}, _NAME)
        try:
            key = read_vkey(vkey.strip())
        except NoteError as error:
            raise bad(_NAME, item, f"{_WRITE}. {str(error).capitalize()}") from None
        if key.kind != COSIGNATURE:
            raise bad(_NAME, item, f"{_WRITE}. This key is that of a log")
        found.append((address, key))
    return tuple(found)
