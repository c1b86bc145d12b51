"""The first message of TLS, read strictly: which server does the client ask for?

A tunnel is opened to one host; what goes through it has to be TLS, addressed to that host.
"""

from __future__ import annotations

from a2a_cloud.model.problem import InvalidRequest

#: A ClientHello, all its records together, in bytes.
MAX_HELLO = 16 << 10
#: Records that it may be cut into.
MAX_RECORDS = 8

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0
#: The fatal alert access_denied: what a TLS library reports as such.
DENIED = bytes((21, 3, 3, 0, 2, 2, 49))


class NotTls(InvalidRequest):
    """What comes through the tunnel is no TLS, or not for the host that the tunnel is to."""


def hello_in(raw: bytes | bytearray) -> bytes | None:
    """The ClientHello's body at the begin of `raw`, which may span records; None: more is needed.

    Raises NotTls as soon as it can't become one.
    """
    message = bytearray()
    at = 0
    for _ in range(MAX_RECORDS):
        left = raw[at : at + 5]
        if (left and left[0] != _HANDSHAKE) or (len(left) > 1 and left[1] != 3):
            raise NotTls("The tunnel carries something else than TLS.", remedy="Use https, or plain http://.")
        if len(left) < 5:
            return None
        size = int.from_bytes(left[3:5])
        if not 0 < size <= 16384 or left[2] > 4:
            raise NotTls("The first TLS record is not well formed.")
        message += raw[at + 5 : at + 5 + size]
        if message and message[0] != _CLIENT_HELLO:
            raise NotTls("The first TLS message is no ClientHello.")
        if len(message) >= 4:
            want = int.from_bytes(message[1:4])
            if want + 4 > MAX_HELLO:
                raise NotTls("The ClientHello is too large.")
            if len(message) > want + 4:
                raise NotTls("Something follows the ClientHello in its record.")
            if len(message) == want + 4:
                return bytes(message[4:])
        if len(raw) < at + 5 + size:
            return None
        at += 5 + size
    raise NotTls("The ClientHello is cut into too many records.")


def server_name(hello: bytes) -> str | None:
    """The name in the ClientHello's body; None when it has none. Raises NotTls."""
    reader = _Reader(hello)
    reader.take(2 + 32)  # version, random
    if len(reader.block(1)) > 32:  # session id
        raise reader.wrong()
    suites, methods = reader.block(2), reader.block(1)
    if not suites or len(suites) % 2 or not methods:
        raise reader.wrong()
    if reader.ended:
        return None
    extensions = _Reader(reader.block(2))
    if not reader.ended:
        raise reader.wrong()
    seen: set[int] = set()
    name: str | None = None
    while not extensions.ended:
        kind = int.from_bytes(extensions.take(2))
        body = extensions.block(2)
        if kind in seen:
            raise extensions.wrong()
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _name(body)
    return name


def _name(body: bytes) -> str:
    names = _Reader(body)
    entries = _Reader(names.block(2))
    kind = entries.take(1)[0]
    raw = entries.block(2)
    # One name, of the one kind that there is.
    if kind != 0 or not raw or not entries.ended or not names.ended:
        raise entries.wrong()
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise entries.wrong() from None


class _Reader:
    __slots__ = ("_at", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._raw)

    def take(self, count: int) -> bytes:
        piece = self._raw[self._at : self._at + count]
        if len(piece) != count:
            raise self.wrong()
        self._at += count
        return piece

    def block(self, width: int) -> bytes:
        """What follows a length of `width` bytes."""
        return self.take(int.from_bytes(self.take(width)))

    def wrong(self) -> NotTls:
        return NotTls("The ClientHello is not well formed.")
