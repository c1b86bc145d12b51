"""What can be caged, what a cage is told, and how it says which limit was hit."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

import a2a_cloud
from a2a_cloud.model.problem import BadSetting, StartFailed
from a2a_cloud.runtime.sandbox.launch import arguments_file, check, early, give, memory_file
from a2a_cloud.runtime.sandbox.pick import strongest
from a2a_cloud.runtime.sandbox.port import Caged, CageLimits, CageSpec, roots_of, size


def spec(folder: Path, **more: object) -> CageSpec:
    return CageSpec(**{"agent_key": "a", "command": ("/bin/true",), "folder": folder} | more)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_what_lies_in_the_data_folder_may_be_shown(data: Path) -> None:
    check(spec(data / "releases" / "1", roots=(data / "environments" / "e",)), data)


@pytest.mark.parametrize("name", ["folder", "roots", "writable", "rundir"])
def test_the_data_folder_itself_may_not(data: Path, name: str) -> None:
    source = data / "releases"
    for wrong in (data, data.parent, Path("/")):
        value = (wrong,) if name in ("roots", "writable") else wrong
        with pytest.raises(StartFailed, match="platform's own data"):
            check(spec(source, **{name: value}) if name != "folder" else spec(wrong), data)


def test_nor_by_way_of_a_link(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    with pytest.raises(StartFailed, match="platform's own data"):
        check(spec(tmp_path / "link"), data)


@pytest.mark.parametrize("settings", [{"": "x"}, {"A=B": "x"}, {"A": "\0"}, {"A\0": "x"}])
def test_variables_that_cannot_be_passed_on(data: Path, settings: dict[str, str]) -> None:
    with pytest.raises(StartFailed, match="can't be passed on"):
        check(spec(data / "source", settings=settings), data)


@pytest.mark.parametrize("command", [(), ("python",), ("./python",)])
def test_a_command_has_an_absolute_path(data: Path, command: tuple[str, ...]) -> None:
    with pytest.raises(StartFailed, match="no absolute path"):
        check(spec(data / "source", command=command), data)


def test_variables_that_change_how_programs_load_reach_the_agent_alone() -> None:
    dangerous = {"LD_PRELOAD": "x", "GCONV_PATH": "x", "LOCPATH": "x", "GLIBC_TUNABLES": "x", "BASH_ENV": "x"}
    rest, late = early({"HOME": "/tmp", "TOKEN": "t", **dangerous})
    assert rest == {"HOME": "/tmp", "TOKEN": "t"}
    assert late[1:] == [f"{name}=x" for name in dangerous]
    assert early({"HOME": "/tmp"}) == ({"HOME": "/tmp"}, [])


def test_what_is_handed_over_is_in_no_argument_list() -> None:
    for number, wanted in ((memory_file(b"abc"), b"abc"), (arguments_file(["a", "é"]), b"a\0\xc3\xa9\0")):
        with open(number, "rb") as file:
            assert file.read() == wanted


def test_only_a_real_folder_is_given_away(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "file").touch()
    give(tmp_path / "folder", os.geteuid())
    for wrong in ("link", "file", "nothing"):
        with pytest.raises(StartFailed, match="can't be given"):
            give(tmp_path / wrong, os.geteuid())


def test_what_a_python_needs(tmp_path: Path) -> None:
    assert roots_of(Path("/usr/bin/python3")) == ()
    home = Path(sys.executable).resolve().parent.parent
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    (environment / "bin/python").symlink_to(Path(sys.executable).resolve())
    found = roots_of(environment / "bin/python")
    assert found[0] == environment
    assert home in found or home.is_relative_to("/usr")
    # The platform's own one runs this package, wherever it lies.
    package = Path(a2a_cloud.__file__).parent
    assert any(package.is_relative_to(root) for root in roots_of(Path(sys.executable)))
    assert not any(package.is_relative_to(root) for root in found)


def test_a_link_to_something_else_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").touch()
    (tmp_path / "python").symlink_to("bin/tool")
    with pytest.raises(StartFailed, match="can't be shown"):
        roots_of(tmp_path / "python")


def caged(**limits: int) -> Caged:
    return Caged((), {}, "/", (), "/app", CageLimits(**limits))


def test_exit_codes_are_the_agents_own() -> None:
    cage = caged()
    assert [cage.status(code) for code in (0, 1, 137, 128, 255, -9)] == [0, 1, -9, 128, 255, -9]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (errno.ENOMEM, None, "used more memory than it may (64 MiB): `memory`"),
        (errno.EAGAIN, None, "started more processes and threads than it may (7): `pids`"),
        (errno.ENOSPC, None, "wrote more to /tmp than it may (1.5 KiB): `tmp_bytes`"),
        (0, 128 + signal.SIGXFSZ, "wrote more to /tmp"),
        (0, -signal.SIGXFSZ, "wrote more to /tmp"),
        (errno.EMFILE, None, "opened more files at once than it may (9): `open_files`"),
        (errno.EACCES, 1, ""),
        (0, 137, ""),  # Killed: by whom is not known.
    ],
)
def test_a_verdict_names_the_setting(error: int, code: int | None, says: str) -> None:
    cage = caged(memory=64 << 20, pids=7, tmp_bytes=1536, open_files=9)
    verdict = cage.verdict(code, error)
    assert says in verdict
    assert bool(says) == bool(verdict)


def test_sizes_as_people_say_them() -> None:
    assert [size(n) for n in (1, 1023, 1536, 1 << 30, 5 << 40)] == [
        "1 bytes", "1023 bytes", "1.5 KiB", "1 GiB", "5120 GiB",
    ]  # fmt: skip


def test_a_sandbox_that_there_is_not(data: Path) -> None:
    with pytest.raises(BadSetting, match="no sandbox 'vm'"):
        strongest(data, "vm")
    picked = strongest(data, "process")
    assert picked.name == "process"
    assert any("system call" in one for one in picked.missing)
