"""What every sandbox does alike: how a process starts in it, what it is given, and what stays."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from a2a_cloud.model.problem import StartFailed
from a2a_cloud.runtime.sandbox.jail import Jail
from a2a_cloud.runtime.sandbox.port import Caged, CageLimits, CageSpec, Sandbox, roots_of
from a2a_cloud.runtime.sandbox.process import Process
from a2a_cloud.runtime.sandbox.selftest import run

PYTHON = Path(sys.executable).resolve()
LIMITS = CageLimits(memory=64 << 20, pids=24, open_files=64, tmp_bytes=4 << 20)
LOOK = """
import json, os
names = [name for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)]
seen = {"variables": dict(os.environ), "descriptors": [int(name) for name in names], "here": os.getcwd()}
print(json.dumps(seen))
"""


class Place:
    """A data folder that is for nobody else, an agent's source in it, and a sandbox."""

    def __init__(self, sandbox: Sandbox, root: Path) -> None:
        self.sandbox = sandbox
        self.root = root
        self.source = root / "data/releases/1"

    def spec(self, code: str, **more: Any) -> CageSpec:
        spec = CageSpec(
            agent_key="conformance",
            command=(str(PYTHON), "-I", "-S", "-c", code),
            folder=self.source,
            roots=roots_of(PYTHON),
            limits=LIMITS,
        )
        return replace(spec, **more)

    def run(self, code: str, **more: Any) -> tuple[int, str]:
        ended, out, err = run(self.sandbox.wrap(self.spec(code, **more)), 20.0)
        assert not err, err.decode()
        return ended, out.decode()


@pytest.fixture(params=["jail", "process"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="a2a-port-") as name:
        root = Path(name)
        data = root / "data"
        data.mkdir(0o700)
        sandbox = Jail(data) if request.param == "jail" else Process(data)
        place = Place(sandbox, root)
        place.source.mkdir(parents=True)
        (place.source / "agent.py").write_text("# an agent\n")
        for folder in (place.source, place.source.parent):
            folder.chmod(0o755)
        yield place


def descriptors() -> set[str]:
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def start(caged: Caged) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        caged.argv,
        env=caged.env,
        cwd=caged.cwd,
        pass_fds=caged.pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    caged.started()
    return process


def test_it_sees_its_variables_and_no_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2A_ADMIN_KEY", "of the platform")
    monkeypatch.setenv("LANG", "C.UTF-8")
    # The linker's reach the agent, and none of the programs before it.
    settings = {"TOKEN": "a b=c\n'\"$é", "LD_LIBRARY_PATH": "/app/lib"}
    code, out = place.run(LOOK, settings=settings)
    assert code == 0
    seen = json.loads(out)
    known = {"HOME", "TMPDIR", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PWD", "_", "SHLVL", "OLDPWD"}
    assert {name: seen["variables"].get(name) for name in settings} == settings
    assert set(seen["variables"]) - known == set(settings)
    assert seen["variables"]["LANG"] == "C.UTF-8"


def test_it_is_handed_its_socket_and_descriptors_and_no_others(place: Place) -> None:
    ours, theirs = socket.socketpair()
    secret = os.open(place.root, os.O_RDONLY)
    os.set_inheritable(secret, True)
    number = os.memfd_create("handed")
    os.write(number, b"handed in")
    try:
        code = LOOK + (
            "fd = int(os.environ['A2A_WORKER_FD'])\n"
            "assert os.getppid() == int(os.environ['A2A_WORKER_PARENT'])\n"
            f"os.write(fd, os.pread({number}, 20, 0))"
        )
        ended, out = place.run(code, socket=theirs.fileno(), descriptors=(number,))
        assert ended == 0
        assert ours.recv(100) == b"handed in"
        assert sorted(json.loads(out)["descriptors"]) == sorted({0, 1, 2, theirs.fileno(), number})
    finally:
        os.close(secret)
        os.close(number)
        ours.close()
        theirs.close()


def test_it_starts_in_its_source(place: Place) -> None:
    caged = place.sandbox.wrap(place.spec(LOOK))
    _, out, _ = run(caged, 20.0)
    assert json.loads(out)["here"] == caged.folder
    _, out = place.run("print(open('agent.py').read(), end='')")
    assert out == "# an agent\n"


def test_folders_that_it_may_write(place: Place) -> None:
    rundir, first, second = (place.root / "data" / name for name in ("run", "cache", "work"))
    for folder in (rundir, first, second):
        folder.mkdir(0o700)
    code = (
        "import os\n"
        f"for folder in ({str(first)!r}, {str(second)!r}, RUNDIR):\n"
        "    with open(folder + '/made', 'w') as file:\n"
        "        file.write(folder)\n"
        f"os.link({str(first)!r} + '/made', {str(first)!r} + '/linked')\n"
    )
    seen = place.sandbox.wrap(place.spec("", rundir=rundir))
    seen.cleanup()
    ended, _ = place.run(code.replace("RUNDIR", repr(seen.rundir)), rundir=rundir, writable=(first, second))
    assert ended == 0
    assert (first / "made").read_text() == str(first)
    assert (second / "made").read_text() == str(second)
    assert (rundir / "made").read_text() == seen.rundir
    assert (first / "linked").samefile(first / "made")


def test_uv_makes_an_environment_in_a_cage(place: Place) -> None:
    uv = Path(find_uv_bin())
    work = place.root / "data/environments"
    work.mkdir(0o700)
    caged = place.sandbox.wrap(
        CageSpec(
            agent_key="build",
            command=(
                str(uv),
                "venv",
                "--offline",
                "--no-config",
                "--python",
                str(PYTHON),
                str(work / "made"),
            ),
            folder=place.source,
            roots=(uv.parent, *roots_of(PYTHON)),
            settings={"UV_CACHE_DIR": str(work / "cache")},
            limits=replace(LIMITS, memory=1 << 30, pids=64),
            writable=(work,),
        )
    )
    ended, _, err = run(caged, 30.0)
    assert ended == 0, err.decode()
    # It is for the sandbox's own user, and for those whom its mode lets in.
    assert (work / "made/bin/python").resolve() == PYTHON
    python = work / "made/bin/python"
    command = (str(python), "-I", "-c", "import sys; print(sys.prefix)")
    assert place.run("", command=command, roots=roots_of(python)) == (0, f"{work / 'made'}\n")


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 15)", -15),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os._exit(0)", 0),
    ],
)
def test_how_it_ended(place: Place, code: str, ended: int) -> None:
    assert place.run(code)[0] == ended


