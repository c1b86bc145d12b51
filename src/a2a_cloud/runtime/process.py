"""One worker: a process of its own that runs an agent's code, and what it is doing for us.

A worker is started in a cage (`sandbox.port`) with a session of its own, one socket to us, and one over
which it hands us a listener: what connects there is agent code on its way out. It dies with its socket
and with its parent; its process group is on record in the data folder, so that a restart can end what a
crash left behind before anything is run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from a2a_cloud.model.problem import LimitExceeded
from a2a_cloud.model.release import Release
from a2a_cloud.runtime.channel import Channel
from a2a_cloud.runtime.handed import WrongHandover, close_aside, listener_from, refuse_descriptors
from a2a_cloud.runtime.sandbox.port import Caged, CageLimits, CageSpec, Sandbox
from a2a_cloud.wire.worker import (
    PROTOCOL,
    BadFrame,
    Broken,
    Done,
    Hello,
    Log,
    Now,
    Progress,
    Ready,
    Result,
    Stop,
    ToRuntime,
    ToWorker,
    Trouble,
    Usage,
)

if TYPE_CHECKING:
    from a2a_cloud.runtime.live import Run

#: What starts a worker of an agent in Python.
COMMAND = (sys.executable, "-I", "-B", "-X", "utf8", "-m", "a2a_cloud.agent.main")
#: A line of output is cut at this many bytes.
LINE_LIMIT = 8 << 10
#: Bytes of output that are looked at together.
OUTPUT_CHUNK = 64 << 10
#: Frames that need no ack (logs, progress, usage, the clock, late words) that a worker may send in a
#: second; beyond that the runtime reads nothing more of it until the second is over.
UNPACED = 20_000
_CLOSED = "it closed its socket"
#: Seconds that a process has to end after its socket has closed.
SOCKET_GRACE = 0.25
_SOURCES = frozenset({"log", "stdout", "stderr"})
#: Code of a Trouble that says what ran out; an errno's name follows.
_RAN_OUT = "limit:"
#: A layer of a sandbox without which a full disk is the machine's own.
_OWN_TMP = "private /tmp"


class WorkerOwner(Protocol):
    """Whom a worker tells: the pool."""

    def on_ready(self, worker: Worker, ready: Ready) -> None:
        """The agent's code is loaded."""
        ...

    def on_frame(self, worker: Worker, frame: ToRuntime) -> None:
        """A frame of a run."""
        ...

    def on_line(self, worker: Worker, source: str, line: str) -> bool:
        """A line on stdout or stderr that belongs to no run in particular; False when the log takes
        no more for now."""
        ...

    def on_dropped(self, worker: Worker, lines: int) -> None:
        """That many lines were not even looked at, because the log takes no more."""
        ...

    def on_listener(self, worker: Worker, listener: socket.socket) -> None:
        """The socket on which agent code looks for the way out; it is the owner's from now on. Comes at
        most once, before `on_ready`."""
        ...

    def on_gone(self, worker: Worker, why: str) -> None:
        """The process has ended; called once. `why` is a sentence for logs."""
        ...


