"""What the sections of a whole receipt say, held against each other: grants only narrow and cover what was
done, every wider one has its decision, the ledger's entries add up to the price.

A section's bytes are what the platform signed; these steps find what the platform itself should not have
signed. The signature of a grant is an HMAC: nobody but the platform can check it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from a2a_cloud.model.grant import Operation
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.receipt import (
    ApprovalEntry,
    ChildEntry,
    DisclosedSection,
    DisclosedSections,
    GrantEntry,
    LedgerEntry,
    ReceiptBody,
    ReceiptDocument,
    WorkspaceFacts,
)
from a2a_cloud.wire.canonical import canonical, salted_sha256
from a2a_cloud.wire.grant import VERSION, Grant
from a2a_cloud.wire.grant_block import later_block, root_block
from a2a_cloud.wire.verify.trail import RefusedError, Trail

_T = TypeVar("_T")
_NO_SECTIONS = "this view shows no sections"
_NO_MAC = "their MAC is not checkable without the platform's key"
#: What an operation on a workspace needs to be allowed. What else was done there (lists, looks) shows only
#: what a grant leads to.
_NEEDS = {
    "read": Operation.READ,
    "write": Operation.WRITE,
    "append": Operation.WRITE,
    "adopt": Operation.WRITE,
    "copy": Operation.WRITE,
    "delete": Operation.DELETE,
}


class Inside:
    """The sections of one receipt, read. Made by `check_inside`; the tree's check goes on with it."""

    def __init__(self) -> None:
        self.grants: list[GrantEntry] | None = None
        self.chains: list[Grant] = []
        self.children: list[str] | None = None


def check_inside(trail: Trail, receipt: ReceiptDocument) -> Inside:
    """The steps `grants`, `approvals`, `ledger` and `children`."""
    inside = Inside()
    shown = receipt.sections if receipt.sections is not UNSET else DisclosedSections()
    for name, check in (
        ("grants", _grants),
        ("approvals", _approvals),
        ("ledger", _ledger),
        ("children", _children),
    ):
        try:
            check(trail, inside, receipt.body, shown)
        except RefusedError as refusal:
            trail.failed(name, refusal)
    return inside


