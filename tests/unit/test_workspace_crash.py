"""A commit is whole or not there: killed before and after its one journal write, refused, lost, raced."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from a2a_cloud.model.problem import Internal, StorageFull
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.workspace import Version
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.workspace.service import Workspaces
from a2a_cloud.storage.journal.port import Refusal
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.storage.workspaces.rows import add_version
from a2a_cloud.testing.commits import Commits, Fault
from a2a_cloud.testing.workspaces import BY, Ticks, contents, save, sqlite_site

IDS = TimeIds(SystemClock(), SystemEntropy())
SOURCE = Path(__file__).parents[2] / "src"

PROGRAM = """
import asyncio, sys
from pathlib import Path
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.testing.commits import Commits, Fault
from a2a_cloud.testing.workspaces import BY, save, sqlite_site

async def body(folder, fault):
    commits = Commits()
    objects = FolderObjects(folder / "objects", TimeIds(SystemClock(), SystemEntropy()))
    async with sqlite_site(folder, objects, commit=commits) as site:
        workspace = await site.workspaces.create(1, "main", BY)
        await save(workspace, {"a": b"1", "in/b": b"1"})
        before = commits.count
        commits.next(Fault[fault])
        await save(workspace, {"a": b"2", "in/b": None, "new/deep/c": b"2" * 100_000})
        print("not reached", commits.count - before)

asyncio.run(body(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("fault", [Fault.DIES_BEFORE, Fault.DIES_AFTER])
def test_a_killed_platform_has_all_of_a_commit_or_nothing(tmp_path: Path, fault: Fault) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), fault.name],
        env={"PYTHONPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr

    async def body() -> None:
        async with sqlite_site(tmp_path, FolderObjects(tmp_path / "objects", IDS)) as site:
            workspace = await site.workspaces.open(1, "main")
            old = {"a": b"1", "in/b": b"1"}
            new = {"a": b"2", "new/deep/c": b"2" * 100_000}
            assert await contents(workspace) == (old if fault is Fault.DIES_BEFORE else new)
            await save(workspace, {"next": b"3"})
            assert [one.number for one in workspace.history()] == (
                [2, 1] if fault is Fault.DIES_BEFORE else [3, 2, 1]
            )

    asyncio.run(body())


def test_a_commit_is_one_journal_write(tmp_path: Path) -> None:
    async def body() -> None:
        commits = Commits()
        async with sqlite_site(tmp_path, FolderObjects(tmp_path / "o", IDS), commit=commits) as site:
            workspace = await site.workspaces.create(1, "main", BY)
            before = commits.count
            await save(workspace, {f"{number}/f": b"%d" % number for number in range(50)})
            assert commits.count - before == 1

    asyncio.run(body())


def test_a_commit_that_failed_left_the_head_where_it_was(tmp_path: Path) -> None:
    async def body() -> None:
        commits = Commits()
        async with sqlite_site(tmp_path, FolderObjects(tmp_path / "o", IDS), commit=commits) as site:
            workspace = await site.workspaces.create(1, "main", BY)
            for fault, problem in ((Fault.FULL, StorageFull), (Fault.FAILS_BEFORE, Internal)):
                commits.next(fault)
                with pytest.raises(problem):
                    await save(workspace, {"a": fault.name.encode()})
                assert workspace.head().number == 0
            commits.next(Fault.FAILS_AFTER)
            assert (await save(workspace, {"a": b"told wrong, done right"})).number == 1
            assert (await save(workspace, {"a": b"next"})).number == 2
            assert workspace.history() == [workspace.head(), workspace.version(1)]

    asyncio.run(body())


def test_two_processes_over_one_database_take_turns(tmp_path: Path) -> None:
    """Each with a head of its own in memory: the database takes one of two commits onto the same version,
    and the other one is merged anew."""

    async def body() -> None:
        objects = FolderObjects(tmp_path / "o", IDS)
        async with sqlite_site(tmp_path, objects) as site:
            other = Workspaces(site.rows, site.journal, objects, Ticks())
            one = await site.workspaces.create(1, "main", BY)
            two = await other.open(1, "main")
            assert (one.head().number, two.head().number) == (0, 0)
            ends = await asyncio.gather(
                *(
                    save(workspace, {f"{name}{number}": b"x"}, base=0)
                    for number in range(5)
                    for name, workspace in (("one", one), ("two", two))
                )
            )
            assert sorted({end.number for end in ends}) == list(range(1, 11))
            assert (
                len(
                    await contents(
                        await Workspaces(site.rows, site.journal, objects, Ticks()).open(1, "main")
                    )
                )
                == 10
            )

    asyncio.run(body())


def test_the_database_takes_no_second_history_and_no_gap(tmp_path: Path) -> None:
    async def body() -> None:
        async with sqlite_site(tmp_path, FolderObjects(tmp_path / "o", IDS)) as site:
            workspace = await site.workspaces.create(1, "main", BY)
            version = await save(workspace, {"a": b"1"})
            for number in (0, 1, 3, -1):
                made = Version(number, version.tree, 1, 1)
                with pytest.raises(Refusal):
                    await site.journal.write([add_version(1, workspace.no, made)])
            # Each waits for the one before, in the same group or not.
            both = [add_version(1, workspace.no, Version(number, version.tree, 1, 1)) for number in (2, 3)]
            await site.journal.write(both)
            assert site.rows.version(Scope(1), workspace.no, 3) is not None

    asyncio.run(body())


def test_rows_of_another_organisation_are_not_there(tmp_path: Path) -> None:
    async def body() -> None:
        async with sqlite_site(tmp_path, FolderObjects(tmp_path / "o", IDS)) as site:
            workspace = await site.workspaces.create(1, "main", BY)
            version = await save(workspace, {"a": b"1"}, run="run_1")
            rows, mine, theirs = site.rows, Scope(1, owner=7), Scope(2)
            assert rows.head(mine, workspace.no) == version
            assert rows.workspace(theirs, "main") is None
            assert rows.workspaces(theirs) == []
            assert rows.head(theirs, workspace.no) is None
            assert rows.version(theirs, workspace.no, 1) is None
            assert rows.versions(theirs, workspace.no) == []
            assert rows.versions_of(theirs, "run_1") == []
            assert rows.versions_of(SYSTEM, "run_1") == [(workspace.no, version)]
            assert rows.versions_of(mine, "") == []
            assert len(rows.workspaces(SYSTEM)) == 1
            with pytest.raises(Internal):
                rows.workspace(SYSTEM, "main")
            assert rows.workspace(mine, "\ud800") is None

    asyncio.run(body())
