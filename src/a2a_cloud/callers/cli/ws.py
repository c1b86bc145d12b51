"""`a2a ws`: an organisation's workspaces, from outside. `put`, `get` and `sync` are in `ws_sync.py`."""

from __future__ import annotations

import base64
import codecs
import difflib
import sys
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean, clean_line, interactive, put, put_json, say, table
from a2a_cloud.callers.cli.units import size as bytes_shown
from a2a_cloud.callers.cli.ws_sync import get_command, message_option, put_command, sync_command
from a2a_cloud.callers.cli.ws_target import Target, file_target, target
from a2a_cloud.client.errors import ServerProblem
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text
from a2a_cloud.client.workspaces import Entry, Workspace, listed

#: Bytes of a file that `cat --json` puts into a document, and that `diff --text` compares.
IN_JSON = 16 << 20
IN_DIFF = 1 << 20

version_option = click.option(
    "--version",
    "-v",
    "version",
    type=int,
    default=None,
    metavar="N",
    help="Of this version; else the newest.",
)


@click.group("ws")
def ws_command() -> None:
    """Read and change workspaces. A place in one is NAME:PATH, or :PATH in the one named `default`."""


for _command in (put_command, get_command, sync_command):
    ws_command.add_command(_command)


@ws_command.command("ls")
@connected
@click.argument("word", metavar="[NAME:PATH]", default="")
@version_option
@click.option(
    "--all", "-a", "deep", is_flag=True, help="All files below it, not only what is directly in it."
)
@click.option("--glob", "pattern", default="", metavar="PATTERN", help="All files that fit, such as **/*.md.")
def ls(options: Options, word: str, version: int | None, deep: bool, pattern: str) -> int:
    """List the workspaces, or what is in one."""
    if not word:
        every = options.ask(listed)
        if options.json:
            put_json({"workspaces": every})
        else:
            _show_workspaces(options, every)
        return int(Exit.OK)
    where = target(word, bare=True)
    if pattern and where.path:
        raise Failure(Exit.USAGE, "--glob is for a whole workspace.", remedy=f"Write {where.name}: --glob …")
    listing = options.ask(
        lambda platform: Workspace(platform, where.name).walk(
            where.path, version=version, deep=deep, glob=pattern
        )
    )
    if options.json:
        entries = [each.document() for each in listing.entries]
        put_json(
            {"workspace": where.name, "version": listing.version, "path": where.path, "entries": entries}
        )
        return int(Exit.OK)
    if not listing.entries:
        say("There are no files.")
        return int(Exit.OK)
    rows = [
        (f"{each.path}/", bytes_shown(each.size), f"{each.files} files")
        if each.kind == "folder"
        else (each.path, bytes_shown(each.size), each.sha256[:12])
        for each in listing.entries
    ]
    table(("PATH", "SIZE", "CONTENT"), rows)
    return int(Exit.OK)


def _show_workspaces(options: Options, every: list[dict[str, Any]]) -> None:
    if not every:
        say(f"There are no workspaces. Make one: {options.command('ws', 'mk', 'NAME')}")
        return
    rows: list[tuple[str, ...]] = []
    for each in every:
        head = obj(each.get("head"))
        rows.append(
            (
                text(each.get("name")),
                text(head.get("version")),
                text(head.get("files")),
                bytes_shown(int(head.get("size") or 0)),
                text(head.get("at")),
            )
        )
    table(("NAME", "VERSION", "FILES", "SIZE", "CHANGED"), rows)


@ws_command.command("mk")
@connected
@click.argument("name", metavar="NAME")
def mk(options: Options, name: str) -> int:
    """Make a workspace, if it is not there."""
    where = target(name, bare=True)
    if where.path:
        raise Failure(Exit.USAGE, f"{name!r} is no name.", remedy="Folders are there once a file is in them.")
    made = options.ask(lambda platform: Workspace(platform, where.name).make())
    if options.json:
        put_json(made)
    else:
        put(clean_line(f"workspace {made.get('name')}, version {obj(made.get('head')).get('version')}"))
    return int(Exit.OK)


