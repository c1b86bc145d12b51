"""Agents' own identities as the platform has them, and the ways in that its settings turn on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.oauth.records import Subject
from a2a_cloud.control.oauth.tokens import Tokens
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.control.services.identities import Asked, Services
from a2a_cloud.control.services.keys import ServiceKeys
from a2a_cloud.control.services.roots import Committer, Roots, Seal
from a2a_cloud.control.services.rows import ServiceRows
from a2a_cloud.control.services.sigv4 import SigV4Keys
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import BadSetting
from a2a_cloud.model.service import is_domain
from a2a_cloud.settings import Settings

if TYPE_CHECKING:
    from a2a_cloud.surface.auth_schemes import Scheme
    from a2a_cloud.surface.tls import Tls

_LOCAL = "localhost"
#: Names that cards have for other ways in.
_TAKEN = frozenset({"bearer", "apiKey", "oauth2"})


def services_of(
    settings: Settings,
    keys: ServiceKeys,
    rows: ServiceRows,
    journal: Committer,
    seal: Seal,
    clock: Clock,
    entropy: Entropy,
    registry: Registry,
    identity: Identity,
) -> Services:
    """Agents' identities."""
    domain = trust_domain(settings)
    roots = Roots(rows, journal, seal, clock, entropy, domain)
    return Services(keys, roots, rows, journal, clock, agents=registry, principals=identity, domain=domain)


def tie_tokens(services: Services, tokens: Tokens) -> None:
    """Let agents have access tokens, and let those end with the agents."""

    def issue(asked: Asked) -> str:
        return tokens.issue(
            Subject("agent", asked.id, asked.org),
            client=asked.id,
            audience=asked.audience,
            scopes=asked.scopes,
            seconds=asked.seconds,
            family=asked.family,
        )

    tokens.subjects["agent"] = services.standing
    services.issue = issue
    services.ended = lambda family: tokens.ended([family])
    services.changed = tokens.changed
    services.restore()


def sigv4_of(
    settings: Settings,
    rows: ServiceRows,
    journal: Committer,
    seal: Seal,
    clock: Clock,
    entropy: Entropy,
    identity: Identity,
) -> SigV4Keys | None:
    """Keys for AWS signatures, None where none are taken."""
    if settings.services.sigv4 is None:
        return None
    region, service = settings.services.sigv4
    return SigV4Keys(rows, journal, seal, clock, entropy, identity, region=region, service=service)


async def schemes_of(
    settings: Settings, services: Services, sigv4: SigV4Keys | None, tls: Tls | None, most: int
) -> tuple[Scheme, ...]:
    """The ways in that are in force besides keys and tokens; certificates are asked for from now on. Raises
    BadSetting."""
    if not (settings.services.mtls or sigv4 or settings.services.schemes):
        return ()
    from a2a_cloud.surface.auth_schemes import MutualTls, SigV4

    found: list[Scheme] = []
    if settings.services.mtls and tls is not None:
        await services.roots.ready()
        services.roots.changed = lambda: tls.trust(services.roots.bundle())
        services.roots.changed()
        found.append(MutualTls(services))
    if sigv4 is not None:
        found.append(SigV4(sigv4, most))
    found += [_custom(one) for one in settings.services.schemes]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1 or name in _TAKEN:
            raise BadSetting(f"Two ways in are called {name!r}.", remedy="Give one of them another name.")
    return tuple(found)


def trust_domain(settings: Settings) -> str:
    """What agents' SPIFFE IDs begin with."""
    host = urlsplit(settings.public_url).hostname or _LOCAL
    return settings.services.domain or (host if is_domain(host) else _LOCAL)


def _custom(place: str) -> Scheme:
    module, _, factory = place.partition(":")
    try:
        return getattr(importlib.import_module(module), factory)()
    except Exception as error:  # Whatever somebody's code raises, the start says whose it was.
        raise BadSetting(
            f"A2A_AUTH_SCHEMES names {place}, which can't be made: {error}.",
            remedy="Install the module where the platform runs, with a function that takes nothing.",
            info={"setting": "A2A_AUTH_SCHEMES"},
        ) from error
