"""Archives of a source: the same each time, and safe to unpack whoever made them."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.control.registry.pack import copy_release, digest_folder
from a2a_cloud.model.problem import InvalidParams, Problem, StorageFull, TooLarge, Unavailable
from a2a_cloud.wire import archive
from a2a_cloud.wire.archive import cannot_store, read_archive, write_archive
from a2a_cloud.wire.source import MAX_BYTES, check_path, left_out, list_source

Members = list[tuple[tarfile.TarInfo, bytes]]


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tarred(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def header(kind: bytes, name: bytes, size: int | bytes, *, mode: bytes = b"0000644\0") -> bytes:
    """A header that no tool writes."""
    digits = size if isinstance(size, bytes) else b"%011o\0" % size
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = mode
    block[124 : 124 + len(digits)] = digits
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)


def pack(folder: Path) -> tuple[str, bytes]:
    out = io.BytesIO()
    digest, size = write_archive(folder, list_source(folder), out)
    assert size == len(out.getvalue())
    return digest, out.getvalue()


def unpack(data: bytes, dest: Path) -> tuple[str, list[str]]:
    digest, files = read_archive(io.BytesIO(data), dest)
    return digest, [file.name for file in files]


def refused(data: bytes, dest: Path, match: str, kind: type[Problem] = InvalidParams) -> Problem:
    with pytest.raises(kind, match=match) as caught:
        read_archive(io.BytesIO(data), dest)
    assert caught.value.remedy
    assert not dest.exists()
    return caught.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "a2a.toml").write_text('name = "x"')
    (folder / "agent.py").write_text("print(1)")
    (folder / "lib" / "deep" / "data.bin").write_bytes(os.urandom(200_000))
    (folder / "lib.py").write_text("")
    (folder / ("ä" * 100)).write_text("long, and not ASCII")
    (folder / "run.sh").write_text("#!/bin/sh")
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


# --- packing ------------------------------------------------------------------------------------------


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    (other / "agent.py").chmod(0o600)
    assert pack(folder) == pack(other)
    digest, data = pack(folder)
    out = io.BytesIO()
    assert write_archive(folder, list_source(folder)[::-1], out)[0] == digest
    assert out.getvalue() == data


def test_there_and_back(folder: Path, dest: Path) -> None:
    digest, data = pack(folder)
    assert unpack(data, dest) == digest_folder(folder) == digest_folder(dest)
    assert digest == digest_folder(dest)[0]
    assert stat.S_IMODE((dest / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((dest / "agent.py").stat().st_mode) == 0o644
    assert copy_release(dest, dest.parent / "kept")[0] == digest


def test_other_tools_read_it(folder: Path, tmp_path: Path) -> None:
    digest, data = pack(folder)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(tmp_path / "py", filter="data")
        assert {(info.mtime, info.uid, info.uname) for info in tar} == {(0, 0, "")}
    assert digest_folder(tmp_path / "py")[0] == digest
    (tmp_path / "gnu").mkdir()
    subprocess.run(["tar", "-xzf", "-", "-C", str(tmp_path / "gnu")], input=data, check=True)
    assert digest_folder(tmp_path / "gnu")[0] == digest


@pytest.mark.parametrize("form", ["gnu", "oldgnu", "pax", "posix", "ustar", "v7"])
def test_what_tar_makes_is_read(folder: Path, dest: Path, form: str) -> None:
    if form in ("ustar", "v7"):
        (folder / ("ä" * 100)).unlink()
    for name in (".venv", "__pycache__"):
        (folder / "lib" / name).mkdir()
        (folder / "lib" / name / "link").symlink_to("/")
        (folder / "lib" / name / "x").write_text("x")
    made = subprocess.run(
        ["tar", f"--format={form}", "-czf", "-", "-C", str(folder), "."], capture_output=True, check=True
    )
    assert unpack(made.stdout, dest) == digest_folder(folder)
    assert not (dest / "lib" / ".venv").exists()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_makes_is_read(dest: Path, form: int) -> None:
    long = "d" * 80 + "/" + "e" * 80
    data = tarred(
        member(long, b"x" * 513),
        member("a", b"", mtime=0 if form == tarfile.USTAR_FORMAT else 1.5),
        form=form,
    )
    assert unpack(gzip.compress(data), dest)[1] == ["a", long]


def test_a_file_that_changes_is_noticed(folder: Path) -> None:
    class Growing(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            with (folder / "lib" / "deep" / "data.bin").open("ab") as file:
                file.write(b"more")
            return super().write(data)

    with pytest.raises(Unavailable, match="changed while it was read"):
        write_archive(folder, list_source(folder), Growing())


def test_a_file_that_became_a_link_is_refused(folder: Path) -> None:
    files = list_source(folder)
    (folder / "agent.py").unlink()
    (folder / "agent.py").symlink_to("/etc/passwd")
    with pytest.raises(InvalidParams, match=r"agent\.py"):
        write_archive(folder, files, io.BytesIO())


# --- what is unpacked ---------------------------------------------------------------------------------


def test_the_ignore_file_inside_counts(dest: Path) -> None:
    data = tarred(
        member("./x.csv", b"1"),
        member("./env/pyvenv.cfg"),
        member("./env/lib/x.py"),
        member("./data", b"", type=tarfile.DIRTYPE),
        member("./data/deep/y.csv"),
        member("./.a2aignore", b"*.csv\n"),
        member("./agent.pyc", b"1"),
        member("./agent.py", b"1", mode=0o777),
    )
    digest, files = unpack(gzip.compress(data), dest)
    assert files == [".a2aignore", "agent.py"]
    assert sorted(path.name for path in dest.rglob("*")) == files
    assert digest == digest_folder(dest)[0]
    assert stat.S_IMODE((dest / "agent.py").stat().st_mode) == 0o755


def test_an_empty_folder_may_be_there(folder: Path, dest: Path) -> None:
    _, data = pack(folder)
    dest.mkdir()
    unpack(data, dest)
    with pytest.raises(Unavailable, match="not empty"):
        unpack(data, dest)
    assert (dest / "agent.py").exists()
    empty = dest.parent / "empty"
    empty.mkdir()
    with pytest.raises(InvalidParams):
        unpack(data[:-9], empty)
    assert list(empty.iterdir()) == []


def test_git_archives_have_a_comment_for_all(dest: Path) -> None:
    data = (
        header(b"g", b"pax_global_header", 17) + padded(b"17 comment=abcde\n") + header(b"0", b"a", 0) + END
    )
    assert unpack(gzip.compress(data), dest)[1] == ["a"]


def test_pax_records_decide(dest: Path) -> None:
    records = b"11 path=bb\n10 size=3\n"
    data = header(b"x", b"x", len(records)) + padded(records) + header(b"0", b"a", 0) + padded(b"123") + END
    assert unpack(gzip.compress(data), dest)[1] == ["bb"]
    assert (dest / "bb").read_bytes() == b"123"


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/x",
        "a/../../x",
        "a/..",
        "a//x",
        "a/./x",
        "..",
        ".//../x",
        "./../x",
        "//x",
        "a\\..\\x",
        "C:\\x",
    ],
)
def test_paths_that_lead_elsewhere(dest: Path, name: str) -> None:
    refused(gzip.compress(tarred(member("ok", b"1"), member(name, b"1"))), dest, "path|names can't")
    assert not (dest.parent / "x").exists()
    refused(gzip.compress(tarred(member(name, type=tarfile.DIRTYPE))), dest, "path|names can't")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (tarfile.GNUTYPE_LONGLINK, "a link"),
        (tarfile.CONTTYPE, "of no known kind"),
        (b"V", "of no known kind"),
    ],
)
def test_only_files_and_folders(dest: Path, kind: bytes, what: str) -> None:
    data = tarred(member("a", b"1"))[:1024] + header(kind, b"bad", 0) + END
    assert "'bad'" in refused(gzip.compress(data), dest, what).detail


def test_a_link_to_write_through(dest: Path) -> None:
    outside = dest.parent / "outside"
    outside.mkdir()
    data = tarred(
        member("d", type=tarfile.SYMTYPE, linkname=str(outside)), member("d/x", b"1"), member("ok", b"1")
    )
    refused(gzip.compress(data), dest, "a symbolic link")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (b"\xff", "not UTF-8"),
        (b"a\x1b[2J", "names can't have"),
        (b"a\nb", "names can't have"),
        ("a\u202eb".encode(), "names can't have"),
        (b"a" * 99 + b"/" + b"b" * 256, "too long"),
        (b"a/" * 40 + b"b", "too long"),
        (b"", "not a plain relative path"),
        (b".", "not a plain relative path"),
        (b"a/", "not a plain relative path"),
    ],
)
@pytest.mark.parametrize("way", ["header", "pax", "gnu"])
def test_names(dest: Path, name: bytes, match: str, way: str) -> None:
    if way == "header":
        if len(name) > 100:
            return
        before, in_header = b"", name
    elif way == "pax":
        record = b" path=" + name + b"\n"
        length = next(n for n in range(999) if n == len(str(n)) + len(record))
        record = b"%d%s" % (length, record)
        before, in_header = header(b"x", b"x", len(record)) + padded(record), b"fine"
    else:
        before, in_header = header(b"L", b"x", len(name) + 1) + padded(name + b"\0"), b"fine"
    data = gzip.compress(before + header(b"0", in_header, 0) + END)
    if not name and way != "header":
        assert unpack(data, dest)[1] == ["fine"]  # No longer name: the one that is there.
        return
    refused(data, dest, match)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([member("a", b"1"), member("a", b"2")], "`a` twice"),
        ([member("a", b"1"), member("./a", b"1")], "`a` twice"),
        ([member("a", b"1"), member("a/b", b"1")], "as a file and as a folder"),
        ([member("a/b", b"1"), member("a", b"1")], "as a file and as a folder"),
        ([member("a", b"1"), member("a", type=tarfile.DIRTYPE)], "as a file and as a folder"),
        ([member("a", type=tarfile.DIRTYPE), member("a", b"1")], "as a file and as a folder"),
        ([], "holds no files"),
        ([member("a", type=tarfile.DIRTYPE)], "holds no files"),
        ([member(".git/x", b"1"), member("x.pyc", b"1")], "holds no files"),
        ([member(".gitignore", b"\xff")], "not UTF-8"),
    ],
)
def test_contents(dest: Path, members: Members, match: str) -> None:
    refused(gzip.compress(tarred(*members)), dest, match)


GOOD = tarred(member("a", b"1"))
GOOD_GZ = gzip.compress(GOOD, mtime=0)  # a test is named by its bytes: the same in every process
SPARSE = b"22 GNU.sparse.major=1\n"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "ends too early"),
        (b"\0" * 512, "holds no files"),
        (b"0" * 600, "checksum"),
        (GOOD[:1024], "ends too early"),
        (GOOD[:700], "ends too early"),
        (GOOD[:512], "ends too early"),
        (GOOD + b"x", "something follows"),
        (GOOD + GOOD, "something follows"),
        (GOOD[:1024] + bytes(512) + GOOD, "something follows"),
        (header(b"x", b"x", 0) + END, "ends where an entry should follow"),
        (header(b"L", b"x", 2) + padded(b"a\0") + END, "ends where an entry should follow"),
        (header(b"x", b"x", 3) + padded(b"abc") + GOOD, "pax record"),
        (header(b"x", b"x", 9) + padded(b"9 path=a") + GOOD, "pax record"),
        (header(b"x", b"x", 9) + padded(b"99 path=a") + GOOD, "pax record"),
        (header(b"x", b"x", 9) + padded(b"0 path=a\n") + GOOD, "pax record"),
        (header(b"x", b"x", 9) + padded(b"-9 pat=a\n") + GOOD, "pax record"),
        (header(b"x", b"x", 10) + padded(b"10 size=-\n") + GOOD, "pax record"),
        (header(b"x", b"x", 22) + padded(SPARSE) + GOOD, "sparse"),
        (header(b"g", b"x", 22) + padded(SPARSE) + GOOD, "sparse"),
        (header(b"g", b"x", 10) + padded(b"10 path=b\n") + GOOD, "for all entries"),
        (header(b"5", b"d", 512) + bytes(512) + GOOD, "is no file and has content"),
        (header(b"0", b"a", b"\xff" * 12) + END, "number in a header"),
        (header(b"0", b"a", b"-0000000001\0") + END, "number in a header"),
        (header(b"0", b"a", b"00000000009\0") + END, "number in a header"),
        (header(b"0", b"a", 0, mode=b"rwxr-xr-") + END, "number in a header"),
    ],
)
def test_tars_that_are_none(dest: Path, data: bytes, match: str) -> None:
    refused(gzip.compress(data), dest, match)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\x1f", "ends too early"),
        (b"hello", "is no gzip"),
        (GOOD, "is no gzip"),
        (zlib.compress(GOOD), "is no gzip"),
        (GOOD_GZ[:-1], "ends too early"),
        (GOOD_GZ[:40], "ends too early"),
        (GOOD_GZ[:5], "ends too early"),
        (GOOD_GZ + b"\0", "something follows"),
        (GOOD_GZ + GOOD_GZ, "something follows"),
        (GOOD_GZ[:-8] + bytes(8), "gzip layer"),
        (b"\x1f\x8b\x08\x00" + b"x" * 100, "gzip layer"),
    ],
)
def test_gzips_that_are_none(dest: Path, data: bytes, match: str) -> None:
    refused(data, dest, match)


# --- what is too large --------------------------------------------------------------------------------


class Bomb:
    """A stream that never ends; counts what was read of it."""

    def __init__(self, start: bytes, filling: bytes = b"\0") -> None:
        self._gzip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._next = self._gzip.compress(start)
        self._filling = filling * (1 << 20)
        self.read_so_far = 0

    def read(self, size: int, /) -> bytes:
        while len(self._next) < size:
            self._next += self._gzip.compress(self._filling) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        data, self._next = self._next[:size], self._next[size:]
        self.read_so_far += len(data)
        return data


LARGE = b"\x80" + (1 << 80).to_bytes(11, "big")


@pytest.mark.parametrize(
    ("bomb", "match"),
    [
        (Bomb(header(b"0", b"a", MAX_BYTES + 1)), "`a` is where it passed"),
        (Bomb(header(b"0", b"a", LARGE)), "`a` is where it passed"),
        (Bomb(header(b"0", b".git/a", LARGE)), "`.git/a` is where it passed"),
        (Bomb(header(b"x", b"a", LARGE)), "of attributes for one entry"),
        (Bomb(header(b"x", b"a", 300_000)), "of attributes for one entry"),
        (Bomb(header(b"L", b"a", 8 << 30)), "of attributes for one entry"),
        (Bomb(header(b"g", b"a", 8 << 30)), "of attributes for one entry"),
        (Bomb(GOOD), "inflates to more than 128 MiB"),
        (Bomb(b"", header(b"5", b"a", 0)), "holds more than 10000 files and folders"),
    ],
)
def test_bombs_end_early(dest: Path, bomb: Bomb, match: str) -> None:
    with pytest.raises(TooLarge, match=match) as caught:
        read_archive(bomb, dest)
    assert caught.value.remedy
    assert not dest.exists()
    assert bomb.read_so_far < 4 << 20


def test_memory_stays_small(dest: Path) -> None:
    bomb = Bomb(header(b"0", b"a", 16 << 20) + bytes(16 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            read_archive(bomb, dest)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_too_many(dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 20)
    monkeypatch.setattr(archive, "_MAX_ENTRIES", 80)
    for data, match in [
        (b"".join(header(b"0", b"%d" % number, 0) for number in range(21)), "more than 10000 files"),
        (b"".join(header(b"5", b"%d/a" % number, 0) for number in range(11)), "more than 10000 folders"),
        (header(b"5", b"a", 0) * 81, "more than 10000 files and folders"),
        (header(b"0", b"__pycache__/a", 0) * 81, "more than 10000 files and folders"),
        (header(b"g", b"a", 0) * 81, "more than 10000 files and folders"),
        (header(b"x", b"a", 0) * 81, "more than 10000 files and folders"),
    ]:
        refused(gzip.compress(data + END), dest, match, TooLarge)


def test_a_disk_that_refuses(dest: Path) -> None:
    (dest.parent / "file").write_text("")
    with pytest.raises(Unavailable, match="archive can't be stored") as caught:
        unpack(gzip.compress(GOOD), dest.parent / "file" / "x")
    assert "file" in caught.value.operator
    assert isinstance(cannot_store(OSError(28, "No space"), "archive", dest), StorageFull)


# --- properties ---------------------------------------------------------------------------------------

_PART = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8)
_FILES = st.dictionaries(
    st.lists(_PART, min_size=1, max_size=3).map("/".join),
    st.tuples(st.binary(max_size=700), st.booleans()),
    max_size=5,
)


def fits(name: str) -> bool:
    try:
        check_path(name)
    except InvalidParams:
        return False
    return not any(map(left_out, name.split("/")))


def in_scratch(do: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="archive-") as scratch:
        do(Path(scratch))


@settings(deadline=None, max_examples=40)
@given(_FILES)
def test_a_round_trip_keeps_the_digest(files: dict[str, tuple[bytes, bool]]) -> None:
    def trip(scratch: Path) -> None:
        (scratch / "a").mkdir()
        for name, (data, executable) in files.items():
            path = scratch / "a" / name
            try:
                if fits(name):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                    path.chmod(0o700 if executable else 0o600)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                pass
        digest, data = pack(scratch / "a")
        assert digest == digest_folder(scratch / "a")[0]
        if list_source(scratch / "a"):
            unpacked, listed = read_archive(io.BytesIO(data), scratch / "b")
            assert (unpacked, listed) == (digest, list_source(scratch / "a"))
            assert pack(scratch / "b") == (digest, data)
        else:
            refused(data, scratch / "b", "no files")

    in_scratch(trip)


SEED = tarred(
    member("d", type=tarfile.DIRTYPE),
    member("d/" + "n" * 120, b"content " * 100),
    member("ä.py", b"x", mode=0o755),
    member("d/run.sh", b"#!"),
)
SEED_FILES = ["d/" + "n" * 120, "d/run.sh", "ä.py"]
SEED_DIGEST = "sha256:6d52e1b0041a04e104191650bf661d06470fc307e2ae2da5360238e781b80c52"
PACKED = gzip.compress(SEED, mtime=0)


def test_the_seed_is_whole(dest: Path) -> None:
    assert unpack(PACKED, dest) == (SEED_DIGEST, SEED_FILES)


def the_same_or_a_problem(data: bytes, *, same: bool) -> None:
    def attempt(scratch: Path) -> None:
        dest = scratch / "in" / "dest"
        try:
            digest, files = unpack(data, dest)
        except Problem as problem:
            refusal = problem
        else:
            assert digest_folder(dest) == (digest, files)
            assert not same or (digest, files) == (SEED_DIGEST, SEED_FILES)
            refusal = None
        assert refusal is None or (refusal.remedy and not dest.exists())
        # Nothing lies anywhere else.
        assert [path.name for path in scratch.iterdir()] == ["in"]
        assert [path.name for path in (scratch / "in").iterdir()] == ([] if refusal else ["dest"])

    in_scratch(attempt)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_a_changed_byte_changes_nothing_or_is_a_problem(at: int, by: int) -> None:
    the_same_or_a_problem(PACKED[:at] + bytes([PACKED[at] ^ by]) + PACKED[at + 1 :], same=True)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, len(PACKED) - 1))
def test_what_is_cut_off_is_a_problem(end: int) -> None:
    def attempt(scratch: Path) -> None:
        with pytest.raises(InvalidParams):
            unpack(PACKED[:end], scratch / "dest")

    in_scratch(attempt)


@settings(deadline=None, max_examples=120)
@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.binary(min_size=1, max_size=12)), max_size=4),
    st.booleans(),
)
def test_any_tar_is_read_or_a_problem(changes: list[tuple[int, bytes]], mend: bool) -> None:
    """With the gzip layer whole and, by half, the checksums too: what an attacker would send."""
    data = bytearray(SEED)
    for at, new in changes:
        data[at : at + len(new)] = new
    if mend:
        for at in range(0, len(data) - 511, 512):
            if data[at + 257 : at + 262] == b"ustar":
                data[at + 148 : at + 156] = b" " * 8
                data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    the_same_or_a_problem(gzip.compress(bytes(data), 1, mtime=0), same=False)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_problem(data: bytes, packed: bool) -> None:
    the_same_or_a_problem(gzip.compress(data) if packed else data, same=False)
