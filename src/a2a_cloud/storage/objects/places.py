"""Where objects lie, by the setting A2A_OBJECTS: a local folder, or a bucket by its URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from a2a_cloud.model.ports import Ids
from a2a_cloud.model.problem import BadSetting
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.storage.objects.port import ObjectStore


def open_objects(url: str, data: Path, ids: Ids) -> ObjectStore:
    """The store at `url`: "" is `data`/objects, `file:///path` another local folder, else a bucket
    (`remote.py`), for which `data`/spool holds what is on its way. Raises BadSetting, Unavailable."""
    folder = folder_of(url, data)
    if folder is not None:
        return FolderObjects(folder, ids)
    # Only who has a bucket pays for the library that speaks to it.
    from a2a_cloud.storage.objects.remote import RemoteObjects

    return RemoteObjects.at(url, data / "spool", ids)


def folder_of(url: str, data: Path) -> Path | None:
    """The folder that `url` names, None when it names a bucket. Raises BadSetting."""
    if not url:
        return data / "objects"
    try:
        parts = urlsplit(url)
        path = unquote(parts.path, errors="strict")
    except ValueError:
        parts, path = urlsplit(""), ""
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost") or path in ("", "/") or "\0" in path or parts.query:
        raise BadSetting(
            f"A2A_OBJECTS is {url[:200]!a}, which is no folder of this machine.",
            remedy="Write file:///path/to/a/folder.",
            info={"setting": "A2A_OBJECTS"},
        )
    return Path(path)
