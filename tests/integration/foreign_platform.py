"""A platform whose workers are the one in Perl: `foreign_platform.py FOLDER`, with A2A_… settings."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from a2a_cloud.app import Platform
from a2a_cloud.model.problem import Problem
from a2a_cloud.settings import Settings

WORKER = Path(__file__).with_name("foreign_worker.pl")


async def serve() -> None:
    command = ("/usr/bin/env", "perl", str(WORKER))
    platform = Platform(Settings.from_env(os.environ), worker_command=command)
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, end.set)
    await platform.start([Path(sys.argv[1])])
    await end.wait()
    await platform.stop(1.0)


try:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
except Problem as problem:
    sys.exit(problem.detail)
