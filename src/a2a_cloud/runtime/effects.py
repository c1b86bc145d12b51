"""The record of a run's effects, and how a replay finds its own in it.

An effect's key is (kind, name, hash of arguments, occurrence), so that parallel branches find
theirs in whatever order they come. Starts and completions are both recorded; a replay releases
results in the recorded order of completion, each only after everything that was recorded before it
has come again: the code then meets its results in the order in which it met them first, and stops
before the first result that it would have got after a difference. Outputs (progress, artifacts,
logs, usage, clock reads) are matched and not emitted again; text is compared by position. What a
replay does that the record does not know is held while anything recorded is still unmatched: if
nothing moves for a while, or the run ends, that is the difference.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

from a2a_cloud.model.run import (
    ArtifactEvent,
    AttemptEvent,
    EffectEnded,
    EffectStarted,
    LogEvent,
    ProgressEvent,
    RunEvent,
    TextEvent,
    UsageEvent,
    encode_event,
)
from a2a_cloud.wire.worker import Answer, Effect, Log, Progress, ToRuntime, Trouble

Key = tuple[str, str, bytes]

#: A seq beyond every event's.
_NEVER = 1 << 62


def args_hash(args: bytes) -> bytes:
    """What stands for an effect's arguments in its key: 16 bytes of SHA-256."""
    return hashlib.sha256(args).digest()[:16]


def output_key(event: RunEvent) -> Key:
    """What identifies an output: everything it says but the time."""
    if isinstance(event, ProgressEvent):
        return "progress", event.stage, f"{event.percent}\0{event.message}".encode()
    if isinstance(event, LogEvent):
        return "log", event.level, event.line.encode()
    if isinstance(event, UsageEvent):
        return "usage", event.meter, f"{event.qty}\0{event.unit}".encode()
    return "artifact", "", hashlib.sha256(encode_event(event)).digest()


def answer_of(run_no: int, n: int, end: EffectEnded) -> Answer:
    """What a worker hears of an effect's end, for its effect `n`."""
    trouble = None
    if end.problem_code:
        trouble = Trouble(end.problem_code, end.problem_detail, end.problem_remedy, end.problem_retry)
    return Answer(run_no, n, bytes(end.value), trouble)


