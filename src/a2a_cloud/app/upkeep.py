"""Keeping the platform: clearing away, copies, traces and metrics, and what settings hold."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from a2a_cloud.model.problem import Busy, Internal, Problem, StorageFull, Unavailable
from a2a_cloud.model.run import (
    ApprovalEvent,
    ArtifactEvent,
    EffectStarted,
    EgressEvent,
    ProgressEvent,
    RunEvent,
    StatusEvent,
)
from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.checks import Check
from a2a_cloud.ops.logs import about
from a2a_cloud.ops.retention import Retention
from a2a_cloud.runtime.live import Run
from a2a_cloud.settings import Settings
from a2a_cloud.storage.log.rows import PLATFORM_NO
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.surface.operator_port import Setting

if TYPE_CHECKING:
    from a2a_cloud.app.platform import Platform
    from a2a_cloud.ops.telemetry import Telemetry

log = logging.getLogger("a2a_cloud.upkeep")

#: Seconds after the start before anything is cleared away, between two steps of a pass, and between two
#: looks whether it is time for one.
_FIRST, _STEP, _LOOK = 60.0, 0.05, 60.0
_PIECE = 256 << 10
_FLUSH_SECONDS = 5.0

Gauges = Callable[[], Iterable[tuple[str, str, float]]]


class Upkeep:
    """One per platform that has started. Satisfies surface.operator_port.Operator."""

    def __init__(self, platform: Platform, gauges: Gauges, key: str) -> None:
        """`key` is the id of the key in the data folder."""
        self.key = key
        self._platform = platform
        self._settings = platform.settings
        self._copying = False
        self.retention = Retention(
            platform.journal,
            platform.data / "journal.db",
            platform.objects,
            platform.clock,
            platform.settings.keeping,
            platform.data / "retention",
            lambda: self._copying or platform.journal.full,
        )
        self.telemetry = _telemetry(platform, gauges)
        if self.telemetry is not None:
            platform.runs.watch = Watch(self.telemetry)
        self._task = asyncio.create_task(self._clear_away())

    async def close(self) -> None:
        """End what it does."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.retention.close()
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close, _FLUSH_SECONDS)

    async def _clear_away(self) -> None:
        await asyncio.sleep(_FIRST)
        while True:
            try:
                await self.retention.step()
            except (Problem, OSError, sqlite3.Error) as error:
                log.warning("Nothing is cleared away for now: %s", error)
                await asyncio.sleep(_LOOK)
            await asyncio.sleep(_STEP if self.retention.now.began else _LOOK)

    def settings(self) -> tuple[str, list[Setting]]:
        """See Operator."""
        told = [Setting(*one) for one in self._settings.told]
        return str(self._settings.config or ""), told

    async def backup(self, by: str) -> AsyncGenerator[bytes]:
        """See Operator."""
        if self._copying:
            raise Busy("A copy is being made already.", remedy="Try again when it is done.", retry_after=30)
        self._copying = True  # And nothing is cleared away meanwhile.
        try:
            now = self._platform.clock.now()
            await self._platform.journal.write([change(PLATFORM_NO, now, by, "backup.began", "backup")])
            async for piece in self._copied():
                yield piece
        finally:
            self._copying = False

    async def _copied(self) -> AsyncGenerator[bytes]:
        where = _objects(self._settings)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-m", "a2a_cloud.ops.backup", str(self._platform.data), where),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_PIECE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        begun = False
        try:
            while piece := await process.stdout.read(_PIECE):
                begun = True
                yield piece
            why = (await process.stderr.read(4096)).decode("utf-8", "replace").strip()
            if await process.wait():
                log.error("The copy failed: %s", why)
                raise _broken(why, begun)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def checks(self) -> list[Check]:
        """What `a2a doctor` says of all this."""
        found = [*_unread(self._settings), _reached(self._settings)]
        now = self.retention.now
        if now.began:
            found.append(Check("retention", "ok", f"clearing away ({now.stage})"))
        elif now.ended:
            what = f"{now.lines} log lines, what {now.calls} runs were asked and {now.runs} said"
            told = f"last cleared away {stamp(now.ended)}: {what}, {now.files} files"
            found.append(Check("retention", "ok", told))
        return found


