"""The contract reviewer's skill. What it knows of contracts lies in contract_reviewer_agent; here it meets
the platform.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

from contract_reviewer_agent.law import named_law
from contract_reviewer_agent.report import markdown
from contract_reviewer_agent.review import Party, Review, analyse, judge, needs_law
from contract_reviewer_agent.source import MAX_BYTES, Source, UnreadableError, read_bytes, read_text
from contract_reviewer_agent.wishes import wishes

from a2a_cloud import Agent, Context, File, Refuse

agent = Agent("contract_reviewer")

# The union with a literal says what "unknown" does, and keeps this parameter from being filled by a
# message's free text.
Law = str | Literal["unknown"] | None

QUESTION = (
    "Which law governs this contract? It names none. Answer with a state or country, such as Delaware"
    " or England, or with"
    " “unknown” to go on without."
)
ANSWER = {"type": "string", "title": "Governing law", "minLength": 2, "maxLength": 100}


@agent.skill(
    name="Review a contract",
    tags=["contracts", "legal", "review", "redline", "risk"],
    examples=[
        "Review this contract.",
        "Review the attached NDA for the customer, under Delaware law.",
        '{"skill": "review", "arguments": {"governing_law": "England", "party": "customer"}} with a PDF',
    ],
    input_modes=["text/plain", "text/markdown", "application/pdf", "text/html", "application/octet-stream"],
    output_modes=["application/json", "text/markdown", "text/plain"],
    timeout=180.0,
    idempotent=True,
    durable=True,
)
async def review(
    ctx: Context,
    contract: File | None = None,
    text: Annotated[
        str, "The contract as text, when it isn't a file; beside a file, a wish such as “for the customer”."
    ] = "",
    governing_law: Law = None,
    party: Party = "neutral",
) -> Review:
    """Find a contract's clauses, grade their risk with reasons, and propose redlines.

    Reads English contracts as text, Markdown or PDF and looks for liability, indemnity, termination,
    renewal, governing law, confidentiality, intellectual property, payment and data protection. Every
    finding quotes its source with offsets. Makes a Markdown report and a JSON artifact. Asks for the
    governing law when it is neither given nor named in the contract.

    Args:
        contract: The contract: plain text, Markdown or a PDF with a text layer, up to 20 MB.
        text: The contract as text, when it isn't sent as a file.
        governing_law: A state or country, such as Delaware; "unknown" goes on without and doesn't ask.
        party: Whose side to take: customer (pays or receives: client, tenant, employer, licensee),
            provider (supplies: vendor, landlord, employee, consultant), or neutral.
    """
    ctx.progress("reading", 5, "Reading the contract")
    source = await _source(contract, text)
    if contract is not None:
        wished = wishes(text)
        governing_law, party = governing_law or wished.law, wished.party if party == "neutral" else party
    ctx.progress("finding", 25, f"Looking for clauses in {len(source.text):,} characters")
    analysis = await asyncio.to_thread(analyse, source)
    answer: str | None = None
    if governing_law != "unknown" and needs_law(analysis, governing_law):
        ctx.progress("asking", 45, "The governing law isn't named")
        answer = str(await ctx.ask(QUESTION, ANSWER))
    ctx.progress("grading", 60, f"Grading {len(analysis.found)} clauses")
    result = await asyncio.to_thread(judge, analysis, governing_law, party, named_law(answer) or None)
    ctx.progress("writing", 85, "Writing the report")
    await ctx.artifact("report.md", markdown(result), media_type="text/markdown")
    await ctx.artifact(
        "review.json", json.dumps(result, ensure_ascii=False, indent=1), media_type="application/json"
    )
    if source.kind == "pdf":  # what the offsets count in
        await ctx.artifact("source.txt", source.text, media_type="text/plain")
    ctx.progress("done", 100, f"{len(result['findings'])} findings, {len(result['missing'])} clauses missing")
    return result


async def _source(contract: File | None, text: str) -> Source:
    """The contract's text, or a refusal that says what to do."""
    try:
        if contract is None:
            return read_text(text)
        if contract.size > MAX_BYTES:
            raise UnreadableError(
                f"The file is larger than {MAX_BYTES >> 20} MB. Send the contract without its annexes."
            )
        data = await contract.aread()
        return await asyncio.to_thread(read_bytes, data, contract.media_type, contract.name)
    except UnreadableError as error:
        raise Refuse(str(error)) from None
