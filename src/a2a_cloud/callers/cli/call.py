"""`a2a call`: the arguments become the request that fits them, and its run is followed."""

from __future__ import annotations

import asyncio
import base64
import json
import mimetypes
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import quote, urlencode

import click

from a2a_cloud.callers.cli.arguments import (
    STDIN,
    FromFile,
    existing_file,
    files_of,
    parse_arguments,
    parse_json,
)
from a2a_cloud.callers.cli.ask import read_text
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.follow import Follower, new_message
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.outside import Said, begin_outside, call_outside, is_url
from a2a_cloud.callers.cli.terminal import put_json, say
from a2a_cloud.client.calls import CallEvent, Watched, bare_reply
from a2a_cloud.client.errors import ServerProblem
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import items, obj, objs
from a2a_cloud.client.shapes import text as as_text

#: Bytes of files that fit into one message: base64 makes 4 of 3, and a JSON body ends at 16 MB.
MESSAGE_FILES = 11_000_000
#: Bytes of arguments that fit beside a raw file body, into the query of an 8 KiB request line.
QUERY = 4_000
#: What a caller leaves of the agent's grant (docs/grants.md); None: all of it.
Grant = dict[str, Any] | None
_RESERVED = frozenset({"file", "async", "exp", "sig"})


class Terms(NamedTuple):
    """How a call is meant: its idempotency key ("": none), what it leaves of the agent's grant, how urgent
    it is (None: as usual), what it may cost ("": whatever it does)."""

    key: str = ""
    grant: Grant = None
    priority: int | None = None
    budget: str = ""

    def headers(self) -> dict[str, str]:
        """Those of /invoke: JSON in a header is ASCII on one line."""
        headers = {"Idempotency-Key": self.key} if self.key else {}
        if self.grant is not None:
            headers["A2A-Grant"] = json.dumps(self.grant)
        if self.priority is not None:
            headers["A2A-Priority"] = str(self.priority)
        if self.budget:
            headers["A2A-Budget"] = self.budget
        return headers

    def metadata(self) -> dict[str, Any]:
        """Those of a message."""
        metadata: dict[str, Any] = {}
        if self.grant is not None:
            metadata["a2a-cloud/grant"] = self.grant
        if self.priority is not None:
            metadata["a2a-cloud/priority"] = self.priority
        if self.budget:
            metadata["a2a-cloud/budget"] = self.budget
        return metadata


@dataclass
class FilePart:
    """A file argument that goes as a file: `path` is None for standard input."""

    name: str
    path: Path | None
    media_type: str

    @property
    def file_name(self) -> str:
        """The file's own name ("" for standard input)."""
        return self.path.name if self.path else ""

    def open(self) -> BinaryIO:
        """The bytes, from their start."""
        return self.path.open("rb") if self.path else sys.stdin.buffer


@dataclass
class Prepared:
    """A call ready to be sent: JSON arguments, and the parameters that take files."""

    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    files: list[FilePart] = field(default_factory=list[FilePart])

    def query(self, file: FilePart) -> dict[str, str]:
        """The arguments as the query of a raw file body; strings as they are, others as JSON."""
        values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in self.arguments.items()}
        return {**values, "file": file.name}

    def fits_raw(self) -> bool:
        """Whether one file goes as a raw body, with the rest of the arguments in the query."""
        if len(self.files) != 1 or self.files[0].media_type == "application/json":
            return False
        if _RESERVED & self.arguments.keys():
            return False
        return len(urlencode(self.query(self.files[0]))) <= QUERY


