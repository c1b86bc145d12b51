"""Seals runs: collects the facts of a run that ends into a receipt, gives it its place in the
organisation's log, and reads it back for those who may see it (reference: docs/receipts.md)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.receipt import (
    AgentFacts,
    ChildEntry,
    Environment,
    ErrorFacts,
    GrantEntry,
    LedgerFacts,
    PriceFacts,
    ReceiptBody,
    SectionHashes,
    SkillFacts,
    Usage,
    WorkspaceFacts,
    quantity,
)
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import EffectEnded, ReplyEvent, ResultEvent, decode_event
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.runtime.ports import ServiceIdentity
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader, ReceiptRow
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.seal import (
    EMPTY,
    NOTHING,
    DraftReceipt,
    Salts,
    SealedReceipt,
    disclose_payloads,
    disclose_sections,
    document,
    draft,
    effect_entry,
    events_payload,
    section,
    section_hashes,
)

if TYPE_CHECKING:
    from a2a_cloud.runtime.live import Outcome, Run


class Kept(Struct, omit_defaults=True):
    """What is stored beside a receipt, to disclose it: the salts and the sections' bytes. `later` are the
    salts that outlive an erasure (`Salts.kept_later`)."""

    salts: bytes
    env: bytes
    effects: bytes = EMPTY
    children: bytes = EMPTY
    approvals: bytes = EMPTY
    grants: bytes = EMPTY
    workspace: bytes = NOTHING
    ledger: bytes = b""
    later: bytes = b""


class _Named(Struct):
    """What of a body says who countersigns it, and which sections it has."""

    agent: AgentFacts
    sections: SectionHashes


_NO_SALT = bytes(16)

_named = msgspec.json.Decoder(_Named)

_kept = msgspec.msgpack.Encoder()
_unkept = msgspec.msgpack.Decoder(Kept)


class Notary:
    """One per platform. `environment` says where a release's code runs, `card` gives the hash of its card
    (wire/card_digest); `identity` knows agents' own keys, which countersign what is read."""

    def __init__(
        self,
        signer: Signer,
        reader: Reader,
        environment: Callable[[Release], Environment],
        identity: ServiceIdentity,
        card: Callable[[Release], str],
    ) -> None:
        self._signer = signer
        self._identity = identity
        self._reader = reader
        self._environment = environment
        self._card = card
        #: The text of the `.tlog-proof` of an organisation's leaf, "" while no checkpoint covers it; set by
        #: who keeps the log.
        self.proof: Callable[[int, int], str] = lambda org, leaf: ""
        #: When and by whom a run was erased; set by who erases.
        self.erased: Callable[[int], tuple[str, str] | None] = lambda run: None
        #: What the run did with its workspace; set by the engine.
        self.workspace: Callable[[Run], WorkspaceFacts | None] = lambda _: None
        self._facts: dict[int, tuple[AgentFacts, dict[str, SkillFacts], bytes]] = {}

    def seal(
        self,
        run: Run,
        outcome: Outcome,
        bodies_hash: str,
        response: bytes,
        now: float,
        *,
        price: PriceFacts | None = None,
        ledger: LedgerFacts | None = None,
        entries: bytes = b"",
    ) -> tuple[DraftReceipt, Op]:
        """The run's receipt, and the statement that stores it at the log's next index. `ledger` is of
        `entries` (LedgerEntry[] in canonical JSON) with the salt `Salts.ledger`."""
        call, task = run.call, run.task
        salts = Salts(run.salts)
        agent, skills, env = self._release_facts(call.release)
        effects, children = _sections(run, salts)
        approvals = section(run.approvals) if run.approvals else EMPTY
        grants = _grants(run) if run.grants else EMPTY
        seen = self.workspace(run) if run.work is not None else None
        workspace = NOTHING if seen is None else section(seen)
        actors = call.principal.actors
        body = ReceiptBody(
            actors=list(actors) if actors else UNSET,
            agent=agent,
            attempts=run.attempt,
            caller=call.principal.label,
            context_id=task.context_id,
            ended_at=stamp(run.ended or now),
            error=UNSET if outcome.problem is None else ErrorFacts(code=outcome.problem.code),
            events_sha256=bodies_hash,
            idempotency_key=sha256(salts.key + call.key.encode()).hexdigest() if call.key else UNSET,
            issued_at=stamp(now),
            issuer_kid=self._signer.kid,
            ledger=ledger or UNSET,
            org=call.release.org,
            parent_run=UNSET if call.parent is None else call.parent.run_id,
            price=price or UNSET,
            request_sha256=run.request_sha256,
            response_sha256=sha256(salts.response + response).hexdigest(),
            run_id=run.id,
            sections=section_hashes(
                salts, env, effects, children, approvals=approvals, grants=grants, workspace=workspace
            ),
            skill=skills.get(call.skill, UNSET),
            started_at=stamp(run.started or run.created),
            status=outcome.state.short,  # type: ignore[arg-type]
            task_id=UNSET if run.replies(outcome) else task.id,
            trace_id=call.trace_id or UNSET,
            usage=[
                Usage(meter=meter, qty=quantity(qty), unit=unit)
                for (meter, unit), qty in sorted((run.usage or {}).items())
            ],
        )
        sealed = draft(body)
        org = task.org_no
        kept = Kept(run.salts, env, effects, children, approvals, grants, workspace, entries)
        return (
            sealed,
            (
                sql.ADD_RECEIPT,
                (
                    run.no,
                    org,
                    org,  # Its next leaf.
                    sealed.leaf,
                    bytes.fromhex(sealed.id[5:]),
                    sealed.body,
                    self._signer.protected,
                    None,  # The writer signs, beside the commit.
                    _kept.encode(kept),
                ),
            ),
        )

    def document(self, row: ReceiptRow, org: str, whole: bool, request: bytes | None, key: str) -> bytes:
        """The receipt as a file: `whole` with the agent's inside, else the caller's view."""
        kept = _unkept.decode(row.sections)
        salts = Salts(kept.salts, kept.later)
        run = self._reader.run_by_no(SYSTEM, row.run)
        agent = self._identity.signer(run.agent) if run is not None else None
        named = _named.decode(row.body)
        if agent is not None and agent.kid != named.agent.service_kid:
            agent = None  # Sealed before there were service identities, or the platform's key of them is new.
        bodies = [body for _, body in self._reader.events(Scope(org=row.org), row.run)]
        # What was cleared away has left zeros in the place of its salt (ops/retention.py).
        told = salts.events != _NO_SALT
        events = events_payload(bodies) if whole and told else None
        return document(
            SealedReceipt("rcpt_" + row.id.hex(), row.body, row.protected, row.signature, row.leaf_hash),
            self._signer,
            org=org,
            index=row.leaf,
            sections=disclose_sections(
                salts,
                kept.env,
                kept.effects,
                kept.children,
                approvals=kept.approvals,
                grants=kept.grants,
                ledger=kept.ledger,
                workspace=kept.workspace,
                later=named.sections.grants is not UNSET,
            )
            if whole
            else None,
            disclosed=disclose_payloads(
                salts,
                request=None if salts.request == _NO_SALT else request,
                response=response_of(bodies) if told else None,
                events=events,
                idempotency_key=key,
            ),
            agent=agent,
            proof=self.proof(row.org, row.leaf),
            erased=self.erased(row.run),
        )

    def environment(self, release: Release) -> Environment:
        """What the receipt of a run of the release would say of where its code runs."""
        return self._environment(release)

    def actor(self, release: Release) -> str:
        """How an agent is named that acts for somebody."""
        return self._identity.name(release)

    def _release_facts(self, release: Release) -> tuple[AgentFacts, dict[str, SkillFacts], bytes]:
        facts = self._facts.get(release.no)
        if facts is None:
            version = release.manifest.version
            facts = (
                AgentFacts(
                    card_sha256=self._card(release),
                    id=release.name,
                    image_digest=release.digest,
                    service_id=self._identity.name(release),
                    service_kid=self._identity.signer(release.agent_no).kid,
                    version=version,
                ),
                {
                    spec.id: SkillFacts(
                        id=spec.id,
                        schema_sha256=sha256(
                            bytes(spec.input_schema) + bytes(spec.output_schema)
                        ).hexdigest(),
                        version=version,
                    )
                    for spec in release.skills
                },
                section(self._environment(release)),
            )
            self._facts[release.no] = facts
        return facts


def response_of(bodies: list[bytes]) -> bytes:
    """What counts as a run's response: its last stored result or reply; b"" for none."""
    for body in reversed(bodies):
        if isinstance(decode_event(body), ResultEvent | ReplyEvent):
            return body
    return b""


def _sections(run: Run, salts: Salts) -> tuple[bytes, bytes]:
    if run.record is None:
        return EMPTY, EMPTY
    ends: dict[int, EffectEnded] = run.record.results
    effects = section(
        [
            effect_entry(
                salts,
                seq,
                started.kind,
                started.name,
                started.args,
                bytes(ends[seq].value) if seq in ends else None,
            )
            for seq, started in sorted(run.record.started.items())
        ]
    )
    children = [child.receipt_id for child in run.children or () if child.receipt_id]
    return effects, section([ChildEntry(receipt_id=one) for one in children]) if children else EMPTY


def _grants(run: Run) -> bytes:
    return section(
        [
            GrantEntry(
                blocks=one.blocks,
                id=one.id,
                prior_id=one.prior or UNSET,
                sha256=sha256(one.blocks.encode()).hexdigest(),
            )
            for one in run.grants or ()
        ]
    )
