"""What the HTTP server refuses by itself, as Problems, and the checks of a header as a whole (RFC 9112,
sections 3.2, 6.1 and 6.3): what two readers could understand differently is refused, not repaired.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from a2a_cloud.model.problem import (
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    Problem,
    RequestTimeout,
    TooLarge,
    TooManyHeaders,
    Unavailable,
    UrlTooLong,
)
from a2a_cloud.settings import HttpLimits


def malformed(error: Exception) -> Problem:
    """The parser gave up."""
    said = str(error)
    why = f": {said}" if said.isprintable() and len(said) < 120 else ""
    return InvalidRequest(f"This is not a well-formed HTTP/1.1 request{why}.", remedy="Check the client.")


def not_by_proxy() -> Problem:
    """A stranger reached the port that is the proxies'."""
    return Forbidden(
        "This port is for the platform's proxies.", remedy="Use the address that the proxy serves, by https."
    )


def url_too_long(limits: HttpLimits) -> Problem:
    """The request target is over `url_bytes`."""
    return UrlTooLong(
        f"The address is longer than {limits.url_bytes} bytes.", remedy="Send long arguments in the body."
    )


def head_too_large(limits: HttpLimits) -> Problem:
    """Over `head_bytes` or `head_count`."""
    return TooManyHeaders(
        f"The header is larger than {limits.head_bytes} bytes or {limits.head_count} fields.",
        remedy="Send fewer or shorter header fields.",
    )


def head_too_slow(limits: HttpLimits) -> Problem:
    """Over `head_seconds`."""
    return RequestTimeout(
        f"The request's header did not arrive within {limits.head_seconds:g} seconds.",
        remedy="Send the whole header at once.",
    )


def body_too_large(limits: HttpLimits) -> Problem:
    """Over `body_bytes`."""
    return TooLarge(
        f"The body is larger than {limits.body_bytes} bytes.", remedy="Send it in smaller pieces."
    )


def body_too_slow(limits: HttpLimits) -> Problem:
    """Over `body_idle_seconds`."""
    return RequestTimeout(
        f"No more of the request's body arrived for {limits.body_idle_seconds:g} seconds.",
        remedy="Send the body without long breaks.",
    )


def body_without_bytes() -> Problem:
    """Trailer fields or chunk extensions without end."""
    return InvalidRequest("The body's trailer fields are too large.", remedy="Send none.")


def coding_unknown() -> Problem:
    """A Transfer-Encoding other than one `chunked`."""
    return InvalidRequest(
        "Transfer-Encoding may be chunked and nothing else.",
        remedy="Send the body with Content-Length, or chunked.",
    )


def pipeline_full() -> Problem:
    """Over `pipelined`, or the server stops."""
    return Unavailable("Too many requests wait on this connection.", retry_after=1)


def server_full(limits: HttpLimits) -> Problem:
    """Over `connections`."""
    return Unavailable(
        f"The server has {limits.connections} connections open already.",
        remedy="Try again in a few seconds.",
        retry_after=2,
    )


def client_full(limits: HttpLimits) -> Problem:
    """Over `connections_per_client`."""
    return Unavailable(
        f"Your address has {limits.connections_per_client} connections open already.",
        remedy="Close some, or use one connection for several requests.",
        retry_after=2,
    )


def check_head(
    version: str, method: bytes, *, hosts: int, chunked: bool, declared: int, upgrade: bool, body_bytes: int
) -> Problem | None:
    """What is wrong with a header as a whole: `declared` is its Content-Length, -1 for none."""
    if version not in ("1.1", "1.0"):
        return InvalidRequest(f"HTTP/{version} is not spoken here.", remedy="Speak HTTP/1.1.")
    if method == b"CONNECT":
        return MethodNotAllowed("This server is no proxy.", remedy="Send requests to it directly.")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return InvalidRequest("A request has exactly one Host field.", remedy="Send one.")
    if chunked and (declared >= 0 or version == "1.0"):
        return InvalidRequest(
            "Transfer-Encoding can't stand beside Content-Length or in HTTP/1.0.",
            remedy="Send the body with Content-Length alone.",
        )
    if upgrade and (chunked or declared > 0):
        # The parser takes such a body for the upgraded protocol's first bytes.
        return InvalidRequest("A request with a body can't ask for an upgrade.", remedy="Leave out Upgrade.")
    if declared > body_bytes:
        return TooLarge(f"The body is larger than {body_bytes} bytes.", remedy="Send it in smaller pieces.")
    return None


def target(url: bytes, headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes] | Problem:
    """Path and query of a request target in any of its forms."""
    if not url.startswith(b"/") and url != b"*":
        # Absolute form: the authority must be the Host field, or two readers would see two hosts.
        try:
            parts = urlsplit(url.decode("ascii"))
        except ValueError:
            return InvalidRequest("The address can't be read.", remedy="Send the path alone.")
        host = next((value for name, value in headers if name == b"host"), b"")
        if parts.scheme != "http" or parts.netloc.lower().encode() != host.strip().lower():
            return InvalidRequest(
                "The address names another host than the Host field.", remedy="Send the path alone."
            )
        url = (parts.path or "/").encode() + (b"?" + parts.query.encode() if parts.query else b"")
    path, _, query = url.partition(b"#")[0].partition(b"?")
    return path, query
