"""The buyer's own limits, from limits.toml: read at start, told to nobody."""

from __future__ import annotations

import tomllib
from pathlib import Path

from mesh_buyer_agent.strategy import Stance

_FILE = Path(__file__).resolve().parents[1] / "limits.toml"


def stances(path: Path = _FILE) -> dict[str, Stance]:
    """Item → stance. Raises ValueError for a file that makes no sense."""
    found: dict[str, Stance] = {}
    for name, said in tomllib.loads(path.read_text())["items"].items():
        stance = Stance("buyer", int(said["opening"]), int(said["limit"]), float(said["pace"]))
        if not 0 < stance.opening <= stance.limit or stance.pace <= 0:
            raise ValueError(f"{path.name}: for {name}, 0 < opening <= limit and pace > 0 have to hold")
        found[name] = stance
    return found
