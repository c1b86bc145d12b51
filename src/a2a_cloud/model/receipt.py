"""The receipt of a run: what is signed, what is disclosed beside it (reference: docs/receipts.md).

`ReceiptBody` is the signed statement; its canonical bytes (RFC 8785) are hashed to the receipt's id
and signed. The fields of every Struct here are declared in alphabetical order, hold no float and
are ASCII, so that plain encoding in declared order *is* the canonical form; tests/unit/test_proof.py
proves it. Types are strict because the verifier reads strangers' files with them.
"""

from __future__ import annotations

import decimal
import re
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

#: Version of the body's shape. A verifier refuses versions that it does not know.
BODY_VERSION = 1
#: Bytes of a salt.
SALT = 16

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
SaltHex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Instant = Annotated[
    str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")
]
ReceiptId = Annotated[str, Meta(pattern=r"\Arcpt_[0-9a-f]{64}\Z")]
Decimal = Annotated[str, Meta(pattern=r"\A-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,18})?", re.ASCII)


def is_decimal(text: str) -> bool:
    """Whether `text` may stand as a quantity in a receipt: `12`, `-0.5`; no exponent, no `+`."""
    return _DECIMAL.fullmatch(text) is not None


def quantity(value: decimal.Decimal) -> str:
    """A quantity as receipts have it, with all its digits and no more: `12`, `-0.5`."""
    text = format(value, "f") if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


class AgentFacts(Struct, frozen=True, kw_only=True):
    """Which agent ran. `image_digest` is the release's digest (`sha256:<hex>`), `version` its author's.
    `card_sha256` is over what of its card the release alone says (wire/card_digest). `service_id` is its
    service identity (`spiffe://…`), `service_kid` the thumbprint of the key that signs for it."""

    card_sha256: Sha256 | UnsetType = UNSET
    id: str
    image_digest: str
    service_id: str | UnsetType = UNSET
    service_kid: str | UnsetType = UNSET
    version: str


class SkillFacts(Struct, frozen=True, kw_only=True):
    """Which skill ran. `schema_sha256` is over the input schema and output schema as served."""

    id: str
    schema_sha256: Sha256
    version: str


class ErrorFacts(Struct, frozen=True, kw_only=True):
    """Why the run did not complete: a code of docs/errors.md, no text."""

    code: str


class Usage(Struct, frozen=True, kw_only=True):
    """`qty` (a decimal string, `is_decimal`) of `meter`, counted in `unit`."""

    meter: str
    qty: Decimal
    unit: str


class PriceFacts(Struct, frozen=True, kw_only=True):
    """What the run cost its caller: `amount` in units of 10**-`scale` of `currency` (an ISO 4217 code, or
    `credits`), by `version` of the skill's price."""

    amount: Count
    currency: str
    scale: Annotated[int, Meta(ge=0, le=9)]
    version: Count


class LedgerFacts(Struct, frozen=True, kw_only=True):
    """The transaction of the ledger that captured the price: SHA-256(salt ‖ canonical JSON) of its
    entries."""

    entries_sha256: Sha256
    txn_id: str


class SectionHashes(Struct, frozen=True, kw_only=True):
    """SHA-256(salt ‖ canonical JSON) of each section, in hex. An empty section is hashed as well,
    so that a caller cannot tell whether the agent did anything inside. Receipts from before there were
    grants have no `approvals`, `grants` and `workspace`."""

    approvals: Sha256 | UnsetType = UNSET
    children: Sha256
    effects: Sha256
    env: Sha256
    grants: Sha256 | UnsetType = UNSET
    workspace: Sha256 | UnsetType = UNSET


class ReceiptBody(Struct, frozen=True, kw_only=True):
    """What the platform states and signs about one run that has ended.

    `caller` is `name@org` or `anonymous`; `actors` are those who acted for the caller, nearest first: the
    service identities of agents. `status` is the short form of the task state.
    `idempotency_key` is the salted hash of the key. `parent_run` is the run that made this call: a
    child is sealed before its parent, so it can name the run and not the receipt; the parent's
    receipt names the child's in its `children` section. Absent facts are left out, never null.
    """

    actors: list[str] | UnsetType = UNSET
    agent: AgentFacts
    attempts: Count
    caller: str
    context_id: str
    ended_at: Instant
    error: ErrorFacts | UnsetType = UNSET
    events_sha256: Sha256
    idempotency_key: Sha256 | UnsetType = UNSET
    issued_at: Instant
    issuer_kid: str
    kind: Literal["run"] = "run"
    ledger: LedgerFacts | UnsetType = UNSET
    org: str
    parent_run: str | UnsetType = UNSET
    price: PriceFacts | UnsetType = UNSET
    request_sha256: Sha256
    response_sha256: Sha256
    run_id: str
    sections: SectionHashes
    skill: SkillFacts | UnsetType = UNSET
    started_at: Instant
    status: Literal["completed", "failed", "canceled", "rejected"]
    task_id: str | UnsetType = UNSET
    trace_id: str | UnsetType = UNSET
    usage: list[Usage]
    v: Literal[1] = BODY_VERSION


# --- the sections: disclosed beside the body to those who may see an agent's inside -----------


class EffectEntry(Struct, frozen=True, kw_only=True):
    """One effect of the run. Without `result_sha256` it began and never ended."""

    args_sha256: Sha256
    kind: str
    name: str
    result_sha256: Sha256 | UnsetType = UNSET
    seq: Count


class Environment(Struct, frozen=True, kw_only=True):
    """Where the code ran: digests of the interpreter and of the installed packages, the sandbox."""

    deps_digest: str
    runtime_digest: str
    sandbox: str


class ChildEntry(Struct, frozen=True, kw_only=True):
    """A run that this run called, by its receipt."""

    receipt_id: ReceiptId


class GrantEntry(Struct, frozen=True, kw_only=True):
    """A grant under which the run acted: `sha256` is that of `blocks` (its token without the signature, so
    nobody can use it), `prior_id` the grant that it took the place of."""

    blocks: str | UnsetType = UNSET
    id: str
    prior_id: str | UnsetType = UNSET
    sha256: Sha256


class ApprovalEntry(Struct, frozen=True, kw_only=True):
    """A decision about more than the grant allowed: `by` who decided (`name@org`, or the rule's name),
    `state` what became of it, `grant_id` the grant that came of it."""

    at: Instant
    by: str
    grant_id: str | UnsetType = UNSET
    id: str
    state: str


class WorkspaceEntry(Struct, frozen=True, kw_only=True):
    """An operation on the workspace that was answered. `before` and `after` are the SHA-256 of the
    file's content where it is known."""

    after: str | UnsetType = UNSET
    before: str | UnsetType = UNSET
    bytes: Count
    op: str
    path: str
    seq: Count


class WorkspaceFacts(Struct, frozen=True, kw_only=True):
    """What the run saw of a workspace and what it made of it: trees by their SHA-256, versions by their
    number. Without `result_tree` nothing was committed."""

    base_tree: str
    base_version: Count
    name: str
    ops: list[WorkspaceEntry]
    result_tree: str | UnsetType = UNSET
    result_version: Count | UnsetType = UNSET


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """A line of the ledger's transaction: `amount` is signed, and the lines of one currency sum to 0."""

    account: str
    amount: Annotated[int, Meta(ge=-(2**53) + 1, le=2**53 - 1)]
    currency: str
    line: Count
    scale: Annotated[int, Meta(ge=0, le=9)]


# --- the document: what a viewer gets ---------------------------------------------------------


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """A detached JWS (RFC 7515, appendix F): base64url of the protected header and the signature."""

    protected: str
    signature: str


class Countersignature(Struct, frozen=True, forbid_unknown_fields=True):
    """A detached JWS by the agent's service identity over the same bytes: `key` is its public key (32 bytes,
    base64url), whose thumbprint the body names."""

    key: str
    protected: str
    signature: str


class LogEntry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the receipt stands in its organisation's audit log; `index` counts from 0 without gaps.

    The index is not part of the body (it is given when the body is final), so it is signed apart:
    the platform's promise that this leaf stands there. `proof` is the text of a `.tlog-proof` file, once a
    checkpoint covers the leaf.
    """

    index: Count
    leaf_sha256: Sha256
    org: str
    signatures: list[Signature]
    proof: str | UnsetType = UNSET


class Erased(Struct, frozen=True, forbid_unknown_fields=True):
    """What the run was told, said and did was erased `at` that time, `by` whom (`name@org`); signed apart,
    because the receipt was there before."""

    at: Instant
    by: str
    signatures: list[Signature]


class DisclosedSection(Struct, frozen=True, forbid_unknown_fields=True):
    """A section with its salt."""

    salt: SaltHex
    value: Any


class DisclosedPayload(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A payload with its salt: as text, or as base64url where it is not valid UTF-8."""

    salt: SaltHex
    payload: str | UnsetType = UNSET
    payload_b64: str | UnsetType = UNSET


class DisclosedSections(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Those sections that the viewer may see: ApprovalEntry[], ChildEntry[], EffectEntry[], Environment,
    GrantEntry[], LedgerEntry[] (its hash is the body's `ledger.entries_sha256`), WorkspaceFacts (null: none
    was touched)."""

    approvals: DisclosedSection | UnsetType = UNSET
    children: DisclosedSection | UnsetType = UNSET
    effects: DisclosedSection | UnsetType = UNSET
    env: DisclosedSection | UnsetType = UNSET
    grants: DisclosedSection | UnsetType = UNSET
    ledger: DisclosedSection | UnsetType = UNSET
    workspace: DisclosedSection | UnsetType = UNSET


class DisclosedPayloads(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Those payloads that the viewer may see and that still exist."""

    events: DisclosedPayload | UnsetType = UNSET
    idempotency_key: DisclosedPayload | UnsetType = UNSET
    request: DisclosedPayload | UnsetType = UNSET
    response: DisclosedPayload | UnsetType = UNSET


class ReceiptDocument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file that `a2a receipt get` prints. Nothing but `body` is inside the receipt's signature;
    everything else is checked against it, or (the log index, the erasure) carries its own."""

    body: ReceiptBody
    id: ReceiptId
    signatures: list[Signature]
    countersignature: Countersignature | UnsetType = UNSET
    log: LogEntry | UnsetType = UNSET
    erased: Erased | UnsetType = UNSET
    sections: DisclosedSections | UnsetType = UNSET
    disclosed: DisclosedPayloads | UnsetType = UNSET
