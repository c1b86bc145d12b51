"""Which files belong to an agent's source."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.wire.source import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_FILES,
    SourceDigest,
    SourceFile,
    check_path,
    digest_source,
    list_source,
    open_source,
    read_ignore,
)


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(folder: Path) -> list[str]:
    return [file.name for file in list_source(folder)]


def test_files_are_in_order_with_size_and_bit(tmp_path: Path) -> None:
    fill(tmp_path, "b/c", "b.py", "a", "ä", "Z")
    (tmp_path / "a").chmod(0o755)
    assert list_source(tmp_path) == [
        SourceFile("Z", 1, False),
        SourceFile("a", 1, True),
        SourceFile("b.py", 4, False),
        SourceFile("b/c", 3, False),
        SourceFile("ä", 2, False),
    ]


def test_the_ignore_file_is_followed_and_stays(tmp_path: Path) -> None:
    fill(tmp_path, "agent.py", "data/x.csv", "keep/x.csv", "lib/data/y")
    (tmp_path / ".a2aignore").write_text("*.csv\n!keep/*\nlib/\n.a2aignore\n")
    assert names(tmp_path) == [".a2aignore", "agent.py", "keep/x.csv"]


def test_gitignore_counts_when_there_is_no_other(tmp_path: Path) -> None:
    fill(tmp_path, "agent.py", "x.log", "sub/y.log", "sub/z")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "sub" / ".gitignore").write_text("z\n")  # Only the one at the root is read.
    assert names(tmp_path) == [".gitignore", "agent.py", "sub/.gitignore", "sub/z"]
    assert read_ignore(tmp_path)[0] == ".gitignore"
    (tmp_path / ".a2aignore").write_text("sub\n")
    assert names(tmp_path) == [".a2aignore", ".gitignore", "agent.py", "x.log"]
    assert read_ignore(tmp_path)[0] == ".a2aignore"


def test_a_copy_of_the_source_has_the_same_source(tmp_path: Path) -> None:
    """Though the rules leave the file with the rules out, and another one waits to take its place."""
    fill(tmp_path / "a", "agent.py", "x.log", "y.csv")
    (tmp_path / "a" / ".a2aignore").write_text("*.csv\n.*\n!.gitignore")
    (tmp_path / "a" / ".gitignore").write_text("*.log\n")
    files = list_source(tmp_path / "a")
    for file in files:
        (tmp_path / "b").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "a" / file.name, tmp_path / "b" / file.name)
    assert list_source(tmp_path / "b") == files
    assert digest_source(tmp_path / "b", files) == digest_source(tmp_path / "a", files)


def test_what_is_left_out_may_be_anything(tmp_path: Path) -> None:
    fill(tmp_path, "agent.py", "env/bin/python", "env/pyvenv.cfg")
    (tmp_path / "out").symlink_to("/")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"\xff")).write_text("")
    (tmp_path / ".a2aignore").write_text("out\npipe\n[!a.]\n")
    assert names(tmp_path) == [".a2aignore", "agent.py"]


def test_an_ignore_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / ".a2aignore").symlink_to("/dev/zero")
    with pytest.raises(InvalidParams, match="a2aignore` can't be read"):
        list_source(tmp_path)
    (tmp_path / ".a2aignore").unlink()
    (tmp_path / ".a2aignore").mkdir()
    with pytest.raises(InvalidParams, match="not a plain file"):
        list_source(tmp_path)
    (tmp_path / ".a2aignore").rmdir()
    (tmp_path / ".a2aignore").write_bytes(b"# \n" * 30_000)
    with pytest.raises(TooLarge, match="more than 64 KiB"):
        list_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("a\nb", r"character that names can't have: '\\n'"),
        ("a\x1b[31m", r"'\\x1b'"),
        ("a\x85", r"'\\x85'"),
        ("a\u202ecod.py", r"'\\u202e'"),
        ("a\u2028b", r"'\\u2028'"),
        ("a\\b", r"'\\\\'"),
        ("a\x00b", r"'\\x00'"),
        ("../a", "not a plain relative path"),
        ("/a", "not a plain relative path"),
        ("a//b", "not a plain relative path"),
        ("a/./b", "not a plain relative path"),
        ("", "not a plain relative path"),
        ("a/", "not a plain relative path"),
        ("\udcff", "not UTF-8"),
        ("a" * 256, "too long"),
        ("ä" * 128, "too long"),
        ("/".join("a" * (MAX_DEPTH + 1)), "too long"),
        ("/".join(["a" * 200] * 6), "too long"),
    ],
)
def test_names_that_can_not_be(name: str, match: str) -> None:
    with pytest.raises(InvalidParams, match=match) as caught:
        check_path(name)
    assert caught.value.remedy
    assert caught.value.detail.isprintable()


@pytest.mark.parametrize(
    "name", ["a", ".a", "...", "a b", "日本/é.py", "a:b", "👩\u200d💻", "a" * 255, "'\"`$"]
)
def test_names_that_can_be(name: str) -> None:
    check_path(name)


def test_names_are_checked_in_the_folder(tmp_path: Path) -> None:
    fill(tmp_path, "sub/a\nb")
    with pytest.raises(InvalidParams, match="names can't have"):
        list_source(tmp_path)


def test_a_folder_can_not_be_too_deep(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"d" * (MAX_DEPTH + 200))
    deep.mkdir(parents=True)
    with pytest.raises(InvalidParams, match="too long"):
        list_source(tmp_path)


def test_limits(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as half, (tmp_path / "b").open("wb") as rest:
        half.truncate(MAX_BYTES)
        rest.truncate(1)
    with pytest.raises(TooLarge, match="more than 64 MiB; `b` is where it passed") as caught:
        list_source(tmp_path)
    assert "a2aignore" in caught.value.remedy
    # A file that grew after it was listed.
    with pytest.raises(TooLarge):
        digest_source(tmp_path, [SourceFile("a", 0, False), SourceFile("b", 0, False)])
    (tmp_path / "many").mkdir()
    for number in range(MAX_FILES + 1):
        (tmp_path / "many" / str(number)).mkdir()
    with pytest.raises(TooLarge, match="more than 10000 folders"):
        list_source(tmp_path)


def test_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="There is no folder"):
        list_source(tmp_path / "x")


def test_what_changed_since_it_was_listed(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    (tmp_path / "link").symlink_to("a")
    for name in ("gone", "link"):
        with pytest.raises(InvalidParams, match=f"`{name}` can't be read"), open_source(tmp_path, name):
            pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidParams, match="`pipe` is not a plain file"), open_source(tmp_path, "pipe"):
        pass


def test_the_digest_does_not_change_with_a_release_of_ours() -> None:
    """It identifies what is stored: another one would make every release unknown."""
    digest = SourceDigest()
    digest.add(SourceFile("a/ä.py", 3, True), bytes(32))
    digest.add(SourceFile("b", 0, False), bytes(range(32)))
    assert digest.value == "sha256:78ead3801bb10ae494ca89d65767e86e1c072194afc1b89e46a82aacf8e0742b"
