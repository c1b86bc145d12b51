"""Faults that were found in the logs, their command line and the evals, each with what keeps it away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cli_platform import Played
from cli_running import Run
from test_audit_log_kept import ORG, Site, at, until

from a2a_cloud.app.evals import Asking
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.client.log_memory import LogMemory
from a2a_cloud.control.evals.checks import at_least, mean, told
from a2a_cloud.control.evals.ports import Answer
from a2a_cloud.model.problem import Busy, InvalidParams, NotFound, Unavailable
from a2a_cloud.ops import witnessing
from a2a_cloud.ops.system import SystemClock
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.jws import Signer, private_key
from a2a_cloud.wire.note import COSIGNATURE, NoteKey
from built_log import BuiltLog

pytest_plugins = ["cli_fixtures"]

# --- rotations ------------------------------------------------------------------------------------------


def on_disk(site: Site) -> str:
    """The kid of the private key that a start would sign with."""
    assert not (site.folder / "keys" / "log-next.jwk").exists()
    return private_key(json.loads((site.folder / "keys" / "log.jwk").read_bytes())).kid


def test_rotations_that_overlap_come_one_after_the_other(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        write = site.journal.write
        second: asyncio.Future[None] | None = None

        async def slow(ops: Sequence[Op]) -> None:
            nonlocal second
            if second is None:  # The second one begins while the first is being stored, and is stored later.
                second = asyncio.ensure_future(site.keys.rotate("ada@acme", 0.0))
            else:
                await asyncio.sleep(0.1)
            await write(ops)

        site.journal.write = slow  # type: ignore[method-assign]
        await site.keys.rotate("ada@acme", 0.0)
        assert second is not None
        await second
        site.journal.write = write  # type: ignore[method-assign]
        assert [key.until is None for key in site.keys.history("o")] == [False, False, True]
        assert [signer.kid for signer in site.keys.signers()] == [on_disk(site)]

    at(tmp_path, work)


def test_a_key_that_was_promised_to_sign_along_is_not_pushed_out(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        done = await asyncio.gather(
            *(site.keys.rotate("ada@acme", 60.0) for _ in range(2)), return_exceptions=True
        )
        assert [type(each) for each in done] == [type(None), InvalidParams]
        new, before = site.keys.signers()
        assert new.kid == on_disk(site)
        assert [key.kid for key in site.keys.history("o")] == [before.kid, new.kid]
        site.clock.ahead = 61.0
        await site.keys.rotate("ada@acme", 60.0)
        assert [signer.kid for signer in site.keys.signers()] == [on_disk(site), new.kid]

    at(tmp_path, work)


def test_a_rotation_that_nobody_waits_for_is_ended_all_the_same(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        asked = asyncio.ensure_future(site.keys.rotate("ada@acme", 0.0))
        while not (tmp_path / "keys" / "log-next.jwk").exists():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        asked.cancel()
        await until(lambda: len(site.keys.history("o")) == 2)
        assert site.keys.signers()[0].kid == on_disk(site)

    at(tmp_path, work)


def test_a_rotation_finishes_the_one_that_was_cut_short_before(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        finish = site.keys._finish_rotation  # pyright: ignore[reportPrivateUsage]

        def full() -> None:
            raise Unavailable("no room")

        site.keys._finish_rotation = full  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await site.keys.rotate("ada@acme", 0.0)
        site.keys._finish_rotation = finish  # type: ignore[method-assign]
        await site.keys.rotate("ada@acme", 60.0)
        history = [key.kid for key in site.keys.history("o")]
        assert len(history) == 3
        assert [signer.kid for signer in site.keys.signers()] == [on_disk(site), history[1]]

    at(tmp_path, work)


# --- witnesses ------------------------------------------------------------------------------------------


def test_a_log_that_a_witness_refuses_is_told_and_holds_no_other_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnessing, "PACE", 0.01)
    asked: list[str] = []

    async def cosign(_asker: object, _org: int, due: Any) -> str:
        asked.append(due.origin)
        return "THE LOG WAS FORKED" if due.origin == "a" else ""

    async def unused(*_: object) -> Sequence[bytes]:
        raise AssertionError

    async def story() -> None:
        key = NoteKey("w.example", Signer(bytes(32)).public, COSIGNATURE)
        at = [witnessing.WitnessAt("http://w.example", key)]
        witnesses = witnessing.Witnesses(at, unused, cast("Any", unused), SystemClock())
        monkeypatch.setattr(witnessing._Asker, "_cosign", cosign)  # pyright: ignore[reportPrivateUsage]
        witnesses.start()
        witnesses.on_checkpoint(1, "a", 5, b"")
        await until(lambda: asked.count("a") == 6)  # The next time it is shown is 0.64 s later.
        witnesses.on_checkpoint(2, "b", 5, b"")
        async with asyncio.timeout(0.3):
            while "b" not in asked:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)
        assert witnesses.standing()[0].why == "THE LOG WAS FORKED"
        await until(lambda: asked.count("a") == 7)
        assert asked.count("b") == 1
        await witnesses.close()

    asyncio.run(story())


# --- scores ---------------------------------------------------------------------------------------------


def test_a_score_is_never_rounded_up() -> None:
    assert told(Fraction(10**30 - 1, 10**30)) == "0.999999"
    nearly = mean([("1", "1"), ("0", "0." + "0" * 29 + "1")])
    assert nearly == "0.999999"
    assert not at_least(nearly, "1")
    assert [told(Fraction(one)) for one in ("0", "1", "1/3", "1/2", "10")] == [
        "0",
        "1",
        "0.333333",
        "0.5",
        "10",
    ]


# --- the command line -----------------------------------------------------------------------------------


def event(no: int, at: str) -> dict[str, Any]:
    return {"no": str(no), "at": at, "kind": "key.created"}


def test_an_export_begins_with_the_first_second(played: Played, a2a: Run) -> None:
    times = ["2026-01-31T11:59:59.999Z", "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.500Z"]
    played.json("GET", "/api/v1/audit", {"events": [event(no, at) for no, at in enumerate(times)]})
    for since, first in (("2026-01-31T12:00:00Z", 1), ("2026-01-31T12:00:00.5Z", 2), ("2026-01-31", 0)):
        code, out, _ = a2a("audit", "export", "--since", since)
        assert code == Exit.OK
        assert [json.loads(line)["at"] for line in out.splitlines()] == times[first:]


@pytest.mark.parametrize("file", ["/nope/x", "/dev/full"])
def test_an_export_that_can_not_be_written_says_so(played: Played, a2a: Run, file: str) -> None:
    played.json("GET", "/api/v1/audit", {"events": [event(1, "2026-01-31T12:00:00.000Z")]})
    code, _, err = a2a("audit", "export", "--out", file)
    assert code == Exit.FAILED
    assert f"{file} can't be written" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [(), ("--forget",)])
@pytest.mark.parametrize("state", ["/proc/nope", "a file"])
def test_a_log_that_can_not_be_remembered_fails_in_words(
    a2a: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, words: tuple[str, ...]
) -> None:
    """Neither damaged, nor a traceback: the folder of what is remembered can't be used."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", state if state[0] == "/" else str(tmp_path / "file"))
    log = BuiltLog().grow(5)
    folder = log.save(tmp_path / "log")
    code, out, err = a2a("audit", "verify", "--from-dir", str(folder), "--json", *words)
    told = out + err
    assert code == Exit.FAILED, told
    assert ("The log is whole, but" in told) == (state == "/proc/nope")
    assert "XDG_STATE_HOME" in told
    assert "damaged" not in told
    assert "Traceback" not in told


