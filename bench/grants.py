"""What verifying a grant costs on the way of one operation, in µs: `python -m bench.grants`.

Each line is the median of some rounds. "warm" is what every operation after a run's first pays: signature,
audience, time, revocation, then the path; "cold" has never seen the token, "new run" has seen its globs.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from a2a_cloud.control.grants.authority import Authority
from a2a_cloud.control.grants.keys import GrantKeys
from a2a_cloud.control.grants.reader import GrantRows
from a2a_cloud.model.grant import EVERYTHING, GrantSpec, LaterBlock, Operation, RootBlock
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.journal.port import Write
from a2a_cloud.storage.sql.schema import migrate
from a2a_cloud.wire import glob, grant
from a2a_cloud.wire.grant import GrantKey, attenuate, mint, verify

KEY = GrantKey("k1", "default", bytes(range(32)))
KEYS = {"k1": KEY}
NOW = 1_800_000_000.0
GLOBS = (
    "contracts/**",
    "contracts/2026/*.md",
    "shared/templates/*.docx",
    "**/README.md",
    "data/raw/20??/*.csv",
    "reports/final.pdf",
    "a/**/b/**/c*d*e",
    "team/*/notes/**",
    "inbox/*",
    "public/**/index.html",
)


class Unwritten:
    """A journal of which nothing is measured here."""

    def submit(self, write: Write) -> None:
        """Forget it."""
        del write


class Stands:
    """Nothing is revoked, and it is looked up."""

    def __init__(self) -> None:
        self.revoked: set[str] = {f"grant_{number:032x}" for number in range(1000)}

    def refusal(self, root_id: str, ids: Sequence[str], now: float) -> str:
        """One look-up for each id."""
        del now
        return "revoked" if root_id in self.revoked or any(each in self.revoked for each in ids) else ""


def token(patterns: tuple[str, ...], blocks: int, number: int = 0) -> str:
    """A run's token; each later block hands it over."""
    root = RootBlock(
        v=1,
        kid="k1",
        id=f"grant_{number:032x}x",
        root_id=f"grant_{number:032x}x",
        iss="http://127.0.0.1:8080",
        org="default",
        sub="ada@default",
        aud="agent:default/a0",
        run=f"run_{number:032x}",
        workspace="default",
        base=7,
        ops=EVERYTHING,
        read=patterns,
        write=(),
        deny=("secrets/**",),
        skills=(),
        egress=(),
        prefix=f"outputs/run_{number:032x}/",
        nbf=1,
        exp=1 << 36,
        max_depth=6,
    )
    made = mint(KEY, root)
    for no in range(1, blocks):
        made = attenuate(made, LaterBlock(aud=f"agent:default/a{no}", read=patterns, run=f"run_{no}"))
    return made


def measure(work: Callable[[], object], times: int, rounds: int = 9) -> float:
    """µs for one `work()`."""
    found: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            work()
        found.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(found)


def main() -> None:
    """Print the table."""
    stands = Stands()
    for blocks in (1, 3, 7):
        for count, path in (
            (1, "contracts/acme.md"),
            (10, "contracts/acme.md"),
            (10, "public/x/y/index.html"),
        ):
            patterns = GLOBS[:count]
            made = token(patterns, blocks)
            holder = f"agent:default/a{blocks - 1}"

            def one(made: str = made, holder: str = holder, path: str = path) -> None:
                verify(made, KEYS, holder=holder, now=NOW, standing=stands).check(Operation.READ, path)

            def cold(one: Callable[[], None] = one) -> None:
                grant.forget()
                glob.globs.cache_clear()
                one()

            def new_run(one: Callable[[], None] = one) -> None:
                grant.forget()
                one()

            print(
                f"{blocks} block(s), {count:2} glob(s) each, {path:22}: "
                f"{measure(one, 2000):6.1f} µs warm, {measure(new_run, 200):7.1f} new run, "
                f"{measure(cold, 20):8.1f} cold"
            )
    print(f"mint one block: {measure(lambda: token(GLOBS, 1), 300):.1f} µs")
    seed = token(GLOBS, 1)
    narrower = LaterBlock(aud="agent:default/a1", read=GLOBS)
    print(f"attenuate: {measure(lambda: attenuate(seed, narrower), 300):.1f} µs")
    print(f"the whole check of the platform, one block with a limit: {through_the_platform():.1f} µs")


def through_the_platform() -> float:
    """µs for one `Authority.check`, with a limit that counts, over an empty database."""
    clock, entropy = SystemClock(), SystemEntropy()
    with TemporaryDirectory() as name:
        connection = sqlite3.connect(":memory:")
        migrate(connection)
        authority = Authority(
            keys=GrantKeys(Path(name) / "grants", entropy, clock),
            rows=GrantRows(connection),
            journal=Unwritten(),
            clock=clock,
            ids=TimeIds(clock, entropy),
            issuer="http://127.0.0.1:8080",
            org_no={"default": 1}.get,
        )
        holder = "agent:default/a0"
        issued = authority.issue(
            org="default",
            org_no=1,
            agent=holder,
            subject="ada@default",
            run="run_1",
            spec=GrantSpec(read=GLOBS, uses=1 << 40),
            seconds=600,
            base=0,
            caller=None,
        )
        spent = measure(
            lambda: authority.check(issued.token, holder, "run_1", Operation.READ, "contracts/acme.md"), 2000
        )
        connection.close()
    return spent


if __name__ == "__main__":
    main()
