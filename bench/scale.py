"""Is the cost of a call the same at 10^4 and at 10^6 stored runs?

Two data folders, each begun by a real platform with some hundred real calls; `fill` then clones
those runs' rows in SQL until there are as many as wanted: the shape of every row is what the
platform wrote, only numbers, ids, keys and times differ. Cloned runs are older than the real ones,
their ids sort by time and end in random digits, and idempotency keys are random, as real ones are.
Rounds alternate small, large; the ratio is made within a round. The small folder is made anew for
each round, because the load itself adds runs. Reads are timed as well.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sqlite3
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import servers
from bench.servers import AGENTS, BenchError, Server

SAMPLE = 1000
BAND = 0.20
READS = 200

# Ids are `prefix_` + 12 hex digits of milliseconds + 20 random ones (model/ports.py).
_ID = "substr({0}, 1, instr({0}, '_')) || printf('%012x', CAST(({1} - :ago) * 1000 AS INTEGER))"
_NEW_ID = _ID + " || lower(hex(randomblob(10)))"
_OF_TASK = "(SELECT t.{0} FROM task AS t WHERE t.no = run.task + :by)"

#: What a clone changes, by table in the order of filling: the sample's rows, and SQL by column.
#: `:by` is added to the numbers of runs and tasks alike, `:ago` is seconds further back.
CLONES: dict[str, tuple[str, dict[str, str]]] = {
    "task": (
        "no <= :last",
        {
            "no": "no + :by",
            "id": _NEW_ID.format("id", "at"),
            "context": _NEW_ID.format("context", "at"),
            "at": "at - :ago",
        },
    ),
    "run": (
        "no <= :last",
        {
            "no": "no + :by",
            "id": _NEW_ID.format("id", "created"),
            "task": "task + :by",
            "task_id": _OF_TASK.format("id"),
            "context": _OF_TASK.format("context"),
            "created": "created - :ago",
            "started": "started - :ago",
            "ended": "ended - :ago",
        },
    ),
    "event": ("id < ((:last + 1) << 20)", {"id": "id + (:by << 20)"}),
    "receipt": (
        "run <= :last",
        {"run": "run + :by", "leaf": "leaf + :by", "id": "randomblob(length(id))"},
    ),
    "idempotency": ("run <= :last", {"run": "run + :by", "key": "randomblob(length(key))"}),
}


def database(data: Path) -> Path:
    """The journal's SQLite file in a data folder. Raises BenchError when there is none."""
    for path in sorted(data.rglob("*")):
        if path.is_file() and path.open("rb").read(15) == b"SQLite format 3":
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name='run'").fetchone()
            connection.close()
            if found:
                return path
    raise BenchError(f"no SQLite file with runs below {data}")


def _clone(connection: sqlite3.Connection, table: str) -> str:
    """The statement that clones a table's sample; columns without a rule are copied as they are."""
    where, changes = CLONES[table]
    columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
    if missing := set(changes) - set(columns):
        raise BenchError(f"table {table} has no {', '.join(sorted(missing))}: bench/scale.py needs an update")
    values = ", ".join(changes.get(column, column) for column in columns)
    return f"INSERT INTO {table}({', '.join(columns)}) SELECT {values} FROM {table} WHERE {where}"  # noqa: S608


