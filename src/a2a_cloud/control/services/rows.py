"""What is stored of agents' identities: roots with their keys sealed, certificates that are out, the moments
from which what was given out before counts no more; keys for AWS Signature Version 4, sealed too.

A root is the platform's and has no organisation: its row says 0."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement


class RootRow(NamedTuple):
    """A row of `service_root`: `certificate` as DER, `sealed` its private key; it signs from `signs` on, all
    in wall seconds."""

    id: str
    certificate: bytes
    sealed: bytes
    created: float
    signs: float
    ends: float


class CertRow(NamedTuple):
    """A row of `service_cert`: `root` is who signed it. Times in wall seconds."""

    serial: str
    org: int
    agent: int
    root: str
    created: float
    ends: float
    made_by: str


class EndRow(NamedTuple):
    """A row of `service_end`."""

    org: int
    agent: int
    at: float


class SigV4Row(NamedTuple):
    """A row of `sigv4_key` without its secret. `scopes`: words with blanks between them, "" for a key that is
    not narrowed. Times in wall seconds."""

    id: str
    org: int
    principal: int
    role: str
    label: str
    scopes: str
    priority: int
    created: float
    expires: float | None
    made_by: str


ADD_ROOT = Statement(
    "add_service_root",
    "INSERT INTO service_root(org, id, certificate, sealed, created, signs, ends) VALUES(0,?,?,?,?,?,?)",
    IN_ORDER,
)
DROP_ROOT = Statement("drop_service_root", "DELETE FROM service_root WHERE org=0 AND id=?", IN_ORDER)
ADD_CERT = Statement(
    "add_service_cert",
    "INSERT INTO service_cert(serial, org, agent, root, created, ends, made_by) VALUES(?,?,?,?,?,?,?)",
    IN_ORDER,
)
DROP_CERTS = Statement("drop_service_certs", "DELETE FROM service_cert WHERE org=? AND agent=?", IN_ORDER)
DROP_CERTS_OF_ROOT = Statement(
    "drop_service_certs_of_root", "DELETE FROM service_cert WHERE org>=0 AND root=?", IN_ORDER
)
TIDY_CERTS = Statement("tidy_service_certs", "DELETE FROM service_cert WHERE org>=0 AND ends<?", IN_ORDER)
ADD_END = Statement("add_service_end", "INSERT INTO service_end(org, agent, at) VALUES(?,?,?)", IN_ORDER)
ADD_SIGV4 = Statement(
    "add_sigv4_key",
    "INSERT INTO sigv4_key(id, org, principal, role, label, scopes, priority, created, expires, made_by,"
    " sealed) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
DROP_SIGV4 = Statement("drop_sigv4_key", "DELETE FROM sigv4_key WHERE org=? AND id=?", IN_ORDER)

ROOTS = "SELECT id, certificate, sealed, created, signs, ends FROM service_root WHERE org=0 ORDER BY signs"
CERTS = "SELECT serial, org, agent, root, created, ends, made_by FROM service_cert"
ENDS = "SELECT org, agent, at FROM service_end ORDER BY at"
_SIGV4 = "id, org, principal, role, label, scopes, priority, created, expires, made_by"
SIGV4_OF = f"SELECT {_SIGV4} FROM sigv4_key WHERE org=? ORDER BY created"  # noqa: S608
SIGV4_ALL = f"SELECT {_SIGV4}, sealed FROM sigv4_key"  # noqa: S608


class ServiceRows:
    """Reads of committed rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def roots(self, scope: Scope) -> list[RootRow]:
        """In the order in which they sign. System only, as all that follow."""
        return [RootRow(*row) for row in self._all(scope, ROOTS)]

    def certs(self, scope: Scope) -> list[CertRow]:
        """Those that are out, of every agent."""
        return [CertRow(*row) for row in self._all(scope, CERTS)]

    def ends(self, scope: Scope) -> list[EndRow]:
        """In the order of time."""
        return [EndRow(*row) for row in self._all(scope, ENDS)]

    def signing(self, scope: Scope) -> list[tuple[SigV4Row, bytes]]:
        """Every key for AWS signatures, with its sealed secret."""
        return [(SigV4Row(*row[:-1]), row[-1]) for row in self._all(scope, SIGV4_ALL)]

    def signing_of(self, scope: Scope) -> list[SigV4Row]:
        """Those of one organisation, without their secrets."""
        if scope.system:
            raise Internal("Keys were asked for without their organisation.")
        return [SigV4Row(*row) for row in self._read(SIGV4_OF, (scope.org,))]

    def any(self, scope: Scope) -> bool:
        """Whether anything of this is sealed with the platform's key. System only."""
        text = "SELECT 1 FROM service_root WHERE org=0 UNION ALL SELECT 1 FROM sigv4_key LIMIT 1"
        return bool(self._all(scope, text))

    def _all(self, scope: Scope, text: str) -> list[tuple[Any, ...]]:
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        return self._read(text, ())

    def _read(self, text: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(text, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
