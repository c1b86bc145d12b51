"""`a2a witness` as a process, asked by the platform's own client: a log that grows, one that splits, one that
waits for its witness."""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from a2a_cloud.ops.system import SystemClock
from a2a_cloud.ops.witnessing import WitnessAt, Witnesses
from a2a_cloud.wire import merkle, note
from built_log import BuiltLog

ORG = 1


def as_sync(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that runs in a loop of its own."""

    @functools.wraps(test)
    def run(*args: object, **named: object) -> None:
        asyncio.run(test(*args, **named))

    return run


class Running:
    """A witness in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        words = ("witness", "--data", str(folder), "--json", *words)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline())
        self.at = WitnessAt(self.told["url"], note.read_vkey(self.told["vkey"]))

    def end(self, kill: bool = False) -> None:
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def log() -> BuiltLog:
    return BuiltLog().grow(5)


@pytest.fixture
def witness(log: BuiltLog, tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "witness", "--port", "0", "--log", log.key.vkey)
    yield running
    running.end()


Asking = tuple[Witnesses, Callable[[BuiltLog], Awaitable[note.Note]]]


@asynccontextmanager
async def asking(log: BuiltLog, *at: WitnessAt) -> AsyncIterator[Asking]:
    """Witnesses, and how to show a log to them and wait for what they sign."""
    kept: asyncio.Queue[tuple[int, list[bytes]]] = asyncio.Queue()

    async def prove(org: int, old: int, new: int) -> Sequence[bytes]:
        assert org == ORG
        return merkle.prove_consistency(shown[0].read, old, new)

    async def cosigned(org: int, size: int, lines: list[bytes]) -> None:
        assert org == ORG
        kept.put_nowait((size, lines))

    shown = [log]
    witnesses = Witnesses(at, prove, cosigned, SystemClock())
    witnesses.start()

    async def show(log: BuiltLog) -> note.Note:
        shown[0] = log
        witnesses.on_checkpoint(ORG, log.origin, log.size, log.checkpoint())
        size, lines = await kept.get()
        return note.open_note(note.add_lines(log.checkpoint(size), lines))

    try:
        yield witnesses, show
    finally:
        await witnesses.close()


async def trouble(witnesses: Witnesses) -> str:
    """What keeps the first witness from signing."""
    while not witnesses.standing()[0].why:  # noqa: ASYNC110  # that is what an operator sees of it
        await asyncio.sleep(0.05)
    return witnesses.standing()[0].why


@as_sync
async def test_a_log_that_grows_is_cosigned_and_a_fork_is_not(log: BuiltLog, witness: Running) -> None:
    async with asking(log, witness.at) as (witnesses, show):
        assert (await show(log)).cosigned_at(witness.at.key)
        assert (await show(log.grow(300))).cosigned_at(witness.at.key)
        assert witnesses.standing()[0].why == ""
    # Another asker, which knows nothing of what was signed before: the witness says it.
    async with asking(log, witness.at) as (witnesses, show):
        assert (await show(log.grow(1))).cosigned_at(witness.at.key)
    forked = BuiltLog().grow(305).add([b"another truth"])
    async with asking(log, witness.at) as (witnesses, show):
        task = asyncio.ensure_future(show(forked))
        assert "FORKED" in await trouble(witnesses)
        task.cancel()
    shrunk = BuiltLog().grow(5)
    async with asking(log, witness.at) as (witnesses, show):
        task = asyncio.ensure_future(show(shrunk))
        assert "it has seen 306 entries" in await trouble(witnesses)
        task.cancel()


@as_sync
async def test_a_witness_that_was_killed_goes_on_where_it_was(
    log: BuiltLog, witness: Running, tmp_path: Path
) -> None:
    async with asking(log, witness.at) as (witnesses, show):
        await show(log)
        port = witness.at.url.rpartition(":")[2]
        witness.end(kill=True)
        task = asyncio.ensure_future(show(log.grow(3)))
        assert await trouble(witnesses)
        again = Running(tmp_path / "witness", "--port", port, "--log", log.key.vkey)
        try:
            assert again.at == witness.at
            assert (await task).cosigned_at(again.at.key)
        finally:
            again.end()


@as_sync
async def test_a_signature_that_is_not_the_witnesss_own_is_not_kept(log: BuiltLog, witness: Running) -> None:
    other = witness.at._replace(key=BuiltLog(seed=9).key)
    async with asking(log, other) as (witnesses, show):
        task = asyncio.ensure_future(show(log))
        assert "not signed by" in await trouble(witnesses)
        task.cancel()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/add-checkpoint", None, 405),
        ("POST", "/", b"", 404),
        ("POST", "/add-checkpoint", b"", 400),
        ("POST", "/add-checkpoint", b"x" * (1 << 20), 413),
    ],
    ids=["get", "elsewhere", "nothing", "long"],
)
def test_what_is_no_request_is_told_so(
    witness: Running, method: str, path: str, body: bytes | None, status: int
) -> None:
    request = urllib.request.Request(witness.at.url + path, data=body, method=method)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)  # noqa: S310
    assert caught.value.code == status
    assert caught.value.read().endswith(b".\n")
    caught.value.close()


def test_it_says_why_it_cannot_begin(tmp_path: Path, log: BuiltLog) -> None:
    witness_key = note.NoteKey("w", log.signers[0].public, note.COSIGNATURE).vkey
    for words in ([], ["--log", "nonsense"], ["--log", witness_key], ["--logs", str(tmp_path / "none")]):
        ended = subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", "witness", "--data", str(tmp_path / "w"), *words],
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("a2a: ")
        assert "Traceback" not in ended.stderr
