"""The platform as a process: `python -m a2a_cloud.app [FOLDER…]` serves the agents in the folders and those
that it served before; settings come from the environment (settings.py). The only place that knows all
planes."""

from __future__ import annotations

from a2a_cloud.app.platform import Platform

__all__ = ["Platform"]
