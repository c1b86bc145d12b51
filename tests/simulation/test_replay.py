"""A parked run whose worker is gone goes on by replay: what is recorded is not done again, and code that
does something else stops at the first difference, which is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger import Ledger, settle, verify
from witness import Said, Witness
from world import World

from a2a_cloud.model.task import TaskState

CODE = """
import asyncio
from pathlib import Path

from a2a_cloud import Context, skill


async def look(trace, what, wait="", opens=""):
    with open(trace, "a") as file:
        file.write(what + "\\n")
    while wait and not Path(wait).exists():
        await asyncio.sleep(0.01)
    if opens:
        Path(opens).touch()
    return "saw " + what


@skill
async def survey(ctx: Context, trace: str) -> list[str]:
    turn = trace + ".turn"
    ctx.progress("look", 20, "looking")
    await ctx.text("Now. ")
    began = ctx.now()
    first, second = await asyncio.gather(
        ctx.step(look, trace, "first", turn, name="first"),
        ctx.step(look, trace, "second", "", turn, name="second"),
    )
    third = await ctx.step(look, trace, "third", name="third")
    ctx.log("all seen")
    await ctx.artifact("note.txt", "third: " + third)
    answer = await ctx.ask("Go on?")
    fourth = await ctx.step(look, trace, "fourth", name="fourth")
    await ctx.text("Done.")
    return [first, second, third, answer, fourth]


def see(trace, what):
    with open(trace, "a") as file:
        file.write(what + "\\n")
    return "saw " + what


@skill
def survey_sync(ctx: Context, trace: str) -> list[str]:
    ctx.progress("look", 20, "looking")
    ctx.text("Now. ")
    first = ctx.step(see, trace, "first", name="first")
    second = ctx.step(see, trace, "second", name="second")
    answer = ctx.ask("Go on?")
    ctx.text("Done.")
    return [first, second, answer]
