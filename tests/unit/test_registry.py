"""Releases: numbered once, the same while their content is, kept for good; and what an agent may declare."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from a2a_cloud.control.deploys.pipeline import Deploys, Wish
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.control.registry.skills import MAX_BYTES, check_skills
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import (
    AgentNotFound,
    BreakingChange,
    InvalidParams,
    Problem,
    ReleaseNotFound,
    StartFailed,
    Unavailable,
    VersionEnded,
)
from a2a_cloud.model.release import Manifest, Release
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.ops.system import SystemClock, SystemEntropy
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.testing.commits import Commits, Fault

SPEC: dict[str, Any] = {
    "id": "echo",
    "name": "Echo",
    "description": "Says it again.",
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
    "output_schema": {"type": "string"},
}
SKILLS = json.dumps([SPEC]).encode()


class Environment(NamedTuple):
    """What the stand-in for the builder gives: nothing is installed."""

    digest: str
    lock: bytes = b""
    python: Path = Path("python")
    lock_digest: str = "sha256:none"
    packages: tuple[object, ...] = ()


class Site:
    """A data folder with a registry and deploys; `drafts` are the releases whose skills were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commits = Commits()
        self.drafts: list[Release] = []
        self.answer: bytes | Exception = SKILLS
        self.kit = "sha256:kit"
        self.open()

    def open(self, data: str = "data") -> None:
        data_folder = self.folder / data
        (data_folder / "staging").mkdir(exist_ok=True, parents=True)
        path = data_folder / "journal.db"
        self.clock = SystemClock()
        entropy = SystemEntropy()
        self.store = data_folder / "releases"
        self.journal = SqliteJournal(path, commit=self.commits)
        self.reader = SqliteReader(path)
        self.identity = Identity(self.reader, self.journal, self.clock, entropy)
        names = {1: "default", 2: "acme"}
        self.registry = Registry(
            self.reader, self.journal, self.clock, entropy, self.store, names.__getitem__
        )
        self.deploys = Deploys(self.registry, self, self, self.clock, data_folder / "staging")

    async def close(self) -> None:
        await self.deploys.close()
        await self.journal.close()
        self.reader.close()

    async def restart(self, data: str = "data") -> None:
        await self.close()
        self.open(data)
        await self.deploys.recover()

    def agent(self, name: str, code: str = "pass", **keys: str) -> Path:
        """A folder of an agent."""
        folder = self.folder / "agents" / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f'name = "{name}"', *(f'{key} = "{value}"' for key, value in keys.items())]
        (folder / "a2a.toml").write_text("\n".join(lines) + "\n")
        (folder / "agent.py").write_text(code + "\n")
        return folder

    # The ports of a deploy: environments and workers.

    async def prepare(
        self, source: Path, say: Callable[[str], None], *, org_no: int = 0, upgrade: bool = False
    ) -> Environment:
        return Environment(self.kit)

    def find(self, digest: str) -> Environment | None:
        return Environment(digest) if digest else None

    async def remove(self, digest: str) -> None:
        raise AssertionError("nothing is removed here")

    async def start(self, draft: Release) -> tuple[bytes, bool]:
        self.drafts.append(draft)
        await asyncio.sleep(0.001)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, False

    def adopt(self, release: Release) -> None:
        pass

    async def drop(self, no: int) -> None:
        pass

    def say(self, draft: Release, level: str, line: str) -> None:
        pass

    async def lines(self, draft: Release) -> list[str]:
        return ["the last line"]

    async def register(
        self, folder: Path, org_no: int = 1, org: str = "default", **wish: bool
    ) -> tuple[Release, bool]:
        before = {one.no for one in self.drafts}
        record = await self.deploys.folder(folder, org_no, org, Wish("ann@default", **wish))
        return record.release, record.release.no not in before


def site(folder: Path, body: Callable[[Site], Awaitable[None]]) -> None:
    async def go() -> None:
        site = Site(folder)
        try:
            await body(site)
        finally:
            await site.close()

    asyncio.run(go())


