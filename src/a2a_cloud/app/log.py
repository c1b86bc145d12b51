"""The audit logs tied to the rest: their name and key, tiles beside the objects, and what the platform itself
has to say in its own log: a copy that was put back, settings that are others than at the last start."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from a2a_cloud.control.identity.log_key import LogKeys
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.checks import Check
from a2a_cloud.ops.restore import RESTORED
from a2a_cloud.settings import Settings
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.log.logs import Journal, Logs
from a2a_cloud.storage.log.rows import PLATFORM_NO, PUT_TOLD, LogRows
from a2a_cloud.storage.log.tiles_store import open_tiles
from a2a_cloud.storage.sql.audit import MOST, change

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger("a2a_cloud.log")

_BY = "platform"
#: The receipts' key among what was told; no setting has such a name.
_KEY = "(receipt key)"
#: So long the doctor says that a copy was put back.
TOLD_SECONDS = 30 * 86_400.0


@dataclass
class AuditLogs:
    """See surface.log_port.AuditLogs."""

    logs: Logs
    keys: LogKeys
    restored: str = ""

    def checks(self) -> list[Check]:
        """What `a2a doctor` says of them."""
        found = [Check("log", "fail", what, remedy) for what, remedy in self.logs.troubles()]
        if self.restored:
            found.append(Check("log", "warn", self.restored, "Tell those who keep checkpoints of it."))
        return found or [Check("log", "ok", f"checkpoints are signed and stored, as {self.logs.name}")]


async def logs_of(
    settings: Settings,
    data: Path,
    connection: sqlite3.Connection,
    journal: Journal,
    clock: Clock,
    entropy: Entropy,
    receipt_key: str,
) -> AuditLogs:
    """The logs, not yet started. `receipt_key`: the id of the key that signs receipts. Raises Unavailable,
    BadSetting."""
    rows = LogRows(connection)
    keys = LogKeys(data / "keys", rows, journal, clock, entropy)
    await keys.settle()
    logs = Logs(
        data / "journal.db",
        connection,
        journal,
        keys,
        open_tiles(settings.objects, data),
        clock,
        name=urlsplit(settings.public_url).netloc or keys.name,
    )
    found = AuditLogs(logs, keys)
    await _tell_restored(found, data, rows, journal, clock)
    await _tell_settings(settings, rows, journal, clock, receipt_key)
    keys.changed = logs.resign
    return found


async def _tell_restored(found: AuditLogs, data: Path, rows: LogRows, journal: Journal, clock: Clock) -> None:
    """A restored copy says so in each log, once: whoever holds a later checkpoint learns why it is gone."""
    path = data / RESTORED
    if path.is_file():
        told: dict[str, Any] = json.loads(path.read_bytes())
        now = clock.now()
        ops: list[Op] = [
            change(number, now, _BY, "log.restored", name, size=size, copied=told["made"])
            for number, name, size in rows.sizes()
        ]
        await journal.write(ops)
        path.unlink()
    last = rows.last_of(PLATFORM_NO, "log.restored")
    if clock.now() - last < TOLD_SECONDS:
        found.restored = (
            f"a copy was put back at {stamp(last)}: the logs go on from its checkpoints, and whoever holds"
            " later ones sees that they are gone"
        )


async def _tell_settings(
    settings: Settings, rows: LogRows, journal: Journal, clock: Clock, receipt_key: str
) -> None:
    """Which settings are others than at the last start, and whether receipts have another key; secrets are
    masked as `a2a config` masks them."""
    now = {one.name: one.value[:MOST] for one in settings.told} | {_KEY: receipt_key}
    before = rows.told()
    if before == now:
        return
    ops: list[Op] = [(PUT_TOLD, (PLATFORM_NO, json.dumps(now)))]
    if before is not None:
        names = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
        changed = {name: now.get(name, "") for name in names if name != _KEY}
        if changed:
            ops.append(change(PLATFORM_NO, clock.now(), _BY, "settings.changed", "settings", now=changed))
        # Also when somebody moved the file away: what is told follows from the key, not from who changed it.
        if (old := before.get(_KEY, receipt_key)) != receipt_key:
            ops.append(change(PLATFORM_NO, clock.now(), _BY, "receipt_key.rotated", receipt_key, before=old))
    await journal.write(ops)
