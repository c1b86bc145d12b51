"""Where traces and metrics go, by OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from a2a_cloud.settings.read import bad, seconds, text, url


@dataclass(frozen=True, slots=True)
class Telemetry:
    """`endpoint`: the collector's address without `/v1/…`, "" for none. `headers`: fields to send along.
    `service`: what this platform is called there. `seconds`: between two exports of metrics."""

    endpoint: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    service: str = "a2a-cloud"
    seconds: float = 60.0


def read_telemetry(environ: Mapping[str, str]) -> Telemetry:
    """The settings out of `A2A_OTLP_…`. Raises BadSetting."""
    return Telemetry(
        endpoint=url(environ, "A2A_OTLP_ENDPOINT"),
        headers=_headers(environ, "A2A_OTLP_HEADERS"),
        service=text(environ, "A2A_OTLP_SERVICE", "a2a-cloud"),
        seconds=seconds(environ, "A2A_OTLP_SECONDS", 60.0),
    )


def _headers(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """`name=value,…`, values percent-encoded, as OpenTelemetry's own variable has them."""
    found: dict[str, str] = {}
    value = text(environ, name)
    for part in value.split(","):
        field_name, equals, rest = part.strip().partition("=")
        if not part.strip():
            continue
        if not equals or not field_name.strip() or not unquote(rest).isprintable():
            raise bad(name, value, "header fields as name=value, separated by commas, such as api-key=abc")
        found[field_name.strip().lower()] = unquote(rest.strip())
    return found
