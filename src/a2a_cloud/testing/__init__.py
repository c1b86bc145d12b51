"""What we ship for tests: a client that calls an agent's skills in process, and the conformance suites
of our ports (journal, objects).

The names are loaded when first used (PEP 562): an agent's tests need msgspec alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a2a_cloud.testing.agent import AgentTest
    from a2a_cloud.testing.agent_answers import NotAnswered
    from a2a_cloud.testing.agent_outcome import Outcome, Question
    from a2a_cloud.testing.agent_scope import ScopeRequest
    from a2a_cloud.testing.agent_workspace import Workspace

__all__ = ["AgentTest", "NotAnswered", "Outcome", "Question", "ScopeRequest", "Workspace"]

_HOMES = {
    "AgentTest": "agent",
    "NotAnswered": "agent_answers",
    "Outcome": "agent_outcome",
    "Question": "agent_outcome",
    "ScopeRequest": "agent_scope",
    "Workspace": "agent_workspace",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
