"""A worker in another language, written from docs/worker-protocol.md: the page is enough."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from calling import answer, begin, events, invoke, log_text, request, run_of, wait_for
from conftest import Running

from a2a_cloud.app import Platform
from a2a_cloud.model.problem import Problem
from a2a_cloud.settings import Settings

WORKER = Path(__file__).with_name("foreign_worker.pl")
PERL = shutil.which("perl")

pytestmark = pytest.mark.skipif(PERL is None, reason="there is no perl")


def folder(tmp_path: Path, entry: str = "agent.pl") -> Path:
    """An agent for the worker in Perl, which has its skills built in."""
    made = tmp_path / f"agent-{entry}"
    made.mkdir()
    made.joinpath("a2a.toml").write_text(
        f'name = "perl"\nentry = "{entry}"\n[limits]\nstart_timeout = 20\ntimeout = 20\n'
    )
    made.joinpath(entry).write_text("# The skills are in the worker.\n")
    return made


class Thread:
    """A platform in a thread of this process, with a command of its own for workers."""

    def __init__(self, agent: Path, data: Path) -> None:
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._platform: Platform | None = None
        self._thread = threading.Thread(target=self._run, args=(agent, data))

    def start(self) -> Running:
        self._thread.start()
        assert self._ready.wait(30)
        if self._error is not None:
            raise self._error
        platform = self._platform
        assert platform is not None
        running = Running(None, platform.data, [], {}, platform.data)  # type: ignore[arg-type]
        running.url = platform.url
        running.port = int(platform.url.rpartition(":")[2])
        running.key = platform.key_path.read_text().strip()
        running.auth = {"Authorization": f"Bearer {running.key}"}
        return running

    def stop(self) -> None:
        if self._error is None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)

    def _run(self, agent: Path, data: Path) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(agent, data))

    async def _serve(self, agent: Path, data: Path) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._platform = Platform(Settings(port=0, data=data), worker_command=(str(PERL), str(WORKER)))
        try:
            await self._platform.start([agent])
        except BaseException as error:
            self._error = error
            return
        finally:
            self._ready.set()
        await self._end.wait()
        await self._platform.stop(1.0)


@pytest.fixture(scope="module")
def perl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("perl")
    thread = Thread(folder(home), home / "data")
    running = thread.start()
    yield running
    thread.stop()


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
    assert answer(perl, "perl", said.json["task_id"], 21).json["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    view = run_of(perl, said.run)
    assert [event["kind"] for event in view["events"]].count("result") == 1


def test_its_steps_and_state(perl: Running) -> None:
    assert invoke(perl, "perl", "step").json == {"drawn": 7}
    # Without a context of its own each call begins a new state.
    assert invoke(perl, "perl", "state", key="k").json == 0


def test_it_calls_a_child_sleeps_and_reports(perl: Running) -> None:
    said = invoke(perl, "perl", "both")
    assert said.json == "CHILD"
    kinds = {event["kind"] for event in run_of(perl, said.run)["events"]}
    assert kinds >= {"usage", "result"}


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
    wait_for(lambda: run_of(perl, said.run)["started"])
    assert request(perl, "POST", f"/api/v1/runs/{said.run}/cancel").json["state"] == "canceled"
    assert invoke(perl, "perl", "shout", text="still here").json == "STILL HERE"


def test_an_unknown_tag_ends_it_and_another_one_serves(perl: Running) -> None:
    said = invoke(perl, "perl", "nonsense")
    assert said.code == "worker_lost"
    assert invoke(perl, "perl", "shout", text="again").json == "AGAIN"


@pytest.mark.parametrize(
    ("entry", "why"), [("broken.pl", "It does not compile."), ("future.pl", "it speaks protocol 2, not 1")]
)
def test_a_worker_that_cannot_serve_says_why(
    tmp_path: Path, entry: str, why: str, request: pytest.FixtureRequest
) -> None:
    thread = Thread(folder(tmp_path, entry), tmp_path / "data")
    stop: Callable[[], None] = thread.stop
    request.addfinalizer(stop)
    with pytest.raises(Problem) as refused:
        thread.start()
    assert why in refused.value.detail