def fill(path: Path, count: int) -> int:
    """Clone the ended runs in the database at `path`, whose platform is stopped, up to `count` runs.

    Returns how many there are then. The file is left checkpointed, with an empty WAL.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")
        (real,) = connection.execute("SELECT COUNT(*) FROM run WHERE ended IS NOT NULL").fetchone()
        (runs,) = connection.execute("SELECT COUNT(*) FROM run").fetchone()
        if not real or real != runs:
            raise BenchError(f"{real} of {runs} runs in {path} have ended; cloning needs ended ones only")
        (last,) = connection.execute(
            "SELECT MAX((SELECT MAX(no) FROM run), (SELECT MAX(no) FROM task))"
        ).fetchone()
        (span,) = connection.execute("SELECT MAX(ended) - MIN(created) + 1 FROM run").fetchone()
        statements = [_clone(connection, table) for table in CLONES]
        batches = max(0, -(-(count - real) // real))
        for batch in range(1, batches + 1):
            values = {"by": batch * last, "last": last, "ago": (batches - batch + 1) * span}
            connection.execute("BEGIN")
            for statement in statements:
                connection.execute(statement, values)
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (runs,) = connection.execute("SELECT COUNT(*) FROM run").fetchone()
    finally:
        connection.close()
    return int(runs)


def prepare(base: Path, count: int) -> int:
    """A data folder in `base` with about `count` runs. Returns how many."""
    with servers.platform_server(base, [AGENTS / "echo"]) as server:
        servers.probe(server, "echo", "echo")
        servers.load(server, "echo", skill="echo", connections=16, seconds=60, count=SAMPLE, warmup=0)
    begun = time.monotonic()
    path = database(base / "data")
    runs = fill(path, count)
    size = path.stat().st_size / 1e6
    print(
        f"{runs:,} runs, {size:,.0f} MB, {time.monotonic() - begun:.0f} s to fill",
        file=sys.stderr,
        flush=True,
    )
    return runs


def old_tasks(base: Path, count: int) -> list[str]:
    """Ids of some tasks, from anywhere in the database."""
    connection = sqlite3.connect(f"file:{database(base / 'data')}?mode=ro", uri=True)
    (last,) = connection.execute("SELECT MAX(no) FROM task").fetchone()
    chance = random.Random(1)  # noqa: S311
    marks = [chance.randint(1, last) for _ in range(count)]
    query = "SELECT id FROM task WHERE no >= ? ORDER BY no LIMIT 1"
    found = [str(connection.execute(query, (mark,)).fetchone()[0]) for mark in marks]
    connection.close()
    return found


def reads(server: Server, tasks: list[str]) -> dict[str, float]:
    """Median ms of point reads and first pages, one after another on one connection."""
    parts = urlsplit(server.agent_url("echo"))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"A2A-Version": "1.0", "Authorization": f"Bearer {server.key}"}

    def timed(target: str) -> float:
        begun = time.perf_counter()
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BenchError(f"GET {target} answered {answer.status}: {body[:500]!r}")
        return (time.perf_counter() - begun) * 1e3

    get = statistics.median([timed(f"{parts.path}/tasks/{task}") for task in tasks])
    page = statistics.median([timed(f"{parts.path}/tasks?pageSize=50") for _ in tasks])
    runs = statistics.median([timed("/api/v1/runs?limit=50") for _ in tasks])
    connection.close()
    return {"GetTask ms": get, "ListTasks, page of 50, ms": page, "GET /api/v1/runs, 50, ms": runs}


def measure(base: Path, calls: int) -> dict[str, float]:
    """What a start, a call and reads cost on the folder in `base`."""
    tasks = old_tasks(base, READS)
    with servers.platform_server(base, [AGENTS / "echo"]) as server:
        found = reads(server, tasks)
        seen: dict[str, Any] = servers.load(
            server, "echo", skill="echo", connections=32, seconds=60, count=calls, warmup=0.5
        )
        values = {"CPU µs a call": seen["server_cpu_us"], "requests/s": seen["rps"]}
        return (
            values | {"p50 ms": seen["p50_ms"], "p99 ms": seen["p99_ms"]} | found | {"ready s": server.ready}
        )


def main() -> int:
    """Measure, print, and answer 0 when the cost is flat."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=10_000, help="calls of each measurement")
    parser.add_argument("--quick", action="store_true", help="2,000 and 20,000 runs: does it work at all?")
    args = parser.parse_args()
    if args.quick:
        args.small, args.large, args.rounds, args.calls = 2_000, 20_000, 1, 2_000
    print("\n".join(servers.machine()) + "\n", flush=True)
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    try:
        with servers.scratch_folder("large") as large:
            prepare(large, args.large)
            for _ in range(args.rounds):
                with servers.scratch_folder("small") as small:
                    prepare(small, args.small)
                    rounds.append((measure(small, args.calls), measure(large, args.calls)))
                print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"| medians of {args.rounds} | {args.small:,} runs | {args.large:,} runs | ratio | floor | |")
    print("|---|---|---|---|---|---|")
    passed = True
    for what in rounds[0][0]:
        a, b = (statistics.median(each[side][what] for each in rounds) for side in (0, 1))
        ratio = statistics.median(each[1][what] / each[0][what] for each in rounds)
        verdict = "| |"
        if what == "CPU µs a call":
            good = ratio <= 1 + BAND
            verdict = f"≤ {1 + BAND:g} | {'pass' if good else 'FAIL'} |"
            passed &= good
        elif what == "requests/s":
            good = ratio >= 1 - BAND
            verdict = f"≥ {1 - BAND:g} | {'pass' if good else 'FAIL'} |"
            passed &= good
        print(f"| {what} | {a:,.3g} | {b:,.3g} | {ratio:.3g} | {verdict}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