class Worker:
    """A worker process and the runs that it holds.

    `settings` are the agent's variables. `principal` is whose run it got first (-1: nobody's); with `once`
    it gets no other run. `limit` says which limit ended it.
    """

    def __init__(
        self,
        release: Release,
        owner: WorkerOwner,
        records: Path,
        sandbox: Sandbox,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.release = release
        self.runs: dict[int, Run] = {}
        self.busy = 0
        self.told: set[int] = set()  # Runs that were told to stop and have not answered.
        self.skills_busy: dict[str, int] = {}
        self.resumes: list[tuple[Run, Callable[[], None]]] = []
        self.ready = False
        self.draining = False
        self.gone = False
        self.broken = ""
        self.pid = 0
        self.idle_since = 0.0
        self.ready_at = 0.0
        self.served = False
        self.principal = -1
        self.once = False
        self.limit = ""
        self._sandbox = sandbox
        self._caged: Caged | None = None
        self._egress: socket.socket | None = None
        self._settings = settings or {}
        self._loop = asyncio.get_running_loop()
        self._holds = 0
        self._unpaced = 0
        self._since = 0.0
        self._owner = owner
        self._records = records
        self._channel: Channel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._breach: str | None = None
        self._killed = ""

    async def start(self, command: Sequence[str] = COMMAND, roots: Sequence[Path] = ()) -> None:
        """Start the process and say hello. `command` has an absolute program, `roots` are the folders that
        it needs. Raises OSError when it can't be started, StartFailed when it can't be caged."""
        ours, theirs = socket.socketpair()
        egress, out = socket.socketpair()
        ours.setblocking(False)
        refuse_descriptors(ours)
        egress.setblocking(False)
        limits = self.release.manifest.limits
        try:
            caged = self._caged = self._sandbox.wrap(self._spec(command, roots, theirs, out))
            self._process = await asyncio.create_subprocess_exec(
                *caged.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=caged.cwd,
                env=caged.env,
                pass_fds=caged.pass_fds,
                start_new_session=True,
                limit=OUTPUT_CHUNK,
            )
        except BaseException:
            ours.close()
            egress.close()
            if self._caged is not None:
                self._caged.cleanup()
            raise
        finally:
            theirs.close()
            out.close()
        caged.started()
        self._egress = egress
        self._loop.add_reader(egress, self._take_listener)
        self.pid = self._process.pid
        record_group(self._records, self.pid)
        loop = self._loop
        _, self._channel = await loop.create_unix_connection(
            lambda: Channel(self._frame, self._closed), sock=ours
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._tasks = [
            loop.create_task(self._lines("stdout", self._process.stdout)),
            loop.create_task(self._lines("stderr", self._process.stderr)),
            loop.create_task(self._wait()),
        ]
        self.send(
            Hello(
                protocol=PROTOCOL,
                agent=self.release.name,
                release=self.release.number,
                folder=caged.folder,
                entry=self.release.manifest.entry,
                memory=limits.memory,
                open_files=limits.open_files,
                concurrency=limits.concurrency,
                log_bytes=max(1, limits.log_bytes),
            )
        )

    def _spec(
        self, command: Sequence[str], roots: Sequence[Path], theirs: socket.socket, out: socket.socket
    ) -> CageSpec:
        release, limits = self.release, self.release.manifest.limits
        return CageSpec(
            # Numbers are of this data folder: another platform's agent of the same ones is another.
            agent_key=f"{self._records.absolute()} {release.org_no} {release.agent_no}",
            command=command,
            folder=Path(release.folder),
            roots=tuple(roots),
            settings={**self._settings, "A2A_EGRESS_FD": str(out.fileno())},
            socket=theirs.fileno(),
            descriptors=(out.fileno(),),
            limits=CageLimits(
                memory=limits.memory,
                cpu=limits.cpu,
                pids=limits.pids,
                open_files=limits.open_files,
                tmp_bytes=limits.tmp_bytes,
            ),
        )

    def _take_listener(self) -> None:
        """The worker has sent its listener, or closed the socket for it."""
        egress = self._egress
        if egress is None:
            return
        try:
            found = listener_from(egress)
        except BlockingIOError:
            return
        except WrongHandover as wrong:
            self._drop_egress()
            self.kill(f"in the place of the listener for its way out it handed over {wrong}")
            return
        self._drop_egress()
        if found is not None:
            self._owner.on_listener(self, found)

    def _drop_egress(self) -> None:
        egress, self._egress = self._egress, None
        if egress is not None:
            self._loop.remove_reader(egress)
            close_aside(egress.detach())  # More may be on its way in it.

    def send(self, frame: ToWorker) -> None:
        """Send a frame, if the worker still lives."""
        if self._channel is None:
            return
        try:
            self._channel.send(frame)
        except BadFrame as error:
            run = getattr(frame, "run", 0)
            trouble = Trouble("invalid_params", f"The call is too large to be handed to the agent: {error}.")
            self._loop.call_soon(self._owner.on_frame, self, Result(run, "failed", b"null", trouble))

    @property
    def held(self) -> bool:
        """Nothing is read of it for now."""
        return self._holds > 0

    def hold(self) -> Callable[[], None]:
        """Read nothing more of it until the returned function is called."""
        self._holds += 1
        if self._holds == 1 and self._channel is not None:
            self._channel.pause_reading()
        held = True

        def go_on() -> None:
            nonlocal held
            if held:
                held = False
                self._holds -= 1
                if not self._holds and self._channel is not None:
                    self._channel.resume_reading()

        return go_on

    def _pace(self) -> None:
        now = self._loop.time()
        if now - self._since >= 1.0:
            self._since, self._unpaced = now, 0
        self._unpaced += 1
        if self._unpaced == UNPACED:
            self._loop.call_at(self._since + 1.0, self.hold())

    def stop(self) -> None:
        """Ask it to end when its runs have."""
        self.draining = True
        self.send(Stop())

    def kill(self, why: str) -> None:
        """End the whole process group now."""
        if self.gone:  # Its pid may be somebody else's by now.
            return
        if not self._killed:
            self._killed = why
        end_group(self.pid)
        if self._caged is not None:
            self._caged.kill()

    def take(self, run: Run) -> None:
        """A slot of this worker is now the run's."""
        if not self.served:
            self.principal = run.call.principal.no
        run.slot = self.served = True
        self.busy += 1
        self.skills_busy[run.call.skill] = self.skills_busy.get(run.call.skill, 0) + 1

    def give_back(self, run: Run) -> None:
        """The run gives up its slot: it ended, or it waits."""
        if run.slot:
            run.slot = False
            self.busy -= 1
            self.skills_busy[run.call.skill] -= 1

    def _frame(self, frame: ToRuntime) -> None:
        kind = type(frame)
        if isinstance(frame, Ready):
            if frame.protocol != PROTOCOL:
                self.breach(f"it speaks protocol {frame.protocol}, not {PROTOCOL}")
            elif not self.ready:
                self._take_listener()  # What was not sent before comes too late.
                self._drop_egress()
                self.ready = True
                self._owner.on_ready(self, frame)
        elif isinstance(frame, Broken):
            self.broken = frame.detail[:2000]
            for line in frame.trace.splitlines()[-80:]:
                self._owner.on_line(self, "stderr", line)
        else:
            if kind is Log or kind is Progress or kind is Now or kind is Usage or frame.run not in self.runs:
                self._pace()
                if isinstance(frame, Log) and frame.source not in _SOURCES:
                    frame.source = "stdout"
            elif kind is Result or kind is Done:
                self._name_limit(frame)
            self._owner.on_frame(self, frame)

    def _name_limit(self, frame: ToRuntime) -> None:
        """If the code of a trouble says that something ran out, say which limit that was."""
        trouble = frame.trouble if isinstance(frame, Result | Done) else None
        if trouble is None or not trouble.code.startswith(_RAN_OUT):
            return
        number = getattr(errno, trouble.code.removeprefix(_RAN_OUT), 0)
        said = self.limit_hit(number if isinstance(number, int) else 0)
        trouble.code = LimitExceeded.code if said else "skill_failed"
        trouble.detail = said or trouble.detail
        trouble.retry = trouble.retry and not said

    def limit_hit(self, error: int = 0) -> str:
        """Which limit was hit since this was last asked, as a sentence; "" for none. `error` is the errno
        of what agent code raised."""
        caged = self._caged
        if caged is None:
            return ""
        if error == errno.EAGAIN and caged.group is not None and "pids" in caged.group.paths:
            error = 0  # A socket says that too; of processes the kernel keeps the count.
        if error in (errno.ENOSPC, errno.EDQUOT) and _OWN_TMP not in self._sandbox.layers:
            error = 0
        return caged.verdict(error=error)

    def breach(self, what: str) -> None:
        """The worker broke the protocol: end it."""
        if self._channel is not None:
            self._channel.close(what)

    def _closed(self, breach: str | None) -> None:
        self._breach = breach
        if breach is not None:
            self.kill(breach)
        else:
            # It is most likely just dying: how it died is worth a moment.
            self._loop.call_later(SOCKET_GRACE, self.kill, _CLOSED)

    async def _lines(self, source: str, stream: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stream.read(OUTPUT_CHUNK):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if len(rest) > LINE_LIMIT:
                lines.append(rest)
                rest = b""
            for number, raw in enumerate(lines):
                if not self._line(source, raw):
                    self._owner.on_dropped(self, len(lines) - number - 1)
                    break
        if rest:
            self._line(source, rest)

    def _line(self, source: str, raw: bytes) -> bool:
        text = raw[:LINE_LIMIT].decode("utf-8", "replace").rstrip("\r")
        return self._owner.on_line(self, source, text)

    async def _wait(self) -> None:
        assert self._process is not None
        code = await self._process.wait()
        end_group(self.pid)
        if self._caged is not None:
            self._caged.kill()
            said = self._caged.verdict(code)
            code = self._caged.status(code)
            # One that we ended was not ended by a limit, whatever it ran into before.
            self.limit = said if self._killed in ("", _CLOSED) and self._breach is None else ""
        forget_group(self._records, self.pid)
        # The last lines count, but a process that has left the group may hold the pipes open for ever.
        _, open_still = await asyncio.wait(self._tasks[:2], timeout=0.5)
        for task in open_still:
            task.cancel()
        self.gone = True
        self._drop_egress()
        if self._caged is not None:
            self._caged.cleanup()
        if self._channel is not None:
            self._channel.close(None)
        self._owner.on_gone(self, self.broken or self._why(code))

    def _why(self, code: int) -> str:
        if self.limit:
            return self.limit[:1].lower() + self.limit[1:].removesuffix(".")
        if self._breach:
            return f"the worker was ended: {self._breach}"
        if code < 0 and not self._killed:
            known = {one.value: one.name for one in signal.Signals}
            return f"the worker was killed by {known.get(-code, f'signal {-code}')}"
        if self._killed:
            return f"the worker was ended: {self._killed}"
        return f"the worker exited with code {max(code, 0)}"


# --- process groups on record -------------------------------------------------------------------


def _started(pid: int) -> str:
    """A process's start time in clock ticks since boot: with the pid it names a process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def record_group(records: Path, pid: int) -> None:
    """Put a worker's process group on record."""
    (records / str(pid)).write_text(_started(pid))


def forget_group(records: Path, pid: int) -> None:
    """The group is gone."""
    (records / str(pid)).unlink(missing_ok=True)


def end_group(pid: int) -> None:
    """Kill a worker's process group, whoever of it is left."""
    if pid > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def end_recorded_groups(records: Path) -> int:
    """Kill what workers of an earlier life left running; returns how many groups were on record.

    A pid that has been given to somebody else since is left alone: the start time must match, or,
    when the leader has gone, the session id of what is left (a session keeps its leader's pid, and
    the kernel gives that pid to nobody while the session lives).
    """
    ended = 0
    for record in sorted(records.iterdir()):
        if record.name.isdigit():
            pid = int(record.name)
            started = _started(pid)
            if (started and started == record.read_text()) or (not started and _session_lives(pid)):
                end_group(pid)
            ended += 1
        record.unlink(missing_ok=True)
    return ended


def _session_lives(session: int) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[3]) == session:
                    return True
    return False
