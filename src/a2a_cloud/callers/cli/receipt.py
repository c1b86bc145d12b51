"""`a2a receipt`: fetch a run's receipt and its place in the log, and verify receipts with the server off."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.answer import agent_of, task_view
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected, json_option, with_options
from a2a_cloud.callers.cli.runs import run_id_of, run_view
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.client.http import Platform, agent_path

if TYPE_CHECKING:
    from a2a_cloud.client.receipts import Step, Verdict
    from a2a_cloud.wire.jws import Jwk
    from a2a_cloud.wire.note import NoteKey

_AGENT = click.option(
    "--agent", default="", metavar="NAME", help="The run's agent, when it is of another organisation."
)
_ZIP = b"PK\x03\x04"
_STATES = {"ok": "ok", "failed": "FAILED", "unchecked": "-"}


@click.group("receipt")
def receipt_command() -> None:
    """Fetch and verify receipts of runs."""


async def path_of(platform: Platform, run: str, agent: str) -> str:
    """The path of a run below its agent."""
    run_id, of = await run_id_of(platform, run), agent
    if not of:
        view = await run_view(platform, run_id)
        of = str(view.get("agent", ""))
        if "." not in of and view.get("task_id"):  # the task knows the organisation too
            of = agent_of(await task_view(platform, str(view["task_id"])))
    return f"{agent_path(of)}/runs/{quote(run_id, safe='')}"


@receipt_command.command("get")
@connected
@click.argument("run", metavar="RUN|last")
@_AGENT
@click.option("--out", default="", metavar="FILE", help="Write it to FILE.")
@click.option(
    "--tree", default="", metavar="DIR", help="Write it, and those of all runs below it, into the folder DIR."
)
def get(options: Options, run: str, agent: str, out: str, tree: str) -> int:
    """Print the receipt of RUN, byte for byte as it was signed."""
    if tree:
        return _get_tree(options, run, agent, tree)

    async def fetch(platform: Platform) -> bytes:
        return await platform.bytes("GET", await path_of(platform, run, agent) + "/receipt")

    document = options.ask(fetch)
    if not out:
        put(document.decode("utf-8", "replace"), end="" if document.endswith(b"\n") else "\n")
        return int(Exit.OK)
    _write(Path(out).expanduser(), document)
    if options.json:
        put_json({"run": run, "file": out, "bytes": len(document)})
    _say_how(options, out)
    return int(Exit.OK)


def _get_tree(options: Options, run: str, agent: str, folder: str) -> int:
    from a2a_cloud.client.receipts import read_tree

    async def fetch(platform: Platform) -> bytes:
        return await platform.bytes("GET", await path_of(platform, run, agent) + "/receipts")

    try:
        found, more = read_tree(options.ask(fetch))
    except ValueError as error:
        raise Failure(Exit.FAILED, f"The platform's answer holds no receipts: {error}.") from None
    where = Path(folder).expanduser()
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{folder} can't be made: {error.strerror}.") from None
    files: list[str] = []
    for name, document in found:
        files.append(f"{name}.json")
        _write(where / files[-1], document)
    if options.json:
        put_json({"run": run, "folder": folder, "files": files, "more": more})
    else:
        for name in files:
            put(name)
    if more:
        say("The run called more than 1,000 others; the rest is not here.")
    _say_how(options, folder)
    return int(Exit.OK)


def _say_how(options: Options, what: str) -> None:
    say(f"wrote {clean_line(what)}; to verify it with the server off:")
    say(f"  curl -sS {options.target().url}/.well-known/jwks.json > jwks.json  # once, over a way you trust")
    say(f"  {options.command('receipt', 'verify', what, '--key', 'jwks.json')}")


@receipt_command.command("proof")
@connected
@click.argument("run", metavar="RUN|last")
@_AGENT
@click.option("--cose", is_flag=True, help="As a COSE receipt (RFC 9942); needs --out.")
@click.option("--out", default="", metavar="FILE", help="Write it to FILE.")
def proof(options: Options, run: str, agent: str, cose: bool, out: str) -> int:
    """Fetch the proof that RUN's receipt is in its organisation's log: a `.tlog-proof` file.

    `a2a receipt verify` takes it with --proof; so does every verifier of C2SP proofs.
    """
    if cose and not out:
        raise Failure(Exit.USAGE, "A COSE receipt is binary.", remedy="Give --out FILE.")

    async def fetch(platform: Platform) -> bytes:
        path = await path_of(platform, run, agent) + "/receipt/proof"
        return await platform.bytes("GET", path, params={"format": "cose"} if cose else None)

    document = options.ask(fetch)
    if not out:
        put(document.decode("utf-8", "replace"), end="")
        return int(Exit.OK)
    _write(Path(out).expanduser(), document)
    if options.json:
        put_json({"run": run, "file": out, "bytes": len(document)})
    say(f"wrote {clean_line(out)}")
    return int(Exit.OK)


@receipt_command.command("verify")
@json_option
@with_options
@click.argument("file", metavar="FILE|DIR|PACK|-")
@click.option(
    "--key",
    "jwks_file",
    default="",
    metavar="JWKS_FILE",
    help="The keys of the issuer that you trust, as /.well-known/jwks.json gives them.",
)
@click.option(
    "--fingerprint",
    "fingerprints",
    multiple=True,
    metavar="KID",
    help="Believe only keys with this RFC 7638 thumbprint; repeated at will. A pack's own keys do then.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="VKEY",
    help="A witness (name+id+key) that has to have cosigned; repeated at will.",
)
@click.option("--proof", "proof_file", default="", metavar="FILE", help="A .tlog-proof of the receipt.")
def verify(
    options: Options,
    file: str,
    jwks_file: str,
    fingerprints: Sequence[str],
    witnesses: Sequence[str],
    proof_file: str,
) -> int:
    """Verify a receipt, a folder of them, or a pack, offline, step by step.

    Exit code 0: valid; 7: consistent, signer not checked; 8: refused. A receipt can't vouch for its own
    signer: without --key the signature proves nothing.
    """
    from a2a_cloud.client import receipts

    keys: list[Jwk] | None = receipts.read_jwks(_read(jwks_file, "key file")) if jwks_file else None
    if keys is not None and fingerprints:
        keys = receipts.pinned(keys, fingerprints)
    known = [_witness(one) for one in witnesses]
    path = Path(file).expanduser()
    if proof_file and file != "-" and (path.is_dir() or _is_pack(path)):
        raise Failure(
            Exit.USAGE, "A proof is of one receipt.", remedy="Name the file of that receipt beside --proof."
        )
    if file != "-" and path.is_dir():
        return _folder(options, path, _keyed(keys, fingerprints), known)
    if file != "-" and _is_pack(path):
        from a2a_cloud.callers.cli.pack import verify_file

        return verify_file(options, path, keys, fingerprints, known)
    document = _read(file, "receipt")
    text = _read(proof_file, "proof").decode("utf-8", "replace") if proof_file else ""
    verdict = receipts.verify(document, _keyed(keys, fingerprints), witnesses=known, proof=text)
    code = Exit(verdict.exit_code)
    if options.json:
        put_json({**receipts.shown(verdict, document), "exit": int(code)})
        return int(code)
    put(clean_line(verdict.sentence))
    put_steps(verdict.steps, document, "" if file == "-" else file)
    _last_words(verdict)
    return int(code)


def _folder(options: Options, path: Path, keys: list[Jwk] | None, witnesses: Sequence[NoteKey]) -> int:
    from a2a_cloud.client import receipts

    try:
        found = receipts.verify_folder(path, keys, witnesses=witnesses)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{path} holds no tree of receipts: {error}.") from None
    except OSError as error:
        raise Failure(Exit.USAGE, f"{error.filename} can't be read: {error.strerror}.") from None
    code = Exit(max(verdict.exit_code for verdict in found.values()))
    if options.json:
        shown = [
            {"file": name, **receipts.shown(verdict, receipts.read(path / name))}
            for name, verdict in found.items()
        ]
        put_json({"verdict": receipts.Outcome(int(code)).name.lower(), "receipts": shown, "exit": int(code)})
        return int(code)
    for name, verdict in found.items():
        put(f"{clean_line(name)}: {clean_line(verdict.sentence)}")
        put_steps(verdict.steps, receipts.read(path / name), str(path / name))
    refused = sum(verdict.exit_code == Exit.REFUSED_RECEIPT for verdict in found.values())
    put(f"{len(found)} receipts, {refused} refused")
    _last_words(next(iter(found.values())))
    return int(code)


def put_steps(steps: Sequence[Step], document: bytes | None = None, file: str = "") -> None:
    """One line for each step; for a failed one the place in `file`, whose bytes `document` are."""
    from a2a_cloud.client.receipts import position

    for step in steps:
        why = step.why
        if step.state == "unchecked":
            why = f"not checkable: {why}"
        elif step.state == "failed":
            where = position(document, step) if document is not None else None
            named = [
                *([f"{file}:{where[0]}:{where[1]}"] if where is not None else ()),
                *([step.at] if step.at else ()),
            ]
            why += f" ({', '.join(named)})" if named else ""
        put(f"  {_STATES[step.state]:7}{step.name:18}{clean_line(why)}".rstrip())


def _last_words(verdict: Verdict) -> None:
    from a2a_cloud.client.receipts import Outcome

    for note in verdict.notes:
        put(clean_line(note))
    if verdict.outcome is Outcome.UNCHECKED:
        say("To check the signer give the issuer's keys: --key JWKS_FILE (from its /.well-known/jwks.json)")


def _keyed(keys: list[Jwk] | None, fingerprints: Sequence[str]) -> list[Jwk] | None:
    if fingerprints and keys is None:
        raise Failure(
            Exit.USAGE,
            "A receipt holds no key, so there is none that a fingerprint could vouch for.",
            remedy="Give the keys too: --key JWKS_FILE.",
        )
    return keys


def _witness(text: str) -> NoteKey:
    from a2a_cloud.client.receipts import NoteError, read_vkey

    try:
        return read_vkey(text)
    except NoteError as error:
        raise Failure(
            Exit.USAGE, f"{text[:80]!a} is no key of a witness: {error}.", remedy="Write name+id+base64."
        ) from None


def _is_pack(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == _ZIP
    except OSError:
        return False


def _read(file: str, what: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Failure(Exit.USAGE, f"The {what} {file} can't be read: {error.strerror}.") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{path} can't be written: {error.strerror}.") from None
