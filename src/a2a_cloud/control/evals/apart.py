"""Checks that may take long, made where they hold nobody up: off the loop, and a schema that could take for
ever in a process of its own, with limits. A few references that lead to each other are enough for that: what
they unfold to doubles with each."""

from __future__ import annotations

import asyncio
import resource
import sys
from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.control.evals import checks as look
from a2a_cloud.model.evaluation import Outcome
from a2a_cloud.wire.rubric import Check

#: Seconds of such a process: of its processor, and of the clock.
CPU_SECONDS, SECONDS = 5, 30.0
#: Processes at the same time.
SEATS = 2
#: Bytes of its memory, and of what it says.
_MEMORY, _MOST = 1 << 30, 1 << 20
#: Bytes of a schema times bytes of a value, up to which it is looked at here.
_LIGHT = 50_000_000
_REFERENCES = (b'"$ref"', b'"$dynamicRef"', b'"$recursiveRef"')
_encode = msgspec.json.Encoder().encode


class Job(Struct):
    """What the process takes."""

    check: Check
    result: Any
    schema: Any


class Apart:
    """Makes checks that only look."""

    def __init__(self) -> None:
        self._seats = asyncio.Semaphore(SEATS)

    async def judge(self, check: Check, result: Any, schema: Any = None) -> Outcome:
        """The same as `checks.judge`. Raises RecursionError."""
        made = await asyncio.to_thread(_judge, check, result, schema)
        if isinstance(made, Outcome):
            return made
        async with self._seats:
            said = await _process(made)
        if said is None:
            return look.broken(check, f"the schema takes longer than {CPU_SECONDS} s, or too much memory")
        return said


def _judge(check: Check, result: Any, schema: Any) -> Outcome | bytes:
    """The outcome, or the job of a process."""
    if check.kind == "schema":
        text, value = _encode(schema), _encode(result)
        if len(text) * len(value) > _LIGHT or any(word in text for word in _REFERENCES):
            return _encode(Job(check, result, schema))
    return look.judge(check, result, schema)


async def _process(job: bytes) -> Outcome | None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", "a2a_cloud.control.evals.apart"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(job), SECONDS)
        return msgspec.json.decode(said, type=Outcome) if not process.returncode else None
    except (TimeoutError, msgspec.MsgspecError):
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def main() -> None:
    """The process."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(_encode(look.judge(job.check, job.result, job.schema))[:_MOST])


if __name__ == "__main__":
    main()
