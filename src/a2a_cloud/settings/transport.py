"""How callers reach the platform: TLS by file, proxies that are believed, and plain HTTP on an address that
others reach, which is refused unless it is asked for in so many words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings.read import Network, choice, file, networks, text

_CONSENT = "yes-i-know"


@dataclass(frozen=True, slots=True)
class Transport:
    """`cert`, `key`: PEM files, both or none. `proxies`: the addresses of proxies that are believed, which
    say by `headers` (`x-forwarded` or `forwarded`) who calls. `insecure`: plain HTTP may be spoken to
    everybody."""

    cert: Path | None = None
    key: Path | None = None
    proxies: tuple[Network, ...] = ()
    headers: str = "x-forwarded"
    insecure: bool = False


def read_transport(environ: Mapping[str, str]) -> Transport:
    """The settings out of `A2A_TLS_…`, `A2A_TRUSTED_PROXIES`, …. Raises BadSetting."""
    cert, key = file(environ, "A2A_TLS_CERT"), file(environ, "A2A_TLS_KEY")
    if (cert is None) is not (key is None):
        said, other = ("A2A_TLS_CERT", "A2A_TLS_KEY") if key is None else ("A2A_TLS_KEY", "A2A_TLS_CERT")
        raise BadSetting(
            f"{said} is set and {other} is not.", remedy=f"Set {other} too.", info={"setting": other}
        )
    proxies = networks(environ, "A2A_TRUSTED_PROXIES")
    for network in proxies:
        if network.prefixlen == 0:
            raise BadSetting(
                f"A2A_TRUSTED_PROXIES has {network}, which is everybody.",
                remedy="Write the addresses that your proxies connect from.",
                info={"setting": "A2A_TRUSTED_PROXIES"},
            )
    words = "x-forwarded or forwarded"
    insecure = text(environ, "A2A_INSECURE_HTTP")
    if insecure not in ("", _CONSENT):
        raise BadSetting(
            f"A2A_INSECURE_HTTP is {insecure[:200]!r}.",
            remedy=f"Write {_CONSENT}, or nothing: keys would travel for anybody on the way to read.",
            info={"setting": "A2A_INSECURE_HTTP"},
        )
    return Transport(
        cert=cert,
        key=key,
        proxies=proxies,
        headers=choice(environ, "A2A_PROXY_HEADERS", ("x-forwarded", "forwarded"), "x-forwarded", words),
        insecure=bool(insecure),
    )