"""

THIRD = '    third = await ctx.step(look, trace, "third", name="third")\n'
GATHER = CODE[CODE.index("    first, second = await asyncio.gather(") : CODE.index(THIRD)]

#: What is edited while the run is parked, and the difference that is named.
EDITS: dict[str, tuple[str, str, str]] = {
    "renamed step": (
        'name="third"',
        'name="other"',
        r"record has step 'third' at event \d+; the replay did step 'other'",
    ),
    "other arguments": (
        'trace, "third", name',
        'trace, "3rd", name',
        r"record has step 'third' at event \d+; the replay did step 'third' with other arguments",
    ),
    "missing step": (
        THIRD,
        '    third = "saw third"\n',
        r"record has step 'third' at event \d+; the replay ",
    ),
    "extra step": (
        "    answer = await",
        '    await ctx.step(look, trace, "extra", name="extra")\n    answer = await',
        r"record has ask at event \d+; the replay did step 'extra'",
    ),
    "changed order": (
        GATHER + THIRD,
        THIRD + GATHER,
        r"record has step 'first' at event \d+; the replay did step 'third'",
    ),
    "changed progress": (
        '"looking"',
        '"staring"',
        r"record has progress 'look' \(looking\) at event 1; the replay sent progress 'look' \(staring\)",
    ),
    "missing progress": (
        '    ctx.progress("look", 20, "looking")\n    await',
        "    await",
        r"record has progress 'look' \(looking\) at event 1; the replay ",
    ),
    "changed text": (
        'await ctx.text("Now. ")',
        'await ctx.text("Then. ")',
        r"the replay sent the text 'Then. '",
    ),
    "missing text": (
        '    await ctx.text("Now. ")\n',
        "",
        r"record goes on with the text 'Now. '; the replay ",
    ),
    "changed artifact": (
        '"third: "',
        '"three: "',
        r"record has artifact 'note.txt' at event \d+; the replay sent another artifact",
    ),
    "changed log": (
        '"all seen"',
        '"all known"',
        r"record has the log line 'all seen' at event \d+; the replay sent the log line 'all known'",
    ),
    "other question": (
        '"Go on?"',
        '"Go on now?"',
        r"record has ask at event \d+; the replay did ask with other arguments",
    ),
    "no clock": ("    began = ctx.now()\n", "", r"record has now at event \d+; the replay "),
    "early end": (
        "    answer = await",
        '    return ["early"]\n    answer = await',
        r"record has ask at event \d+; the replay ended \(ok\)",
    ),
    "failure": (
        "    answer = await",
        '    raise ValueError("no")\n    answer = await',
        r"record has ask at event \d+; the replay ended \(failed\)",
    ),
}
SYNC_EDITS: dict[str, tuple[str, str, str]] = {
    "renamed step": (
        '"second", name="second"',
        '"second", name="other"',
        r"record has step 'second' at event \d+; the replay did step 'other'",
    ),
    "changed text": ('    ctx.text("Now. ")', '    ctx.text("Then. ")', r"the replay sent the text 'Then. '"),
    "missing step": (
        '    second = ctx.step(see, trace, "second", name="second")\n',
        '    second = "saw second"\n',
        r"record has step 'second' at event \d+; the replay did ask",
    ),
}


@pytest.fixture(scope="module")
def surveyor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """A client of a platform with the agent `surveyor`, in this process's stead."""
    home = tmp_path_factory.mktemp("replay")
    folder = home / "surveyor"
    folder.mkdir()
    (folder / "a2a.toml").write_text('name = "surveyor"\ndescription = "Looks, asks, looks again"\n')
    (folder / "agent.py").write_text(CODE)
    world = World(home, (folder,))
    world.start()
    yield Witness(world, agent="surveyor")
    world.close()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def ask(client: Witness, skill: str, trace: Path) -> str:
    """Call, and return the task once its question is open."""
    said = client.skill(f"ask-{trace}", skill, trace=str(trace))
    assert said.json["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", said.body
    return said.json["task"]["id"]


def answer(client: Witness, task: str) -> Said:
    return client.send(f"answer-{task}", "yes", task=task)


def edit(world: World, old: str, new: str) -> None:
    """Change the release's stored code."""
    (stored,) = (world.data / "releases").glob("*/agent.py")
    text = CODE.replace(old, new)
    assert (text == CODE) == (old == new)
    stored.chmod(0o644)
    stored.write_text(text)


def value(said: Said) -> Any:
    artifacts = said.json["task"]["artifacts"]
    return next(
        part["data"] for artifact in reversed(artifacts) for part in artifact["parts"] if "data" in part
    )


def test_each_step_runs_once_after_a_kill(surveyor: Witness, trace: Path) -> None:
    world = surveyor.world
    task = ask(surveyor, "survey", trace)
    other = ask(surveyor, "survey_sync", trace.with_name("sync"))
    surveyor.follow(task)
    world.restart()
    settle(world).check()
    said = answer(surveyor, task)
    assert value(said) == ["saw first", "saw second", "saw third", "yes", "saw fourth"], said.body
    assert sorted(trace.read_text().split()) == ["first", "fourth", "second", "third"]
    assert value(answer(surveyor, other)) == ["saw first", "saw second", "yes"]
    assert trace.with_name("sync").read_text().split() == ["first", "second"]
    ledger = settle(world)
    ledger.check()
    ledger.shows(surveyor)
    verify(world, surveyor, ledger, set())


def test_it_goes_on_by_replay_again_and_again(surveyor: Witness, trace: Path) -> None:
    """The worker dies while parked, and the platform right after: the answer finds its run."""
    world = surveyor.world
    task = ask(surveyor, "survey", trace)
    world.kill_worker()
    world.restart()
    world.kill_worker()
    assert value(answer(surveyor, task))[3] == "yes"
    assert sorted(trace.read_text().split()) == ["first", "fourth", "second", "third"]


@pytest.mark.parametrize("name", EDITS)
def test_edited_code_stops_at_the_first_difference(surveyor: Witness, trace: Path, name: str) -> None:
    old, new, named = EDITS[name]
    differs(surveyor, "survey", trace, old, new, named)


@pytest.mark.parametrize("name", SYNC_EDITS)
def test_edited_sync_code_stops_at_the_first_difference(surveyor: Witness, trace: Path, name: str) -> None:
    old, new, named = SYNC_EDITS[name]
    differs(surveyor, "survey_sync", trace, old, new, named)


def differs(client: Witness, skill: str, trace: Path, old: str, new: str, named: str) -> None:
    world = client.world
    task = ask(client, skill, trace)
    done = trace.read_text()
    before = next(run for run in Ledger(world.data).runs if run.task_id == task)
    try:
        edit(world, old, new)
        world.kill_worker()
        said = answer(client, task)
        assert said.json["task"]["status"]["state"] == "TASK_STATE_FAILED", said.body
    finally:
        edit(world, "", "")
        world.kill_worker()
    ledger = settle(world)
    ledger.check()
    run = ledger.by_id[before.id]
    assert run.problem == "replay_differs"
    assert run.dead
    last: Any = run.events[-1][1]
    assert re.search(named, last.problem_detail), last.problem_detail
    # Nothing of it took effect: the answer, its end, the run's end, and no step that was not there.
    assert len(run.events) == len(before.events) + 4, run.events[len(before.events) :]
    assert trace.read_text() == done
    assert run.state is TaskState.FAILED


def test_code_that_is_the_same_where_it_counts_goes_on(surveyor: Witness, trace: Path) -> None:
    """What comes after the question may be changed."""
    task = ask(surveyor, "survey", trace)
    try:
        edit(surveyor.world, '"Done."', '"Done, and better."')
        surveyor.world.kill_worker()
        assert value(answer(surveyor, task))[3] == "yes"
    finally:
        edit(surveyor.world, "", "")
        surveyor.world.kill_worker()
