"""What a run may do: operations, the blocks that a grant's token is made of, and what is declared before
there is a token. Format and meaning of each claim: docs/grants.md (reference: mcp-and-identity.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType


class Operation(StrEnum):
    """What a grant is asked about. The target is a path, but for CALL `agent/skill` and for EGRESS a
    host and port as `wire.glob.host_path` writes them."""

    READ = "read"
    STAT = "stat"
    LIST = "list"
    WRITE = "write"
    DELETE = "delete"
    CALL = "call"
    EGRESS = "egress"


#: Which operations each list of patterns is about.
READING = (Operation.READ, Operation.STAT, Operation.LIST)
WRITING = (Operation.WRITE, Operation.DELETE)
EVERYTHING = tuple(Operation)

DEFAULT_DEPTH = 6
DEFAULT_WORKSPACE = "default"
#: Stands in a declared prefix for the id of the run.
RUN = "{run}"
#: Where a run writes when its agent declares nothing else.
DEFAULT_PREFIX = f"outputs/{RUN}/"

#: Who adds blocks that are no handovers: what called the agent, and what the organisation allows at most.
BY_CALLER = "caller"
BY_POLICY = "policy"

Patterns = tuple[str, ...]
_Time = Annotated[int, Meta(ge=1, le=1 << 40)]
_Count = Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]
_Depth = Annotated[int, Meta(ge=0, le=64)]
_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Word = Annotated[str, Meta(max_length=256)]


class RootBlock(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Block 0, which only the platform makes. Times are Unix seconds, `base` a version's number.

    `root_id` is `id`, or the id of the first grant of which this is a rotation; `prior_id` the last one.
    `sub` is for whom the run acts, `aud` the identity of the agent that holds the grant. `max_depth` is
    how many handovers may follow. `max_bytes` and `max_uses` are totals over the grant and all that
    descends from it; None: no limit.
    """

    v: Annotated[int, Meta(ge=1, le=1)]
    kid: _Name
    id: _Name
    root_id: _Name
    iss: _Name
    org: _Name
    sub: _Name
    aud: _Name
    run: _Name
    workspace: _Word
    base: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
    ops: tuple[Operation, ...]
    read: Patterns
    write: Patterns
    deny: Patterns
    skills: Patterns
    egress: Patterns
    prefix: str
    nbf: _Time
    exp: _Time
    max_depth: _Depth
    max_bytes: _Count | UnsetType = UNSET
    max_uses: _Count | UnsetType = UNSET
    prior_id: _Name | UnsetType = UNSET
    approval_id: _Name | UnsetType = UNSET


class LaterBlock(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A block after the first: what it sets, it restricts; what it leaves out, it does not.

    With `aud` it is a handover: the grant is that identity's from here on, and `by` is who held it.
    `run` is then the run that it was handed to. `by` is always set in a token. `prefix` adds a folder to
    the lists `read` and `write` that stand beside it.
    """

    by: _Name | UnsetType = UNSET
    aud: _Name | UnsetType = UNSET
    run: _Name | UnsetType = UNSET
    ops: tuple[Operation, ...] | UnsetType = UNSET
    read: Patterns | UnsetType = UNSET
    write: Patterns | UnsetType = UNSET
    deny: Patterns | UnsetType = UNSET
    skills: Patterns | UnsetType = UNSET
    egress: Patterns | UnsetType = UNSET
    prefix: str | UnsetType = UNSET
    nbf: _Time | UnsetType = UNSET
    exp: _Time | UnsetType = UNSET
    max_depth: _Depth | UnsetType = UNSET
    max_bytes: _Count | UnsetType = UNSET
    max_uses: _Count | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=1000)] | UnsetType = UNSET


class GrantSpec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The table `[grant]` of a2a.toml: the most that the agent's runs may do. What it leaves out is not
    allowed. `bytes` and `uses` 0: no limit; `prefix` "": none, when `write` is declared, else the default.
    """

    read: Patterns = ()
    write: Patterns = ()
    deny: Patterns = ()
    skills: Patterns = ()
    egress: Patterns = ()
    operations: tuple[Operation, ...] = EVERYTHING
    prefix: str = ""
    workspace: str = DEFAULT_WORKSPACE
    bytes: int = 0
    uses: int = 0
    depth: int = DEFAULT_DEPTH

    def pinned(self, run: str) -> str:
        """The folder of this run's outputs, `/` at its end; "" for none."""
        prefix = self.prefix or ("" if self.write else DEFAULT_PREFIX)
        return prefix.replace(RUN, run)


class Narrowing(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a caller or a policy leaves of a grant. None: as it is. `seconds`: how long from now."""

    read: Patterns | None = None
    write: Patterns | None = None
    deny: Patterns = ()
    skills: Patterns | None = None
    egress: Patterns | None = None
    operations: tuple[Operation, ...] | None = None
    bytes: int = 0
    uses: int = 0
    depth: int | None = None
    seconds: float = 0.0
    reason: str = ""

    @property
    def empty(self) -> bool:
        """It leaves everything."""
        return self == Narrowing(reason=self.reason)


class Widening(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an approval adds."""

    read: Patterns = ()
    write: Patterns = ()
    skills: Patterns = ()
    egress: Patterns = ()


class Limit(Struct, frozen=True):
    """Totals over everything done under one block. `id` names the count; 0: no limit."""

    id: str
    uses: int
    bytes: int


class BlockVerdict(Struct, frozen=True):
    """What one block says. `glob` is the pattern that decided: the first that allows, or the one that
    denies; "" when none means the target, or when no pattern was asked."""

    block: int
    by: str
    allowed: bool
    glob: str
    reason: str


class Explanation(Struct, frozen=True):
    """Whether a grant allows an operation, and why. `verdicts` has a line for each block."""

    grant: str
    holder: str
    run: str
    subject: str
    operation: str
    target: str
    allowed: bool
    reason: str
    verdicts: tuple[BlockVerdict, ...]


class AuditEntry(Struct, frozen=True):
    """One event of the audit log. `blocks` are the SHA-256 of the blocks in hex, `at` wall seconds.

    `kind`: check (an operation that was refused), issue, hand_over, rotate, revoke, policy, key. `caller` is
    who tried it or did it, `run` the run that it was for ("": none).
    """

    grant: str
    root: str
    blocks: tuple[str, ...]
    caller: str
    operation: str
    target: str
    allowed: bool
    reason: str
    kind: str = "check"
    run: str = ""
    org: int = 0
    at: float = 0.0


class GrantEnd(Struct, frozen=True):
    """That a grant, or one that it falls with (`id`), was revoked. `at` in wall seconds."""

    id: str
    at: float
    by: str
    reason: str


class GrantFacts(Struct, frozen=True):
    """A stored grant as people see it. `parent` is the grant that was handed over, `prior` the one that
    this replaced. `state`: active, ended, not_yet, revoked, replaced, handover (not made by the platform)
    or key (its key is gone). Times are wall seconds."""

    id: str
    root: str
    parent: str
    prior: str
    run: str
    holder: str
    subject: str
    approval: str
    workspace: str
    created: float
    expires: float
    state: str
    end: GrantEnd | None = None


class BlockFacts(Struct, frozen=True):
    """A block: its claims, who made it, its SHA-256 in hex. `uses` and `bytes` are what was used of its
    limits."""

    by: str
    sha256: str
    claims: dict[str, Any]
    uses: int = 0
    bytes: int = 0


class GrantBranch(Struct, frozen=True):
    """A grant and those that came of it, the eldest first."""

    facts: GrantFacts
    children: tuple[GrantBranch, ...]
