"""Agents as callers: who an agent is, the certificates and short tokens that say so, and their end.

An agent's principal is `agent:NAME` of its organisation and may call agents, no more. Certificates last an
hour and are for keys that their holders made; one counts while it is among those that are out, its root is
believed, and its agent is there. What is given out ends at once with its agent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from a2a_cloud.control.services import ca
from a2a_cloud.control.services.keys import ServiceKeys
from a2a_cloud.control.services.roots import Committer, Roots
from a2a_cloud.control.services.rows import (
    ADD_CERT,
    ADD_END,
    DROP_CERTS,
    TIDY_CERTS,
    CertRow,
    ServiceRows,
)
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams, Unauthenticated, Unavailable
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.model.service import PREFIX, ServiceName, read_id
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.jws import Signer

#: What stands before a certificate's serial number in `Principal.key_id`.
BY_CERTIFICATE = "cert_"
#: Certificates that are out for one agent, and seconds that a token lasts at most.
MOST_CERTS = 1000
TOKEN = 600
_KEPT = 10_000


class Agent(Protocol):
    """An agent of the registry. `deleted`: since when it takes no calls, or None."""

    @property
    def no(self) -> int: ...
    @property
    def org_no(self) -> int: ...
    @property
    def org(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def deleted(self) -> float | None: ...


class Agents(Protocol):
    """The registry."""

    def known(self, org: str, name: str) -> Agent | None:
        """The agent, deleted or not."""
        ...

    def everyone(self) -> Sequence[Agent]:
        """All that there are, of every organisation."""
        ...


class Principals(Protocol):
    """Identity: who stands behind a name."""

    async def ensure(self, org: str, name: str) -> Principal:
        """The principal of that name, which gets its number now if it has none."""
        ...

    def named(self, org: str, name: str) -> Principal | None:
        """The same, if it has one."""
        ...


class Asked(Struct, frozen=True):
    """A token to be made: for an agent, by its SPIFFE ID, and what ends with `family`."""

    id: str
    org: str
    family: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    seconds: int


class Issued(Struct, frozen=True):
    """A certificate (PEM) with the bundle that its holder believes. Times in wall seconds."""

    id: str
    serial: str
    certificate: str
    bundle: str
    created: float
    ends: float


class Listed(Struct, frozen=True):
    """An agent's identity, for people. `kid`: the key that countersigns its receipts."""

    agent: str
    id: str
    kid: str
    certificates: int
    ends: float | None
    deleted: bool


