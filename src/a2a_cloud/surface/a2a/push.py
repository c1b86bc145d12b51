"""A2A's operations on push notification configs (specification 1.0, sections 3.1.7 to 3.1.10), once for
every dialect; what is posted to a receiver is the runtime's business (runtime/push).

Whoever may see a task may see its configs, with their credentials: they are that caller's own. Callers
without a key of an agent that lists its tasks to them (`anonymous_list`) share their tasks: see `shown`.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from a2a_cloud.model.problem import InvalidParams, PushNotificationNotSupported, TaskNotFound
from a2a_cloud.model.run import PushTarget
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.surface.a2a.checks import Caller
from a2a_cloud.surface.push_port import Push
from a2a_cloud.wire.a2a_v1 import (
    AuthenticationInfo,
    ListPushConfigsParams,
    PushConfigList,
    PushConfigParams,
    TaskPushNotificationConfig,
)

_MAX_PAGE = 100


async def target_of(
    push: Push | None, caller: Caller, config: TaskPushNotificationConfig, field: str = ""
) -> PushTarget:
    """The checked target that `config` names. Raises InvalidParams, PushNotificationNotSupported."""
    target = PushTarget(config.url, config.id, config.token, base=caller.links.base)
    given = config.authentication
    if given is not UNSET:
        target = replace(target, scheme=given.scheme, credentials=given.credentials)
    await served(push).check(target, caller.principal.no, field)
    return target


async def create(
    push: Push | None, caller: Caller, config: TaskPushNotificationConfig, name: str, field: str = ""
) -> TaskPushNotificationConfig:
    """CreateTaskPushNotificationConfig; without an id it has the task's. `name`: what the caller calls the
    task, if not by its id."""
    task_id = _task(config.task_id)
    scope, agent_no = owner_scope(caller.principal, caller.release.org_no), caller.release.agent_no
    served(push).listed(scope, agent_no, task_id, after="", limit=1)  # Whose task it is comes first.
    target = replace(await target_of(push, caller, config, field), name=name)
    return shown(caller, await served(push).put(scope, agent_no, task_id, target, caller.speaks), task_id)


def get(push: Push | None, caller: Caller, params: PushConfigParams) -> TaskPushNotificationConfig:
    """GetTaskPushNotificationConfig."""
    scope, task_id = owner_scope(caller.principal, caller.release.org_no), _task(params.task_id)
    return shown(caller, served(push).one(scope, caller.release.agent_no, task_id, params.id), task_id)


def listed(push: Push | None, caller: Caller, params: ListPushConfigsParams) -> PushConfigList:
    """ListTaskPushNotificationConfigs: by id; a page token is the last id of the page before."""
    size = params.page_size
    if not 0 <= size <= _MAX_PAGE:
        raise InvalidParams(
            f"pageSize is {size}; it has to be from 1 to {_MAX_PAGE}, or left out for all.",
            info={"field": "pageSize"},
        )
    if len(params.page_token) > 512:
        raise InvalidParams("pageToken is not one of ours.", info={"field": "pageToken"})
    scope, task_id = owner_scope(caller.principal, caller.release.org_no), _task(params.task_id)
    limit = size or _MAX_PAGE
    found = served(push).listed(
        scope, caller.release.agent_no, task_id, after=params.page_token, limit=limit + 1
    )
    configs = [shown(caller, target, task_id) for target in found[:limit]]
    return PushConfigList(configs, configs[-1].id if len(found) > limit else "")


async def delete(push: Push | None, caller: Caller, params: PushConfigParams) -> None:
    """DeleteTaskPushNotificationConfig: as often as anybody likes."""
    scope, task_id = owner_scope(caller.principal, caller.release.org_no), _task(params.task_id)
    await served(push).drop(scope, caller.release.agent_no, task_id, params.id)


def shown(caller: Caller, target: PushTarget, task_id: str) -> TaskPushNotificationConfig:
    """A config as its owner sees it. Where everybody without a key sees the tasks of all others without one,
    nobody of them sees what is secret in it."""
    hidden = caller.principal.anonymous and caller.release.manifest.anonymous_list
    known = UNSET
    if target.scheme:
        known = AuthenticationInfo(target.scheme, "" if hidden else target.credentials)
    return TaskPushNotificationConfig(target.url, target.id, task_id, "" if hidden else target.token, known)


def served(push: Push | None) -> Push:
    """Raises PushNotificationNotSupported where the platform sends none."""
    if push is None:
        raise PushNotificationNotSupported(
            "This platform sends no push notifications.", remedy="Stream, or subscribe to the task."
        )
    return push


def _task(task_id: str) -> str:
    if not task_id or len(task_id) > 256 or not task_id.isprintable():
        raise TaskNotFound("There is no such task.")
    return task_id
