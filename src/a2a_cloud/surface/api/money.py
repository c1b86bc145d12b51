"""What the handlers of money share: whose it is, who may, how bodies and amounts are read and written."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.principal import DEFAULT_ORG, Permission, Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.billing_port import Entry, Money, Txn
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import readable

Answer = tuple[int, Any]
T = TypeVar("T")


def of(services: Services) -> Money:
    """What does it. Raises Unavailable."""
    if services.money is None:
        raise Unavailable("There is no billing here.")
    return services.money


def runs_platform(principal: Principal) -> bool:
    """Whether somebody handles the platform's money: billing of the default organisation."""
    return principal.org == DEFAULT_ORG and principal.may(Permission.MANAGE_BILLING)


def may_change(principal: Principal) -> None:
    """Raises Forbidden unless they handle their organisation's money."""
    if not principal.may(Permission.MANAGE_BILLING):
        raise Forbidden(
            "Money is for those who handle an organisation's billing.",
            remedy=f"Use a key with {Permission.MANAGE_BILLING}.",
            info={"permission": Permission.MANAGE_BILLING.value},
        )


def reads(principal: Principal) -> bool:
    """Whether they see their organisation's money: who changes it does too."""
    return principal.may(Permission.READ_USAGE) or principal.may(Permission.MANAGE_BILLING)


def may_read(principal: Principal) -> None:
    """Raises Forbidden unless they see their organisation's money."""
    if not reads(principal):
        raise Forbidden(
            "An organisation's money is for its viewers, auditors, billing and admins.",
            remedy=f"Use a key with {Permission.READ_USAGE}; an admin gives the role billing or viewer.",
            info={"permission": Permission.READ_USAGE.value},
        )


def operator(principal: Principal, what: str) -> None:
    """Raises Forbidden unless they handle the platform's money."""
    if not runs_platform(principal):
        raise Forbidden(
            f"{what} is for who handles the platform's money.",
            remedy=f"Use a key of the organisation {DEFAULT_ORG} with {Permission.MANAGE_BILLING}.",
            info={"permission": Permission.MANAGE_BILLING.value},
        )


def org_of(services: Services, request: Request, name: str) -> int:
    """The organisation that a request is about: one's own, for who handles the platform's money any. Raises
    Forbidden, NotFound."""
    principal = request.principal
    if not name or name == principal.org:
        return principal.org_no
    operator(principal, "Other organisations' money")
    found = services.identity.org_no(name)
    if found is None:
        raise NotFound(f"There is no organisation {readable(name[:80])}.", remedy="See `a2a orgs ls`.")
    return found


async def body_of(request: Request, decoder: msgspec.json.Decoder[T], example: str) -> T:
    """The body. Raises InvalidParams, Malformed, TooLarge."""
    return await read_body(request, decoder.type, example)


def key_of(request: Request) -> str:
    """The request's Idempotency-Key. Raises InvalidParams."""
    key = request.idempotency_key.decode("latin-1").strip()
    if len(key) > 255 or not key.isprintable():
        raise InvalidParams(
            "The Idempotency-Key is too long or not printable.", remedy="Send up to 255 characters."
        )
    return key


def check_memo(memo: str) -> str:
    """Raises InvalidParams."""
    if len(memo) > 200 or not memo.isprintable():
        raise InvalidParams("memo is too long or not printable.", remedy="Send 200 characters at most.")
    return memo


def txn_document(services: Services, row: Txn, entries: list[Entry]) -> dict[str, Any]:
    """A transaction as programs read it."""
    run = of(services).books.run_id(row.run) if row.run is not None else ""
    return {
        "id": row.id,
        "kind": row.kind,
        "at": stamp(row.at),
        "by": row.made_by,
        **({"run": run} if run else {}),
        **({"memo": row.memo} if row.memo else {}),
        "entries": [
            {
                "line": one.line,
                "account": one.code,
                "amount": show_amount(one.amount, one.scale),
                "currency": one.currency,
            }
            for one in entries
        ],
    }
