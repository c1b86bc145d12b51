"""What a release is made of, to look at and to compare: source, lock, bill of materials, provenance."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from a2a_cloud.control.deploys.compare import compare
from a2a_cloud.control.deploys.difference import environment_difference, source_difference
from a2a_cloud.control.deploys.ports import Builder, Built
from a2a_cloud.control.registry.catalog import Record
from a2a_cloud.model.release import Release
from a2a_cloud.wire.archive import write_archive
from a2a_cloud.wire.source import list_source

#: Writes a document about a release and its environment: (release, environment, started, ended).
Document = Callable[[Release, Built, float, float], bytes]


class Parts:
    """One per platform. `sbom` and `provenance` are the documents' writers."""

    def __init__(self, builder: Builder, sbom: Document, provenance: Document) -> None:
        self._builder = builder
        self._documents = {
            "sbom": (sbom, "application/vnd.cyclonedx+json"),
            "provenance": (provenance, "application/vnd.in-toto+json"),
        }

    async def part(self, kind: str, record: Record) -> tuple[bytes, str] | None:
        """(bytes, media type) of `source`, `lock`, `sbom` or `provenance`; None when there is none."""
        release = record.release
        if kind == "source":
            return await asyncio.to_thread(_archive, Path(release.folder)), "application/gzip"
        built = self._builder.find(release.environment) if release.environment and record.ready else None
        if built is None:
            return None
        if kind == "lock":
            return built.lock, "text/plain; charset=utf-8"
        if kind in self._documents:
            write, media_type = self._documents[kind]
            return write(release, built, record.created, record.ended or record.created), media_type
        return None

    async def difference(self, old: Record, new: Record) -> dict[str, Any]:
        """`source`, `card` and `environment` of two releases compared."""
        source = await asyncio.to_thread(
            source_difference, Path(old.release.folder), Path(new.release.folder)
        )
        return {
            "source": source,
            "card": compare(old.release.skills, new.release.skills),
            "environment": environment_difference(self._lock(old), self._lock(new)),
        }

    def _lock(self, record: Record) -> bytes:
        built = self._builder.find(record.release.environment) if record.release.environment else None
        return built.lock if built is not None else b""


def _archive(folder: Path) -> bytes:
    out = io.BytesIO()
    write_archive(folder, list_source(folder), out)
    return out.getvalue()
