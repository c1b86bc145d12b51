"""Which sandbox a platform gets: the strongest that holds here, and never a weaker one in silence."""

from __future__ import annotations

from pathlib import Path

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.runtime.sandbox.jail import Jail, lacking
from a2a_cloud.runtime.sandbox.port import Sandbox
from a2a_cloud.runtime.sandbox.process import Process

NAMES = ("jail", "process")


def strongest(data: Path, want: str = "") -> Sandbox:
    """The jail if it passes its self-test here, else the bare process, whose `missing` says why.

    `want` names one ("": the strongest). Raises BadSetting when that one can't be had. Blocks for the
    time of the self-test.
    """
    if want not in ("", *NAMES):
        raise BadSetting(f"There is no sandbox {want!r}.", remedy=f"Write one of: {', '.join(NAMES)}.")
    if want == "process":
        return Process(data)
    reasons = lacking()
    if not reasons:
        jail = Jail(data)
        reasons = [
            f"The jail does not hold: {attack.name}: {attack.detail}."
            for attack in jail.self_test()
            if not attack.refused
        ]
        if not reasons:
            return jail
    if want:
        raise BadSetting("A jail can't be had here.", remedy=" ".join(reasons))
    return Process(data, tuple(reasons))
