"""The digest and the copy of a release."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.control.registry import pack
from a2a_cloud.control.registry.pack import copy_release, digest_folder, prune_release
from a2a_cloud.model.problem import InvalidParams, TooLarge, Unavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "a2a.toml").write_text('name = "x"')
    (folder / "agent.py").write_text("print(1)")
    (folder / "lib" / "deep" / "data.bin").write_bytes(b"\0" * 100)
    (folder / "lib.py").write_text("")
    (folder / "run.sh").write_text("#!/bin/sh")
    (folder / "run.sh").chmod(0o755)
    return folder


FILES = ["a2a.toml", "agent.py", "lib.py", "lib/deep/data.bin", "run.sh"]


def test_paths_are_sorted_and_posix(folder: Path) -> None:
    digest, files = digest_folder(folder)
    assert files == FILES
    assert digest.startswith("sha256:")
    assert len(digest) == 71


def test_the_digest_is_the_same_elsewhere(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "b"
    shutil.copytree(folder, other)
    os.utime(other / "agent.py", (1, 1))
    (other / "agent.py").chmod(0o600)
    assert digest_folder(other) == digest_folder(folder)


def test_what_does_not_count(folder: Path) -> None:
    before = digest_folder(folder)
    for name in (".git", ".venv", ".a2a", "node_modules", "__pycache__", ".pytest_cache", ".ruff_cache"):
        (folder / "lib" / name).mkdir()
        (folder / "lib" / name / "x").write_text("x")
        (folder / "lib" / name / "link").symlink_to("/")
    (folder / "agent.pyc").write_text("x")
    (folder / "myenv").mkdir()
    (folder / "myenv" / "pyvenv.cfg").write_text("")
    (folder / "empty").mkdir()
    assert digest_folder(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "agent.py").write_text("print(2)"),
        lambda f: (f / "agent.py").rename(f / "agen.py"),
        lambda f: (f / "agent.py").chmod(0o755),
        lambda f: (f / "new.txt").write_text(""),
        lambda f: (f / "lib.py").unlink(),
        lambda f: (f / ".env").write_text("A=1"),
    ],
)
def test_what_counts(folder: Path, change: object) -> None:
    before = digest_folder(folder)[0]
    change(folder)  # type: ignore[operator]
    assert digest_folder(folder)[0] != before


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=4)), unique_by=lambda pair: pair[0]))
def test_different_folders_have_different_digests(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes]]
) -> None:
    digests: dict[str, object] = SEEN
    folder = tmp_path_factory.mktemp("h")
    for name, data in files:
        (folder / name).write_bytes(data)
    key = digest_folder(folder)[0]
    assert digests.setdefault(key, sorted(files)) == sorted(files)


SEEN: dict[str, object] = {}


def test_links_and_sockets_are_refused(folder: Path) -> None:
    (folder / "link").symlink_to("agent.py")
    with pytest.raises(InvalidParams, match="`link` is a symbolic link"):
        digest_folder(folder)
    (folder / "link").unlink()
    (folder / "lib" / "loop").symlink_to("..")
    with pytest.raises(InvalidParams, match="`lib/loop` is a symbolic link"):
        digest_folder(folder)
    (folder / "lib" / "loop").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidParams, match="`pipe` is neither"):
        digest_folder(folder)
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{here}/s")
        finally:
            os.close(here)
        with pytest.raises(InvalidParams, match="`s` is neither"):
            digest_folder(folder)


def test_names_that_are_not_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.txt")).write_text("")
    with pytest.raises(InvalidParams, match="not UTF-8"):
        digest_folder(folder)


def test_limits(folder: Path) -> None:
    with (folder / "big").open("wb") as big:
        big.truncate(pack.MAX_BYTES + 1)
    with pytest.raises(TooLarge, match="`big` is where it passed") as caught:
        digest_folder(folder)
    assert caught.value.remedy
    with pytest.raises(TooLarge):
        copy_release(folder, folder.parent / "out")
    assert sorted(p.name for p in folder.parent.iterdir()) == ["agent"]
    (folder / "big").unlink()
    many = folder / "many"
    many.mkdir()
    for number in range(pack.MAX_FILES):
        (many / str(number)).touch()
    with pytest.raises(TooLarge, match="more than 10000 files"):
        digest_folder(folder)


def test_copy(folder: Path, tmp_path: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("")
    dest = tmp_path / "releases" / "1" / "code"
    assert copy_release(folder, dest) == digest_folder(folder) == digest_folder(dest)
    found = sorted(p.relative_to(dest).as_posix() for p in dest.rglob("*") if p.is_file())
    assert found == FILES
    assert stat.S_IMODE((dest / "agent.py").stat().st_mode) == 0o444
    assert stat.S_IMODE((dest / "run.sh").stat().st_mode) == 0o555
    assert [p.name for p in dest.parent.iterdir()] == ["code"]


def test_a_copy_that_is_there_stays(folder: Path, tmp_path: Path) -> None:
    dest = tmp_path / "code"
    first = copy_release(folder, dest)
    (folder / "agent.py").write_text("changed")
    assert copy_release(folder, dest) == first
    assert (dest / "agent.py").read_text() == "print(1)"


def test_a_place_that_can_not_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can't be stored"):
        copy_release(folder, tmp_path / "file" / "code")


def test_what_an_agent_wrote_beside_its_source_is_taken_away(folder: Path, tmp_path: Path) -> None:
    dest = tmp_path / "kept"
    digest, files = copy_release(folder, dest)
    inode = dest.stat().st_ino
    (dest / "mark").write_text("mine")
    (dest / "new" / "deep").mkdir(parents=True)
    (dest / "new" / "deep" / "x").write_text("mine")
    (dest / "link").symlink_to("/etc/passwd")
    (dest / "away").symlink_to(tmp_path)
    assert prune_release(dest, files) == digest
    assert dest.stat().st_ino == inode  # In place: a worker that begins there has a folder.
    assert sorted(one.name for one in dest.iterdir()) == ["a2a.toml", "agent.py", "lib", "lib.py", "run.sh"]
    assert (tmp_path / "agent" / "agent.py").exists()


def test_a_kept_source_that_was_changed_is_replaced(folder: Path, tmp_path: Path) -> None:
    dest = tmp_path / "kept"
    digest, files = copy_release(folder, dest)
    (dest / "agent.py").chmod(0o644)
    (dest / "agent.py").write_text("print(2)")
    assert prune_release(dest, files) != digest
    assert copy_release(folder, dest)[0] != digest
    assert copy_release(folder, dest, anew=True)[0] == digest
    assert digest_folder(dest)[0] == digest
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []
