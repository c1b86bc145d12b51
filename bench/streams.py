"""5,000 open streams on one task in one platform process: memory of each, and how fast one event
reaches them all.

The task is a run of the `ticker` agent, which emits an event each time it is rung. Memory is the
anonymous PSS of the platform process after the streams are open less before, over their number
(whole PSS would fall by what the client process shares with it, and flatter us). Time is from
the skill's emission (worker hop and commit included) to the last stream's receipt, read from one
monotonic clock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from bench import cpu, servers
from bench.servers import AGENTS, ROOT, BenchError, Server

KB_FLOOR = 20.0
MS_FLOOR = 150.0
OPEN_SECONDS = 60.0
TICK_SECONDS = 20.0
SETTLE_SECONDS = 2.0


class Client:
    """The client process and what it says."""

    def __init__(self, out: IO[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: [self._lines.put(line) for line in out], daemon=True).start()

    def next(self, field: str, seconds: float) -> dict[str, Any]:
        """The next line that has `field`. Raises BenchError when a stream broke or time is up."""
        try:
            said: dict[str, Any] = json.loads(self._lines.get(timeout=seconds))
        except queue.Empty:
            raise BenchError(f"the streams had no {field!r} within {seconds:.0f} s") from None
        if field not in said or said.get("broken"):
            raise BenchError(f"a stream broke: {said}")
        return said


@contextlib.contextmanager
def client(server: Server, task: str, count: int, a2a: bool) -> Generator[Client]:
    """The client process, reading `count` streams of `task`."""
    url = server.agent_url("ticker") + ("" if a2a else f"/sse/{task}")
    line = [sys.executable, "-m", "bench.stream_client", url, "--count", str(count)]
    line += ["--key-file", str(server.key_file), *(["--task", task] if a2a else [])]
    process = subprocess.Popen(  # noqa: S603
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin
    assert process.stdout
    try:
        yield Client(process.stdout)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def measure(base: Path, count: int, events: int, *, a2a: bool) -> tuple[float, list[dict[str, Any]], float]:
    """KB of memory per stream, the ticks as the client saw them, and seconds that opening took."""
    with servers.platform_server(base, [AGENTS / "ticker"]) as server:
        url, key = server.agent_url("ticker"), server.key
        call = servers.skill_call("wait", {"events": events})
        call["configuration"] = {"returnImmediately": True}
        task = servers.rpc(url, "SendMessage", call, key=key)["task"]["id"]
        time.sleep(SETTLE_SECONDS)
        before = cpu.memory_bytes(server.pid, "Pss_Anon")
        begun = time.monotonic()
        with client(server, task, count, a2a) as streams:
            streams.next("open", OPEN_SECONDS)
            opening = time.monotonic() - begun
            time.sleep(SETTLE_SECONDS)
            each = (cpu.memory_bytes(server.pid, "Pss_Anon") - before) / count / 1e3
            ticks: list[dict[str, Any]] = []
            for number in range(events):
                servers.rpc(url, "SendMessage", servers.skill_call("ring", {}), key=key)
                ticks.append(streams.next("tick", TICK_SECONDS))
                if number + 1 < events:
                    time.sleep(0.5)
    return each, ticks, opening


def main() -> int:
    """Measure, print, and answer 0 when both floors hold."""
    parser = argparse.ArgumentParser(prog="bench.streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--events", type=int, default=5)
    parser.add_argument("--a2a", action="store_true", help="SubscribeToTask instead of GET /sse/{task}")
    parser.add_argument("--quick", action="store_true", help="200 streams, 2 events: does it work at all?")
    args = parser.parse_args()
    if args.quick:
        args.streams, args.events = 200, 2
    print("\n".join(servers.machine()) + "\n", flush=True)
    allowed = servers.raise_nofile()
    if allowed < args.streams + 200:
        print(
            f"bench: {args.streams} streams need more open files than {allowed} (ulimit -Hn)", file=sys.stderr
        )
        return 2
    try:
        with servers.scratch_folder("streams") as base:
            each, ticks, opening = measure(base, args.streams, args.events, a2a=args.a2a)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    last = [float(tick["last_ms"]) for tick in ticks]
    how = "SubscribeToTask" if args.a2a else "GET /sse/{task}"
    rows = [
        ("platform memory per stream", each, KB_FLOOR, "KB"),
        (f"one event to all, median of {len(last)}", statistics.median(last), MS_FLOOR, "ms"),
        (f"one event to all, worst of {len(last)}", max(last), MS_FLOOR, "ms"),
    ]
    print(f"| {args.streams:,} streams, {how} | found | floor | |\n|---|---|---|---|")
    for what, found, floor, unit in rows:
        print(
            f"| {what} | {found:.3g} {unit} | ≤ {floor:g} {unit} | {'pass' if found <= floor else 'FAIL'} |"
        )
    middle = statistics.median(float(tick["p50_ms"]) for tick in ticks)
    first = statistics.median(float(tick["first_ms"]) for tick in ticks)
    print(f"| first stream · middle stream has it after | {first:.3g} · {middle:.3g} ms | | |")
    print(f"| opening them all | {opening:.3g} s | | |")
    return 0 if all(found <= floor for _, found, floor, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
