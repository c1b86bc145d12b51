"""Workspaces against the suite that we ship, over objects in a folder and in a bucket."""

from __future__ import annotations

from pathlib import Path

from obstore.store import LocalStore

from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.storage.objects.remote import RemoteObjects
from a2a_cloud.testing.workspaces import WorkspacesSuite

IDS = TimeIds(SystemClock(), SystemEntropy())


class TestOverAFolder(WorkspacesSuite):
    def objects(self, folder: Path) -> FolderObjects:
        return FolderObjects(folder, IDS)


class TestOverABucket(WorkspacesSuite):
    def objects(self, folder: Path) -> RemoteObjects:
        return RemoteObjects(LocalStore(folder / "bucket", mkdir=True), folder / "spool", IDS)