class Watch:
    """Tells runs' beginnings and ends as spans. Satisfies runtime.ports.Watch."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def accepted(self, run: Run) -> None:
        """See Watch."""
        request = about.get()
        asked = b"" if request is None or request.over else request.traceparent
        parent = run.call.parent
        self._telemetry.accepted(run.id, "" if parent is None else parent.run_id, asked)

    def ended(self, run: Run) -> None:
        """See Watch."""
        from a2a_cloud.ops.telemetry import Ran

        call, outcome = run.call, run.ending
        problem = outcome.problem if outcome is not None else None
        events = [one for _, event in run.events if (one := _event(event)) is not None]
        if run.record is not None:
            started = run.record.started.values()
            events += [one for event in started if (one := _event(event)) is not None]
        self._telemetry.ended(
            Ran(
                run.id,
                run.task_id,
                run.context_id,
                call.release.name,
                call.release.manifest.version,
                call.skill,
                call.dialect,
                run.state.short,
                "" if problem is None else problem.code,
                run.receipt_id,
                "" if call.parent is None else call.parent.run_id,
                call.trace_id,
                run.attempt,
                run.created,
                run.started or 0.0,
                run.ended or run.created,
                events,
            )
        )


def _event(event: RunEvent) -> tuple[str, float, dict[str, Any]] | None:
    """What a span says of an event: that it was, and never its content."""
    if isinstance(event, StatusEvent):
        return ("status", event.at, {"a2a.task.state": event.state.short})
    if isinstance(event, ProgressEvent):
        return ("progress", event.at, {"a2a.progress.stage": event.stage[:100]})
    if isinstance(event, ArtifactEvent):
        return ("artifact", 0.0, {"a2a.artifact.id": event.artifact.artifact_id})
    if isinstance(event, ApprovalEvent):
        return ("approval", event.at, {"a2a.approval.id": event.approval, "a2a.approval.state": event.state})
    if isinstance(event, EgressEvent):
        return ("egress", event.at, {"server.address": event.host, "server.port": event.port})
    if isinstance(event, EffectStarted):
        return ("effect", 0.0, {"a2a.effect.kind": event.kind, "a2a.effect.name": event.name[:100]})
    return None


def _telemetry(platform: Platform, gauges: Gauges) -> Telemetry | None:
    settings = platform.settings.telemetry
    if not settings.endpoint:
        return None
    try:
        from a2a_cloud.ops.telemetry import Telemetry
    except ImportError as error:
        raise Unavailable(
            "A2A_OTLP_ENDPOINT is set, and OpenTelemetry is not installed.",
            remedy="pip install 'a2a-cloud[platform]', or leave the setting out.",
            operator=str(error),
        ) from error
    return Telemetry(settings, platform.clock, platform.entropy, gauges)


def _objects(settings: Settings) -> str:
    """The folder of objects, "" when they are in a bucket."""
    if not settings.objects:
        return str(settings.data / "objects")
    scheme, _, path = settings.objects.partition("://")
    return "/" + path.partition("/")[2] if scheme == "file" else ""


def _broken(why: str, begun: bool) -> Problem:
    said = why.rpartition("a2a backup: ")[2][:500] or "the copying process ended"
    if "no room" in said or "No space left" in said:
        return StorageFull(remedy="Free some space on the disk of A2A_DATA.", operator=why)
    if begun:
        return Internal("The copy broke off: what came of it is no backup.", operator=why)
    return Unavailable(f"No copy can be made: {said}", remedy="Mend that, and try again.", operator=why)


def _unread(settings: Settings) -> list[Check]:
    odd = [one.name for one in settings.told if one.source.endswith("read by nobody")]
    if not odd:
        return []
    names = ", ".join(odd[:10])
    return [Check("settings", "warn", f"{names}: no setting has this name.", "See docs/settings.md.")]


def _reached(settings: Settings) -> Check:
    transport = settings.transport
    if transport.cert is not None:
        return Check("transport", "ok", f"TLS, with the certificate in {transport.cert}")
    if transport.proxies:
        return Check("transport", "ok", "plain HTTP for its proxies and this machine alone")
    if transport.insecure:
        remedy = "Set A2A_TLS_CERT and A2A_TLS_KEY, or A2A_TRUSTED_PROXIES (docs/tls.md)."
        return Check("transport", "warn", "plain HTTP, as A2A_INSECURE_HTTP says", remedy)
    return Check("transport", "ok", "plain HTTP, on this machine alone")
