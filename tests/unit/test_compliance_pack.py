"""wire/pack.py: a pack verifies, and no byte of it changes unnoticed."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from pathlib import Path

import pytest

import verifier_corpus as made
from a2a_cloud.wire.pack import PackVerdict, own_keys, verify_pack
from a2a_cloud.wire.pack_zip import MAX_PACK, PackError, ZipReader, ZipWriter, good_name
from a2a_cloud.wire.proof import Outcome

GOOD = made.packed(made.PLAIN)
CASES = made.packs()


def check(case: made.Case) -> PackVerdict:
    return verify_pack(case.document, made.JWKS if case.keyed else None, case.witnesses)


@pytest.mark.parametrize("case", CASES[: made.GOOD_PACKS], ids=lambda case: case.name)
def test_what_nobody_changed_is_not_refused(case: made.Case) -> None:
    verdict = check(case)
    assert verdict.outcome is (Outcome.VALID if case.keyed else Outcome.UNCHECKED), verdict.sentence


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name.startswith("bad: ")], ids=lambda case: case.name
)
def test_what_does_not_hold_is_refused(case: made.Case) -> None:
    verdict = check(case)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.manifest is None
    assert verdict.reason


def test_any_byte_changed_anywhere_is_refused() -> None:
    for at in range(0, len(GOOD), 7):
        changed = bytearray(GOOD)
        changed[at] ^= 1 << (at % 8)
        verdict = verify_pack(bytes(changed), made.JWKS)
        assert verdict.outcome is Outcome.REFUSED, at
        assert verdict.reason, at


def test_a_byte_changed_in_a_file_names_the_file_even_when_the_zip_says_so_too() -> None:
    """Who changes a file can make the zip's checksum right; the manifest's hash is signed."""
    reader = ZipReader(GOOD)
    files = {name: reader.data(name, len(GOOD)) for name in reader.members}
    for name in made.PLAIN:
        data = bytearray(files[name])
        data[len(data) // 2] ^= 1
        verdict = verify_pack(made.zipped({**files, name: bytes(data)}), made.JWKS)
        assert (verdict.outcome, verdict.file) == (Outcome.REFUSED, name)
        assert verdict.reason.startswith("its hash is ")


def test_other_programs_read_a_pack() -> None:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in made.PLAIN} == made.PLAIN


def test_the_same_files_make_the_same_bytes() -> None:
    assert made.packed(made.PLAIN) == GOOD


def test_a_zip_of_another_program_is_no_pack() -> None:
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", compression) as archive:
            archive.writestr("manifest.json", "{}" * 500)
        with pytest.raises(PackError):
            ZipReader(out.getvalue())


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", ".a", "a\\b", "a b", "ä", "a:b", "a" * 201, "a\n"],
)
def test_a_name_leads_nowhere_else(name: str) -> None:
    assert not good_name(name)
    with pytest.raises(ValueError, match="can't be a name"):
        ZipWriter().begin(name, 0, 0)


def test_a_name_is_there_once() -> None:
    writer = ZipWriter()
    writer.begin("a", 0, 0)
    with pytest.raises(ValueError, match="can't be a name"):
        writer.begin("a", 0, 0)


def test_a_pack_does_not_grow_beyond_what_a_zip_can_say() -> None:
    with pytest.raises(ValueError, match="larger than 4 GiB"):
        ZipWriter().begin("a", 0, MAX_PACK)


def test_a_size_that_is_not_there_costs_nothing() -> None:
    """A directory that promises gigabytes is refused before anything is read for it."""
    whole = bytearray(GOOD)
    at = whole.index(b"PK\x01\x02")
    struct.pack_into("<II", whole, at + 20, 1 << 31, 1 << 31)
    with pytest.raises(PackError):
        ZipReader(bytes(whole))


def test_more_files_than_an_old_zip_can_count() -> None:
    writer = ZipWriter()
    count = 70_000
    pieces = [writer.begin(f"f{number}", 0, 0) for number in range(count)]
    data = b"".join((*pieces, *writer.end()))
    assert len(ZipReader(data).members) == count
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == count


def test_noise_is_refused_and_nothing_else_happens() -> None:
    noise = random.Random(7)
    for length in (0, 1, 21, 22, 23, 99, 3000):
        for start in (b"", b"PK\x03\x04"):
            data = start + noise.randbytes(length)
            assert verify_pack(data).outcome is Outcome.REFUSED


def test_a_pack_on_disk_is_checked_as_one_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(GOOD)
    assert verify_pack(path, made.JWKS) == verify_pack(GOOD, made.JWKS)
    assert own_keys(path) == made.PLAIN["keys.json"]


def test_own_keys_of_no_pack_are_none(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(b"nothing")
    assert own_keys(path) == b'{"keys":[]}'


def test_all_children_of_a_run_are_looked_at_together() -> None:
    verdict = verify_pack(made.packed(made.tree()), made.JWKS)
    states = {step.state for each in verdict.files for step in each.steps if step.name == "children"}
    assert states == {"ok"}


def test_keys_that_come_with_a_pack_are_said_to_prove_nothing() -> None:
    verdict = verify_pack(GOOD, made.JWKS)
    (step,) = next(each.steps for each in verdict.files if each.file == "keys.json")
    assert step.state == "unchecked"
    assert "prove nothing" in step.why
