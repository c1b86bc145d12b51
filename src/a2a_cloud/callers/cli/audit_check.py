"""`a2a audit verify`, `consistency` and `key`: check a log, on a platform or in a folder, without trusting
who keeps it (docs/audit-log.md)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import Progress, clean_line, put, put_json, say

if TYPE_CHECKING:
    from a2a_cloud.client.http import Platform
    from a2a_cloud.client.log_memory import LogMemory
    from a2a_cloud.client.log_source import PlatformLog, SavedLog
    from a2a_cloud.client.log_walk import Damage
    from a2a_cloud.wire.note import Checkpoint, Note, NoteKey

_KEYS = "Keys of the log that you trust: a VKEY, or a file with one a line or with a JWK set; repeat it."


class _Refused(Exception):
    """The log is not what it should be. `code` is the exit code; `facts` are for programs."""

    def __init__(self, code: Exit, why: str, **facts: Any) -> None:
        self.code, self.why, self.facts = code, why, facts
        super().__init__(why)


class _Shown(NamedTuple):
    """A checkpoint with who signed it."""

    signed: bytes
    checkpoint: Checkpoint
    note: Note
    by: list[NoteKey]


@dataclass
class _Wanted:
    """What the command line said."""

    options: Options
    org: str
    keys: tuple[str, ...]
    witnesses: list[NoteKey]
    folder: str
    save: str
    forget: bool


@click.command("verify")
@connected
@click.option(
    "--org", default="", metavar="ORG", help="Whose log: yours without it, _platform the platform's."
)
@click.option("--key", "keys", multiple=True, metavar="VKEY|FILE", help=_KEYS)
@click.option(
    "--witness", "witnesses", multiple=True, metavar="VKEY", help="A witness that must have seen it."
)
@click.option("--from-dir", "folder", default="", metavar="DIR", help="Check a saved log, with no platform.")
@click.option("--save", default="", metavar="DIR", help="Save all that is fetched in this folder.")
@click.option("--forget", is_flag=True, help="Forget what was seen of this log before (a copy was put back).")
def verify_command(
    options: Options,
    org: str,
    keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    folder: str,
    save: str,
    forget: bool,
) -> int:
    """Walk the whole log: every hash, every entry. Exit code 0: whole, and signed by a key that you trust;
    7: whole, signer not checked; 8: damaged, and where; 11: not the log that was seen here before.

    Keys that were given once are remembered with the last checkpoint.
    """
    if folder and save:
        raise click.UsageError(
            "A log that is read from a folder is saved already: give --from-dir or --save."
        )
    wanted = _Wanted(options, org, keys, [_vkey(each) for each in witnesses], folder, save, forget)
    progress = Progress(quiet=options.json)
    try:
        if folder:
            from a2a_cloud.client.log_source import SavedLog

            told = asyncio.run(_verify(wanted, SavedLog(Path(folder).expanduser()), progress, org))
        else:
            told = options.ask(lambda platform: _verify_at(wanted, platform, progress))
    except _Refused as refusal:
        progress.clear()
        return _refuse(options, refusal)
    progress.clear()
    code = Exit.OK if told["signed_by"] else Exit.SIGNER_UNCHECKED
    if options.json:
        put_json({**told, "exit": int(code)})
        return int(code)
    what = f": {told['receipts']} receipts, {told['events']} events" if told["opened"] else ""
    put(clean_line(f"{told['entries']} entries of {told['origin']} are whole{what}"))
    for vkey in told["signed_by"]:
        put(clean_line(f"signed by {vkey}"))
    for seen in told["witnesses"]:
        put(clean_line(f"witnessed by {seen['name']} at {seen['size']} entries, {seen['at']}"))
    if told["before"] is not None:
        put(f"goes on from the {told['before']} entries that were seen here before")
    if not told["opened"]:
        say("What the entries are of was not checked: the folder has no opened/.")
    if code is Exit.SIGNER_UNCHECKED:
        say("The signer was not checked: give the log's key, from elsewhere than the log: --key VKEY")
    return int(code)


async def _verify_at(wanted: _Wanted, platform: Platform, progress: Progress) -> dict[str, Any]:
    from a2a_cloud.client.log_source import PlatformLog

    org = wanted.org or await _own_org(platform)
    save = Path(wanted.save).expanduser() if wanted.save else None
    try:
        return await _verify(wanted, PlatformLog(platform, org, save), progress, org)
    except OSError as error:
        if save is None:
            raise
        raise Failure(Exit.USAGE, f"{wanted.save} can't be written: {error.strerror}.") from None


async def _verify(
    wanted: _Wanted, source: PlatformLog | SavedLog, progress: Progress, org: str
) -> dict[str, Any]:
    """Everything that holds of the log of `org`, "" for whichever is there. Raises _Refused."""
    from a2a_cloud.client.log_walk import Damage, Walk

    try:
        shown = _read(await source.checkpoint())
        _of(shown.checkpoint, org)
        memory = _memory(shown, wanted.forget)
        keys = _keys(wanted.keys, shown.checkpoint.origin) or memory.keys
        shown = _signed(shown, keys)
        before = await _goes_on(source, memory, shown)
        witnesses = await _witnessed(source, shown, wanted.witnesses)
        size = shown.checkpoint.size

        def told(done: int) -> None:
            progress.show(f"{done} of {size} entries")

        walk = Walk(source, shown.checkpoint, told)
        await walk.run()
    except Damage as damage:
        raise _damaged(damage) from None
    try:
        memory.keep(shown.signed, [key for key in keys if key in shown.by] or memory.keys)
    except OSError as error:
        progress.clear()
        raise _unkept(f"The log is whole, but {memory.path} can't be written", error) from None
    return {
        "verdict": "valid" if shown.by else "signer_unchecked",
        "origin": shown.checkpoint.origin,
        "entries": size,
        "root": shown.checkpoint.root.hex(),
        "receipts": walk.receipts,
        "events": walk.events,
        "opened": walk.receipts + walk.events == size,
        "signed_by": [key.vkey for key in shown.by],
        "witnesses": witnesses,
        "before": before,
    }


def _read(signed: bytes) -> _Shown:
    from a2a_cloud.wire.note import NoteError, read_checkpoint

    try:
        checkpoint, note = read_checkpoint(signed)
    except NoteError as error:
        raise _Refused(
            Exit.REFUSED_RECEIPT, f"checkpoint: it is damaged: {error}", path="checkpoint"
        ) from None
    return _Shown(signed, checkpoint, note, [])


def _of(checkpoint: Checkpoint, org: str) -> None:
    """Raises _Refused for the checkpoint of another log: who may sign several could show one for another."""
    if org and not checkpoint.origin.endswith(f"/log/{org}"):
        why = f"checkpoint: it is of the log {checkpoint.origin}, not of one of {org}"
        raise _Refused(Exit.REFUSED_RECEIPT, why, path="checkpoint")


def _signed(shown: _Shown, keys: Sequence[NoteKey]) -> _Shown:
    """With the keys that signed it. Raises _Refused when there are keys, and none of them did."""
    by = [key for key in keys if shown.note.verified_by(key)]
    if keys and not by:
        there = ", ".join(f"{each.name}+{each.id.hex()}" for each in shown.note.signatures)
        raise _Refused(
            Exit.REFUSED_RECEIPT,
            f"checkpoint: none of the keys that you trust signed it (it is signed by {there}). If the log's"
            " key was changed, get the new one over a way that you trust: --key VKEY",
            path="checkpoint",
        )
    return shown._replace(by=by)


def _memory(shown: _Shown, forget: bool) -> LogMemory:
    from a2a_cloud.client.log_memory import LogMemory

    try:
        memory = LogMemory(shown.checkpoint.origin, os.environ)
        if forget:
            memory.forget()
    except ValueError as error:
        raise Failure(
            Exit.FAILED, f"{error}.", remedy="Take the file away: then nothing is remembered."
        ) from None
    except OSError as error:
        raise _unkept(f"What was seen of the log before, {error.filename}, can't be used", error) from None
    return memory


def _unkept(what: str, error: OSError) -> Failure:
    return Failure(
        Exit.FAILED,
        f"{what}: {error.strerror or error}.",
        remedy="Look at its owner and mode, or set XDG_STATE_HOME to a folder that you may write to.",
    )


async def _goes_on(source: PlatformLog | SavedLog, memory: LogMemory, shown: _Shown) -> int | None:
    """The size that was seen before, once it is clear that the log goes on from it. Raises _Refused."""
    if not memory.checkpoint:
        return None
    before = _read(memory.checkpoint).checkpoint
    now = shown.checkpoint
    facts = {"before": before.size, "kept": str(memory.path)}
    told = f"{before.size} entries with the root {before.root.hex()} were seen here before"
    if now.size < before.size:
        why = f"the log shrank to {now.size} entries: {told}"
        if isinstance(source, _saved()):
            why += " (an older copy of it is no harm: look at it with --forget)"
        raise _Refused(Exit.FORKED, why, **facts)
    await _consistent(source, before, now, f"the log was forked: {told}", facts)
    return before.size


async def _consistent(
    source: PlatformLog | SavedLog, old: Checkpoint, new: Checkpoint, why: str, facts: dict[str, Any]
) -> None:
    from a2a_cloud.wire.merkle import ProofError, verify_consistency

    proof: list[bytes] = []
    try:
        if old.size not in (0, new.size):
            proof = await source.consistency(old.size, new.size)
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    except ProofError as error:
        raise _Refused(Exit.FORKED, f"{why}; {error}", **facts) from None
    except ValueError as error:
        raise _Refused(Exit.REFUSED_RECEIPT, f"consistency: {error}", **facts) from None


async def _witnessed(
    source: PlatformLog | SavedLog, shown: _Shown, witnesses: Sequence[NoteKey]
) -> list[dict[str, Any]]:
    """What the witnesses have seen, which has to be the beginning of what is shown. Raises _Refused."""
    from a2a_cloud.model.stamp import stamp

    found: list[dict[str, Any]] = []
    late: _Shown | None = None
    for key in witnesses:
        seen, at = shown, shown.note.cosigned_at(key)
        if at is None:
            late = late or await _late(source, shown)
            seen, at = late, late.note.cosigned_at(key)
        if at is None:
            raise _Refused(Exit.REFUSED_RECEIPT, f"checkpoint: the witness {key.name} has not cosigned it")
        why = f"the log was forked: the witness {key.name} has seen another tree"
        await _consistent(source, seen.checkpoint, shown.checkpoint, why, {"witness": key.name})
        found.append({"name": key.name, "size": seen.checkpoint.size, "at": stamp(at)})
    return found


async def _late(source: PlatformLog | SavedLog, shown: _Shown) -> _Shown:
    """The last checkpoint that any witness has seen."""
    from a2a_cloud.client.errors import ServerProblem

    try:
        found = _read(await source.checkpoint(witnessed=True))
    except ServerProblem as problem:
        raise _Refused(Exit.REFUSED_RECEIPT, f"checkpoint: {problem.detail}") from None
    if found.checkpoint.origin != shown.checkpoint.origin:
        raise _Refused(Exit.REFUSED_RECEIPT, "checkpoint: the witnessed one is of another log")
    return found


@click.command("consistency")
@connected
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False, default="")
@click.option(
    "--org", default="", metavar="ORG", help="Whose log: yours without it, _platform the platform's."
)
@click.option("--key", "keys", multiple=True, metavar="VKEY|FILE", help=_KEYS)
@click.option(
    "--proof", "proof_file", default="", metavar="FILE", help="A consistency proof, with no platform."
)
@click.option(
    "--from-dir", "folder", default="", metavar="DIR", help="Make it of a saved log, with no platform."
)
def consistency_command(
    options: Options, old: str, new: str, org: str, keys: tuple[str, ...], proof_file: str, folder: str
) -> int:
    """Check that the log of OLD is the beginning of that of NEW: each a file with a checkpoint, or a size.

    Without NEW: the log as it is now. Exit code 0: it is; 7: it is, signer not checked; 11: it is not.
    """
    if proof_file and folder:
        raise click.UsageError("Give --proof or --from-dir, not both.")
    try:
        if folder or proof_file:
            told = asyncio.run(_compare(_Given(folder, proof_file), old, new, keys, org))
        else:
            told = options.ask(lambda platform: _compare_at(platform, org, old, new, keys))
    except _Refused as refusal:
        return _refuse(options, refusal)
    code = Exit.OK if told["signed"] else Exit.SIGNER_UNCHECKED
    if options.json:
        put_json({**told, "exit": int(code)})
        return int(code)
    put(f"the first {told['old']} entries are the beginning of the {told['new']}")
    if code is Exit.SIGNER_UNCHECKED:
        say("Who signed was not checked: give checkpoints as OLD and NEW, and the log's key: --key VKEY")
    return int(code)


class _Given:
    """A proof, or a folder that one is made of."""

    def __init__(self, folder: str, proof_file: str) -> None:
        from a2a_cloud.client.log_source import SavedLog

        self.saved = SavedLog(Path(folder).expanduser()) if folder else None
        self._proof = proof_file

    async def roots(
        self, old: int, new: int | None
    ) -> tuple[list[bytes], tuple[int, bytes], tuple[int, bytes]]:
        """See PlatformLog.roots. Raises _Refused, ValueError."""
        from a2a_cloud.client.log_source import read_consistency

        if self.saved is None:
            try:
                found = read_consistency(json.loads(_bytes(self._proof, "proof")))
            except ValueError as error:
                raise Failure(Exit.USAGE, f"The proof {self._proof} can't be used: {error}.") from None
            if found[1][0] != old or new not in (None, found[2][0]):
                raise Failure(Exit.USAGE, f"The proof is from {found[1][0]} to {found[2][0]} entries.")
            return found
        now = _read(await self.saved.checkpoint()).checkpoint
        size = now.size if new is None else new
        return (
            await self.saved.consistency(old, size),
            (old, b""),
            (size, now.root if size == now.size else b""),
        )


async def _compare_at(
    platform: Platform, org: str, old: str, new: str, keys: tuple[str, ...]
) -> dict[str, Any]:
    from a2a_cloud.client.log_source import PlatformLog

    name = org or await _own_org(platform)
    return await _compare(PlatformLog(platform, name), old, new, keys, name)


async def _compare(
    source: PlatformLog | _Given, old: str, new: str, keys: tuple[str, ...], org: str
) -> dict[str, Any]:
    from a2a_cloud.client.log_walk import Damage
    from a2a_cloud.wire.merkle import ProofError, verify_consistency

    first, last = _point(old), _point(new) if new else None
    if not new and not isinstance(source, _Given):
        last = _read(await source.checkpoint())
    points = [each.checkpoint for each in (first, last) if isinstance(each, _Shown)]
    for point in points:
        _of(point, org)
    if len({point.origin for point in points}) > 1:
        why = f"OLD is of the log {points[0].origin}, NEW of {points[1].origin}"
        raise _Refused(Exit.REFUSED_RECEIPT, why)
    one = first.checkpoint.size if isinstance(first, _Shown) else first
    other = last.checkpoint.size if isinstance(last, _Shown) else last
    if other is not None and one > other:
        raise Failure(
            Exit.USAGE, f"OLD has {one} entries and NEW has {other}: write them the other way round."
        )
    try:
        proof, (one, one_root), (other, other_root) = await source.roots(one, other)
    except Damage as damage:
        raise _damaged(damage) from None
    except ValueError as error:
        raise Failure(Exit.USAGE, f"There is no proof: {error}.") from None
    signed = 0
    roots: list[bytes] = []
    for point, root in ((first, one_root), (last, other_root)):
        if isinstance(point, _Shown):
            signed += bool(_signed(point, _keys(keys, point.checkpoint.origin)).by)
            root = point.checkpoint.root
        if not root:
            raise Failure(
                Exit.USAGE,
                "A folder has the root of its own checkpoint alone.",
                remedy="Give files with checkpoints as OLD and NEW.",
            )
        roots.append(root)
    try:
        verify_consistency(one, roots[0], other, roots[1], proof)
    except ProofError as error:
        why = f"the first {one} entries are not the beginning of the {other}: {error}"
        raise _Refused(Exit.FORKED, why, old=one, new=other) from None
    return {
        "verdict": "consistent",
        "old": one,
        "old_root": roots[0].hex(),
        "new": other,
        "new_root": roots[1].hex(),
        "signed": signed == 2,
    }


@click.command("key")
@connected
@click.option(
    "--org", default="", metavar="ORG", help="Whose log: yours without it, _platform the platform's."
)
def key_command(options: Options, org: str) -> int:
    """Print the keys that sign the log's checkpoints, as `a2a witness --log` and --key take them."""

    async def fetch(platform: Platform) -> Any:
        name = org or await _own_org(platform)
        return await platform.json("GET", f"/api/v1/log/{quote(name, safe='')}/keys")

    answer: Any = options.ask(fetch)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    for key in cast("list[dict[str, Any]]", answer["keys"]):
        put(clean_line(key["vkey"] if key["signs"] else f"# until {key.get('until')}: {key['vkey']}"))
    return int(Exit.OK)


