"""`a2a backup` and `a2a restore`: everything of a platform in one archive, and back (docs/backup.md)."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say
from a2a_cloud.callers.cli.units import count, size
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text

_STDOUT = "-"


@click.command("backup")
@connected
@click.argument("where", metavar="FILE|DIR|-")
@click.option("--data", default="", metavar="DIR", help="Copy this data folder, of a platform that is down.")
@click.option("--no-verify", is_flag=True, help="Don't read the archive again to check it.")
def backup_command(options: Options, where: str, data: str, no_verify: bool) -> int:
    """Copy everything of a platform into one archive, while it works.

    It holds the platform's keys: keep it as you keep those. Into a DIR it gets a name with the time.
    """
    if where == _STDOUT:
        _fetch(options, data, sys.stdout.buffer)
        return int(Exit.OK)
    path = Path(where).expanduser()
    if path.is_dir():
        path /= f"a2a-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar"
    aside = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            _fetch(options, data, file)
            file.flush()
            os.fsync(file.fileno())
        found = None if no_verify else _run("--verify", str(aside))
        aside.replace(path)
    except OSError as error:
        remedy = "Name a file or folder that you may write to."
        raise Failure(Exit.FAILED, f"{path} can't be written: {error.strerror}.", remedy=remedy) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
    if options.json:
        put_json({"file": str(path), "bytes": path.stat().st_size, "verified": found})
        return int(Exit.OK)
    put(clean_line(f"{path}: {size(path.stat().st_size)}, {_told(found)}"))
    if found is not None and found.get("objects") is None:
        say("The objects are in a bucket, and not in it: keep a copy of that too.")
    return int(Exit.OK)


@click.command("restore")
@connected
@click.argument("what", metavar="AGENT|ARCHIVE", required=False, default="")
@click.argument("data", metavar="[DIR]", required=False, default="")
@click.option(
    "--receipt",
    "receipts",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A receipt that somebody holds: the archive's log must say the same of it. May be repeated.",
)
@click.option("--verify", "only", is_flag=True, help="Check the archive, and make nothing.")
def restore_command(options: Options, what: str, data: str, receipts: tuple[str, ...], only: bool) -> int:
    """Bring back AGENT, deleted less than its grace time ago; or make the data folder DIR (A2A_DATA, ./.a2a)
    out of an ARCHIVE of `a2a backup`.

    DIR must not be there yet. Everything is checked first; what does not hold leaves nothing behind.
    """
    archive = Path(what).expanduser()
    if "." not in what and "/" not in what and not (data or receipts or only):
        from a2a_cloud.callers.cli.delete import bring_back

        return bring_back(options, what)
    if not archive.is_file():
        raise Failure(Exit.USAGE, f"There is no archive {what}.", remedy="Name a file of `a2a backup`.")
    folder = Path(data or os.environ.get("A2A_DATA") or ".a2a").expanduser().absolute()
    words = ("--verify", str(archive)) if only else (str(archive), str(folder))
    found = _run(*words, *receipts)
    if options.json:
        put_json(found)
        return int(Exit.OK)
    put(clean_line(f"{archive}: {_told(found)}"))
    for one in objs(found.get("held")):
        place = f"{text(one.get('id'))}, at {one.get('index')} of the log of {text(one.get('org'))}"
        put(clean_line(f"{place}: {'is in it' if one.get('in_log') else 'is later than this copy'}"))
    if not only:
        say(f"Start it: a2a up --data {folder}")
    return int(Exit.OK)


def _fetch(options: Options, data: str, out: BinaryIO) -> None:
    if data:
        _check_here()
        words = [sys.executable, "-m", "a2a_cloud.ops.backup", str(Path(data).expanduser().absolute())]
        done = subprocess.run(words, stdout=out, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            why = done.stderr.decode("utf-8", "replace").strip().rpartition("a2a backup: ")[2]
            raise Failure(Exit.FAILED, why or "The copy failed.", remedy="Name a platform's data folder.")
        return

    async def talk(platform: Platform) -> None:
        # The first byte comes when the database is copied, which may take a while.
        async with platform.open("POST", "/api/v1/backup", silence=600) as response:
            async for piece in response.content.iter_chunked(1 << 18):
                out.write(piece)

    options.ask(talk)


def _run(*words: str) -> dict[str, Any]:
    """What `a2a_cloud.ops.restore` says. Raises Failure with what does not hold."""
    _check_here()
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.ops.restore", *words], capture_output=True, text=True, check=False
    )
    try:
        found = obj(json.loads(done.stdout))
    except ValueError:
        remedy = done.stderr.strip()[-500:] or "Try again."
        raise Failure(Exit.FAILED, "The archive can't be checked.", remedy=remedy) from None
    if done.returncode:
        remedy = "Take another archive, or make a new one."
        raise Failure(Exit.FAILED, text(found.get("problem")), remedy=remedy)
    return found


def _check_here() -> None:
    if importlib.util.find_spec("nacl") is None:
        raise Failure(
            Exit.FAILED,
            "The platform is not installed here, only its command line.",
            remedy="pip install 'a2a-cloud[platform]', or leave the check out: --no-verify.",
        )


def _told(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not checked"
    logs = [f"{text(each.get('org'))} {each.get('receipts')}" for each in objs(found.get("logs"))]
    receipts = found.get("receipts")
    told = count(receipts if isinstance(receipts, int) else 0, "receipt")
    return f"whole, {found.get('files')} files, {told} ({', '.join(logs)})"
