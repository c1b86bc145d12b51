"""The steps of a deploy as they happen, each with how long it took, by the platform's own clock."""

from __future__ import annotations

import sys
from typing import Any

from a2a_cloud.callers.cli.terminal import Progress, clean_line, put_json, say
from a2a_cloud.callers.cli.units import between, size, took
from a2a_cloud.client.shapes import text

#: Bytes of an archive from which its upload is worth a line of its own where there is no terminal.
_LONG_UPLOAD = 4_000_000


class Steps:
    """Shows what a deploy does: one changing line on a terminal, plain lines elsewhere.

    `quiet`: nothing at all (`--json`); `stream`: a JSON object a line on standard output instead.
    """

    def __init__(self, *, quiet: bool, stream: bool) -> None:
        self._quiet = quiet
        self._stream = stream
        self._terminal = sys.stderr.isatty()
        self._progress = Progress(quiet=quiet)
        self._step = self._since = self._said = ""
        self._lost = False
        self._share = 0

    @property
    def streams(self) -> bool:
        """Whether standard output is JSON lines."""
        return self._stream

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """A line of `--json --stream`."""
        if self._stream:
            put_json({"event": kind, "data": data})

    def say(self, line: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._progress.clear()
            say(clean_line(line))

    def uploading(self, done: int, total: int) -> None:
        """So many bytes of the archive are on their way."""
        parts = 20 if self._terminal else 4
        share = parts * done // max(total, 1)
        if share < self._share:
            self._share = 0  # it began anew
        if share > self._share and (self._terminal or total >= _LONG_UPLOAD):
            self._share = share
            self._progress.show(f"upload: {size(done)} of {size(total)}")

    def entry(self, entry: dict[str, Any]) -> None:
        """An entry of the release's progress."""
        self.event("progress", entry)
        self._found()
        step, message, at = (text(entry.get(name)) for name in ("step", "message", "at"))
        level = text(entry.get("level"))
        if step != self._step:
            self.finish(at)
            self._step, self._since, self._said = step, at, ""
        if level == "error":
            return  # the end tells it, with the cause
        if level == "warning":
            self.say(f"  warning: {message} ({step})")
            return
        self._said = message or self._said
        self._progress.show(f"{step}: {message}" if message else step)

    def finish(self, at: str, *, failed: bool = False) -> None:
        """The step that was under way ended, at the stamp `at`."""
        if not self._step:
            return
        seconds = between(self._since, at)
        time = took(seconds) if seconds is not None else ""
        if self._terminal:
            mark = "✗" if failed else "✓"
            self.say(f"{mark} {self._step:12} {time:>8}  {self._said}".rstrip())
        else:
            self.say(f"{self._step} {'failed after' if failed else 'took'} {time or 'a while'}")
        self._step = ""

    def broken(self, why: str) -> None:
        """The connection is gone, or the platform restarts; said once until there is an answer."""
        if not self._lost:
            self._lost = True
            self.event("connection", {"detail": why})
            self.say(f"  no answer ({why}); the deploy goes on, asking again for up to 5 minutes")

    def _found(self) -> None:
        if self._lost:
            self._lost = False
            self.event("connection", {"detail": "found again"})
            self.say("  connected again")

    def clear(self) -> None:
        """Take the changing line away."""
        self._progress.clear()
