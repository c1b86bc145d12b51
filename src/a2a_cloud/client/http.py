"""Requests to a platform over HTTP.

The key goes only to the origin of the target: every request is made from the target's own address,
redirects are not followed, and a link to another origin is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urljoin

import aiohttp

from a2a_cloud.client.errors import ServerProblem, Unreachable, read_problem
from a2a_cloud.client.profile import NotConfigured, Target, origin

#: Seconds to connect; seconds between two bytes (a stream is kept alive every 15 s); seconds for an answer.
CONNECT, SILENCE, ANSWER = 5.0, 50.0, 60.0
_LARGEST_PROBLEM = 1 << 20


def agent_path(agent: str) -> str:
    """The path of an agent, `name` or `org.name`."""
    return f"/agents/{quote(agent, safe='.')}"


class Platform:
    """A platform as its clients see it. An async context manager; everything may raise Unreachable.

    `json` and `bytes` raise ServerProblem for answers of 400 and above.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Platform:
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": "a2a-cloud"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=ANSWER),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1 << 18,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        silence: float | None = ANSWER,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """One exchange with the platform at `path` (which begins with a slash, already quoted).

        `silence`: seconds without a byte after which it counts as broken, None for any time.
        Raises ServerProblem for answers of 300 and above.
        """
        if self._session is None:
            raise RuntimeError("use `async with Platform(…)`")
        sent = dict(headers or {})
        key = self.target.key
        if self.target.signed_in is not None:
            key = await asyncio.to_thread(self.target.signed_in.access)
        if key:
            sent["Authorization"] = f"Bearer {key}"
        try:
            async with self._session.request(
                method,
                self.target.url + path,
                params=params,
                headers=sent,
                data=data,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=silence),
            ) as response:
                if response.status >= 300:
                    body = await response.content.read(_LARGEST_PROBLEM)
                    raise self._refusal(response, body)
                yield response
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else str(error.os_error)
            raise Unreachable(self.target, why) from None
        except TimeoutError:
            raise Unreachable(self.target, "no answer in time") from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
            raise Unreachable(self.target, "the answer was cut off") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unreachable(
                self.target, f"the connection broke ({error or type(error).__name__})"
            ) from None

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> ServerProblem:
        if response.status < 400:
            return ServerProblem(
                response.status,
                "redirect",
                f"{self.target.url} sends on to {response.headers.get('Location', 'nowhere')}.",
                "Redirects are not followed, because the key is for one origin: give the right --url.",
            )
        problem = read_problem(response.status, response.headers, body)
        if response.status == 401 and not self.target.key and not problem.remedy:
            problem.remedy = f"Give a key with A2A_KEY or --key-file ({self.target.note})."
        return problem

    async def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Any:
        """The decoded answer (None for an empty one)."""
        sent = {"Accept": "application/json", **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            sent.setdefault("Content-Type", "application/json")
        raw = await self.bytes(method, path, params=params, headers=sent, data=data)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise Unreachable(self.target, "what answers there is not an a2a-cloud platform") from None

    async def bytes(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        most: int = 0,
    ) -> bytes:
        """The answer's body as it is. `most`: no more than so many bytes are read, and one that tells."""
        async with self.open(method, path, params=params, headers=headers, data=data) as response:
            if not most:
                return await response.read()
            found = bytearray()
            async for part in response.content.iter_any():
                found += part
                if len(found) > most:
                    break
            return bytes(found[: most + 1])

    async def download(self, link: str, path: Path) -> bool:
        """Write what `link` gives to the new file `path`; False when it is not on this platform's origin.

        Raises FileExistsError for a path that is taken.
        """
        absolute = urljoin(self.target.url + "/", link)
        try:
            if origin(absolute) != self.target.origin:
                return False
        except NotConfigured:
            return False
        root = self.target.url
        if not absolute.startswith(root + "/"):
            return False
        try:
            with path.open("xb") as file:
                async with self.open("GET", absolute[len(root) :]) as response:
                    async for chunk in response.content.iter_chunked(1 << 16):
                        file.write(chunk)
        except FileExistsError:
            raise
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()  # noqa: ASYNC240
            raise
        return True
