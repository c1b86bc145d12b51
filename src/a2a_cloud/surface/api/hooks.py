"""`/api/v1/hooks`: addresses for other people's webhooks. The address and a secret that is made here are in
one answer only; each change is a line of the log `a2a_cloud.audit`."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from a2a_cloud.model.hook import Checks, Hook, Scheme
from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.calls import find_skill
from a2a_cloud.surface.front_names import numbered
from a2a_cloud.surface.hooks_port import Hooks, Made
from a2a_cloud.surface.narrowing import of_table
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

log = logging.getLogger("a2a_cloud.audit")


Answer = tuple[int, Any]


class NewHook(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/hooks`. `agent` as in its address, `name@2` too. Without a `secret` one is
    made, where the scheme's senders take one. `grant`: what is left of the agent's grant."""

    agent: str
    skill: str
    scheme: Scheme
    secret: str = ""
    label: str = ""
    grant: dict[str, Any] | None = None
    checks: Checks = Checks()


class Rotation(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/hooks/{id}/rotate`: another key in the path, or with `what` "secret" another
    secret (made here, where none comes). What was there before is good for `grace` more seconds."""

    what: str = "key"
    secret: str = ""
    grace: float = 0.0


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/hooks?agent=`."""
    agent = request.query().get("agent", "")
    found = _of(services).listed(request.principal)
    return 200, {"hooks": [_document(hook) for hook in found if agent in ("", hook.agent)]}


async def create(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/hooks`."""
    hooks, principal = _of(services), request.principal
    wanted = await read_body(
        request, NewHook, '{"agent", "skill", "scheme", "secret"?, "label"?, "grant"?, "checks"?}'
    )
    if principal.scopes is not None:
        raise Forbidden(
            "A hook acts with all that its maker may, and this key or token is narrowed.",
            remedy="Make the hook with one that is not narrowed.",
        )
    if numbered(wanted.agent):
        raise InvalidParams(
            "A hook is of an agent and not of one release.",
            remedy="Leave the number out; name@2 stays with a major version.",
            info={"field": "agent"},
        )
    release = services.registry.serving(wanted.agent)
    if release.org_no != principal.org_no:
        if not release.open_to(principal):
            raise AgentNotFound.of(wanted.agent)
        raise Forbidden("An agent's hooks are made by people of its organisation.")
    spec = find_skill(release, wanted.skill)
    if any(param.required for param in spec.files):
        raise InvalidParams(
            f"The skill {spec.id} needs a file, which a webhook doesn't bring.",
            remedy="Hook another skill, which fetches the file and calls this one.",
            info={"field": "skill"},
        )
    made = await hooks.create(
        principal,
        agent_no=release.agent_no,
        agent=release.name,
        skill=spec.id,
        scheme=wanted.scheme,
        checks=wanted.checks,
        secret=wanted.secret,
        narrow=of_table(wanted.grant, "grant") if wanted.grant is not None else None,
        label=wanted.label,
    )
    _audit(request, "made", made.hook)
    return 201, _made(made, request, wanted.agent)


async def rotate(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/hooks/{id}/rotate`."""
    hooks = _of(services)
    wanted = await read_body(request, Rotation, '{"what"?: key|secret, "secret"?, "grace"?: SECONDS}')
    if wanted.what not in ("key", "secret") or (wanted.secret and wanted.what == "key"):
        raise InvalidParams(
            "What is rotated is the key or the secret.",
            remedy='Send {"what": "key"}, or {"what": "secret", "secret"?: TEXT}.',
            info={"field": "what"},
        )
    if wanted.what == "key":
        made = await hooks.rotate_key(request.principal, values[0], wanted.grace)
    else:
        made = await hooks.rotate_secret(request.principal, values[0], wanted.secret, wanted.grace)
    _audit(request, f"{wanted.what} rotated", made.hook)
    org = request.principal.org
    return 200, _made(made, request, made.hook.agent if org == DEFAULT_ORG else f"{org}.{made.hook.agent}")


async def drop(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/hooks/{id}`."""
    hook = await _of(services).drop(request.principal, values[0])
    _audit(request, "removed", hook)
    return 200, {**_document(hook), "removed": True}


def _of(services: Services) -> Hooks:
    if services.hooks is None:
        raise Unavailable("This platform has no store of hooks.")
    return services.hooks


def _audit(request: Request, what: str, hook: Hook) -> None:
    by = request.principal
    log.info(
        "hook %s: %s agent=%s skill=%s scheme=%s by=%s key=%s",
        what,
        hook.id,
        hook.agent,
        hook.skill,
        hook.scheme.value,
        by.label,
        by.key_id,
    )


def _made(made: Made, request: Request, agent: str) -> dict[str, Any]:
    document = _document(made.hook)
    if made.key:
        skill = quote(made.hook.skill, safe="")
        document["url"] = f"{request.base}/agents/{quote(agent, safe='.@')}/hooks/{skill}/{made.key}"
    if made.secret:
        document["secret"] = made.secret
    return document


def _document(hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "agent": hook.agent,
        "skill": hook.skill,
        "scheme": hook.scheme.value,
        "checks": hook.checks,
        "grant": hook.narrow,
        "label": hook.label,
        "created": stamp(hook.created),
        "by": hook.by,
        "old_key_until": stamp(hook.old_key_until) if hook.old_key_until else None,
        "old_secret_until": stamp(hook.old_secret_until) if hook.old_secret_until else None,
    }
