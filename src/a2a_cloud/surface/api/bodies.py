"""A JSON body of the control API, read into a Struct."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from a2a_cloud.model.problem import InvalidParams, Malformed
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import check_text

MAX_BODY = 64 << 10
T = TypeVar("T")


async def read_body(request: Request, kind: type[T], shape: str, *, most: int = MAX_BODY) -> T:
    """The body as `kind`, of `most` bytes at most; `shape` is what to send. Raises InvalidParams, Malformed,
    TooLarge."""
    request.expect_json()
    body = await request.body(most)
    check_text(body)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"{error}.", remedy=f"Send {shape}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("The body is not valid JSON.", remedy=f"Send {shape}.") from None
