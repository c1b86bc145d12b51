"""`a2a review` and `a2a reviews`: sign a verdict on a run, and see what was said."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import run_id_of, run_view
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text


@click.command("review")
@connected
@click.argument("run", metavar="RUN|last")
@click.argument("verdict", type=click.Choice(("approve", "reject")))
@click.option("--notes", default="", metavar="TEXT|-", help="What to say of it (-: from standard input).")
def review_command(options: Options, run: str, verdict: str, notes: str) -> int:
    """Approve or reject what RUN did, and sign that with the key that comes of your API key.

    Signed in without an API key, the platform signs on your behalf, and the review says so.
    """
    said = sys.stdin.read().strip() if notes == "-" else notes
    made = options.ask(lambda platform: _review(platform, run, verdict, said))
    if options.json:
        put_json(made)
        return int(Exit.OK)
    signed = "the platform on your behalf" if made.get("signed_by") == "platform" else "your key"
    say(clean_line(f"{verdict}: {made.get('run')}, signed by {signed} ({made.get('id')})"))
    return int(Exit.OK)


async def _review(platform: Platform, run: str, verdict: str, notes: str) -> dict[str, Any]:
    run_id = await run_id_of(platform, run)
    key = platform.target.key
    if platform.target.signed_in is not None or not key:
        body: dict[str, Any] = {"run": run_id, "verdict": verdict, "notes": notes}
        return obj(await platform.json("POST", "/api/v1/reviews", body=body))
    who = obj(await platform.json("GET", "/api/v1/whoami"))
    receipt = text((await run_view(platform, run_id)).get("receipt_id"))
    if not receipt:
        raise Failure(Exit.TRY_LATER, f"Run {run_id} has not ended.", remedy="Review it when it has.")
    document = _signed(key, f"{who.get('principal')}@{who.get('org')}", run_id, receipt, verdict, notes)
    return obj(await platform.json("POST", "/api/v1/reviews", body={"run": run_id, "document": document}))


def _signed(key: str, by: str, run_id: str, receipt: str, verdict: str, notes: str) -> Any:
    """The document, signed here: the platform never signs for who has a key."""
    import secrets
    import time

    import msgspec

    from a2a_cloud.model.stamp import stamp
    from a2a_cloud.wire.review import Notes, ReviewError, sign, signing_key

    try:
        document = sign(
            signing_key(key),
            receipt_id=receipt,
            run_id=run_id,
            verdict=verdict,
            by=by,
            at=stamp(time.time()),
            key_id=key.split("_")[1] if key.count("_") > 1 else "",
            notes=Notes(secrets.token_hex(16), notes) if notes else None,
        )
    except ReviewError as error:
        raise Failure(Exit.USAGE, f"{error}.") from None
    return msgspec.to_builtins(document)


@click.command("reviews")
@connected
@click.argument("run", required=False, default="", metavar="[RUN|last|REVIEW]")
@click.option("--agent", default="", metavar="NAME", shell_complete=agent_names, help="Of this agent's runs.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@click.option("--before", default="", metavar="REVIEW", help="Those before that review.")
def reviews_command(options: Options, run: str, agent: str, limit: int, before: str) -> int:
    """List what people said of RUN, or of an agent's runs; or show one review as it was signed.

    Each signature is checked here. REVIEW alone prints the document, which verifies by itself.
    """

    async def look(platform: Platform) -> dict[str, Any]:
        if run.startswith("review_"):
            return obj(await platform.json("GET", f"/api/v1/reviews/{quote(run, safe='')}"))
        params = {"agent": agent, "limit": str(limit), "before": before}
        if run:
            params = {"run": await run_id_of(platform, run)}
        sent = {name: value for name, value in params.items() if value}
        return obj(await platform.json("GET", "/api/v1/reviews", params=sent))

    found = options.ask(look)
    if run.startswith("review_"):
        put_json(found if options.json else found.get("document"))
        return int(Exit.OK)
    if options.json:
        put_json(found)
        return int(Exit.OK)
    rows = objs(found.get("reviews"))
    if not rows:
        say("No reviews.")
        return int(Exit.OK)
    table(
        ("REVIEW", "RUN", "VERDICT", "BY", "AT", "SIGNED BY", "SIGNATURE"),
        [
            (
                each.get("id", ""),
                each.get("run", ""),
                each.get("verdict", ""),
                text(each.get("by")) + (" (own run)" if each.get("own_run") else ""),
                each.get("at", ""),
                text(each.get("key_id")) or "the platform",
                _holds(each),
            )
            for each in rows
        ],
    )
    for each in rows:
        if each.get("notes"):
            put(clean_line(f"{each.get('id', '')}: {each['notes']}"))
        elif each.get("notes_erased"):
            put(clean_line(f"{each.get('id', '')}: its notes were erased"))
    return int(Exit.OK)


def _holds(review: dict[str, Any]) -> str:
    """Whether the signature of a review holds, and what is shown beside it is what was signed."""
    import json

    from a2a_cloud.wire.review import ReviewError, read_review, verify_review

    try:
        document = read_review(json.dumps(review.get("document")).encode())
        checked = verify_review(document, receipt_id=text(review.get("receipt")))
    except ReviewError as error:
        return f"refused: {error}"
    said = checked.statement
    signed = {"run": said.run_id, "verdict": said.verdict, "by": said.by, "notes": checked.notes}
    signed["key_id"] = said.key_id or None
    for name, value in signed.items():
        if (review.get(name) or None) != value:
            return f"refused: another {name} was signed"
    return "holds"
