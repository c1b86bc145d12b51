"""HTTP to agents of anybody: what may be sent where, and how much may come back.

A key goes to the origin that it is for and to no other. Redirects are not followed, cookies not kept,
proxies of the environment not used. Every answer has a size and every wait a time. Who has to keep
callers from addresses inside a network passes a connector that refuses them (its resolver and its
`socket_factory` see every address before it is connected to); this module connects through it alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from a2a_cloud.client.a2a_shapes import Json, shown
from a2a_cloud.client.errors import AgentError, BadAnswer, NoAnswer, ServerProblem
from a2a_cloud.client.localhost import LocalhostResolver
from a2a_cloud.client.profile import NotConfigured, origin
from a2a_cloud.model.problem import Problem
from a2a_cloud.wire.json_text import check_text

Body = Json | bytes | None


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, between two bytes of a stream, and for an answer (a blocking call waits as long);
    bytes of a card or a set of keys, and of an answer."""

    connect: float = 5.0
    silence: float = 90.0
    answer: float = 300.0
    card: int = 1 << 20
    body: int = 64 << 20


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    kind: str

    def json(self, url: str) -> Any:
        """The decoded body. Raises BadAnswer."""
        return decoded(self.body, url)


def decoded(body: bytes, url: str) -> Any:
    """JSON that came from `url`. Raises BadAnswer when it is none, or nests too deeply."""
    try:
        check_text(body)
        return json.loads(body)
    except Problem as problem:
        raise BadAnswer(f"What {url} answers can't be read: {problem.detail}") from None
    except (ValueError, RecursionError):
        raise BadAnswer(f"What {url} answers is not JSON: {shown(body[:80].decode('latin-1'))!r}.") from None


class Web:
    """Connections to agents. An async context manager.

    `keys`: a key by origin (`https://host:443`, as `profile.origin` writes it), or what gives the key of the
    moment. `connector` stays the caller's, who closes it.
    """

    def __init__(
        self,
        keys: Mapping[str, str | Callable[[], str]] | None = None,
        *,
        limits: Limits | None = None,
        connector: aiohttp.BaseConnector | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._keys = dict(keys or {})
        #: Where a key goes, by origin: in Authorization as a bearer's, or in the header of this name.
        self._places: dict[str, str] = {}
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Web:
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": "a2a-cloud"},
            connector=self._connector or aiohttp.TCPConnector(resolver=LocalhostResolver()),
            connector_owner=self._connector is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            trust_env=False,
            read_bufsize=1 << 18,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def has_key(self, url: str) -> bool:
        """Whether a request to `url` carries a key."""
        return bool(self.key(url))

    def key(self, url: str) -> str:
        """The key for the origin of `url`, "" for none. Raises AgentError when a sign-in has ended."""
        found = self._keys.get(web_origin(url), "")
        try:
            return found if isinstance(found, str) else found()
        except NotConfigured as error:
            raise AgentError(error.detail, error.remedy) from None

    def place(self, url: str, header: str) -> None:
        """Send the key for the origin of `url` in `header`, and not as a bearer's."""
        self._places[web_origin(url)] = header

    def credentials(self, url: str) -> dict[str, str]:
        """The header with the key for the origin of `url`; {} when there is none."""
        where = web_origin(url)
        key = self.key(url)
        if not key:
            return {}
        header = self._places.get(where)
        return {header: key} if header else {"Authorization": f"Bearer {key}"}

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        silence: float | None = None,
        anonymous: bool = False,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """One exchange; the answer of any status but a redirect. Raises NoAnswer, BadAnswer, ServerProblem.

        `silence`: seconds without a byte after which the connection counts as broken. `anonymous`: no key.
        """
        if self._session is None:
            raise RuntimeError("use `async with Web(…)`")
        sent = {"Accept": "application/json", **(headers or {})}
        if not anonymous:
            sent |= self.credentials(url)
        data = body if isinstance(body, bytes) else None
        if isinstance(body, dict):
            data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
            sent.setdefault("Content-Type", "application/json")
        wait = self.limits.answer if silence is None else silence
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                headers=sent,
                data=data,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect, sock_read=wait),
            ) as response:
                if 300 <= response.status < 400 and response.status != 304:
                    raise _redirect(url, response)
                yield response
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else shown(error.os_error)
            raise NoAnswer(url, why, sent=False) from None
        except aiohttp.ConnectionTimeoutError:
            raise NoAnswer(url, "the connection is not made in time", sent=False) from None
        except aiohttp.InvalidURL:
            raise NoAnswer(url, "that is no address", sent=False) from None
        except TimeoutError:
            raise NoAnswer(url, "no answer in time") from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
            raise NoAnswer(url, "the answer was cut off") from None
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            why = f"the connection broke ({shown(error) or type(error).__name__})"
            raise NoAnswer(url, why) from None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        largest: int = 0,
        anonymous: bool = False,
        silence: float | None = None,
    ) -> Answer:
        """One exchange, its answer read whole, `largest` bytes of it (0: those of an answer) at most."""
        async with self.open(
            method, url, query=query, headers=headers, body=body, silence=silence, anonymous=anonymous
        ) as response:
            raw = await read(response, url, largest or self.limits.body)
            return Answer(response.status, response.headers, raw, response.content_type)


async def read(response: aiohttp.ClientResponse, url: str, largest: int) -> bytes:
    """The body, `largest` bytes at most. Raises BadAnswer when there is more."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > largest:
            raise BadAnswer(
                f"What {url} answers is larger than {largest:,} bytes, and was not read to its end."
            )
    return bytes(raw)


def web_origin(url: str) -> str:
    """The origin of an http or https URL, "" for anything else: an address without an origin gets no key."""
    try:
        return origin(url)
    except NotConfigured:
        return ""


def checked_url(url: str) -> str:
    """`url` without its fragment. Raises NotConfigured unless it is an http or https URL of a host."""
    origin(url)
    return urlsplit(url)._replace(fragment="").geturl()


def _redirect(url: str, response: aiohttp.ClientResponse) -> ServerProblem:
    where = shown(response.headers.get("Location", "nowhere"))
    return ServerProblem(
        response.status,
        "redirect",
        f"{url} sends on to {where}.",
        "Redirects are not followed, because a key is for one origin: give that address if you trust it.",
    )
