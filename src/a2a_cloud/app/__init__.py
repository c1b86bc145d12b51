"""The platform as a process: `python -m a2a_cloud.app [FOLDER…]` serves the agents in the folders and those
that it served before; settings come from the environment (settings.py). The only place that knows all
planes."""

from __future__ import annotations

import gc

# What is imported stays: to look for garbage among it meanwhile takes a tenth of the time until it is ready.
_looks = gc.isenabled()
gc.disable()
try:
    from a2a_cloud.app.platform import Platform
finally:
    if _looks:
        gc.enable()

__all__ = ["Platform"]
