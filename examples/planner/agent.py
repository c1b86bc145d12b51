"""The planner's skill: tells files apart, has other agents read them at once, asks, and merges."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

from planner_agent.folder import Item, TooMuchError, items_of
from planner_agent.kinds import kind_of
from planner_agent.shapes import (
    Brief,
    Contract,
    Decision,
    Gap,
    Risk,
    Table,
    UnexpectedError,
    contract_of,
    table_of,
)
from planner_agent.writing import KEEP_EACH, joined, law_question, laws_of, write

from a2a_cloud import Agent, Context, File, Problem, Refuse

agent = Agent("planner")

Party = Literal["neutral", "customer", "provider"]

#: Files that are asked about, at most: more questions than that are no help.
MAX_QUESTIONS = 5
LEAVE_OUT = "leave out"
ANSWERS = ("contract", "table", LEAVE_OUT)


@agent.skill(
    name="Brief on a folder",
    tags=["planning", "contracts", "tables", "brief", "orchestration"],
    examples=[
        "Make a brief of these contracts and tables.",
        '{"skill": "brief", "arguments": {"party": "customer"}} with several files',
        "A zip archive of a data room",
    ],
    input_modes=[
        "text/plain",
        "text/markdown",
        "text/html",
        "text/csv",
        "text/tab-separated-values",
        "application/pdf",
        "application/zip",
        "application/octet-stream",
    ],
    output_modes=["application/json", "text/markdown"],
    timeout=600.0,
    durable=True,
)
async def brief(
    ctx: Context,
    files: Annotated[
        list[File], "Contracts (text, Markdown, PDF), tables (CSV), or zip archives of them; up to 40."
    ],
    party: Party = "neutral",
    focus: Annotated[str, "Words that name columns of the tables: findings about these come first."] = "",
    ask: Annotated[bool, "Whether to ask when unsure; without, what is unclear becomes a gap."] = True,
) -> Brief:
    """Make one brief of a folder of contracts and tables, as contract_reviewer and data_analyst read them. It
    does not read Office files or scans, does not compare the wording of contracts, and gives no legal advice.

    Tells what each file is, has the two agents read them in parallel, and merges their answers: risks in
    order, next steps, gaps. Asks when it can't tell what a file is, and when contracts choose different
    governing laws. A file that can't be read, or an agent that fails, becomes a named gap and stops nothing.

    Args:
        files: Contracts, tables, or zip archives of them.
        party: Whose side to take in contracts: customer (pays or receives), provider (supplies), or neutral.
        focus: Words that name columns of the tables.
        ask: Whether to ask when unsure.
    """
    if not files:
        raise Refuse("There are no files.", remedy="Send contracts, tables, or a zip archive of them.")
    ctx.progress("sorting", 5, f"Looking at {len(files)} files")
    try:
        items, skipped = await items_of(files)
    except TooMuchError as error:
        raise Refuse(str(error)) from None
    gaps = [Gap(document=one.name, why=one.why) for one in skipped]
    decisions: list[Decision] = []
    plan = await _sort(ctx, items, gaps, decisions, ask)

    names = [item.name for kind in ("contract", "table") for item, told in plan if told == kind]
    ctx.progress("reading", 20, f"Having {joined(names[:5])} read" if names else "Nothing to read")
    answers = await asyncio.gather(
        *(
            _review(ctx, item, party) if kind == "contract" else _analyse(ctx, item, focus)
            for item, kind in plan
        )
    )
    contracts: list[Contract] = []
    risks: list[Risk] = []
    tables: list[Table] = []
    for found in answers:
        if isinstance(found, tuple):
            contracts.append(found[0])
            risks += found[1]
        elif "why" in found:
            gaps.append(found)
        else:
            tables.append(found)

    law = await _law(ctx, contracts, decisions, ask)
    ctx.progress("writing", 90, "Writing the brief")
    result = write(contracts, tables, risks, gaps, decisions, law)
    await ctx.artifact("brief.md", result["markdown"], media_type="text/markdown")
    await ctx.artifact(
        "brief.json", json.dumps(result, ensure_ascii=False, indent=1), media_type="application/json"
    )
    ctx.progress("done", 100, result["headline"])
    return result


async def _sort(
    ctx: Context, items: list[Item], gaps: list[Gap], decisions: list[Decision], ask: bool
) -> list[tuple[Item, Literal["contract", "table"]]]:
    """What each file is; asks about those that don't show it."""
    plan: list[tuple[Item, Literal["contract", "table"]]] = []
    asked = 0
    for item in items:
        told = kind_of(item.name, item.file.media_type, item.head)
        if told.kind in ("contract", "table"):
            plan.append((item, told.kind))
        elif told.kind == "other":
            gaps.append(Gap(document=item.name, why=told.why))
        elif not ask or asked == MAX_QUESTIONS:
            gaps.append(Gap(document=item.name, why=f"it could not be told what it is: {told.why}"))
        else:
            asked += 1
            question = (
                f"What is {item.name}? I can't tell: {told.why}. Answer contract, table, or “{LEAVE_OUT}”."
            )
            answer = await ctx.ask(question, Literal["contract", "table", "leave out"])
            decisions.append(Decision(question=f"What is {item.name}?", answer=answer))
            if answer == LEAVE_OUT:
                gaps.append(Gap(document=item.name, why="it was left out, as answered"))
            else:
                plan.append((item, answer))
    return plan


async def _review(ctx: Context, item: Item, party: Party) -> tuple[Contract, list[Risk]] | Gap:
    try:
        # "unknown": the reviewer goes on without a law instead of asking; the planner asks, once, for all.
        review: Any = await ctx.call(
            "contract_reviewer", "review", contract=item.file, party=party, governing_law="unknown"
        )
        return contract_of(item.name, review)
    except (Problem, UnexpectedError) as error:
        return _gap(ctx, item, "contract_reviewer", error)


async def _analyse(ctx: Context, item: Item, focus: str) -> Table | Gap:
    try:
        analysis: Any = await ctx.call("data_analyst", "analyse", table=item.file, focus=focus)
        return table_of(item.name, analysis)
    except (Problem, UnexpectedError) as error:
        return _gap(ctx, item, "data_analyst", error)


def _gap(ctx: Context, item: Item, reader: str, error: Problem | UnexpectedError) -> Gap:
    why = error.sentence if isinstance(error, Problem) else str(error)
    ctx.log(f"{item.name}: {reader} failed: {why}", "warning")
    return Gap(document=item.name, why=f"{reader} could not read it: {why.rstrip('.')}")


async def _law(ctx: Context, contracts: list[Contract], decisions: list[Decision], ask: bool) -> str:
    """The law to prefer when contracts choose different ones; empty for none."""
    laws = laws_of(contracts)
    if len(laws) < 2 or not ask:
        return ""
    ctx.progress("asking", 80, "The contracts choose different governing laws")
    schema = {"type": "string", "title": "Governing law", "enum": [*laws, KEEP_EACH]}
    answer = str(await ctx.ask(law_question(laws), schema))
    decisions.append(
        Decision(question="Which governing law should the contracts be brought to?", answer=answer)
    )
    return "" if answer == KEEP_EACH else answer
