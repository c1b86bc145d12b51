"""Everything that the environment may say to the platform, read once into one typed object.

Every variable has a default that suits one machine; a value that can't be used is refused with a
Problem that names the variable, the value and what to write. Nothing else in the platform reads
the environment. The table of variables is in docs/settings.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from a2a_cloud.model.problem import BadSetting

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_HOST_NAME = re.compile(
    r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*"
)


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


@dataclass(frozen=True, slots=True)
class Settings:
    """The platform's settings; `from_env` builds them.

    `host`, `port`: where to listen, port 0 takes a free one. `grpc_port`: the same for gRPC, None for none at
    all; unless `grpc_exact`, a free one will do where it is taken. `grpc_url`: the address of gRPC for cards,
    "" for the host of the card's own and that port; `grpc_agent`: the agent of requests that name none, "" for
    none. `data`: absolute path of the data folder. `environments`: where agents' environments lie, None for the data folder; several platforms
    may share one. `dev`: folders that are served are watched, and `/_dev` is there. `allowed_hosts`:
    names (lower case, no port, `*.name` for all below it) that a Host header may have besides
    localhost names and the bound address. `public_url`: the address for cards when the Host header
    isn't an allowed one, without a slash at the end; "" means the address that was bound. `sandbox`: the
    one to use ("": the strongest that holds here). `idle`: seconds without a run after which an agent keeps
    no process, where its manifest says nothing; 0: it always does. `objects`: where objects lie, a URL
    ("": the data folder). `grant_depth`: how often a grant may be handed on, whatever its agent
    declares. `approval_seconds`: how long people have to decide. `approvals_webhook`: who is
    told of approvals, signed with `approvals_secret`. `egress_private`: `host:port` of private addresses
    that agents may reach, by commas. `egress_ca`: a file of roots that egress trusts beside the system's.
    `push_private`, `fetch_private`: hosts and ranges in private networks that push notifications may go to,
    and that files of `url` parts may come from. `build_hosts`: `host:port` by commas, that builds may reach besides the package indexes.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    grpc_exact: bool = False
    grpc_url: str = ""
    grpc_agent: str = ""
    data: Path = field(default_factory=lambda: Path(".a2a").absolute())
    environments: Path | None = None
    dev: bool = False
    allowed_hosts: tuple[str, ...] = ()
    public_url: str = ""
    sandbox: str = ""
    idle: float = 900.0
    objects: str = ""
    grant_depth: int = 9
    approval_seconds: float = 86_400.0
    approvals_webhook: str = ""
    approvals_secret: str = ""
    egress_private: str = ""
    egress_ca: Path | None = None
    push_private: str = ""
    fetch_private: str = ""
    build_hosts: str = ""
    http: HttpLimits = HttpLimits()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Settings out of variables named `A2A_…`; an empty variable counts as unset.

        Raises BadSetting, which names the variable, its value and what to write instead.
        """
        return cls(
            host=_host(environ),
            port=_port(environ),
            grpc_port=_grpc_port(environ),
            grpc_exact=bool(_value(environ, "A2A_GRPC_PORT")),
            grpc_url=_grpc_url(environ),
            grpc_agent=_value(environ, "A2A_GRPC_AGENT"),
            data=_folder(environ, "A2A_DATA", ".a2a"),
            environments=_folder(environ, "A2A_ENVIRONMENTS", "")
            if _value(environ, "A2A_ENVIRONMENTS")
            else None,
            dev=_value(environ, "A2A_DEV") == "1",
            allowed_hosts=_hosts(environ, "A2A_ALLOWED_HOSTS"),
            public_url=_url(environ, "A2A_PUBLIC_URL"),
            sandbox=_sandbox(environ),
            idle=_idle(environ),
            objects=_value(environ, "A2A_OBJECTS"),
            grant_depth=_whole(environ, "A2A_GRANT_DEPTH", 9, 0, 9, "a number from 0 to 9"),
            approval_seconds=_whole(
                environ, "A2A_APPROVAL_SECONDS", 86_400, 1, 31_622_400, "seconds from 1 to 31622400"
            ),
            approvals_webhook=_url(environ, "A2A_APPROVALS_WEBHOOK"),
            approvals_secret=_value(environ, "A2A_APPROVALS_WEBHOOK_SECRET"),
            egress_private=_value(environ, "A2A_EGRESS_PRIVATE"),
            egress_ca=Path(_value(environ, "A2A_EGRESS_CA")).absolute()
            if _value(environ, "A2A_EGRESS_CA")
            else None,
            push_private=_value(environ, "A2A_PUSH_PRIVATE"),
            fetch_private=_value(environ, "A2A_FETCH_PRIVATE"),
            build_hosts=_value(environ, "A2A_BUILD_HOSTS"),
            http=_http(environ),
        )


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _bad(name: str, value: str, write: str) -> BadSetting:
    shown = value if len(value) <= 200 else value[:200] + "…"
    return BadSetting(
        f"{name} is {shown!r}, which can't be used.", remedy=f"Write {write}.", info={"setting": name}
    )


def _host(environ: Mapping[str, str]) -> str:
    name, value = "A2A_HOST", _value(environ, "A2A_HOST")
    if not value:
        return "127.0.0.1"
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
    if "/" in value or any(c.isspace() or not c.isprintable() for c in value) or value.count(":") == 1:
        raise _bad(
            name,
            value,
            "an address or a host name alone, such as 127.0.0.1 or ::1 (the port goes into A2A_PORT)",
        )
    return value


def _whole(environ: Mapping[str, str], name: str, default: int, low: int, high: int, write: str) -> int:
    value = _value(environ, name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 18 and low <= int(value) <= high):
        raise _bad(name, value, write)
    return int(value)


def _port(environ: Mapping[str, str]) -> int:
    return _whole(environ, "A2A_PORT", 8080, 0, 65_535, "a port from 1 to 65535, or 0 for a free one")


def _grpc_port(environ: Mapping[str, str]) -> int | None:
    """The port after HTTP's, where nothing is said; a free one beside a free one."""
    if _value(environ, "A2A_GRPC_PORT").lower() == "off":
        return None
    http = _port(environ)
    usual = http + 1 if 0 < http < 65_535 else 0
    write = "a port from 1 to 65535, 0 for a free one, or off"
    return _whole(environ, "A2A_GRPC_PORT", usual, 0, 65_535, write)


