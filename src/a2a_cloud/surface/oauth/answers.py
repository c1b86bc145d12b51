"""What OAuth's addresses have in common: parameters that come once, JSON that pages of any origin may read
(CORS), redirects that add to an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from a2a_cloud.model.problem import InvalidRequest
from a2a_cloud.surface.request import JSON, Headers, Request

MAX_BODY = 64 << 10
_encode = msgspec.json.Encoder().encode
FORM = b"application/x-www-form-urlencoded"
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, DPoP-Nonce"),
]


def header(request: Request, name: bytes) -> str:
    """A header that is read only here. Raises InvalidRequest when it is there twice."""
    found = [value for key, value in request.scope["headers"] if key == name]
    if len(found) > 1:
        raise InvalidRequest(f"The header {name.decode()} stands there twice.")
    return found[0].decode("latin-1") if found else ""


def parameters(text: bytes) -> dict[str, str]:
    """Parameters of a query or form, each there once (RFC 6749, section 3.1); empty ones count as left out.
    Raises InvalidRequest."""
    try:
        said = text.decode("ascii")
        pairs = parse_qsl(said, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise InvalidRequest("The parameters can't be read.", remedy="Send them as a form.") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequest("A parameter stands there twice.", remedy="Send each once.")
    return {name: value for name, value in found.items() if value}


async def form(request: Request) -> dict[str, str]:
    """The parameters in the body, and none in the address, where they would be logged. Raises Problem."""
    if request.media_type() != FORM:
        raise InvalidRequest(
            "The body is no form.", remedy="Send Content-Type: application/x-www-form-urlencoded."
        )
    if request.query_string:
        raise InvalidRequest("Parameters stand in the address.", remedy="Send them in the body.")
    return parameters(await request.body(MAX_BODY))


async def tell(
    request: Request,
    status: int,
    document: Mapping[str, Any],
    headers: Sequence[tuple[str, str]] = (),
    *,
    cache: int = 0,
) -> None:
    """Answer with JSON. `cache`: seconds that others may keep it."""
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    fields = [field for field in fields if field[0] not in (b"content-type", b"cache-control", b"pragma")]
    kept = f"public, max-age={cache}".encode() if cache else b"no-store"
    await request.answer(status, _encode(document), JSON, [*fields, (b"cache-control", kept), *_CORS])


async def refuse(
    request: Request, status: int, error: str, why: str, headers: Sequence[tuple[str, str]] = ()
) -> None:
    """An error of RFC 6749, section 5.2."""
    plain = "".join(each for each in why if each.isascii() and each.isprintable() and each not in '"\\')
    await tell(request, status, {"error": error, "error_description": plain}, headers)


async def preflight(request: Request, methods: str) -> None:
    """What a browser asks before a page of another origin may send more than a form."""
    headers: Headers = [
        (b"access-control-allow-methods", methods.encode()),
        (b"access-control-allow-headers", b"authorization, content-type, dpop, mcp-protocol-version"),
        (b"access-control-max-age", b"86400"),
        (b"allow", f"{methods}, OPTIONS".encode()),
        *_CORS,
    ]
    await request.answer(204, b"", JSON, headers)


async def redirect(request: Request, uri: str, more: Sequence[tuple[str, str]] = ()) -> None:
    """Send a browser to an address with further parameters."""
    if more:
        uri += ("&" if "?" in uri else "?") + urlencode(more)
    headers: Headers = [
        (b"location", uri.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await request.answer(303, b"", b"text/plain", headers)