async def prepare(platform: Platform, agent: str, skill: str, words: tuple[str, ...]) -> Prepared:
    """Read what the arguments name. `k=@file` is the text of the file when k is no file parameter.

    Raises Failure (usage), ServerProblem, Unreachable.
    """
    prepared = Prepared()
    arguments = parse_arguments(words)
    wants_files = any(isinstance(each, FromFile) and not each.as_json for each in arguments)
    declared = await _declared(platform, agent, skill) if wants_files else {}
    for each in arguments:
        if not isinstance(each, FromFile):
            prepared.arguments[each.name] = each.value
            continue
        if not each.as_json and _takes_many(declared, each.name) and each.path != STDIN:
            for path in files_of(each.path, each.name):
                prepared.files.append(FilePart(each.name, path, _media_type(path, declared, each.name)))
            continue
        path = None if each.path == STDIN else existing_file(each.path, each.name)
        if each.as_json:
            raw = path.read_bytes() if path else sys.stdin.buffer.read()
            prepared.arguments[each.name] = parse_json(raw, each.name)
        elif _takes_text(declared, each.name):
            raw = path.read_bytes() if path else sys.stdin.buffer.read()
            prepared.arguments[each.name] = read_text(raw, each.name)
        else:
            prepared.files.append(FilePart(each.name, path, _media_type(path, declared, each.name)))
    return prepared


async def _declared(platform: Platform, agent: str, skill: str) -> dict[str, Any]:
    """What the agent says of the skill; {} when it may not be asked (anonymous callers)."""
    try:
        described: Any = await platform.json("GET", f"/api/v1{agent_path(agent)}")
    except ServerProblem as problem:
        if problem.status == 401 and not platform.target.key:
            return {}
        raise
    for each in objs(obj(described).get("skills")):
        if each.get("id") == skill:
            return each
    return {}


def _takes_text(declared: dict[str, Any], name: str) -> bool:
    files = [each.get("name") for each in objs(declared.get("files"))]
    return name not in files and name in obj(obj(declared.get("input_schema")).get("properties"))


def _takes_many(declared: dict[str, Any], name: str) -> bool:
    return any(each.get("name") == name and bool(each.get("many")) for each in objs(declared.get("files")))


def _media_type(path: Path | None, declared: dict[str, Any], name: str) -> str:
    if path is not None:
        if path.suffix.lower() == ".md":
            return "text/markdown"
        guessed, packed = mimetypes.guess_type(path.name)
        if guessed and not packed:
            return guessed
    for each in objs(declared.get("files")):
        if each.get("name") == name:
            for media_type in map(as_text, items(each.get("media_types"))):
                if "*" not in media_type:
                    return media_type
    return "application/octet-stream"


async def chunks(file: BinaryIO) -> AsyncGenerator[bytes]:
    """The file's bytes in pieces, read beside the event loop, in constant memory."""
    loop = asyncio.get_running_loop()
    try:
        while piece := await loop.run_in_executor(None, file.read, 1 << 18):
            yield piece
    finally:
        file.close()


def raw_request(file: FilePart) -> tuple[AsyncIterator[bytes], dict[str, str]]:
    """Body and headers of a raw file."""
    media_type = file.media_type
    if media_type == "application/json":  # which would be the arguments
        media_type = "application/octet-stream"
    headers = {"Content-Type": media_type}
    if file.file_name:
        plain = "".join(
            c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in file.file_name
        )
        # RFC 6266: filename* is the one that counts, wherever it stands.
        full = f"filename*=UTF-8''{quote(file.file_name, safe='')}; " if plain != file.file_name else ""
        disposition = f'attachment; {full}filename="{plain}"'
        headers["Content-Disposition"] = disposition
    if file.path is not None and file.path.is_file():
        headers["Content-Length"] = str(file.path.stat().st_size)
    return chunks(file.open()), headers


def message_parts(prepared: Prepared, skill: str) -> list[dict[str, Any]]:
    """The parts of an A2A message that calls `skill` with files. Raises Failure when they are too large."""
    parts: list[dict[str, Any]] = [
        {"data": {"skill": skill, "arguments": prepared.arguments}, "mediaType": "application/json"}
    ]
    total = 0
    for file in prepared.files:
        with file.open() as stream:
            raw = stream.read(MESSAGE_FILES - total + 1)
        total += len(raw)
        if total > MESSAGE_FILES:
            raise _too_large(len(prepared.files))
        part: dict[str, Any] = {
            "raw": base64.b64encode(raw).decode(),
            "mediaType": file.media_type,
            "metadata": {"param": file.name},
        }
        if file.file_name:
            part["filename"] = file.file_name
        parts.append(part)
    return parts


