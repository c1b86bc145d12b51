"""What the platform writes to its standard error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from a2a_cloud.settings.read import choice


@dataclass(frozen=True, slots=True)
class Logs:
    """`form`: `text`, `json`, or "" for text on a terminal and JSON elsewhere. `level`: from which on."""

    form: str = ""
    level: str = "info"


def read_logs(environ: Mapping[str, str]) -> Logs:
    """The settings out of `A2A_LOG_…`. Raises BadSetting."""
    forms = "text or json, or nothing for text on a terminal and JSON elsewhere"
    levels = ("debug", "info", "warning", "error")
    return Logs(
        form=choice(environ, "A2A_LOG_FORMAT", ("", "text", "json"), "", forms),
        level=choice(environ, "A2A_LOG_LEVEL", levels, "info", ", ".join(levels[:-1]) + " or error"),
    )
