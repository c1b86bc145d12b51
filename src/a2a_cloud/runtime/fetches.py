"""Files behind `url` parts, fetched for agents: their code reaches no network for them, and a message means
the same however late it is read (docs/push.md and docs/http.md)."""

from __future__ import annotations

import asyncio
import binascii
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from a2a_cloud.model.problem import EgressRefused, InvalidParams, UpstreamFailed
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.runtime.outward import Outward, place
from a2a_cloud.runtime.places import Places
from a2a_cloud.storage.objects.port import ObjectStore

if TYPE_CHECKING:
    import aiohttp

#: Seconds for a file to be there whole; files that are fetched at once, in all and for one owner.
SECONDS = 60.0
AT_ONCE, BY_OWNER = 64, 8
_CHUNK = 256 << 10
_FILENAME = re.compile(r'filename="([^"\r\n]{1,200})"|filename=([^;\s"]{1,200})')
_DATA = re.compile(r"data:([^,]*),(.*)", re.DOTALL)


class Fetched(NamedTuple):
    """A file that was fetched; `media_type` and `filename` are "" where nobody said."""

    ref: ObjectRef
    media_type: str
    filename: str


class Files:
    """See the module. Loop thread only."""

    def __init__(self, outward: Outward, objects: ObjectStore) -> None:
        self._outward = outward
        self._objects = objects
        self._all = asyncio.Semaphore(AT_ONCE)
        self._places = Places()

    async def fetch(self, url: str, limit: int, field: str, owner: int) -> Fetched:
        """The file at `url` for the principal `owner`, of at most `limit` bytes, as an object; what `data:`
        holds is there already. Raises InvalidParams, which says why there is none, StorageFull."""
        if url[:5].lower() == "data:":
            return await self._inline(url, limit, field)
        where = place(url, field)
        try:
            async with (
                self._places.one_of(owner, BY_OWNER),
                self._all,
                self._outward.get(where, SECONDS) as response,
            ):
                if response.status != 200:
                    raise _none(where.origin, f"answered {response.status}", field)
                if (response.content_length or 0) > limit:
                    raise _large(limit, field)
                ref = await self._store(response, limit, field)
                return Fetched(ref, _media_type(response), _filename(response))
        except EgressRefused as refused:
            raise InvalidParams(
                f"The file may not be fetched: {refused.detail}", remedy=refused.remedy, info={"field": field}
            ) from None
        except UpstreamFailed as failed:
            raise _none(where.origin, f"can't be asked: {failed.detail}", field) from None

    async def _store(self, response: aiohttp.ClientResponse, limit: int, field: str) -> ObjectRef:
        writer = self._objects.writer()
        try:
            size = 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise _large(limit, field)
                writer.write(chunk)
            return await writer.finish()
        finally:
            writer.abort()

    async def _inline(self, url: str, limit: int, field: str) -> Fetched:
        """What a data: URL holds (RFC 2397)."""
        found = _DATA.match(url)
        head, body = (found[1], found[2]) if found else ("", "")
        media_type, *parameters = head.split(";")
        try:
            data = unquote_to_bytes(body)
            if parameters and parameters[-1].strip().lower() == "base64":
                data = binascii.a2b_base64(data, strict_mode=True)
        except (binascii.Error, ValueError):
            found = None
            data = b""
        if found is None:
            raise InvalidParams(
                "The data: address can't be read.",
                remedy="Write data:TYPE;base64,…, or send raw.",
                info={"field": field},
            )
        if len(data) > limit:
            raise _large(limit, field)
        return Fetched(await self._objects.put(data), media_type.strip().lower() or "text/plain", "")

    async def close(self) -> None:
        """Close all connections."""
        await self._outward.close()


def _none(origin: str, why: str, field: str) -> InvalidParams:
    return InvalidParams(
        f"The file could not be fetched: {origin} {why}.".replace("..", "."),
        remedy="Name an address that answers a GET with the file, or send the file itself as raw.",
        info={"field": field},
    )


def _large(limit: int, field: str) -> InvalidParams:
    return InvalidParams(
        f"The file is larger than {limit} bytes.",
        remedy="Send it as the body of /invoke/{skill}.",
        info={"field": field},
    )


def _media_type(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()[:200]


def _filename(response: aiohttp.ClientResponse) -> str:
    """What the server calls it, else the last step of the path where it was found."""
    found = _FILENAME.search(response.headers.get("Content-Disposition", ""))
    name = (found[1] or found[2]) if found else unquote(response.url.raw_path.rpartition("/")[2])
    return "".join(sign for sign in name.replace("\\", "/").rpartition("/")[2] if sign.isprintable())[:200]
