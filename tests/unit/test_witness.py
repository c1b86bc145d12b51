"""What a witness signs, and what it never does: c2sp.org/tlog-witness, answer by answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_cloud.ops.system import SystemClock
from a2a_cloud.ops.witness import SIZE, Answer, Witness
from a2a_cloud.wire import merkle, note
from a2a_cloud.wire.jws import Signer
from built_log import BuiltLog

SIGNER = Signer(bytes(range(32)))


class Clock(SystemClock):
    now = staticmethod(lambda: 1_700_000_000.5)


@pytest.fixture
def log() -> BuiltLog:
    return BuiltLog().grow(20)


@pytest.fixture
def witness(log: BuiltLog, tmp_path: Path) -> Iterator[Witness]:
    made = Witness("witness.example", SIGNER, [log.key], tmp_path, Clock())
    yield made
    made.close()


def request(log: BuiltLog, old: int, size: int, proof: list[bytes] | None = None) -> bytes:
    path = merkle.prove_consistency(log.read, old, size) if proof is None else proof
    head = [f"old {old}", *(note.b64(each) for each in path)]
    return ("\n".join(head) + "\n\n").encode() + log.checkpoint(size)


def test_it_cosigns_a_log_that_grows(witness: Witness, log: BuiltLog) -> None:
    for old, size in ((0, 5), (5, 8), (8, 8), (8, 20)):
        answer = witness.add_checkpoint(request(log, old, size))
        assert answer.status == 200
        signed = note.open_note(note.add_lines(log.checkpoint(size), [answer.body]))
        assert signed.cosigned_at(witness.key) == 1_700_000_000
        assert signed.verified_by(log.key)


def test_it_says_what_it_knows_when_asked_from_elsewhere(witness: Witness, log: BuiltLog) -> None:
    witness.add_checkpoint(request(log, 0, 8))
    for old, size in ((0, 20), (5, 20), (0, 8), (5, 5), (0, 5), (9, 20)):
        assert witness.add_checkpoint(request(log, old, size)) == Answer(409, b"8\n", SIZE)


def test_it_refuses_who_it_does_not_know(witness: Witness, log: BuiltLog) -> None:
    stranger = BuiltLog("other.example/log", seed=1).grow(3)
    assert witness.add_checkpoint(request(stranger, 0, 3)).status == 404
    forger = BuiltLog(seed=2).grow(3)
    assert witness.add_checkpoint(request(forger, 0, 3)).status == 403


def test_a_new_key_of_the_log_counts_beside_the_old_one(log: BuiltLog, tmp_path: Path) -> None:
    later = BuiltLog(seed=2).grow(20)
    witness = Witness("witness.example", SIGNER, [log.key, later.key], tmp_path, Clock())
    log.signers.append(later.signers[0])
    assert witness.add_checkpoint(request(log, 0, 5)).status == 200
    assert witness.add_checkpoint(request(later, 5, 20)).status == 200
    witness.close()


def test_a_proof_that_does_not_hold_is_refused(witness: Witness, log: BuiltLog) -> None:
    witness.add_checkpoint(request(log, 0, 5))
    proof = merkle.prove_consistency(log.read, 5, 8)
    for wrong in ([], proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]]):
        assert witness.add_checkpoint(request(log, 5, 8, wrong)).status == 422
    assert witness.add_checkpoint(request(log, 5, 8)).status == 200
    fresh = BuiltLog().grow(3)
    assert witness.add_checkpoint(request(fresh, 8, 3, [])).status == 400


def test_a_split_view_is_caught(witness: Witness, log: BuiltLog, tmp_path: Path) -> None:
    other = BuiltLog().grow(7).add([b"another truth"]).grow(12)
    assert witness.add_checkpoint(request(log, 0, 8)).status == 200
    # The same size with another root; a longer one that leaves the first behind; and one that has forgotten.
    fork = witness.add_checkpoint(request(other, 8, 8))
    assert (fork.status, fork.body) == (409, b"8\n")
    assert "FORKED" in fork.told
    assert witness.add_checkpoint(request(other, 8, 20)).status == 422
    (evidence,) = (tmp_path / "evidence").iterdir()
    assert evidence.read_bytes() == log.checkpoint(8) + b"\n" + other.checkpoint(8)
    assert witness.add_checkpoint(request(log, 8, 20)).status == 200


def test_what_it_signed_outlives_it(log: BuiltLog, tmp_path: Path) -> None:
    for old, size in ((0, 5), (5, 8)):
        witness = Witness("witness.example", SIGNER, [log.key], tmp_path, Clock())
        assert witness.add_checkpoint(request(log, old, size)).status == 200
        witness.close()
    other = Witness("witness.example", SIGNER, [log.key], tmp_path, Clock())
    assert other.add_checkpoint(request(log, 0, 5)) == Answer(409, b"8\n", SIZE)
    other.close()


def test_two_of_its_processes_know_the_same(log: BuiltLog, tmp_path: Path) -> None:
    one, two = (Witness("witness.example", SIGNER, [log.key], tmp_path, Clock()) for _ in range(2))
    assert one.add_checkpoint(request(log, 0, 8)).status == 200
    assert two.add_checkpoint(request(log, 0, 5)) == Answer(409, b"8\n", SIZE)
    one.close()
    two.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 00\n\n",
        b"old -1\n\n",
        b"new 0\n\n",
        b"old 0\nAAAA\n\n",
        b"old 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\n",
        b"old 0\r\n\n",
        b"\xff\n\n",
        b"x" * (1 << 20),
    ],
    ids=["none", "cut", "zeros", "minus", "word", "short", "many", "return", "bytes", "long"],
)
def test_what_is_no_request_is_refused(witness: Witness, log: BuiltLog, body: bytes) -> None:
    for whole in (body, body + log.checkpoint(5)):
        assert witness.add_checkpoint(whole).status == 400


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_break_it(witness: Witness, log: BuiltLog, data: bytes) -> None:
    for body in (data, b"old 0\n\n" + data, data + log.checkpoint(5)):
        assert witness.add_checkpoint(body).status in (400, 404, 200)


def test_it_takes_keys_of_logs_alone(log: BuiltLog, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key of a witness"):
        Witness("a", SIGNER, [note.NoteKey("w", SIGNER.public, note.COSIGNATURE)], tmp_path, Clock())
