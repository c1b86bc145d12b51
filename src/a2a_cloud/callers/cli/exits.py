"""Exit codes of `a2a` (docs/cli.md has the same table), and the one exception that carries one."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """What a script can tell from `$?`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    DENIED = 4
    NOT_FOUND = 5
    INPUT_REQUIRED = 6
    SIGNER_UNCHECKED = 7
    REFUSED_RECEIPT = 8
    TRY_LATER = 9
    STILL_RUNNING = 10
    FORKED = 11
    BELOW = 12
    DIFFERENT = 13
    NOT_AVAILABLE = 14
    INTERRUPTED = 130


class Failure(Exception):
    """The command ends here: `detail` says what was wrong, `remedy` what to do next.

    `code` is the problem's stable code; `facts` are further fields for `--json`; `printed` says
    that the JSON document of this command is on stdout already.
    """

    def __init__(
        self,
        exit_code: Exit,
        detail: str,
        *,
        remedy: str = "",
        code: str = "",
        run_id: str = "",
        facts: dict[str, Any] | None = None,
        printed: bool = False,
    ) -> None:
        self.exit_code = exit_code
        self.detail = detail
        self.remedy = remedy
        self.code = code
        self.run_id = run_id
        self.facts = facts or {}
        self.printed = printed
        super().__init__(detail)


_BY_STATUS = {401: Exit.DENIED, 402: Exit.DENIED, 403: Exit.DENIED, 404: Exit.NOT_FOUND}
_LATER = {429, 503, 507}
_USAGE = {400, 405, 406, 409, 413, 415, 422, 431}


def exit_for(status: int, code: str) -> Exit:
    """The exit code for a problem that came with HTTP `status`."""
    if status in _LATER or code in ("receipt_pending", "proof_pending"):
        return Exit.TRY_LATER
    if code == "gate_not_met":
        return Exit.BELOW
    if code == "refused":  # a run that the agent rejected, though its HTTP status says 422
        return Exit.FAILED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Exit.USAGE if status in _USAGE else Exit.FAILED
