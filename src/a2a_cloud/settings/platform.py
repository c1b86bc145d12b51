"""The platform's settings as one typed object, out of variables named `A2A_…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from a2a_cloud.model.issuer import Issuer
from a2a_cloud.settings.billing import Billing, read_billing
from a2a_cloud.settings.http import HttpLimits, read_http
from a2a_cloud.settings.issuers import read_issuers
from a2a_cloud.settings.keeping import Keeping, read_keeping
from a2a_cloud.settings.logs import Logs, read_logs
from a2a_cloud.settings.people import People, read_people
from a2a_cloud.settings.read import bad, choice, file, flag, folder, hosts, seconds, text, url, whole
from a2a_cloud.settings.services import ServiceSettings, read_services
from a2a_cloud.settings.telemetry import Telemetry, read_telemetry
from a2a_cloud.settings.transport import Transport, read_transport
from a2a_cloud.settings.witnesses import read_witnesses
from a2a_cloud.wire.note import NoteKey

if TYPE_CHECKING:
    from a2a_cloud.settings.sources import Told


@dataclass(frozen=True, slots=True)
class Settings:
    """The platform's settings; `load` (sources.py) and `from_env` build them.

    `host`, `port`: where to listen, port 0 takes a free one. `grpc_port`: the same for gRPC, None for none at
    all; unless `grpc_exact`, a free one will do where it is taken. `grpc_url`: the address of gRPC for cards,
    "" for the host of the card's own and that port; `grpc_agent`: the agent of requests that name none, ""
    for none. `data`: absolute path of the data folder. `environments`: where agents' environments lie, None
    for the data folder; several platforms may share one. `dev`: served folders are watched, and `/_dev` is
    there. `allowed_hosts`: names (lower case, no port, `*.name` for all below it) that a Host header may
    have besides localhost names and the bound address. `public_url`: the address for cards when the Host
    header isn't an allowed one, without a slash at the end; "" means the address that was bound. `sandbox`:
    the one to use ("": the strongest that holds here). `idle`: seconds without a run after which an agent
    keeps no process, where its manifest says nothing; 0: it always does. `objects`: where objects lie, a URL
    ("": the data folder). `grant_depth`: how often a grant may be handed on, whatever its agent declares.
    `exchange_depth`: how many may act for one another in a chain of exchanged tokens.
    `approval_seconds`: how long people have to decide. `approvals_webhook`: who is told of approvals, signed
    with `approvals_secret`. `egress_private`: `host:port` of private addresses that agents may reach, by
    commas. `egress_ca`: a file of roots that egress trusts beside the system's. `push_private`,
    `fetch_private`: hosts and ranges in private networks that push notifications may go to, and that files of
    `url` parts may come from. `build_hosts`: `host:port` by commas, that builds may reach besides the package
    indexes. `limits`: whether callers' rates and budgets are enforced. `issuers`: outside issuers
    that agents may take tokens of. `witnesses`: address and key of those who cosign the audit log. `told` and
    `config`: where each of them comes from, for people, and the file that was read.
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
    exchange_depth: int = 6
    approval_seconds: float = 86_400.0
    approvals_webhook: str = ""
    approvals_secret: str = field(default="", repr=False)
    egress_private: str = ""
    egress_ca: Path | None = None
    push_private: str = ""
    fetch_private: str = ""
    limits: bool = True
    build_hosts: str = ""
    http: HttpLimits = field(default_factory=HttpLimits)
    transport: Transport = field(default_factory=Transport)
    keeping: Keeping = field(default_factory=Keeping)
    logs: Logs = field(default_factory=Logs)
    telemetry: Telemetry = field(default_factory=Telemetry)
    issuers: tuple[Issuer, ...] = ()
    witnesses: tuple[tuple[str, NoteKey], ...] = ()
    people: People = field(default_factory=People)
    services: ServiceSettings = field(default_factory=ServiceSettings)
    billing: Billing = field(default_factory=Billing)
    told: tuple[Told, ...] = field(default=(), compare=False, repr=False)
    config: Path | None = field(default=None, compare=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Settings out of variables named `A2A_…`; an empty variable counts as unset.

        Raises BadSetting, which names the variable, its value and what to write instead.
        """
        return cls(
            host=_host(environ),
            port=_port(environ),
            grpc_port=_grpc_port(environ),
            grpc_exact=bool(text(environ, "A2A_GRPC_PORT")),
            grpc_url=_grpc_url(environ),
            grpc_agent=text(environ, "A2A_GRPC_AGENT"),
            data=folder(environ, "A2A_DATA", ".a2a"),
            environments=folder(environ, "A2A_ENVIRONMENTS", "")
            if text(environ, "A2A_ENVIRONMENTS")
            else None,
            dev=flag(environ, "A2A_DEV"),
            allowed_hosts=hosts(environ, "A2A_ALLOWED_HOSTS"),
            public_url=url(environ, "A2A_PUBLIC_URL"),
            sandbox=choice(
                environ,
                "A2A_SANDBOX",
                ("", "jail", "process"),
                "",
                "jail or process, or nothing for the strongest that holds here",
            ),
            idle=_idle(environ),
            objects=text(environ, "A2A_OBJECTS"),
            grant_depth=whole(environ, "A2A_GRANT_DEPTH", 9, 0, 9, "a number from 0 to 9"),
            exchange_depth=whole(environ, "A2A_EXCHANGE_DEPTH", 6, 1, 16, "a number from 1 to 16"),
            approval_seconds=whole(
                environ, "A2A_APPROVAL_SECONDS", 86_400, 1, 31_622_400, "seconds from 1 to 31622400"
            ),
            approvals_webhook=url(environ, "A2A_APPROVALS_WEBHOOK"),
            approvals_secret=text(environ, "A2A_APPROVALS_WEBHOOK_SECRET"),
            egress_private=text(environ, "A2A_EGRESS_PRIVATE"),
            egress_ca=file(environ, "A2A_EGRESS_CA"),
            push_private=text(environ, "A2A_PUSH_PRIVATE"),
            fetch_private=text(environ, "A2A_FETCH_PRIVATE"),
            limits=choice(environ, "A2A_LIMITS", ("on", "off"), "on", "on or off") == "on",
            build_hosts=text(environ, "A2A_BUILD_HOSTS"),
            http=read_http(environ),
            transport=read_transport(environ),
            keeping=read_keeping(environ),
            logs=read_logs(environ),
            telemetry=read_telemetry(environ),
            issuers=read_issuers(environ),
            witnesses=read_witnesses(environ),
            people=read_people(environ),
            services=read_services(environ),
            billing=read_billing(environ),
        )


def _host(environ: Mapping[str, str]) -> str:
    name, value = "A2A_HOST", text(environ, "A2A_HOST", "127.0.0.1")
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
    if "/" in value or any(c.isspace() or not c.isprintable() for c in value) or value.count(":") == 1:
        write = "an address or a host name alone, such as 127.0.0.1 or ::1 (the port goes into A2A_PORT)"
        raise bad(name, value, write)
    return value


def _port(environ: Mapping[str, str]) -> int:
    return whole(environ, "A2A_PORT", 8080, 0, 65_535, "a port from 1 to 65535, or 0 for a free one")


def _grpc_port(environ: Mapping[str, str]) -> int | None:
    """The port after HTTP's, where nothing is said; a free one beside a free one."""
    if text(environ, "A2A_GRPC_PORT").lower() == "off":
        return None
    http = _port(environ)
    usual = http + 1 if 0 < http < 65_535 else 0
    write = "a port from 1 to 65535, 0 for a free one, or off"
    return whole(environ, "A2A_GRPC_PORT", usual, 0, 65_535, write)


def _grpc_url(environ: Mapping[str, str]) -> str:
    value = text(environ, "A2A_GRPC_URL")
    if any(c.isspace() or not c.isprintable() for c in value) or value.startswith(":"):
        raise bad("A2A_GRPC_URL", value, "what gRPC clients connect to, such as grpc.example.com:443")
    return value


def _idle(environ: Mapping[str, str]) -> float:
    write = "seconds from 1 to 604800, or 0 to keep agents' processes for ever"
    if text(environ, "A2A_IDLE") in ("0", "0.0"):
        return 0.0
    return seconds(environ, "A2A_IDLE", 900.0, 1, 604_800, write)
