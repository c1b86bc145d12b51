"""uv as a program: started with an environment of its own, listened to, and ended with its children.

Of the platform's environment it sees what says where packages come from and how to get there (index,
proxy, certificates, cache), and nothing that would change what is resolved.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

import uv

from a2a_cloud.model.problem import BuildFailed

#: Variables of the platform that uv sees, by name or by how they begin.
PASSED = frozenset(
    {
        "ALL_PROXY",
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "LANG",
        "LC_ALL",
        "NETRC",
        "NO_PROXY",
        "PATH",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "SSL_CLIENT_CERT",
        "TMPDIR",
        "UV_CACHE_DIR",
        "UV_CONFIG_FILE",
        "UV_DEFAULT_INDEX",
        "UV_EXCLUDE_NEWER",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_INDEX",
        "UV_INSECURE_HOST",
        "UV_KEYRING_PROVIDER",
        "UV_LINK_MODE",
        "UV_NATIVE_TLS",
        "UV_NO_CACHE",
        "UV_NO_INDEX",
        "UV_OFFLINE",
        "UV_REQUEST_TIMEOUT",
        "UV_SYSTEM_CERTS",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)
PASSED_STARTS = ("UV_INDEX_", "UV_HTTP_", "UV_CONCURRENT_")

#: What is kept of uv's output: lines, and characters of one.
KEPT_LINES = 200
LINE = 2_000
_CHUNK = 16 << 10
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: What may take long, and so is worth a line while it goes on.
_PROGRESS = re.compile(r"\s*Downloading ")


class Ended:
    """How a run of a program ended: its exit code (negative: a signal) and its last lines."""

    def __init__(self, code: int, lines: list[str]) -> None:
        self.code = code
        self.lines = lines


class Uv:
    """The uv that builds environments.

    `program`: its path, None for the one of the installed `uv` package. `environ`: the platform's
    environment. `cache`: where its cache goes when nothing else says.
    """

    def __init__(self, program: Path | None, environ: Mapping[str, str], cache: Path) -> None:
        self._program = program
        self.environ = {
            name: value for name, value in environ.items() if name in PASSED or name.startswith(PASSED_STARTS)
        }
        if not {"HOME", "UV_CACHE_DIR", "XDG_CACHE_HOME"} & self.environ.keys():
            self.environ["UV_CACHE_DIR"] = str(cache)
        self.environ |= {"UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}

    async def run(self, *arguments: str | Path, cwd: Path, say: Callable[[str], None]) -> Ended:
        """Run uv in the folder `cwd`; `say` gets its lines about progress. Raises BuildFailed when
        there is no uv. A cancelled run is killed with its children."""
        return await run(str(self.path()), *arguments, cwd=cwd, environ=self.environ, say=say)

    def path(self) -> Path:
        """The program. Raises BuildFailed when there is none."""
        if self._program is None:
            try:
                self._program = Path(uv.find_uv_bin())
            except FileNotFoundError as error:
                raise _no_uv(str(error)) from None
        if not self._program.is_file():
            raise _no_uv(str(self._program))
        return self._program


async def run(
    program: str,
    *arguments: str | Path,
    cwd: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    descriptors: Collection[int] = (),
    beside: Callable[[Callable[[], None]], Awaitable[None]] | None = None,
    started: Callable[[], object] = lambda: None,
    kill: Callable[[], None] = lambda: None,
) -> Ended:
    """Run a program to its end and keep the last lines of what it writes to standard error.

    It is a session of its own; when this is cancelled all of it is killed. `descriptors` are handed to
    it; `started` is called once it runs; `beside` runs meanwhile, and may kill it by what it is given;
    `kill` ends what is left of it elsewhere. Raises OSError when it can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        *map(str, arguments),
        cwd=cwd,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        pass_fds=tuple(descriptors),
    )
    assert process.stderr is not None
    lines: deque[str] = deque(maxlen=KEPT_LINES)

    def end() -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        kill()

    other = asyncio.ensure_future(beside(end)) if beside is not None else None
    try:
        started()
        rest = ""
        while data := await process.stderr.read(_CHUNK):
            *whole, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            rest = rest[:LINE]
            for raw in whole:
                line = _COLOURS.sub("", raw[:LINE]).rstrip()
                lines.append(line)
                if _PROGRESS.match(line):
                    say(line.strip())
        if rest:
            lines.append(rest)
        return Ended(await process.wait(), list(lines))
    finally:
        if other is not None:
            other.cancel()
            await asyncio.wait({other})
        end()
        await process.wait()


def _no_uv(where: str) -> BuildFailed:
    return BuildFailed(
        "The platform has no uv, which builds environments.",
        remedy="The operator installs it: `pip install 'a2a-cloud[platform]'`, or `pip install uv`.",
        operator=where,
    )
