"""`/api/v1/workspaces…`: an organisation's workspaces, their versions, and commits of many files at once.
Any key of the organisation reads, admins change; whoever is outside of it is told that there is no such
workspace. The files themselves: `workspace_files.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import (
    FileNotFound,
    Forbidden,
    InvalidParams,
    NotFound,
    WorkspaceNotFound,
)
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change, File, Folder, Version
from a2a_cloud.surface.api.releases import Answer, number
from a2a_cloud.surface.conditions import is_hash
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request, flag
from a2a_cloud.surface.workspace_ports import Workspace, Workspaces
from a2a_cloud.wire.glob import check_path

#: Entries of one page: of a tree, of a difference; versions and workspaces of one page.
PAGE = 1000
VERSIONS = 500
WORKSPACES = 100
_MAX_BODY = 16 << 20
#: A commit of as many files as one may have.
_MAX_COMMIT = 64 << 20
#: Hashes that a refusal names.
_NAMED = 100
_HIGHEST = 1 << 31


class Put(Struct, forbid_unknown_fields=True):
    """A file of a commit: its content, which was uploaded, or `delete`."""

    path: str
    sha256: str = ""
    size: int = 0
    delete: bool = False


class Commit(Struct, forbid_unknown_fields=True):
    """The body of a commit. `base` is the version that its maker saw; None: the newest."""

    changes: list[Put]
    base: int | None = None
    message: str = ""
    merge: Literal["refuse", "last-writer"] = "refuse"


class Restore(Struct, forbid_unknown_fields=True):
    """The body of a restore; without `paths` of everything."""

    version: int
    paths: list[str] = []
    message: str = ""


# --- workspaces -----------------------------------------------------------------------------------------


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /workspaces?after=&limit=`: by name."""
    every = workspaces_of(services)
    may_read(request.principal)
    query = request.query()
    limit = number(query, "limit", WORKSPACES, 1, WORKSPACES)
    org_no = request.principal.org_no
    rows = await every.list(org_no, query.get("after", ""), limit)
    found = [shown(await every.open(org_no, row.name)) for row in rows]
    return 200, {"workspaces": found, "next": rows[-1].name if len(rows) == limit else ""}


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /workspaces/{name}`: with its newest version."""
    return 200, shown(await opened(services, request, values[0]))


async def make(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /workspaces/{name}`: 201 when it was made, 200 when it was there."""
    may_write(request.principal)
    every = workspaces_of(services)
    try:
        return 200, shown(await every.open(request.principal.org_no, values[0]))
    except WorkspaceNotFound:
        made = await every.create(request.principal.org_no, values[0], request.principal.label)
        return 201, shown(made)


# --- versions -------------------------------------------------------------------------------------------


async def versions(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/versions?before=&limit=&path=`: newest first; with a path those that changed it."""
    workspace = await opened(services, request, values[0])
    query = request.query()
    before = number(query, "before", 0, 1, _HIGHEST) or None
    limit = number(query, "limit", 50, 1, VERSIONS)
    if "path" not in query:
        found = workspace.history(before, limit)
        more = found[-1].number if len(found) == limit and found[-1].number > 1 else 0
        return 200, {
            "workspace": workspace.name,
            "versions": [version_shown(each) for each in found],
            "next": more,
        }
    changes, more = await workspace.history_of(query["path"], before, limit)
    return 200, {
        "workspace": workspace.name,
        "path": query["path"],
        "versions": [
            {**version_shown(version), "file": entry_shown(file) if file is not None else None}
            for version, file in changes
        ],
        "next": more,
    }


