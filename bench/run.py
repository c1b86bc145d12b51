"""`make bench`: our platform against the official SDK's server, pairwise, in one run.

A round starts each side fresh, alone on the machine, and drives it with the same bytes: 32
connections, then one. Rounds alternate A B C A B C; ratios are made within a round, and their
median over the rounds is what is held against the floor, so that a machine that is slow for a
minute is slow for both sides. Ours runs in the cage that the platform picks here, under a grant, is
authenticated, durable (two commits), signs a receipt and crosses into a worker process; the SDK's side
does none of this in memory, and only commits on SQLite. CPU is that of all processes of a side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import servers
from bench.servers import AGENTS, BenchError, Server

OURS, MEMORY, SQLITE = "a2a-cloud", "sdk, in memory", "sdk, SQLite"
IDEMPOTENT = "a2a-cloud, idempotent skill"
Results = dict[str, dict[int, dict[str, Any]]]


def measure(server: Server, skill: str, args: argparse.Namespace) -> dict[int, dict[str, Any]]:
    """32 connections, then one, on a side that has answered a probe rightly."""
    servers.probe(server, "echo", skill)
    many = servers.load(
        server, "echo", skill=skill, connections=args.connections, seconds=args.seconds, warmup=args.warmup
    )
    one = servers.load(
        server, "echo", skill=skill, connections=1, seconds=args.seconds / 2, warmup=args.warmup / 2
    )
    return {args.connections: many, 1: one}


def one_round(args: argparse.Namespace, about: dict[str, Any]) -> Results:
    """Every side once."""
    results: Results = {}
    with servers.scratch_folder("ours") as base, servers.platform_server(base, [AGENTS / "echo"]) as ours:
        results[OURS] = measure(ours, "echo", args)
        if not args.quick:
            results[IDEMPOTENT] = measure(ours, "echo_idempotent", args)
    options = ["--no-access-log"] if args.peer_no_access_log else []
    for name, store in ((MEMORY, "memory"), (SQLITE, "sqlite")):
        with servers.scratch_folder("sdk") as base, servers.sdk_server(base, store, *options) as peer:
            results[name] = measure(peer, "echo", args)
            about[name] = peer.about
    return results


def ratio(rounds: list[Results], value: str, a: str, b: str, connections: int) -> float:
    """Median over the rounds of a's value divided by b's."""
    pairs = (
        each[a][connections][value] / each[b][connections][value]
        for each in rounds
        if each[b][connections][value]
    )
    return statistics.median(pairs)


def median(rounds: list[Results], value: str, side: str, connections: int) -> float:
    """Median over the rounds of one side's value."""
    return statistics.median(each[side][connections][value] for each in rounds)


def table(rounds: list[Results], connections: int) -> str:
    """Medians of every side, as a Markdown table."""
    title = f"{connections} connection{'s' if connections > 1 else ''}"
    lines = [
        f"| {title} | requests/s | p50 ms | p99 ms | CPU µs a call | client's own µs |",
        "|---|---|---|---|---|---|",
    ]
    for side in rounds[0]:
        rps, p50, p99, cpu, client = (
            median(rounds, value, side, connections)
            for value in ("rps", "p50_ms", "p99_ms", "server_cpu_us", "client_cpu_us")
        )
        lines.append(f"| {side} | {rps:,.0f} | {p50:.2f} | {p99:.2f} | {cpu:,.0f} | {client:.0f} |")
    return "\n".join(lines)


def verdicts(rounds: list[Results], args: argparse.Namespace) -> list[tuple[str, float, str, bool]]:
    """(what, ratio, floor, passed), by the floors of the project."""

    def row(what: str, found: float, sign: str, floor: float) -> tuple[str, float, str, bool]:
        test: Callable[[float, float], bool] = float.__ge__ if sign == "≥" else float.__le__
        return what, found, f"{sign} {floor:g}", test(float(found), float(floor))

    many = args.connections
    return [
        row(
            f"requests/s at {many}, against the SDK in memory",
            ratio(rounds, "rps", OURS, MEMORY, many),
            "≥",
            args.floor_memory,
        ),
        row(
            f"requests/s at {many}, against the SDK on SQLite",
            ratio(rounds, "rps", OURS, SQLITE, many),
            "≥",
            args.floor_sqlite,
        ),
        row(
            f"p99 at {many}, against the SDK in memory", ratio(rounds, "p99_ms", OURS, MEMORY, many), "≤", 0.1
        ),
        row("p50 at 1, against the SDK in memory", ratio(rounds, "p50_ms", OURS, MEMORY, 1), "≤", 1.0),
    ]


def main() -> int:
    """Measure, print, and answer 0 when every floor holds."""
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement at many connections")
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--floor-memory", type=float, default=10.0)
    parser.add_argument("--floor-sqlite", type=float, default=100.0)
    parser.add_argument("--peer-no-access-log", action="store_true", help="the SDK without uvicorn's log")
    parser.add_argument("--json", type=Path, help="write every single measurement here")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work at all?")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.warmup = 1, 2.0, 0.5
    head = servers.machine()
    print("\n".join(head), flush=True)
    about: dict[str, Any] = {}
    rounds: list[Results] = []
    try:
        for number in range(args.rounds):
            rounds.append(one_round(args, about))
            seen = ", ".join(
                f"{side} {each[args.connections]['rps']:,.0f}/s" for side, each in rounds[-1].items()
            )
            print(f"round {number + 1} of {args.rounds}: {seen}", file=sys.stderr, flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    for name in (MEMORY, SQLITE):
        print(f"{name}: {json.dumps(about[name])}")
    print(f"Medians of {args.rounds} round{'s' if args.rounds > 1 else ''} of {args.seconds:g} s\n")
    print(table(rounds, args.connections) + "\n\n" + table(rounds, 1) + "\n")
    found = verdicts(rounds, args)
    print("| ratio (median of the pairs) | found | floor | |\n|---|---|---|---|")
    for what, value, floor, passed in found:
        print(f"| {what} | {value:.3g} | {floor} | {'pass' if passed else 'FAIL'} |")
    many = args.connections
    for side in (MEMORY, SQLITE):
        times = 1 / ratio(rounds, "server_cpu_us", OURS, side, many)
        print(f"| CPU a call at {many}, {side} to ours | {times:.3g} | | |")
    if args.json:
        args.json.write_text(json.dumps({"machine": head, "about": about, "rounds": rounds}, indent=1))
    return 0 if all(passed for *_, passed in found) else 1


if __name__ == "__main__":
    sys.exit(main())
