"""ops/private_file.py: a key's file is ours alone, and whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.ops.system import SystemEntropy

ENTROPY = SystemEntropy()


def read(path: Path) -> bytes:
    return private_file.read(path, "a key", "make another.", 8)


def test_a_file_is_ours_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private_file.create(tmp_path / "made", b"one", ENTROPY)
        private_file.replace(tmp_path / "put", b"two", ENTROPY)
        private_file.replace(tmp_path / "put", b"three", ENTROPY)
    finally:
        os.umask(before)
    assert (read(tmp_path / "made"), read(tmp_path / "put")) == (b"one", b"three")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made", "put"]
    for each in tmp_path.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


def test_of_two_that_make_it_the_first_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    private_file.create(path, b"first", ENTROPY)
    private_file.create(path, b"second", ENTROPY)
    assert read(path) == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_what_does_not_fit_leaves_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        private_file.replace(tmp_path / "folder", b"x", ENTROPY)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_more_than_is_wanted_is_cut_after_a_byte(tmp_path: Path) -> None:
    private_file.create(tmp_path / "key", b"123456789abc", ENTROPY)
    assert read(tmp_path / "key") == b"123456789"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_what_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    private_file.create(path, b"x", ENTROPY)
    path.chmod(mode)
    with pytest.raises(Unavailable, match=r"Others may read .*, a key") as caught:
        read(path)
    assert "make another." in caught.value.remedy


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for name in ("pipe", "folder"):
        with pytest.raises(Unavailable, match="no plain file"):
            read(tmp_path / name)
    for name in ("link", "nothing"):
        with pytest.raises(OSError, match=name):
            read(tmp_path / name)