def _read(name: str, shown: DisclosedSection, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(shown.value, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        at = f"$.sections.{name}.value{path.removesuffix('`')}"
        raise RefusedError(f"the section {name} is not one: {said}", at) from None


# --- grants -----------------------------------------------------------------------------------------------


def _grants(trail: Trail, inside: Inside, body: ReceiptBody, sections: DisclosedSections) -> None:
    if sections.grants is UNSET and (body.sections.grants is not UNSET or sections.env is UNSET):
        return trail.unchecked("grants", _hidden(sections))
    entries = [] if sections.grants is UNSET else _read("grants", sections.grants, list[GrantEntry])
    inside.grants = entries
    if not entries:
        if body.sections.grants is not UNSET:
            _covered([], sections)
        return trail.ok("grants", "the run used none")
    seen: set[str] = set()
    bare = 0
    for number, entry in enumerate(entries):
        at = f"$.sections.grants.value[{number}]"
        if entry.prior_id is not UNSET and entry.prior_id not in seen:
            raise RefusedError(
                f"the grant {entry.id} is in the place of {entry.prior_id}, which the run had not", at
            )
        seen.add(entry.id)
        if entry.blocks is UNSET:
            bare += 1
            continue
        inside.chains.append(_chain(entry, body, at))
    if bare:
        return trail.unchecked("grants", f"{bare} of {len(entries)} are given by their hash alone")
    chains = f"{_many(len(entries), 'chain')} of blocks"
    if sections.workspace is UNSET and body.sections.workspace is not UNSET:
        return trail.unchecked("grants", f"{chains}; what was done with files is not shown here")
    return trail.ok("grants", f"{chains}, {_covered(inside.chains, sections)}; {_NO_MAC}")


def _hidden(sections: DisclosedSections) -> str:
    """Why nothing is known of a section that is not there. A whole view shows empty ones too: else who leaves
    one out could say that there was nothing in it."""
    return _NO_SECTIONS if sections.env is UNSET else "this view does not show them"


def _chain(entry: GrantEntry, body: ReceiptBody, at: str) -> Grant:
    assert entry.blocks is not UNSET
    if salted_sha256(b"", entry.blocks.encode()) != entry.sha256:
        raise RefusedError(f"the blocks of {entry.id} do not have the hash beside them", f"{at}.sha256")
    grant = read_blocks(entry.blocks, f"{at}.blocks")
    holder = f"agent:{body.org}/{body.agent.id}"
    if grant.holder != holder or grant.run != body.run_id:
        raise RefusedError(
            f"the grant {entry.id} is {grant.holder}'s for {grant.run}, not {holder}'s for {body.run_id}",
            f"{at}.blocks",
        )
    root = grant.root
    if not grant.depth and root.id != entry.id:
        raise RefusedError(f"the blocks are those of {root.id}, not of {entry.id}", f"{at}.blocks")
    if entry.prior_id is not UNSET and root.prior_id != entry.prior_id:
        raise RefusedError(
            f"the blocks of {entry.id} do not say that it is in the place of {entry.prior_id}", f"{at}.blocks"
        )
    return grant


def read_blocks(text: str, at: str) -> Grant:
    """The chain of a grant without its signature, its blocks in an order in which each could be added.
    Raises RefusedError."""
    version, *texts = text.split(".")
    if version != VERSION or not texts:
        raise RefusedError("the blocks of a grant can't be read", at)
    try:
        blocks = [later_block(each) if number else root_block(each) for number, each in enumerate(texts)]
    except InvalidParams as error:
        raise RefusedError(error.detail, at) from None
    holder = ""
    for number, block in enumerate(blocks):
        if number and (not block.by or (block.aud and block.by != holder)):
            raise RefusedError(f"block {number} was added by {block.by or 'nobody'}, who had it not", at)
        holder = block.aud or holder
    grant = Grant(blocks, [b""] * len(blocks))  # Without the key there are no ids of handovers.
    if grant.handovers_left < 0:
        raise RefusedError("the grant was handed on more often than it may be", at)
    return grant


def _covered(chains: list[Grant], sections: DisclosedSections) -> str:
    """That each operation on the workspace was allowed by every block of one of the grants."""
    if sections.workspace is UNSET or sections.workspace.value is None:
        return "nothing was done with files"
    facts = _read("workspace", sections.workspace, WorkspaceFacts)
    count = 0
    for number, entry in enumerate(facts.ops):
        needed = _NEEDS.get(entry.op)
        if needed is None:
            continue
        try:
            allowed = any(chain.allows(needed, entry.path) for chain in chains)
        except InvalidParams:
            allowed = False
        if not allowed:
            raise RefusedError(
                f"no grant of the run allows to {entry.op} {entry.path}",
                f"$.sections.workspace.value.ops[{number}]",
            )
        count += 1
    return f"{_many(count, 'operation')} on files, each allowed by every block of one"


# --- approvals --------------------------------------------------------------------------------------------


def _approvals(trail: Trail, inside: Inside, body: ReceiptBody, sections: DisclosedSections) -> None:
    if sections.approvals is UNSET and body.sections.approvals is not UNSET:
        return trail.unchecked("approvals", _hidden(sections))
    if inside.grants is None:
        return trail.unchecked(
            "approvals", _NO_SECTIONS if sections.env is UNSET else "its grants are unknown"
        )
    entries = (
        [] if sections.approvals is UNSET else _read("approvals", sections.approvals, list[ApprovalEntry])
    )
    granted = {entry.id for entry in inside.grants}
    approved = {entry.id: entry for entry in entries if entry.state == "approved"}
    for number, entry in enumerate(entries):
        at = f"$.sections.approvals.value[{number}]"
        if entry.grant_id is UNSET:
            continue
        if entry.id not in approved:
            raise RefusedError(f"{entry.id} is {entry.state}, and a grant came of it", at)
        if entry.grant_id not in granted:
            raise RefusedError(f"the grant {entry.grant_id} that came of {entry.id} is not the run's", at)
    for number, entry in enumerate(inside.grants):
        if entry.prior_id is UNSET or entry.blocks is UNSET:
            continue  # The first one, which may be of a decision about the run that called.
        asked = read_blocks(entry.blocks, f"$.sections.grants.value[{number}].blocks").root.approval_id
        if asked is not UNSET and (asked not in approved or approved[asked].grant_id != entry.id):
            raise RefusedError(
                f"the grant {entry.id} says that it came of {asked}, which approved no such grant",
                f"$.sections.grants.value[{number}]",
            )
    if not entries:
        return trail.ok("approvals", "the run asked for none")
    return trail.ok("approvals", f"{_many(len(entries), 'decision')}, {len(approved)} of them a yes")


# --- the ledger -------------------------------------------------------------------------------------------


def _ledger(trail: Trail, _inside: Inside, body: ReceiptBody, sections: DisclosedSections) -> None:
    price, facts, shown = body.price, body.ledger, sections.ledger
    if facts is UNSET:
        if shown is not UNSET:
            raise RefusedError("there are entries, and the body names no transaction", "$.sections.ledger")
        if price is not UNSET and price.amount:
            raise RefusedError(f"the run cost {_money(price)}, and no transaction says so", "$.body.price")
        free = "the run has no price" if price is UNSET else f"the run cost {_money(price)}"
        return trail.ok("ledger", free)
    if shown is UNSET:
        cost = "" if price is UNSET else f"{_money(price)}: "
        return trail.unchecked("ledger", f"{cost}this view shows no entries of {facts.txn_id}")
    if salted_sha256(bytes.fromhex(shown.salt), canonical(shown.value)) != facts.entries_sha256:
        raise RefusedError(
            "the section ledger does not have the hash that the body gives", "$.sections.ledger"
        )
    sums: defaultdict[tuple[str, int], int] = defaultdict(int)
    paid: defaultdict[tuple[str, int], int] = defaultdict(int)
    entries = _read("ledger", shown, list[LedgerEntry])
    for entry in entries:
        sums[entry.currency, entry.scale] += entry.amount
        paid[entry.currency, entry.scale] += max(0, entry.amount)
    for (currency, scale), total in sums.items():
        if total:
            raise RefusedError(
                f"the entries in {currency} sum to {total} (10^-{scale}), not to 0", "$.sections.ledger.value"
            )
    if price is UNSET:
        raise RefusedError("there is a transaction, and the body names no price", "$.body.ledger")
    moved = paid.get((price.currency, price.scale), 0)
    if moved != price.amount:
        raise RefusedError(
            f"the entries move {moved}, and the price is {price.amount} (10^-{price.scale} {price.currency})",
            "$.sections.ledger.value",
        )
    what = f"{_many(len(entries), 'entry', 'entries')} of {facts.txn_id} sum to 0 and move {_money(price)}"
    return trail.ok("ledger", what, "sections.ledger")


def _money(price: Any) -> str:
    digits = f"{price.amount:0{price.scale + 1}d}"
    whole = digits if not price.scale else f"{digits[: -price.scale]}.{digits[-price.scale :]}"
    return f"{whole} {price.currency}"


# --- children ---------------------------------------------------------------------------------------------


def _children(trail: Trail, inside: Inside, _body: ReceiptBody, sections: DisclosedSections) -> None:
    if sections.children is UNSET:
        return trail.unchecked("children", _NO_SECTIONS)
    inside.children = [one.receipt_id for one in _read("children", sections.children, list[ChildEntry])]
    if not inside.children:
        return trail.ok("children", "the run called nobody")
    many = _many(len(inside.children), "receipt")
    return trail.unchecked("children", f"{many} of its children, which are not here")


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"
