"""HTTP/1 heads and bodies, read strictly and without any input or output of its own.

What two readers could understand differently is refused and never repaired: line ends other than CRLF,
folded fields, white space before a colon, two lengths, a length beside chunks, chunk extensions from an
agent. So what is checked here is what the server behind the proxy sees.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from a2a_cloud.model.problem import InvalidRequest, Problem, TooManyHeaders, UpstreamFailed

#: Header fields of one head.
MAX_FIELDS = 200
#: A line with a chunk's size, and all trailers of a body, in bytes.
MAX_SIZE_LINE = 256
MAX_TRAILERS = 16 << 10

Field = tuple[bytes, bytes]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE = re.compile(rb"(%s{1,32}) ([!-~]+) HTTP/1\.([01])" % _TOKEN).fullmatch
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?").fullmatch
_FIELD = re.compile(
    rb"(%s+):[\t ]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[\t ]*" % _TOKEN
).fullmatch
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})([\t ]*;[\t -~\x80-\xff]*)?").fullmatch

#: Fields that are for the next hop alone. `Connection` may name more of them.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
#: What `Connection` may not name: without it the message would be another one.
_NEVER_NAMED = frozenset({b"host", b"content-length", b"content-type", b"expect", b"cookie", b"range"})


class Framing(Enum):
    """How a body ends."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Body(NamedTuple):
    """A message's body: `length` in bytes, for Framing.LENGTH alone."""

    framing: Framing
    length: int = 0


class RequestHead(NamedTuple):
    """A request's head. `target` is as it stands there; `minor` that of the version 1.x."""

    method: str
    target: str
    minor: int
    fields: tuple[Field, ...]
    body: Body

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of that name (lower case)."""
        return [value for key, value in self.fields if key.lower() == name]


class ResponseHead(NamedTuple):
    """A response's head."""

    status: int
    reason: bytes
    minor: int
    fields: tuple[Field, ...]

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of that name (lower case)."""
        return [value for key, value in self.fields if key.lower() == name]


def parse_request(raw: bytes) -> RequestHead:
    """The head that `raw` is, its empty line included. Raises InvalidRequest, TooManyHeaders."""
    line, fields = _lines(raw, InvalidRequest)
    found = _REQUEST_LINE(line)
    if found is None:
        raise InvalidRequest(
            "The first line is no HTTP/1 request line.",
            remedy="Send METHOD SP TARGET SP HTTP/1.1, in printable ASCII.",
        )
    method, target, minor = found[1].decode(), found[2].decode(), int(found[3])
    head = RequestHead(method, target, minor, fields, Body(Framing.NONE))
    hosts = head.values(b"host")
    if len(hosts) > 1 or (minor and not hosts):
        raise InvalidRequest("The request has no Host field, or more than one.", remedy="Send exactly one.")
    if method == "CONNECT" and (head.values(b"content-length") or head.values(b"transfer-encoding")):
        raise InvalidRequest("A CONNECT has no body.", remedy="Send it without Content-Length.")
    framed = _framing(fields, minor, InvalidRequest)
    return head._replace(body=framed or Body(Framing.NONE))


def parse_response(raw: bytes, method: str) -> tuple[ResponseHead, Body]:
    """The head that `raw` is, and how the body of this answer to `method` ends. Raises UpstreamFailed."""
    line, fields = _lines(raw, UpstreamFailed)
    found = _STATUS_LINE(line)
    if found is None:
        raise UpstreamFailed("The server's answer does not begin with an HTTP/1 status line.")
    head = ResponseHead(int(found[2]), found[3] or b"", int(found[1]), fields)
    framed = _framing(fields, head.minor, UpstreamFailed)
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return head, Body(Framing.NONE)
    return head, framed or Body(Framing.CLOSE)


def end_to_end(fields: tuple[Field, ...], wrong: type[Problem]) -> list[Field]:
    """The fields that go on to the other side, in their order. Raises `wrong` when `Connection` names one
    that the message can't do without."""
    named: set[bytes] = set()
    for name, value in fields:
        if name.lower() in (b"connection", b"proxy-connection"):
            named.update(part.strip().lower() for part in value.split(b","))
    if named & _NEVER_NAMED:
        raise wrong("The Connection field names one that belongs to the message itself.")
    drop = HOP_BY_HOP | named
    return [(name, value) for name, value in fields if name.lower() not in drop]


def wants_close(fields: tuple[Field, ...], minor: int) -> bool:
    """Whether the sender of this head ends the connection with this message."""
    tokens: set[bytes] = set()
    for name, value in fields:
        if name.lower() in (b"connection", b"proxy-connection"):
            tokens.update(part.strip().lower() for part in value.split(b","))
    return b"close" in tokens or (minor == 0 and b"keep-alive" not in tokens)


def write_head(first: bytes, fields: list[Field]) -> bytes:
    """A head as bytes: the first line and the fields, which were parsed or made here."""
    return b"".join([first, b"\r\n", *(b"%s: %s\r\n" % field for field in fields), b"\r\n"])