class Services:
    """See the module."""

    def __init__(
        self,
        keys: ServiceKeys,
        roots: Roots,
        rows: ServiceRows,
        journal: Committer,
        clock: Clock,
        *,
        agents: Agents,
        principals: Principals,
        domain: str,
    ) -> None:
        self._keys = keys
        self.roots = roots
        self.domain = domain
        self._journal = journal
        self._clock = clock
        self._agents = agents
        self._principals = principals
        self._certs = {row.serial: row for row in rows.certs(SYSTEM)}
        #: How often what an agent had was ended, and when that was last.
        self._ends: dict[int, tuple[int, float]] = {}
        for row in rows.ends(SYSTEM):
            self._ends[row.agent] = (self._ends.get(row.agent, (0, 0.0))[0] + 1, row.at)
        self._read: dict[bytes, ca.Leaf | None] = {}
        #: Makes access tokens; None: this platform has no tokens.
        self.issue: Callable[[Asked], str] | None = None
        #: Ends the tokens of a family from now on.
        self.ended: Callable[[str], None] = lambda _family: None
        #: What a principal's tokens stand for has changed.
        self.changed: Callable[[int], None] = lambda _principal_no: None

    # --- who an agent is ------------------------------------------------------------------------------

    def name(self, release: Release) -> str:
        """The service identity of a release's agent."""
        return self._id(release.org, release.name)

    def signer(self, agent_no: int) -> Signer:
        """What signs for an agent, by its number."""
        return self._keys.signer(agent_no)

    def listed(self, org_no: int) -> list[Listed]:
        """The agents of an organisation, by name."""
        now = self._clock.now()
        out: dict[int, list[CertRow]] = {}
        for row in self._certs.values():
            if row.ends > now:
                out.setdefault(row.agent, []).append(row)
        return [
            Listed(
                agent.name,
                self._id(agent.org, agent.name),
                self._keys.signer(agent.no).kid,
                len(out.get(agent.no, ())),
                max((row.ends for row in out.get(agent.no, ())), default=None),
                agent.deleted is not None,
            )
            for agent in sorted(self._agents.everyone(), key=lambda one: one.name)
            if agent.org_no == org_no and "~" not in agent.name
        ]

    def standing(self, spiffe_id: str, org: str) -> Principal | None:
        """Who that is now; None: nobody any more."""
        found = read_id(spiffe_id)
        if found is None or found.domain != self.domain or found.org != org or self._living(found) is None:
            return None
        return self._principals.named(org, PREFIX + found.agent)

    def check(self, by: Principal, agent_name: str) -> None:
        """Whether `by` may have certificates and tokens for an agent: who deploys, and the agent itself by a
        certificate that it has. Raises AgentNotFound, Forbidden."""
        self._asked(by, agent_name)

    # --- certificates ---------------------------------------------------------------------------------

    async def certify(self, by: Principal, agent_name: str, csr: str) -> Issued:
        """A certificate for an agent of `by`'s organisation, for the key of a signing request. Raises as
        `check`, InvalidParams, Unavailable."""
        agent = self._asked(by, agent_name)
        if sum(1 for row in self._certs.values() if row.agent == agent.no) >= MOST_CERTS:
            raise InvalidParams(
                f"{agent.name} has {MOST_CERTS} certificates that have not ended.",
                remedy="Wait for the end of some. They last an hour, and one is renewed after half of it.",
            )
        await self.roots.ready()
        await self._principals.ensure(agent.org, PREFIX + agent.name)
        spiffe_id = self._id(agent.org, agent.name)
        certificate, root, ends = self.roots.sign(csr, spiffe_id)
        now = self._clock.now()
        row = CertRow(ca.serial_in(certificate), agent.org_no, agent.no, root, now, ends, by.label)
        event = change(agent.org_no, now, by.label, "service.certified", agent.name, serial=row.serial)
        await self._journal.write([(ADD_CERT, tuple(row)), event])
        self._certs[row.serial] = row
        return Issued(spiffe_id, row.serial, ca.pem(certificate), self.roots.bundle(), now, ends)

    def shown(self, certificate: bytes) -> Principal:
        """Who shows a certificate (DER) whose chain and proof TLS has checked; its dates once more, for
        connections last. Raises Unauthenticated."""
        leaf = self._read.get(certificate)
        if leaf is None:
            if len(self._read) >= _KEPT:
                self._read.clear()
            leaf = self._read[certificate] = ca.read_leaf(certificate)
        name = read_id(leaf.id) if leaf is not None else None
        row = self._certs.get(leaf.serial) if leaf is not None else None
        if leaf is None or name is None or name.domain != self.domain or row is None:
            raise _refused("is none of this platform's, or was revoked")
        if leaf.until <= self._clock.now():
            raise _refused("has ended")
        agent = self._living(name)
        if agent is None or agent.no != row.agent or not self.roots.believed(row.root):
            raise _refused("was revoked")
        principal = self._principals.named(name.org, PREFIX + name.agent)
        if principal is None:
            raise _refused("is of nobody who is known here")
        return msgspec.structs.replace(principal, key_id=BY_CERTIFICATE + leaf.serial, client=leaf.id)

    # --- tokens ---------------------------------------------------------------------------------------

    async def token(
        self, by: Principal, agent_name: str, *, audience: Sequence[str], scopes: Sequence[str], seconds: int
    ) -> str:
        """An access token for an agent of `by`'s organisation. Raises as `check`, InvalidParams,
        Unavailable."""
        agent = self._asked(by, agent_name)
        if self.issue is None:
            raise Unavailable("This platform makes no tokens.")
        if not 1 <= seconds <= TOKEN:
            raise InvalidParams(
                f"A service token lasts 1 to {TOKEN} seconds, not {seconds}.", info={"field": "seconds"}
            )
        await self._principals.ensure(agent.org, PREFIX + agent.name)
        spiffe_id = self._id(agent.org, agent.name)
        made = self.issue(
            Asked(spiffe_id, agent.org, self._family(agent.no), tuple(audience), tuple(scopes), seconds)
        )
        event = change(
            agent.org_no,
            self._clock.now(),
            by.label,
            "service.token",
            agent.name,
            scopes=" ".join(scopes),
            audience=" ".join(audience),
        )
        await self._journal.write([event])
        return made

    # --- the end --------------------------------------------------------------------------------------

    async def end(self, by: Principal, agent_name: str) -> int:
        """Revoke all certificates and tokens of an agent that are out; how many certificates that were.
        Raises AgentNotFound, Forbidden."""
        agent = self._of(by, agent_name, deleted=True)
        _deploys(by)
        now = self._clock.now()
        mine = [serial for serial, row in self._certs.items() if row.agent == agent.no]
        # First in memory: nothing may be let in while it is written.
        for serial in mine:
            del self._certs[serial]
        self.ended(self._family(agent.no))
        self._ends[agent.no] = (self._ends.get(agent.no, (0, 0.0))[0] + 1, now)
        await self._journal.write(
            [
                (DROP_CERTS, (agent.org_no, agent.no)),
                (ADD_END, (agent.org_no, agent.no, now)),
                change(agent.org_no, now, by.label, "service.revoked", agent.name),
            ]
        )
        return len(mine)

    def moved(self, agent_no: int) -> None:
        """Something about an agent is other than before; perhaps it was deleted."""
        for agent in self._agents.everyone():
            if agent.no == agent_no:
                principal = self._principals.named(agent.org, PREFIX + agent.name)
                if principal is not None:
                    self.changed(principal.no)

    def restore(self) -> None:
        """After a start: what was ended lately stays so."""
        since = self._clock.now() - TOKEN
        for agent_no, (count, at) in self._ends.items():
            if at > since:
                self.ended(_family(agent_no, count - 1))

    async def rotate_root(self, by: Principal, *, at_once: bool) -> None:
        """Make the next root. `at_once`: what others signed counts no more. Raises Forbidden."""
        if not by.may(Permission.MANAGE_PLATFORM):
            raise Forbidden("Roots are changed by who runs the platform.", remedy="Use an admin's key.")
        event = change(
            by.org_no, self._clock.now(), by.label, "service.root", self.domain, at_once=at_once or None
        )
        await self.roots.rotate(event, at_once=at_once)
        if at_once:
            self._certs = {
                serial: row for serial, row in self._certs.items() if self.roots.believed(row.root)
            }

    async def tend(self) -> None:
        """Now and then: roots that are due, certificates that have ended."""
        await self.roots.tend()
        now = self._clock.now()
        if any(row.ends <= now for row in self._certs.values()):
            await self._journal.write([(TIDY_CERTS, (now,))])
            self._certs = {serial: row for serial, row in self._certs.items() if row.ends > now}

    # --- one's own ------------------------------------------------------------------------------------

    def _id(self, org: str, agent: str) -> str:
        return ServiceName(self.domain, org, agent).id

    def _family(self, agent_no: int) -> str:
        return _family(agent_no, self._ends.get(agent_no, (0, 0.0))[0])

    def _living(self, name: ServiceName) -> Agent | None:
        agent = self._agents.known(name.org, name.agent)
        return agent if agent is not None and agent.deleted is None else None

    def _asked(self, by: Principal, name: str) -> Agent:
        agent = self._of(by, name)
        if not (by.key_id.startswith(BY_CERTIFICATE) and by.name == PREFIX + agent.name):
            _deploys(by)
        return agent

    def _of(self, by: Principal, name: str, *, deleted: bool = False) -> Agent:
        agent = self._agents.known(by.org, name)
        if agent is None or (agent.deleted is not None and not deleted):
            raise AgentNotFound.of(name)
        return agent


def _family(agent_no: int, count: int) -> str:
    return f"service-{agent_no}-{count}"


def _deploys(by: Principal) -> None:
    if not by.may(Permission.DEPLOY):
        raise Forbidden(
            "Agents' certificates and tokens are for those who deploy.", remedy="Use a developer's key."
        )


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(
        f"The certificate {why}.", remedy="Get a new one: a2a services cert AGENT, or send a key."
    )
