"""One HTTP request over raw ASGI: its headers read once, its body with a cap, its answer in two
messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from a2a_cloud.model.card import EXTENSIONS
from a2a_cloud.model.ports import Ids
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import (
    ContentTypeNotSupported,
    InvalidParams,
    InvalidRequest,
    MethodNotAllowed,
    NotAcceptable,
    Problem,
    TooLarge,
)
from a2a_cloud.model.release import Release
from a2a_cloud.surface.came import Came, thumbprint
from a2a_cloud.surface.links import AgentLinks
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.problem_json import problem_headers

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
A2A_JSON = b"application/a2a+json"

#: Headers that anything here reads, by the attribute that keeps them.
_READ = {
    b"host": "host",
    b"authorization": "authorization",
    b"x-api-key": "api_key",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"a2a-version": "version",
    b"a2a-extensions": "extensions",
    b"x-a2a-extensions": "extensions",  # Its name in 0.3.
    b"accept": "accept",
    b"cookie": "cookie",
    b"idempotency-key": "idempotency_key",
    b"a2a-grant": "grant",
    b"a2a-priority": "priority",
    b"a2a-budget": "budget",
    b"last-event-id": "last_event_id",
    b"if-none-match": "if_none_match",
    b"if-modified-since": "if_modified_since",
    b"content-disposition": "content_disposition",
    b"traceparent": "traceparent",
    b"a2a-release": "wanted",
    b"origin": "origin",
}
#: Those of which two make a request ambiguous.
_ONCE = frozenset(
    {
        b"host",
        b"authorization",
        b"x-api-key",
        b"content-type",
        b"idempotency-key",
        b"a2a-release",
        b"a2a-grant",
        b"a2a-priority",
        b"a2a-budget",
    }
)
_LISTS = frozenset({b"accept", b"a2a-extensions", b"x-a2a-extensions", b"if-none-match"})


class Gone(Exception):
    """The client is gone before its request was complete."""


class UnsupportedMediaType(ContentTypeNotSupported):
    """The body's own Content-Type, which HTTP answers with a status of its own."""

    http = 415