def stray_line_end(raw: bytes | bytearray, start: int = 0, end: int | None = None) -> bool:
    """Whether there is, from `start` to `end`, a LF without a CR before it or a CR with something else
    behind it (a CR at the very end may still get its LF)."""
    end = len(raw) if end is None else end
    at = raw.find(b"\n", start, end)
    while at >= 0:
        if at == 0 or raw[at - 1] != 13:
            return True
        at = raw.find(b"\n", at + 1, end)
    at = raw.find(b"\r", start, end)
    while 0 <= at < end - 1:
        if raw[at + 1] != 10:
            return True
        at = raw.find(b"\r", at + 1, end)
    return False


def _lines(raw: bytes, wrong: type[Problem]) -> tuple[bytes, tuple[Field, ...]]:
    if not raw.endswith(b"\r\n\r\n") or raw.find(b"\r\n\r\n") != len(raw) - 4:
        raise wrong("The head does not end with an empty line.")
    if stray_line_end(raw):
        raise wrong("The head has a line end that is not CRLF.", remedy="End each line with CR LF.")
    line, *rest = raw[:-4].split(b"\r\n")
    if len(rest) > MAX_FIELDS:
        kind = TooManyHeaders if wrong is InvalidRequest else wrong
        raise kind(f"The head has more than {MAX_FIELDS} fields.", remedy="Send fewer.")
    return line, tuple(_field(each, wrong) for each in rest)


def _field(line: bytes, wrong: type[Problem]) -> Field:
    if line[:1] in (b" ", b"\t"):
        raise wrong("A header field is folded over two lines.", remedy="Write it on one line.")
    found = _FIELD(line)
    if found is None:
        raise wrong("A line of the head is no header field.", remedy="Write NAME: VALUE.")
    return found[1], found[2]


def _framing(fields: tuple[Field, ...], minor: int, wrong: type[Problem]) -> Body | None:
    """What the fields say of the body; None: nothing."""
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise wrong("The body's length is said twice.", remedy="Send one Content-Length, or chunks.")
    if codings:
        if codings[0].lower() != b"chunked" or minor == 0:
            raise wrong("The body has a transfer coding other than chunked.", remedy="Send it chunked.")
        return Body(Framing.CHUNKED)
    if not lengths:
        return None
    if _LENGTH(lengths[0]) is None:
        raise wrong("Content-Length is no number.", remedy="Write its bytes in decimal digits.")
    size = int(lengths[0])
    return Body(Framing.LENGTH, size) if size else Body(Framing.NONE)


class Chunks:
    """Takes a chunked body apart as it comes. `wrong` is raised for what is not well formed; extensions
    are dropped where `extensions` says so, else refused too; trailers are checked and dropped."""

    __slots__ = ("_buffer", "_extensions", "_left", "_state", "_trailers", "_wrong", "done")

    def __init__(self, wrong: type[Problem], *, extensions: bool) -> None:
        self._wrong = wrong
        self._extensions = extensions
        self._buffer = bytearray()
        self._left = 0
        self._trailers = 0
        self._state = "size"
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """The content that `data` brings. Once `done`, `rest` is what follows the body."""
        buffer = self._buffer
        buffer += data
        content: list[bytes] = []
        while not self.done:
            if self._state == "data":
                if not buffer:
                    break
                piece = bytes(buffer[: self._left])
                del buffer[: len(piece)]
                self._left -= len(piece)
                content.append(piece)
                if not self._left:
                    self._state = "end"
            elif self._state == "end":
                if len(buffer) < 2:
                    if buffer and buffer[0] != 13:
                        raise self._bad()
                    break
                if not buffer.startswith(b"\r\n"):
                    raise self._bad()
                del buffer[:2]
                self._state = "size"
            else:
                line = self._line()
                if line is None:
                    break
                self._take(line)
        return b"".join(content)

    @property
    def rest(self) -> bytes:
        """What came behind the body's end."""
        return bytes(self._buffer)

    def _line(self) -> bytes | None:
        limit = MAX_SIZE_LINE if self._state == "size" else MAX_TRAILERS
        at = self._buffer.find(b"\r\n")
        # Only the line itself: what follows it is content, and may hold anything.
        if (at < 0 and stray_line_end(self._buffer)) or at > limit or (at < 0 and len(self._buffer) > limit):
            raise self._bad()
        if at < 0:
            return None
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 2]
        if b"\r" in line or b"\n" in line:
            raise self._bad()
        return line

    def _take(self, line: bytes) -> None:
        if self._state == "size":
            found = _CHUNK_SIZE(line)
            if found is None or (found[2] is not None and not self._extensions):
                raise self._bad()
            self._left = int(found[1], 16)
            self._state = "data" if self._left else "trailers"
            return
        if not line:
            self.done = True
            return
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS:
            raise self._bad()
        _field(line, self._wrong)

    def _bad(self) -> Problem:
        return self._wrong("The body's chunks are not well formed.")
