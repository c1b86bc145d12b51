"""Secrets of an organisation: set, listed without their values, rotated, removed; opened for the egress
proxy alone.

A value is sealed for its organisation, name and version (`seal.py`). Values are in no log, no error and no
answer, and are kept in memory no longer than it takes to write one into a request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from a2a_cloud.control.secrets.key import open_key
from a2a_cloud.control.secrets.rows import DROP_SECRET, PUT_SECRET, SecretRow, SecretRows
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import InvalidParams, NotFound, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change

#: Secrets of an organisation, and bytes of a value.
MAX_SECRETS = 500
MAX_VALUE = 32 << 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}").fullmatch


class Committer(Protocol):
    """The journal, as this store uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Secrets:
    """See the module."""

    def __init__(
        self, rows: SecretRows, journal: Committer, clock: Clock, entropy: Entropy, key: bytes
    ) -> None:
        """`key`: 32 bytes, as `open_key` gives them."""
        self._rows = rows
        self._journal = journal
        self._clock = clock
        #: Seals what others store too, each for places of its own.
        self.seal = Seal(key, entropy)
        self._lock = asyncio.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        rows: SecretRows,
        journal: Committer,
        clock: Clock,
        entropy: Entropy,
        *,
        needed: bool = False,
    ) -> Secrets:
        """With the key in `folder` (`$A2A_DATA/keys`). `needed`: something else is sealed with it already.
        Raises Unavailable as `open_key` does."""
        key = open_key(folder, entropy, needed=needed or rows.any(SYSTEM))
        return cls(rows, journal, clock, entropy, key)

    def listed(self, org_no: int) -> list[SecretRow]:
        """The organisation's secrets by name, without their values."""
        return self._rows.secrets(Scope(org=org_no))

    async def put(self, org_no: int, name: str, value: str, *, by: str, rotate: bool = False) -> SecretRow:
        """Store a value; the one before, if any, is gone once this is on disk. `rotate`: there has to be
        one. Raises InvalidParams, NotFound."""
        _check_name(name)
        size = len(value.encode("utf-8", "replace"))
        if not 0 < size <= MAX_VALUE or "\0" in value or not _encodes(value):
            raise InvalidParams(
                f"The value of {name} is empty, larger than {MAX_VALUE >> 10} KiB, or no text.",
                info={"field": "value"},
            )
        async with self._lock:  # so that two at once get two versions
            old = self._rows.secret(Scope(org=org_no), name)
            if old is None and rotate:
                raise _unknown(name)
            if old is None and len(self.listed(org_no)) >= MAX_SECRETS:
                raise InvalidParams(
                    f"An organisation has {MAX_SECRETS} secrets at most.", remedy="Remove one."
                )
            now = self._clock.now()
            version = 1 if old is None else old.version + 1
            row = SecretRow(name, version, now if old is None else old.created, now, by)
            sealed = self.seal.close(value.encode(), _bound_to(org_no, name, version))
            values = (org_no, name, version, sealed, row.created, row.at, by)
            event = change(org_no, now, by, "secret.set", name, version=version)
            await self._journal.write([(PUT_SECRET, values), event])
        return row

    async def drop(self, org_no: int, name: str, *, by: str) -> None:
        """Remove it. Raises NotFound."""
        async with self._lock:
            if self._rows.secret(Scope(org=org_no), name) is None:
                raise _unknown(name)
            event = change(org_no, self._clock.now(), by, "secret.removed", name)
            await self._journal.write([(DROP_SECRET, (org_no, name)), event])

    def value(self, org_no: int, name: str) -> str:
        """The secret itself; for the egress proxy alone. Raises NotFound, Unavailable."""
        found = self._rows.sealed(Scope(org=org_no), name)
        if found is None:
            raise _unknown(name)
        version, sealed = found
        try:
            opened = self.seal.open(sealed, _bound_to(org_no, name, version))
        except ValueError:
            raise Unavailable(
                f"The secret {name} can't be opened: its row or the key was changed.",
                remedy=f"Set it again: a2a secrets set {name}",
            ) from None
        return opened.decode()


def _bound_to(org_no: int, name: str, version: int) -> str:
    return f"a2a-cloud secret-v1 {org_no} {name} {version}"


def _check_name(name: str) -> None:
    if not _NAME(name):
        raise InvalidParams(
            f"{name[:100]!a} is no name of a secret.",
            remedy="Use letters, digits and `_`, no digit first, 100 at most.",
            info={"field": "name"},
        )


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no secret {name[:100]!a}.", remedy="See `a2a secrets ls`.")
