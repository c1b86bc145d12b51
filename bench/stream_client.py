"""The reading side of `bench.streams`, a process of its own: N open SSE streams on bare protocols.

Prints a JSON line when every stream has had its first event, and one for each tick that all have
had: milliseconds from the emission (the machine's monotonic clock, in the event) to the first, the
middle and the last stream's receipt. Ends when its standard input is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

_TICK = re.compile(rb"tick-(\d+)-")
_TAIL = 40
_AT_ONCE = 50


class Streams:
    """What all the streams have seen."""

    def __init__(self, count: int, request: bytes) -> None:
        self.count = count
        self.request = request
        self.open = 0
        self.all_open = asyncio.Event()
        self.ticks: dict[int, list[int]] = {}
        self.broken = 0

    def opened(self) -> None:
        self.open += 1
        if self.open == self.count:
            self.all_open.set()

    def tick(self, emitted: int) -> None:
        received = self.ticks.setdefault(emitted, [])
        received.append(time.monotonic_ns())
        if len(received) == self.count:
            first, middle, last = (
                (received[at] - emitted) / 1e6 for at in (0, self.count // 2, self.count - 1)
            )
            say(
                {"tick": emitted, "first_ms": first, "p50_ms": middle, "last_ms": last, "broken": self.broken}
            )

    def lost(self, why: str) -> None:
        self.broken += 1
        if self.broken <= 3:
            say({"lost": why})


class Stream(asyncio.Protocol):
    """One open stream; keeps only the tail of what it read."""

    __slots__ = ("begun", "seen", "streams", "tail")

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.begun = False
        self.seen = 0
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self.streams.request)

    def data_received(self, data: bytes) -> None:
        if not self.begun:
            self.tail += data
            head, _, body = self.tail.partition(b"\r\n\r\n")
            if b"data:" not in body:
                return
            self.begun = True
            if not head.startswith(b"HTTP/1.1 200 "):
                self.streams.lost(self.tail[:500].decode(errors="replace"))
                return
            self.streams.opened()
            data, self.tail = body, b""
        if self.tail:
            data = self.tail + data
        end = 0
        for found in _TICK.finditer(data):
            end = found.end()
            emitted = int(found[1])
            if emitted > self.seen:  # one event may name the tick twice
                self.seen = emitted
                self.streams.tick(emitted)
        self.tail = data[max(end, len(data) - _TAIL) :]

    def connection_lost(self, exc: Exception | None) -> None:
        self.streams.lost(f"{exc!r} after {self.tail!r}")


def say(what: dict[str, object]) -> None:
    """One line of JSON for the parent."""
    print(json.dumps(what), flush=True)


async def run(streams: Streams, host: str, port: int) -> None:
    """Open the streams, some at a time, and read until standard input ends."""
    loop = asyncio.get_running_loop()
    for start in range(0, streams.count, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, streams.count))
        await asyncio.gather(*(loop.create_connection(lambda: Stream(streams), host, port) for _ in some))
    await streams.all_open.wait()
    say({"open": streams.open, "broken": streams.broken})
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Parse, build the one request that all streams send, run."""
    parser = argparse.ArgumentParser(prog="bench.stream_client", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--key-file", required=True)
    parser.add_argument("--task", default="", help="subscribe by A2A's SubscribeToTask to this task")
    args = parser.parse_args()
    parts = urlsplit(str(args.url))
    body = b""
    if args.task:
        call = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": args.task}}
        body = json.dumps(call).encode()
    head = [
        f"{'POST' if body else 'GET'} {parts.path or '/'} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Accept: text/event-stream",
        "A2A-Version: 1.0",
        f"Authorization: Bearer {Path(args.key_file).read_text().strip()}",
    ]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    request = ("\r\n".join(head) + "\r\n\r\n").encode() + body
    uvloop.run(run(Streams(args.count, request), parts.hostname or "127.0.0.1", parts.port or 80))


if __name__ == "__main__":
    main()
