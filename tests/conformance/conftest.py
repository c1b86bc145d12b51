"""The platform that the official clients and suites of this folder call, with the agents made for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import AGENTS, Running, start_platform

EXAMPLES = AGENTS.parents[1] / "examples"
# The browser (chrome.py) is driven from here too.
sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))


@pytest.fixture(scope="session")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Agents of the examples and of tests/agents; push notifications may go to this machine, and who names no
    agent by gRPC means the tester."""
    running = start_platform(
        [EXAMPLES / "tester", *(AGENTS / name for name in ("mcp_suite", "ticker", "desk", "demanding"))],
        tmp_path_factory.mktemp("tester"),
        A2A_PUSH_PRIVATE="127.0.0.0/8",
        A2A_GRPC_AGENT="tester",
    )
    yield running
    running.stop()


@pytest.fixture(scope="session")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Agents toolkit and open (public), which MCP clients call."""
    running = start_platform([AGENTS / "toolkit", AGENTS / "open"], tmp_path_factory.mktemp("toolkit"))
    yield running
    running.stop()
