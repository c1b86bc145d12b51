"""Everything that may be said to the platform from outside, read once into one typed object: variables
`A2A_…`, the file a2a-cloud.toml (sources.py), and files that hold secrets.

Every setting has a default that suits one machine; a value that can't be used is refused with a Problem
that names the setting, the value and what to write. Nothing else in the platform reads the environment.
The table of settings is in docs/settings.md.
"""

from __future__ import annotations

from a2a_cloud.settings.http import GIB, KIB, MIB, HttpLimits
from a2a_cloud.settings.keeping import Keeping
from a2a_cloud.settings.logs import Logs
from a2a_cloud.settings.platform import Settings
from a2a_cloud.settings.sources import Told, load
from a2a_cloud.settings.telemetry import Telemetry
from a2a_cloud.settings.transport import Transport

__all__ = [
    "GIB",
    "KIB",
    "MIB",
    "HttpLimits",
    "Keeping",
    "Logs",
    "Settings",
    "Telemetry",
    "Told",
    "Transport",
    "load",
]
