"""The tables, as numbered migrations; a database with a newer schema than this code refuses to start.

Table shape follows measurement: ordinary rowid tables, integers for what repeats (organisation,
principal, agent), ids that sort by time, few indexes, keyset paging. `event.id` is
`run << 20 | seq`, so that a run's events lie together in one B-tree without a second index.
Uniqueness is enforced here, in SQL; memory is a cache of the one writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.storage.log.leaves import teach
from a2a_cloud.storage.sql.slices import (
    APPROVALS,
    BILLING,
    ERASURES,
    EVALS,
    GRANTS,
    HOOKS,
    INVOICES,
    KEYS,
    LIMITS,
    LOGS,
    NAMES,
    OAUTH,
    ORGS,
    PEOPLE,
    PRIORITY,
    PUSH,
    SECRETS,
    SERVICES,
)
from a2a_cloud.storage.workspaces.rows import MIGRATION as WORKSPACES

#: Events of a run are numbered below 2**SEQ_BITS.
SEQ_BITS = 20

#: Runs in other states than an ordinary call's are indexed by state; an ordinary call pays nothing for
#: it. Terms joined by AND: a list (NOT IN) costs 100 µs a row, and each term must stand in the query.
RARE = "state<>'TASK_STATE_SUBMITTED' AND state<>'TASK_STATE_WORKING' AND state<>'TASK_STATE_COMPLETED'"

MIGRATIONS: tuple[str, ...] = (
    f"""
    CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES('commits', 0);

    CREATE TABLE org(
        no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created REAL NOT NULL);
    CREATE TABLE principal(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
        UNIQUE(org, name));
    CREATE TABLE api_key(
        id TEXT PRIMARY KEY, org INTEGER NOT NULL, principal INTEGER NOT NULL, role TEXT NOT NULL,
        label TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, created REAL NOT NULL, created_by TEXT NOT NULL,
        revoked REAL);
    CREATE INDEX api_key_org ON api_key(org, created);

    CREATE TABLE agent(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
        serving INTEGER, UNIQUE(org, name));
    CREATE TABLE release(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, number INTEGER NOT NULL,
        digest TEXT NOT NULL, folder TEXT NOT NULL, manifest BLOB NOT NULL, skills BLOB NOT NULL,
        message_handler INTEGER NOT NULL, created REAL NOT NULL,
        UNIQUE(agent, number), UNIQUE(agent, digest));

    CREATE TABLE task(
        no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, owner INTEGER NOT NULL,
        agent INTEGER NOT NULL, context TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL);
    CREATE INDEX task_list ON task(org, owner, agent, state, at, no);
    CREATE INDEX task_context ON task(context, org, owner, agent, at, no);

    CREATE TABLE run(
        no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, owner INTEGER NOT NULL,
        agent INTEGER NOT NULL, release INTEGER NOT NULL, task INTEGER NOT NULL, task_id TEXT NOT NULL,
        ordinal INTEGER NOT NULL, context TEXT NOT NULL, skill TEXT NOT NULL, state TEXT NOT NULL,
        attempt INTEGER NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
        call BLOB NOT NULL, parent INTEGER, problem TEXT, detail TEXT, dead INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX run_task ON run(task, no);
    CREATE INDEX run_open ON run(no) WHERE ended IS NULL;
    CREATE INDEX run_dead ON run(org, no) WHERE dead = 1;
    CREATE INDEX run_org ON run(org, no);
    CREATE INDEX run_agent ON run(org, agent, no);
    CREATE INDEX run_owner ON run(org, owner, no, agent);
    CREATE INDEX run_state_org ON run(org, state, no) WHERE {RARE};
    CREATE INDEX run_state_agent ON run(org, agent, state, no) WHERE {RARE};
    CREATE INDEX run_state_owner ON run(org, owner, state, no) WHERE {RARE};
    CREATE INDEX run_parent ON run(parent) WHERE parent IS NOT NULL;

    CREATE TABLE idempotency(
        key BLOB PRIMARY KEY, org INTEGER NOT NULL, run INTEGER NOT NULL, fingerprint BLOB NOT NULL)
        WITHOUT ROWID;

    CREATE TABLE event(id INTEGER PRIMARY KEY, org INTEGER NOT NULL, body BLOB NOT NULL);

    CREATE TABLE receipt(
        run INTEGER PRIMARY KEY, org INTEGER NOT NULL, leaf INTEGER NOT NULL, leaf_hash BLOB NOT NULL,
        id BLOB NOT NULL, body BLOB NOT NULL, protected TEXT NOT NULL, signature TEXT NOT NULL,
        sections BLOB NOT NULL, UNIQUE(org, leaf));

    CREATE TABLE state(
        org INTEGER NOT NULL, owner INTEGER NOT NULL, agent INTEGER NOT NULL, context TEXT NOT NULL,
        key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(org, owner, agent, context, key))
        WITHOUT ROWID;

    CREATE TABLE log(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, run INTEGER,
        at REAL NOT NULL, level TEXT NOT NULL, source TEXT NOT NULL, line TEXT NOT NULL);
    CREATE INDEX log_agent ON log(agent, no);
    CREATE INDEX log_run ON log(run, no) WHERE run IS NOT NULL;
    """,
    # Releases are rows from the moment that their deploy begins; agents point at several of them.
    """
    CREATE TABLE made(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, agent INTEGER NOT NULL, number INTEGER NOT NULL,
        state TEXT NOT NULL, step TEXT NOT NULL, digest TEXT NOT NULL, source TEXT NOT NULL,
        environment TEXT NOT NULL, manifest BLOB NOT NULL, skills BLOB NOT NULL,
        message_handler INTEGER NOT NULL, created REAL NOT NULL, ended REAL, made_by TEXT NOT NULL,
        notes BLOB NOT NULL, UNIQUE(agent, number));
    INSERT INTO made SELECT no, org, agent, number, 'ready', 'switch', digest, digest, '', manifest, skills,
        message_handler, created, created, '', CAST('{}' AS BLOB) FROM release;
    DROP TABLE release;
    ALTER TABLE made RENAME TO release;

    ALTER TABLE agent ADD COLUMN canary INTEGER;
    ALTER TABLE agent ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE agent ADD COLUMN deleted REAL;
    ALTER TABLE agent ADD COLUMN delete_at REAL;
    CREATE TABLE major(
        org INTEGER NOT NULL, agent INTEGER NOT NULL, major INTEGER NOT NULL, release INTEGER NOT NULL,
        deprecated REAL, until REAL, PRIMARY KEY(agent, major)) WITHOUT ROWID;
    CREATE TABLE setting(
        org INTEGER NOT NULL, agent INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
        at REAL NOT NULL, PRIMARY KEY(agent, name)) WITHOUT ROWID;

    ALTER TABLE log ADD COLUMN release INTEGER NOT NULL DEFAULT 0;
    """,
    # Grants, approvals, secrets, workspaces.
    GRANTS + APPROVALS + SECRETS + WORKSPACES,
    # Older dialects' names of tasks and sessions, push notifications, webhooks that came in.
    NAMES + PUSH + HOOKS + PRIORITY,
    # People and what they sign in with, OAuth, organisations, limits, agents' identities, the registry.
    KEYS + PEOPLE + OAUTH + ORGS + LIMITS + SERVICES,
    # Logs that anybody can check, the ledger, evals and reviews, what was erased.
    LOGS + BILLING + INVOICES + EVALS + ERASURES,
)


VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the database to the last of `migrations`, each in a transaction of its own.

    Raises Unavailable when the database was written by newer code; sqlite3.Error when a migration
    fails, which then has changed nothing.
    """
    teach(connection)  # One of the migrations makes leaves of older events.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise Unavailable(
            f"The data folder has schema {version}; this program knows schemas up to {len(migrations)}.",
            remedy="Start the newer version of a2a cloud that wrote it, or set A2A_DATA to another folder.",
        )
    for number in range(version + 1, len(migrations) + 1):
        script = f"BEGIN IMMEDIATE;{migrations[number - 1]};PRAGMA user_version={number};COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
