"""What the HTTP server takes from a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from a2a_cloud.settings.read import seconds, whole

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What the HTTP server takes from a client; sizes in bytes, times in seconds.

    `head_*`: request line and header fields; `idle_seconds`: a kept-alive connection between
    requests; `body_idle_seconds`, `write_idle_seconds`: no progress in reading a body, or in a
    client's reading of an answer; `linger_seconds`: how long a refused client is read (and its
    bytes dropped) so that it sees the refusal and not a reset; `pipelined`: requests that may wait
    behind a running one on the same connection.
    """

    url_bytes: int = 8 * KIB
    head_bytes: int = 32 * KIB
    head_count: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    body_bytes: int = 64 * GIB
    body_idle_seconds: float = 30.0
    write_idle_seconds: float = 30.0
    linger_seconds: float = 2.0
    connections: int = 10_000
    connections_per_client: int = 8_000
    pipelined: int = 32
    backlog: int = 4_096


def read_http(environ: Mapping[str, str]) -> HttpLimits:
    """The limits out of variables named `A2A_HTTP_…`. Raises BadSetting."""
    d = HttpLimits()

    def number(name: str, default: int, low: int, high: int) -> int:
        return whole(environ, name, default, low, high, f"a whole number from {low} to {high}")

    return HttpLimits(
        url_bytes=d.url_bytes,
        head_bytes=number("A2A_HTTP_HEAD_BYTES", d.head_bytes, 1 * KIB, 1 * MIB),
        head_count=number("A2A_HTTP_HEAD_COUNT", d.head_count, 10, 1_000),
        head_seconds=seconds(environ, "A2A_HTTP_HEAD_SECONDS", d.head_seconds),
        idle_seconds=seconds(environ, "A2A_HTTP_IDLE_SECONDS", d.idle_seconds),
        body_bytes=number("A2A_HTTP_BODY_BYTES", d.body_bytes, 1 * KIB, 1 << 50),
        body_idle_seconds=seconds(environ, "A2A_HTTP_BODY_IDLE_SECONDS", d.body_idle_seconds),
        write_idle_seconds=seconds(environ, "A2A_HTTP_WRITE_IDLE_SECONDS", d.write_idle_seconds),
        connections=number("A2A_HTTP_CONNECTIONS", d.connections, 1, 1_000_000),
        connections_per_client=number(
            "A2A_HTTP_CONNECTIONS_PER_CLIENT", d.connections_per_client, 1, 1_000_000
        ),
    )
