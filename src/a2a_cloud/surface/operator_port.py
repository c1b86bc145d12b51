"""What the surface needs of who keeps the platform: its settings as people see them, copies of everything,
and somebody who is told of requests when there is a place for traces."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple, Protocol


class Setting(NamedTuple):
    """A setting: its variable, its value (secrets masked), and where that comes from."""

    name: str
    value: str
    source: str


class Operator(Protocol):
    """Keeps the platform."""

    @property
    def key(self) -> str:
        """The id of the key that lies in the data folder: who has that has everything."""
        ...

    def settings(self) -> tuple[str, list[Setting]]:
        """(the file of settings that was read, "" for none; every setting)."""
        ...

    def backup(self, by: str) -> AsyncGenerator[bytes]:
        """The archive of everything, piece by piece, for `by` (`name@org`). Raises Unavailable, Busy,
        StorageFull before the first piece, and Internal when it breaks off."""
        ...


class Traces(Protocol):
    """Makes a span of each request."""

    def begin(self, method: str, traceparent: bytes) -> tuple[Any, bytes]:
        """(the span, the `traceparent` for everything that the request does)."""
        ...

    def end(self, span: Any, method: str, route: str, path: str, scheme: str, status: int) -> None:
        """The request is answered, or its caller is gone."""
        ...