class Record:
    """The effects of a run's current attempt: what is recorded of them, and what is matched."""

    def __init__(self) -> None:
        self.occurrences: dict[Key, int] = {}
        #: The worker's number of a waiting effect → the effect's seq, and back.
        self.seq_of: dict[int, int] = {}
        self.n_of: dict[int, int] = {}
        self.started: dict[int, EffectStarted] = {}
        self.results: dict[int, EffectEnded] = {}
        self.questions: deque[int] = deque()
        #: Content that came with effects; not recorded, so it is gone with this life.
        self.data: dict[int, bytes] = {}
        #: Effects that began or were opened again in this life, and so have somebody who ends them.
        self.live: set[int] = set()
        # Only a replay has the rest.
        self.now: list[float] = []
        self.held: deque[ToRuntime] = deque()
        #: Counts what was matched and released: a replay that stands still does not move it.
        self.moved = 0
        self.watched = False
        self._starts: dict[Key, deque[int]] = {}
        self._todo: dict[int, RunEvent] = {}
        self._order: deque[int] = deque()
        self._ends: deque[tuple[int, EffectEnded]] = deque()
        self._outputs: dict[Key, deque[int]] = {}
        self._clock: deque[int] = deque()
        self._text = ""
        self._text_at = 0
        #: (seq of a text event, length of the text up to its end).
        self._marks: deque[tuple[int, int]] = deque()

    @classmethod
    def replay(cls, events: list[tuple[int, RunEvent]]) -> Record:
        """A record to be matched, from a run's stored events: those of its last attempt."""
        record = cls()
        pieces: list[str] = []
        length = 0
        for seq, event in events:
            if isinstance(event, AttemptEvent):
                record = cls()
                pieces.clear()
                length = 0
            elif isinstance(event, EffectStarted):
                if event.kind == "now":
                    record.now.append(float(event.input))
                    record._clock.append(seq)
                else:
                    record._starts.setdefault((event.kind, event.name, event.args), deque()).append(seq)
                    record.started[seq] = event
                record._todo[seq] = event
            elif isinstance(event, EffectEnded):
                record._ends.append((seq, event))
                record.results[event.effect] = event
            elif isinstance(event, TextEvent):
                pieces.append(event.delta)
                length += len(event.delta)
                record._marks.append((seq, length))
            elif isinstance(event, ProgressEvent | ArtifactEvent | LogEvent | UsageEvent):
                record._outputs.setdefault(output_key(event), deque()).append(seq)
                record._todo[seq] = event
        record._text = "".join(pieces)
        record._order.extend(record._todo)
        return record

    @property
    def replaying(self) -> bool:
        """Something recorded has not come again yet."""
        return bool(self._todo) or bool(self._ends) or self._text_at < len(self._text)

    # --- effects that wait for an answer ----------------------------------------------------------

    def begin(self, frame: Effect, seq: int, event: EffectStarted) -> None:
        """A new effect has been recorded at `seq`."""
        self.seq_of[frame.n] = seq
        self.n_of[seq] = frame.n
        self.started[seq] = event
        self.live.add(seq)

    def occurrence(self, key: Key) -> int:
        """Count one more effect with that key; returns how many came before it."""
        count = self.occurrences.get(key, 0)
        self.occurrences[key] = count + 1
        return count

    def match(self, frame: Effect) -> int | None:
        """The seq under which this effect is recorded, if it is and has not come yet."""
        key = (frame.kind, frame.name, args_hash(frame.args))
        waiting = self._starts.get(key)
        if not waiting:
            return None
        seq = waiting.popleft()
        del self._todo[seq]
        self.occurrence(key)
        self.seq_of[frame.n] = seq
        self.n_of[seq] = frame.n
        self.moved += 1
        return seq

    def releases(self) -> Iterator[tuple[int, EffectEnded]]:
        """(worker's number, completion) of what may be released now, in the recorded order."""
        while self._ends:
            seq, end = self._ends[0]
            if self._first() < seq:
                return
            self._ends.popleft()
            self.moved += 1
            n = self.n_of.pop(end.effect, None)
            if n is not None:
                self.seq_of.pop(n, None)
                yield n, end

    def due(self) -> tuple[int, RunEvent | None]:
        """(seq, event) of the first thing recorded that has not come again, completions apart, of a text what
        is left of it; (0, None) when all has come."""
        seq = self._first()
        if seq in self._todo:
            return seq, self._todo[seq]
        if self._text_at < len(self._text):
            return seq, TextEvent(delta=self._text[self._text_at :])
        return 0, None

    def _first(self) -> int:
        """The seq of the first thing recorded that has not come again, completions apart."""
        order, marks = self._order, self._marks
        while order and order[0] not in self._todo:
            order.popleft()
        while marks and marks[0][1] <= self._text_at:
            marks.popleft()
        return min(order[0] if order else _NEVER, marks[0][0] if marks else _NEVER)

    # --- outputs ------------------------------------------------------------------------------------

    def match_output(self, event: RunEvent) -> bool:
        """The output is recorded and has not come yet: it is not emitted again."""
        waiting = self._outputs.get(output_key(event))
        if not waiting:
            return False
        del self._todo[waiting.popleft()]
        self.moved += 1
        return True

    def match_now(self) -> bool:
        """A recorded clock read came again."""
        if not self._clock:
            return False
        del self._todo[self._clock.popleft()]
        self.moved += 1
        return True

    def match_text(self, delta: str) -> str | None:
        """What of `delta` lies beyond the recorded text; None when it differs from it."""
        left = self._text[self._text_at : self._text_at + len(delta)]
        if not delta.startswith(left):
            return None
        if left:
            self._text_at += len(left)
            self.moved += 1
        return delta[len(left) :]

    # --- the difference -----------------------------------------------------------------------------

    def stuck(self) -> str:
        """What the replay did and can't get past, in a few words; "" when it waits for nothing here."""
        first = self._first()
        if self.held:
            frame, due = self.held[0], self._todo.get(first)
            same = isinstance(frame, Effect) and isinstance(due, EffectStarted)
            other = same and (frame.kind, frame.name) == (due.kind, due.name)  # type: ignore[union-attr]
            return describe_frame(frame) + (" with other arguments" if other else "")
        for _, end in self._ends:
            if end.effect in self.n_of and end.effect > first:
                return f"did {describe(self.started[end.effect])}"
        for _, end in self._ends:
            if end.effect in self.n_of:
                return f"only waits for {describe(self.started[end.effect])}"
        return ""

    def difference(self, did: str) -> str:
        """The first difference, as a sentence: what the record has next, and what the replay did."""
        first = self._first()
        if first in self._todo:
            return f"The record has {describe(self._todo[first])} at event {first}; the replay {did}."
        if self._text_at < len(self._text):
            rest = self._text[self._text_at : self._text_at + 40]
            return f"The record goes on with the text {rest!r}; the replay {did}."
        return f"The record has nothing more; the replay {did}."


def describe(event: RunEvent) -> str:
    """An event in a few words, for people."""
    if isinstance(event, EffectStarted):
        number = f" no. {event.occurrence + 1}" if event.occurrence else ""
        return _effect(event.kind, event.name) + number
    if isinstance(event, ProgressEvent):
        return f"progress {event.stage!r}" + (f" ({event.message[:60]})" if event.message else "")
    if isinstance(event, ArtifactEvent):
        return f"artifact {event.artifact.artifact_id!r}"
    if isinstance(event, LogEvent):
        return f"the log line {event.line[:60]!r}"
    if isinstance(event, UsageEvent):
        return f"usage of {event.meter!r}"
    return type(event).__name__


def describe_frame(frame: ToRuntime) -> str:
    """What a replay did, in a few words."""
    if isinstance(frame, Effect):
        return f"did {_effect(frame.kind, frame.name)}"
    if isinstance(frame, Progress):
        return f"sent progress {frame.stage[:60]!r}" + (f" ({frame.message[:60]})" if frame.message else "")
    if isinstance(frame, Log):
        return f"sent the log line {frame.line[:60]!r}"
    name = type(frame).__name__.lower()
    return {"made": "sent another artifact", "now": "read the clock once more"}.get(name, f"sent {name}")


def _effect(kind: str, name: str) -> str:
    return f"{kind} {name!r}" if name else kind
