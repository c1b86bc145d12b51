"""The sandbox in force, told alike by the start, the release and the card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from calling import request

from running import Running

AGENT = '''
from a2a_cloud import skill


@skill
def greet() -> str:
    """Greets."""
    return "hello"
'''
Start = Callable[..., Running]


@pytest.mark.parametrize("sandbox", ["jail", "process"])
def test_all_places_tell_the_same(platform: Start, tmp_path: Path, sandbox: str) -> None:
    folder = tmp_path / "greeter"
    folder.mkdir()
    (folder / "a2a.toml").write_text('name = "greeter"\n[sandbox]\nisolation = "caller"\n')
    (folder / "agent.py").write_text(AGENT)
    running = platform([folder], A2A_SANDBOX=sandbox)
    release = request(running, "GET", "/api/v1/agents/greeter/releases/1").json
    card = request(running, "GET", "/agents/greeter/.well-known/agent-card.json").json
    copy = request(running, "GET", "/api/v1/agents/greeter/releases/1/card").json
    found = {each["uri"]: each.get("params") for each in card["capabilities"]["extensions"]}
    params = found["urn:a2a-cloud:isolation:v1"]

    assert release["sandbox"]["name"] == params["sandbox"] == sandbox
    assert release["sandbox"]["layers"] == params["layers"]
    assert params["layers"]
    assert (release["isolation"], release["require"], params["isolation"]) == ("caller", "", "caller")
    told = {each["uri"]: each.get("params") for each in copy["capabilities"]["extensions"]}
    assert told["urn:a2a-cloud:isolation:v1"] == params
    lines = running.log.read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("  sandbox")]
    assert ("not isolated" in line) is (sandbox == "process")
    assert ("seccomp" in params["layers"]) is (sandbox == "jail")
