"""Packs and replays where something went before: an agent, a client, the platform, what a disk held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_platform import Played
from cli_running import Run

from a2a_cloud.model.problem import AgentNotFound, Busy, Internal, Problem, ReleaseNotFound, Unavailable
from a2a_cloud.model.receipt import Signature
from a2a_cloud.model.replay import Difference, Missing
from a2a_cloud.model.run import EffectEnded, EffectStarted, RunEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.runtime.live import Outcome
from a2a_cloud.runtime.replay import trial as trials
from a2a_cloud.runtime.replay.files import Files
from a2a_cloud.runtime.replay.service import AT_ONCE, OF_ONE, Replays
from a2a_cloud.surface.api import packs, replays
from a2a_cloud.surface.exchange import Exchange
from a2a_cloud.surface.http import receipts
from a2a_cloud.surface.leaving import leaving
from a2a_cloud.surface.packs import build, wanted
from a2a_cloud.surface.packs.wanted import Selection, Wanted
from a2a_cloud.surface.request import Gone
from a2a_cloud.wire.worker import Effect, Result

pytest_plugins = ["cli_fixtures"]

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def row(name: str, agent: str = "echo", release: int = 1) -> Any:
    return SimpleNamespace(id=name, agent=agent, release=release, receipt_id="rcpt_1", created=1.0)


def selection(*runs: Any) -> Selection:
    return Selection("acme", Scope(org=2), list(runs))


# --- an agent that is gone ------------------------------------------------------------------------------


class Registry:
    """Knows one agent called echo, with one release, or none."""

    def __init__(self, digest: str | None) -> None:
        self.digest = digest

    def agent(self, name: str, org_no: int) -> Any:
        if self.digest is None:
            raise AgentNotFound.of(name)
        release = SimpleNamespace(digest=self.digest, number=1)
        return SimpleNamespace(records={1: SimpleNamespace(release=release, ready=True)})


@pytest.mark.parametrize(("digest", "papers"), [(None, 0), (OTHER, 0), (DIGEST, 2)])
def test_papers_are_those_of_the_release_that_ran(digest: str | None, papers: int) -> None:
    async def part(kind: str, record: Any) -> tuple[bytes, str]:
        return kind.encode(), "application/json"

    async def main() -> list[bytes]:
        services: Any = SimpleNamespace(
            registry=Registry(digest),
            parts=SimpleNamespace(part=part),
            clock=SimpleNamespace(now=lambda: 0.0),
        )
        nothing: Any = None
        making = build._Making(services, nothing, selection(), nothing, lambda: None, nothing, nothing)
        found: Any = SimpleNamespace(summary={"body": {"agent": {"image_digest": DIGEST}}})
        return [piece async for piece in making._papers(row("run_1"), found)]

    assert len(asyncio.run(main())) == papers


def replaying(**more: Any) -> Replays:
    runs: Any = SimpleNamespace(draining=False, **more)
    return Replays(runs)


def test_no_other_agents_code_replays_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = SimpleNamespace(id=b"1"), SimpleNamespace(id="run_1", agent=7, release=3)
    monkeypatch.setattr(Replays, "_row", lambda *_: stored)
    release: Any = SimpleNamespace(agent_no=8, name="echo", no=9)

    async def main() -> None:
        await replaying().replay(2, "run_1", release=release)

    with pytest.raises(ReleaseNotFound, match="another one is called echo now"):
        asyncio.run(main())


def test_an_agent_that_is_gone_has_no_new_release() -> None:
    services: Any = SimpleNamespace(registry=Registry(None))
    principal: Any = SimpleNamespace(org="acme", org_no=2)
    with pytest.raises(ReleaseNotFound, match="is gone"):
        replays._release(services, principal, "echo", "new")


# --- a disk that fails while ends are compared ----------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [(Internal("The object could not be read."), "could not be read"), (ValueError("x"), "platform failed")],
)
def test_what_fails_while_ends_are_compared_ends_the_trial(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr(trials, "outcome_of", lambda *_: Outcome(TaskState.COMPLETED))

    async def idle() -> None: ...

    async def result() -> None:
        raise error

    async def main() -> Difference | Missing | None:
        run: Any = SimpleNamespace(id="run_1", ending=None, worker=None)
        record: Any = SimpleNamespace(replaying=False)
        trial = trials.Trial(run, record, trials.End(TaskState.COMPLETED))
        files: Any = SimpleNamespace(idle=idle, result=result)
        trial.files = files
        trial.take(Result(1, "ok"))
        return await asyncio.wait_for(trial.found, 5)

    found = asyncio.run(main())
    assert isinstance(found, Missing)
    assert said in found.detail


def test_files_that_can_not_be_compared_are_not_the_same() -> None:
    async def main() -> list[Difference | Missing]:
        told: list[Difference | Missing] = []
        nothing: Any = None
        run: Any = SimpleNamespace(id="run_1", objects=frozenset())
        files = Files(nothing, run, None, [], told.append)

        async def fails() -> None:
            raise ValueError("no")

        files._spawn(fails())
        for _ in range(3):
            await asyncio.sleep(0)
        return told

    (found,) = asyncio.run(main())
    assert isinstance(found, Missing)


def test_a_disk_that_fails_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> None:
        raise Internal("A folder of the workspace can't be read.")

    async def main() -> list[Difference | Missing]:
        told: list[Difference | Missing] = []
        nothing: Any = None
        run: Any = SimpleNamespace(id="run_1", objects=frozenset())
        monkeypatch.setattr(Files, "_one", fails)
        events: list[tuple[int, RunEvent]] = [
            (1, EffectStarted("ws", "stat", b"")),
            (2, EffectEnded(1)),
        ]
        files = Files(nothing, run, None, events, told.append)
        files._draft = SimpleNamespace()  # type: ignore[assignment]
        files.operate(1, Effect(1, 1, "ws", "stat", input=b'{"path":"a"}'))
        await files.idle()
        return told

    (found,) = asyncio.run(main())
    assert isinstance(found, Missing)
    assert "can't be read" in found.detail


# --- a platform that stops ------------------------------------------------------------------------------


def test_a_replay_that_waits_for_room_does_not_begin_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []

    async def main() -> list[Any]:
        go = asyncio.Event()

        async def replay(_: Replays, _org: int, run_id: str, *_more: Any) -> str:
            began.append(run_id)
            await go.wait()
            return run_id

        monkeypatch.setattr(Replays, "_replay", replay)
        service = replaying()
        asked = [asyncio.create_task(service.replay(2, f"run_{number}")) for number in range(OF_ONE + 1)]
        await asyncio.sleep(0.01)
        assert len(began) == OF_ONE < AT_ONCE
        await service.close()
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    *_, last = asyncio.run(main())
    assert isinstance(last, Unavailable)
    assert len(began) == OF_ONE


# --- proofs of what has just happened -------------------------------------------------------------------


def test_a_pack_waits_for_the_parent_that_is_sealed_after_its_children() -> None:
    leaves, waited = {"parent": 9, "child": 8}, list[int]()

    async def covered(org: int, index: int, seconds: float) -> bool:
        waited.append(index)
        return True

    async def main() -> None:
        logs = SimpleNamespace(of_run=lambda _org, run: leaves[run], covered=covered)
        services: Any = SimpleNamespace(
            log=SimpleNamespace(logs=logs), clock=SimpleNamespace(now=lambda: 0.0)
        )
        nothing: Any = None
        chosen = selection(row("parent"), row("child"))
        making = build._Making(services, nothing, chosen, nothing, lambda: None, nothing, nothing)
        await making._settled(3)

    asyncio.run(main())
    assert waited == [9]


# --- a client that hangs up -----------------------------------------------------------------------------


def exchange() -> Exchange:
    """A request on a connection, whose body was read."""
    loop = asyncio.get_running_loop()
    connection: Any = SimpleNamespace(loop=loop, resume_body=lambda: None, write_paused=False)
    made = Exchange(connection, {"method": "POST"}, expects=False, keep_alive=True)
    made.feed(b"{}")
    made.fed()
    return made


class Turns:
    """Counts packs in the making."""

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        self.now = self.ever = 0

    @contextmanager
    def turn(self, org: int) -> Iterator[None]:
        if self.busy:
            raise Busy("Other packs are being made.")
        self.now += 1
        self.ever += 1
        try:
            yield
        finally:
            self.now -= 1


def asked(on: Exchange) -> Any:
    async def send(message: Any) -> None: ...

    return SimpleNamespace(receive=on.receive, send=send, principal=SimpleNamespace(org_no=2))


async def read(on: Exchange) -> None:
    assert (await on.receive())["type"] == "http.request"


def test_who_hangs_up_is_noticed() -> None:
    async def main() -> None:
        one = exchange()
        await read(one)
        async with leaving(asked(one)) as left:
            await asyncio.sleep(0.01)
            assert not left.done()
            one.lose()
            await asyncio.wait_for(left, 5)
        other = exchange()
        await read(other)
        async with leaving(asked(other)) as left:
            pass
        assert left.cancelled()

    asyncio.run(main())


def test_a_pack_that_nobody_waits_for_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        one, office, closed = exchange(), Turns(), list[bool]()

        async def build_(*words: Any) -> AsyncGenerator[bytes]:
            still: Callable[[], None] = words[-1]
            try:
                yield b"first"
                for _ in range(1000):
                    still()
                    await asyncio.sleep(0)
            finally:
                closed.append(True)

        async def body(*_: Any) -> Wanted:
            await read(one)
            return Wanted(runs=["run_1"])

        async def select(*_: Any) -> Selection:
            assert office.now == 1
            return selection(row("run_1"))

        monkeypatch.setattr(build, "build", build_)
        monkeypatch.setattr(packs, "read_body", body)
        monkeypatch.setattr(packs, "select", select)
        services: Any = SimpleNamespace(packs=office)
        making = asyncio.create_task(packs.make(services, asked(one), []))
        await asyncio.sleep(0.001)
        one.lose()
        with pytest.raises(Gone):
            await making
        assert closed
        assert (office.now, office.ever) == (0, 1)

    asyncio.run(main())


def test_a_pack_that_nobody_gets_was_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves while the last file is made."""
    made: list[str] = []

    def still() -> None:
        if made:
            raise Gone

    class Office:
        async def made(self, *_: Any, **_more: Any) -> None:
            made.append("told")

        def sign(self, manifest: bytes) -> Any:
            return Signature("", "")

    class Empty:
        def __init__(self, *_: Any) -> None: ...
        def dossier(self, run: Any) -> Any:
            return SimpleNamespace(files=[], summary={})

    def page(*_: Any) -> None:
        made.append("page")

    async def main() -> None:
        monkeypatch.setattr(build, "Archive", Empty)
        monkeypatch.setattr(build, "pack_page", page)
        services: Any = SimpleNamespace(
            log=None, clock=SimpleNamespace(now=lambda: 0.0), jwks=lambda: b'{"keys":[]}'
        )
        office: Any = Office()
        by: Any = SimpleNamespace(label="clara@acme")
        chosen = Selection("acme", Scope(org=2, owner=5), [row("run_1")])
        pieces = build.build(services, office, chosen, by, still)
        with pytest.raises(Gone):
            async for _ in pieces:
                pass

    asyncio.run(main())
    assert made == ["page"]


