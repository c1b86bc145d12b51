"""What comes over A2A_EGRESS_FD from a process in which a stranger's code came first, in the jail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import begin, invoke, request

from running import ENVIRONMENTS, SOURCE, Running

#: Started in the place of the kit's worker; `HOSTILE` says what it does before, as a .pth file could.
WORKER = """
import os, socket, struct, sys, threading, time

out = socket.socket(fileno=os.dup(int(os.environ["A2A_EGRESS_FD"])))
KEPT = []

def listener():
    one = socket.create_server(("127.0.0.1", 0))
    KEPT.append(one)
    return one

def lingering():
    here = socket.create_connection(listener().getsockname())
    KEPT.append(KEPT[-1].accept()[0])
    here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    here.setblocking(False)
    try:
        while True:
            here.send(bytes(1 << 16))
    except BlockingIOError:
        return here

def send(over, one):
    # Hand it over, so that the last close is the platform's.
    try:
        socket.send_fds(over, [b"l"], [one.fileno()])
    except OSError as error:
        print("refused:", error, file=sys.stderr, flush=True)
        KEPT.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    else:
        os.close(one.detach())

match os.environ["HOSTILE"]:
    case "file":
        socket.send_fds(out, [b"l"], [os.open("/dev/null", os.O_RDONLY)])
    case "two":
        socket.send_fds(out, [b"l"], [listener().fileno(), listener().fileno()])
    case "connection":
        send(out, lingering())
    case "queued":
        several = [lingering() for _ in range(3)]
        socket.send_fds(out, [b"l"], [listener().fileno()])
        for one in several:
            send(out, one)
    case "channel":
        send(socket.socket(fileno=os.dup(int(os.environ["A2A_WORKER_FD"]))), lingering())
        os.environ.pop("A2A_EGRESS_FD")
    case "blocking":
        one = listener()
        socket.send_fds(out, [b"l"], [one.fileno()])

        def again():
            while True:
                os.set_blocking(one.fileno(), True)
                try:
                    socket.create_connection(one.getsockname()).close()
                except OSError:
                    pass
                time.sleep(0.002)

        threading.Thread(target=again, daemon=True).start()
        os.environ.pop("A2A_EGRESS_FD")
out.close()
if os.environ["HOSTILE"] in ("file", "two", "connection"):
    time.sleep(60)
if "A2A_EGRESS_FD" in os.environ:
    os.close(int(os.environ.pop("A2A_EGRESS_FD")))
sys.argv = ["main"]
from a2a_cloud.agent.main import main
main()
"""
PLATFORM = """
import asyncio, os, signal, sys
from pathlib import Path
import uvloop
from a2a_cloud.app import Platform
from a2a_cloud.model.problem import Problem
from a2a_cloud.settings import Settings

async def serve():
    command = (sys.executable, "-I", "-B", "-X", "utf8", sys.argv[1])
    platform = Platform(Settings.from_env(os.environ), worker_command=command)
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, end.set)
    await platform.start([Path(sys.argv[2])])
    await end.wait()
    await platform.stop(1.0)

try:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
except Problem as problem:
    sys.exit(problem.detail)
"""
AGENT = """
from a2a_cloud import skill

@skill
def greet() -> str:
    return "hello"
"""


def start(home: Path, what: str) -> tuple[subprocess.Popen[bytes], Running]:
    if shutil.which("bwrap") is None:
        pytest.fail("bubblewrap is missing: run scripts/setup-system.")
    folder, places = home / "agent", home / "worker"
    folder.mkdir()
    places.mkdir()
    (folder / "a2a.toml").write_text('name = "odd"\n[limits]\nstart_timeout = 10\n')
    (folder / "agent.py").write_text(AGENT)
    worker = places / "worker.py"
    worker.write_text(f'import os\nos.environ["HOSTILE"] = {what!r}\n{WORKER}')
    places.chmod(0o755)
    worker.chmod(0o644)
    script = home / "hosting.py"
    script.write_text(PLATFORM)
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    env |= {"PYTHONPATH": str(SOURCE), "A2A_PORT": "0", "A2A_DATA": str(home / "data"), "A2A_SANDBOX": "jail",
            "A2A_ENVIRONMENTS": str(ENVIRONMENTS), "XDG_CONFIG_HOME": str(home / "config")}  # fmt: skip
    log = home / "platform.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, script, worker, folder], env=env, stdout=out, stderr=out)
    return process, Running(process, home / "data", [folder], env, log)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("file", "it handed over something that is no socket"),
        ("two", "it handed over 2 descriptors"),
        ("connection", "it handed over a socket that does not listen"),
    ],
)
def test_what_is_no_listener_ends_the_worker(tmp_path: Path, what: str, said: str) -> None:
    process, running = start(tmp_path, what)
    assert process.wait(20) != 0
    text = running.log.read_text()
    assert "in the place of the listener for its way out " + said in text


@pytest.mark.parametrize("what", ["queued", "channel", "blocking"])
def test_what_could_stop_the_platform_does_not(tmp_path: Path, what: str) -> None:
    process, running = start(tmp_path, what)
    running.wait_ready()
    try:
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            once = time.monotonic()
            assert request(running, "GET", "/healthz", timeout=5).status == 200
            assert time.monotonic() - once < 0.5
            time.sleep(0.02)
        assert invoke(running, "odd", "greet").json == "hello"
        assert begin(running, "odd", "greet").result(5).json == "hello"
    finally:
        assert running.stop() == 0
    assert process.returncode == 0
