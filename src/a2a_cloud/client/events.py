"""Server-sent events as a client reads them (WHATWG HTML, section 9.2.6), over any chunk boundaries."""

from __future__ import annotations

from dataclasses import dataclass

#: A line longer than this is no event of ours (JSON bodies end at 16 MB, plus base64 and escapes).
MAX_LINE = 64 << 20
_LONGEST_RETRY = 60.0


class StreamBroken(Exception):
    """What came is not an event stream that we can read."""


@dataclass(frozen=True)
class ServerEvent:
    """One event: `id` is "" when this event has none of its own, `kind` its type, `data` its text."""

    id: str
    kind: str
    data: str


class SseParser:
    """Feed it bytes as they come; it gives the events that are complete.

    Lines end with LF, CRLF or CR. Unlike a browser's, an event's id is its own and is not
    inherited from an earlier event, because the platform's first event (the status now) has none.

    `last_id` is the last id that came, also with an event that has no data; `retry` the seconds that the
    server asks to wait before the stream is taken up again (a minute at most; 0.0 when it says nothing).
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._skip_lf = False
        self._first = True
        self.last_id = ""
        self.retry = 0.0
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` completes. Raises StreamBroken for an endless line."""
        events: list[ServerEvent] = []
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        buffer = self._buffer
        buffer += chunk
        start = 0
        position = self._scanned
        while True:
            lf = buffer.find(b"\n", position)
            cr = buffer.find(b"\r", position, lf if lf >= 0 else len(buffer))
            if cr >= 0:
                end, after = cr, cr + 1
                if after == len(buffer):
                    self._skip_lf = True
                elif buffer[after] == 0x0A:
                    after += 1
            elif lf >= 0:
                end, after = lf, lf + 1
            else:
                break
            event = self._line(bytes(buffer[start:end]))
            if event is not None:
                events.append(event)
            start = position = after
        del buffer[:start]
        self._scanned = len(buffer)
        if len(buffer) > MAX_LINE:
            raise StreamBroken("The stream has a line that does not end.")
        return events

    def _line(self, raw: bytes) -> ServerEvent | None:
        if self._first:
            self._first = False
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if not raw:
            return self._dispatch()
        if raw[0] == 0x3A:  # a comment keeps the line alive
            return None
        name, _, value = raw.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
        elif name == b"event":
            self._kind = text
        elif name == b"id" and "\0" not in text:
            self._id = text
        elif name == b"retry" and text.isascii() and text.isdigit():
            self.retry = min(int(text[:9]) / 1000, _LONGEST_RETRY)
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, kind, ident = self._data, self._kind, self._id
        self._data, self._kind, self._id = [], "", ""
        self.last_id = ident or self.last_id
        text = "\n".join(data)
        return ServerEvent(ident, kind or "message", text) if text else None