def _too_large(files: int) -> Failure:
    most = f"{MESSAGE_FILES // 1_000_000} MB"
    if files > 1:
        return Failure(
            Exit.USAGE,
            f"The files are larger than {most} together, more than a message takes.",
            remedy="One file alone may be of any size (it goes as a raw body): put them into one archive, or "
            "call the skill once for each.",
        )
    return Failure(
        Exit.USAGE,
        f"A call with these arguments takes a file of at most {most}.",
        remedy="Give it under another name than .json, or with shorter arguments.",
    )


async def call_events(
    watched: Watched, skill: str, words: tuple[str, ...], text: str, terms: Terms
) -> AsyncGenerator[CallEvent]:
    """Send the call in the form that fits it, and follow it."""
    headers = terms.headers()
    prepared = await prepare(watched.platform, watched.agent, skill, words) if skill else Prepared()
    if not skill or (prepared.files and not prepared.fits_raw()):
        parts = message_parts(prepared, skill) if skill else [{"text": text}]
        answer = await watched.send(_message(parts, terms), key=terms.key)
        if not watched.task_id:
            for event in bare_reply(answer):
                yield event
            return
        async with aclosing(watched.watch()) as events:
            async for event in events:
                yield event
        return
    params = None
    if prepared.files:
        body, more = raw_request(prepared.files[0])
        params = prepared.query(prepared.files[0])
    else:
        body = json.dumps(prepared.arguments, ensure_ascii=False).encode("utf-8", "surrogatepass")
        more = {"Content-Type": "application/json"}
    headers |= more
    async with aclosing(watched.invoke(skill, body=body, headers=headers, params=params)) as events:
        async for event in events:
            yield event


def _message(parts: list[dict[str, Any]], terms: Terms) -> dict[str, Any]:
    message, metadata = new_message(parts), terms.metadata()
    return {**message, "metadata": metadata} if metadata else message


def read_grant(words: str) -> Grant:
    """What `--grant` says: JSON, or with @ the file that it is in; None for "". Raises Failure (usage)."""
    if not words:
        return None
    if words.startswith("@"):
        try:
            raw = existing_file(words[1:], "--grant").read_text("utf-8")
        except ValueError:
            raise Failure(Exit.USAGE, f"{words[1:]} (--grant) is not UTF-8 text.") from None
    else:
        raw = words
    grant = parse_json(raw, "--grant")
    if not isinstance(grant, dict):
        raise Failure(
            Exit.USAGE,
            "--grant is no JSON object.",
            remedy="""Write for example --grant '{"read": ["contracts/**"], "write": []}'.""",
        )
    return cast("dict[str, Any]", grant)


async def begin_async(
    platform: Platform,
    agent: str,
    skill: str,
    words: tuple[str, ...],
    text: str,
    terms: Terms,
) -> dict[str, Any]:
    """Start the call and don't wait: run_id, task_id, context_id, state and links."""
    prepared = await prepare(platform, agent, skill, words) if skill else Prepared()
    headers = terms.headers()
    if not skill or (prepared.files and not prepared.fits_raw()):
        watched = Watched(platform, agent)
        parts = message_parts(prepared, skill) if skill else [{"text": text}]
        task = await watched.send(_message(parts, terms), key=terms.key)
        state = as_text(obj(task.get("status")).get("state")).removeprefix("TASK_STATE_").lower()
        return {
            "run_id": watched.run_id,
            "task_id": watched.task_id,
            "context_id": watched.context_id,
            "state": state.replace("_", "-"),
        }
    params = {"async": "1"}
    path = f"{agent_path(agent)}/invoke/{quote(skill, safe='')}"
    if not prepared.files:
        return await platform.json("POST", path, params=params, headers=headers, body=prepared.arguments)
    body, more = raw_request(prepared.files[0])
    params |= prepared.query(prepared.files[0])
    async with platform.open("POST", path, params=params, headers={**headers, **more}, data=body) as response:
        return await response.json(content_type=None)


