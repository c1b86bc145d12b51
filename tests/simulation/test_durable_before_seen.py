"""What a kill alone never shows: under strace an fdatasync of the write-ahead log stands between the
moment at which a task, a result or a receipt is handed to the journal's writer and the first byte that
names it to a client."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from witness import Said, Witness
from world import World

CALLS = "fdatasync,fsync,write,writev,sendto,sendmsg"
STRACE = ("strace", "-f", "-yy", "-s", "65536", "-e", f"trace={CALLS}", "-e", "signal=none", "-o")


@dataclass
class Step:
    """A system call that has returned: its name, what its descriptor is, its line."""

    name: str
    what: str
    line: str

    @property
    def synced(self) -> bool:
        return self.name in ("fdatasync", "fsync") and "journal.db-wal" in self.what

    @property
    def to_client(self) -> bool:
        return "TCP" in self.what and self.name not in ("fdatasync", "fsync")

    @property
    def to_writer(self) -> bool:
        return "UNIX" in self.what or "socket:" in self.what


_CALL = re.compile(r"(\d+) +(\w+)\((\d+)(<.*?>)?[,) ]")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>")


def read(path: Path) -> list[Step]:
    """System calls in the order in which they returned."""
    steps: list[Step] = []
    begun: dict[str, Step] = {}
    for line in path.read_text(errors="replace").splitlines():
        if found := _RESUMED.match(line):
            if step := begun.pop(found[1], None):
                steps.append(step)
        elif found := _CALL.match(line):
            step = Step(found[2], found[4] or "", line)
            if "<unfinished ...>" in line[-20:]:
                begun[found[1]] = step
                if not step.name.endswith("sync"):
                    steps.append(step)  # What it sends may be seen before it returns.
                    del begun[found[1]]
            else:
                steps.append(step)
    return steps


def durable_first(steps: list[Step], word: str) -> None:
    """The word goes to the writer, the log is synced, and only then does a client see it."""
    seen = next((n for n, step in enumerate(steps) if step.to_client and word in step.line), None)
    assert seen is not None, f"no client saw {word}"
    handed = next((n for n, step in enumerate(steps) if step.to_writer and word in step.line), None)
    assert handed is not None, f"the writer never got {word}"
    assert handed < seen, f"a client saw {word} before the writer did"
    assert any(step.synced for step in steps[handed:seen]), f"a client saw {word} before it was on disk"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """A platform under strace, called in every way; (strace's output, way → words that a client saw)."""
    home = tmp_path_factory.mktemp("strace")
    output = home / "strace.out"
    world = World(home, real=True, before=(*STRACE, str(output)))
    client = Witness(world)
    words: dict[str, list[str]] = {}
    try:
        world.start()
        words["send"] = named(client.send("key-1", "result-of-send"), "RESULT-OF-SEND")
        words["at once"] = named(client.send("key-2", "result-of-at-once", now=True))
        words["invoke"] = named(client.invoke("say", "key-3", text="result-of-invoke"), "RESULT-OF-INVOKE")
        client.stream("pour", "key-4").join(30)
        words["stream"] = [*sorted(client.tasks)[-1:], "poured"]
        asked = client.skill("key-5", "survey")
        words["question"] = [*named(asked), "Which color?"]
        answered = client.send("key-6", "red", task=words["question"][0])
        assert answered.status == 200
        words["answer"] = ["It is red."]
        words["reply"] = named(client.skill("key-7", "greet", name="reply-of-greet"), "Hello reply-of-greet")
        pid = int((world.data / "lock").read_text())
        os.kill(pid, signal.SIGINT)
        assert world.wait_dead(30) == 0
    finally:
        world.close()
    return output, words


def named(said: Said, *more: str) -> list[str]:
    """The ids that an answer names, and other words of it."""
    assert said.status == 200, said.body
    text = said.body.decode() + str(said.headers)
    return [*re.findall(r"(?:task|run)_[0-9a-f]{32}", text)[:2], *more]


@pytest.mark.parametrize("way", ["send", "at once", "invoke", "stream", "question", "answer", "reply"])
def test_on_disk_before_anybody_sees_it(trace: tuple[Path, dict[str, list[str]]], way: str) -> None:
    output, words = trace
    steps = read(output)
    for word in words[way]:
        durable_first(steps, word)


def test_without_the_sync_this_would_fail(trace: tuple[Path, dict[str, list[str]]]) -> None:
    steps = [step for step in read(trace[0]) if not step.synced]
    with pytest.raises(AssertionError, match="before it was on disk"):
        durable_first(steps, trace[1]["send"][0])


def test_receipts_are_on_disk_before_they_are_named(trace: tuple[Path, dict[str, list[str]]]) -> None:
    steps = read(trace[0])
    seen = {}
    for n, step in enumerate(steps):
        if step.to_client:
            for receipt in re.findall(r"rcpt_[0-9a-f]{64}", step.line):
                seen.setdefault(receipt, n)
    assert len(seen) >= 4
    for receipt, n in seen.items():
        # The id goes to the writer as raw bytes, which strace prints escaped.
        raw = bytes.fromhex(receipt[5:])
        handed = next(m for m, step in enumerate(steps) if step.to_writer and raw in unescaped(step.line))
        assert any(step.synced for step in steps[handed:n]), f"{receipt} was named before it was on disk"


_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "v": b"\v", "f": b"\f", '"': b'"', "\\": b"\\"}


def unescaped(line: str) -> bytes:
    """The bytes of strace's C strings in a line."""
    found = bytearray()
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"', line):
        for piece in re.finditer(r"\\([0-7]{1,3})|\\(.)|([^\\]+)", text):
            if piece[1]:
                found.append(int(piece[1], 8))
            else:
                found += _ESCAPES.get(piece[2], b"") if piece[2] else piece[3].encode("utf-8", "replace")
    return bytes(found)
