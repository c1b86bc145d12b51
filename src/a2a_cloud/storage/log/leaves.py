"""How a row becomes a leaf of its organisation's log: each receipt and each event of the audit log takes the
log's next index in the INSERT itself, so that the index stays gapless whatever else of a group is refused.

An event's salt and leaf hash are made there too, by a function that each writing connection is taught.
"""

from __future__ import annotations

import sqlite3

from a2a_cloud.wire.log_event import event_bytes, event_entry
from a2a_cloud.wire.merkle import leaf_hash

#: The columns of `audit_event` that an event's bytes are made of, in the order of `event_bytes`.
EVENT = "at, kind, caller, target, detail, run, grant_id, root, blocks, operation, allowed, reason"


def next_leaf(org: str) -> str:
    """SQL for the next index of an organisation's log, one more than the largest of both tables; `org` is
    SQL."""
    return (
        f"(SELECT MAX(COALESCE((SELECT MAX(leaf) FROM receipt WHERE org={org}), -1),"  # noqa: S608
        f" COALESCE((SELECT MAX(leaf) FROM audit_event WHERE org={org}), -1)) + 1)"
    )


def insert_event(columns: str, values: str) -> str:
    """The INSERT of an event as a leaf: `columns` are `org` and all of EVENT in the order of `values`."""
    # Materialized: the salt is drawn once, and stored as it was hashed.
    return (
        f"INSERT INTO audit_event(org, {EVENT}, leaf, salt, leaf_hash)"  # noqa: S608
        f" WITH one({columns}, salt) AS MATERIALIZED (SELECT {values}, randomblob(16))"
        f" SELECT org, {EVENT}, {next_leaf('one.org')}, salt, audit_leaf(salt, {EVENT}) FROM one"
    )


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection that writes the function `audit_leaf(salt, …EVENT)`."""
    connection.create_function("audit_leaf", 13, _audit_leaf, deterministic=True)


def _audit_leaf(salt: bytes, *row: object) -> bytes | None:
    """The leaf hash of an event; None, which the column refuses, where the row is none."""
    try:
        return leaf_hash(event_entry(salt, event_bytes(*row)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None  # An exception here would fail the whole group, and not this write alone.
