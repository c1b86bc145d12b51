"""A folder of receipts as one: whose child is whose, whether each is there, and whether a child was handed no
more than its parent had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from a2a_cloud.wire.grant import Grant
from a2a_cloud.wire.proof import Checked, Outcome, Verdict, check_receipt
from a2a_cloud.wire.verify.trail import Step

if TYPE_CHECKING:
    from a2a_cloud.wire.jws import Jwk
    from a2a_cloud.wire.note import NoteKey


def verify_tree(
    documents: Mapping[str, bytes], jwks: Iterable[Jwk] | None = None, witnesses: Sequence[NoteKey] = ()
) -> dict[str, Verdict]:
    """The verdict of each document, by its name. The step `children` is over all of them together: refused
    is a receipt that is here and does not name its parent, or acts under more than the parent handed it."""
    keys = None if jwks is None else list(jwks)
    found: dict[str, Checked] = {
        name: check_receipt(document, keys, witnesses) for name, document in documents.items()
    }
    by_id = {one.verdict.receipt_id: one for one in found.values() if one.verdict.body is not None}
    below: dict[str, list[Checked]] = {}
    for one in by_id.values():
        body = one.verdict.body
        if body is not None and body.parent_run is not UNSET:
            below.setdefault(body.parent_run, []).append(one)
    return {name: _with_children(one, by_id, below) for name, one in found.items()}


def _with_children(
    parent: Checked, by_id: Mapping[str, Checked], below: Mapping[str, list[Checked]]
) -> Verdict:
    verdict, body = parent.verdict, parent.verdict.body
    if body is None:
        return verdict
    if parent.inside.children is None:
        here = below.get(body.run_id, [])
        if not here:
            return verdict
        why = f"this view does not name its children; {len(here)} receipts here name it as their parent"
        return _replaced(verdict, Step("children", "unchecked", why))
    if not parent.inside.children:
        return verdict
    missing: list[str] = []
    hidden = 0
    for number, each in enumerate(parent.inside.children):
        at = f"$.sections.children.value[{number}]"
        child = by_id.get(each)
        if child is None:
            missing.append(each)
            continue
        about = child.verdict.body
        assert about is not None
        if about.parent_run != body.run_id:
            why = f"the receipt {each} does not name {body.run_id} as its parent"
            return _replaced(verdict, Step("children", "failed", why, at))
        hidden += bool(parent.inside.chains) and child.inside.grants is None
        why = _wider(parent.inside.chains, child.inside.chains)
        if why:
            return _replaced(verdict, Step("children", "failed", f"the child {about.run_id} {why}", at))
    count = len(parent.inside.children)
    if missing:
        why = f"{count - len(missing)} of {count} hold together; not here: {', '.join(missing)}"
        return _replaced(verdict, Step("children", "unchecked", why))
    told = f"all {count} are here and name it as their parent"
    if hidden:
        return _replaced(
            verdict,
            Step("children", "unchecked", f"{told}; {hidden} do not show under which grant they acted"),
        )
    return _replaced(verdict, Step("children", "ok", told))


def _wider(parents: Sequence[Grant], children: Sequence[Grant]) -> str:
    """Why the first grant of a child is not one that its parent handed on; "" when it is, or when nothing is
    known of one of them."""
    if not parents or not children:
        return ""
    texts = [block.text for block in children[0].blocks]
    for parent in parents:
        count = len(parent.blocks)
        if len(texts) > count and texts[:count] == [block.text for block in parent.blocks]:
            if children[0].blocks[count].aud:
                return ""
            return "has its parent's grant and no handover of it"
    return "acts under a grant that does not begin with one of its parent's"


def _replaced(verdict: Verdict, step: Step) -> Verdict:
    steps = tuple(step if each.name == step.name else each for each in verdict.steps)
    if step.state != "failed":
        return msgspec.structs.replace(verdict, steps=steps)
    return msgspec.structs.replace(verdict, steps=steps, outcome=Outcome.REFUSED, reason=step.why, body=None)