async def _own_org(platform: Platform) -> str:
    answer: Any = await platform.json("GET", "/api/v1/log")
    return str(answer["logs"][0]["org"])


def _refuse(options: Options, refusal: _Refused) -> int:
    if options.json:
        verdict = "forked" if refusal.code is Exit.FORKED else "refused"
        put_json({"verdict": verdict, "reason": refusal.why, **refusal.facts, "exit": int(refusal.code)})
    else:
        put(clean_line(f"refused: {refusal.why}"))
        for name in ("found", "expected"):
            if refusal.facts.get(name):
                put(f"  {name}: {refusal.facts[name]}")
    return int(refusal.code)


def _damaged(damage: Damage) -> _Refused:
    where = f", byte {damage.offset}" if damage.offset >= 0 else ""
    entry = f", entry {damage.index}" if damage.index >= 0 else ""
    return _Refused(
        Exit.REFUSED_RECEIPT,
        f"{damage.path}{where}{entry}: {damage.why}",
        path=damage.path,
        offset=damage.offset if damage.offset >= 0 else None,
        index=damage.index if damage.index >= 0 else None,
        found=damage.found.hex(),
        expected=damage.expected.hex(),
    )


def _saved() -> type[SavedLog]:
    from a2a_cloud.client.log_source import SavedLog

    return SavedLog


