"""Runs attacks in a cage, or without one, as whoever starts it: `python caging.py REQUEST` (JSON).

Prints a JSON object: `out` and `err` of the attacks, their exit code, the cage's verdict and layers.
It is a program of its own, so that the same tests can be an ordinary user's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from a2a_cloud.model.problem import Problem
from a2a_cloud.runtime.sandbox.jail import Jail
from a2a_cloud.runtime.sandbox.pick import strongest
from a2a_cloud.runtime.sandbox.port import CageLimits, CageSpec, roots_of

PATIENCE = 30.0


def main(request: dict[str, object]) -> dict[str, object]:
    """What was asked for."""
    store = Path(str(request["store"]))
    if request.get("pick") is not None:
        sandbox = strongest(store / "data", str(request["pick"]))
        return {
            "name": sandbox.name,
            "layers": sandbox.layers,
            "missing": sandbox.missing,
            "attacks": [[one.name, one.refused, one.detail] for one in sandbox.self_test()],
        }
    python = store / "python" / "bin" / "python3"
    names = [str(name) for name in request["names"]]  # type: ignore[attr-defined]
    target = json.dumps(request["target"])
    if request.get("bare"):
        command = [str(python), "-I", "-S", str(store / "escaper" / "attacks.py"), target, *names]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, env={}, cwd="/")
        return {"code": done.returncode, "out": done.stdout.decode(), "err": done.stderr.decode()}
    jail = Jail(store / "data", omit=frozenset(request.get("omit", ())))  # type: ignore[arg-type]
    spec = CageSpec(
        agent_key=str(request.get("key", "default/escaper")),
        command=(str(python), "-I", "-S", "/app/attacks.py", target, *names),
        folder=store / "escaper",
        roots=roots_of(python),
        rundir=Path(str(request["rundir"])) if request.get("rundir") else None,
        writable=tuple(Path(str(one)) for one in request.get("writable", ())),  # type: ignore[attr-defined]
        limits=CageLimits(**request.get("limits", {})),  # type: ignore[arg-type]
    )
    caged = jail.wrap(spec)
    process = subprocess.Popen(
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
    if request.get("linger"):
        # The test kills this process and looks what is left.
        groups = [str(one) for one in caged.group.folders] if caged.group is not None else []
        print(json.dumps({"pid": process.pid, "groups": groups}), flush=True)
    out, err = process.communicate(timeout=PATIENCE)
    code = caged.status(process.returncode)
    caged.cleanup()
    return {
        "code": code,
        "out": out.decode(),
        "err": err.decode(),
        "verdict": caged.verdict(code, int(request.get("error", 0))),  # type: ignore[call-overload]
        "again": caged.verdict(code),
        "layers": jail.layers,
        "missing": jail.missing,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except Problem as problem:
        print(json.dumps({"problem": problem.code, "sentence": problem.sentence, "uid": os.geteuid()}))
