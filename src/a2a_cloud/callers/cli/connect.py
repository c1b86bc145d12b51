"""`a2a connect`: an MCP client's configuration gets a server whose tools are agents' skills.

The entry starts `a2a mcp-stdio`, which reads the profile of this user: no key stands in the client's
file. With `--http` the entry is an address with the key in a header, and the file is made unreadable for
others. First the entry is proved by using it, then it is written: one member of the file, with everything
else as it was and a copy beside it.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.mcp_clients import CLIENTS, Entry, McpClient, NotWritten
from a2a_cloud.callers.cli.mcp_proof import Proof, prove_command, prove_http
from a2a_cloud.callers.cli.mcp_stdio import mcp_url
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.profile import NotConfigured, Target, profiles_path, resolve, write_local_profile

#: What clients leave of their own environment for a server that they start.
_KEPT = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
_KEPT_WINDOWS = ("APPDATA", "LOCALAPPDATA", "PATH", "SYSTEMROOT", "TEMP", "USERPROFILE")
_BACKUP = ".before-a2a"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_BEARER = re.compile(r"Bearer [^\"']+")


@dataclass(frozen=True)
class Server:
    """What is written: the entry, the file it goes to, and a word on where the key is."""

    name: str
    entry: Entry
    file: Path
    key_note: str


@click.command("connect")
@connected
@click.argument("client", required=False, default="", metavar="[CLIENT]")
@click.argument("agent", required=False, default="", shell_complete=agent_names)
@click.option("--name", default="", metavar="NAME", help="The server's name there (a2a, or a2a-AGENT).")
@click.option("--project", is_flag=True, help="Write the file of the project in this folder, not the user's.")
@click.option("--file", default="", metavar="FILE", help="Write this file, in CLIENT's form.")
@click.option("--http", is_flag=True, help="Write the address and the key, and start no process.")
@click.option("--remove", is_flag=True, help="Take the server out again.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--no-check", is_flag=True, help="Write it without proving that it works.")
def connect_command(
    options: Options,
    client: str,
    agent: str,
    name: str,
    project: bool,
    file: str,
    http: bool,
    remove: bool,
    dry_run: bool,
    no_check: bool,
) -> int:
    """Let CLIENT (claude, claude-code, cursor, vscode, …) use the skills of AGENT as tools; of all agents
    without AGENT. Without CLIENT: the clients there are, and where their files lie.
    """
    if not client:
        return _list(options)
    found = CLIENTS.get(client)
    if found is None:
        near = difflib.get_close_matches(client, CLIENTS, 1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise Failure(
            Exit.USAGE,
            f"There is no client {client!r} here.",
            remedy=f"{hint}There are: {', '.join(CLIENTS)}. For another: --file FILE with one of its form.",
        )
    name = name or (f"a2a-{agent.replace('.', '-').replace('@', '-')}" if agent else "a2a")
    if not _NAME.match(name):
        raise Failure(
            Exit.USAGE, f"{name!r} is no name for a server.", remedy="Use letters, digits, - and _."
        )
    where = _file(found, project, file)
    if remove:
        return _remove(options, found, where, name, dry_run)
    if http and not found.http:
        raise Failure(
            Exit.USAGE, f"{found.title} starts processes alone.", remedy="Leave --http out: it is not needed."
        )
    target = options.target()
    if http and project and target.key:
        raise Failure(
            Exit.USAGE,
            "A key does not belong into a project's file, which is shared.",
            remedy="Leave --http out: then no key is written.",
        )
    if http and target.signed_in is not None:
        raise Failure(
            Exit.USAGE,
            "The token of a sign-in is good for minutes alone, and can't stand in a file.",
            remedy="Leave --http out: then the client starts a2a, which renews it.",
        )
    server, proof = _proved(options, found, target, agent, name, where, http, dry_run, no_check)
    changed = _write(found, server, dry_run)
    _tell(options, found, server, proof, changed, dry_run)
    return int(Exit.OK)


def _list(options: Options) -> int:
    rows = [(key, each.title, str(each.file(os.environ, sys.platform))) for key, each in CLIENTS.items()]
    if options.json:
        put_json(
            {"clients": [{"name": n, "title": t, "file": f, "exists": Path(f).exists()} for n, t, f in rows]}
        )
    else:
        table(
            ["CLIENT", "PROGRAM", "FILE", ""],
            [(*row, "is there" if Path(row[2]).exists() else "") for row in rows],
        )
    return int(Exit.OK)


def _file(client: McpClient, project: bool, file: str) -> Path:
    if file:
        return Path(file).expanduser().absolute()
    if not project:
        return client.file(os.environ, sys.platform)
    if not client.project:
        raise Failure(Exit.USAGE, f"{client.title} has no file for a project.", remedy="Leave --project out.")
    return Path.cwd() / client.project


# --- the entry and its proof ---------------------------------------------------------------------------


def _proved(
    options: Options,
    client: McpClient,
    target: Target,
    agent: str,
    name: str,
    where: Path,
    http: bool,
    dry_run: bool,
    no_check: bool,
) -> tuple[Server, Proof | None]:
    url = mcp_url(target, agent)
    if not no_check:
        say(clean_line(f"Trying it: {url}"))
    if http:
        headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
        note = f"The key stands in {where}, which only you can read." if target.key else "No key is sent."
        proof = None if no_check else asyncio.run(prove_http(url, target.origin, target.key))
        return Server(name, client.http_entry(url, headers), where, note), proof
    words, env, note = _reaching(options, target, dry_run)
    command = [*_program(), "mcp-stdio", *words, *([agent] if agent else [])]
    proof = None
    if not no_check and not (dry_run and note.startswith("The key will be")):
        kept = _KEPT_WINDOWS if sys.platform == "win32" else _KEPT
        fresh = {each: os.environ[each] for each in kept if each in os.environ}
        proof = asyncio.run(prove_command(command, {**fresh, **env}))
    return Server(name, client.command_entry(command, env), where, note), proof


def _program() -> list[str]:
    """This program, by a path that holds in a client that knows no PATH of ours."""
    called = Path(sys.argv[0])
    if called.stem == "a2a" and called.exists():
        return [str(called.absolute())]
    found = shutil.which("a2a")
    return [found] if found else [sys.executable, "-m", "a2a_cloud.callers.cli"]


def _reaching(options: Options, target: Target, dry_run: bool) -> tuple[list[str], dict[str, str], str]:
    """(words, environment, where the key is) by which a process that a client starts finds this platform.

    It has none of our variables, so what only they say goes into words, and a key into a profile.
    """
    env: dict[str, str] = {}
    if profiles_path() != profiles_path({"HOME": os.environ.get("HOME", "")}):
        env = {"XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"]}
    fresh = {**env, "HOME": os.environ.get("HOME", "")}
    if not target.key:
        return ["--url", target.url], env, "No key is known, so none is sent."
    for words, given in (([], {}), (["--url", target.url], {"url": target.url})):
        if _same(target, fresh, **given):
            return words, env, f"The key is read from the profile in {profiles_path()}, at each start."
    if options.profile and _same(target, fresh, profile=options.profile):
        note = f"The key is read from the profile {options.profile}, at each start."
        return ["--profile", options.profile], env, note
    if target.signed_in is not None:
        profile = target.signed_in.profile
        return ["--profile", profile], env, f"The sign-in of the profile {profile} is used, at each start."
    data = os.environ.get("A2A_DATA", "")
    for path in (options.key_file, str(Path(data) / "admin.key") if data else ""):
        if path and _same(target, fresh, url=target.url, key_file=os.path.abspath(path)):
            full = os.path.abspath(path)
            return (
                ["--url", target.url, "--key-file", full],
                env,
                f"The key is read from {full}, at each start.",
            )
    return _kept(target, env, dry_run)


def _same(target: Target, env: Mapping[str, str], **given: str) -> bool:
    try:
        found = resolve(env=env, **given)
    except NotConfigured:
        return False
    return (found.url, found.key) == (target.url, target.key)


def _kept(target: Target, env: dict[str, str], dry_run: bool) -> tuple[list[str], dict[str, str], str]:
    """A key that only this command was given: kept in a file of its own, with a profile that names it."""
    name = "connect-" + re.sub(r"[^A-Za-z0-9]+", "-", target.origin.partition("://")[2]).strip("-")
    path = profiles_path().parent / "keys" / f"{name}.key"
    words = ["--profile", name]
    if dry_run:
        return (
            words,
            env,
            f"The key will be kept in {path}, which only you can read, with the profile {name}.",
        )
    _replace(path, target.key + "\n", 0o600)
    write_local_profile(target.url, path, name=name)
    return words, env, f"The key is kept in {path}, which only you can read, with the profile {name}."


# --- the file ------------------------------------------------------------------------------------------


def _read(client: McpClient, file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _untouched(client, file, str(error)) from None


def _untouched(client: McpClient, file: Path, why: str, entry: str = "") -> Failure:
    remedy = (
        f"It is as it was. Put this into {client.member} yourself: {entry}" if entry else "It is as it was."
    )
    return Failure(Exit.FAILED, f"{file} can't be changed: {why}.", remedy=remedy, code="not_written")


def _write(client: McpClient, server: Server, dry_run: bool) -> bool:
    """Put the entry in; whether the file changed (or would)."""
    before = _read(client, server.file)
    try:
        after = client.put(before, server.name, server.entry)
    except NotWritten as error:
        entry = _masked(client.put("", server.name, server.entry))
        raise _untouched(client, server.file, str(error), entry) from None
    return _changed(client, server.file, before, after, dry_run, secret="Authorization" in after)


def _remove(options: Options, client: McpClient, file: Path, name: str, dry_run: bool) -> int:
    before = _read(client, file)
    try:
        there = client.has(before, name)
        after = client.remove(before, name)
    except NotWritten as error:
        raise _untouched(client, file, str(error)) from None
    if not there:
        raise Failure(
            Exit.NOT_FOUND,
            f"{file} has no server {name!r}.",
            remedy="Name another with --name, or another AGENT.",
        )
    _changed(client, file, before, after, dry_run)
    if options.json:
        put_json({"client": client.title, "name": name, "file": str(file), "removed": not dry_run})
    elif not dry_run:
        say(f"{name} is out of {file}. {client.after}")
    return int(Exit.OK)


def _changed(
    client: McpClient, file: Path, before: str, after: str, dry_run: bool, *, secret: bool = False
) -> bool:
    if before == after:
        return False
    if dry_run:
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), str(file), str(file), "now", "then", lineterm=""
        )
        for line in lines:
            put(_masked(line))
        return True
    # Dot files are often links into a folder that is kept elsewhere: the link stays.
    real = Path(os.path.realpath(file))
    try:
        mode = 0o600
        if real.exists():
            mode = real.stat().st_mode & 0o777
            _replace(real.with_name(real.name + _BACKUP), before, mode)
            if secret:
                mode &= 0o600
        _replace(real, after, mode)
    except OSError as error:
        raise _untouched(client, file, error.strerror or str(error)) from None
    return True


def _replace(file: Path, content: str, mode: int) -> None:
    """The file whole or not at all, with `mode` from its first moment."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, aside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # made 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(content)
        os.chmod(aside, mode)
        os.replace(aside, file)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _masked(text: str) -> str:
    return _BEARER.sub("Bearer …", text)


def _tell(
    options: Options, client: McpClient, server: Server, proof: Proof | None, changed: bool, dry_run: bool
) -> None:
    if options.json:
        tools = None if proof is None else [{"name": name, "about": about} for name, about in proof.tools]
        put_json(
            {
                "client": client.title,
                "name": server.name,
                "file": str(server.file),
                "changed": changed and not dry_run,
                "proved": proof is not None,
                "protocol": proof.version if proof else "",
                "tools": tools,
            }
        )
        return
    if proof is not None:
        put(clean_line(f"{proof.server} answers (MCP {proof.version}), with {len(proof.tools)} tools:"))
        for name, about in proof.tools[:50]:
            put(clean_line(f"  {name}" + (f": {about}" if about else "")))
        if len(proof.tools) > 50 or proof.more:
            put("  …")
    if dry_run:
        say(server.key_note)
        say("Nothing was written." if changed else "It is there already: nothing would change.")
        return
    say(f"{server.name} is in {server.file}." if changed else f"{server.name} was in {server.file} already.")
    say(server.key_note)
    say(client.after)
