"""What is stored of grants: who got which, what was revoked, what was used. No row holds a signature, so
none can be used as a grant; the platform signs stored blocks again with its key (`wire.grant.sign_again`).
"""

from __future__ import annotations

from typing import NamedTuple

from a2a_cloud.storage.journal.port import IN_ORDER, Statement
from a2a_cloud.storage.log.leaves import insert_event

#: What a grant's id begins with.
PREFIX = "grant"


def first_of(run: str) -> str:
    """The id of a run's first grant, if nobody handed it over: `grant_…` for `run_…`."""
    return f"{PREFIX}_{run.removeprefix('run_')}"


class GrantRow(NamedTuple):
    """A row of `run_grant`. `root` is the first grant of its tree and its rotations, `parent` the grant that
    was handed over ("": none), `prior` the one that this replaced ("": none), `blocks` the token without
    its signature. `created` in wall seconds, `expires` in whole ones."""

    id: str
    org: int
    root: str
    parent: str
    prior: str
    line: str
    run: str
    holder: str
    subject: str
    approval: str
    blocks: str
    created: float
    expires: int


class EndRow(NamedTuple):
    """A row of `grant_end`: a grant or a root that was revoked."""

    id: str
    org: int
    at: float
    by: str
    reason: str


class PolicyRow(NamedTuple):
    """A row of `grant_policy`: the most that an organisation's grants may allow. `body` is a Narrowing as
    JSON."""

    org: int
    body: str
    at: float
    by: str


class UseRow(NamedTuple):
    """A row of `grant_use`: totals so far, under the id of a Limit."""

    id: str
    org: int
    uses: int
    bytes: int


_COLUMNS = "id, org, root, parent, prior, line, run, holder, subject, approval, blocks, created, expires"

ADD_GRANT = Statement("add_grant", f"INSERT INTO run_grant({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)")
#: The first end stays: who revoked it, and when.
END_GRANT = Statement(
    "end_grant",
    "INSERT INTO grant_end(id, org, at, ended_by, reason) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
    IN_ORDER,
)
PUT_GRANT_USE = Statement(
    "put_grant_use",
    "INSERT INTO grant_use(id, org, uses, bytes) VALUES(?,?,?,?)"
    " ON CONFLICT DO UPDATE SET uses=MAX(uses, excluded.uses), bytes=MAX(bytes, excluded.bytes)",
    IN_ORDER,
)

PUT_POLICY = Statement(
    "put_grant_policy",
    "INSERT INTO grant_policy(org, body, at, set_by) VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET"
    " body=excluded.body, at=excluded.at, set_by=excluded.set_by",
    IN_ORDER,
)
_AUDIT = "org, at, kind, run, grant_id, root, blocks, caller, operation, target, allowed, reason"
ADD_AUDIT = Statement("add_audit_event", insert_event(f"{_AUDIT}, detail", "?,?,?,?,?,?,?,?,?,?,?,?,''"))

#: Queries for the reader. Those of LIVING_… and USES are for the platform's own start: every organisation.
#: A grant that is nobody's child or successor is no link of a tree: the indexes of links leave it out.
_SELECT = f"SELECT {_COLUMNS} FROM run_grant WHERE"  # noqa: S608
_LINKS = f"SELECT {_COLUMNS} FROM run_grant INDEXED BY"  # noqa: S608
GRANT = f"{_SELECT} org=? AND id=?"
#: Newest first, before the one with that id ("": from the newest on). By holder and subject the
#: organisation's are looked through: an index more would cost every call.
_BEFORE = "rowid<COALESCE((SELECT rowid FROM run_grant WHERE id=?), 1<<62) ORDER BY rowid DESC LIMIT ?"
_OF_ORG = f"SELECT {_COLUMNS} FROM run_grant INDEXED BY run_grant_org WHERE org=?"  # noqa: S608
GRANTS = f"{_OF_ORG} AND {_BEFORE}"
GRANTS_OF_HOLDER = f"{_OF_ORG} AND holder=? AND {_BEFORE}"
GRANTS_OF_SUBJECT = f"{_OF_ORG} AND subject=? AND {_BEFORE}"
#: The first grant of a run has the run's own id in its id (`first_of`), the others are links.
_OF_RUN = f"{_LINKS} run_grant_run WHERE org=? AND run=? AND root<>id"
GRANTS_OF_RUN = f"{_SELECT} org=? AND id=? UNION ALL {_OF_RUN} ORDER BY 12"
LINKS_OF_ROOT = f"{_LINKS} run_grant_root WHERE org=? AND root=? AND root<>id ORDER BY created LIMIT ?"
LIVING_LINKS = f"{_LINKS} run_grant_linked WHERE expires>? AND root<>id ORDER BY created"
LIVING_ENDS = "SELECT id, org, at, ended_by, reason FROM grant_end WHERE at>?"
USES = "SELECT id, org, uses, bytes FROM grant_use WHERE id IN (SELECT value FROM json_each(?))"
GRANTS_BY_ID = f"{_SELECT} id IN (SELECT value FROM json_each(?))"  # noqa: S608
ENDS_BY_ID = (
    "SELECT id, org, at, ended_by, reason FROM grant_end WHERE id IN (SELECT value FROM json_each(?))"
)
POLICIES = "SELECT org, body, at, set_by FROM grant_policy"
#: Those that a run which has not ended can use. Few, whatever is stored.
_OPEN_COLUMNS = ", ".join(f"g.{column}" for column in _COLUMNS.split(", "))
_OPEN = "FROM run r INDEXED BY run_open JOIN run_grant g ON"
_LIVES = "WHERE r.ended IS NULL AND g.org=? AND g.expires>?"
GRANTS_OF_OPEN_RUNS = (
    f"SELECT {_OPEN_COLUMNS} {_OPEN} g.id='{PREFIX}_'||substr(r.id, 5) {_LIVES}"
    f" UNION ALL SELECT {_OPEN_COLUMNS} {_OPEN} g.run=r.id AND g.root<>g.id {_LIVES} LIMIT ?"
)
