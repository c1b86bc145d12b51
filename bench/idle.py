"""What the platform costs when nobody calls, and how soon it is there.

Ready time is from exec to /readyz's 200 (with agents: and their cards; their first answer is shown
too), PSS is that of the platform process alone, some seconds after it became ready. Medians of
several starts; the first start in an empty data folder makes keys and tables and is shown apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from bench import cpu, servers
from bench.servers import ROOT, BenchError

PSS_FLOOR = 80.0
READY_FLOOR = 1.0
UP_FLOOR = 3.0
TEXT = "This Agreement is governed by the laws of Delaware."


@dataclass
class Starts:
    """Several starts of one kind: seconds until ready, until a first call's answer, memory in MB."""

    first: float = 0.0
    later: list[float] = field(default_factory=list[float])
    answered: list[float] = field(default_factory=list[float])
    pss: float = 0.0
    rss: float = 0.0
    tree_pss: float = 0.0


def starts(count: int, settle: float, command: list[str], name: str = "") -> Starts:
    """Start `command` once on an empty data folder and `count` times after; with `name`, call that agent."""
    seen = Starts()
    with servers.scratch_folder("idle") as base:
        for number in range(count + 1):
            with servers.platform_server(base, command=command, names=[name] if name else []) as server:
                if number:
                    seen.later.append(server.ready)
                else:
                    seen.first = server.ready
                if name:
                    begun = time.monotonic()
                    servers.rpc(
                        server.agent_url(name), "SendMessage", servers.message(TEXT, ""), key=server.key
                    )
                    seen.answered.append(server.ready + time.monotonic() - begun)
                if number == count:
                    time.sleep(settle)
                    seen.pss = cpu.memory_bytes(server.pid) / 1e6
                    seen.rss = cpu.memory_bytes(server.pid, "Rss") / 1e6
                    seen.tree_pss = cpu.memory_bytes(server.pid, whole_tree=True) / 1e6
    return seen


def row(what: str, found: float, unit: str, floor: float) -> bool:
    """Print one row; True when the floor holds."""
    passed = found <= floor
    print(f"| {what} | {found:.3g} {unit} | ≤ {floor:g} {unit} | {'pass' if passed else 'FAIL'} |")
    return passed


def main() -> int:
    """Measure, print, and answer 0 when every floor holds."""
    parser = argparse.ArgumentParser(prog="bench.idle", description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--settle", type=float, default=5.0, help="seconds of idling before PSS is read")
    parser.add_argument("--example", type=Path, default=ROOT / "examples" / "contract_reviewer")
    parser.add_argument("--name", default="", help="the example's agent name (default: from its a2a.toml)")
    args = parser.parse_args()
    print("\n".join(servers.machine()) + "\n", flush=True)
    bare = [sys.executable, "-m", "a2a_cloud.app"]
    up = [str(Path(sys.executable).with_name("a2a")), "up", str(args.example)]
    try:
        name = args.name or tomllib.loads((args.example / "a2a.toml").read_text())["name"]
        idle = starts(args.starts, args.settle, bare)
        example = starts(args.starts, args.settle, up, name)
    except (BenchError, OSError, KeyError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print("| idle | found | floor | |\n|---|---|---|---|")
    passed = [
        row("PSS of the platform process, no agents", idle.pss, "MB", PSS_FLOOR),
        row("ready without agents (median)", statistics.median(idle.later), "s", READY_FLOOR),
        row("`a2a up` with the example ready (median)", statistics.median(example.later), "s", UP_FLOOR),
    ]
    print(f"| slowest: no agents · example | {max(idle.later):.3g} · {max(example.later):.3g} s | | |")
    print(f"| first start in an empty data folder, the same | {idle.first:.3g} · {example.first:.3g} s | | |")
    answered = statistics.median(example.answered[1:])
    print(f"| `a2a up` until the example has answered a first call | {answered:.3g} s | | |")
    print(f"| RSS of the platform process, no agents | {idle.rss:.3g} MB | | |")
    both = f"{example.pss:.3g} · {example.tree_pss:.3g} MB"
    print(f"| PSS with the example: platform · all processes | {both} | | |")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
