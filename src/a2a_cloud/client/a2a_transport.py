"""One interface of an agent, spoken to: an operation of 1.0 in, 1.0's JSON out, over HTTP.

The dialect says what is asked and reads what is answered; this module carries it: headers, streams,
refusals, and the one quirk that servers differ in (a subscription by POST or by GET).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import aiohttp

from a2a_cloud.client.a2a_dialects import Dialect
from a2a_cloud.client.a2a_http import Web, decoded, read
from a2a_cloud.client.a2a_problems import http_problem
from a2a_cloud.client.a2a_shapes import Json
from a2a_cloud.client.errors import BadAnswer
from a2a_cloud.client.events import SseParser, StreamBroken
from a2a_cloud.client.shapes import obj
from a2a_cloud.wire.a2a_v03_rest_client import Ask

_LARGEST_REFUSAL = 1 << 20
_STREAM = "text/event-stream"


class Transport(Protocol):
    """A way to an agent. `url` is its address, `version` and `binding` what is spoken."""

    url: str
    version: str
    binding: str

    async def call(self, operation: str, params: Json, extensions: Sequence[str] = ()) -> Json:
        """The operation's result. Raises ServerProblem, NoAnswer, BadAnswer, NotSpoken."""
        ...

    def stream(
        self, operation: str, params: Json, extensions: Sequence[str] = (), *, after: str = ""
    ) -> AsyncGenerator[tuple[str, Json]]:
        """(id, event) of a stream until it closes; `after` is the id of the last event that came.

        Raises as `call`.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class HttpTransport:
    """A dialect over HTTP."""

    def __init__(self, web: Web, url: str, dialect: Dialect) -> None:
        self.url = url
        self.version = dialect.version
        self.binding = dialect.binding
        self._web = web
        self._dialect = dialect
        self._gets = False

    async def close(self) -> None:
        """See Transport."""

    def _headers(self, extensions: Sequence[str], accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        if self.version:
            headers["A2A-Version"] = self.version
        if extensions:
            # 0.3 had the header with X-, and servers of both generations may be there.
            headers["A2A-Extensions"] = ", ".join(extensions)
            if self.version == "0.3":
                headers["X-A2A-Extensions"] = headers["A2A-Extensions"]
        return headers

    def _address(self, ask: Ask) -> str:
        return self.url.rstrip("/") + ask.path if ask.path else self.url

    async def call(self, operation: str, params: Json, extensions: Sequence[str] = ()) -> Json:
        """See Transport."""
        ask = self._dialect.ask(operation, params)
        url = self._address(ask)
        answer = await self._web.ask(
            ask.method,
            url,
            query=ask.query,
            headers=self._headers(extensions, "application/json, application/a2a+json"),
            body=ask.body,
        )
        if answer.status >= 400:
            raise http_problem(answer.status, answer.headers, answer.body)
        value: Any = answer.json(url) if answer.body.strip() else {}
        if value == {} and self.binding == "JSONRPC":
            raise BadAnswer(f"{url} answers {operation} with nothing.")
        return self._dialect.answer(operation, value)

    async def stream(
        self, operation: str, params: Json, extensions: Sequence[str] = (), *, after: str = ""
    ) -> AsyncGenerator[tuple[str, Json]]:
        """See Transport."""
        ask = self._dialect.ask(operation, params)
        url = self._address(ask)
        headers = self._headers(extensions, f"{_STREAM}, application/json")
        if after:
            headers["Last-Event-ID"] = after
        method = "GET" if self._gets and operation == "SubscribeToTask" else ask.method
        async with self._web.open(
            method,
            url,
            query=ask.query,
            headers=headers,
            body=None if method == "GET" else ask.body,
            silence=self._web.limits.silence,
        ) as response:
            other = response.status == 405 and operation == "SubscribeToTask" and bool(ask.path)
            if not other or self._gets:
                async with aclosing(self._events(response, url, operation)) as events:
                    async for event in events:
                        yield event
                return
        self._gets = True
        async with aclosing(self.stream(operation, params, extensions, after=after)) as events:
            async for event in events:
                yield event

    async def _events(
        self, response: aiohttp.ClientResponse, url: str, operation: str
    ) -> AsyncGenerator[tuple[str, Json]]:
        if response.status >= 400:
            body = await read(response, url, _LARGEST_REFUSAL)
            raise http_problem(response.status, response.headers, body)
        if response.content_type != _STREAM:
            # An error of JSON-RPC, or a server that answers a stream by its whole result.
            raw = await read(response, url, self._web.limits.body)
            yield "", self._dialect.answer(operation, decoded(raw, url))
            return
        parser = SseParser()
        try:
            async for chunk in response.content.iter_any():
                for event in parser.feed(chunk):
                    if event.kind == "error":
                        status = _status(event.data)
                        raise http_problem(status, response.headers, event.data.encode())
                    value = decoded(event.data.encode(), url)
                    shown = self._dialect.event(value)
                    if shown:
                        yield event.id, shown
        except StreamBroken as error:
            raise BadAnswer(f"What {url} streams can't be read: {error}") from None


def _status(data: str) -> int:
    """The HTTP status that an error event speaks of."""
    try:
        document = obj(json.loads(data))
    except (ValueError, RecursionError):
        return 500
    for value in (document.get("status"), obj(document.get("error")).get("code")):
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return 500
