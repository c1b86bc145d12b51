"""The key that signs the logs' checkpoints: Ed25519, `keys/log.jwk` in the data folder, made at the first
start.

A rotation puts a new key in its place; the one before signs along until the overlap is over
(`keys/log-before.jwk`), so that readers who know it alone have time to learn of the new one. Which keys there
were is stored, and every change of them is an event of the platform's own log.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, cast

from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import InvalidParams, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops import private_file
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.log.logs import Journal
from a2a_cloud.storage.log.rows import ADD_LOG_KEY, END_LOG_KEY, PLATFORM_NO, LogRows
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.jws import Jwk, Signer, private_key, public_jwk
from a2a_cloud.wire.note import NoteKey

KEY_FILE, BEFORE_FILE, NEXT_FILE = "log.jwk", "log-before.jwk", "log-next.jwk"
#: Seconds that the key before signs along, if nobody says otherwise, and at most.
OVERLAP, OVERLAP_MOST = 30 * 86_400, 366 * 86_400
_WHAT = "the key that signs the logs' checkpoints, so what it signs proves nothing"
_REMEDY = "move it away, and a new key is made at the next start."


class LogKey(NamedTuple):
    """A key of the logs as readers are told: its `vkey` for one log, its thumbprint; times are wall seconds,
    `until` when it stops to sign, None for the current one."""

    vkey: str
    kid: str
    made: float
    until: float | None
    signs: bool


class LogKeys:
    """See the module."""

    def __init__(self, folder: Path, rows: LogRows, journal: Journal, clock: Clock, entropy: Entropy) -> None:
        """`folder` is that of the platform's keys, which exists. Raises Unavailable."""
        self._folder = folder
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        #: Rotations come one after the other: there is one place for the next key.
        self._turn = asyncio.Lock()
        #: Told when other keys sign.
        self.changed: Callable[[], None] = lambda: None
        self._load()

    def _load(self) -> None:
        self._stored = self._rows.keys()
        self._finish_rotation()
        if not os.path.lexists(self._folder / KEY_FILE):
            self._write(KEY_FILE, Signer(self._entropy.bytes(32)).private_jwk())
        self._signer = private_key(self._read(KEY_FILE))
        self._before, self._until = self._read_before()

    @property
    def name(self) -> str:
        """What the logs of a platform without an address of its own are named by."""
        return f"a2a-cloud-{sha256(self._signer.public).hexdigest()[:12]}"

    async def settle(self) -> None:
        """Store a key that was just made, with its event. Raises Problem."""
        kid = self._signer.kid
        if any(each.id == kid for each in self._stored):
            return
        now = self._clock.now()
        last = self._stored[-1].id if self._stored else ""
        ops: list[Op] = [
            (ADD_LOG_KEY, (kid, PLATFORM_NO, self._signer.public, now)),
            change(PLATFORM_NO, now, "platform", "log_key.made", kid, before=last),
        ]
        if last:
            ops.append((END_LOG_KEY, (now, PLATFORM_NO, last)))
        await self._journal.write(ops)
        self._stored = self._rows.keys()

    def signers(self) -> Sequence[Signer]:
        """Those that sign now, the current one first."""
        if self._before is not None and self._clock.now() < self._until:
            return (self._signer, self._before)
        return (self._signer,)

    def jwks(self) -> list[dict[str, str]]:
        """The public keys, those of earlier times too."""
        current = self._signer.jwk()
        return [current, *(public_jwk(key.public) for key in self._stored if key.id != current["kid"])]

    def history(self, origin: str) -> list[LogKey]:
        """All keys under the name of one log, the current one last."""
        now = {signer.kid for signer in self.signers()}
        return [
            LogKey(NoteKey(origin, key.public).vkey, key.id, key.made, key.until, key.id in now)
            for key in self._stored
        ]

    async def rotate(self, by: str, overlap: float) -> None:
        """A new key signs from now on; the one until now signs along for `overlap` seconds. Raises
        InvalidParams (also while the key before still signs along), StorageFull, Unavailable."""
        if not 0 <= overlap <= OVERLAP_MOST:
            raise InvalidParams(
                f"An overlap is from 0 to {OVERLAP_MOST} seconds.",
                remedy=f"{OVERLAP} seconds are usual.",
                info={"field": "overlap"},
            )
        # What is begun is ended though nobody waits any more: memory has to know what is stored.
        await asyncio.shield(self._rotate(by, overlap))

    async def _rotate(self, by: str, overlap: float) -> None:
        async with self._turn:
            self._take_up()
            await self._replace(by, overlap)

    def _take_up(self) -> None:
        """Finish or forget a rotation that was cut short, as a start does."""
        if os.path.lexists(self._folder / NEXT_FILE):
            self._load()
            self.changed()

    async def _replace(self, by: str, overlap: float) -> None:
        now = self._clock.now()
        if self._before is not None and now < self._until:
            # Its readers were promised that it signs until then, and one key at most signs along.
            raise InvalidParams(
                f"The key before still signs along, until {stamp(self._until)}.",
                remedy="Rotate again after that. If a key got out, stop the platform and move its file away"
                f" ({KEY_FILE}, {BEFORE_FILE} in keys/): a new one is made at the next start.",
                info={"until": stamp(self._until)},
            )
        old, new, until = self._signer, Signer(self._entropy.bytes(32)), now + overlap
        # First the private key, then the row and its event, then the key's place: a start after a crash
        # finishes what the row says, or forgets a key that nobody heard of.
        self._write(NEXT_FILE, new.private_jwk())
        told = {"before": old.kid, "until": stamp(until)}
        await self._journal.write(
            [
                (END_LOG_KEY, (until, PLATFORM_NO, old.kid)),
                (ADD_LOG_KEY, (new.kid, PLATFORM_NO, new.public, now)),
                change(PLATFORM_NO, now, by, "log_key.rotated", new.kid, **told),
            ]
        )
        self._stored = self._rows.keys()
        self._finish_rotation()
        self._signer, self._before, self._until = new, old, until
        self.changed()

    def _finish_rotation(self) -> None:
        path = self._folder / NEXT_FILE
        if not os.path.lexists(path):
            return
        kid = private_key(self._read(NEXT_FILE)).kid
        try:
            if any(each.id == kid for each in self._stored):
                current = self._folder / KEY_FILE
                if os.path.lexists(current):
                    os.replace(current, self._folder / BEFORE_FILE)
                os.replace(path, current)
            else:
                path.unlink()
        except OSError as error:
            raise self._unusable(path, error) from None

    def _read_before(self) -> tuple[Signer | None, float]:
        """The key before, while it signs along."""
        if not os.path.lexists(self._folder / BEFORE_FILE):
            return None, 0.0
        before = private_key(self._read(BEFORE_FILE))
        until = next((key.until for key in self._stored if key.id == before.kid), None) or 0.0
        if self._clock.now() >= until:
            (self._folder / BEFORE_FILE).unlink(missing_ok=True)
            return None, 0.0
        return before, until

    def _read(self, name: str) -> Jwk:
        path = self._folder / name
        try:
            data = private_file.read(path, _WHAT, _REMEDY)
        except OSError as error:
            raise self._unusable(path, error) from None
        try:
            found = parse_strict(data)
            if not isinstance(found, dict):
                raise ValueError("it is not a JWK")
            jwk = cast("Jwk", found)
            private_key(jwk)
        except ValueError as error:
            raise Unavailable(
                f"The key of the logs {path} is damaged: {error}.",
                remedy="Restore it from a backup. Or move it away, and a new key is made at the next start.",
            ) from None
        return jwk

    def _write(self, name: str, jwk: dict[str, str]) -> None:
        path = self._folder / name
        try:
            private_file.replace(path, json.dumps(jwk).encode() + b"\n", self._entropy)
        except OSError as error:
            raise self._unusable(path, error) from None

    @staticmethod
    def _unusable(path: Path, error: OSError) -> Unavailable:
        return Unavailable(
            f"The key of the logs {path} can't be used: {error.strerror or error}.",
            remedy="Make it a plain file that belongs to the platform's user, on a disk with space.",
        )
