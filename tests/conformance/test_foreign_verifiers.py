"""Logs, proofs and COSE receipts before verifiers that this project did not write: the code of Go's checksum
database (golang.org/x/mod/sumdb) and scitt-cose. What scripts/setup-conformance makes, they run from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from outside import PROGRAMS, program, python, run

from a2a_cloud.wire import cose_receipt, merkle, note
from a2a_cloud.wire.tiles import ENTRIES, Tile
from built_log import BuiltLog

SIZE = 70_000


def go(*words: object) -> subprocess.CompletedProcess[str]:
    return run([program("tlog-check", "tlog_check"), *map(str, words)])


def scitt(receipt: Path, entry: bytes, public: bytes) -> subprocess.CompletedProcess[str]:
    return run([python("scitt"), PROGRAMS / "cose_check.py", receipt, entry.hex(), public.hex()])


@pytest.fixture(scope="module")
def log() -> BuiltLog:
    return BuiltLog().grow(SIZE)


@pytest.fixture(scope="module")
def folder(log: BuiltLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log.save(tmp_path_factory.mktemp("log"))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_go_walks_the_log(log: BuiltLog, folder: Path) -> None:
    done = go("tiles", log.key.vkey, folder)
    assert done.stdout == f"{SIZE} entries hold, root {note.b64(log.root(SIZE))}\n", done.stderr


@pytest.mark.parametrize(
    ("tile", "at"),
    [
        (Tile(0, 0), 0),
        (Tile(0, 272), 8191),
        (Tile(0, 273, 112), 40),
        (Tile(1, 0), 5000),
        (Tile(1, 1, 17), 3),
        (Tile(2, 0, 1), 31),
        (Tile(ENTRIES, 5), 2),
        (Tile(ENTRIES, 273, 112), 112 * 34 - 1),
    ],
    ids=lambda value: value.path if isinstance(value, Tile) else str(value),
)
def test_go_refuses_a_changed_tile(log: BuiltLog, folder: Path, tile: Tile, at: int) -> None:
    path = folder / tile.path
    good = path.read_bytes()
    path.write_bytes(flipped(good, at))
    try:
        assert go("tiles", log.key.vkey, folder).returncode == 1
    finally:
        path.write_bytes(good)


def test_go_checks_proof_files(log: BuiltLog, tmp_path: Path) -> None:
    path = tmp_path / "one.tlog-proof"
    for index in (0, 1, 65_535, 65_536, SIZE - 1):
        path.write_bytes(log.proof(index))
        done = go("proof", log.key.vkey, path, log.entries[index].hex())
        assert done.stdout == f"entry {index} of {SIZE} holds\n", done.stderr
        assert go("proof", log.key.vkey, path, log.entries[index - 1].hex()).returncode == 1
    good = log.proof(12_345)
    for at in range(0, len(good), 7):
        if good[at + 1 : at + 2] == b"=":
            continue  # Go takes either spelling of the last bits of base64; wire/tlog_proof takes one.
        path.write_bytes(flipped(good, at))
        assert go("proof", log.key.vkey, path, log.entries[12_345].hex()).returncode == 1, at


def test_go_knows_our_keys_and_no_other(log: BuiltLog, folder: Path) -> None:
    assert go("tiles", BuiltLog(seed=2).key.vkey, folder).returncode == 1
    assert go("tiles", BuiltLog("other.example/log").key.vkey, folder).returncode == 1


def test_go_ignores_a_second_key_and_a_witness(log: BuiltLog, tmp_path: Path) -> None:
    small, other = BuiltLog().grow(5), BuiltLog(seed=2)
    small.signers.append(other.signers[0])
    where = small.save(tmp_path / "log")
    signed = small.checkpoint()
    line = note.cosign(note.open_note(signed).text, "witness.example", other.signers[0], 1_700_000_000)
    (where / "checkpoint").write_bytes(note.add_lines(signed, [line]))
    for key in (small.key, other.key):
        assert go("tiles", key.vkey, where).returncode == 0


def test_go_sees_that_the_log_goes_on(log: BuiltLog, folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    for size in (1, 256, 65_536, 69_999):
        old.write_bytes(log.checkpoint(size))
        done = go("consistency", log.key.vkey, old, folder)
        assert done.stdout == f"{size} entries are the beginning of {SIZE}\n", done.stderr
    old.write_bytes(BuiltLog().add([b"another"]).grow(300).checkpoint())
    assert go("consistency", log.key.vkey, old, folder).returncode == 1


def test_scitt_cose_checks_our_receipts(log: BuiltLog, tmp_path: Path) -> None:
    path, signer = tmp_path / "receipt.cose", log.signers[0]
    for index, size in ((0, 1), (0, 2), (6, 11), (300, 1000), (SIZE - 1, SIZE)):
        data = cose_receipt.write_receipt(
            index=index,
            size=size,
            root=log.root(size),
            path=merkle.prove_inclusion(log.read, index, size),
            origin=log.origin,
            subject=f"rcpt_{log.entries[index].hex()}",
            kid=signer.kid,
            signer=signer,
        )
        path.write_bytes(data)
        done = scitt(path, log.entries[index], signer.public)
        said = json.loads(done.stdout)
        assert (done.returncode, said["errors"]) == (0, [])
        assert (said["index"], said["size"], said["root"]) == (index, size, log.root(size).hex())
        assert (said["issuer"], said["subject"]) == (log.origin, f"rcpt_{log.entries[index].hex()}")
        other = BuiltLog(seed=2).signers[0].public
        assert scitt(path, log.entries[index], other).returncode == 1
        assert scitt(path, log.entries[index - 1], signer.public).returncode == 1
        path.write_bytes(flipped(data, len(data) - 3))
        assert scitt(path, log.entries[index], signer.public).returncode == 1
