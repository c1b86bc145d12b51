"""An agent that attacks what it runs in. Each attack is a process of its own: see attacks.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from a2a_cloud import skill


@skill(timeout=30)
def attack(names: list[str], target: dict[str, str | int]) -> dict[str, str]:
    """Try attacks by name on what `target` names; how each went, as in attacks.py."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("attacks.py")), json.dumps(target), *names],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in done.stdout.splitlines())
