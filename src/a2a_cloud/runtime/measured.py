"""What the platform measures of a run that is charged by it: `seconds` that it worked, without those in
which it waited for somebody's answer, or for another worker once it had lost its own; and `bytes` that came
in and went out. Its receipt says both, and nothing that the agent reports under their names counts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from a2a_cloud.model.billing import BYTES, SECONDS
from a2a_cloud.model.run import StatusEvent
from a2a_cloud.model.task import INTERRUPTED

if TYPE_CHECKING:
    from a2a_cloud.runtime.live import Run
    from a2a_cloud.runtime.runs import Runs

#: Seconds are counted in thousandths.
_MILLI = Decimal("0.001")


def measure(runs: Runs, run: Run, response: bytes, ended: float) -> None:
    """Add what the run's price asks for to what it used."""
    meters = () if run.hold is None else run.hold.measures
    if not meters:
        return
    usage = run.usage = run.usage or {}
    for named in [one for one in usage if one[0] in meters]:
        del usage[named]
    if SECONDS in meters:
        usage[SECONDS, "s"] = _seconds(runs, run, ended)
    if BYTES in meters:
        usage[BYTES, "B"] = _bytes(run, response)


def _seconds(runs: Runs, run: Run, ended: float) -> Decimal:
    if run.started is None:
        return Decimal(0)
    waited, since = run.unworked, None
    events = runs.talk.all_events(run) if run.events_cut else run.events
    for _, event in (*events, *run.flight):
        if type(event) is StatusEvent:
            if event.state in INTERRUPTED:
                since = event.at if since is None else since
            elif since is not None:
                waited, since = waited + event.at - since, None
    return Decimal(max(0.0, ended - run.started - waited)).quantize(_MILLI)


def _bytes(run: Run, response: bytes) -> Decimal:
    call = run.call
    came = len(call.arguments) + sum(one.size for one in call.files)
    return Decimal(came + len(response) + run.text + run.uploaded)