@click.command("call")
@connected
@click.argument("agent", metavar="AGENT|URL")
@click.argument("skill", required=False, default="")
@click.argument("arguments", nargs=-1, metavar="[k=text|k:=json|k=@file|k:=@file.json]…")
@click.option("--message", "-m", "text", default="", metavar="TEXT", help="Say TEXT; no skill is named.")
@click.option("--stream", is_flag=True, help="Show text as it comes (with --json: each event, a line each).")
@click.option("--async", "detached", is_flag=True, help="Don't wait: print the run and its task.")
@click.option("--key", default="", metavar="…", help="Idempotency key: the same call again is the same run.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for the end.")
@click.option("--out", default="", metavar="DIR", help="Save the artifacts there.")
@click.option("--grant", default="", metavar="JSON|@FILE", help="Allow the run no more than this.")
@click.option(
    "--priority",
    type=click.IntRange(-10, 10),
    default=None,
    metavar="N",
    help="Go before what waits and has less (-10 to 10), as far as your key allows.",
)
@click.option("--budget", default="", metavar="AMOUNT", help="What it may cost with all it calls: 1.00USD.")
@click.option(
    "--wait", is_flag=True, help="Wait for decisions about what the run asks for, as on a terminal."
)
@click.option("--task", default="", metavar="TASK", help="With URL: go on with this task, or follow it.")
@click.option("--context", default="", metavar="CONTEXT", help="With URL: the talk that this belongs to.")
@click.option("--binding", default="", metavar="…", help="With URL: JSONRPC, HTTP+JSON or GRPC.")
@click.option("--a2a", "version", default="", metavar="VERSION", help="With URL: speak 1.0 or 0.3.")
def call_command(
    options: Options,
    agent: str,
    skill: str,
    arguments: tuple[str, ...],
    text: str,
    stream: bool,
    detached: bool,
    key: str,
    timeout: float | None,
    out: str,
    grant: str,
    priority: int | None,
    budget: str,
    wait: bool,
    task: str,
    context: str,
    binding: str,
    version: str,
) -> int:
    """Call SKILL of AGENT, wait, and print the result on standard output.

    k=@- reads standard input, k==@text is a text that begins with @. The agent at URL may be anybody's: it
    is found by its card, and most take a --message and no SKILL.
    """
    terms = Terms(key, read_grant(grant), priority, budget)
    if is_url(agent):
        if "=" in skill:
            skill, arguments = "", (skill, *arguments)
        if skill and text:
            raise Failure(Exit.USAGE, "Name a skill or say something with --message, not both.")
        how = Said(
            skill,
            arguments,
            text,
            task=task,
            context=context,
            key=key,
            metadata=terms.metadata(),
            binding=binding,
            version=version,
            stream=stream,
            wait=wait,
            timeout=timeout,
            out=out,
        )
        return begin_outside(options, agent, how) if detached else call_outside(options, agent, how)
    if task or context or binding or version:
        raise Failure(
            Exit.USAGE,
            "--task, --context, --binding and --a2a are for agents by their URL.",
            remedy="Answer a task with `a2a answer`, or give the agent's URL.",
        )
    if bool(skill) == bool(text):
        raise Failure(
            Exit.USAGE,
            "Name a skill or say something with --message, not both." if skill else "No skill is named.",
            remedy=f"The agent's skills: {options.command('show', agent)}",
        )
    if detached:
        return _detached(options, agent, skill, arguments, text, terms)
    follower = Follower(options, agent, stream=stream, out=out, timeout=timeout, wait=wait)
    return follower.run(lambda watched: call_events(watched, skill, arguments, text, terms))


def _detached(
    options: Options, agent: str, skill: str, words: tuple[str, ...], text: str, terms: Terms
) -> int:
    begun = options.ask(lambda platform: begin_async(platform, agent, skill, words, text, terms))
    run_id, task_id = str(begun.get("run_id", "")), str(begun.get("task_id", ""))
    if options.json:
        put_json(begun)
        return int(Exit.OK)
    say(f"run {run_id} {begun.get('state', '')} · task {task_id}")
    say(f"  see it:    {options.command('runs', run_id or task_id)}")
    say(f"  cancel it: {options.command('cancel', task_id or run_id)}")
    return int(Exit.OK)
