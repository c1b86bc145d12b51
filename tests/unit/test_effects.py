"""The record of effects: a replay of the same code finds all of it, in whatever order branches come, and
gets its results in the recorded order; other code stands still at the first difference."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from a2a_cloud.model.run import (
    ArtifactEvent,
    AttemptEvent,
    EffectEnded,
    EffectStarted,
    LogEvent,
    ProgressEvent,
    RunEvent,
    StatusEvent,
    TextEvent,
    UsageEvent,
)
from a2a_cloud.model.task import Artifact, Part, TaskState
from a2a_cloud.runtime.effects import Record, args_hash, output_key
from a2a_cloud.wire.worker import Effect, Progress

Op = tuple[str, str]
#: Branches that run side by side, each a list of ("step" | "progress" | "text", what). Only the first
#: branch puts out text: text has one order.
Program = list[list[Op]]

OPS = st.tuples(st.sampled_from(["step", "step", "progress", "text"]), st.sampled_from("abc"))
PROGRAMS = st.lists(st.lists(OPS, min_size=1, max_size=6), min_size=1, max_size=4).map(
    lambda branches: [
        [(kind if kind != "text" or n == 0 else "progress", f"{what}{n}") for kind, what in branch]
        for n, branch in enumerate(branches)
    ]
)


@dataclass
class First:
    """A first run of a program: which events it leaves, with branches and completions in a drawn order."""

    program: Program
    draw: random.Random
    events: list[tuple[int, RunEvent]] = field(default_factory=list[tuple[int, RunEvent]])
    #: (branch, result) in the order in which the code met its results.
    met: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def run(self) -> First:
        at = [0] * len(self.program)
        waiting: dict[int, tuple[int, str]] = {}
        counts: dict[str, int] = {}
        while True:
            able = [n for n, branch in enumerate(self.program) if at[n] < len(branch) and n not in waiting]
            if not able and not waiting:
                return self
            if waiting and (not able or self.draw.random() < 0.4):
                n = self.draw.choice(sorted(waiting))
                seq, what = waiting.pop(n)
                value = f"{what}@{seq}"
                self._add(EffectEnded(effect=seq, value=msgspec.Raw(msgspec.json.encode(value))))
                self.met.append((n, value))
                continue
            n = self.draw.choice(able)
            kind, what = self.program[n][at[n]]
            at[n] += 1
            if kind == "step":
                occurrence = counts.get(what, 0)
                counts[what] = occurrence + 1
                started = EffectStarted(kind="step", name=what, args=args_hash(b""), occurrence=occurrence)
                waiting[n] = (self._add(started), what)
            elif kind == "progress":
                self._add(ProgressEvent(stage=what))
            else:
                self._add(TextEvent(delta=what))

    def _add(self, event: RunEvent) -> int:
        self.events.append((len(self.events) + 1, event))
        return len(self.events)


@dataclass
class Again:
    """A replay of a program against a record, as `runtime.frames` drives it."""

    program: Program
    record: Record
    draw: random.Random
    met: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    new: list[Op] = field(default_factory=list[Op])
    wrong: str = ""

    def run(self) -> Again:
        at = [0] * len(self.program)
        branch_of: dict[int, int] = {}
        blocked: set[int] = set()
        n = 0
        while self.record.replaying and not self.wrong:
            able = [b for b, branch in enumerate(self.program) if at[b] < len(branch) and b not in blocked]
            if not able:
                return self
            b = self.draw.choice(able)
            kind, what = self.program[b][at[b]]
            at[b] += 1
            if kind == "step":
                n += 1
                branch_of[n] = b
                blocked.add(b)
                frame = Effect(1, n, "step", what, b"")
                if self.record.match(frame) is None:
                    self.record.held.append(frame)
            elif kind == "progress":
                if not self.record.match_output(ProgressEvent(stage=what)):
                    self.record.held.append(Progress(1, what, -1.0, ""))
            else:
                rest = self.record.match_text(what)
                if rest is None:
                    self.wrong = f"sent the text {what!r}"
            for number, end in self.record.releases():
                self.met.append((branch_of[number], msgspec.json.decode(end.value)))
                blocked.discard(branch_of[number])
        return self


@given(PROGRAMS, st.randoms(use_true_random=False), st.integers(0, 60))
def test_the_same_code_finds_all_of_its_record(program: Program, draw: random.Random, cut: int) -> None:
    first = First(program, draw).run()
    stored = first.events[:cut]
    record = Record.replay(stored)
    again = Again(program, record, draw).run()
    assert not again.wrong
    assert not record.replaying
    assert again.met == first.met[: len(again.met)]
    assert len(again.met) == sum(isinstance(event, EffectEnded) for _, event in stored)
    # What began and did not end waits for somebody to end it.
    ended = {event.effect for _, event in stored if isinstance(event, EffectEnded)}
    assert set(record.n_of) == {seq for seq, event in stored if isinstance(event, EffectStarted)} - ended


@given(PROGRAMS, st.randoms(use_true_random=False), st.data())
def test_other_code_never_gets_past_the_difference(
    program: Program, draw: random.Random, data: st.DataObject
) -> None:
    first = First(program, draw).run()
    branch = data.draw(st.integers(0, len(program) - 1))
    place = data.draw(st.integers(0, len(program[branch]) - 1))
    change = data.draw(st.sampled_from(["rename", "drop", "add"]))
    edited = [list(ops) for ops in program]
    kind, what = edited[branch][place]
    if change == "rename":
        edited[branch][place] = (kind, f"other {what}")
    elif change == "drop":
        del edited[branch][place]
    else:
        edited[branch].insert(place, ("step", "added"))
    assume(change != "drop" or kind == "step" or len(program[branch]) > 1)
    record = Record.replay(first.events)
    again = Again(edited, record, draw).run()
    assert record.replaying or again.wrong
    # It met nothing that the record has after the first thing that is missing now.
    assert again.met == first.met[: len(again.met)]
    did = again.wrong or record.stuck() or "ended (ok)"
    sentence = record.difference(did)
    assert sentence.endswith(f"; the replay {did}.")


def test_only_the_last_attempt_counts() -> None:
    events: list[tuple[int, RunEvent]] = [
        (1, EffectStarted(kind="step", name="void", args=args_hash(b""))),
        (2, TextEvent(delta="void")),
        (3, AttemptEvent(attempt=2, why="")),
        (4, EffectStarted(kind="now", name="", args=b"", input=msgspec.Raw(b"7.5"))),
        (5, StatusEvent(state=TaskState.WORKING, at=0.0)),
        (6, TextEvent(delta="kept")),
    ]
    record = Record.replay(events)
    assert record.now == [7.5]
    assert not record.started
    assert record.match(Effect(1, 1, "step", "void", b"")) is None
    assert record.match_now()
    assert not record.match_now()
    assert record.match_text("kept and more") == " and more"
    assert not record.replaying


def test_text_is_compared_by_position_in_whatever_pieces() -> None:
    record = Record.replay([(1, TextEvent(delta="one ")), (2, TextEvent(delta="two"))])
    assert record.match_text("o") == ""
    assert record.match_text("ne t") == ""
    assert record.match_text("wx") is None
    assert (
        record.difference("did nothing") == "The record goes on with the text 'wo'; the replay did nothing."
    )


def test_outputs_are_known_by_what_they_say_and_not_by_when() -> None:
    artifact = Artifact(artifact_id="a", parts=[Part(text="x")])
    pairs = [
        (
            ProgressEvent(stage="s", at=1.0),
            ProgressEvent(stage="s", at=2.0),
            ProgressEvent(stage="s", percent=3),
        ),
        (
            LogEvent(level="info", line="l", at=1.0),
            LogEvent(level="info", line="l"),
            LogEvent(level="error", line="l"),
        ),
        (UsageEvent(meter="m", qty="1"), UsageEvent(meter="m", qty="1"), UsageEvent(meter="m", qty="2")),
        (
            ArtifactEvent(artifact=artifact),
            ArtifactEvent(artifact=artifact),
            ArtifactEvent(artifact=artifact, last=False),
        ),
    ]
    for one, same, other in pairs:
        assert output_key(one) == output_key(same) != output_key(other)


def test_a_long_record_costs_little_to_match() -> None:
    """20,000 steps in turn: what is still to come must not be looked through at each."""
    count = 20_000
    events: list[tuple[int, RunEvent]] = []
    for n in range(count):
        events.append((2 * n + 1, EffectStarted(kind="step", name=f"s{n}", args=args_hash(b""))))
        events.append((2 * n + 2, EffectEnded(effect=2 * n + 1)))
    record = Record.replay(events)
    looks = 0

    class Counted(deque[int]):
        def __getitem__(self, at):  # type: ignore[no-untyped-def]
            nonlocal looks
            looks += 1
            return super().__getitem__(at)

    record._order = Counted(record._order)
    for n in range(count):
        assert record.match(Effect(1, n, "step", f"s{n}", b"")) is not None
        assert len(list(record.releases())) == 1
    assert not record.replaying
    assert looks < 10 * count
