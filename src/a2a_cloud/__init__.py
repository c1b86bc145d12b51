"""a2a cloud: an agent platform with one agent surface.

The names of the authoring kit are loaded when first used (PEP 562), so that `import a2a_cloud`
costs nothing and an agent's environment needs msgspec alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a2a_cloud.agent.context import Context
    from a2a_cloud.agent.files import File
    from a2a_cloud.agent.problem import Problem, Refuse, ScopeDenied
    from a2a_cloud.agent.scope import Scope
    from a2a_cloud.agent.skill import Agent, skill
    from a2a_cloud.agent.workspace import Entry, Workspace

__all__ = [
    "Agent",
    "Context",
    "Entry",
    "File",
    "Problem",
    "Refuse",
    "Scope",
    "ScopeDenied",
    "Workspace",
    "__version__",
    "skill",
]

__version__ = "0.1.0"

_HOMES = {
    "Agent": "skill",
    "Context": "context",
    "Entry": "workspace",
    "File": "files",
    "Problem": "problem",
    "Refuse": "problem",
    "Scope": "scope",
    "ScopeDenied": "problem",
    "Workspace": "workspace",
    "skill": "skill",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.agent.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