def test_what_can_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    path = LogMemory("a.example/log/acme", {"XDG_STATE_HOME": str(tmp_path)}).path
    path.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        LogMemory("a.example/log/acme", {"XDG_STATE_HOME": str(tmp_path)})
    path.rmdir()
    path.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        LogMemory("a.example/log/acme", {"XDG_STATE_HOME": str(tmp_path)})


# --- proofs ---------------------------------------------------------------------------------------------


def test_a_leaf_that_is_not_stored_is_not_waited_for(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(3)
        await site.settled(3)
        site.journal.heard = lambda: None  # No checkpoint comes by itself from here on.
        await site.grow(1)
        async with asyncio.timeout(1):
            with pytest.raises(NotFound):
                await site.logs.covered(ORG, 99_999_999, 30.0)
        for _ in range(3):
            assert not await site.logs.covered(ORG, 3, 0.01)
        assert not site.logs._waiting  # pyright: ignore[reportPrivateUsage]
        waits = asyncio.ensure_future(site.logs.covered(ORG, 3, 10.0))
        await asyncio.sleep(0)
        site.logs.hear()
        assert await waits

    at(tmp_path, work)


# --- calls of evals -------------------------------------------------------------------------------------


class Slow:
    """A run whose acceptance does not come, and the engine that has it."""

    terminal = False
    canceled = 0

    def submit(self, _call: object) -> Slow:
        return self

    async def accepted(self) -> None:
        await asyncio.Event().wait()

    def cancel_run(self, run: Slow) -> None:
        assert run is self
        self.canceled += 1


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_call_that_is_given_up_before_it_is_taken_is_canceled(how: str) -> None:
    slow = Slow()

    async def story() -> None:
        asking = object.__new__(Asking)
        asking._runs, asking._clock = cast("Any", slow), SystemClock()  # pyright: ignore[reportPrivateUsage]
        call = cast("Any", SimpleNamespace(release=SimpleNamespace(name="desk")))
        seconds = 0.01 if how == "timeout" else 30.0
        task = asyncio.ensure_future(asking._answered(call, seconds, [], Answer()))  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
        if how == "cancel":
            task.cancel()
        with pytest.raises(Busy if how == "timeout" else asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert slow.canceled == 1
