"""A platform's workspaces as its clients see them: lists, contents in and out in constant memory, commits.

What comes is checked against its SHA-256; a read that breaks off goes on where it stopped, of the same
version. Names of files from the platform are checked (`wire/glob.py`) before anybody makes paths of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

from a2a_cloud.client.deploys import PAUSES
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs, text
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import check_path

ROOT = "/api/v1/workspaces"
_BLOCK = 1 << 18
#: Bytes from which an upload first asks whether it may come.
_ASKS_FROM = 1 << 20
#: Seconds that the platform may take to store what it has received.
_STORES = 600.0

Moved = Callable[[int], None]


class Changed(Exception):
    """A local file became shorter while it was read. `name` is its path."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


@dataclass(frozen=True)
class Entry:
    """A file or folder of a version. `sha256` is "" and `files` counts for a folder."""

    kind: Literal["file", "folder"]
    path: str
    size: int
    sha256: str = ""
    files: int = 0

    def document(self) -> dict[str, Any]:
        """As the platform wrote it."""
        more = {"sha256": self.sha256} if self.kind == "file" else {"files": self.files}
        return {"kind": self.kind, "path": self.path, "size": self.size, **more}


@dataclass(frozen=True)
class Listing:
    """A page of a tree: of a file itself (`kind` file), a folder, or what fits a pattern (glob)."""

    version: int
    kind: str
    entries: Sequence[Entry]
    next: str


@dataclass(frozen=True)
class Local:
    """A content to send: an open file, its size (None: not known), and its name for messages."""

    file: BinaryIO
    size: int | None
    name: str


