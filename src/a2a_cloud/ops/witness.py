"""What a witness of other logs knows and decides (c2sp.org/tlog-witness, tlog-cosignature).

A witness remembers one checkpoint per log: the largest that it cosigned. It signs a later one only when a
proof shows that nothing before has changed, and writes that down before it answers, in one transaction with
the look at what it knew: so two askers at once, a crash, or a log that shows two faces get no second truth.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from a2a_cloud.model.ports import Clock
from a2a_cloud.wire import merkle
from a2a_cloud.wire.merkle import ProofError
from a2a_cloud.wire.note import (
    COSIGNATURE,
    ED25519,
    MAX_NOTE,
    Checkpoint,
    Note,
    NoteError,
    NoteKey,
    RawSigner,
    cosign,
    read_checkpoint,
    read_size,
    unb64,
)

#: The most hashes in one request (tlog-witness), and the most bytes.
MAX_HASHES: Final = 63
MAX_REQUEST: Final = MAX_NOTE + (8 << 10)
#: Pairs of checkpoints that contradict each other are kept, so many of them.
MAX_EVIDENCE: Final = 100

TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS seen(
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL) WITHOUT ROWID;
    CREATE TRIGGER IF NOT EXISTS seen_grows BEFORE UPDATE ON seen
        WHEN NEW.size<OLD.size OR (NEW.size=OLD.size AND NEW.root<>OLD.root)
        BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
    """


class Answer(NamedTuple):
    """What a request gets: status, body, its type; `told` is a line for the operator, "" for none."""

    status: int
    body: bytes
    kind: str = TEXT
    told: str = ""


class _Asked(NamedTuple):
    old: int
    proof: list[bytes]
    signed: bytes
    checkpoint: Checkpoint
    note: Note


class Witness:
    """A witness with its key, the logs that it knows (`logs`: keys named for their log's origin) and its
    memory in `folder`. Raises OSError, sqlite3.Error or ValueError when it cannot begin."""

    def __init__(
        self, name: str, signer: RawSigner, logs: Iterable[NoteKey], folder: Path, clock: Clock
    ) -> None:
        self.key = NoteKey(name, signer.public, COSIGNATURE)
        self._signer = signer
        self._clock = clock
        self._evidence = folder / "evidence"
        self._logs: dict[str, list[NoteKey]] = {}
        for key in logs:
            if key.kind != ED25519:
                raise ValueError(f"{key.name} is the key of a witness, not of a log")
            self._logs.setdefault(key.name, []).append(key)
        self._store = sqlite3.connect(folder / "witness.db", isolation_level=None, timeout=10)
        self._store.execute("PRAGMA journal_mode=WAL")
        self._store.execute("PRAGMA synchronous=FULL")
        self._store.executescript(_SCHEMA)

    @property
    def origins(self) -> list[str]:
        """The logs that it cosigns."""
        return sorted(self._logs)

    def close(self) -> None:
        """Let go of its memory."""
        self._store.close()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request of `POST /add-checkpoint`. Raises sqlite3.Error when its memory fails it: then
        nothing is signed."""
        try:
            asked = _read(body)
        except ValueError as error:
            return Answer(400, f"This is no request to a witness: {error}.\n".encode())
        checkpoint = asked.checkpoint
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            return Answer(404, b"This witness does not know the log.\n")
        if not any(asked.note.verified_by(key) for key in keys):
            return Answer(403, b"None of the keys that are known for this log signed the checkpoint.\n")
        if asked.old > checkpoint.size:
            return Answer(400, b"The old size is larger than the checkpoint.\n")
        self._store.execute("BEGIN IMMEDIATE")
        try:
            refused = self._judge(asked)
            if refused is None:
                self._store.execute(
                    "INSERT INTO seen(origin, size, root, note) VALUES(?,?,?,?) ON CONFLICT(origin) DO UPDATE"
                    " SET size=excluded.size, root=excluded.root, note=excluded.note",
                    (checkpoint.origin, checkpoint.size, checkpoint.root, asked.signed),
                )
            self._store.execute("COMMIT")
        except BaseException:
            if self._store.in_transaction:
                self._store.execute("ROLLBACK")
            raise
        if refused is not None:
            return refused
        line = cosign(asked.note.text, self.key.name, self._signer, int(self._clock.now()))
        return Answer(200, line)

    def _judge(self, asked: _Asked) -> Answer | None:
        """Why the checkpoint is not cosigned; None when it may be."""
        checkpoint = asked.checkpoint
        row = self._store.execute(
            "SELECT size, root, note FROM seen WHERE origin=?", (checkpoint.origin,)
        ).fetchone()
        size, root, note = row or (0, merkle.EMPTY_ROOT, b"")
        if checkpoint.size == size and checkpoint.root != root:
            return Answer(409, f"{size}\n".encode(), SIZE, self._fork(checkpoint, note, asked.signed))
        if asked.old != size:
            return Answer(409, f"{size}\n".encode(), SIZE)
        try:
            merkle.verify_consistency(size, root, checkpoint.size, checkpoint.root, asked.proof)
        except ProofError as error:
            told = f"{checkpoint.origin}: {checkpoint.size} entries do not go on from {size}: {error}"
            said = f"The checkpoint does not go on from the last one: {error}.\n"
            return Answer(422, said.encode(), told=told)
        return None

    def _fork(self, checkpoint: Checkpoint, first: bytes, second: bytes) -> str:
        """Keep the proof that a log signed two different trees of one size."""
        told = f"{checkpoint.origin}: two trees of {checkpoint.size} entries: THE LOG WAS FORKED"
        name = f"{sha256(checkpoint.origin.encode()).hexdigest()[:16]}-{checkpoint.size}"
        path = self._evidence / f"{name}-{checkpoint.root.hex()[:16]}.txt"
        self._evidence.mkdir(mode=0o700, exist_ok=True)
        if not path.exists() and sum(1 for _ in self._evidence.iterdir()) < MAX_EVIDENCE:
            path.write_bytes(first + b"\n" + second)
        return f"{told}; both checkpoints: {path}"


def _read(body: bytes) -> _Asked:
    """A request: the old size, the proof, an empty line, the checkpoint. Raises ValueError."""
    if len(body) > MAX_REQUEST:
        raise NoteError(f"longer than {MAX_REQUEST >> 10} KiB")
    head, empty, signed = body.partition(b"\n\n")
    if not empty:
        raise NoteError("no empty line before the checkpoint")
    first, *lines = head.decode("ascii").split("\n")
    if not first.startswith("old "):
        raise NoteError("its first line is not old and a size")
    if len(lines) > MAX_HASHES:
        raise NoteError(f"more than {MAX_HASHES} hashes")
    proof = [unb64(line) for line in lines]
    if any(len(each) != merkle.HASH_SIZE for each in proof):
        raise NoteError("a hash that has not 32 bytes")
    checkpoint, note = read_checkpoint(signed)
    return _Asked(read_size(first[4:]), proof, signed, checkpoint, note)