def test_a_replay_that_nobody_waits_for_is_stopped() -> None:
    stopped: list[bool] = []

    async def forever() -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    async def main() -> None:
        one = exchange()
        await read(one)
        waiting = asyncio.create_task(replays._while_there(asked(one), forever()))
        await asyncio.sleep(0.01)
        one.lose()
        with pytest.raises(Gone):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(main())
    assert stopped == [True]


def test_a_replay_says_what_it_found_or_what_is_wrong() -> None:
    async def gives(found: Any) -> Any:
        if isinstance(found, Problem):
            raise found
        return found

    async def main() -> None:
        one = exchange()
        await read(one)
        assert await replays._while_there(asked(one), gives("it")) == "it"
        with pytest.raises(Unavailable):
            await replays._while_there(asked(one), gives(Unavailable("no")))

    asyncio.run(main())


# --- long work on the loop ------------------------------------------------------------------------------


def beats(work: Any) -> int:
    """How often others came between while `work` went on."""

    async def main() -> int:
        count = 0

        async def others() -> None:
            nonlocal count
            while True:
                count += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        await work()
        beside.cancel()
        return count

    return asyncio.run(main())


def test_runs_are_looked_for_within_the_turn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(*_: Any) -> Wanted:
        return Wanted(runs=["run_1"])

    async def main() -> None:
        one = exchange()
        await read(one)
        services: Any = SimpleNamespace(packs=Turns(busy=True))  # Whatever else is asked for raises.
        await packs.make(services, asked(one), [])

    monkeypatch.setattr(packs, "read_body", body)
    with pytest.raises(Busy):
        asyncio.run(main())


