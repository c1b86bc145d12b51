"""Import rules that import-linter can't say: what the agent's side and the worker protocol may import."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "a2a_cloud"
AGENT = sorted((SOURCE / "agent").rglob("*.py"))


def imported(path: Path, *, lazily: bool = True) -> set[str]:
    """Modules that a file imports; without `lazily` only those that its import imports."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree)) if lazily else tree.body
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            found.add(node.module or "")
    return found


def foreign(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.name)
def test_the_kit_is_stdlib_and_msgspec(path: Path) -> None:
    ours = ("a2a_cloud.agent", "a2a_cloud.wire.worker")
    others = {name for name in foreign(imported(path, lazily=False)) if not name.startswith(ours)}
    others.discard("a2a_cloud")  # the package itself imports nothing, see below
    assert {name.split(".")[0] for name in others} <= {"msgspec"}, others


def test_the_worker_protocol_imports_nothing_of_ours() -> None:
    assert {name.split(".")[0] for name in foreign(imported(SOURCE / "wire" / "worker.py"))} <= {"msgspec"}


def test_the_package_itself_is_lazy() -> None:
    assert foreign(imported(SOURCE / "__init__.py", lazily=False)) == set()
    assert (SOURCE / "wire" / "__init__.py").read_text().count("import") == 0
