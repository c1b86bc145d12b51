"""The daily loop (`a2a dev`): watch an agent's folder, and serve what is saved or say why not.

Speaks to `a2a dev` in one JSON object a line on stdout: `ready`, `reloaded`, `broken`. A folder that does
not work leaves the release before it serving.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from watchfiles import DefaultFilter, awatch  # pyright: ignore[reportUnknownVariableType]

from a2a_cloud.app.platform import Platform
from a2a_cloud.control.deploys.pipeline import Wish
from a2a_cloud.control.registry.catalog import Record
from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.problem import Problem

#: Milliseconds without a further change after which a save is over; how often that is looked at.
DEBOUNCE = 40
STEP = 10


class _Filter(DefaultFilter):
    ignore_dirs = (*DefaultFilter.ignore_dirs, ".a2a", ".ruff_cache", ".venv")


class Watch:
    """Serves folders anew whenever they change."""

    def __init__(self, platform: Platform, folders: list[Path]) -> None:
        self._platform = platform
        self._folders = folders
        org_no = platform.identity.org_no(DEFAULT_ORG)
        assert org_no is not None
        self._org_no = org_no

    async def run(self) -> None:
        """Serve the folders, then each change of them, until cancelled."""
        await asyncio.gather(*(self._follow(folder) for folder in self._folders))

    async def _follow(self, folder: Path) -> None:
        served = await self._serve(folder, "ready")
        async for _ in awatch(
            folder, watch_filter=_Filter(), debounce=DEBOUNCE, step=STEP, rust_timeout=1000, recursive=True
        ):
            ended = await self._serve(folder, "reloaded" if served else "ready")
            served = served or ended

    async def _serve(self, folder: Path, event: str) -> bool:
        platform = self._platform
        begun = platform.clock.monotonic()
        wish = Wish(by=f"dev@{DEFAULT_ORG}", force=True)
        try:
            record = await platform.deploys.folder(folder, self._org_no, DEFAULT_ORG, wish)
        except Problem as problem:
            detail, *lines = problem.detail.split("\n  ")
            remedy = problem.remedy
            _say(event="broken", code=problem.code, detail=detail, remedy=remedy, lines=lines)
            return False
        took = round((platform.clock.monotonic() - begun) * 1000)
        _say(event=event, url=platform.url, ms=took, **_facts(record))
        return True


def _facts(record: Record) -> dict[str, Any]:
    release = record.release
    return {
        "agent": release.name,
        "release": release.number,
        "skills": [spec.id for spec in release.skills],
        "findings": json.loads(bytes(record.notes.findings)),
    }


def _say(**facts: Any) -> None:
    print(json.dumps(facts, ensure_ascii=False), flush=True)
