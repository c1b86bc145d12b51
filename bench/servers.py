"""Starts the two sides for a measurement, each fresh and on its own, and describes the machine.

Both sides run on the interpreter that runs the benchmark. Ours is `python -m a2a_cloud.app` with a
data folder of its own on the repository's disk (a RAM disk would make commits free) and a user
configuration folder of its own, so that a benchmark leaves no trace in the user's.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
AGENTS = Path(__file__).resolve().parent / "agents"
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class BenchError(Exception):
    """A side did not start, or did not do what it must; the message says what was seen."""


@dataclass
class Server:
    """A side that answers. `pid` is the root of its process tree, `ready` seconds from exec to ready."""

    name: str
    url: str
    pid: int
    key_file: Path | None = None
    ready: float = 0.0
    data: Path | None = None
    about: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> str:
        """The API key, or "" where there is none."""
        return self.key_file.read_text().strip() if self.key_file else ""

    def agent_url(self, agent: str) -> str:
        """Where a call to `agent` is POSTed."""
        return f"{self.url}/agents/{agent}" if self.key_file else self.url + "/"


def scratch(prefix: str) -> Path:
    """A new folder on the disk of the repository. The caller removes it."""
    base = Path(tempfile.gettempdir())
    if base.stat().st_dev != ROOT.stat().st_dev:
        base = ROOT / ".a2a"
        base.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"a2a-bench-{prefix}-", dir=base))


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Generator[Path]:
    """A new folder on the disk of the repository, removed at the end."""
    folder = scratch(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def raise_nofile() -> int:
    """Allow as many open files as the hard limit has; children inherit it. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def http_json(
    url: str,
    *,
    method: str = "GET",
    body: object = None,
    key: str = "",
    timeout: float = 30.0,
) -> tuple[int, Any]:
    """Status and JSON body of one request (None where the body is not JSON)."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    headers = {"A2A-Version": "1.0", "Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    try:
        found: Any = json.loads(data)
    except ValueError:
        return answer.status, None
    return answer.status, found


def rpc(url: str, method: str, params: object, *, key: str = "") -> Any:
    """The result of one JSON-RPC call. Raises BenchError when there is none."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    status, answer = http_json(url, method="POST", body=body, key=key)
    if status != 200 or "result" not in answer:
        raise BenchError(f"{method} on {url} answered {status}: {answer}")
    result: Any = answer["result"]
    return result


def message(text: str, skill: str) -> dict[str, Any]:
    """SendMessage's params for one text, as `bench.load` sends it; without `skill` the agent routes it."""
    said: dict[str, Any] = {"messageId": os.urandom(16).hex(), "role": "ROLE_USER", "parts": [{"text": text}]}
    return {"message": said | ({"metadata": {"skill": skill}} if skill else {})}


def skill_call(skill: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """SendMessage's params for a skill and its arguments in a data part."""
    part = {"data": {"skill": skill, "arguments": arguments}}
    return {"message": {"messageId": os.urandom(16).hex(), "role": "ROLE_USER", "parts": [part]}}


def _poll(
    what: str, deadline: float, process: subprocess.Popen[bytes], log: Path, check: Callable[[], bool]
) -> None:
    while True:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            if check():
                return
        if process.poll() is not None:
            raise BenchError(f"{what} ended with {process.returncode}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{what} was not ready in {START_SECONDS:.0f} s:\n{_tail(log)}")
        time.sleep(0.005)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    # To the whole group, as a terminal's Ctrl-C: `a2a up` has the platform as its child.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _spawn(command: Sequence[str], log: Path, env: dict[str, str]) -> Generator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _settings(data: Path, extra: dict[str, str] | None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    env |= {
        "A2A_HOST": "127.0.0.1",
        "A2A_PORT": "0",
        "A2A_DATA": str(data),
        # Made once, as on a machine that is set up already.
        "A2A_ENVIRONMENTS": str(Path(__file__).parents[1] / ".test-environments"),
        "HOME": str(data.parent / "home"),
        "XDG_CONFIG_HOME": str(data.parent / "home" / ".config"),
    }
    Path(env["XDG_CONFIG_HOME"]).mkdir(parents=True, exist_ok=True)
    return env | (extra or {})


