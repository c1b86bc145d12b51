"""How long what runs leave behind is kept. Receipts, the log over them and the audit log stay for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from a2a_cloud.settings.read import whole

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """Seconds after a task's end (of `logs`: after the line), 0 for ever. `events`: what its runs said and
    did. `payloads`: what they were asked."""

    events: float = 0.0
    payloads: float = 0.0
    logs: float = 30 * _DAY


def read_keeping(environ: Mapping[str, str]) -> Keeping:
    """The settings out of `A2A_KEEP_…`. Raises BadSetting."""

    def days(name: str, default: int) -> float:
        return whole(environ, name, default, 0, 36_500, "days from 1 to 36500, or 0 for ever") * _DAY

    return Keeping(
        events=days("A2A_KEEP_EVENTS_DAYS", 0),
        payloads=days("A2A_KEEP_PAYLOADS_DAYS", 0),
        logs=days("A2A_KEEP_LOGS_DAYS", 30),
    )