async def diff(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/diff?from=&to=&past=&limit=`: `to` is the newest without one, `from` the one before `to`."""
    workspace = await opened(services, request, values[0])
    query = request.query()
    limit = number(query, "limit", PAGE, 1, PAGE)
    to = number(query, "to", workspace.head().number, 0, _HIGHEST)
    since = number(query, "from", max(0, to - 1), 0, _HIGHEST)
    found = await workspace.diff(since, to, query.get("past", ""), limit)
    return 200, {
        "workspace": workspace.name,
        "from": since,
        "to": to,
        "changes": [
            {"path": each.path, "before": _ref(each.before), "after": _ref(each.after)} for each in found
        ],
        "next": found[-1].path if len(found) == limit else "",
    }


async def restore(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/restore {version, paths?, message?}`: a new version with the content of an old one."""
    may_write(request.principal)
    workspace = await opened(services, request, values[0])
    body = await _body(request, Restore, _MAX_BODY)
    made = await workspace.restore(
        body.version, by=request.principal.label, message=body.message, paths=body.paths
    )
    return 200, {"workspace": workspace.name, **version_shown(made)}


async def tree(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/tree?path=&version=&after=&limit=&deep=&glob=`: a folder's entries after a name; with `deep`
    all files below it, with `glob` all that fit, after a path. Of a file: itself."""
    workspace = await opened(services, request, values[0])
    query = request.query()
    version = at_version(workspace, query.get("version", ""))
    files = workspace.at(version)
    limit = number(query, "limit", PAGE, 1, PAGE)
    path, after = query.get("path", ""), query.get("after", "")
    found: Sequence[File | Folder]
    if "glob" in query:
        if path:
            raise InvalidParams("`glob` and `path` don't go together.", remedy="Write the folder into glob.")
        found = await files.glob(query["glob"], after, limit)
        kind = "glob"
    else:
        top = await files.stat(path)
        kind = "file" if isinstance(top, File) else "folder"
        if isinstance(top, File):
            found = [top]
        elif flag(query, "deep"):
            found = []
            async for file in files.walk(path, check_path(after) if after else ""):
                found.append(file)
                if len(found) == limit:
                    break
        else:
            found = await files.list(path, after, limit)
    last = found[-1].path if len(found) == limit and kind != "file" else ""
    if kind == "folder" and not flag(query, "deep"):
        last = last.rpartition("/")[2]
    return 200, {
        "workspace": workspace.name,
        "version": version.number,
        "kind": kind,
        "path": path,
        "entries": [entry_shown(each) for each in found],
        "next": last,
    }


# --- commits --------------------------------------------------------------------------------------------


async def commit(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/commit`: many files, one version. Contents are those that the principal uploaded within the
    hour, or that the workspace has at the same path."""
    principal = request.principal
    may_write(principal)
    workspace = await opened(services, request, values[0])
    body = await _body(request, Commit, _MAX_COMMIT)
    base = workspace.head() if body.base is None else workspace.version(body.base)
    before, now = workspace.at(base), workspace.at()
    clock = services.clock.monotonic()
    changes: list[Change] = []
    unknown: list[str] = []
    for put in body.changes:
        path = check_path(put.path)
        there = await before.content(path)
        if put.delete:
            if put.sha256:
                raise InvalidParams(f"{path[:200]!a} is put and deleted.", remedy="Send one of the two.")
            if there is None:
                raise FileNotFound(f"Version {base.number} has no file {path[:200]!a} to delete.")
            changes.append(Change(path, there, None))
            continue
        if not is_hash(put.sha256) or put.size < 0:
            raise InvalidParams(
                f"{path[:200]!a} has no content: sha256 is 64 digits of a-f and 0-9.",
                remedy="Upload it with POST …/objects, and send what that answers; or send delete.",
                info={"field": "changes"},
            )
        ref = ObjectRef(put.sha256, put.size)
        if not (
            services.uploads.allowed(principal, ref, clock) or ref == there or ref == await now.content(path)
        ):
            unknown.append(put.sha256)
        changes.append(Change(path, there, ref))
    if unknown:
        raise InvalidParams(
            f"{len(unknown)} of the contents were not uploaded with this key within the last hour.",
            remedy="Upload them with POST …/objects, then commit again.",
            info={"field": "changes", "missing": ",".join(unknown[:_NAMED])},
        )
    made = await workspace.commit(
        base.number, changes, by=principal.label, message=body.message, merge=body.merge
    )
    return 200, {"workspace": workspace.name, **version_shown(made)}


# --- what they share ------------------------------------------------------------------------------------


def workspaces_of(services: Services) -> Workspaces:
    """Raises NotFound on a platform without workspaces."""
    if services.workspaces is None:
        raise NotFound("This platform has no workspaces.", remedy="Ask its operator.")
    return services.workspaces


async def opened(services: Services, request: Request, name: str) -> Workspace:
    """A workspace of the caller's organisation. Raises Forbidden, WorkspaceNotFound."""
    may_read(request.principal)
    return await workspaces_of(services).open(request.principal.org_no, name)


def may_read(principal: Principal) -> None:
    """Raises Forbidden."""
    if not (principal.may(Permission.READ_FILES) or principal.may(Permission.MANAGE_FILES)):
        raise Forbidden(
            "Workspaces are for who may read files.",
            remedy="Use a key of an approver, developer or admin.",
            info={"permission": Permission.READ_FILES.value},
        )


def may_write(principal: Principal) -> None:
    """Raises Forbidden."""
    if not principal.may(Permission.MANAGE_FILES):
        raise Forbidden(
            "Workspaces are changed from outside by who manages files.",
            remedy="Use a key of a developer or admin.",
            info={"permission": Permission.MANAGE_FILES.value},
        )


def at_version(workspace: Workspace, text: str) -> Version:
    """The version of that number, "" the newest. Raises VersionNotFound, InvalidParams."""
    return (
        workspace.version(number({"version": text}, "version", 0, 0, _HIGHEST)) if text else workspace.head()
    )


def shown(workspace: Workspace) -> dict[str, Any]:
    """A workspace as programs read it."""
    return {
        "name": workspace.name,
        "created": stamp(workspace.created),
        "by": workspace.made_by,
        "head": version_shown(workspace.head()),
    }


def version_shown(version: Version) -> dict[str, Any]:
    """A version as programs read it."""
    return {
        "version": version.number,
        "tree": version.tree,
        "files": version.files,
        "size": version.size,
        "at": stamp(version.at) if version.number else None,
        "by": version.by,
        "run": version.run,
        "message": version.message,
        "base": version.base,
        "restored": version.restored or None,
        "changed": version.changed,
    }


def entry_shown(entry: File | Folder) -> dict[str, Any]:
    """A file or folder as programs read it."""
    if isinstance(entry, File):
        return {"kind": "file", "path": entry.path, "sha256": entry.sha256, "size": entry.size}
    return {"kind": "folder", "path": entry.path, "files": entry.files, "size": entry.size}


def _ref(ref: ObjectRef | None) -> dict[str, Any] | None:
    return None if ref is None else {"sha256": ref.sha256, "size": ref.size}


async def _body(request: Request, kind: type[Any], limit: int) -> Any:
    request.expect_json()
    raw = await request.body(limit)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"The body does not fit: {error}.", remedy="See docs/workspace.md.") from None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise InvalidParams("The body has to be a JSON object.", remedy="See docs/workspace.md.") from None
