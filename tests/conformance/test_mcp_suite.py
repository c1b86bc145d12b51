"""Every scenario that the official MCP suite scores for a server passes, for both revisions."""

from __future__ import annotations

from pathlib import Path

import mcp_suite
import pytest

from running import Running


@pytest.mark.parametrize("revision", mcp_suite.REVISIONS)
def test_what_is_scored_passes(tester: Running, tmp_path: Path, revision: str) -> None:
    found = mcp_suite.run(f"{tester.agent('mcp_suite')}/mcp", revision, tmp_path)
    scored = [one for one in found.values() if not one.unscored]
    assert {one.name: one.failed for one in scored if one.failed} == {}
    assert all(one.passed for one in scored)
    assert len(scored) >= 30
