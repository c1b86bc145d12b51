"""Resources (server/resources): skills that are resources, and what the caller's runs made. An artifact is
`artifact:///RUN/ARTIFACT`, a task `task:///TASK`; both are the owner's alone.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import InvalidParams, NotFound, ResourceNotFound
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.http.runs import artifact_parts
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.offer import ResourceSkill
from a2a_cloud.surface.mcp.results import artifact_contents
from a2a_cloud.wire import a2a_render
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.mcp_content import (
    artifact_text,
    artifact_uri,
    body_of,
    kind_of,
    made,
    read_artifact_uri,
    read_task_uri,
    task_uri,
)
from a2a_cloud.wire.mcp_schema import Json

#: Tasks whose artifacts make one page of a list.
_PAGE = 20


class Resources:
    """The methods resources/…, but for what a skill has to be run for."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._services = operations.services

    def listed(self, asking: Asking, cursor: str) -> Json:
        """resources/list: the agent's own first, then the caller's tasks and what they made, newest first."""
        index, inner = _open(cursor)
        resources: list[Json] = []
        if not cursor:
            resources = [_document(one) for one in asking.toolbox.resources if not one.variables]
        releases = asking.toolbox.releases
        while index < len(releases):
            release = releases[index]
            index += 1
            if asking.principal.anonymous and not release.manifest.anonymous_list:
                continue
            more = self._of_release(asking, release, inner, resources)
            inner = ""
            if more or (index < len(releases) and len(resources) >= _PAGE):
                follow = f"{index - 1}:{more}" if more else f"{index}:"
                return {"resources": resources, "nextCursor": follow}
        return {"resources": resources}

    def _of_release(self, asking: Asking, release: Release, cursor: str, into: list[Json]) -> str:
        scope = owner_scope(asking.principal, release.org_no)
        page = self._services.runs.tasks(scope, release.agent_no, limit=_PAGE, cursor=cursor)
        for view in page.tasks:
            into.append(
                {
                    "uri": task_uri(view.id),
                    "name": f"task {view.id}",
                    "title": f"A task of {release.name} ({view.state.short})",
                    "mimeType": "application/json",
                }
            )
            for run in view.runs:
                for artifact in made(run.events).artifacts:
                    into.append(_artifact(run.run_id, artifact))
        return page.next

    def templates(self, asking: Asking, cursor: str) -> Json:
        """resources/templates/list."""
        if cursor:
            raise _bad_cursor()
        found: list[Json] = []
        for one in asking.toolbox.resources:
            if one.variables:
                document = _document(one)
                document["uriTemplate"] = document.pop("uri")
                found.append(document)
        found += [
            {
                "uriTemplate": "artifact:///{run}/{artifact}",
                "name": "artifact",
                "title": "What a run made",
                "description": "An artifact of one of your runs.",
            },
            {
                "uriTemplate": "task:///{task}",
                "name": "task",
                "title": "A task of yours",
                "description": "A task's status, artifacts and history, in A2A's form.",
                "mimeType": "application/json",
            },
        ]
        return {"resourceTemplates": found}

    def skill(self, asking: Asking, uri: str) -> tuple[ResourceSkill, dict[str, str]] | None:
        """The skill that is the resource with that URI, and its arguments."""
        for one in asking.toolbox.resources:
            arguments = one.arguments(uri)
            if arguments is not None:
                return one, arguments
        return None

    async def read(self, asking: Asking, uri: str) -> Json:
        """resources/read of what runs made. Raises ResourceNotFound."""
        found = read_artifact_uri(uri)
        if found is not None:
            return {"contents": await self._artifact(asking, uri, *found)}
        task_id = read_task_uri(uri)
        if task_id is not None:
            return {"contents": [self._task(asking, uri, task_id)]}
        raise unknown(uri)

    async def _artifact(self, asking: Asking, uri: str, run_id: str, artifact_id: str) -> list[Json]:
        for release in asking.toolbox.releases:
            scope = owner_scope(asking.principal, release.org_no)
            try:
                if self._services.runs.run(scope, run_id).agent != release.name:
                    continue
                parts = artifact_parts(self._services.runs.run_view(scope, run_id), artifact_id)
            except NotFound:
                continue
            return await artifact_contents(self._services.objects, list(parts), uri)
        raise unknown(uri)

    def _task(self, asking: Asking, uri: str, task_id: str) -> Json:
        for release in asking.toolbox.releases:
            caller = asking.caller(release)
            try:
                view = self._operations.find(caller, task_id)
            except NotFound:
                continue
            body = msgspec.json.encode(a2a_render.task(view, caller.links))
            return {"uri": uri, "mimeType": "application/json", "text": body.decode()}
        raise unknown(uri)

    def task_behind(self, asking: Asking, uri: str) -> tuple[Release, str] | None:
        """(release, task) whose events change the resource; None for one that doesn't change. Raises
        ResourceNotFound."""
        found = read_artifact_uri(uri)
        task_id = read_task_uri(uri)
        for release in asking.toolbox.releases:
            scope = owner_scope(asking.principal, release.org_no)
            try:
                if found is not None:
                    row = self._services.runs.run(scope, found[0])
                    if row.agent == release.name:
                        return release, row.task_id
                elif task_id is not None:
                    self._operations.find(asking.caller(release), task_id)
                    return release, task_id
            except NotFound:
                continue
        if self.skill(asking, uri) is None:
            raise unknown(uri)
        return None


def unknown(uri: str) -> ResourceNotFound:
    """The same words for what isn't there and what isn't the caller's."""
    return ResourceNotFound(
        f"There is no resource {readable(uri)}.", remedy="See resources/list.", info={"uri": uri[:2000]}
    )


def _bad_cursor() -> InvalidParams:
    return InvalidParams("That cursor is none that this server gave out.", remedy="Begin without one.")


def _open(cursor: str) -> tuple[int, str]:
    place, colon, inner = cursor.partition(":")
    if not cursor:
        return 0, ""
    if not colon or not (place.isascii() and place.isdigit() and len(place) < 6) or len(cursor) > 512:
        raise _bad_cursor()
    return int(place), inner


def _document(one: ResourceSkill) -> Json:
    spec = one.offered.spec
    document: Json = {"uri": one.uri, "name": one.offered.name, "title": spec.name}
    if spec.description:
        document["description"] = spec.description
    if spec.output_modes:
        document["mimeType"] = spec.output_modes[0]
    return document


def _artifact(run_id: str, artifact: Any) -> Json:
    document: Json = {
        "uri": artifact_uri(run_id, artifact.artifact_id),
        "name": artifact_text(artifact),
    }
    if artifact.description is not UNSET and artifact.description:
        document["description"] = artifact.description
    parts = artifact.parts
    if len(parts) == 1:
        document["mimeType"] = kind_of(parts[0])
        body = body_of(parts[0])
        if body is not None:
            document["size"] = len(body) if isinstance(body, bytes) else body.size
    return document
