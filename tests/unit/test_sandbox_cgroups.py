"""Where control groups can be made, told from files as the kernel writes them; and real ones."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from a2a_cloud.runtime.sandbox.cgroups import Cgroups, Group, find_cgroups


def tree(tmp_path: Path, mounts: str, own: str) -> Path:
    """A /proc whose hierarchies are mounted below `tmp_path`; folders of mounted places are made."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/mountinfo").write_text(mounts.replace("@", str(tmp_path)))
    (proc / "self/cgroup").write_text(own)
    return proc


def test_without_hierarchies_there_is_no_group_and_it_is_said(tmp_path: Path) -> None:
    found = find_cgroups(tree(tmp_path, "1 0 8:1 / / rw - ext4 /dev/sda rw\n", "0::/\n"))
    assert found.bases == {}
    assert found.make(1 << 20, 10, 1.0) is None
    assert len(found.missing) == 3
    assert "RLIMIT_NPROC" in " ".join(found.missing)
    assert find_cgroups(tmp_path / "nothing").bases == {}


def test_a_mount_that_does_not_show_our_group_is_of_no_use(tmp_path: Path) -> None:
    place = tmp_path / "memory"
    place.mkdir()
    mounts = "1 0 0:1 /other @/memory rw - cgroup cgroup rw,memory\n"
    assert find_cgroups(tree(tmp_path, mounts, "3:memory:/ours\n")).bases == {}


def test_limits_of_version_2(tmp_path: Path) -> None:
    found = Cgroups(2, dict.fromkeys(["cpu", "memory", "pids"], tmp_path), owner="1-2")
    group = found.make(1 << 20, 10, 0.5)
    assert group is not None
    (folder,) = group.folders
    written = {file.name: file.read_text() for file in folder.iterdir()}
    assert written == {"memory.max": "1048576", "pids.max": "10", "cpu.max": "50000 100000"}


def test_limits_of_version_1(tmp_path: Path) -> None:
    bases = {name: tmp_path / name for name in ("cpu", "memory", "pids")}
    for base in bases.values():
        base.mkdir()
    group = Cgroups(1, bases, owner="1-2").make(1 << 20, 10, 2.0)
    assert group is not None
    assert (group.paths["memory"] / "memory.limit_in_bytes").read_text() == "1048576"
    assert (group.paths["pids"] / "pids.max").read_text() == "10"
    assert (group.paths["cpu"] / "cpu.cfs_quota_us").read_text() == "200000"


def test_what_the_kernel_counted(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nmax 7\noom 3\noom_kill 2\n")
    (tmp_path / "pids.events").write_text("max 5\n")
    group = Group(2, dict.fromkeys(["memory", "pids"], tmp_path))
    assert group.hits() == {"memory": 2, "pids": 5}
    (tmp_path / "memory.events").unlink()
    # What it was when the group was still there.
    assert group.hits() == {"memory": 2, "pids": 5}


@pytest.fixture
def real() -> Cgroups:
    found = find_cgroups()
    if not found.bases:
        pytest.skip("This machine lets nobody make control groups: " + " ".join(found.missing))
    return found


def test_two_of_them_do_not_take_each_others_names(real: Cgroups) -> None:
    other = find_cgroups()
    groups = [each for each in (real.make(1 << 24, 8, 0), other.make(1 << 24, 8, 0)) if each is not None]
    try:
        assert len({folder for group in groups for folder in group.folders}) == 2 * len(groups[0].folders)
    finally:
        assert [group.remove() for group in groups] == [True, True]


def test_whoever_is_in_a_group_ends_with_it(real: Cgroups) -> None:
    group = real.make(1 << 26, 8, 0)
    assert group is not None
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeper:
        try:
            for folder in group.folders:
                (folder / "cgroup.procs").write_text(str(sleeper.pid))
            assert group.pids() == {sleeper.pid}
            group.remove()
            assert sleeper.wait(5) == -9
        finally:
            sleeper.kill()
    # It could not be removed while somebody was dying in it; the next one clears up.
    following = real.make(1 << 24, 8, 0)
    assert following is not None
    assert following.remove()
    assert not any(folder.exists() for folder in group.folders)


def test_a_killed_platforms_groups_are_swept_and_a_living_ones_are_not(real: Cgroups) -> None:
    ours = real.make(1 << 24, 8, 0)
    assert ours is not None
    space, pid, _ = real.owner.split("-")
    assert pid == str(os.getpid())
    gone = Cgroups(real.version, real.bases, owner=f"{space}-{pid}-1")  # Our pid, in an earlier life.
    stale = gone.make(1 << 24, 8, 0)
    elsewhere = Cgroups(real.version, real.bases, owner=f"1-{pid}-1").make(1 << 24, 8, 0)
    assert stale is not None
    assert elsewhere is not None
    try:
        assert real.sweep() >= 1
        assert not any(folder.exists() for folder in stale.folders)
        assert all(folder.exists() for folder in ours.folders)
        # Of a namespace whose processes can't be seen from here: perhaps it lives.
        assert all(folder.exists() for folder in elsewhere.folders)
    finally:
        ours.remove()
        elsewhere.remove()
