"""The tables `[[extensions]]` of a2a.toml: extensions of A2A that the agent's own code serves.

[[extensions]]
uri = "https://example.com/extensions/citations/v1"
description = "Sources of what the agent says, in the artifacts' metadata."
required = false
params = { styles = ["apa", "mla"] }
"""

from __future__ import annotations

import math
import re
from typing import Any, cast

import msgspec

from a2a_cloud.model.card import HITL
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.release import ExtensionSpec

#: An absolute URI; no comma, which separates URIs in the header.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+./0-9:;=?@A-Z_a-z~-]{1,400}")
_OURS = "urn:a2a-cloud:"
_KEYS = ("uri", "description", "required", "params")
_MOST = 32
_MAX_PARAMS = 64 << 10
_MAX_DEPTH = 16


def read_extensions(file: str, value: Any) -> tuple[ExtensionSpec, ...]:
    """The declared extensions. Raises InvalidParams, which names the key and what belongs there."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in cast("list[Any]", value)):
        raise _wrong(file, "extensions", "is no list of tables", '[[extensions]] above uri = "https://…"')
    tables = cast("list[dict[str, Any]]", value)
    if len(tables) > _MOST:
        raise _wrong(file, "extensions", f"has {len(tables)} entries", f"{_MOST} at most")
    found: list[ExtensionSpec] = []
    for number, table in enumerate(tables):
        one = _read(file, f"extensions[{number}]", table)
        if any(one.uri == other.uri for other in found):
            raise _wrong(file, f"extensions[{number}].uri", f"is {one.uri} again", "each extension once")
        found.append(one)
    return tuple(found)


def _read(file: str, key: str, table: dict[str, Any]) -> ExtensionSpec:
    for name in table:
        if name not in _KEYS:
            raise _wrong(file, f"{key}.{name}", "is not known", f"some of {', '.join(_KEYS)}")
    uri, description = table.get("uri"), table.get("description", "")
    required, params = table.get("required", False), table.get("params", {})
    if not isinstance(uri, str) or not _URI.fullmatch(uri):
        example = 'uri = "https://example.com/extensions/citations/v1"'
        raise _wrong(file, f"{key}.uri", "is no absolute URI without commas", example)
    if uri.startswith(_OURS) or uri == HITL:
        raise _wrong(file, f"{key}.uri", f"is {uri}, which every agent here has", "a URI of your own")
    if not isinstance(description, str) or len(description) > 2000:
        raise _wrong(file, f"{key}.description", "is no text", 'description = "…", 2000 characters at most')
    if not isinstance(required, bool):
        raise _wrong(file, f"{key}.required", "is neither true nor false", "required = true, without quotes")
    if not isinstance(params, dict) or not _plain(cast("Any", params), 0):
        raise _wrong(
            file, f"{key}.params", "is no table of JSON values", "texts, numbers, booleans, lists and tables"
        )
    if len(msgspec.json.encode(params)) > _MAX_PARAMS:
        raise _wrong(file, f"{key}.params", "is too large", f"{_MAX_PARAMS >> 10} KiB at most")
    return ExtensionSpec(uri, description, required, cast("dict[str, Any]", params))


def _plain(value: Any, depth: int) -> bool:
    """Whether JSON can say it: TOML has dates and infinities besides."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(_plain(item, depth + 1) for item in cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return all(_plain(item, depth + 1) for item in cast("list[Any]", value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int)


def _wrong(file: str, key: str, what: str, write: str) -> InvalidParams:
    return InvalidParams(f"{file}: `{key}` {what}.", remedy=f"Write {write}.", info={"key": key})
