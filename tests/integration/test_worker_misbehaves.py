"""What a worker may do wrong, and what comes of it: for the run, for its neighbours, for the platform."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import alive, begin, invoke, lines, log_text, request, run_of, wait_for

from a2a_cloud.runtime.sandbox.cgroups import find_cgroups
from running import AGENTS, Running, start_platform


@pytest.fixture(scope="module")
def rogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "rogue"], tmp_path_factory.mktemp("rogue"))
    yield running
    running.stop()


def pid(running: Running) -> int:
    return invoke(running, "rogue", "pid").json


# --- does not stop ----------------------------------------------------------------------------------


@pytest.mark.parametrize("skill", ["slow", "obedient"])
def test_a_run_that_stops_when_told_to_costs_only_itself(rogue: Running, skill: str) -> None:
    before = pid(rogue)
    said = invoke(rogue, "rogue", skill)
    assert (said.status, said.code) == (504, "timed_out")
    assert pid(rogue) == before


@pytest.mark.parametrize("skill", ["deaf", "stuck"])
def test_a_run_that_does_not_stop_costs_its_worker_but_no_neighbour(
    rogue: Running, skill: str, tmp_path: Path
) -> None:
    old = pid(rogue)
    gate = tmp_path / "gate"
    neighbour = begin(rogue, "rogue", "hold", gate=str(gate))
    said = invoke(rogue, "rogue", skill)
    assert said.code == "timed_out"
    # A replacement serves while the old worker waits for its neighbour.
    assert wait_for(lambda: pid(rogue) != old)
    assert alive(old)
    gate.touch()
    assert neighbour.result(20).json == old
    wait_for(lambda: not alive(old))
    assert "did not stop when it was told to" in log_text(rogue, "rogue")


def test_a_worker_that_stops_reading_is_replaced(rogue: Running) -> None:
    old = pid(rogue)
    assert invoke(rogue, "rogue", "unread").code == "timed_out"
    wait_for(lambda: not alive(old))
    assert pid(rogue) != old


def test_what_a_worker_does_not_read_is_bounded(rogue: Running, tmp_path: Path) -> None:
    old = pid(rogue)
    gate = tmp_path / "gate"
    hog = begin(rogue, "rogue", "hog", gate=str(gate))
    large = [begin(rogue, "rogue", "breed", how="child", padding="x" * (15 << 20)) for _ in range(2)]
    assert {one.result(30).code for one in large} == {"invalid_params"}  # `breed` takes no padding
    gate.touch()
    assert hog.result(20).json == "read"
    assert pid(rogue) == old


# --- crashes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "why"),
    [("exit", "exited with code 3"), ("segv", "killed by SIGSEGV"), ("kill", "killed by SIGKILL")],
)
def test_a_crash_is_told_and_the_next_call_is_served(rogue: Running, how: str, why: str) -> None:
    old = pid(rogue)
    said = invoke(rogue, "rogue", "crash", how=how)
    assert said.code == "worker_lost"
    assert why in said.detail
    assert run_of(rogue, said.run)["dead"] is True
    assert pid(rogue) != old
    assert why in log_text(rogue, "rogue")


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("memory", "`memory` under [limits]"),
        ("memory_thread", "`memory` under [limits]"),
        ("recursion", "RecursionError"),
        ("sysexit", "SystemExit"),
    ],
)
def test_an_error_that_python_survives_fails_its_run_alone(rogue: Running, how: str, name: str) -> None:
    before = pid(rogue)
    said = invoke(rogue, "rogue", "crash", how=how)
    assert said.code == ("limit_exceeded" if how.startswith("memory") else "skill_failed")
    assert name in said.detail
    assert pid(rogue) == before
    trace = [line["line"] for line in lines(rogue, "rogue") if line["run_id"] == said.run]
    assert any(f"in {'_deeper' if how == 'recursion' else 'crash'}" in line for line in trace), trace
    assert not any("a2a_cloud/agent" in line for line in trace), trace


def test_open_files_are_limited(rogue: Running) -> None:
    assert 32 < invoke(rogue, "rogue", "files").json < 64


# --- floods -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("print", 300_000),
        ("descriptor", 1_000_000),
        ("endless line", 100 << 20),
        ("raw log", 50_000),
        ("raw stray", 50_000),
    ],
)
def test_a_flood_of_output_is_bounded(rogue: Running, what: str, count: int) -> None:
    wal = rogue.data / "journal.db-wal"
    before = (rogue.data / "journal.db").stat().st_size + wal.stat().st_size
    said = invoke(rogue, "rogue", "flood", what=what, count=count)
    assert said.json == count
    grown = (rogue.data / "journal.db").stat().st_size + wal.stat().st_size - before
    assert grown < 8 << 20
    assert request(rogue, "GET", "/healthz").status == 200


def test_a_worker_cannot_speak_as_the_platform(rogue: Running) -> None:
    invoke(rogue, "rogue", "flood", what="raw log", count=1000)
    forged = [line for line in lines(rogue, "rogue") if line["line"].startswith("forged")]
    assert all(line["source"] != "platform" for line in forged)


@pytest.mark.parametrize("what", ["progress", "log"])
def test_a_flood_of_events_ends_the_run(rogue: Running, what: str) -> None:
    before = pid(rogue)
    said = invoke(rogue, "rogue", "flood", what=what, count=20_000)
    assert said.code == "invalid_agent_response"
    assert "5000 events" in said.detail
    assert pid(rogue) == before


def test_more_text_than_a_run_may_put_out_ends_it(rogue: Running) -> None:
    said = invoke(rogue, "rogue", "flood", what="text", count=16_384)
    assert said.code == "invalid_agent_response"
    assert "8388608 bytes" in said.detail


def test_text_that_does_not_wait_for_acks_ends_the_worker(rogue: Running) -> None:
    old = pid(rogue)
    said = invoke(rogue, "rogue", "flood", what="raw text", count=1000)
    # Which limit is hit first depends on how fast the disk is.
    assert said.code in {"worker_lost", "invalid_agent_response"}
    if said.code == "worker_lost":
        assert "does not wait for acks" in said.detail
        wait_for(lambda: not alive(old))
    wait_for(lambda: invoke(rogue, "rogue", "pid").status == 200)


# --- nonsense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    [
        "bad msgpack",
        "not a frame",
        "unknown tag",
        "wrong types",
        "too few",
        "oversized",
        "bad utf-8",
        "large text",
        "runtime's frame",
        "done",
        "done of ask",
        "unknown effect",
        "large effect",
        "bad input",
        "bad artifact",
        "artifact shape",
        "uploads",
        "whole uploads",
        "past the last",
        "large chunk",
    ],
)
def test_a_breach_of_the_protocol_ends_the_worker(rogue: Running, what: str) -> None:
    old = pid(rogue)
    said = invoke(rogue, "rogue", "say", what=what)
    if said.status == 202:  # It asked before it broke the protocol: parked, and goes on elsewhere.
        assert what == "done of ask"
        wait_for(lambda: not alive(old))  # What a run says that has been canceled breaks nothing.
        request(rogue, "POST", f"/api/v1/runs/{said.run}/cancel")
    else:
        assert said.code == "worker_lost", said.body
        assert "the worker was ended: it" in said.detail
    wait_for(lambda: not alive(old))
    assert pid(rogue) != old


@pytest.mark.parametrize(
    ("what", "code", "detail"),
    [
        ("bad usage", "invalid_agent_response", "'1e5'"),
        ("no usage", "invalid_agent_response", "no meter"),
        ("artifact", "invalid_agent_response", "neither got nor made"),
        ("status", "invalid_agent_response", "triumphant"),
        ("bad json", "invalid_agent_response", "not valid JSON"),
        ("deep json", "invalid_agent_response", "not valid JSON"),
        ("bad reply", "invalid_agent_response", "not a message"),
        ("large result", "invalid_agent_response", "larger than"),
        ("code", "skill_failed", "mine"),
    ],
)
def test_a_wrong_outcome_fails_its_run_alone(rogue: Running, what: str, code: str, detail: str) -> None:
    before = pid(rogue)
    said = invoke(rogue, "rogue", "say", what=what)
    assert said.code == code
    assert detail in said.detail
    assert len(said.body) < 8000
    assert pid(rogue) == before


@pytest.mark.parametrize(
    ("what", "result"),
    [("ready again", "went on"), ("result twice", "first"), ("path", "not_found"), ("surrogate", "half")],
)
def test_what_changes_nothing(rogue: Running, what: str, result: str) -> None:
    assert invoke(rogue, "rogue", "say", what=what).json == result


def test_a_worker_has_no_say_in_runs_that_it_does_not_hold(rogue: Running, tmp_path: Path) -> None:
    assert invoke(rogue, "rogue", "say", what="foreign run").json == "went on"
    assert "stolen" not in log_text(rogue, "rogue")


def test_more_reads_than_are_allowed_end_the_worker(rogue: Running) -> None:
    # How many are open at once depends on how fast they are answered; what counts is that it is served again.
    invoke(rogue, "rogue", "say", what="reads")
    assert wait_for(lambda: invoke(rogue, "rogue", "pid").status == 200)


# --- processes --------------------------------------------------------------------------------------


def test_the_environment_is_clean_and_the_limits_stand_before_the_code_runs(rogue: Running) -> None:
    seen = invoke(rogue, "rogue", "look").json
    assert seen["environ"].keys() <= {
        "PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "HOME",
        "TMPDIR",
        "PWD",  # of a shell on the way
        *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"),
    }
    assert seen["environ"]["NO_PROXY"] == ""
    assert seen["environ"]["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert rogue.key not in str(seen["environ"])
    assert seen["limits"]["RLIMIT_NOFILE"] == seen["early"] == 64
    assert seen["limits"]["RLIMIT_CORE"] == 0
    assert 0 < seen["limits"]["RLIMIT_DATA"] < 1 << 30
    assert seen["group"] == seen["session"] == seen["pid"]


@pytest.mark.parametrize("how", ["child", "deaf"])
def test_children_die_with_their_worker(rogue: Running, how: str) -> None:
    old = pid(rogue)
    children = invoke(rogue, "rogue", "breed", how=how, count=20).json
    assert all(alive(child) for child in children)
    assert invoke(rogue, "rogue", "crash", how="exit").code == "worker_lost"
    wait_for(lambda: not any(alive(child) for child in [old, *children]))


def test_what_leaves_the_group_is_caught_where_there_are_cgroups(rogue: Running) -> None:
    (daemon,) = invoke(rogue, "rogue", "breed", how="daemon").json
    assert invoke(rogue, "rogue", "crash", how="exit").code == "worker_lost"
    assert pid(rogue)
    if find_cgroups().bases:
        wait_for(lambda: not alive(daemon))
    else:  # docs/worker-protocol.md says so.
        assert alive(daemon)
        os.kill(daemon, signal.SIGKILL)