@ws_command.command("cat")
@connected
@click.argument("word", metavar="NAME:PATH")
@version_option
def cat(options: Options, word: str, version: int | None) -> int:
    """Write a file to standard output."""
    what = file_target(word)
    kept = bytearray()
    terminal = sys.stdout.isatty()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(data: bytes) -> None:
        if not options.json:
            if terminal:
                sys.stdout.write(clean(decoder.decode(data)))
            else:
                sys.stdout.buffer.write(data)
            return
        kept.extend(data)
        if len(kept) > IN_JSON:
            raise Failure(
                Exit.USAGE,
                f"{what} is too large for a document.",
                remedy="Get it: a2a ws get, without --json",
            )

    sys.stdout.flush()
    found = options.ask(lambda platform: Workspace(platform, what.name).read(what.path, version, write))
    sys.stdout.flush()
    if options.json:
        try:
            content = {"text": kept.decode()}
        except UnicodeDecodeError:
            content = {"base64": base64.b64encode(kept).decode()}
        put_json({"workspace": what.name, **found.document(), **content})
    return int(Exit.OK)


@ws_command.command("log")
@connected
@click.argument("word", metavar="NAME[:PATH]")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, metavar="N")
@click.option(
    "--before", type=click.IntRange(1), default=None, metavar="N", help="Only older ones than this."
)
def log(options: Options, word: str, limit: int, before: int | None) -> int:
    """List the versions, newest first; of a file those that changed it."""
    where = target(word, bare=True)

    async def talk(platform: Platform) -> dict[str, Any]:
        workspace = Workspace(platform, where.name)
        page = await workspace.log(path=where.path, before=before or 0, limit=limit)
        found = objs(page.get("versions"))
        # One look at a file's history goes through so many versions only, and may find none in them.
        while where.path and page.get("next") and len(found) < limit:
            page = await workspace.log(path=where.path, before=int(page["next"]), limit=limit - len(found))
            found += objs(page.get("versions"))
        return {**page, "versions": found}

    answer = options.ask(talk)
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    found = objs(answer.get("versions"))
    if not found:
        say("There is no version yet." if not where.path else "No version has such a file.")
        return int(Exit.OK)
    rows = [
        (
            text(each.get("version")),
            text(each.get("at")),
            text(each.get("run") or each.get("by")),
            _what(each) if where.path else text(each.get("changed")),
            text(each.get("message")),
        )
        for each in found
    ]
    table(("VERSION", "AT", "BY", "FILE" if where.path else "CHANGED", "MESSAGE"), rows)
    if answer.get("next"):
        say(f"Older ones: {options.command('ws', 'log', word, '--before', text(answer['next']))}")
    return int(Exit.OK)


def _what(version: dict[str, Any]) -> str:
    file = version.get("file")
    if not isinstance(file, dict):
        return "deleted"
    shown = obj(version.get("file"))
    return f"{text(shown.get('sha256'))[:12]} ({bytes_shown(int(shown.get('size') or 0))})"


@ws_command.command("diff")
@connected
@click.argument("word", metavar="NAME[:PATH]")
@click.argument("since", metavar="[FROM]", type=int, required=False)
@click.argument("to", metavar="[TO]", type=int, required=False)
@click.option("--text", "as_text", is_flag=True, help="Compare small text files line by line.")
def diff(options: Options, word: str, since: int | None, to: int | None, as_text: bool) -> int:
    """What changed between two versions; without them, by the newest one."""
    where = target(word, bare=True)

    async def talk(platform: Platform) -> tuple[dict[str, Any], list[str]]:
        workspace = Workspace(platform, where.name)
        answer = await workspace.diff(since, to)
        answer["changes"] = [
            each
            for each in objs(answer.get("changes"))
            if not where.path or f"{text(each.get('path'))}/".startswith(f"{where.path}/")
        ]
        return answer, await _lines(workspace, answer) if as_text else []

    answer, lines = options.ask(talk)
    if options.json:
        put_json({**answer, "text": "".join(lines)} if as_text else answer)
        return int(Exit.OK)
    changes = objs(answer.get("changes"))
    for each in [] if as_text else changes:
        before, after = obj(each.get("before")), obj(each.get("after"))
        sign = "~" if before and after else "+" if after else "-"
        sizes = [bytes_shown(int(one.get("size") or 0)) for one in (before, after) if one]
        put(clean_line(f"{sign} {text(each.get('path'))} ({' → '.join(sizes)})"))
    for line in lines:
        put(line, end="")
    say(f"{len(changes)} files differ between {answer.get('from')} and {answer.get('to')}")
    return int(Exit.OK)


