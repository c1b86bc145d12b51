"""A lean load client: N keep-alive connections, one blocking SendMessage at a time on each.

It runs as its own process on uvloop with bare protocols and costs about 15 µs of CPU a request, so
that it measures the server and not itself. Every request has its own messageId (a server that
answers a repeated message from memory gains nothing), every answer is checked: status 200, a body
of the announced length, and TASK_STATE_COMPLETED in it. Wrong answers are counted and the first is
shown; only right ones count in the rate. Latency is from the write to the last byte of the answer.
Answers that arrive in the window between warm-up and end are counted; `waiting_ms` is the age of
the oldest request still unanswered at its end, so that a server cannot hide one. Prints one JSON
object; the exit code is 1 when there was no right answer or any wrong one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from array import array
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench import cpu

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_MARK = "0123456789abcdef" * 2
_FAR = float("inf")


def request_bytes(url: str, *, skill: str, text: str, key: str = "") -> tuple[bytes, bytes]:
    """The request around its messageId: what stands before it and what stands after it.

    The messageId is 32 characters, so Content-Length never changes.
    """
    parts = urlsplit(url)
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "SendMessage",
            "params": {
                "message": {
                    "messageId": _MARK,
                    "role": "ROLE_USER",
                    "parts": [{"text": text}],
                    "metadata": {"skill": skill},
                }
            },
        },
        separators=(",", ":"),
    )
    head = [
        f"POST {parts.path or '/'} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        "Accept: application/json",
        "A2A-Version: 1.0",
        f"Content-Length: {len(body.encode())}",
    ]
    if key:
        head.append(f"Authorization: Bearer {key}")
    before, after = ("\r\n".join(head) + "\r\n\r\n" + body).encode().split(_MARK.encode())
    return before, after


class Load:
    """One measurement: what to send, the window, and what came back."""

    def __init__(self, before: bytes, after: bytes, expect: bytes, count: int) -> None:
        # 16 random hex digits for this process, 16 that count: unique over all runs.
        self.before = before + os.urandom(8).hex().encode()
        self.after = after
        self.expect = expect
        self.count = count or 1 << 62
        self.sent = 0
        self.answers = 0
        self.errors = 0
        self.wrong = b""
        self.opened = _FAR
        self.closed = _FAR
        self.latencies = array("d")
        self.stopping = False
        self.done = asyncio.Event()

    def fail(self, what: bytes) -> None:
        self.errors += 1
        if not self.wrong:
            self.wrong = what[:2000]

    def stop(self) -> None:
        if not self.stopping:
            self.stopping = True
            self.closed = min(self.closed, time.perf_counter())
            self.done.set()


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    __slots__ = ("buffer", "load", "started", "write")

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        self.write = cast("asyncio.WriteTransport", transport).write
        self.started = time.perf_counter()
        self.send()

    def send(self) -> None:
        load = self.load
        load.sent += 1
        self.write(b"%b%016x%b" % (load.before, load.sent, load.after))

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.buffer = data
            return
        if length := _LENGTH.search(data, 0, end):
            missing = end + 4 + int(length[1]) - len(data)
            if missing > 0:
                self.buffer = data
                return
            whole = missing == 0
        elif _CHUNKED.search(data, 0, end):
            if not data.endswith(b"\r\n0\r\n\r\n"):
                self.buffer = data
                return
            whole = True
        else:
            whole = False
        self.buffer = b""
        load = self.load
        now = time.perf_counter()
        load.answers += 1
        if not (whole and data.startswith(b"HTTP/1.1 200 ") and data.find(load.expect, end) > 0):
            load.fail(data)
        elif load.opened <= now < load.closed:
            load.latencies.append(now - self.started)
            if len(load.latencies) >= load.count:
                load.stop()
        if not load.stopping:
            self.started = now
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        load = self.load
        if load.stopping:
            return
        load.fail(f"connection lost: {exc!r} with {self.buffer[:200]!r}".encode())
        if load.errors > 10_000:
            load.stop()


def quantile(values: list[float], q: float) -> float:
    """The value at or under which a share `q` of the sorted `values` lies. 0 of nothing."""
    if not values:
        return 0.0
    return values[min(len(values) - 1, max(0, round(q * len(values) + 0.5) - 1))]


async def run(load: Load, args: argparse.Namespace) -> dict[str, object]:
    """One measurement with parsed arguments; the result as printed."""
    parts = urlsplit(str(args.url))
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(load), host, port))[1]
        for _ in range(args.connections)
    ]
    await asyncio.sleep(args.warmup)
    server_cpu = cpu.cpu_seconds(args.watch) if args.watch else 0.0
    answers, own_cpu = load.answers, time.process_time()
    load.opened = time.perf_counter()
    loop.call_later(args.seconds, load.stop)
    await load.done.wait()
    own_cpu = time.process_time() - own_cpu
    answers = max(1, load.answers - answers)
    server_cpu = cpu.cpu_seconds(args.watch) - server_cpu if args.watch else 0.0
    sorted_ms = sorted(latency * 1e3 for latency in load.latencies)
    seconds = load.closed - load.opened
    oldest = max(load.closed - connection.started for connection in connections)
    return {
        "rps": round(len(sorted_ms) / seconds, 1),
        "p50_ms": round(quantile(sorted_ms, 0.50), 3),
        "p99_ms": round(quantile(sorted_ms, 0.99), 3),
        "max_ms": round(sorted_ms[-1], 3) if sorted_ms else 0.0,
        "n": len(sorted_ms),
        "seconds": round(seconds, 3),
        "waiting_ms": round(oldest * 1e3, 3),
        "connections": args.connections,
        "errors": load.errors,
        "wrong": load.wrong.decode(errors="replace"),
        "server_cpu_us": round(server_cpu / answers * 1e6, 1),
        "client_cpu_us": round(own_cpu / answers * 1e6, 1),
    }


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    parser.add_argument("url", help="where to POST, for instance http://127.0.0.1:8080/agents/echo")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6.0, help="at most this long after the warm-up")
    parser.add_argument("--count", type=int, default=0, help="stop after so many right answers (0: by time)")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds of load before counting")
    parser.add_argument("--key-file", default="", help="file that holds the API key")
    parser.add_argument("--skill", default="echo")
    parser.add_argument("--text", default="hello")
    parser.add_argument("--expect", default="TASK_STATE_COMPLETED", help="what a right answer holds")
    parser.add_argument("--watch", type=int, default=0, help="pid of the server: its tree's CPU is counted")
    return parser


def main() -> None:
    """Measure and print."""
    args = arguments().parse_args()
    key = Path(args.key_file).read_text().strip() if args.key_file else ""
    before, after = request_bytes(args.url, skill=args.skill, text=args.text, key=key)
    result = uvloop.run(run(Load(before, after, args.expect.encode(), args.count), args))
    print(json.dumps(result))
    sys.exit(0 if result["n"] and not result["errors"] else 1)


if __name__ == "__main__":
    main()
