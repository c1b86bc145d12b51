"""Where the examples lie; importing this makes their packages importable."""

from __future__ import annotations

import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

for _name in ("bookkeeper", "data_analyst", "planner", "mesh_buyer", "mesh_seller"):
    if str(EXAMPLES / _name) not in sys.path:
        sys.path.append(str(EXAMPLES / _name))
