"""The platform that the official clients and suites of this folder call, with the agents made for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running import AGENTS, Running, start_platform

EXAMPLES = AGENTS.parents[1] / "examples"


@pytest.fixture(scope="session")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Agents tester (public) and mcp_suite (public); push notifications may go to this machine."""
    running = start_platform(
        [EXAMPLES / "tester", AGENTS / "mcp_suite"],
        tmp_path_factory.mktemp("tester"),
        A2A_PUSH_PRIVATE="127.0.0.0/8",
    )
    yield running
    running.stop()
