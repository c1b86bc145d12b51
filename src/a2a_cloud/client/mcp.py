"""One MCP client's talk with a server over Streamable HTTP, in either revision (2025-11-25: basic/transports;
2026-07-28: basic/transports/streamable-http).

Messages pass as they are; what HTTP wants besides is added here. 2025-11-25: the session and its renewal
when the server has forgotten it, the stream that the server speaks on by itself, streams taken up again
by Last-Event-ID. 2026-07-28: the headers that repeat what the body says, cancelling by closing. A request
always gets an answer: an error where the server gave none.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiohttp

from a2a_cloud.client.a2a_http import Web, decoded, read
from a2a_cloud.client.a2a_shapes import Json, shown
from a2a_cloud.client.errors import AgentError, BadAnswer, NoAnswer, ServerProblem, read_problem
from a2a_cloud.client.events import SseParser, StreamBroken
from a2a_cloud.client.shapes import obj, objs, text

Deliver = Callable[[Json], Awaitable[None]]

#: Where a request of 2026-07-28 says its version.
VERSION_META = "io.modelcontextprotocol/protocolVersion"
#: The revisions that have sessions say their version once; this is for servers that name none.
LATEST_WITH_SESSIONS = "2025-11-25"
#: Seconds before each further attempt at a server that can't be reached, or at a broken stream.
PAUSES = (0.2, 0.4, 0.8, 1.6, 3.0, 5.0, 5.0, 5.0)
_STREAM = "text/event-stream"
_BOTH = f"application/json, {_STREAM}"
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_SENTINEL = ("=?base64?", "?=")
#: JSON-RPC's number for an error that is none of the server's own.
_BROKEN = -32000
_LARGEST_TOOLS = 4096


def is_request(message: Json) -> bool:
    """Whether an answer is expected."""
    return "method" in message and "id" in message


def modern_version(message: Json) -> str:
    """The version that a message of 2026-07-28 or later names in itself, "" for an earlier one."""
    return text(obj(obj(message.get("params")).get("_meta")).get(VERSION_META))


def header_value(value: str) -> str:
    """`value` as a header of 2026-07-28 carries it: as it is, or in base64 between its marks."""
    start, end = _SENTINEL
    if _PLAIN.match(value) and not (value.startswith(start) and value.endswith(end)):
        return value
    return start + base64.b64encode(value.encode("utf-8", "replace")).decode() + end


class McpHttp:
    """`deliver` gets every message of the server, in order for each stream; `tell` a sentence when something
    is amiss that no answer speaks of. Calls may overlap."""

    def __init__(self, web: Web, url: str, deliver: Deliver, tell: Callable[[str], None]) -> None:
        self.url = url
        self._web = web
        self._deliver = deliver
        self._tell = tell
        self._session = ""
        self._version = ""
        self._initialize: Json | None = None
        self._renewing = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        #: tool → header → the path of the parameter whose value it repeats.
        self._mirrored: dict[str, dict[str, tuple[str, ...]]] = {}

    async def say(self, message: Json) -> None:
        """Send a message of the client; what the server answers is delivered before this returns.

        A request that can't be answered is answered with an error. Cancelling this closes the stream of
        the answer, which is how 2026-07-28 cancels a request.
        """
        if message.get("method") == "initialize":
            self._initialize = message
            self._session = self._version = ""
        try:
            answered = await self._exchange(message)
            why = "The server ended its answer before it was complete."
        except ServerProblem as problem:
            answered, why = False, f"{problem.detail} {problem.remedy}".strip()
        except AgentError as error:
            answered, why = False, f"{error.detail} {error.remedy}".strip()
        if is_request(message):
            if not answered:
                error = {"code": _BROKEN, "message": why}
                await self._deliver({"jsonrpc": "2.0", "id": message["id"], "error": error})
        elif not answered:
            self._tell(f"{shown(message.get('method') or 'an answer', 80)} was not taken: {why}")
        if message.get("method") == "notifications/initialized" and answered and self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def end(self) -> None:
        """End the session, if there is one."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._session:
            try:
                await self._web.ask("DELETE", self.url, headers=self._headers({}), silence=2.0)
            except (AgentError, ServerProblem):
                return  # it ends by itself, in time

    # --- one exchange -----------------------------------------------------------------------------------

    def _headers(self, message: Json) -> dict[str, str]:
        version = modern_version(message)
        if not version:
            headers = {"Mcp-Session-Id": self._session} if self._session else {}
            if message.get("method") != "initialize":
                headers["MCP-Protocol-Version"] = self._version or LATEST_WITH_SESSIONS
            return headers
        params = obj(message.get("params"))
        method = text(message.get("method"))
        headers = {"MCP-Protocol-Version": version, "Mcp-Method": header_value(method)}
        name = params.get("name", params.get("uri"))
        if isinstance(name, str):
            headers["Mcp-Name"] = header_value(name)
        if method == "tools/call":
            headers |= self._params(text(name), obj(params.get("arguments")))
        return headers

    def _params(self, tool: str, arguments: Json) -> dict[str, str]:
        """The headers that repeat arguments, as the tool's schema asks (x-mcp-header)."""
        headers: dict[str, str] = {}
        for header, path in self._mirrored.get(tool, {}).items():
            value: Any = arguments
            for step in path:
                value = obj(value).get(step)
            if isinstance(value, bool):
                headers[header] = "true" if value else "false"
            elif isinstance(value, str | int):
                headers[header] = header_value(str(value))
        return headers

    async def _exchange(self, message: Json, *, again: bool = True) -> bool:
        """POST a message and deliver what comes; whether it was answered (or, being no request, taken)."""
        session = self._session
        headers = {"Accept": _BOTH, **self._headers(message)}
        tried = 0
        while True:
            try:
                async with self._web.open("POST", self.url, headers=headers, body=message) as response:
                    if response.status == 404 and session and not modern_version(message) and again:
                        await read(response, self.url, 1 << 20)
                    else:
                        return await self._answer(message, response)
            except NoAnswer as error:
                if error.sent or tried == len(PAUSES):
                    raise
                await asyncio.sleep(PAUSES[tried])
                tried += 1
                continue
            await self._renew(session)
            return await self._exchange(message, again=False)

    async def _answer(self, message: Json, response: aiohttp.ClientResponse) -> bool:
        request = is_request(message)
        if response.content_type == _STREAM and response.status < 300:
            return await self._streamed(message, response)
        raw = await read(response, self.url, self._web.limits.body)
        if response.status >= 400:
            value = obj(_json_or_none(raw, self.url))
            if request and "error" in value:
                await self._deliver({**value, "id": message["id"]})
                return True
            raise read_problem(response.status, response.headers, raw)
        if not request:
            return True
        value = obj(decoded(raw, self.url))
        if value.get("id") != message["id"]:
            raise BadAnswer(f"What {self.url} answers is no answer to the request.")
        self._note(message, value, response)
        await self._deliver(value)
        return True

    def _note(self, request: Json, value: Any, response: aiohttp.ClientResponse) -> None:
        """What an answer says that later requests depend on."""
        result = obj(obj(value).get("result"))
        if request.get("method") == "initialize" and result:
            self._session = response.headers.get("Mcp-Session-Id", self._session)
            self._version = text(result.get("protocolVersion"))
        elif request.get("method") == "tools/list":
            for tool in objs(result.get("tools")):
                if len(self._mirrored) < _LARGEST_TOOLS:
                    self._mirrored[text(tool.get("name"))] = mirrored(obj(tool.get("inputSchema")))

    # --- streams ----------------------------------------------------------------------------------------

    async def _streamed(self, message: Json, response: aiohttp.ClientResponse) -> bool:
        """Deliver a stream up to the answer to `message`, taken up again where that can be."""
        last, pause, tried = "", 0.0, 0
        current: aiohttp.ClientResponse | None = response
        headers = {**self._headers(message), "Accept": _STREAM}
        while True:
            before = last
            try:
                if current is not None:
                    found, last, pause = await self._read(message, current, last, pause)
                else:
                    async with self._web.open(
                        "GET",
                        self.url,
                        headers={**headers, "Last-Event-ID": last},
                        silence=self._web.limits.silence,
                    ) as resumed:
                        if resumed.status != 200 or resumed.content_type != _STREAM:
                            raw = await read(resumed, self.url, 1 << 20)
                            raise read_problem(resumed.status, resumed.headers, raw)
                        found, last, pause = await self._read(message, resumed, last, pause)
                if found:
                    return True
            except _Cut as cut:
                last, pause = cut.last, cut.pause
            except NoAnswer:
                pass  # it comes back, or the attempts run out
            except ServerProblem as problem:
                if problem.status not in (429, 502, 503):
                    raise
            current = None
            if not last or modern_version(message):
                return False  # that revision has no way to take a stream up
            tried = 0 if last != before else tried
            if tried == len(PAUSES):
                return False
            await asyncio.sleep(pause or PAUSES[tried])
            tried += 1

    async def _read(
        self, message: Json, response: aiohttp.ClientResponse, last: str, pause: float
    ) -> tuple[bool, str, float]:
        """(whether the answer came, the last event's id, seconds to wait before taking it up).

        Raises _Cut when it broke.
        """
        parser = SseParser()
        parser.last_id, parser.retry = last, pause
        try:
            async for chunk in response.content.iter_any():
                for event in parser.feed(chunk):
                    value = obj(decoded(event.data.encode(), self.url))
                    answers = "method" not in value and "id" in value and value["id"] == message.get("id")
                    if answers:
                        self._note(message, value, response)
                    await self._deliver(value)
                    if answers:
                        return True, parser.last_id, parser.retry
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _Cut(parser.last_id, parser.retry) from error
        except StreamBroken as error:
            self._tell(f"A stream of {self.url} can't be read: {error}")
        return False, parser.last_id, parser.retry

    async def _listen(self) -> None:
        """What the server says by itself, for as long as the session lasts."""
        last, tried, pause = "", 0, 0.0
        while self._session or tried == 0:
            headers = {"Accept": _STREAM, **self._headers({})}
            if last:
                headers["Last-Event-ID"] = last
            try:
                async with self._web.open(
                    "GET", self.url, headers=headers, silence=self._web.limits.silence
                ) as response:
                    if response.status in (400, 404, 405) or response.content_type != _STREAM:
                        return  # it does not speak by itself, or the session is over
                    before = last
                    _, last, pause = await self._read({}, response, last, pause)
                    tried = 0 if last != before else tried
            except _Cut as cut:
                last, pause, tried = cut.last, cut.pause, 0
            except NoAnswer:
                pass
            except (AgentError, ServerProblem) as problem:
                self._tell(f"The server's own stream ended: {problem.detail}")
                return
            await asyncio.sleep(pause or PAUSES[min(tried, len(PAUSES) - 1)])
            tried += 1

    # --- sessions ---------------------------------------------------------------------------------------

    async def _renew(self, forgotten: str) -> None:
        """Begin the session anew: the server has forgotten the one named `forgotten`."""
        async with self._renewing:
            if self._session != forgotten or self._initialize is None:
                return
            self._session = ""
            begin = {**self._initialize, "id": f"again-{id(self)}-{forgotten[-8:]}"}
            answer: list[Json] = []

            async def keep(value: Json) -> None:
                answer.append(value)

            once = McpHttp(self._web, self.url, keep, self._tell)
            await once.say(begin)
            self._session, self._version = once._session, once._version
            if not (answer and "result" in answer[-1]):
                self._session = forgotten
                return
            await self._exchange({"jsonrpc": "2.0", "method": "notifications/initialized"}, again=False)
            if self._listening is not None:
                self._listening.cancel()
                self._listening = asyncio.create_task(self._listen())


class _Cut(Exception):
    """A stream broke after the event `last`; the server asked for `pause` seconds before the next attempt."""

    def __init__(self, last: str, pause: float) -> None:
        self.last = last
        self.pause = pause


def _json_or_none(raw: bytes, url: str) -> Any:
    try:
        return decoded(raw, url)
    except AgentError:
        return None


def mirrored(schema: Json, path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """The headers that a tool's schema asks for (x-mcp-header), each with the path of its parameter."""
    found: dict[str, tuple[str, ...]] = {}
    if len(path) > 16:
        return found
    for name, value in obj(schema.get("properties")).items():
        each = obj(value)
        wanted = each.get("x-mcp-header")
        if isinstance(wanted, str) and _TOKEN.match(wanted):
            found[f"Mcp-Param-{wanted}"] = (*path, name)
        found |= mirrored(each, (*path, name))
    return found


def messages_of(line: bytes) -> list[Json]:
    """The messages in a line of stdio: one, or (before 2025-06-18) a batch. Raises ValueError."""
    try:
        value: Any = json.loads(line)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    found = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, dict) for each in found):
        raise ValueError("it is no JSON-RPC message")
    return cast("list[Json]", found)
