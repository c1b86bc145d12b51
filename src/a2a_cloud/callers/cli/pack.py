"""`a2a pack`: receipts of runs and all that belongs to them in one file, which anybody checks with the server
off (docs/packs.md). Checking one is `a2a receipt verify PACK`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.runs import run_id_of
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.callers.cli.units import count, since, size, written
from a2a_cloud.client.http import Platform

if TYPE_CHECKING:
    from a2a_cloud.wire.jws import Jwk
    from a2a_cloud.wire.note import NoteKey
    from a2a_cloud.wire.pack import PackVerdict

#: Seconds between two lines that say how far it is.
_TELL = 2.0
#: Files of a pack whose steps are printed one by one; the others are counted.
_SHOWN = 20


@click.command("pack")
@connected
@click.argument("runs", metavar="RUN…|last", nargs=-1)
@click.option("--from", "start", default="", metavar="TIME", help="All runs from then on (2026-10-01, 7d).")
@click.option("--to", "end", default="", metavar="TIME", help="All runs accepted before then.")
@click.option("--agent", default="", metavar="NAME", help="Only runs of this agent.")
@click.option("--cose", is_flag=True, help="With COSE receipts (RFC 9942) beside the log's proofs.")
@click.option("--output", "-o", default="", metavar="FILE", help="Write it to FILE. [pack-TIME.zip]")
def pack_command(
    options: Options, runs: Sequence[str], start: str, end: str, agent: str, cose: bool, output: str
) -> int:
    """Make one file of RUNs, or of all within a time, for an auditor.

    Receipts, proofs, grants, approvals, reviews, evals, what the releases are made of, a page to read and a
    page that checks. Who may read runs and the audit log gets all of the organisation's, others their own.
    """
    if bool(runs) == bool(start or end):
        raise Failure(
            Exit.USAGE,
            "A pack is of runs that are named, or of all within a time.",
            remedy="Write `a2a pack RUN…`, or `a2a pack --from 2026-10-01 --to 2026-11-01`.",
        )
    wanted: dict[str, Any] = {"agent": agent, "cose": cose}
    for name, word in (("from", start), ("to", end)):
        if word:
            wanted[name] = written(since(word, f"--{name}"))
    path = Path(output or f"pack-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip").expanduser()
    if path.is_dir():
        raise Failure(
            Exit.USAGE, f"{path} is a folder.", remedy=f"Name a file: --output {path / 'pack.zip'}."
        )
    aside = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            skipped = options.ask(lambda platform: _fetch(platform, runs, wanted, file))
            file.flush()
            os.fsync(file.fileno())
        found = _whole(aside)
        aside.replace(path)
    except OSError as error:
        remedy = "Name a file that you may write to."
        raise Failure(Exit.FAILED, f"{path} can't be written: {error.strerror}.", remedy=remedy) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
    manifest = found.manifest
    assert manifest is not None
    facts = {"runs": manifest.runs, "files": len(manifest.files), "bytes": path.stat().st_size}
    if options.json:
        put_json({"file": str(path), **facts, "view": manifest.view, "skipped": skipped})
        return int(Exit.OK)
    told = f"{count(manifest.runs, 'run')}, {len(manifest.files)} files, {size(facts['bytes'])}"
    put(clean_line(f"{path}: {told}"))
    if skipped:
        say(f"{count(skipped, 'run')} of that time had not ended, and are not in it.")
    if manifest.view == "own":
        say("These are your own runs, without what the agents did inside.")
    say("To check it with the server off:")
    say(f"  curl -sS {options.target().url}/.well-known/jwks.json > jwks.json  # once, over a way you trust")
    say(f"  {options.command('receipt', 'verify', str(path), '--key', 'jwks.json')}")
    return int(Exit.OK)


async def _fetch(platform: Platform, runs: Sequence[str], wanted: dict[str, Any], out: BinaryIO) -> int:
    """Writes the pack to `out`; gives how many runs of the time had not ended."""
    import msgspec

    body = {**wanted, "runs": [await run_id_of(platform, run) for run in runs]}
    headers = {"Content-Type": "application/json"}
    data = msgspec.json.encode(body)
    # The first byte comes when the log has been looked through.
    async with platform.open("POST", "/api/v1/packs", headers=headers, data=data, silence=600) as response:
        of = response.headers.get("A2A-Pack-Runs", "?")
        told, done = time.monotonic(), 0
        async for piece in response.content.iter_chunked(1 << 18):
            out.write(piece)
            done += len(piece)
            if sys.stderr.isatty() and time.monotonic() - told > _TELL:
                told = time.monotonic()
                say(f"{size(done)} so far, of {of} runs")
        return int(response.headers.get("A2A-Pack-Skipped", "0"))


def _whole(path: Path) -> PackVerdict:
    """What is in the pack that was written. Raises Failure when it is not whole."""
    from a2a_cloud.wire.pack import verify_pack

    found = verify_pack(path)
    if found.manifest is None:
        raise Failure(
            Exit.FAILED,
            f"What the platform sent is no whole pack: {found.sentence}.",
            remedy="Try again; the platform's log says more.",
        )
    return found


def verify_file(
    options: Options,
    path: Path,
    keys: list[Jwk] | None,
    fingerprints: Sequence[str],
    witnesses: Sequence[NoteKey],
) -> int:
    """`a2a receipt verify PACK`: its exit code. Without keys but with fingerprints, those of the pack's own
    keys count that have one of these."""
    from a2a_cloud.callers.cli.receipt import put_steps
    from a2a_cloud.client.receipts import read_jwks
    from a2a_cloud.wire.pack import own_keys, verify_pack

    try:
        if keys is None and fingerprints:
            from a2a_cloud.client.receipts import pinned

            keys = pinned(read_jwks(own_keys(path)), fingerprints)
        found = verify_pack(path, keys, witnesses)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{path} can't be read: {error.strerror}.") from None
    code = Exit(found.exit_code)
    if options.json:
        put_json(
            {
                "verdict": found.outcome.name.lower(),
                "file": found.file,
                "reason": found.reason,
                "files": [
                    {
                        "file": each.file,
                        "steps": [
                            {"name": step.name, "state": step.state, "why": step.why, "at": step.at}
                            for step in each.steps
                        ],
                    }
                    for each in found.files
                ],
                "exit": int(code),
            }
        )
        return int(code)
    put(clean_line(found.sentence))
    whole, *files = found.files
    put_steps(whole.steps)
    bad = [each for each in files if each.failure is not None]
    shown = [*bad, *(each for each in files if each.failure is None)][: max(_SHOWN, len(bad))]
    for each in shown:
        put(clean_line(each.file))
        put_steps(each.steps)
    if len(shown) < len(files):
        put(f"and {len(files) - len(shown)} further files, none of which failed (--json has them all)")
    if code is Exit.SIGNER_UNCHECKED:
        say("To check the signer give the issuer's keys: --key JWKS_FILE (from its /.well-known/jwks.json)")
    return int(code)
