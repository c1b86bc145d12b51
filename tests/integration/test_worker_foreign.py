"""A worker in another language, written from docs/worker-protocol.md: the page is enough."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import answer, begin, events, invoke, log_text, request, run_of, wait_for

from running import ENVIRONMENTS, SOURCE, Running

PLATFORM = Path(__file__).with_name("foreign_platform.py")

pytestmark = pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl")


def start(home: Path, entry: str = "agent.py") -> Running:
    """A platform that starts the worker in Perl, which has its skills built in."""
    folder = home / "agent"
    folder.mkdir()
    folder.joinpath("a2a.toml").write_text(
        f'name = "perl"\nentry = "{entry}"\n[limits]\ntimeout = 20\n[grant]\nskills = ["perl/*"]\n'
    )
    folder.joinpath(entry).write_text("# The skills are in the worker.\n")
    data, log = home / "data", home / "platform.log"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "A2A_PORT": "0", "A2A_DATA": str(data)}
    env["A2A_ENVIRONMENTS"] = str(ENVIRONMENTS)
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, PLATFORM, folder], env=env, stdout=out, stderr=out)
    return Running(process, data, [folder], env, log)


@pytest.fixture(scope="module")
def perl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("perl"))
    running.wait_ready()
    yield running
    running.stop()


def test_it_answers(perl: Running) -> None:
    assert invoke(perl, "perl", "shout", text="hällo 🌍").json == "HÄLLO 🌍"
    wait_for(lambda: "perl is ready for perl" in log_text(perl, "perl"))


def test_many_calls_share_it(perl: Running) -> None:
    calls = [begin(perl, "perl", "shout", text=f"n{n}") for n in range(50)]
    assert [one.result(20).json for one in calls] == [f"N{n}" for n in range(50)]


def test_it_asks(perl: Running) -> None:
    said = invoke(perl, "perl", "ask")
    assert said.status == 202
    assert said.json["question"] == {"text": "How many?", "schema": {"type": "integer"}}
    assert (
        answer(perl, "perl", said.json["task_id"], 21).json["task"]["status"]["state"]
        == "TASK_STATE_COMPLETED"
    )
    view = run_of(perl, said.run)
    assert [event["kind"] for event in view["events"]].count("result") == 1


def test_its_steps_and_state(perl: Running) -> None:
    assert invoke(perl, "perl", "step").json == {"drawn": 7}
    # Without a context of its own each call begins a new state.
    assert invoke(perl, "perl", "state", key="k").json == 0


def test_it_calls_a_child_sleeps_and_reports(perl: Running) -> None:
    said = invoke(perl, "perl", "both")
    assert said.json == "CHILD"
    receipt = request(perl, "GET", f"/agents/perl/runs/{said.run}/receipt").json
    assert {"meter": "tokens", "qty": "12.5", "unit": "t"} in receipt["body"]["usage"]


def test_text_flows_with_acks(perl: Running) -> None:
    found = events(perl, "perl", "pour", count=100)
    text = "".join(data["delta"] for kind, data in found if kind == "text")
    assert len(text) == 100 * 8192
    assert set(text) == {"é"}
    assert found[-1][1]["state"] == "completed"


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_files_come_inline_and_as_objects(perl: Running, size: int) -> None:
    said = request(
        perl, "POST", "/agents/perl/invoke/count", b"f" * size, {"Content-Type": "application/octet-stream"}
    )
    assert said.json == size, said.body


def test_it_fails_and_refuses(perl: Running) -> None:
    said = invoke(perl, "perl", "fail")
    assert said.code == "skill_failed"
    assert said.detail.startswith("It went wrong.")
    assert invoke(perl, "perl", "refuse").code == "refused"


def test_it_is_cancelled(perl: Running) -> None:
    said = request(perl, "POST", "/agents/perl/invoke/wait?async=1", {})
    wait_for(lambda: run_of(perl, said.run)["state"] == "working")
    assert request(perl, "POST", f"/api/v1/runs/{said.run}/cancel").json["state"] == "canceled"
    assert invoke(perl, "perl", "shout", text="still here").json == "STILL HERE"


def test_an_unknown_tag_ends_it_and_another_one_serves(perl: Running) -> None:
    said = invoke(perl, "perl", "nonsense")
    assert said.code == "worker_lost"
    assert invoke(perl, "perl", "shout", text="again").json == "AGAIN"


@pytest.mark.parametrize(
    ("entry", "why"), [("broken.py", "It does not compile."), ("future.py", "it speaks protocol 2, not 1")]
)
def test_a_worker_that_cannot_serve_says_why(tmp_path: Path, entry: str, why: str) -> None:
    refused = start(tmp_path, entry)
    assert refused.process.wait(30) == 1
    assert why in refused.log.read_text()
