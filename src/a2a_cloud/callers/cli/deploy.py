"""`a2a deploy`: a folder becomes a release. Packs, refuses secrets, uploads, and follows it to its end."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, BinaryIO

import click

from a2a_cloud.callers.cli.deploy_gate import check_gate, through_gate
from a2a_cloud.callers.cli.deploy_report import Told, address, tell_success
from a2a_cloud.callers.cli.deploy_steps import Steps
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_folder, name_in
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.report import as_failure, document
from a2a_cloud.callers.cli.terminal import clean, clean_line, put_json, say
from a2a_cloud.callers.cli.units import count, size
from a2a_cloud.client.deploys import RESTARTING, Archive, Deploy, Wish
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import items, obj, objs, text
from a2a_cloud.wire.archive import write_archive
from a2a_cloud.wire.secrets_scan import EXCUSE, FoundSecret, find_secrets
from a2a_cloud.wire.source import SourceFile, list_source

#: Bytes of a source from which its largest files are named.
BIG = 1_000_000
_LARGEST = 5
_SECRETS_SHOWN = 20


@click.command("deploy")
@connected
@click.argument("path", required=False, default=".", metavar="[PATH]")
@click.option("--force", is_flag=True, help="Deploy though a schema changed in a way that breaks callers.")
@click.option("--upgrade", is_flag=True, help="Look for newer versions of the dependencies.")
@click.option("--no-promote", is_flag=True, help="Make the release ready, but leave the old one serving.")
@click.option("--gate", type=click.FloatRange(0, 1), help="Promote only if its evals.toml scores that well.")
@click.option("--stream", is_flag=True, help="With --json: each step as it happens, a line each.")
def deploy_command(
    options: Options,
    path: str,
    force: bool,
    upgrade: bool,
    no_promote: bool,
    gate: float | None,
    stream: bool,
) -> int:
    """Deploy the agent in PATH (this folder when it is not given).

    A deploy that fails changes nothing: the release that served before goes on serving.
    """
    folder = agent_folder(path)
    name = name_in(folder)
    if gate is not None:
        check_gate(folder, no_promote=no_promote)
    steps = Steps(quiet=options.json, stream=options.json and stream)
    with tempfile.TemporaryFile() as file:
        archive, packed = _pack(folder, file, steps)
        wish = Wish(force, upgrade, not no_promote and gate is None)
        work = _Work(options, name, path, steps, wish, packed, gate)
        try:
            return work.run(archive)
        except KeyboardInterrupt:
            steps.clear()
            return work.interrupted()
        finally:
            steps.clear()


def _pack(folder: Path, file: BinaryIO, steps: Steps) -> tuple[Archive, dict[str, Any]]:
    """The archive, and what is in it for `--json`. Raises Failure, and Problems of the source."""
    files = list_source(folder)
    _refuse_secrets(folder, files)
    total = sum(each.size for each in files)
    digest, written = write_archive(folder, files, file)
    largest = sorted(files, key=lambda each: each.size, reverse=True)[:_LARGEST]
    packed = {
        "files": len(files),
        "bytes": total,
        "archive_bytes": written,
        "digest": digest,
        "largest": [{"path": each.name, "bytes": each.size} for each in largest],
    }
    steps.event("packed", packed)
    steps.say(f"packed {count(len(files), 'file')}, {size(total)} ({size(written)} to send)  {digest[:19]}…")
    if total >= BIG:
        for each in largest:
            steps.say(f"  {size(each.size):>9}  {each.name}")
        steps.say("  What the agent does not need goes into .a2aignore.")
    return Archive(file, written, digest), packed


def _refuse_secrets(folder: Path, files: Sequence[SourceFile]) -> None:
    """Raises Failure, after a line for each place that looks like a secret."""
    found = find_secrets(folder, files)
    if not found:
        return
    for each in found[:_SECRETS_SHOWN]:
        say(clean_line(f"{folder / _place(each)}: {each.what}"))
    if len(found) > _SECRETS_SHOWN:
        say(f"… and {len(found) - _SECRETS_SHOWN} more")
    raise Failure(
        Exit.USAGE,
        f"{count(len(found), 'place')} in the source {'looks' if len(found) == 1 else 'look'} like a secret; "
        "nothing was sent.",
        remedy="Take it out, or name the file in .a2aignore. On a line that only looks like one, write: "
        f"# {EXCUSE.decode()}",
        code="secret_in_source",
        facts={"secrets": [each._asdict() for each in found]},
    )


def _place(found: FoundSecret) -> str:
    return f"{found.path}:{found.line}" if found.line else found.path


class _Work:
    """One run of the command."""

    def __init__(
        self,
        options: Options,
        name: str,
        path: str,
        steps: Steps,
        wish: Wish,
        packed: dict[str, Any],
        gate: float | None,
    ) -> None:
        self._options = options
        self._name = name
        self._path = path
        self._steps = steps
        self._wish = wish
        self._packed = packed
        self._gate = gate
        self._release = 0
        self._progress: list[dict[str, Any]] = []

    def run(self, archive: Archive) -> int:
        """The whole deploy; its exit code. Raises Failure and what the client raises."""
        told = self._options.ask(lambda platform: self._talk(platform, archive))
        state = text(told.release.get("state"))
        if state == "ready":
            code, scored = Exit.OK, dict[str, Any]()
            if self._gate is not None:
                told, code, scored = through_gate(self._options, told, self._gate)
            release = {**told.release, **scored, "progress": self._progress, "packed": self._packed}
            if self._options.json:
                self._document(release)
            elif code is Exit.OK:
                tell_success(self._options, told, promoted=self._wish.promote or self._gate is not None)
            return int(code)
        raise self._failed(told)

    async def _talk(self, platform: Platform, archive: Archive) -> Told:
        deploy = Deploy(platform, self._name, self._steps.broken)
        await deploy.look()
        before = deploy.serving
        try:
            release, existed = await deploy.send(
                archive, self._wish, lambda done: self._steps.uploading(done, archive.size)
            )
        except (ServerProblem, Unreachable) as error:
            raise self._refused(error, before) from None
        self._release = int(release["release"])
        deploy.agent = address(release) or self._name
        self._name = deploy.agent
        self._steps.event("release", {"agent": deploy.agent, "release": self._release, "existed": existed})
        if not existed:
            release = await self._follow(deploy, release)
        skills: list[dict[str, Any]] = []
        serving = before
        if release.get("state") == "ready":
            skills = await _skills(platform, deploy.agent)
        else:
            serving = await deploy.now_serving()
        return Told(deploy.agent, release, existed, before, serving, skills)

    async def _follow(self, deploy: Deploy, release: dict[str, Any]) -> dict[str, Any]:
        try:
            async with aclosing(deploy.follow(self._release, promote=self._wish.promote)) as documents:
                async for release in documents:
                    for entry in objs(release.get("progress")):
                        self._progress.append(entry)
                        self._steps.entry(entry)
        except (ServerProblem, Unreachable) as error:
            raise self._lost(error) from None
        failed = release.get("state") != "ready"
        self._steps.finish(text(release.get("ended")), failed=failed)
        return release

    def _refused(self, error: ServerProblem | Unreachable, serving: int) -> Failure:
        """The upload was not taken."""
        failure = as_failure(error)
        assert failure is not None
        if isinstance(error, Unreachable):
            failure.remedy = f"Deploy again when it runs: {self._again()}"
        failure.facts |= {"agent": self._name, "serving": serving or None}
        failure.remedy = f"{failure.remedy} {_unchanged(serving)}".strip()
        return failure

    def _lost(self, error: ServerProblem | Unreachable) -> Failure:
        """The release was begun, and then nobody told how it went."""
        failure = as_failure(error)
        assert failure is not None
        command = self._options.command("releases", self._name)
        failure.facts |= {"agent": self._name, "release": self._release}
        failure.detail = f"How release {self._release} of {self._name} ended is not known: {failure.detail}"
        failure.remedy = f"The platform goes on with it, or tells why not when it is back: {command}"
        if isinstance(error, Unreachable) or error.status in RESTARTING:
            failure.exit_code = Exit.STILL_RUNNING
        return failure

    def _failed(self, told: Told) -> Failure:
        """The release failed: its last log lines, the cause, what serves, and the next command."""
        cause = obj(told.release.get("cause"))
        lines = [clean(str(each)) for each in items(cause.get("lines"))]
        number, step = self._release, text(cause.get("step")) or text(told.release.get("step")) or "deploy"
        if lines:
            say()
            say(f"The last lines of release {number}:")
            for line in lines:
                say(f"  {line}")
            say()
        log = self._options.command("logs", told.agent, "--release", str(number))
        remedy = " ".join(each for each in (text(cause.get("remedy")), _unchanged(told.serving)) if each)
        code = text(cause.get("code")) or "deploy_failed"
        detail = text(cause.get("detail")) or f"It ended as {told.release.get('state')}."
        failure = Failure(
            Exit.FAILED,
            f"Release {number} of {told.agent} failed at the step {step}: {detail}",
            remedy=f"{remedy}\n     Its log:      {log}\n     Then again:   {self._again(code)}",
            code=code,
            facts={"agent": told.agent, "release": number, "step": step, "serving": told.serving or None},
        )
        if self._options.json:
            fields = {**told.release, "progress": self._progress, "packed": self._packed}
            plain = Failure(
                Exit.FAILED, detail, remedy=remedy, code=code, facts={**failure.facts, "next": log}
            )
            self._document({**fields, **document(plain)})
            failure.printed = True
        return failure

    def _again(self, code: str = "") -> str:
        where = [] if self._path in ("", ".") else [self._path]
        return self._options.command("deploy", *where, *(["--force"] if code == "breaking_change" else []))

    def _document(self, fields: dict[str, Any]) -> None:
        if self._steps.streams:
            self._steps.event("end", fields)
        else:
            put_json(fields)

    def interrupted(self) -> int:
        """Ctrl-C: what is under way goes on without us."""
        if not self._release:
            say("Stopped. Nothing was deployed, unless the upload had arrived already:")
        else:
            say(f"Not waiting any longer; release {self._release} of {self._name} goes on.")
        say(f"  see it: {self._options.command('releases', self._name)}")
        return int(Exit.INTERRUPTED)


def _unchanged(serving: int) -> str:
    return f"Release {serving} keeps serving." if serving else "No release serves yet."


async def _skills(platform: Platform, agent: str) -> list[dict[str, Any]]:
    """The skills with their schemas, for the command at the end; none when they can't be had."""
    try:
        return objs(obj(await platform.json("GET", f"/api/v1{agent_path(agent)}")).get("skills"))
    except (ServerProblem, Unreachable):
        return []  # the deploy is done; the command at the end is then one that shows them