class Request:
    """A request and the way to answer it. `path` is undecoded; `rest` is what follows the agent's base."""

    __slots__ = (
        "_id",
        "accept",
        "api_key",
        "authorization",
        "base",
        "budget",
        "content_disposition",
        "content_length",
        "content_type",
        "cookie",
        "crosses",
        "dialect",
        "extensions",
        "grant",
        "host",
        "idempotency_key",
        "ids",
        "if_modified_since",
        "if_none_match",
        "last_event_id",
        "links",
        "method",
        "origin",
        "over",
        "path",
        "principal",
        "priority",
        "query_string",
        "receive",
        "release",
        "rest",
        "route",
        "rpc_id",
        "scope",
        "send",
        "span",
        "speaks",
        "started",
        "status",
        "traceparent",
        "version",
        "wanted",
    )

    release: Release
    links: AgentLinks
    ids: Ids
    span: Any

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.query_string: bytes = scope["query_string"]
        self.path = ""
        self.rest = ""
        self.base = ""
        self.dialect = "problem"
        self.route = "other"
        self.speaks = "a2a-1.0"
        self.rpc_id = b"null"
        self.principal: Principal = ANONYMOUS
        self.started = False
        self.origin = b""
        self.crosses = False  # a page of another origin may read the answer
        self.over = False
        self._id = ""
        self.status = 0
        self.host = b""
        self.authorization = b""
        self.api_key = b""
        self.content_type = b""
        self.content_length = b""
        self.version = b""
        self.extensions = b""
        self.accept = b""
        self.cookie = b""
        self.idempotency_key = b""
        self.grant = b""
        self.priority = b""
        self.budget = b""
        self.last_event_id = b""
        self.if_none_match = b""
        self.if_modified_since = b""
        self.content_disposition = b""
        self.traceparent = b""
        self.wanted = b""

    def read_headers(self) -> None:
        """Keeps the headers that are read here. Raises InvalidRequest for two of what can only be one."""
        read = _READ
        for name, value in self.scope["headers"]:
            attribute = read.get(name)
            if attribute is None:
                continue
            before: bytes = getattr(self, attribute)
            if before:
                if name in _LISTS:
                    value = before + b"," + value
                elif name in _ONCE and value != before:
                    raise InvalidRequest(f"The header {name.decode()} stands there twice.")
            setattr(self, attribute, value)

    # --- what was asked -----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id in the log, made when somebody asks."""
        if not self._id:
            self._id = self.ids.new("req")
        return self._id

    @property
    def address(self) -> str:
        """The caller's address, "" when it is not known."""
        client = self.scope.get("client")
        return str(client[0]).removeprefix("::ffff:") if client else ""

    @property
    def secure(self) -> bool:
        """Whether the caller uses https, here or at the proxy."""
        return self.scope.get("scheme") == "https"

    @property
    def certificate(self) -> bytes:
        """The certificate that the caller showed (DER), checked against our roots; b"" for none."""
        return self.scope.get("a2a.certificate", b"")

    def came(self, scheme: str) -> Came:
        """How a token was shown."""
        origin = self.base.partition("/agents/")[0]
        proof = b"".join(value for name, value in self.scope["headers"] if name == b"dpop")
        x5t = thumbprint(self.certificate)
        return Came(scheme, self.method, origin + self.path, proof.decode("latin-1"), x5t)

    @property
    def metadata(self) -> str:
        """Where it is said how to get a token for what was asked for (RFC 9728, section 3.1); "" before the
        host is known."""
        if not self.base:
            return ""
        origin, agents, name = self.base.partition("/agents/")
        place = agents + name + ("/mcp" if self.route == "mcp" else "")
        return f"{origin}/.well-known/oauth-protected-resource{place}"

    def query(self) -> dict[str, str]:
        """Query parameters by name, the last one winning. Raises InvalidParams when they can't be read."""
        if not self.query_string:
            return {}
        try:
            text = self.query_string.decode("ascii")
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            raise InvalidParams("The query can't be read.", remedy="Percent-encode it as UTF-8.") from None
        return dict(pairs)

    def allow(self, *methods: str) -> None:
        """Raises MethodNotAllowed unless the request's method is one of these; HEAD goes where GET goes."""
        if self.method in methods or (self.method == "HEAD" and "GET" in methods):
            return
        names = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
        raise MethodNotAllowed(
            f"This path doesn't take {readable(self.method)}.", remedy=f"Use {names}.", info={"allow": names}
        )

    def media_type(self) -> bytes:
        """The body's media type in lower case, without parameters."""
        return self.content_type.partition(b";")[0].strip().lower()

    def expect_json(self) -> None:
        """Raises UnsupportedMediaType when the body says that it is something else than JSON."""
        kind = self.content_type
        # The usual two first; nothing is taken as JSON.
        if kind in (JSON, A2A_JSON, b""):
            return
        if self.media_type() not in (JSON, A2A_JSON):
            raise UnsupportedMediaType(
                f"The body is {readable(kind.decode('latin-1'))}, not JSON.",
                remedy="Send Content-Type: application/json.",
            )

    def wants_events(self) -> bool:
        """Whether the caller asks for an event stream rather than JSON. Raises NotAcceptable for one who
        takes neither."""
        accept = self.accept.lower()
        if not accept or b"*/*" in accept or b"application/json" in accept:
            return b"text/event-stream" in accept and b"application/json" not in accept
        if b"text/event-stream" in accept:
            return True
        if b"application/*" in accept or b"+json" in accept:
            return False
        raise NotAcceptable(
            f"The answer is JSON or an event stream, and not {readable(accept.decode('latin-1'))}.",
            remedy="Send Accept: application/json, or text/event-stream.",
        )

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises TooLarge past `limit` bytes, Gone when the client leaves."""
        if self.content_length and int(self.content_length) > limit:
            raise too_large(limit)
        message = await self.receive()
        if message["type"] != "http.request":
            raise Gone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise too_large(limit)
            return body
        chunks = [body]
        size = len(body)
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Gone
            body = message.get("body", b"")
            size += len(body)
            if size > limit:
                raise too_large(limit)
            chunks.append(body)
            if not message.get("more_body", False):
                return b"".join(chunks)

    # --- the answer ---------------------------------------------------------------------------------

    async def answer(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None
    ) -> None:
        """Sends the whole answer."""
        self.started = True
        self.status = status
        fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        if headers:
            fields += headers
        if self.extensions and self.dialect in ("jsonrpc", "a2a", "a2a-0.3"):
            fields += self.used_extensions()
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, problem: Problem, body: bytes, content_type: bytes, status: int) -> None:
        """Sends a problem that was rendered, with the headers that go with it."""
        headers = problem_headers(problem, self.metadata if status in (401, 403) else "")
        if "allow" in problem.info:
            headers.append((b"allow", problem.info["allow"].encode()))
        headers.append((b"cache-control", b"no-store"))
        self.extensions = b""  # Nothing was activated.
        await self.answer(status, body, content_type, headers)

    def used_extensions(self) -> Headers:
        """The A2A-Extensions header of the answer: those of the asked ones that the agent knows."""
        release: Release | None = getattr(self, "release", None)
        used = b"" if release is None else known_extensions(release, self.extensions)
        if not used:
            return []
        headers = [(b"a2a-extensions", used)]
        if self.speaks != "a2a-1.0":
            headers.append((b"x-a2a-extensions", used))
        return headers


def known_extensions(release: Release, asked: bytes) -> bytes:
    """Those of the extensions in a list that the agent knows, as a list again."""
    wanted = {name.strip() for name in asked.split(b",")}
    known = [*EXTENSIONS, *(one.uri.encode() for one in release.manifest.extensions)]
    return b", ".join(name for name in known if name in wanted)


def too_large(limit: int) -> TooLarge:
    """The problem of a body past `limit` bytes."""
    return TooLarge(
        f"The body is larger than {limit} bytes.",
        remedy="Send a large file as the body of /invoke/{skill}." if limit <= 64 << 20 else "",
    )


def segment(text: str) -> str:
    """A path segment, percent-decoded. Raises InvalidRequest when that gives no clean text."""
    if "%" not in text:
        return text
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest("The path is not percent-encoded UTF-8.") from None
    if not decoded.isprintable():
        raise InvalidRequest("The path holds characters that can't be printed.")
    return decoded


def check_path(raw: bytes) -> str:
    """The undecoded path, fit to be routed. Raises InvalidRequest for `//`, dot segments, NUL."""
    try:
        path = raw.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRequest("The path has to be percent-encoded.") from None
    if "//" in path or "\\" in path or not path.isprintable() or not path.startswith("/"):
        raise InvalidRequest("The path is not clean.", remedy="Send it without `//` and control characters.")
    if "/." in path or "%" in path:
        for part in path.split("/"):
            decoded = unquote(part)
            if decoded in (".", "..") or "\0" in decoded:
                raise InvalidRequest("The path has dot segments or a NUL.", remedy="Send the path itself.")
    return path


def flag(query: Mapping[str, str], name: str) -> bool:
    """A yes-or-no query parameter. Raises InvalidParams for anything else."""
    value = query.get(name, "").lower()
    if value in ("", "0", "false", "no"):
        return False
    if value in ("1", "true", "yes"):
        return True
    raise InvalidParams(f"{name} is {readable(value)}.", remedy="Send 1 or 0.", info={"field": name})
