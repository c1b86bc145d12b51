"""What the surface consumes of workspaces, by shape. Problems that a method may raise are named in its
docstring; every method that takes a path raises InvalidParams for what is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change, File, Folder, Merge, Version


class WorkspaceRow(Protocol):
    """A workspace in a list. `created` is wall seconds, `made_by` is `name@org`."""

    @property
    def name(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def made_by(self) -> str: ...


class Tree(Protocol):
    """The files of one version."""

    async def content(self, path: str) -> ObjectRef | None:
        """The content of the file at a checked path; None: no file."""
        ...

    async def stat(self, path: str) -> File | Folder:
        """The file or folder at `path`; "" is the root. Raises FileNotFound."""
        ...

    async def file(self, path: str) -> File:
        """Raises FileNotFound; InvalidParams for a folder."""
        ...

    async def list(self, folder: str = "", after: str = "", limit: int = ...) -> Sequence[File | Folder]:
        """What is directly in a folder, by name, after the name `after`. Raises FileNotFound."""
        ...

    def walk(self, folder: str = "", after: str = "") -> AsyncIterator[File]:
        """All files below a folder after the path `after`."""
        ...

    async def glob(self, pattern: str, after: str = "", limit: int = ...) -> list[File]:
        """The files whose path fits, after the path `after`."""
        ...

    def stream(self, file: File, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        """A file's bytes in chunks, in constant memory. Raises NotFound when they are gone."""
        ...


class Workspace(Protocol):
    """One workspace."""

    @property
    def name(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def made_by(self) -> str: ...

    def head(self) -> Version:
        """The newest version."""
        ...

    def version(self, number: int) -> Version:
        """Raises VersionNotFound."""
        ...

    def at(self, version: Version | int | None = None) -> Tree:
        """The files of a version; None: of the newest. Raises VersionNotFound."""
        ...

    def history(self, before: int | None = None, limit: int = 50) -> list[Version]:
        """Versions with a lower number than `before`, newest first."""
        ...

    async def history_of(
        self, path: str, before: int | None = None, limit: int = 50
    ) -> tuple[list[tuple[Version, File | None]], int]:
        """The versions that changed a path, newest first, and the cursor; 0: there is no more."""
        ...

    async def diff(
        self, before: Version | int, after: Version | int, past: str = "", limit: int = ...
    ) -> list[Change]:
        """The files that differ, after the path `past`. Raises VersionNotFound."""
        ...

    async def commit(
        self,
        base: int,
        changes: Sequence[Change],
        *,
        by: str,
        run: str = "",
        message: str = "",
        merge: Merge = "refuse",
    ) -> Version:
        """Makes a version. Raises WorkspaceConflict, TooLarge, StorageFull, Unavailable."""
        ...

    async def restore(
        self, number: int, *, by: str, run: str = "", message: str = "", paths: Sequence[str] = ()
    ) -> Version:
        """Makes a version that equals an older one, as a whole or at `paths`. Raises VersionNotFound,
        FileNotFound, StorageFull, Unavailable."""
        ...

    async def put(
        self, path: str, content: ObjectRef | None, *, by: str, message: str = "", expect: str | None = None
    ) -> tuple[Version, Change]:
        """Puts one file, or takes it away. `expect`: a SHA-256, "*" any file, "" none, None no matter.
        Raises PreconditionFailed, FileNotFound, WorkspaceConflict, StorageFull, Unavailable."""
        ...


class Workspaces(Protocol):
    """The workspaces of all organisations."""

    async def create(self, org_no: int, name: str, by: str = "") -> Workspace:
        """The one of that name, made if it is not there. Raises StorageFull, Unavailable."""
        ...

    async def open(self, org_no: int, name: str) -> Workspace:
        """Raises WorkspaceNotFound."""
        ...

    async def list(self, org_no: int, after: str = "", limit: int = 100) -> Sequence[WorkspaceRow]:
        """By name, after the name `after`."""
        ...
