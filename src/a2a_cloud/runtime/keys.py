"""Idempotency: which run a key (`messageId`, `Idempotency-Key`) led to, and what a repeat finds.

A key counts for a principal with an agent; its scope is in the digest. Uniqueness is the database's
business: a new call's key is looked up by the insert itself. Memory knows the keys of what lives.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import IdempotencyConflict
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import Scope
from a2a_cloud.runtime.live import Run

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Repeated keys that are remembered.
MAX_REPEATED = 4096


class Keys:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._living: dict[bytes, tuple[Run, bytes]] = {}
        #: Keys that came again after their run had ended: the next repeat asks the table first.
        self._repeated: dict[bytes, None] = {}

    def used(self, release: Release, principal: Principal, key: str) -> bool:
        """Whether a call or an answer of that principal to that agent came under this key before."""
        digest = key_digest(release, principal, key)
        return digest in self._living or self._stored(release.org_no, digest) is not None

    def run_of(self, call: Call) -> Run | None:
        """The run that used the call's key, living or stored. Raises IdempotencyConflict."""
        return (
            self.known(call, key_digest(call.release, call.principal, call.key), look=True)
            if call.key
            else None
        )

    def known(self, call: Call, digest: bytes, *, look: bool) -> Run | None:
        """The run that used this key before: one that lives, or (`look`) a stored one.

        Raises IdempotencyConflict when that was another call.
        """
        entry = self._living.get(digest)
        if entry is not None:
            run, fingerprint = entry
        else:
            if not look and digest not in self._repeated:
                return None
            row = self._stored(call.release.org_no, digest)
            if row is None:
                return None
            fingerprint = row[1]
            run = self._runs.live.get(row[0]) or self._runs.talk.restored(row[0])
        if fingerprint != call.fingerprint:
            raise IdempotencyConflict(
                "This messageId or Idempotency-Key was used before for another call.",
                remedy="Use a new one for a new call; repeat the old call unchanged to get its outcome.",
                info={"run": run.id} if run.is_accepted else None,
            )
        return run

    def repeat(self, run: Run, digest: bytes) -> Run | None:
        """The earlier run whose key refused this one's acceptance. Raises IdempotencyConflict."""
        self._living.pop(digest, None)
        if len(self._repeated) >= MAX_REPEATED:
            self._repeated.clear()
        self._repeated[digest] = None
        return self.known(run.call, digest, look=True)

    def remember(self, run: Run, digest: bytes, fingerprint: bytes) -> None:
        """The key leads to the run as long as that lives: the key of its call, or of an answer to it."""
        self._living[digest] = (run, fingerprint)
        run.keys = (*run.keys, digest)

    def restore(self, run: Run) -> None:
        """A restored run's key leads to it again."""
        call = run.call
        if call.key:
            digest = key_digest(call.release, call.principal, call.key)
            row = self._stored(run.task.org_no, digest)
            if row is not None and row[0] == run.no:
                self.remember(run, digest, row[1])

    def forget(self, run: Run) -> None:
        """The run has ended: the table knows its keys."""
        for digest in run.keys:
            self._living.pop(digest, None)

    def _stored(self, org_no: int, digest: bytes) -> tuple[int, bytes] | None:
        return self._runs.reader.idempotency(Scope(org=org_no), digest)


def key_digest(release: Release, principal: Principal, key: str) -> bytes:
    """What stands for a key in its scope."""
    parts = f"{release.org_no}\0{principal.no}\0{release.agent_no}\0{key}"
    return hashlib.blake2b(parts.encode(), digest_size=16).digest()
