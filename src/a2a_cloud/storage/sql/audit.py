"""Changes of the control plane as audit events: each is a statement in the write of the change itself, so
that there is no change without its event and no event without its change."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.storage.journal.port import Op, Statement
from a2a_cloud.storage.log.leaves import insert_event

ADD_CHANGE = Statement(
    "add_change",
    insert_event(
        "org, at, kind, caller, target, detail, run, grant_id, root, blocks, operation, allowed, reason",
        "?,?,?,?,?,?,'','','','','',1,''",
    ),
)

#: Characters of a target, and of a detail, that are kept.
MOST = 500

_encode = msgspec.json.Encoder(order="deterministic").encode


def change(org: int, at: float, by: str, kind: str, target: str, **detail: Any) -> Op:
    """The event of one change. `by` is a principal's label, `kind` a noun and what happened to it
    (`key.created`), `target` what was changed, `detail` what else is worth knowing: never a secret. Values
    that are None or "" are left out. `at` in wall seconds."""
    told = {
        name: _shown(value) if isinstance(value, str) else value
        for name, value in detail.items()
        if value is not None and value != ""
    }
    return ADD_CHANGE, (org, at, kind, by, _shown(target), _encode(told).decode() if told else "")


def _shown(text: str) -> str:
    """What can't be printed escaped, what is long cut."""
    cut = text[:MOST]
    return cut if cut.isprintable() else ascii(cut)[1:-1]
