"""What a narrowed key or token opens of the control API: for each resource the permission that its scopes
have to name, also for what is its principal's own.

What the permission then allows is the handlers' to say. A resource that is not in the table is closed to
narrowed keys: who adds one and forgets this page gives nothing away.
"""

from __future__ import annotations

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import Forbidden

_P = Permission
#: By the first step behind /api/v1: (to read, to change). None: open to every key.
_NEEDS: dict[str, tuple[Permission | None, Permission | None]] = {
    "access": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "agents": (_P.DEPLOY, _P.DEPLOY),
    "approvals": (_P.DECIDE, _P.DECIDE),
    "audit": (_P.READ_AUDIT, _P.READ_AUDIT),
    "billing": (_P.READ_USAGE, _P.MANAGE_BILLING),
    "budgets": (_P.READ_USAGE, _P.MANAGE_BILLING),
    "config": (_P.MANAGE_PLATFORM, _P.MANAGE_PLATFORM),
    "credits": (_P.READ_USAGE, _P.MANAGE_BILLING),
    "doctor": (_P.MANAGE_PLATFORM, _P.MANAGE_PLATFORM),
    "grants": (_P.MANAGE_GRANTS, _P.MANAGE_GRANTS),
    "hooks": (_P.CALL, _P.CALL),
    "invoices": (_P.READ_USAGE, _P.MANAGE_BILLING),
    "keys": (_P.MANAGE_KEYS, _P.MANAGE_KEYS),
    "ledger": (_P.READ_USAGE, _P.MANAGE_BILLING),
    "limits": (None, _P.MANAGE_POLICY),
    "links": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "log": (_P.READ_AUDIT, _P.MANAGE_PLATFORM),
    "members": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "orgs": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "packs": (_P.READ_RUNS, _P.READ_RUNS),
    "payouts": (_P.READ_USAGE, _P.MANAGE_BILLING),
    "push": (_P.READ_RUNS, _P.MANAGE_RUNS),
    "replays": (_P.READ_RUNS, _P.READ_RUNS),
    "reviews": (_P.READ_RUNS, _P.DECIDE),
    "roles": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "runs": (_P.READ_RUNS, _P.MANAGE_RUNS),
    "search": (None, None),  # It finds what the key is good for.
    "secrets": (_P.MANAGE_SECRETS, _P.MANAGE_SECRETS),
    "services": (_P.DEPLOY, _P.DEPLOY),
    "sessions": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "sigv4-keys": (_P.MANAGE_KEYS, _P.MANAGE_KEYS),
    "tasks": (_P.READ_RUNS, _P.MANAGE_RUNS),
    "teams": (_P.MANAGE_MEMBERS, _P.MANAGE_MEMBERS),
    "usage": (_P.READ_USAGE, _P.READ_USAGE),
    "whoami": (None, None),
    "workspaces": (_P.READ_FILES, _P.MANAGE_FILES),
}


def check_scopes(principal: Principal, steps: list[str], *, reads: bool) -> None:
    """Raises Forbidden unless the scopes of a narrowed principal are good for the path `steps` (`api`, `v1`,
    and on). One that is not narrowed passes."""
    scopes = principal.scopes
    if scopes is None or _own(principal, steps, reads=reads):
        return
    needs = _NEEDS.get(steps[2])
    if needs is not None:
        need = needs[0 if reads else 1]
        if steps[2] == "agents" and reads and len(steps) <= 4:
            need = _P.CALL
        elif steps[2] == "agents" and steps[4:5] == ["prices"]:
            need = _P.CALL if reads else _P.MANAGE_BILLING
        elif steps[2] == "agents" and steps[4:5] == ["logs"]:
            need = _P.READ_LOGS
        if need is None or need in scopes:
            return
        raise Forbidden(
            "This key or token is narrowed, and not good for that.",
            remedy=f"Use one whose scopes have {need}.",
            info={"scope": need.value},
        )
    raise Forbidden(
        "This key or token is narrowed, and not good for that.", remedy="Use one that is not narrowed."
    )


def _own(principal: Principal, steps: list[str], *, reads: bool) -> bool:
    """What every key may: report keys that leaked, read of the agents that it calls."""
    scopes = principal.scopes or ()
    if steps[2:] == ["keys", "leaked"]:
        return True
    if steps[2] == "agents" and reads and len(steps) <= 4:
        if Permission.CALL in scopes or Permission.DEPLOY in scopes:
            return True
        agent = f"agent:{steps[3]}" if len(steps) == 4 else " "
        return any(scope == agent or scope.startswith(f"{agent}/") for scope in scopes)
    return False