def _point(text: str) -> _Shown | int:
    """A size, or a file with a checkpoint."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return _read(_bytes(text, "checkpoint"))


def _vkey(text: str) -> NoteKey:
    from a2a_cloud.wire.note import NoteError, read_vkey

    try:
        return read_vkey(text)
    except NoteError as error:
        raise click.UsageError(f"{text[:100]!r} is not a key: {error}.") from None


def _keys(words: Sequence[str], origin: str) -> list[NoteKey]:
    """The keys of the log with this origin. A JWK set's are good for whatever log its platform keeps. Raises
    _Refused when all are of others: what one log's key signs says nothing of another's."""
    from a2a_cloud.wire import jws
    from a2a_cloud.wire.note import ED25519, NoteKey

    found: list[NoteKey] = []
    for word in words:
        if "+" in word and not Path(word).expanduser().exists():
            found.append(_vkey(word))
            continue
        data = _bytes(word, "key file")
        if data.lstrip().startswith(b"{"):
            publics = jws.by_kid(jws.read_jwks(data)).values()
            found += [NoteKey(origin, public) for public in publics]
            continue
        lines = data.decode("utf-8", "replace").splitlines()
        found += [_vkey(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    own = [key for key in found if key.name == origin and key.kind == ED25519]
    if found and not own:
        named = ", ".join(sorted({key.name for key in found}))
        why = f"checkpoint: it is of the log {origin}, and the keys that you trust are of {named}"
        raise _Refused(Exit.REFUSED_RECEIPT, why, path="checkpoint")
    return own


def _bytes(file: str, what: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Failure(Exit.USAGE, f"The {what} {file} can't be read: {error.strerror}.") from None
