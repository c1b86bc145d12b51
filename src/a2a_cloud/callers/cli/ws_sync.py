"""`a2a ws put|get|sync`: files and folders between this machine and a workspace. What has the same hash
on both sides is not sent; a folder becomes one version."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import Progress, clean_line, put, put_json, say
from a2a_cloud.callers.cli.units import size as bytes_shown
from a2a_cloud.callers.cli.ws_local import SHOWN, Arriving, place, same, scan, unreadable
from a2a_cloud.callers.cli.ws_target import Target, target
from a2a_cloud.client.deploys import insist
from a2a_cloud.client.errors import ServerProblem
from a2a_cloud.client.http import Platform
from a2a_cloud.client.workspaces import Changed, Entry, Local, Workspace

T = TypeVar("T")

#: Uploads and downloads at once.
TOGETHER = 8
#: Seconds that a broken connection is tried again.
PATIENCE = 60.0
_SAY_FROM = 4_000_000

message_option = click.option("--message", "-m", default="", metavar="TEXT", help="What the version is for.")


class Moving:
    """What is on its way, shown as it goes: `12 MB of 1.2 GB`."""

    def __init__(self, verb: str, total: int | None, *, quiet: bool) -> None:
        self._verb, self._total = verb, total
        self._progress = Progress(quiet=quiet or (total is not None and total < _SAY_FROM))
        self._parts = 100 if sys.stderr.isatty() else 4
        self._share = -1
        self._every = 0

    def of(self) -> Callable[[int], None]:
        """Hears of one file how many bytes of it have moved; fewer than before when it begins anew."""
        last = 0

        def moved(done: int) -> None:
            nonlocal last
            self._every += done - last
            last = done
            share = self._every * self._parts // max(1, self._total or (256 << 20))
            if share != self._share:
                self._share = share
                whole = f" of {bytes_shown(self._total)}" if self._total is not None else ""
                self._progress.show(f"{self._verb}: {bytes_shown(self._every)}{whole}")

        return moved

    def clear(self) -> None:
        """It is over."""
        self._progress.clear()


@dataclass
class Plan:
    """What a sync does: paths of the workspace, each with its local file where it has one."""

    base: int
    added: dict[str, Path] = field(default_factory=dict[str, Path])
    changed: dict[str, Path] = field(default_factory=dict[str, Path])
    deleted: list[str] = field(default_factory=list[str])
    unchanged: int = 0
    left: list[str] = field(default_factory=list[str])

    @property
    def sent(self) -> dict[str, Path]:
        """All that is to be sent."""
        return {**self.added, **self.changed}

    def document(self, name: str) -> dict[str, Any]:
        """The plan for programs."""
        return {
            "workspace": name,
            "base": self.base,
            "added": list(self.added),
            "changed": list(self.changed),
            "deleted": self.deleted,
            "unchanged": self.unchanged,
            "left_out": self.left,
        }


@click.command("put")
@connected
@click.argument("local", metavar="LOCAL")
@click.argument("word", metavar="NAME:PATH")
@message_option
@click.option("--new", is_flag=True, help="Only if there is no such file yet.")
@click.option("--if-match", default="", metavar="SHA256", help="Only if the file there has this hash.")
def put_command(options: Options, local: str, word: str, message: str, new: bool, if_match: str) -> int:
    """Put a file (- for standard input) or what is in a folder into a workspace: one version."""
    path = Path(local).expanduser()
    if local != "-" and path.is_dir():
        if new or if_match:
            raise Failure(Exit.USAGE, "--new and --if-match are for one file.", remedy="Leave them out.")
        return _sync(options, path, target(word), message, delete=False, dry_run=False)
    to = target(word)
    if not to.path or to.folder:
        if local == "-":
            raise Failure(Exit.USAGE, f"{word!r} names no file.", remedy="Write NAME:PATH.")
        to = target(f"{to.name}:{to.path}{'/' if to.path else ''}{path.name}")
    headers = {"If-None-Match": "*"} if new else {"If-Match": f'"{if_match}"'} if if_match else {}
    file: BinaryIO
    try:
        file = sys.stdin.buffer if local == "-" else path.open("rb")
        size = None if local == "-" else path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from None
    moving = Moving("send", size, quiet=options.json)

    async def talk(platform: Platform) -> dict[str, Any]:
        content = Local(file, size, local)
        return await Workspace(platform, to.name).put(
            to.path, content, moving.of(), message=message, headers=headers
        )

    try:
        made = options.ask(talk)
    except Changed as error:
        raise _shrank(error) from None
    finally:
        moving.clear()
        file.close()
    if options.json:
        put_json(made)
    else:
        count = int(made.get("file_size", 0))
        put(clean_line(f"{to} ({bytes_shown(count)}) is in version {made.get('version')}"))
    return int(Exit.OK)


@click.command("sync")
@connected
@click.argument("local", metavar="FOLDER")
@click.argument("word", metavar="NAME:FOLDER")
@message_option
@click.option("--delete", is_flag=True, help="Delete there what is not here.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def sync_command(options: Options, local: str, word: str, message: str, delete: bool, dry_run: bool) -> int:
    """Make a folder of a workspace equal to a local one: sends what differs by hash, one version."""
    path = Path(local).expanduser()
    if not path.is_dir():
        raise Failure(Exit.USAGE, f"{local} is no folder.", remedy="For one file: a2a ws put")
    return _sync(options, path, target(word, bare=True), message, delete=delete, dry_run=dry_run)


def _sync(options: Options, root: Path, to: Target, message: str, *, delete: bool, dry_run: bool) -> int:
    async def talk(platform: Platform) -> tuple[Plan, dict[str, Any]]:
        workspace = Workspace(platform, to.name)
        plan = await _plan(workspace, root, to.path, delete=delete)
        if dry_run or not (plan.sent or plan.deleted):
            return plan, {}
        return plan, await _carry_out(workspace, plan, message or f"Sync {to.path or to.name}", options)

    try:
        plan, made = options.ask(talk)
    except Changed as error:
        raise _shrank(error) from None
    if options.json:
        put_json({**plan.document(to.name), "dry_run": dry_run, "version": made.get("version", plan.base)})
        return int(Exit.OK)
    for sign, paths in (("+", plan.added), ("~", plan.changed), ("-", plan.deleted)):
        for path in paths:
            put(clean_line(f"{sign} {path}"))
    if plan.left:
        say(clean_line(f"Links and special files stay here: {_some(plan.left)}"))
    counts = f"{len(plan.added)} new, {len(plan.changed)} changed, {len(plan.deleted)} deleted"
    where = f"version {made['version']}" if made else "nothing was sent"
    say(clean_line(f"{to}: {counts}, {plan.unchanged} as before; {where}"))
    return int(Exit.OK)


async def _plan(workspace: Workspace, root: Path, folder: str, *, delete: bool) -> Plan:
    """What differs, by hash. One version of the workspace is looked at."""
    there = await _files(workspace, folder)
    lead = f"{folder}/" if folder else ""
    here = scan(root)
    plan = Plan(there[0], left=here.left)
    remote = there[1]
    for relative, path in sorted(here.files.items()):
        name = lead + relative
        known = remote.get(name)
        if known is None:
            plan.added[name] = path
        elif same(path, known.sha256, known.size):
            plan.unchanged += 1
        else:
            plan.changed[name] = path
    if delete:
        plan.deleted = [name for name in remote if name.removeprefix(lead) not in here.files]
    return plan


async def _files(workspace: Workspace, folder: str) -> tuple[int, dict[str, Entry]]:
    """(version, files below a folder by path); none where there is no such folder yet."""
    try:
        listing = await workspace.walk(folder, deep=True)
    except ServerProblem as problem:
        if problem.code != "file_not_found":
            raise
        version = (await workspace.head()).get("head", {}).get("version", 0)
        return int(version), {}
    if listing.kind == "file":
        raise Failure(Exit.USAGE, f"{folder!r} is a file there.", remedy="Name a folder.")
    return listing.version, {each.path: each for each in listing.entries}


async def _carry_out(workspace: Workspace, plan: Plan, message: str, options: Options) -> dict[str, Any]:
    sizes = {name: path.stat().st_size for name, path in plan.sent.items()}
    for again in (True, False):
        moving = Moving("send", sum(sizes.values()), quiet=options.json)
        try:
            contents = await _upload(workspace, plan.sent, moving)
            changes: list[dict[str, Any]] = [
                {"path": name, "sha256": sha256, "size": size} for name, (sha256, size) in contents.items()
            ]
            changes += [{"path": name, "delete": True} for name in plan.deleted]
            return await workspace.commit(plan.base, changes, message=message)
        except ServerProblem as problem:
            # The platform has restarted since, and forgot what was brought.
            if not again or "missing" not in problem.members:
                raise
        finally:
            moving.clear()
    raise AssertionError("the loop ends by itself")


async def _upload(workspace: Workspace, files: dict[str, Path], moving: Moving) -> dict[str, tuple[str, int]]:
    """name → (SHA-256, size) of what the platform has now. The first failure ends the others."""
    found: dict[str, tuple[str, int]] = {}

    async def one(item: tuple[str, Path]) -> None:
        name, path = item
        moved = moving.of()

        async def send() -> tuple[str, int]:
            try:
                with path.open("rb") as file:
                    return await workspace.upload(Local(file, path.stat().st_size, str(path)), moved)
            except OSError as error:
                raise unreadable(path, error) from None

        found[name] = await insist(send, lambda why: say(f"  {why}: trying again"), PATIENCE)

    await _each(files.items(), one)
    return {name: found[name] for name in files}


# --- get ------------------------------------------------------------------------------------------------


@click.command("get")
@connected
@click.argument("word", metavar="NAME:PATH")
@click.argument("local", metavar="[LOCAL]", default="")
@click.option(
    "--version", "-v", type=int, default=None, metavar="N", help="Of this version; else the newest."
)
@click.option("--force", is_flag=True, help="Overwrite local files that differ.")
def get_command(options: Options, word: str, local: str, version: int | None, force: bool) -> int:
    """Get a file or a folder (all files below it) out of a workspace."""
    what = target(word)
    got: list[str] = []

    async def talk(platform: Platform) -> tuple[int, int]:
        workspace = Workspace(platform, what.name)
        listing = await workspace.walk(what.path, version=version, deep=True)
        if listing.kind == "file":
            files = {_file_place(local, what): listing.entries[0]}
        else:
            root = Path(local or what.path.rpartition("/")[2] or what.name).expanduser()
            if root.exists() and not root.is_dir():
                raise Failure(Exit.USAGE, f"{root} is a file.", remedy="Name a folder for the files.")
            lead = f"{what.path}/" if what.path else ""
            files = {place(root, each.path.removeprefix(lead)): each for each in listing.entries}
        wanted = _wanted(files, force=force)
        await _download(workspace, listing.version, wanted, options)
        got.extend(str(path) for path in wanted)
        return listing.version, len(files) - len(wanted)

    number, unchanged = options.ask(talk)
    if options.json:
        put_json({"workspace": what.name, "version": number, "got": got, "unchanged": unchanged})
        return int(Exit.OK)
    for path in got:
        put(clean_line(path))
    if unchanged or not got:
        say(f"{len(got)} files came, {unchanged} were here already (version {number})")
    return int(Exit.OK)


def _file_place(local: str, what: Target) -> Path:
    name = what.path.rpartition("/")[2]
    path = Path(local or name).expanduser()
    return path / name if path.is_dir() or local.endswith("/") else path


def _wanted(files: dict[Path, Entry], *, force: bool) -> dict[Path, Entry]:
    """Those that are not here as they are. Raises Failure before anything is written."""
    wanted: dict[Path, Entry] = {}
    differ: list[str] = []
    for path, entry in files.items():
        as_here = same(path, entry.sha256, entry.size)
        if as_here:
            continue
        wanted[path] = entry
        if as_here is not None:
            if path.is_dir() and not path.is_symlink():
                raise Failure(
                    Exit.USAGE, f"{path} is a folder here.", remedy="Remove it, or get it elsewhere."
                )
            differ.append(str(path))
    if differ and not force:
        raise Failure(
            Exit.USAGE,
            f"{len(differ)} local files differ: {_some(differ)}. Nothing was written.",
            remedy="Overwrite them with --force, or get them into another folder.",
        )
    return wanted


async def _download(workspace: Workspace, version: int, wanted: dict[Path, Entry], options: Options) -> None:
    moving = Moving("get", sum(each.size for each in wanted.values()), quiet=options.json)

    async def one(item: tuple[Path, Entry]) -> None:
        path, entry = item
        arriving = Arriving(path)
        heard = moving.of()
        done = 0

        def write(data: bytes) -> None:
            nonlocal done
            arriving.write(data)
            done += len(data)
            heard(done)

        try:
            found = await workspace.read(entry.path, version, write)
            if found.sha256 != entry.sha256:
                raise Failure(Exit.FAILED, f"{entry.path!r} is not what the list says it is.")
            arriving.keep()
        finally:
            arriving.drop()

    try:
        await _each(wanted.items(), one)
    finally:
        moving.clear()


async def _each(todo: Iterable[T], one: Callable[[T], Coroutine[Any, Any, None]]) -> None:
    """Do all, TOGETHER at once. The first failure ends the others."""
    left = iter(todo)

    async def work() -> None:
        for item in left:
            await one(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(TOGETHER):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _shrank(error: Changed) -> Failure:
    return Failure(
        Exit.USAGE,
        f"{error.name} became shorter while it was read.",
        remedy="Wait until nobody writes to it; then do it again.",
    )
