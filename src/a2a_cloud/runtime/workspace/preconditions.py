"""What a conditional put expects (RFC 9110, section 13: If-Match, If-None-Match)."""

from __future__ import annotations

from a2a_cloud.model.problem import PreconditionFailed
from a2a_cloud.model.task import ObjectRef


def unexpected(path: str, there: ObjectRef | None) -> PreconditionFailed:
    """The Problem, with what is at `path` instead."""
    now = f'has the ETag "{there.sha256}"' if there is not None else "is not there"
    return PreconditionFailed(
        f"{path[:200]!a} {now}.",
        remedy="Read it again, and send its ETag in If-Match.",
        info={"etag": "" if there is None else f'"{there.sha256}"'},
    )


def met(there: ObjectRef | None, expect: str | None) -> bool:
    """Whether what is there is what `expect` says: a SHA-256, "*" any file, "" none, None no matter."""
    if expect is None:
        return True
    if there is None:
        return expect == ""
    return expect in ("*", there.sha256)
