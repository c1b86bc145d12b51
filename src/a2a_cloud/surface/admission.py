"""Who calls, which release of which agent takes the call, and whether they may: the same for every binding,
whatever carries names and keys there.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Protocol

from a2a_cloud.model.access import address
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import (
    AgentNotFound,
    Forbidden,
    InvalidRequest,
    ReleaseNotFound,
    Unauthenticated,
    VersionEnded,
)
from a2a_cloud.model.release import Release
from a2a_cloud.surface.came import Came
from a2a_cloud.surface.front_names import numbered
from a2a_cloud.surface.identity_port import Identity
from a2a_cloud.surface.registry_port import Registry
from a2a_cloud.surface.request import Headers


class Tokens(Protocol):
    """Access tokens (control/oauth)."""

    def authenticate(self, token: str, shown: Came) -> Principal:
        """Who shows it. Raises Unauthenticated."""
        ...


class Shows(Protocol):
    """What came with a token in it."""

    def came(self, scheme: str) -> Came:
        """How it was shown."""
        ...


class Admission:
    """Admits callers to agents."""

    __slots__ = ("_identity", "_registry", "_tokens")

    def __init__(self, identity: Identity, registry: Registry, tokens: Tokens | None = None) -> None:
        self._identity = identity
        self._registry = registry
        self._tokens = tokens

    def principal(self, authorization: bytes, api_key: bytes, shown: Shows | None = None) -> Principal:
        """Who calls, with a key or with a token that was `shown`. Raises Unauthenticated for one that isn't
        good, InvalidRequest for two that differ."""
        if not authorization:
            if not api_key:
                return ANONYMOUS
            return self._identity.authenticate(api_key.decode("latin-1").strip())
        scheme, _, token = authorization.partition(b" ")
        token = token.strip()
        if (token[:3] == b"eyJ" or scheme.lower() == b"dpop") and shown is not None:
            return self._by_token(scheme.lower(), token, api_key, shown)
        if scheme.lower() != b"bearer" or not token:
            raise Unauthenticated(
                "The Authorization header is not a bearer token.", remedy="Send Authorization: Bearer KEY."
            )
        if api_key and api_key.strip() != token:
            raise InvalidRequest(
                "Authorization and X-API-Key hold different keys.", remedy="Send one of the two."
            )
        return self._identity.authenticate(token.decode("latin-1"))

    def _by_token(self, scheme: bytes, token: bytes, api_key: bytes, shown: Shows) -> Principal:
        """Who shows a JWT. Raises Unauthenticated, InvalidRequest."""
        if api_key:
            raise InvalidRequest("There are a token and a key.", remedy="Send one of the two.")
        if self._tokens is None or scheme not in (b"bearer", b"dpop"):
            raise Unauthenticated("This is no way to show a token.", remedy="Send it as Bearer TOKEN.")
        return self._tokens.authenticate(token.decode("latin-1"), shown.came(scheme.decode()))

    def release(self, name: str, principal: Principal, wanted: bytes = b"") -> Release:
        """The release that takes a call to `name`; `wanted` is what `A2A-Release` says.

        Raises AgentNotFound, ReleaseNotFound, VersionEnded, Forbidden, InvalidRequest. Whether the caller
        may reach it, `private` says.
        """
        try:
            release = self._registry.serving(name)
        except (ReleaseNotFound, VersionEnded):
            if self._registry.visible(name, principal):
                raise
            raise AgentNotFound.of(name) from None
        if wanted or "--" in name:
            return self._exactly(wanted, release, name, principal)
        return release

    def ending(self, release: Release) -> Headers:
        """Deprecation (RFC 9745) and Sunset (RFC 8594) of a version that will end."""
        notice = self._registry.notices.get((release.agent_no, release.major))
        if notice is None:
            return []
        since, until = notice
        return [
            (b"deprecation", b"@%d" % int(since)),
            (b"sunset", formatdate(until, usegmt=True).encode()),
        ]

    def _exactly(self, wanted: bytes, release: Release, name: str, principal: Principal) -> Release:
        """A release by its number (`A2A-Release: 7`, or `7--` in front of the name): for people of the
        agent's organisation. Raises AgentNotFound, ReleaseNotFound, InvalidRequest."""
        by_number = numbered(name)
        if not wanted and not by_number:
            return release  # A name may have `--` in it.
        if principal.org_no != release.org_no:
            if not release.open_to(principal):
                if principal.anonymous:
                    return release  # Who comes without a key is asked for one below.
                raise AgentNotFound.of(name)
            raise Forbidden(
                "Only people of the agent's organisation reach its releases by number.",
                remedy="Leave the release out, or send a key of that organisation.",
            )
        if not wanted:
            return release
        text = wanted.strip().decode("latin-1")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise InvalidRequest("A2A-Release is no number of a release.", remedy="Send A2A-Release: 3.")
        if by_number and name.partition("--")[0] != text:
            raise InvalidRequest("The address and A2A-Release name different releases.")
        agent = self._registry.agent(f"{release.org}.{release.name}", release.org_no)
        return self._registry.release(agent, int(text))


def reached(release: Release, principal: Principal) -> bool:
    """Whether a key or token is good for the agent, or for one skill of it at least."""
    if principal.scopes is None:
        return True
    name = address(release, principal)
    return principal.reaches(name, "") or any(principal.reaches(name, spec.id) for spec in release.skills)


def check_reached(release: Release, principal: Principal) -> None:
    """Raises Forbidden for a narrowed key that is good for other agents: it reads nothing of this one."""
    if not reached(release, principal):
        name = address(release, principal)
        raise Forbidden(
            "This key or token is good for other agents alone.",
            remedy=f"Use one whose scopes have agent:{name}, or agent:{name}/SKILL.",
            info={"scope": f"agent:{name}"},
        )


def private(release: Release, principal: Principal) -> bool:
    """Whether the agent is none of the caller's business."""
    return principal.org_no != release.org_no and not release.open_to(principal)


def refusal(name: str, principal: Principal) -> Unauthenticated | AgentNotFound:
    """Why nobody from outside the organisation gets in."""
    if principal.anonymous:
        return Unauthenticated(
            "This agent is not public.",
            remedy="Send a key as Authorization: Bearer KEY, or as X-API-Key: KEY.",
        )
    return AgentNotFound.of(name)  # The same words as for an agent that isn't there.
