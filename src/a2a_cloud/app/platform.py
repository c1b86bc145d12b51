"""All planes tied into one platform: the one place that chooses implementations."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from a2a_cloud.app.accounting import accounting_of
from a2a_cloud.app.accounting import checks as clock_checks
from a2a_cloud.app.billing import money_of, shown_money
from a2a_cloud.app.evals import evals_of, judged, reviews_of, tie_evals
from a2a_cloud.app.grpc import GrpcServing
from a2a_cloud.app.issuers import OutsideIssuers
from a2a_cloud.app.launches import (
    Launches,
    cage_of,
    card_facts,
    environment_facts,
    provenance_of,
    sbom_of,
    uv_program,
)
from a2a_cloud.app.limits import limiting
from a2a_cloud.app.log import logs_of
from a2a_cloud.app.oauth import Documents, oauth_of
from a2a_cloud.app.orgs import tie
from a2a_cloud.app.packs import Packs
from a2a_cloud.app.people import accounts_of, people_of
from a2a_cloud.app.pushes import pushes
from a2a_cloud.app.registry import Finding, Help, Standing
from a2a_cloud.app.services import schemes_of, services_of, sigv4_of, tie_tokens
from a2a_cloud.app.upkeep import Upkeep
from a2a_cloud.app.witnesses import LogWitnesses
from a2a_cloud.control.approvals.approvals import Approvals
from a2a_cloud.control.approvals.notices import Notices
from a2a_cloud.control.approvals.rows import ApprovalRows
from a2a_cloud.control.deploys.parts import Parts
from a2a_cloud.control.deploys.pipeline import Deploys, Hear, Wish
from a2a_cloud.control.grants.authority import Authority
from a2a_cloud.control.grants.keys import GrantKeys
from a2a_cloud.control.grants.office import GrantOffice
from a2a_cloud.control.grants.reader import GrantRows
from a2a_cloud.control.hooks.rows import SqliteHookRows
from a2a_cloud.control.hooks.store import Hooks
from a2a_cloud.control.identity.card_key import CardKey
from a2a_cloud.control.identity.issuers import check_named
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.identity.signing import SigningKeys
from a2a_cloud.control.orgs.audit import Audit
from a2a_cloud.control.orgs.rows import OrgRows
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.control.registry.variables import Variables
from a2a_cloud.control.secrets.rows import SqliteSecretRows
from a2a_cloud.control.secrets.store import Secrets
from a2a_cloud.control.services.keys import ServiceKeys
from a2a_cloud.control.services.rows import ServiceRows
from a2a_cloud.model.grant import DEFAULT_WORKSPACE
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.problem import Internal, Problem, Unavailable
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.ops import private_file
from a2a_cloud.ops.checks import Health, builds, checks
from a2a_cloud.ops.system import SteadyClock, SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.build.environments import Environments
from a2a_cloud.runtime.drain import drain
from a2a_cloud.runtime.egress.dial import private_hosts, tls_context
from a2a_cloud.runtime.egress.proxy import Egress
from a2a_cloud.runtime.erasure import ErasureRows, Erasures
from a2a_cloud.runtime.fetches import Files
from a2a_cloud.runtime.names import Names, Sessions
from a2a_cloud.runtime.notary import Notary
from a2a_cloud.runtime.outward import Outward, private
from a2a_cloud.runtime.recovery import recover
from a2a_cloud.runtime.runs import Runs
from a2a_cloud.runtime.sandbox.pick import strongest
from a2a_cloud.runtime.starts import Starts
from a2a_cloud.runtime.views import RunService
from a2a_cloud.runtime.workspace.service import Workspaces
from a2a_cloud.settings import Settings
from a2a_cloud.storage.journal.process import ProcessJournal
from a2a_cloud.storage.journal.sqlite import Commit, SqliteJournal
from a2a_cloud.storage.objects.places import open_objects
from a2a_cloud.storage.sql.names import NameRows
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.storage.workspaces.rows import SqliteRows
from a2a_cloud.surface.a2a.grpc.servicer import Servicer
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.links import Links
from a2a_cloud.surface.ports import Check, Services, SurfaceLimits
from a2a_cloud.surface.ports import Sandbox as SandboxFacts
from a2a_cloud.surface.proxies import Proxies
from a2a_cloud.surface.serve import Serving, check_exposure
from a2a_cloud.surface.tls import Tls

log = logging.getLogger("a2a_cloud")

DRAIN_SECONDS = 10.0
#: Seconds between two looks for what can be cleared away.
HOUSE_SECONDS = 60.0


class Platform:
    """All planes, tied. `start`, then `stop`; tests and simulations pass their own ports."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        ids: Ids | None = None,
        commit: Commit | None = None,
        worker_command: Sequence[str] = (),
        hear: Hear = lambda _record, _line: None,
    ) -> None:
        self.settings = settings
        self.data = settings.data
        self.clock = clock or SystemClock()
        self.entropy = entropy or SystemEntropy()
        self.ids = ids or TimeIds(self.clock, self.entropy)
        self.ready = False
        self.url = ""
        self._commit = commit
        self._worker_command = worker_command
        self._hear = hear
        self._lock = -1
        self.serving = Serving(self.clock)
        self.grpc = GrpcServing()
        self.grpc_at = ""

    async def start(self, folders: list[Path], *, new_key: bool = False) -> dict[str, int]:
        """Open the data folder, recover, serve the agents, listen. Returns what recovery did. `new_key`: from
        now on another key signs receipts, and the one until now stays to check them.

        Raises Problems that name what is missing and its remedy.
        """
        settings = self.settings
        transport = settings.transport
        await check_exposure(settings.host, transport)
        tls = Tls(transport.cert, transport.key) if transport.cert and transport.key else None
        self.tls = tls
        self.proxies = Proxies(transport) if transport.proxies else None
        await self._open_data()
        database = self.data / "journal.db"
        keys = SigningKeys.open(self.data / "keys", self.entropy)
        if new_key:
            keys = keys.rotate(self.entropy)
        card_key = CardKey(self.data / "keys", self.entropy)
        self.journal: SqliteJournal | ProcessJournal
        if self._commit is None:
            self.journal = ProcessJournal(database, keys.signer.seed, self._lock)
        else:
            self.journal = SqliteJournal(database, commit=self._commit, sign=keys.signer.sign)
        self.reader = SqliteReader(database)
        self.identity = Identity(self.reader, self.journal, self.clock, self.entropy)
        self.key_path = self.data / "admin.key"
        admin_key = await self.identity.admin_key(self.key_path)
        self.objects = open_objects(settings.objects, self.data, self.ids)
        org_no = self.identity.org_no(DEFAULT_ORG)
        assert org_no is not None
        self.registry = Registry(
            self.reader,
            self.journal,
            self.clock,
            self.entropy,
            self.data / "releases",
            self.identity.org_name,
        )
        self.registry.card_sha256 = card_facts
        self.finding = Finding(self.registry, self.data)
        self.variables = Variables(self.reader, self.journal, self.clock)
        self.sandbox = await asyncio.to_thread(strongest, self.data, settings.sandbox)
        rows = self.reader.connection
        steady = SteadyClock(self.clock)
        self.authority = Authority(
            keys=GrantKeys(self.data / "keys" / "grants", self.entropy, steady),
            rows=GrantRows(rows),
            journal=self.journal,
            clock=steady,
            ids=self.ids,
            issuer=settings.public_url or "a2a-cloud",
            org_no=self.identity.org_no,
            max_depth=settings.grant_depth,
        )
        self.authority.restore()
        self.grants = GrantOffice(self.authority, GrantRows(rows), self.journal, steady)
        self.approvals = Approvals(
            self.clock,
            self.ids,
            self.journal,
            ApprovalRows(rows),
            seconds=settings.approval_seconds,
            notices=Notices(settings.approvals_webhook, settings.approvals_secret, self.clock, self.ids)
            if settings.approvals_webhook
            else None,
        )
        self.approvals.restore()
        hook_rows, service_rows = SqliteHookRows(rows), ServiceRows(rows)
        self.secrets = Secrets.open(
            self.data / "keys",
            SqliteSecretRows(rows),
            self.journal,
            self.clock,
            self.entropy,
            needed=hook_rows.any(SYSTEM) or service_rows.any(SYSTEM),
        )
        self.accounts = accounts_of(rows, self.journal, self.clock, self.entropy, self.ids)
        tied = tie(rows, self.journal, self.clock, self.entropy, self.ids, self.identity, self.accounts)
        self.members = tied.members
        self.hooks = Hooks(
            hook_rows,
            self.journal,
            self.secrets.seal,
            self.clock,
            self.ids,
            self.entropy,
            tied.rights,
        )
        egress = Egress(
            context=tls_context(settings.egress_ca) if settings.egress_ca else None,
            private=private_hosts(settings.egress_private),
        )
        self.environments = Environments(
            settings.environments or self.data / "environments",
            sandbox=self.sandbox,
            egress=egress,
            hosts=private_hosts(settings.build_hosts, "A2A_BUILD_HOSTS"),
        )
        self.workspaces = Workspaces(SqliteRows(rows), self.journal, self.objects, self.clock)
        # There from the start, so that files can be put where agents look before one has run.
        await self.workspaces.create(org_no, DEFAULT_WORKSPACE, f"admin@{DEFAULT_ORG}")
        link_key = self._link_key()
        self.people = people_of(
            settings,
            self.accounts,
            self.members,
            connection=rows,
            journal=self.journal,
            clock=self.clock,
            entropy=self.entropy,
            ids=self.ids,
            link_key=link_key,
            org_no=self.identity.org_no,
            operator=admin_key.split("_")[1],
        )
        self.members.on_end = self.people.links.ending
        self.documents = Documents(settings)
        self.oauth = oauth_of(
            settings,
            self.identity,
            folder=self.data / "keys",
            connection=rows,
            journal=self.journal,
            clock=steady,
            entropy=self.entropy,
            ids=self.ids,
            issuer=lambda: settings.public_url or self.url,
            local=lambda: self.url,
            person=self.members.principal,
            account=self.accounts.by_id,
            documents=self.documents,
        )
        self.members.on_change.append(self.oauth.tokens.changed)
        self.people.on_recovered = self.oauth.end_all
        sealed = (service_rows, self.journal, self.secrets.seal, self.clock, self.entropy)
        service_keys = ServiceKeys.open(self.data / "keys", self.entropy)
        self.services = services_of(settings, service_keys, *sealed, self.registry, self.identity)
        tie_tokens(self.services, self.oauth.tokens)
        sigv4 = sigv4_of(settings, *sealed, self.identity)
        self.limiting = limiting(rows, self.journal, steady, org_no, link_key, on=settings.limits)
        self.money = money_of(
            settings.billing,
            rows,
            database,
            self.journal,
            steady,
            self.ids,
            self.identity.org_name,
            org_no,
        )
        self.runs = Runs(
            journal=self.journal,
            reader=self.reader,
            objects=self.objects,
            releases=self.registry,
            principals=tied,
            notary=Notary(
                keys.signer,
                self.reader,
                partial(environment_facts, self.sandbox.name),
                self.services,
                card_facts,
            ),
            clock=self.clock,
            ids=self.ids,
            entropy=self.entropy,
            records=self.data / "workers",
            launch=Launches(self.environments, self.variables, self._worker_command),
            sandbox=self.sandbox,
            idle=settings.idle,
            authority=self.authority,
            approvals=self.approvals,
            workspaces=self.workspaces,
            egress=egress,
            secrets=self.secrets,
            limits=self.limiting.limits,
            billing=self.money.calls,
        )
        self.money.calls.alive = self.runs.live.__contains__
        self.log = await logs_of(
            settings, self.data, rows, self.journal, self.clock, self.entropy, keys.signer.kid
        )
        self.runs.notary.proof = self.log.logs.proof_text
        self.witnesses = LogWitnesses(settings, self.log.logs, self.clock)
        self.push = pushes(
            settings,
            self.runs,
            self.reader,
            self.registry,
            seal=self.secrets.seal,
            key=card_key,
            links=Links(link_key, self.clock),
            issuer=lambda: settings.public_url or self.url,
        )
        self.files = Files(
            Outward(private(settings.fetch_private, "A2A_FETCH_PRIVATE"), roots=settings.egress_ca),
            self.objects,
        )
        self.authority.on_revoked = self.runs.sites.recheck
        self.approvals.on_decided = self.runs.frames.scopes.decided
        starts = Starts(self.runs)
        self.deploys = Deploys(
            self.registry, self.environments, starts, self.clock, self.data / "staging", self._hear
        )
        self.deploys.check = partial(check_named, settings.issuers)
        self.issuers = (
            OutsideIssuers(settings, self.identity, lambda: settings.public_url or self.url, self.clock)
            if settings.issuers
            else None
        )
        await self.deploys.recover()
        self.evals = evals_of(rows, self.journal, self.clock, self.ids, self.entropy)
        await self.evals.recover()
        await self._mend_environments()
        recovered = recover(self.runs)
        self.money.calls.sweep()
        self.service = RunService(self.runs)

        def moved(agent_no: int, releases: dict[int, Release]) -> None:
            starts.point(agent_no, releases)
            self.services.moved(agent_no)

        self.registry.moved = moved
        await self._deploy(folders, org_no)
        for release in self.registry.pointed():
            pool = self.runs.pool(release)
            pool.ensure()
        self.upkeep = Upkeep(self, self._gauges, admin_key.split("_")[1])
        services = Services(
            runs=self.service,
            identity=self.identity,
            registry=self.registry,
            deploys=self.deploys,
            parts=Parts(self.environments, sbom_of, provenance_of),
            variables=self.variables,
            renew=starts.renew,
            objects=self.objects,
            clock=self.clock,
            ids=self.ids,
            link_key=link_key,
            push=self.push,
            files=self.files,
            base_url=settings.public_url,
            allowed_hosts=settings.allowed_hosts,
            ready=lambda: self.ready and not self.runs.draining and not self.journal.full,
            jwks=lambda: json.dumps(
                {"keys": [*keys.jwks()["keys"], *self.log.keys.jwks(), card_key.jwk]}
            ).encode(),
            card_key=card_key,
            gauges=self._gauges,
            checks=self._checks,
            dev=settings.dev,
            operator=self.upkeep,
            traces=self.upkeep.telemetry,
            workspaces=self.workspaces,
            approvals=self.approvals,
            grants=self.grants,
            secrets=self.secrets,
            erasures=Erasures(self.runs, ErasureRows(rows), self.upkeep.retention.hasten, judged),
            names=Names(NameRows(rows)),
            sessions=Sessions(NameRows(rows), self.journal, self.clock, self.ids),
            hooks=self.hooks,
            search=self.finding.search,
            standing=Standing(self.runs, rows),
            issuers=self.issuers,
            orgs=tied.all,
            audit=Audit(OrgRows(rows)),
            log=self.log,
            money=shown_money(self.money),
            evals=self.evals,
            replays=self.service,
            packs=Packs(keys.signer, rows, self.journal, self.clock),
            reviews=reviews_of(rows, self.journal, self.clock, self.ids, self.entropy, keys.signer),
            people=self.people,
            oauth=self.oauth,
            services=self.services,
            sigv4=sigv4,
            schemes=await schemes_of(settings, self.services, sigv4, tls, SurfaceLimits().body),
            quotas=self.limiting.limits,
            declared=self.limiting.shown,
            accounting=accounting_of(
                settings,
                database,
                rows,
                self.journal,
                self.money,
                clock=self.clock,
                ids=self.ids,
                identity=self.identity,
            ),
            sandbox=SandboxFacts(self.sandbox.name, tuple(self.sandbox.layers), tuple(self.sandbox.missing)),
        )
        tie_evals(services, self.runs, self.evals, self.data)
        self.door = FrontDoor(services)
        self.runs.helper = Help(self.door)
        host, port = await self.serving.start(
            self.door, settings.host, settings.port, settings.http, tls=tls, proxies=self.proxies
        )
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        services.base_url = settings.public_url or self.url
        await self._serve_grpc(services)
        self.push.restore()
        self.log.logs.start()
        self.witnesses.start()
        self.ready = True
        self._house = asyncio.create_task(self._keep_house())
        told = {"url": self.url, "grpc": self.grpc_at, "pid": os.getpid()}
        private_file.replace(self.data / "server.json", json.dumps(told).encode(), self.entropy)
        return recovered

    async def first_link(self) -> str:
        """Where the first admin makes an account; "" when somebody has one."""
        token = await self.people.first()
        return f"{self.settings.public_url or self.url}/invite/{token}" if token else ""

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Drain and close everything."""
        self.ready = False
        (self.data / "server.json").unlink(missing_ok=True)
        self._house.cancel()
        await asyncio.gather(self.deploys.close(), self.evals.close())
        await drain(self.runs, seconds)
        await asyncio.gather(self.push.close(), self.files.close(), self.documents.close())
        await self.approvals.close()
        await self.finding.close()
        await self.people.close()
        await asyncio.gather(self.serving.drain(1.0), self.grpc.stop(1.0))
        await self.upkeep.close()
        self.limiting.close()
        if self.issuers is not None:
            await self.issuers.close()
        with contextlib.suppress(Problem):
            await self.identity.flush()
        await self.witnesses.close()
        await self.log.logs.close()
        await self.journal.close()
        self.reader.close()
        os.close(self._lock)

    async def _serve_grpc(self, services: Services) -> None:
        settings, door = self.settings, self.door
        if settings.grpc_port is None:
            return
        host = settings.host
        port = await self.grpc.start(
            Servicer(door.admission, door.routes.operations, door.links, settings.grpc_agent),
            host,
            settings.grpc_port,
            exact=settings.grpc_exact,
            limits=settings.http,
            body=services.limits.body,
            tls=self.tls,
            proxies=self.proxies,
        )
        self.grpc_at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        services.grpc_url = settings.grpc_url or f":{port}"

    async def _open_data(self) -> None:
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.rmtree(self.data / "staging", ignore_errors=True)  # Of deploys that were cut short.
            for name in ("objects", "releases", "workers", "staging"):
                (self.data / name).mkdir(exist_ok=True, mode=0o755 if name == "releases" else 0o700)
            self._lock = os.open(self.data / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"The data folder {self.data} can't be used: {error.strerror}.",
                remedy="Set A2A_DATA to a folder that you may write to.",
            ) from error
        if not await self._locked():
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            raise Unavailable(
                f"Another a2a cloud (process {holder or 'unknown'}) holds the data folder {self.data}.",
                remedy="Stop it, or set A2A_DATA to another folder.",
            )
        (self.data / "server.json").unlink(missing_ok=True)  # Of a life that was cut short.
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    async def _locked(self) -> bool:
        # The writer of a platform that was just killed may need a moment to end its last commit.
        for _ in range(30):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return True
        return False

    async def _deploy(self, folders: list[Path], org_no: int) -> None:
        """Deploy folders side by side, by the same path as anybody's agent. Raises the first Problem."""
        wish = Wish(by=f"admin@{DEFAULT_ORG}", force=True)
        ends = await asyncio.gather(
            *(self.deploys.folder(folder, org_no, DEFAULT_ORG, wish) for folder in folders),
            return_exceptions=True,
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _keep_house(self) -> None:
        """Now and then: let go of agents whose time to think again is over."""
        while True:
            await asyncio.sleep(HOUSE_SECONDS)
            try:
                self.authority.sweep()
                await self.oauth.tend()
                await self.services.tend()
                self.people.sweep()
                await self.money.tend()
                await self.identity.flush()
                for digest in await self.registry.purge():
                    await self.environments.remove(digest)
            except (Problem, OSError) as error:
                log.warning("Deleted agents are not cleared away: %s", error)

    async def _mend_environments(self) -> None:
        """Environments that were deleted by hand are made again from the sources."""
        for release in self.registry.pointed():
            if release.environment and self.environments.find(release.environment) is None:
                log.warning("The environment of %s is gone and is made again.", release.name)
                built = await self.environments.prepare(Path(release.folder), log.info, org_no=release.org_no)
                if built.digest != release.environment:
                    log.warning("The environment of %s differs from its release's; deploy it.", release.name)

    def _link_key(self) -> bytes:
        path = self.data / "keys" / "links.key"
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = self.entropy.bytes(32)
            private_file.replace(path, key, self.entropy)
        if len(key) != 32:
            raise Internal(f"{path} is damaged.", remedy="Delete it: signed links that are out will end.")
        return key

    def about_run(self, run_id: str) -> tuple[str, str] | None:
        """(task, trace) of a run that lives, for the log."""
        run = self.runs.by_id.get(run_id) if self.ready else None
        return None if run is None else (run.task_id, run.call.trace_id)

    async def _checks(self) -> list[Check]:
        health = [
            Health(
                pool.release.name,
                sum(1 for worker in pool.workers if worker.ready and not worker.gone),
                pool.queued,
                pool.reason,
                pool.resting,
            )
            for pool in self.runs.pools.values()
            if pool.serving
        ]
        full, cage = self.journal.full, cage_of(self.sandbox)
        found = await asyncio.to_thread(checks, self.data, full, uv_program(), cage, health)
        why = await self.environments.uncaged()
        if why is not None:
            found.append(builds(why))
        found += [*self.upkeep.checks(), *self.log.checks(), *self.witnesses.checks()]
        found += clock_checks(self.money.clock)
        return [*(Check(*one) for one in found), self.finding.check()]

    def _gauges(self) -> list[tuple[str, str, float]]:
        runs, journal = self.runs, self.journal
        rows = [
            ("a2a_runs_live", "Runs that have not ended.", len(runs.live)),
            ("a2a_runs_started_total", "Runs accepted since the start.", runs.started),
            ("a2a_events_delivered_total", "Events delivered to subscribers.", runs.bus.delivered),
            ("a2a_journal_groups_total", "Group commits.", journal.groups),
            ("a2a_journal_writes_total", "Writes in group commits.", journal.writes),
            ("a2a_journal_backlog", "Writes waiting for a commit.", journal.backlog),
            ("a2a_journal_full", "1 while the disk is full.", float(journal.full)),
            ("a2a_connections", "Open connections.", self.serving.connections),
        ]
        for state, count in sorted(runs.finished.items()):
            rows.append((f"a2a_runs_{state.replace('-', '_')}_total", f"Runs that ended as {state}.", count))
        for pool in runs.pools.values():
            if pool.serving:
                name = pool.release.name.replace("-", "_")
                rows.append((f"a2a_queue_{name}", f"Runs of {name} that wait for a slot.", pool.queued))
        return rows