def test_calls_come_between_while_runs_are_looked_for() -> None:
    rows = [row(f"run_{number}") for number in range(2000)]
    by: Any = SimpleNamespace(org_no=2, org="acme", may=lambda _: True)
    runs = SimpleNamespace(
        between=lambda *_: iter(rows),
        run=lambda _scope, name: row(name),
        receipts=lambda *_: [(each.id, 2) for each in rows],
    )
    services: Any = SimpleNamespace(runs=runs)

    async def period() -> None:
        found = await wanted.select(services, by, Wanted(since="2020-01-01T00:00:00Z"))
        assert len(found.runs) == 2000

    async def named() -> None:
        found = await wanted.select(services, by, Wanted(runs=["run_0"]))
        assert len(found.runs) == 2000

    assert beats(period) >= 10
    assert beats(named) >= 10


def test_calls_come_between_the_receipts_of_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    runs = SimpleNamespace(
        run=lambda *_: row("run_0"),
        receipt=lambda *_: b"{}",
        receipts=lambda *_: [(f"run_{number}", 2) for number in range(100)],
    )
    monkeypatch.setattr(receipts, "receipt_scope", lambda *_: Scope(org=2))
    services: Any = SimpleNamespace(runs=runs)
    request: Any = SimpleNamespace(
        release=SimpleNamespace(org_no=2, name="echo"), principal=None, method="GET", send=send
    )
    assert beats(lambda: receipts.serve(request, services, "run_0", tree=True)) >= 100
    assert b"".join(sent) == b'{"receipts":[' + b",".join([b"{}"] * 100) + b'],"more":false}'


# --- the command line -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [".", "/", ".."])
def test_a_folder_is_no_file_for_a_pack(a2a: Run, played: Played, where: str) -> None:
    code, _, err = a2a("pack", "run_1", "-o", where)
    assert code == 2
    assert "is a folder" in err
    assert "pack.zip" in err
    assert not played.asked
    assert not list(Path.cwd().iterdir())