async def _lines(workspace: Workspace, answer: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    since, to = int(answer.get("from") or 0), int(answer.get("to") or 0)
    for each in objs(answer.get("changes")):
        path = text(each.get("path"))
        sides: list[list[str] | None] = []
        for side, version in (("before", since), ("after", to)):
            there = obj(each.get(side))
            sides.append(await _text(workspace, path, version, int(there["size"])) if there else [])
        old, new = sides
        if old is None or new is None:
            lines.append(f"{path}: not compared, because it is large or no text\n")
            continue
        for line in difflib.unified_diff(old, new, f"{path} ({since})", f"{path} ({to})"):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n")
    return lines


async def _text(workspace: Workspace, path: str, version: int, size: int) -> list[str] | None:
    if size > IN_DIFF:
        return None
    kept = bytearray()
    await workspace.read(path, version, kept.extend)
    try:
        return kept.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


@ws_command.command("restore")
@connected
@click.argument("word", metavar="NAME[:PATH]")
@click.argument("version", type=click.IntRange(0))
@message_option
def restore(options: Options, word: str, version: int, message: str) -> int:
    """Make a new version with the content of an old one: of everything, a folder or a file."""
    where = target(word, bare=True)

    async def talk(platform: Platform) -> dict[str, Any]:
        workspace = Workspace(platform, where.name)
        paths = await _both(workspace, where, version) if where.path else []
        return await workspace.restore(version, paths, message)

    made = options.ask(talk)
    if options.json:
        put_json(made)
    else:
        put(clean_line(f"{where}: version {made.get('version')} has what version {version} had"))
    return int(Exit.OK)


async def _both(workspace: Workspace, where: Target, version: int) -> list[str]:
    """The paths at or below a place, of that version and the newest: what is to be as it was."""
    paths: set[str] = set()
    missing: ServerProblem | None = None
    for number in (version, None):
        try:
            paths |= {
                each.path for each in (await workspace.walk(where.path, version=number, deep=True)).entries
            }
        except ServerProblem as problem:
            if problem.code != "file_not_found":
                raise
            missing = problem
    if not paths and missing is not None:
        raise missing
    return sorted(paths)


@ws_command.command("rm")
@connected
@click.argument("word", metavar="NAME:PATH")
@click.option("--recursive", "-r", is_flag=True, help="A folder: all files below it.")
@click.option("--yes", "-y", is_flag=True, help="Don't ask before a folder is deleted.")
@message_option
def rm(options: Options, word: str, recursive: bool, yes: bool, message: str) -> int:
    """Delete a file, or a folder with -r. Earlier versions keep them."""
    what = target(word)
    if not what.path and not recursive:
        raise Failure(Exit.USAGE, f"{word!r} names no file.", remedy="Write NAME:PATH; a folder with -r.")

    async def look(platform: Platform) -> tuple[int, str, list[Entry]]:
        listing = await Workspace(platform, what.name).walk(what.path, deep=True)
        return listing.version, listing.kind, list(listing.entries)

    version, kind, entries = options.ask(look)
    if kind == "folder" and not recursive:
        raise Failure(
            Exit.USAGE, f"{what} is a folder with {len(entries)} files.", remedy="Delete it with -r."
        )
    if kind == "folder" and not yes:
        if options.json or not interactive():
            raise Failure(Exit.USAGE, f"{what} has {len(entries)} files.", remedy="Say --yes to delete them.")
        click.confirm(f"Delete {len(entries)} files of {clean_line(str(what))}?", abort=True, err=True)

    async def talk(platform: Platform) -> dict[str, Any]:
        changes = [{"path": each.path, "delete": True} for each in entries]
        return await Workspace(platform, what.name).commit(
            version, changes, message=message or f"Delete {what.path or 'everything'}"
        )

    made = options.ask(talk)
    if options.json:
        put_json({**made, "deleted": [each.path for each in entries]})
    else:
        put(clean_line(f"{what}: {len(entries)} files are gone in version {made.get('version')}"))
    return int(Exit.OK)
