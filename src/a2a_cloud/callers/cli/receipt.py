"""`a2a receipt`: fetch a run's receipt, and verify one with the server off."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.answer import agent_of, task_view
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected, json_option, with_options
from a2a_cloud.callers.cli.runs import run_id_of, run_view
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.http import Platform, agent_path


@click.group("receipt")
def receipt_command() -> None:
    """Fetch and verify receipts of runs."""


@receipt_command.command("get")
@connected
@click.argument("run", metavar="RUN|last")
@click.option(
    "--agent", default="", metavar="NAME", help="The run's agent, when it is of another organisation."
)
@click.option("--out", default="", metavar="FILE", help="Write it to FILE.")
def get(options: Options, run: str, agent: str, out: str) -> int:
    """Print the receipt of RUN, byte for byte as it was signed."""

    async def fetch(platform: Platform) -> bytes:
        run_id, of = await run_id_of(platform, run), agent
        if not of:
            view = await run_view(platform, run_id)
            of = str(view.get("agent", ""))
            if "." not in of and view.get("task_id"):  # the task knows the organisation too
                of = agent_of(await task_view(platform, str(view["task_id"])))
        return await platform.bytes("GET", f"{agent_path(of)}/runs/{quote(run_id, safe='')}/receipt")

    document = options.ask(fetch)
    if not out:
        put(document.decode("utf-8", "replace"), end="" if document.endswith(b"\n") else "\n")
        return int(Exit.OK)
    try:
        Path(out).expanduser().write_bytes(document)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{out} can't be written: {error.strerror}.") from None
    if options.json:
        put_json({"run": run, "file": out, "bytes": len(document)})
    say(f"wrote {clean_line(out)}; to verify it with the server off:")
    say(f"  curl -sS {options.target().url}/.well-known/jwks.json > jwks.json  # once, over a way you trust")
    say(f"  {options.command('receipt', 'verify', out, '--key', 'jwks.json')}")
    return int(Exit.OK)


@receipt_command.command("verify")
@json_option
@with_options
@click.argument("file", metavar="FILE|-")
@click.option(
    "--key",
    "jwks_file",
    default="",
    metavar="JWKS_FILE",
    help="The keys of the issuer that you trust, as /.well-known/jwks.json gives them.",
)
def verify(options: Options, file: str, jwks_file: str) -> int:
    """Verify a receipt offline. Exit code 0: valid; 7: consistent, signer not checked; 8: refused.

    A receipt can't vouch for its own signer: without --key the signature proves nothing.
    """
    from a2a_cloud.wire import jws
    from a2a_cloud.wire.proof import Outcome, verify_receipt

    document = _read(file, "receipt")
    keys = jws.read_jwks(_read(jwks_file, "key file")) if jwks_file else None
    verdict = verify_receipt(document, keys)
    code = {
        Outcome.VALID: Exit.OK,
        Outcome.UNCHECKED: Exit.SIGNER_UNCHECKED,
        Outcome.REFUSED: Exit.REFUSED_RECEIPT,
    }[verdict.outcome]
    if options.json:
        put_json(
            {
                "verdict": verdict.outcome.name.lower(),
                "reason": verdict.reason,
                "receipt_id": verdict.receipt_id,
                "issuer_kid": verdict.issuer_kid,
                "checked": list(verdict.checked),
                "notes": list(verdict.notes),
                "exit": int(code),
            }
        )
        return int(code)
    put(clean_line(verdict.sentence))
    for note in verdict.notes:
        put(clean_line(note))
    if verdict.checked:
        say(f"checked: {', '.join(verdict.checked)}")
    if verdict.outcome is Outcome.UNCHECKED:
        say("To check the signer give the issuer's keys: --key JWKS_FILE (from its /.well-known/jwks.json)")
    return int(code)


def _read(file: str, what: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Failure(Exit.USAGE, f"The {what} {file} can't be read: {error.strerror}.") from None