def _grpc_url(environ: Mapping[str, str]) -> str:
    value = _value(environ, "A2A_GRPC_URL")
    if any(c.isspace() or not c.isprintable() for c in value) or value.startswith(":"):
        raise _bad("A2A_GRPC_URL", value, "what gRPC clients connect to, such as grpc.example.com:443")
    return value


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = _value(environ, name)
    if not value:
        return default
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", value) or not 0.05 <= float(value) <= 86_400:
        raise _bad(name, value, "seconds from 0.05 to 86400, such as 10 or 2.5")
    return float(value)


def _idle(environ: Mapping[str, str]) -> float:
    name, value = "A2A_IDLE", _value(environ, "A2A_IDLE")
    if not value:
        return 900.0
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", value) or not (
        float(value) == 0 or 1 <= float(value) <= 604_800
    ):
        raise _bad(name, value, "seconds from 1 to 604800, or 0 to keep agents' processes for ever")
    return float(value)


def _sandbox(environ: Mapping[str, str]) -> str:
    value = _value(environ, "A2A_SANDBOX")
    if value not in ("", "jail", "process"):
        raise _bad("A2A_SANDBOX", value, "jail or process, or nothing for the strongest that holds here")
    return value


def _folder(environ: Mapping[str, str], name: str, default: str) -> Path:
    value = _value(environ, name) or default
    if "\0" in value:
        raise _bad(name, value, "the path of a folder")
    try:
        path = Path(os.path.abspath(Path(value).expanduser()))
    except RuntimeError as error:  # "~someone" without a home folder
        raise _bad(name, value, "the path of a folder that exists or can be made") from error
    if path.exists() and not path.is_dir():
        raise _bad(name, value, "the path of a folder; this is a file")
    return path


def _hosts(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    hosts: list[str] = []
    for part in _value(environ, name).split(","):
        host = part.strip().lower().rstrip(".")
        if not host:
            continue
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not (_HOST_NAME.fullmatch(bare) or re.fullmatch(r"[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*", bare)):
            raise _bad(
                name,
                part.strip(),
                "host names without port, separated by commas, such as agents.example.com,*.example.org",
            )
        hosts.append(bare)
    return tuple(dict.fromkeys(hosts))


def _url(environ: Mapping[str, str], name: str) -> str:
    value = _value(environ, name)
    if not value:
        return ""
    write = "an http or https address without a query, such as https://agents.example.com"
    if any(c.isspace() or not c.isprintable() for c in value):
        raise _bad(name, value, write)
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        good = False
        parts = None
    if parts is None or not good or parts.query or parts.fragment or parts.username is not None:
        raise _bad(name, value, write)
    return value.rstrip("/")


def _http(environ: Mapping[str, str]) -> HttpLimits:
    d = HttpLimits()

    def whole(name: str, default: int, low: int, high: int) -> int:
        return _whole(environ, name, default, low, high, f"a whole number from {low} to {high}")

    return HttpLimits(
        url_bytes=d.url_bytes,
        head_bytes=whole("A2A_HTTP_HEAD_BYTES", d.head_bytes, 1 * KIB, 1 * MIB),
        head_count=whole("A2A_HTTP_HEAD_COUNT", d.head_count, 10, 1_000),
        head_seconds=_seconds(environ, "A2A_HTTP_HEAD_SECONDS", d.head_seconds),
        idle_seconds=_seconds(environ, "A2A_HTTP_IDLE_SECONDS", d.idle_seconds),
        body_bytes=whole("A2A_HTTP_BODY_BYTES", d.body_bytes, 1 * KIB, 1 << 50),
        body_idle_seconds=_seconds(environ, "A2A_HTTP_BODY_IDLE_SECONDS", d.body_idle_seconds),
        write_idle_seconds=_seconds(environ, "A2A_HTTP_WRITE_IDLE_SECONDS", d.write_idle_seconds),
        connections=whole("A2A_HTTP_CONNECTIONS", d.connections, 1, 1_000_000),
        connections_per_client=whole(
            "A2A_HTTP_CONNECTIONS_PER_CLIENT", d.connections_per_client, 1, 1_000_000
        ),
    )
