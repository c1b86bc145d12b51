"""The witnesses of `A2A_WITNESSES` tied to the audit logs: shown each new checkpoint, kept what they sign."""

from __future__ import annotations

from collections.abc import Sequence

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.checks import Check
from a2a_cloud.ops.witnessing import WitnessAt, Witnesses
from a2a_cloud.settings import Settings
from a2a_cloud.storage.log.logs import Logs


class LogWitnesses:
    """Those who cosign these logs. Without any it does nothing."""

    def __init__(self, settings: Settings, logs: Logs, clock: Clock) -> None:
        async def prove(org: int, old: int, new: int) -> Sequence[bytes]:
            return logs.consistency(org, old, new)

        self._logs = logs
        self._asked = [WitnessAt(*each) for each in settings.witnesses]
        self._witnesses = Witnesses(self._asked, prove, logs.cosigned, clock)

    def start(self) -> None:
        """Begin, with the checkpoints that there are."""
        if self._asked:
            self._logs.on_checkpoint.append(self._witnesses.on_checkpoint)
            self._witnesses.start()
            self._logs.resign()

    def checks(self) -> list[Check]:
        """What `a2a doctor` says of them."""
        found: list[Check] = []
        for each in self._witnesses.standing():
            if each.why:
                detail = f"{each.name} at {each.url} does not cosign: {each.why}"
                found.append(Check("witness", "warn", detail, "See docs/audit-log.md, Witnesses."))
            else:
                since = f"cosigned last at {stamp(each.cosigned)}" if each.cosigned else "was not asked yet"
                found.append(Check("witness", "ok", f"{each.name} {since}"))
        return found

    async def close(self) -> None:
        """Stop asking."""
        await self._witnesses.close()
