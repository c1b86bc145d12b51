"""The entry of the process. SIGINT and SIGTERM drain: running calls get 10 s, then it exits with 0."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop

from a2a_cloud.app.banner import banner
from a2a_cloud.app.dev import Watch
from a2a_cloud.app.platform import Platform
from a2a_cloud.client.profile import NotConfigured, write_local_profile
from a2a_cloud.model.problem import Problem
from a2a_cloud.ops.logs import knowing, set_up
from a2a_cloud.settings import load

log = logging.getLogger("a2a_cloud")

#: A word before the folders. No setting: those are there at every start.
NEW_KEY = "--rotate-receipt-key"


async def serve(folders: list[Path], *, new_key: bool = False) -> None:
    """Run until a signal says stop. `new_key`: receipts get another key from now on."""
    settings = load(os.environ)
    handler = set_up(settings.logs)
    plat = Platform(settings)
    knowing(handler, plat.about_run)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    recovered = await plat.start([] if settings.dev else folders, new_key=new_key)
    if not settings.dev:  # `a2a dev` leaves the profile to the platform that is up all day.
        _write_profile(plat)
    gc.collect()
    gc.freeze()
    gc.enable()
    watch = None
    if plat.settings.dev:
        watch = asyncio.create_task(Watch(plat, folders).run())
    else:
        print(banner(plat, recovered, await plat.first_link()), flush=True)
    await stop.wait()
    if watch is not None:
        watch.cancel()
    else:
        print("Draining: no new work, running calls get 10 s.", flush=True)
    await plat.stop()


def _own_address(plat: Platform) -> str:
    """Where commands of this machine reach it: by TLS under the name that its certificate has."""
    return plat.url if plat.tls is None else plat.settings.public_url or plat.url


def _write_profile(plat: Platform) -> None:
    try:
        write_local_profile(_own_address(plat), plat.key_path)
    except (OSError, NotConfigured) as error:
        log.warning("The profile `local` could not be written: %s", error)


def main() -> None:
    """The process's entry."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # Cycles are rare on the way of a call; looking for them often costs more than they do.
    gc.set_threshold(20_000, 20, 50)
    gc.disable()  # Until it is ready: see the package.
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            new_key = NEW_KEY in sys.argv[1:2]
            runner.run(serve([Path(name) for name in sys.argv[1 + new_key :]], new_key=new_key))
    except Problem as problem:
        print(f"a2a: {problem.detail}", file=sys.stderr)
        if problem.remedy:
            print(f"  {problem.remedy}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
