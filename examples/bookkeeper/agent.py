"""The bookkeeper's skills: which months there are, and closing one of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from bookkeeper_agent.ledger import BrokenLedgerError, Row, read_detail, read_rows
from bookkeeper_agent.summary import amount, summed, written
from msgspec import Meta

from a2a_cloud import Agent, Context, Problem, Refuse, ScopeDenied

agent = Agent("bookkeeper")

Month = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", examples=["2026-06"])]
#: What rows of the ledger may refer to; it is asked for as a whole, and an approver may narrow it.
FINANCE = "finance/**"


class Closed(TypedDict):
    """A month that was closed: sums by account, what could not be counted, and where the summary is."""

    month: str
    rows: int
    accounts: dict[str, str]
    total: str
    pending: list[str]
    finance: Literal["not needed", "allowed", "refused"]
    file: str


@agent.skill(
    name="List the months",
    tags=["bookkeeping", "workspace"],
    examples=["{}"],
    output_modes=["application/json"],
    idempotent=True,
)
async def months(ctx: Context) -> list[str]:
    """Name the months that have a ledger, the oldest first. Says nothing of what is in them."""
    found = await ctx.workspace.glob("ledger/*.csv")
    return sorted(entry.name.removesuffix(".csv") for entry in found)


@agent.skill(
    name="Close a month",
    tags=["bookkeeping", "workspace", "approval"],
    examples=['{"month": "2026-06"}'],
    input_modes=["application/json"],
    output_modes=["application/json", "text/markdown"],
    durable=True,
)
async def close_month(ctx: Context, month: Month) -> Closed:
    """Sum a month's ledger by account and write a summary into the run's own folder. Asks to read the finance
    folder when rows refer to it; without it these rows are left out and named.

    Args:
        month: Year and month, such as 2026-06.
    """
    rows = await _rows(ctx, month)
    referring = [row for row in rows if row.detail]
    finance: Literal["not needed", "allowed", "refused"] = "not needed"
    pending: list[str] = []
    if referring:
        finance = "allowed" if await _asked(ctx, month, referring) else "refused"
    counted: list[Row] = []
    for number, row in enumerate(rows, 1):
        ctx.progress("reading", 100 * number / len(rows), row.text)
        if not row.detail:
            counted.append(row)
        elif finance == "refused":
            pending.append(f"{row.account}: {row.detail} may not be read")
        else:
            cents, why = await _detail(ctx, row.detail)
            counted += [] if why else [row.with_cents(cents)]
            pending += [f"{row.account}: {why}"] if why else []
    accounts = summed(counted)
    text = written(month, accounts, pending)
    entry = await ctx.workspace.write(await ctx.workspace.output + f"{month}.md", text)
    await ctx.artifact(f"{month}.md", text, media_type="text/markdown")
    return Closed(
        month=month,
        rows=len(rows),
        accounts={name: amount(cents) for name, cents in accounts.items()},
        total=amount(sum(accounts.values())),
        pending=pending,
        finance=finance,
        file=entry.path,
    )


async def _rows(ctx: Context, month: str) -> list[Row]:
    path = f"ledger/{month}.csv"
    if not await ctx.workspace.exists(path):
        raise Refuse(f"There is no ledger of {month}.", remedy="The skill months names those that there are.")
    try:
        return read_rows(await ctx.workspace.read_text(path))
    except BrokenLedgerError as error:
        raise Problem(f"{path}: {error}", remedy="Mend the file and close the month again.") from None


async def _asked(ctx: Context, month: str, rows: list[Row]) -> bool:
    """Whether the finance folder, or a part of it, may be read."""
    files = ", ".join(sorted({row.detail for row in rows}))
    try:
        await ctx.request_scope(read=[FINANCE], reason=f"{month} refers to {files}")
    except ScopeDenied as denied:
        await ctx.log(f"finance: {denied.detail}")
        return False
    return True


async def _detail(ctx: Context, path: str) -> tuple[int, str]:
    """(cents, why they can't be told)."""
    try:
        return read_detail(await ctx.workspace.read_text(path)), ""
    except BrokenLedgerError as error:
        return 0, f"{path}: {error}"
    except Problem as problem:
        # Narrowed by the approver, or not there: a run is not told which.
        return 0, f"{path} can't be read ({problem.code})"