def test_limits_that_the_kernel_counts_are_told_without_a_word_of_the_agents(place: Place) -> None:
    if "cgroup memory" not in place.sandbox.layers:
        assert any("Memory is limited per process" in one for one in place.sandbox.missing)
        return
    caged = place.sandbox.wrap(place.spec("held = [bytearray(b'x') * (16 << 20) for _ in range(64)]"))
    ended, _, _ = run(caged, 20.0)
    assert ended == -signal.SIGKILL
    assert "`memory`" in caged.verdict(ended)
    assert caged.verdict() == ""


@pytest.mark.parametrize(
    ("code", "name", "setting"),
    [
        ("held = [os.open('/dev/null', 0) for _ in range(500)]", "EMFILE", "open_files"),
        ("for _ in range(200):\n        os.fork() or time.sleep(1)", "EAGAIN", "pids"),
    ],
)
def test_limits_that_the_agent_meets(place: Place, code: str, name: str, setting: str) -> None:
    if setting == "pids" and not {"cgroup pids", "rlimits"} & set(place.sandbox.layers) - (
        {"rlimits"} if place.sandbox.name == "process" else set()
    ):
        assert any("number of processes" in one for one in place.sandbox.missing)
        return
    whole = f"import os, time\ntry:\n    {code}\nexcept OSError as error:\n    os._exit(error.errno)"
    caged = place.sandbox.wrap(place.spec(whole))
    ended, _, _ = run(caged, 20.0)
    assert ended == getattr(errno, name)
    assert f"`{setting}`" in caged.verdict(ended, error=ended)


def test_kill_and_cleanup_leave_nothing(place: Place) -> None:
    before = descriptors()
    caged = place.sandbox.wrap(place.spec("import time; print('up', flush=True); time.sleep(60)"))
    with start(caged) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        os.killpg(process.pid, signal.SIGKILL)
        caged.kill()
        process.wait(10)
    caged.cleanup()
    caged.cleanup()
    if caged.group is not None:
        end = time.monotonic() + 5
        while any(folder.exists() for folder in caged.group.folders):
            assert time.monotonic() < end
            time.sleep(0.01)
            caged.cleanup()
    assert descriptors() == before


def test_what_cannot_be_caged_leaves_nothing(place: Place) -> None:
    before = descriptors()
    for wrong in (
        place.spec("", folder=place.root / "data"),
        place.spec("", command=("python",)),
        place.spec("", settings={"A": "\0"}),
    ):
        with pytest.raises(StartFailed) as raised:
            place.sandbox.wrap(wrong)
        assert raised.value.detail or raised.value.operator
    assert descriptors() == before


def test_what_was_wrapped_and_never_started_leaves_nothing(place: Place) -> None:
    before = descriptors()
    caged = place.sandbox.wrap(place.spec(""))
    folders = caged.group.folders if caged.group is not None else ()
    assert all(folder.exists() for folder in folders)
    caged.cleanup()
    assert not any(folder.exists() for folder in folders)
    assert descriptors() == before


def test_wrapping_holds_nobody_up(place: Place) -> None:
    times: list[float] = []
    for _ in range(15):
        since = time.perf_counter()
        caged = place.sandbox.wrap(place.spec(""))
        times.append(time.perf_counter() - since)
        caged.cleanup()
    assert statistics.median(times) < 0.005


def test_it_says_what_it_does_and_what_not(place: Place) -> None:
    assert place.sandbox.name in ("jail", "process")
    assert len(set(place.sandbox.layers)) == len(place.sandbox.layers) > 0
    assert all(one.endswith(".") and one[0].isupper() for one in place.sandbox.missing)
    assert [one for one in place.sandbox.self_test() if not one.refused] == []
