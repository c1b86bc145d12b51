"""What the cage costs: the same agents in the jail and as bare processes, pairwise in one run.

Start cold: the first call to an agent that had no process. Start warm: a call that gets a fresh worker
from the pool (`isolation = "run"`). Calls: the load of `bench.run`. Workspace: operations of one run one
after the other, each verified against its grant; the time is the skill's own. No floors: ratios to read.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from bench import servers
from bench.servers import AGENTS, BenchError, Server

JAIL, BARE = "jail", "process"
#: Seconds without a call after which the agents of this benchmark go to sleep.
IDLE = 1.0
OPERATIONS = 500


def invoke(server: Server, agent: str, skill: str, **arguments: Any) -> tuple[float, Any]:
    """(seconds until the answer, the result). Raises BenchError on any other answer than 200."""
    began = time.perf_counter()
    status, found = servers.http_json(
        f"{server.agent_url(agent)}/invoke/{skill}", method="POST", body=arguments, key=server.key
    )
    took = time.perf_counter() - began
    if status != 200:
        raise BenchError(f"{agent}/{skill} answered {status}: {found}")
    return took, found


def starts(sandbox: str, count: int) -> dict[str, float]:
    """Medians in milliseconds: cold and warm starts."""
    cold: list[float] = []
    warm: list[float] = []
    env = {"A2A_SANDBOX": sandbox, "A2A_IDLE": str(IDLE)}
    with (
        servers.scratch_folder("caged") as base,
        servers.platform_server(base, [AGENTS / "echo", AGENTS / "hatch"], env=env) as server,
    ):
        for _ in range(count):
            invoke(server, "hatch", "echo", text="first")
            time.sleep(0.8)  # The pool makes another one.
            warm.append(invoke(server, "hatch", "echo", text="x")[0])
        for _ in range(count):
            time.sleep(IDLE + 1.5)
            cold.append(invoke(server, "echo", "echo", text="x")[0])
    return {"cold start, ms": 1e3 * statistics.median(cold), "warm start, ms": 1e3 * statistics.median(warm)}


def work(sandbox: str, args: argparse.Namespace) -> dict[str, float]:
    """Calls a second at 32 connections, and workspace operations a second of one run."""
    with (
        servers.scratch_folder("caged") as base,
        servers.platform_server(
            base, [AGENTS / "echo", AGENTS / "cabinet"], env={"A2A_SANDBOX": sandbox}
        ) as server,
    ):
        servers.probe(server, "echo", "echo")
        load = servers.load(
            server, "echo", skill="echo", connections=32, seconds=args.seconds, warmup=args.seconds / 6
        )
        found = {"calls/s at 32": float(load["rps"]), "CPU a call, µs": float(load["server_cpu_us"])}
        for skill, name in (("fill", "writes"), ("read", "reads"), ("look", "stats")):
            seconds = [float(invoke(server, "cabinet", skill, count=OPERATIONS)[1]) for _ in range(3)]
            found[f"workspace {name}/s"] = OPERATIONS / statistics.median(seconds)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.caged", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--starts", type=int, default=5)
    args = parser.parse_args()
    print("\n".join(servers.machine()), flush=True)
    rounds: list[dict[str, dict[str, float]]] = []
    try:
        for _ in range(args.rounds):
            rounds.append(
                {
                    sandbox: starts(sandbox, args.starts) | work(sandbox, args)
                    for sandbox in (JAIL, BARE)
                }
            )  # fmt: skip
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print("\n| | jail | bare process | jail : bare (median of the pairs) |\n|---|---|---|---|")
    for name in rounds[0][JAIL]:
        jail = statistics.median(each[JAIL][name] for each in rounds)
        bare = statistics.median(each[BARE][name] for each in rounds)
        ratio = statistics.median(each[JAIL][name] / each[BARE][name] for each in rounds)
        print(f"| {name} | {jail:,.1f} | {bare:,.1f} | {ratio:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
