"""Limits, isolation and idling of workers in the jail, on a whole platform."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from calling import Said, begin, invoke, request, wait_for

from running import AGENTS, Running, start_platform

Start = Callable[..., Running]
HUNGRY = AGENTS / "hungry"


@pytest.fixture(scope="module", autouse=True)
def _a_jail() -> None:
    if shutil.which("bwrap") is None:
        pytest.fail("bubblewrap is missing: run scripts/setup-system.")


@pytest.fixture(scope="module")
def hungry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([HUNGRY], tmp_path_factory.mktemp("limits"), A2A_SANDBOX="jail")
    yield running
    running.stop()


def cages(running: Running) -> int:
    """How many workers run under the platform."""
    pid = running.process.pid
    found = 0
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            found += b"bwrap" in Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue  # It has just ended.
    return found


@pytest.mark.parametrize(
    ("skill", "limit", "value", "setting"),
    [
        ("memory", "used more memory", "96 MiB", "memory"),
        ("processes", "started more processes and threads", "24", "pids"),
        ("threads", "started more processes and threads", "24", "pids"),
        ("files", "opened more files at once", "64", "open_files"),
        ("sockets", "opened more files at once", "64", "open_files"),
        ("disk", "wrote more to /tmp", "4 MiB", "tmp_bytes"),
        ("many_small_files", "wrote more to /tmp", "4 MiB", "tmp_bytes"),
    ],
)
def test_a_run_that_hits_a_limit_fails_alone(
    hungry: Running, skill: str, limit: str, value: str, setting: str
) -> None:
    neighbour = begin(hungry, "hungry", "nap", seconds=0.6)
    said = invoke(hungry, "hungry", skill)
    assert said.code == "limit_exceeded", said.body
    assert said.detail.startswith(
        f"The agent {limit} than it may ({value}): `{setting}` under [limits] in a2a.toml."
    )
    run = request(hungry, "GET", f"/api/v1/runs/{said.run}").json
    assert (run["state"], run["error"]["code"], run["dead"]) == ("failed", "limit_exceeded", False)
    assert neighbour.result(20).status == 200
    assert invoke(hungry, "hungry", "born").status == 200


def test_memory_counts_over_all_processes_of_a_run(hungry: Running) -> None:
    neighbour = begin(hungry, "hungry", "nap", seconds=1)
    said = invoke(hungry, "hungry", "memory_of_children")
    # The kernel ends some of its children, and what the run makes of that is its own affair.
    assert said.status == 200, said.body
    assert said.json < 0
    assert said.json % 9 == 0
    assert neighbour.result(20).status == 200


def test_more_cpu_than_it_may_have_is_slower_and_no_failure(hungry: Running) -> None:
    neighbour = begin(hungry, "hungry", "cpu", seconds=0.05)
    said = invoke(hungry, "hungry", "cpu", seconds=0.3)
    assert said.status == 200, said.body
    if _throttled():
        assert said.json > 0.8  # A quarter of a core.
    assert neighbour.result(20).status == 200


def _throttled() -> bool:
    from a2a_cloud.runtime.sandbox.cgroups import find_cgroups

    return "cpu" in find_cgroups().bases


def test_more_time_than_it_may_take_ends_the_run_and_its_process(hungry: Running) -> None:
    neighbour = begin(hungry, "hungry", "nap", seconds=1.5)
    began = time.monotonic()
    said = invoke(hungry, "hungry", "endless")
    assert said.code == "timed_out", said.body
    assert "longer than it may (1 s): `timeout` of the skill" in said.detail
    assert 0.9 < time.monotonic() - began < 4
    assert neighbour.result(20).status == 200


# --- isolation ---------------------------------------------------------------------------------------------


def isolated(home: Path, name: str, isolation: str) -> Path:
    folder = home / name
    folder.mkdir()
    shutil.copy(HUNGRY / "agent.py", folder)
    (folder / "a2a.toml").write_text(
        f'name = "{name}"\n[limits]\nworkers = 2\n[sandbox]\nisolation = "{isolation}"\n'
    )
    return folder


def test_isolation_says_who_shares_a_process(platform: Start, tmp_path: Path) -> None:
    folders = [isolated(tmp_path, each, each) for each in ("caller", "run")]
    folders.append(isolated(tmp_path, "everybody", "shared"))
    (tmp_path / "everybody" / "a2a.toml").write_text('name = "everybody"\n')
    running = platform(folders, A2A_SANDBOX="jail")
    keys: dict[str, dict[str, str]] = {}
    for name in ("ann", "ben"):
        made = request(running, "POST", "/api/v1/keys", {"principal": name, "role": "member"})
        assert made.status == 201, made.body
        keys[name] = {"Authorization": f"Bearer {made.json['key']}"}

    def born(agent: str, who: str) -> str:
        said: Said = request(running, "POST", f"/agents/{agent}/invoke/born", {}, keys[who])
        assert said.status == 200, said.body
        return said.json

    calls = ("ann", "ben", "ann", "ben", "ann")
    assert len({born("everybody", who) for who in calls}) == 1
    by_caller = {who: {born("caller", who) for _ in range(3)} for who in ("ann", "ben")}
    assert len(by_caller["ann"]) == len(by_caller["ben"]) == 1
    assert by_caller["ann"].isdisjoint(by_caller["ben"])
    assert len({born("run", who) for who in calls}) == len(calls)


# --- idling ------------------------------------------------------------------------------------------------


def test_an_idle_agent_has_no_process_until_somebody_calls(platform: Start, tmp_path: Path) -> None:
    folder = isolated(tmp_path, "sleeper", "shared")
    running = platform([folder], A2A_SANDBOX="jail", A2A_IDLE="2")
    first = invoke(running, "sleeper", "born").json
    assert cages(running) == 2
    # A run that goes on keeps its worker.
    assert invoke(running, "sleeper", "nap", seconds=3).status == 200
    wait_for(lambda: cages(running) == 0)
    card = request(running, "GET", "/agents/sleeper/.well-known/agent-card.json")
    assert card.status == 200
    assert {each["id"] for each in card.json["skills"]} >= {"born", "nap"}
    time.sleep(0.5)
    assert cages(running) == 0
    began = time.monotonic()
    second = invoke(running, "sleeper", "born").json
    assert second != first
    assert time.monotonic() - began < 5