# --- releases -----------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_release(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, new = await site.register(site.agent("echo", "one"))
        again, new_again = await site.register(site.agent("echo", "one"))
        assert (new, new_again) == (True, False)
        assert again is first
        second, _ = await site.register(site.agent("echo", "two"))
        assert (first.number, second.number) == (1, 2)
        assert first.digest != second.digest
        assert site.registry.serving("echo") is second
        # Back to the first: it serves again, and is read by no worker.
        back, new = await site.register(site.agent("echo", "one"))
        assert (back, new) == (first, False)
        assert site.registry.serving("echo") is first
        assert len(site.drafts) == 2
        assert site.registry.by_no(second.no) is second
        await site.restart()
        assert site.registry.serving("echo") == first
        assert site.registry.by_no(second.no) == second
        third, _ = await site.register(site.agent("echo", "three"))
        assert (third.number, third.no) == (3, second.no + 1)

    site(tmp_path, body)


def test_one_name_in_two_organisations_is_two_agents(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        folder = site.agent("echo")
        here, _ = await site.register(folder)
        there, _ = await site.register(folder, 2, "acme")
        assert here.digest == there.digest
        assert here.agent_no != there.agent_no
        assert (here.number, there.number) == (1, 1)
        assert site.registry.serving("echo") is here is site.registry.find("default", "echo")
        assert site.registry.serving("acme.echo") is there is site.registry.find("acme", "echo")
        assert site.registry.everything() == [there, here]  # By organisation and name.
        with pytest.raises(AgentNotFound):
            site.registry.find("other", "echo")

    site(tmp_path, body)


@pytest.mark.parametrize("name", ["", "nobody", "default.nobody", "other.echo", "echo.default", "x" * 1000])
def test_names_that_nothing_serves(tmp_path: Path, name: str) -> None:
    async def body(site: Site) -> None:
        await site.register(site.agent("echo"))
        with pytest.raises(AgentNotFound) as problem:
            site.registry.serving(name)
        assert len(problem.value.detail) < 200

    site(tmp_path, body)


def test_who_sees_which_agents(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        for name, visibility in (("open", "public"), ("closed", "org")):
            await site.register(site.agent(name, visibility=visibility))
            await site.register(site.agent(name, visibility=visibility), 2, "acme")

        def seen(principal: Principal) -> list[str]:
            return [f"{one.org}.{one.name}" for one in site.registry.agents(principal)]

        assert seen(ANONYMOUS) == ["acme.open", "default.open"]
        assert seen(Principal(1, 1, "bob", "default")) == ["acme.open", "default.closed", "default.open"]
        assert seen(Principal(2, 2, "ann", "acme")) == ["acme.closed", "acme.open", "default.open"]

    site(tmp_path, body)


def test_many_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        folders = [site.agent(f"agent{number}") for number in range(8)]
        found = await asyncio.gather(
            *(site.register(folder) for folder in folders), *(site.register(folder) for folder in folders)
        )
        assert len(site.drafts) == 8
        releases = [release for release, _ in found[:8]]
        assert len({one.no for one in releases}) == len({one.agent_no for one in releases}) == 8
        assert [release for release, _ in found[8:]] == releases
        await site.restart()
        assert sorted(one.no for one in site.registry.everything()) == sorted(one.no for one in releases)

    site(tmp_path, body)


def test_a_caller_that_hangs_up_leaves_memory_and_database_alike(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        folder = site.agent("echo")
        for _ in range(4):  # At each of its steps.
            task = asyncio.create_task(site.register(folder))
            for _ in range(3):
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        release, _ = await site.register(folder)
        assert (release.number, len(site.drafts)) == (1, 1)

    site(tmp_path, body)


# --- pointers -----------------------------------------------------------------------------------------


def test_a_rollback_moves_a_pointer_and_a_share_splits_new_calls(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, _ = await site.register(site.agent("echo", "one"))
        second, _ = await site.register(site.agent("echo", "two"))
        third, _ = await site.register(site.agent("echo", "three"), promote=False)
        registry = site.registry
        agent = registry.agent("echo", 1)
        assert registry.serving("echo") is second
        assert registry.serving("3--echo") is third
        await registry.serve(registry.before(agent))
        assert registry.serving("echo") is first
        with pytest.raises(ReleaseNotFound):
            registry.before(agent)
        await registry.share(agent, third, 30)
        taken = [registry.serving("echo").number for _ in range(2000)]
        assert set(taken) == {1, 3}
        assert 450 < taken.count(3) < 750
        assert set(agent.pointed()) == {first.no, third.no}
        await site.restart()
        agent = site.registry.agent("echo", 1)
        assert (agent.serving, agent.canary, agent.weight) == (first, third, 30)
        await site.registry.share(agent, None, 0)
        assert {site.registry.serving("echo").number for _ in range(50)} == {1}

    site(tmp_path, body)


def test_a_major_version_is_pinned_deprecated_and_ends(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        one, _ = await site.register(site.agent("echo", "one", version="1.2.0"))
        two, _ = await site.register(site.agent("echo", "two", version="2.0.0"))
        registry = site.registry
        agent = registry.agent("echo", 1)
        assert registry.serving("echo@1") is one
        assert registry.serving("default.echo@2") is registry.serving("echo") is two
        with pytest.raises(ReleaseNotFound, match="no version 3"):
            registry.serving("echo@3")
        now = site.clock.now()
        await registry.deprecate(agent, 1, now + 1000)
        assert registry.serving("echo@1") is one
        assert registry.notices[agent.no, 1][1] == now + 1000
        await site.restart()
        registry = site.registry
        assert registry.notices[agent.no, 1][1] == now + 1000
        await registry.deprecate(registry.agent("echo", 1), 1, now - 1)
        with pytest.raises(VersionEnded):
            registry.serving("echo@1")
        await registry.deprecate(registry.agent("echo", 1), 1, None)
        assert registry.serving("echo@1") == one
        assert registry.notices == {}

    site(tmp_path, body)


def test_a_change_that_breaks_callers_needs_a_major_version_or_force(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, _ = await site.register(site.agent("echo", "one", version="1.0.0"))
        schema = {"type": "object", "properties": {}, "additionalProperties": False}
        site.answer = json.dumps([{**SPEC, "input_schema": schema}]).encode()
        with pytest.raises(BreakingChange, match="text"):
            await site.register(site.agent("echo", "two", version="1.1.0"))
        assert site.registry.serving("echo") is first
        forced, _ = await site.register(site.agent("echo", "two", version="1.1.0"), force=True)
        assert site.registry.serving("echo") is forced
        site.answer = SKILLS
        wider, _ = await site.register(site.agent("echo", "three", version="1.2.0"))
        assert site.registry.serving("echo") is wider
        site.answer = json.dumps([{**SPEC, "input_schema": schema}]).encode()
        major, _ = await site.register(site.agent("echo", "four", version="2.0.0"))
        assert site.registry.serving("echo") is major

    site(tmp_path, body)


def test_a_deleted_agent_comes_back_or_goes_for_good(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        release, _ = await site.register(site.agent("echo", "one"))
        registry = site.registry
        agent = registry.agent("echo", 1)
        await registry.delete(agent, 1000)
        for name in ("echo", "default.echo", "echo@0", "1--echo"):
            with pytest.raises(AgentNotFound):
                registry.serving(name)
        assert registry.pointed() == []
        await site.restart()
        registry = site.registry
        agent = registry.agent("echo", 1)
        with pytest.raises(Problem, match="deleted"):
            await site.register(site.agent("echo", "two"))
        await registry.restore(agent)
        assert registry.serving("echo") == release
        await registry.delete(agent, 0)
        assert await registry.purge() == [site.kit]
        assert not os.path.exists(release.folder)  # noqa: ASYNC240
        fresh, _ = await site.register(site.agent("echo", "two"))
        assert (fresh.number, fresh.agent_no != release.agent_no) == (1, True)
        await site.restart()
        assert site.registry.serving("echo") == fresh
        assert site.registry.by_no(release.no) is not None  # Its runs and receipts still name it.

    site(tmp_path, body)


# --- what fails ---------------------------------------------------------------------------------------


def test_a_number_is_never_given_twice_whatever_fails(tmp_path: Path) -> None:
    """What failed is on record under its number, with the cause, and stays so after a restart."""

    async def body(site: Site) -> None:
        folder = site.agent("first")
        site.answer = StartFailed("It can't be loaded.", remedy="Mend it.")
        with pytest.raises(StartFailed, match="the last line"):
            await site.register(folder)
        site.answer = b"[]"
        with pytest.raises(InvalidParams, match="no skill"):
            await site.register(folder)
        site.answer = SKILLS
        site.commits.next(Fault.FULL)
        with pytest.raises(Problem):
            await site.register(folder)
        assert site.registry.everything() == []
        late, _ = await site.register(folder)
        other, _ = await site.register(site.agent("second"))
        assert (late.number, other.number) == (3, 1)
        assert len({draft.no for draft in site.drafts}) == len(site.drafts)
        await site.restart()
        records = site.registry.agent("first", 1).records
        assert [records[number].state for number in sorted(records)] == ["failed", "failed", "ready"]
        cause = records[1].notes.cause
        assert cause is not None
        assert (cause.code, cause.step, cause.lines) == ("start_failed", "start", ["the last line"])
        assert {one.name: one.number for one in site.registry.everything()} == {"first": 3, "second": 1}

    site(tmp_path, body)


def test_a_deploy_that_was_cut_short_has_failed(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, _ = await site.register(site.agent("echo", "one"))
        begun = asyncio.Event()
        start = site.start

        async def slow(draft: Release) -> tuple[bytes, bool]:
            begun.set()
            await asyncio.sleep(60)
            return await start(draft)

        site.start = slow  # type: ignore[method-assign]
        task = asyncio.create_task(site.register(site.agent("echo", "two")))
        await begun.wait()
        task.cancel()
        await site.restart()
        record = site.registry.agent("echo", 1).records[2]
        assert record.state == "failed"
        assert record.notes.cause is not None
        assert "stopped in the middle" in record.notes.cause.detail
        assert site.registry.serving("echo") == first

    site(tmp_path, body)


def test_an_agent_keeps_its_number_though_its_code_does_not_start(tmp_path: Path) -> None:
    """What the code prints is logged under that number: nobody else may get it, also after a restart."""

    async def body(site: Site) -> None:
        folder = site.agent("broken")
        for _ in range(2):
            site.answer = InvalidParams("It can't be loaded.")
            with pytest.raises(InvalidParams):
                await site.register(folder)
            await site.restart()
            with pytest.raises(ReleaseNotFound):
                site.registry.serving("broken")
        site.answer = SKILLS
        other, _ = await site.register(site.agent("other"))
        mended, _ = await site.register(site.agent("broken", "mended"))
        assert {draft.agent_no for draft in site.drafts if draft.name == "broken"} == {mended.agent_no}
        assert other.agent_no != mended.agent_no

    site(tmp_path, body)


def test_the_pointer_moves_only_when_that_is_stored(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, _ = await site.register(site.agent("echo", "one"))
        second, _ = await site.register(site.agent("echo", "two"))
        site.commits.next(Fault.FULL)
        with pytest.raises(Problem):
            await site.register(site.agent("echo", "one"))
        assert site.registry.serving("echo") is second
        site.commits.next(Fault.FAILS_AFTER)
        await site.register(site.agent("echo", "one"))
        await site.restart()
        assert site.registry.serving("echo") == first

    site(tmp_path, body)


def test_a_copy_that_was_lost_is_put_back(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, _ = await site.register(site.agent("echo", "one"))
        await site.register(site.agent("echo", "two"))
        shutil.rmtree(first.folder)
        back, new = await site.register(site.agent("echo", "one"))
        assert (back, new) == (first, False)
        assert (Path(back.folder) / "agent.py").read_text() == "one\n"
        assert site.registry.serving("echo") is first

    site(tmp_path, body)


def test_a_data_folder_that_moved_takes_its_releases_along(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        first, _ = await site.register(site.agent("echo", "one"))
        await site.close()
        (tmp_path / "data").rename(tmp_path / "moved")
        site.open("moved")
        moved = site.registry.serving("echo")
        assert moved.folder == str(tmp_path / "moved" / "releases" / Path(first.folder).name)
        assert (Path(moved.folder) / "agent.py").read_text() == "one\n"

    site(tmp_path, body)


def test_a_folder_that_changes_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from a2a_cloud.control.deploys import intake

    async def body(site: Site) -> None:
        folder = site.agent("echo", "one")
        digest_folder = intake.digest_folder

        def changing(path: Path) -> tuple[str, list[str]]:
            found = digest_folder(path)
            (path / "agent.py").write_text("changed\n")  # Between the digest and the copy.
            return found

        monkeypatch.setattr(intake, "digest_folder", changing)
        with pytest.raises(Unavailable, match="changed while it was read"):
            await site.register(folder)
        monkeypatch.setattr(intake, "digest_folder", digest_folder)
        assert (
            not site.store.exists() or list(site.store.iterdir()) == []
        )  # Nothing lies under another's digest.
        assert site.registry.everything() == []
        release, _ = await site.register(site.agent("echo", "one"))
        assert (Path(release.folder) / "agent.py").read_text() == "one\n"

    site(tmp_path, body)


def test_a_copy_with_another_content_than_its_name_says_is_made_anew(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        site.answer = InvalidParams("It can't be loaded.")
        with pytest.raises(InvalidParams):
            await site.register(site.agent("echo", "one"))
        (copy,) = site.store.iterdir()
        shutil.rmtree(copy)
        shutil.copytree(site.agent("echo", "two"), copy)
        site.answer = SKILLS
        release, _ = await site.register(site.agent("echo", "one"))
        assert release.folder == str(copy)
        assert (copy / "agent.py").read_text() == "one\n"

    site(tmp_path, body)


def test_nothing_is_stored_for_a_folder_that_is_no_agent(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        (tmp_path / "empty").mkdir()
        for folder in (tmp_path / "empty", tmp_path / "nowhere"):
            with pytest.raises(InvalidParams):
                await site.register(folder)
        assert site.reader.agents(SYSTEM) == []
        assert site.drafts == []

    site(tmp_path, body)


# --- what code may declare ----------------------------------------------------------------------------

MANIFEST = Manifest(name="agent", entry="agent.py")


def declared(*specs: dict[str, Any], manifest: Manifest = MANIFEST, handler: bool = False) -> Any:
    return check_skills(manifest, json.dumps(specs).encode(), handler)


def test_what_the_kit_declares_is_taken() -> None:
    full = {
        **SPEC,
        "id": "Review.v2-final_1",
        "tags": ["law"],
        "examples": ["Review this contract."],
        "input_modes": ["text/plain", "application/vnd.api+json", "image/*", "*/*"],
        "output_modes": ["application/json"],
        "files": [{"name": "contract", "media_types": ["text/*"]}, {"name": "größe"}],
        "text_param": "text",
        "timeout": 30,
        "retries": 3,
        "concurrency": 8,
        "added_by_a_later_kit": True,
    }
    one, two = declared(SPEC, full)
    assert (one.id, two.id) == ("echo", "Review.v2-final_1")
    assert declared(handler=True) == ()
    assert declared(SPEC, manifest=Manifest(name="a", entry="a.py", default_skill="echo"))[0].id == "echo"


@pytest.mark.parametrize(
    "skill_id",
    [
        "",
        " ",
        "a b",
        "a/b",
        "../a",
        ".",
        "..",
        "-a",
        "_a",
        "1a",
        "a?x=1",
        "a#b",
        "a%2f",
        "é",
        "a\n",
        "a\0",
        "x" * 64,
    ],
)
def test_ids_stand_in_addresses(skill_id: str) -> None:
    with pytest.raises(InvalidParams) as problem:
        declared({**SPEC, "id": skill_id})
    assert "letters, digits" in problem.value.remedy


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


HOSTILE: dict[str, dict[str, Any]] = {
    "remote schema": {
        "input_schema": {"type": "object", "properties": {"x": {"$ref": "https://example.com/s"}}}
    },
    "schema in a file": {"output_schema": {"$ref": "file:///etc/passwd"}},
    "remote dialect": {"output_schema": {"$schema": "https://example.com/dialect", "type": "string"}},
    "dangling reference": {"output_schema": {"$ref": "#/$defs/nothing"}},
    "no schema": {"output_schema": {"type": "strnig"}},
    "schema of another type": {"output_schema": [1]},
    "pattern that can't be compiled": {"output_schema": {"type": "string", "pattern": "("}},
    "input that is no object": {"input_schema": {"type": "string"}},
    "input that is anything": {"input_schema": True},
    "properties that are none": {"input_schema": {"type": "object", "properties": []}},
    "depth": {"input_schema": nested(100)},
    "text of no parameter": {"text_param": "nothing"},
    "file like a parameter": {"files": [{"name": "text"}]},
    "file twice": {"files": [{"name": "a"}, {"name": "a"}]},
    "file of a bad name": {"files": [{"name": "a b"}]},
    "file of a bad kind": {"files": [{"name": "a", "media_types": ["text/plain\r\nX-Evil: 1"]}]},
    "many files": {"files": [{"name": f"f{number}"} for number in range(101)]},
    "mode that is none": {"input_modes": ["text"]},
    "mode with a header in it": {"output_modes": ["text/plain\r\nX-Evil: 1"]},
    "no name": {"name": ""},
    "long name": {"name": "x" * 201},
    "name that paints the terminal": {"name": "\x1b[2J"},
    "long description": {"description": "x" * 20_001},
    "many tags": {"tags": ["x"] * 101},
    "empty example": {"examples": [""]},
    "negative timeout": {"timeout": -1},
    "endless timeout": {"timeout": 1e300},
    "many retries": {"retries": 10**6},
    "negative retries": {"retries": -1},
    "negative concurrency": {"concurrency": -1},
    "number as text": {"retries": "3"},
    "list as text": {"id": ["echo"]},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_declarations_are_refused(case: str) -> None:
    with pytest.raises(InvalidParams) as problem:
        declared(SPEC, {**SPEC, "id": "other", **HOSTILE[case]})
    assert len(problem.value.detail) < 1000
    assert problem.value.detail.isprintable()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b"[1]",
        b"[{}]",
        b"[" * 100_000,
        b'[{"id":"a"}]',
        SKILLS[:-1],
        SKILLS.replace(b"Says", b"S\xffys"),
        SKILLS.replace(b"string", b"str\xffing"),
        b'["' + b"x" * MAX_BYTES + b'"]',
    ],
    ids=range(11),
)
def test_what_is_no_list_of_skills(raw: bytes) -> None:
    with pytest.raises(InvalidParams):
        check_skills(MANIFEST, raw, False)


def test_lists_that_do_not_add_up() -> None:
    with pytest.raises(InvalidParams, match="no skill"):
        declared()
    with pytest.raises(InvalidParams, match="twice"):
        declared(SPEC, SPEC)
    with pytest.raises(InvalidParams, match="more than 500"):
        declared(*({**SPEC, "id": f"s{number}"} for number in range(501)))
    with pytest.raises(InvalidParams, match="none of its skills") as problem:
        declared(SPEC, manifest=Manifest(name="a", entry="a.py", default_skill="other"))
    assert "echo" in problem.value.remedy
