"""One function of a release's source, called once: in a cage of its own, with the packages that the release's
workers have, without a way out to the network, and for so long at most. JSON goes in and comes out."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

from a2a_cloud.model.problem import SkillFailed, StartFailed, TimedOut
from a2a_cloud.model.release import Release
from a2a_cloud.ops.rooms import Rooms
from a2a_cloud.runtime.build.uv import run
from a2a_cloud.runtime.ports import Launch
from a2a_cloud.runtime.sandbox.launch import memory_file
from a2a_cloud.runtime.sandbox.port import Caged, CageLimits, CageSpec, Sandbox

#: Bytes of an answer: it fits into the pipe, so that nobody waits for a reader.
MAX_ANSWER = 32 << 10
#: Functions of one organisation that are called at the same time, and in all.
SEATS, ALL_SEATS = 2, 6
#: Seconds beyond those of the call, after which a process without anybody who ends it ends itself.
_LEFT_ALONE = 5
#: Runs in the cage. Its directory is the agent's folder.
_CALL = """\
import importlib, inspect, json, os, signal, sys
came, goes, seconds, named, most = sys.argv[1:]
signal.alarm(int(seconds))
with open(int(came), "rb") as file:
    asked = json.load(file)
sys.path.insert(0, os.getcwd())
module, _, name = named.partition(":")
made = getattr(importlib.import_module(module), name)(asked["result"], asked["case"])
if inspect.isawaitable(made):
    import asyncio
    async def wait(it):
        return await it
    made = asyncio.run(wait(made))
if isinstance(made, tuple):
    made = {"score": made[0], "reason": made[1]}
said = json.dumps(made, allow_nan=False).encode()
if len(said) > int(most):
    sys.exit(f"the answer has more than {most} bytes")
os.write(int(goes), said)
"""


class Functions:
    """See the module."""

    def __init__(self, launch: Launch, sandbox: Sandbox, data: Path) -> None:
        self._launch = launch
        self._sandbox = sandbox
        self._data = data
        self._rooms = Rooms(SEATS, ALL_SEATS)

    async def call(self, release: Release, function: str, value: bytes, seconds: float) -> bytes:
        """What `module:function` of the release's source makes of `{"result", "case"}`, as JSON. Raises
        SkillFailed, TimedOut, StartFailed."""
        async with self._rooms.of(release.org_no):
            came = memory_file(value)
            reads, goes = os.pipe()
            os.set_blocking(reads, False)
            try:
                code, lines = await self._run(release, function, came, goes, seconds)
                with contextlib.suppress(BlockingIOError):
                    made = os.read(reads, MAX_ANSWER + 1)
                    if code == 0 and made:
                        return made
            finally:
                for number in (came, reads, goes):
                    os.close(number)
            why = lines[-1].strip() if lines else f"it exited with code {code} and said nothing"
            raise SkillFailed(f"The function {function} failed: {why[:500]}")

    async def _run(
        self, release: Release, function: str, came: int, goes: int, seconds: float
    ) -> tuple[int, list[str]]:
        command = self._launch.command(release)
        alone = math.ceil(seconds) + _LEFT_ALONE
        words = (_CALL, str(came), str(goes), str(alone), function, str(MAX_ANSWER))
        caged = self._caged(release, (command[0], "-I", "-B", "-X", "utf8", "-c", *words), (came, goes))
        try:
            async with asyncio.timeout(seconds):
                ended = await run(
                    caged.argv[0],
                    *caged.argv[1:],
                    cwd=Path(caged.cwd),
                    environ=caged.env,
                    say=lambda _line: None,
                    descriptors=caged.pass_fds,
                    started=caged.started,
                    kill=caged.kill,
                )
        except TimeoutError:
            raise TimedOut(f"The function {function} took longer than {seconds:g} s.") from None
        except OSError as error:
            raise StartFailed("The function can't be started.", operator=str(error)) from error
        finally:
            caged.cleanup()
        said = caged.verdict(ended.code)
        return caged.status(ended.code), [said] if said else ended.lines

    def _caged(self, release: Release, command: Sequence[str], descriptors: tuple[int, int]) -> Caged:
        limits = release.manifest.limits
        return self._sandbox.wrap(
            CageSpec(
                # As its workers: it is the same code, and sees what they see.
                agent_key=f"{(self._data / 'workers').absolute()} {release.org_no} {release.agent_no}",
                command=command,
                folder=Path(release.folder),
                roots=tuple(self._launch.roots(release)),
                settings=self._launch.settings(release),
                descriptors=descriptors,
                limits=CageLimits(
                    memory=limits.memory,
                    cpu=limits.cpu,
                    pids=limits.pids,
                    open_files=limits.open_files,
                    tmp_bytes=limits.tmp_bytes,
                ),
            )
        )
