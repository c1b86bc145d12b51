"""A worker's outputs as the events that are recorded of them: cut to what a record holds."""

from __future__ import annotations

import msgspec

from a2a_cloud.model.run import ArtifactEvent, LogEvent, ProgressEvent, UsageEvent
from a2a_cloud.model.task import Artifact
from a2a_cloud.runtime.logs import LEVELS
from a2a_cloud.wire.worker import Log, Made, Progress, Usage

#: Characters of a question, of a stage, of a progress message, of a key of `ctx.state`.
TEXT_LIMIT = 8192

_artifact = msgspec.json.Decoder(Artifact)


def progress_event(frame: Progress, at: float) -> ProgressEvent:
    """Progress; what is no percentage is unknown."""
    return ProgressEvent(
        stage=frame.stage[:TEXT_LIMIT],
        percent=frame.percent if 0 <= frame.percent <= 100 else -1.0,
        message=frame.message[:TEXT_LIMIT],
        at=at,
    )


def log_event(frame: Log, at: float) -> LogEvent:
    """A line of `ctx.log`."""
    level = frame.level if frame.level in LEVELS else "info"
    return LogEvent(level=level, line=frame.line[:TEXT_LIMIT], at=at)


def usage_event(frame: Usage) -> UsageEvent:
    """A quantity that was used."""
    return UsageEvent(meter=frame.meter, qty=frame.qty, unit=frame.unit)


def artifact_event(frame: Made) -> ArtifactEvent:
    """An artifact or a piece of one. Raises msgspec.MsgspecError for what is none."""
    return ArtifactEvent(artifact=_artifact.decode(frame.artifact), append=frame.append, last=frame.last)
