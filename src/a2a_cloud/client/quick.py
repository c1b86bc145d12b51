"""One GET within a hard bound of time, for a shell that waits while somebody types.

Everything happens in a thread that is left behind when the time is over: not even a name server that
does not answer holds up the program's end.
"""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

from a2a_cloud.client.profile import Target

_LARGEST = 4 << 20


def quick_json(target: Target, path: str, bound: float) -> Any:
    """The decoded answer of `path` (begins with a slash), or None for anything else within `bound` s."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(_get(target, path, bound))
        except (OSError, http.client.HTTPException, ValueError, RecursionError):
            return  # no answer, and nothing to say about it while a command is being typed

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(bound)
    return found[0] if found else None


def _get(target: Target, path: str, bound: float) -> Any:
    parts = urlsplit(target.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=bound)
    headers = {"Accept": "application/json", "User-Agent": "a2a-cloud"}
    if target.key:
        headers["Authorization"] = f"Bearer {target.key}"
    try:
        connection.request("GET", parts.path + path, headers=headers)
        response = connection.getresponse()
        if response.status != 200:
            return None
        return json.loads(response.read(_LARGEST))
    finally:
        connection.close()
