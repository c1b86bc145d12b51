"""What is stored of the logs: their last checkpoints, the roots of whole tiles, the keys; and the leaves,
which are the rows of receipts and of audit events. 0 is the number of the platform's own log."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.storage.journal.port import IN_ORDER, Statement
from a2a_cloud.storage.log.leaves import EVENT
from a2a_cloud.wire.log_event import event_bytes, event_entry
from a2a_cloud.wire.merkle import HASH_SIZE

#: The platform's own log: its number and its name.
PLATFORM_NO = 0
PLATFORM_NAME = "_platform"

#: A log only grows: a trigger refuses anything else.
PUT_CHECKPOINT = Statement(
    "put_audit_log",
    "INSERT INTO audit_log(org, origin, size, root, at, note, witnessed) VALUES(?,?,?,?,?,?,x'')"
    " ON CONFLICT(org) DO UPDATE SET origin=excluded.origin, size=excluded.size, root=excluded.root,"
    " at=excluded.at, note=excluded.note",
    IN_ORDER,
)
PUT_WITNESSED = Statement("put_audit_log_witnessed", "UPDATE audit_log SET witnessed=? WHERE org=?", IN_ORDER)
#: Made again after a failed write, it is the same.
PUT_TILE = Statement(
    "put_audit_log_tile",
    "INSERT INTO audit_log_tile(org, level, n, root) VALUES(?,?,?,?) ON CONFLICT DO NOTHING",
)
ADD_LOG_KEY = Statement(
    "add_audit_log_key", "INSERT INTO audit_log_key(id, org, public, made, until) VALUES(?,?,?,?,NULL)"
)
END_LOG_KEY = Statement(
    "end_audit_log_key", "UPDATE audit_log_key SET until=? WHERE org=? AND id=? AND until IS NULL", 1
)
#: What the settings said at the last start.
PUT_TOLD = Statement(
    "put_told",
    "INSERT INTO told_settings(org, body) VALUES(?,?) ON CONFLICT DO UPDATE SET body=excluded.body",
    IN_ORDER,
)

#: Many rows come as one: for each row that it steps to, sqlite3 lets go of the interpreter's lock, and then
#: waits for the loop. SQLite keeps the order of such a subquery for group_concat alone.
_LEAVES = (
    "SELECT group_concat(leaf), group_concat(hex(leaf_hash), '') FROM ("
    "SELECT leaf, leaf_hash FROM receipt WHERE org=?1 AND leaf>=?2 AND leaf<?3"
    " UNION ALL SELECT leaf, leaf_hash FROM audit_event INDEXED BY audit_event_leaf"
    " WHERE org=?1 AND leaf>=?2 AND leaf<?3 ORDER BY 1)"
)
_SIZE = (
    "MAX(COALESCE((SELECT MAX(leaf) FROM receipt WHERE org=o.no), -1),"
    " COALESCE((SELECT MAX(leaf) FROM audit_event WHERE org=o.no), -1)) + 1"
)
_SIZES = (
    f"SELECT o.no, o.name, {_SIZE} FROM"  # noqa: S608
    f" (SELECT {PLATFORM_NO} AS no, '{PLATFORM_NAME}' AS name UNION ALL SELECT no, name FROM org) AS o"
)
_OF_EVENTS = "FROM audit_event INDEXED BY audit_event_leaf WHERE org=? AND leaf>=? AND leaf<?"
_EVENTS = f"SELECT leaf, salt, {EVENT} {_OF_EVENTS}"
_RECEIPTS = (
    "SELECT group_concat(leaf), group_concat(hex(id), '') FROM"
    " (SELECT leaf, id FROM receipt WHERE org=? AND leaf>=? AND leaf<? ORDER BY leaf)"
)
_OPENED = (
    "SELECT c.leaf, c.id, r.id FROM receipt c LEFT JOIN run r ON r.no=c.run"
    " WHERE c.org=? AND c.leaf>=? AND c.leaf<?"
)
_OF_RUN = "SELECT c.leaf FROM run r JOIN receipt c ON c.run=r.no WHERE r.id=? AND c.org=?"


class StoredLog(NamedTuple):
    """A row of `audit_log`: the last checkpoint. `witnessed` is a note with cosignatures, b"" for none."""

    org: int
    origin: str
    size: int
    root: bytes
    at: float
    note: bytes
    witnessed: bytes


class Entry(NamedTuple):
    """What stands at an index. `receipt` and `run` are ids, "" for an event, whose bytes are `payload`."""

    entry: bytes
    receipt: str = ""
    run: str = ""
    salt: bytes = b""
    payload: bytes = b""


class StoredKey(NamedTuple):
    """A row of `audit_log_key`. Times are wall seconds; `until` None for the one that signs."""

    id: str
    public: bytes
    made: float
    until: float | None


class LogRows:
    """Reads of committed rows. Raises Internal when the database can't be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The log's rows could not be read.", operator=str(error)) from error

    def sizes(self) -> list[tuple[int, str, int]]:
        """(number, name, how many leaves) of every log."""
        return self._all(_SIZES)

    def logs(self) -> dict[int, StoredLog]:
        """The last checkpoints, by organisation."""
        found = self._all("SELECT org, origin, size, root, at, note, witnessed FROM audit_log")
        return {row[0]: StoredLog(*row) for row in found}

    def keys(self) -> list[StoredKey]:
        """The logs' keys, the first ever first."""
        found = self._all(
            "SELECT id, public, made, until FROM audit_log_key WHERE org=? ORDER BY made, id", (PLATFORM_NO,)
        )
        return [StoredKey(*row) for row in found]

    def told(self) -> dict[str, str] | None:
        """What the settings said at the last start."""
        found = self._all("SELECT body FROM told_settings WHERE org=?", (PLATFORM_NO,))
        return json.loads(found[0][0]) if found else None

    def last_of(self, org: int, kind: str) -> float:
        """When the last event of that kind was, in wall seconds; 0 for never."""
        sql = (
            "SELECT at FROM audit_event INDEXED BY audit_event_change WHERE org=? AND run='' AND kind=?"
            " ORDER BY no DESC LIMIT 1"
        )
        found = self._all(sql, (org, kind))
        return found[0][0] if found else 0.0

    def leaves(self, org: int, start: int, end: int) -> list[bytes]:
        """The leaf hashes in [start, end). Raises Internal where one is missing."""
        ((numbers, hashes),) = self._all(_LEAVES, (org, start, end))
        found = _split(hashes)
        if len(found) != end - start or (numbers or "") != ",".join(map(str, range(start, end))):
            raise Internal("A log has a gap.", operator=f"organisation {org} between {start} and {end}")
        return found

    def entries(self, org: int, start: int, end: int) -> list[bytes]:
        """The entries in [start, end), made of receipts and events. Raises Internal where one is missing."""
        ((numbers, ids),) = self._all(_RECEIPTS, (org, start, end))
        # A row whose id is no hash leaves the wrong number of them, or ids that no leaf hash is made of.
        found = dict(zip(map(int, numbers.split(",")), _split(ids), strict=False)) if numbers else {}
        for leaf, salt, *row in self._all(_EVENTS, (org, start, end)):
            found[leaf] = event_entry(salt, event_bytes(*row))
        if len(found) != end - start:
            raise Internal("A log has a gap.", operator=f"organisation {org} between {start} and {end}")
        return [found[index] for index in range(start, end)]

    def opened(self, org: int, start: int, end: int) -> dict[int, Entry]:
        """What stands in [start, end), by index."""
        found: dict[int, Entry] = {}
        for leaf, salt, *row in self._all(_EVENTS, (org, start, end)):
            payload = event_bytes(*row)
            found[leaf] = Entry(event_entry(salt, payload), salt=salt, payload=payload)
        for leaf, receipt, run in self._all(_OPENED, (org, start, end)):
            found[leaf] = Entry(receipt, "rcpt_" + receipt.hex(), run or "")
        return found

    def of_run(self, org: int, run: str) -> int | None:
        """The index of a run's receipt."""
        found = self._all(_OF_RUN, (run, org))
        return found[0][0] if found else None

    def roots(self, org: int, level: int, start: int, end: int) -> dict[int, bytes]:
        """The roots of the whole tiles of a level with numbers in [start, end), as far as they are stored."""
        sql = "SELECT n, root FROM audit_log_tile WHERE org=? AND level=? AND n>=? AND n<?"
        return dict(self._all(sql, (org, level, start, end)))


def _split(hashes: str | None) -> list[bytes]:
    """Hashes that stand in one text, in hex."""
    data = bytes.fromhex(hashes or "")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