@contextlib.contextmanager
def platform_server(
    base: Path,
    agents: Sequence[Path] = (),
    *,
    env: dict[str, str] | None = None,
    command: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> Generator[Server]:
    """Our platform, serving the `agents` folders, with its data in `base`/data; ready when entered.

    Ready: /readyz answers 200 and the card of every agent in `names` (by default the folders'
    names) is served. `command` replaces `python -m a2a_cloud.app FOLDER…`.
    """
    data = base / "data"
    data.mkdir(exist_ok=True)
    told = data / "server.json"
    told.unlink(missing_ok=True)
    log = base / "platform.log"
    line = list(command) or [sys.executable, "-m", "a2a_cloud.app", *map(str, agents)]
    waiting = list(names if names is not None else [agent.name for agent in agents])
    begun = time.monotonic()
    with _spawn(line, log, _settings(data, env)) as process:
        deadline = begun + START_SECONDS
        _poll("the platform", deadline, process, log, lambda: "url" in json.loads(told.read_text()))
        where = json.loads(told.read_text())
        server = Server(
            "a2a-cloud", str(where["url"]).rstrip("/"), int(where["pid"]), data / "admin.key", data=data
        )
        _poll("the platform", deadline, process, log, lambda: http_json(server.url + "/readyz")[0] == 200)
        for name in waiting:
            card = f"{server.url}/agents/{name}/.well-known/agent-card.json"
            _poll(
                "the platform",
                deadline,
                process,
                log,
                lambda card=card: http_json(card, key=server.key)[0] == 200,
            )
        server.ready = time.monotonic() - begun
        yield server


@contextlib.contextmanager
def sdk_server(base: Path, store: str, *options: str) -> Generator[Server]:
    """The official SDK's server with the store `memory` or `sqlite`; ready when entered.

    `options` go to `bench.peer_sdk`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = base / f"sdk-{store}.log"
    line = [
        sys.executable,
        "-m",
        "bench.peer_sdk",
        "--store",
        store,
        "--db",
        str(base / "sdk.db"),
        "--port",
        str(port),
    ]
    line += options
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    begun = time.monotonic()
    with _spawn(line, log, env) as process:
        url = f"http://127.0.0.1:{port}"
        card = url + "/.well-known/agent-card.json"
        _poll("the SDK's server", begun + START_SECONDS, process, log, lambda: http_json(card)[0] == 200)
        about = json.loads(log.read_text().splitlines()[0])
        yield Server(f"sdk {store}", url, process.pid, ready=time.monotonic() - begun, about=about)


def probe(server: Server, agent: str, skill: str) -> dict[str, Any]:
    """One call, looked at closely: a completed task whose artifact says what was said.

    On ours the run's signed receipt must exist too. Raises BenchError; returns the task.
    """
    text = "probe " + os.urandom(4).hex()
    url = server.agent_url(agent)
    task = rpc(url, "SendMessage", message(text, skill), key=server.key).get("task", {})
    said = [
        part.get("text", part.get("data")) for made in task.get("artifacts", ()) for part in made["parts"]
    ]
    if task.get("status", {}).get("state") != "TASK_STATE_COMPLETED" or text not in said:
        raise BenchError(f"{server.name} answered the probe wrongly: {task}")
    if server.key_file:
        if http_json(url, method="POST", body={})[0] != 401:
            raise BenchError("a call without a key was not refused")
        run = task.get("metadata", {}).get("a2a-cloud/run", "")
        status, receipt = http_json(f"{url}/runs/{run}/receipt", key=server.key)
        if status != 200 or not receipt:
            raise BenchError(f"run {run!r} has no receipt: {status} {receipt}")
    return task


def load(
    server: Server, agent: str, *, skill: str, connections: int, seconds: float, **more: object
) -> dict[str, Any]:
    """One measurement by `bench.load` in a process of its own. Raises BenchError on any wrong answer.

    The result also has `load_average`, which tells who else was busy on this machine.
    """
    line = [sys.executable, "-m", "bench.load", server.agent_url(agent), "--skill", skill]
    line += ["--connections", str(connections), "--seconds", str(seconds), "--watch", str(server.pid)]
    for name, value in more.items():
        line += [f"--{name.replace('_', '-')}", str(value)]
    if server.key_file:
        line += ["--key-file", str(server.key_file)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BenchError(f"the load client ended with {done.returncode}:\n{done.stderr[-3000:]}") from None
    if result["errors"] or not result["n"]:
        raise BenchError(
            f"{server.name}: {result['errors']} wrong, {result['n']} right answers; the first wrong one:\n"
            f"{result['wrong']}"
        )
    result["load_average"] = round(os.getloadavg()[0], 2)
    return result


def _terminated(_number: int, _frame: object) -> None:
    sys.exit(143)


def machine() -> list[str]:
    """Lines that say on what this was measured: date, interpreter, CPU, kernel; no host name.

    Also lets SIGTERM end the benchmark as Ctrl-C does, so that the servers it started end too.
    """
    signal.signal(signal.SIGTERM, _terminated)
    built = sysconfig.get_config_var("CONFIG_ARGS") or ""
    pgo = "with" if "--enable-optimizations" in built else "WITHOUT"
    lto = "with" if "--with-lto" in built else "without"
    model = "unknown CPU"
    with contextlib.suppress(OSError):
        for row in Path("/proc/cpuinfo").read_text().splitlines():
            if row.startswith("model name"):
                model = row.partition(":")[2].strip()
                break
    return [
        f"Date: {time.strftime('%Y-%m-%d')}",
        f"Interpreter of both sides: {platform.python_implementation()} {platform.python_version()}, "
        f"built {pgo} profile-guided optimisation, {lto} LTO ({platform.python_compiler()})",
        f"CPU: {model}, {len(os.sched_getaffinity(0))} cores",
        f"Kernel: {platform.system()} {platform.release()}",
        f"Load average at start: {os.getloadavg()[0]:.2f}",
    ]
