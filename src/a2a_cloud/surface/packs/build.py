"""A pack as it is sent, file by file: nothing waits for the whole. What is kept while it is made is a line of
the zip's directory and of the manifest for each file; what the page says of each run lies aside on disk."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import msgspec
from msgspec import UNSET

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import AgentNotFound, TooLarge
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.packs.dossier import Archive, Dossier
from a2a_cloud.surface.packs.page import pack_page
from a2a_cloud.surface.packs.wanted import Selection
from a2a_cloud.surface.packs_port import Packs
from a2a_cloud.surface.pages.verifier import verifier_file
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.runs_port import RunRow
from a2a_cloud.wire.pack_manifest import Listed, Manifest, PackWriter
from a2a_cloud.wire.pack_zip import PackError

#: Bytes that are sent at a time, and what is kept in memory of the page's parts before a file is made.
_PIECE = 256 << 10
_ASIDE = 1 << 20
#: Look-ups of leaves before calls come between.
_PAGE = 200
#: Seconds that a pack waits for a checkpoint over what has just happened.
_PATIENCE = 3.0
#: Stands beside keys.
NOTE = (
    "These keys came with the pack and prove nothing about it: anybody can make a pack with keys of their "
    "own. Take the issuer's keys from elsewhere, as its /.well-known/jwks.json over a way that you trust."
)

_encode = msgspec.json.Encoder().encode


async def build(
    services: Services, packs: Packs, selection: Selection, by: Principal, still: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """The pack, piece by piece, within a turn (`Packs.turn`). `still` raises once nobody waits for it. Raises
    before the first piece what reading the first run raises; TooLarge, Unavailable when it breaks off."""
    with (
        tempfile.SpooledTemporaryFile(_ASIDE) as told,
        tempfile.SpooledTemporaryFile(_ASIDE) as page,
    ):
        making = _Making(
            services, packs, selection, by, still, cast("BinaryIO", told), cast("BinaryIO", page)
        )
        held = bytearray()
        try:
            async for piece in making.pieces():
                held += piece
                if len(held) >= _PIECE:
                    yield bytes(held)
                    held.clear()
        except PackError as error:
            raise TooLarge(f"The pack ends here: {error}.", remedy="Make one for each part of it.") from None
        yield bytes(held)


class _Making:
    """One pack in the making."""

    def __init__(
        self,
        services: Services,
        packs: Packs,
        selection: Selection,
        by: Principal,
        still: Callable[[], None],
        told: BinaryIO,
        page: BinaryIO,
    ) -> None:
        self._services = services
        self._packs = packs
        self._selection = selection
        self._by = by
        self._still = still
        self._told = told
        self._page = page
        self._writer = PackWriter()
        self._made_at = stamp(services.clock.now())
        #: Digests of releases whose papers are in it.
        self._releases: set[str] = set()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """See `build`."""
        selection = self._selection
        mentions: Mapping[str, Sequence[int]] = {}
        if selection.whole:
            mentions = await self._packs.mentions(selection.scope, selection.runs[0].created)
        await self._settled(max((index for each in mentions.values() for index in each), default=0))
        archive = Archive(self._services, self._packs, selection, mentions)
        for run in selection.runs:
            self._still()
            found = archive.dossier(run)
            for name, data in found.files:
                yield self._writer.add(name, data)
            if selection.whole:
                async for piece in self._papers(run, found):
                    yield piece
            self._told.write(_encode(found.summary) + b"\n")
            await asyncio.sleep(0)  # Calls come between.
        for name, data in self._common():
            yield self._writer.add(name, data)
        await asyncio.to_thread(pack_page, self._about(), self._summaries(), self._page)
        for piece in self._writer.add_file("index.html", self._page):
            yield piece
        ends = self._writer.close(self._manifest, self._packs.sign)
        last = [next(ends), next(ends)]
        self._still()  # What nobody gets was not made.
        whole = {"runs": len(selection.runs), "view": "whole" if selection.whole else "own"}
        await self._packs.made(
            selection.scope.org,
            self._by.label,
            self._writer.manifest_sha256,
            bytes=self._writer.size,
            **whole,
        )
        for piece in (*last, *ends):
            yield piece

    async def _settled(self, index: int) -> None:
        """Returns once a checkpoint covers the receipts of all runs and the event at `index`, or soon: what
        has just happened has no proof. Which run is sealed last does not follow from when it was accepted:
        a parent comes before its children, and is sealed after them."""
        if (log := self._services.log) is not None:
            org = self._selection.scope.org
            for count, run in enumerate(self._selection.runs):
                if count % _PAGE == 0:
                    await asyncio.sleep(0)
                index = max(index, log.logs.of_run(org, run.id))
            await log.logs.covered(org, index, _PATIENCE)

    async def _papers(self, run: RunRow, found: Dossier) -> AsyncGenerator[bytes]:
        """What the run's release is made of and how it came about, once for each release. There are no papers
        of an agent that is gone; its name may be another one's by now, whose release has another digest."""
        image = str(found.summary["body"]["agent"]["image_digest"])
        if image in self._releases:
            return
        self._releases.add(image)
        name = f"{self._selection.org}.{run.agent}"
        try:
            agent = self._services.registry.agent(name, self._selection.scope.org)
        except AgentNotFound:
            return
        record = agent.records.get(run.release)
        if record is None or record.release.digest != image:
            return
        for kind in ("sbom", "provenance"):
            part = await self._services.parts.part(kind, record)
            if part is not None:
                yield self._writer.add(f"{kind}/{image.removeprefix('sha256:')}.json", part[0])

    def _common(self) -> Iterator[tuple[str, bytes]]:
        """The log's state, the keys and the page that checks."""
        org, name = self._selection.scope.org, self._selection.org
        if (log := self._services.log) is not None:
            yield "log/checkpoint", log.logs.checkpoint(org, name)
            origin = log.logs.place(org, name).origin
            keys = [{"vkey": key.vkey, "kid": key.kid} for key in log.keys.history(origin)]
            yield "log/keys.json", _encode({"note": NOTE, "origin": origin, "keys": keys})
        keys = json.loads(self._services.jwks())["keys"]
        yield "keys.json", _encode({"note": NOTE, "keys": keys})
        yield "verify.html", verifier_file()

    def _manifest(self, files: dict[str, Listed]) -> Manifest:
        selection = self._selection
        return Manifest(
            agent=selection.agent,
            files=files,
            kind="pack",
            made_at=self._made_at,
            made_by=self._by.label,
            org=selection.org,
            runs=len(selection.runs),
            since=selection.since if selection.since is UNSET else stamp(selection.since),
            until=selection.until if selection.until is UNSET else stamp(selection.until),
            v=1,
            view="whole" if selection.whole else "own",
        )

    def _about(self) -> dict[str, Any]:
        """What the page says of the pack."""
        manifest = self._manifest({})
        return msgspec.to_builtins(manifest) | {"skipped": self._selection.skipped}

    def _summaries(self) -> Iterator[dict[str, Any]]:
        self._told.seek(0)
        for line in self._told:
            yield msgspec.json.decode(line, type=dict[str, Any])
