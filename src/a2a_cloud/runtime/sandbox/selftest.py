"""The jail's test of itself: a few attacks in a real cage, when a platform starts.

Each has a target that can be reached from outside of the cage, which is looked at first: an attack on
what isn't there would prove nothing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from a2a_cloud.model.problem import Problem
from a2a_cloud.runtime.sandbox.port import Attack, Caged, CageLimits, CageSpec, Sandbox, roots_of

#: Seconds after which a cage that has not ended counts as one that does not work.
PATIENCE = 20.0
PROBE = Path(__file__).with_name("probe.py")
_LIMITS = CageLimits(memory=256 << 20, pids=16, open_files=64, tmp_bytes=4 << 20)


class _Tried(msgspec.Struct):
    name: str
    refused: bool
    detail: str


def attacks(sandbox: Sandbox, data: Path) -> list[Attack]:
    """Try them. When the cage does not even start, that is the one attack that "got through"."""
    python = Path(sys.executable).resolve()
    with (
        tempfile.TemporaryDirectory(prefix="a2a-cage-") as name,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        # The folder is open to everybody, so that it is the cage and no file mode that refuses.
        folder = Path(name)
        folder.chmod(0o755)
        source = folder / "app"
        source.mkdir(0o755)
        source.chmod(0o755)
        canary = folder / "canary"
        canary.write_text("outside\n")
        canary.chmod(0o644)
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        target = json.dumps({"canary": str(canary), "port": port, "data": str(data.absolute())})
        try:
            caged = sandbox.wrap(
                CageSpec(
                    agent_key="self-test",
                    command=(str(python), "-I", "-S", "-c", PROBE.read_text(), target),
                    folder=source,
                    roots=roots_of(python),
                    limits=_LIMITS,
                )
            )
        except (OSError, Problem) as error:
            return [Attack("start a cage", False, str(error))]
        code, out, err = run(caged, PATIENCE)
    try:
        tried = msgspec.json.decode(out, type=list[_Tried])
    except msgspec.MsgspecError:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        return [Attack("start a cage", False, lines[-1] if lines else f"it ended with {code}")]
    return [Attack(one.name, one.refused, one.detail) for one in tried]


def run(caged: Caged, patience: float) -> tuple[int, bytes, bytes]:
    """Run a caged process to its end; its exit code (-9 after `patience` seconds), output, errors."""
    try:
        process = subprocess.Popen(  # noqa: S603  # the cage's own chain
            caged.argv,
            env=caged.env,
            cwd=caged.cwd,
            pass_fds=caged.pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        caged.started()
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        return caged.status(process.returncode), out, err
    finally:
        caged.cleanup()