class Workspace:
    """One workspace by its name. Everything may raise ServerProblem and Unreachable."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.platform, self.name = platform, name
        self._path = f"{ROOT}/{quote(name, safe='')}"

    async def make(self) -> dict[str, Any]:
        """The workspace, made if it is not there."""
        return obj(await self.platform.json("PUT", self._path))

    async def head(self) -> dict[str, Any]:
        """The workspace with its newest version."""
        return obj(await self.platform.json("GET", self._path))

    async def log(self, *, path: str = "", before: int = 0, limit: int = 50) -> dict[str, Any]:
        """A page of versions, newest first; of a path those that changed it."""
        params = {"limit": str(limit), **({"path": path} if path else {})}
        if before:
            params["before"] = str(before)
        return obj(await self.platform.json("GET", f"{self._path}/versions", params=params))

    async def diff(self, since: int | None, to: int | None) -> dict[str, Any]:
        """{from, to, changes}: all pages of what differs between two versions."""
        params = {name: str(each) for name, each in (("from", since), ("to", to)) if each is not None}
        found: dict[str, Any] = {}
        while True:
            page = obj(await self.platform.json("GET", f"{self._path}/diff", params=params))
            if not found:
                found = page
                params |= {"from": text(page.get("from")), "to": text(page.get("to"))}
            else:
                found["changes"] = objs(found.get("changes")) + objs(page.get("changes"))
            params["past"] = text(page.get("next"))
            if not params["past"]:
                found.pop("next", None)
                return found

    async def restore(self, version: int, paths: Sequence[str] = (), message: str = "") -> dict[str, Any]:
        """A new version with the content of an old one, at `paths` or everywhere."""
        body = {"version": version, "paths": list(paths), "message": message}
        return obj(await self.platform.json("POST", f"{self._path}/restore", body=body))

    async def tree(
        self,
        path: str = "",
        *,
        version: int | None = None,
        after: str = "",
        deep: bool = False,
        glob: str = "",
    ) -> Listing:
        """One page. Raises Unreachable for names that are no paths."""
        params = {"version": "" if version is None else str(version), "after": after}
        params |= {"glob": glob} if glob else {"path": path, "deep": "1" if deep else ""}
        params = {name: each for name, each in params.items() if each}
        page = obj(await self.platform.json("GET", f"{self._path}/tree", params=params))
        entries = [self._entry(each, path) for each in objs(page.get("entries"))]
        return Listing(_whole(page.get("version")), text(page.get("kind")), entries, text(page.get("next")))

    async def walk(
        self, path: str = "", *, version: int | None = None, deep: bool = False, glob: str = ""
    ) -> Listing:
        """All pages of one version together."""
        page = await self.tree(path, version=version, deep=deep, glob=glob)
        entries = list(page.entries)
        while page.next:
            page = await self.tree(path, version=page.version, after=page.next, deep=deep, glob=glob)
            entries += page.entries
        return Listing(page.version, page.kind, entries, "")

    def _entry(self, each: Mapping[str, Any], folder: str) -> Entry:
        """An entry, with a path that is one and lies where it was asked for."""
        path = text(each.get("path"))
        try:
            check_path(path)
        except InvalidParams:
            raise Unreachable(self.platform.target, "a file there has a name that is none") from None
        if folder and path != folder and not path.startswith(f"{folder}/"):
            raise Unreachable(self.platform.target, "it names files outside of the folder")
        size = _whole(each.get("size"))
        if each.get("kind") == "folder":
            return Entry("folder", path, size, files=_whole(each.get("files")))
        return Entry("file", path, size, text(each.get("sha256")))

    # --- contents ---------------------------------------------------------------------------------

    async def read(
        self, path: str, version: int | None, write: Callable[[bytes], object], *, tries: int = 5
    ) -> Entry:
        """Give a file's bytes to `write`, in order, whole. Goes on after a broken connection, as long as
        one try in `tries` brings something."""
        digest = hashlib.sha256()
        done, failed, etag = 0, 0, ""
        while True:
            params = {} if version is None else {"version": str(version)}
            headers = {"Range": f"bytes={done}-", "If-Range": etag} if done else {}
            before = done
            try:
                async with self.platform.open(
                    "GET", self._file(path), params=params, headers=headers
                ) as answer:
                    if done and answer.status != 206:
                        raise Unreachable(self.platform.target, "it gives no middle of a file")
                    etag = answer.headers.get("ETag", "")
                    pinned = answer.headers.get("A2A-Workspace-Version", "")
                    version = int(pinned) if pinned.isascii() and pinned.isdigit() else version
                    async for chunk in answer.content.iter_chunked(_BLOCK):
                        digest.update(chunk)
                        done += len(chunk)
                        write(chunk)
                break
            except Unreachable:
                failed = 0 if done > before else failed + 1
                if not done or failed >= tries:
                    raise
                await asyncio.sleep(PAUSES[min(failed, len(PAUSES) - 1)])
            except ServerProblem as problem:
                if problem.status != 416:
                    raise
                break  # Everything had come when it broke.
        if etag != f'"{digest.hexdigest()}"':
            raise Unreachable(self.platform.target, "what came is not the file: its hash differs")
        return Entry("file", path, done, digest.hexdigest())

    async def put(
        self, path: str, local: Local, moved: Moved, *, message: str = "", headers: Mapping[str, str] = {}
    ) -> dict[str, Any]:
        """Let `path` hold a local content: one version. `moved` hears how many bytes are on their way."""
        params = {"message": message} if message else {}
        return await self._send("PUT", self._file(path), local, moved, params, headers)

    async def upload(self, local: Local, moved: Moved) -> tuple[str, int]:
        """(SHA-256, size) of a content that a commit of this hour may name."""
        answer = await self._send("POST", f"{self._path}/objects", local, moved, {}, {})
        return text(answer.get("sha256")), _whole(answer.get("size"))

    async def delete(self, path: str, message: str = "") -> dict[str, Any]:
        """A version without the file."""
        params = {"message": message} if message else {}
        return obj(await self.platform.json("DELETE", self._file(path), params=params))

    async def commit(
        self, base: int, changes: Sequence[Mapping[str, Any]], *, message: str = "", merge: str = "refuse"
    ) -> dict[str, Any]:
        """One version of many changes: {path, sha256, size} or {path, delete: true}."""
        body = {"base": base, "changes": list(changes), "message": message, "merge": merge}
        return obj(await self.platform.json("POST", f"{self._path}/commit", body=body))

    def _file(self, path: str) -> str:
        return f"{self._path}/files/{quote(path, safe='/')}"

    async def _send(
        self,
        method: str,
        path: str,
        local: Local,
        moved: Moved,
        params: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> dict[str, Any]:
        digest = hashlib.sha256()
        sent = {"Accept": "application/json", "Content-Type": "application/octet-stream", **headers}
        if local.size is not None:
            sent["Content-Length"] = str(local.size)
        if local.size is None or local.size >= _ASKS_FROM:
            sent["Expect"] = "100-continue"
        short: list[str] = []

        async def pieces() -> AsyncGenerator[bytes]:
            done = 0
            while local.size is None or done < local.size:
                piece = local.file.read(_BLOCK if local.size is None else min(_BLOCK, local.size - done))
                if not piece:
                    if local.size is not None:
                        short.append(local.name)
                        raise Changed(local.name)
                    return
                digest.update(piece)
                done += len(piece)
                yield piece
                moved(done)

        data: AsyncIterator[bytes] | bytes = pieces() if local.size != 0 else b""
        try:
            async with self.platform.open(
                method, path, params=params, headers=sent, data=data, silence=_STORES
            ) as answer:
                raw = await answer.read()
        except ServerProblem as problem:
            if problem.code == "too_large":
                problem.remedy = "The platform's operator sets the limit: A2A_HTTP_BODY_BYTES."
            raise
        except Unreachable:
            if short:
                raise Changed(local.name) from None
            raise
        document = obj(_decoded(raw))
        if text(document.get("sha256")) != digest.hexdigest():
            raise Unreachable(self.platform.target, "what it stored is not what was sent: the hash differs")
        return document


async def listed(platform: Platform) -> list[dict[str, Any]]:
    """All workspaces of the organisation, by name."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = obj(await platform.json("GET", ROOT, params={"after": after} if after else {}))
        found += objs(page.get("workspaces"))
        after = text(page.get("next"))
        if not after:
            return found


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
