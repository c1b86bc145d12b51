"""MCP's own HTTP headers, and that they say what the body says (2026-07-28, basic/transports/streamable-http,
"Request Metadata").
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, NamedTuple, cast

import msgspec

from a2a_cloud.model.problem import HeaderMismatch
from a2a_cloud.surface.mcp.offer import Offered
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.mcp import Asked, CallParams
from a2a_cloud.wire.mcp_schema import Json, input_schema

_PARAMETER = b"mcp-param-"
_NAMES = {
    b"origin": 0,
    b"mcp-session-id": 1,
    b"mcp-protocol-version": 2,
    b"mcp-method": 3,
    b"mcp-name": 4,
}
#: What `Mcp-Name` repeats, by method.
_NAMED = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.0+)?\Z")


class McpHeaders(NamedTuple):
    """The headers; `twice` names one of them that stands there twice."""

    origin: bytes
    session: str
    version: str
    method: str
    name: str
    parameters: dict[str, str]
    twice: str


def read(request: Request) -> McpHeaders:
    """The headers of a request."""
    values = [b"", b"", b"", b"", b""]
    parameters: dict[str, str] = {}
    twice = ""
    for name, value in request.scope["headers"]:
        place = _NAMES.get(name)
        if place is not None:
            if values[place]:
                twice = name.decode()
            values[place] = value
        elif name.startswith(_PARAMETER):
            key = name[len(_PARAMETER) :].decode("latin-1")
            if key in parameters:
                twice = name.decode("latin-1")
            parameters[key] = value.decode("latin-1")
    origin, *texts = values
    session, version, method, named = (text.decode("latin-1").strip() for text in texts)
    return McpHeaders(origin, session, version, method, named, parameters, twice)


def check(found: McpHeaders, message: Asked, version: str) -> None:
    """Raises HeaderMismatch unless the headers are there and repeat the body."""
    if found.twice:
        raise HeaderMismatch(f"The header {found.twice} stands there twice.")
    if found.version != version:
        raise _differs("MCP-Protocol-Version", found.version, version)
    if found.method != message.method:
        raise _differs("Mcp-Method", found.method, message.method)
    member = _NAMED.get(message.method)
    if member is None:
        return
    body: Any = msgspec.json.decode(message.params, type=dict[str, msgspec.Raw]).get(member)
    wanted = None if body is None else msgspec.json.decode(body)
    if isinstance(wanted, str) and decoded(found.name) != wanted:
        raise _differs("Mcp-Name", found.name, wanted)


def _differs(header: str, said: str, wanted: str) -> HeaderMismatch:
    what = "is missing" if not said else f"says {said[:80]!r}"
    return HeaderMismatch(
        f"The header {header} {what}; the body says {wanted[:80]!r}.",
        remedy="Send the header with what the body says.",
        info={"header": header},
    )


def decoded(value: str) -> str | None:
    """A header's value, out of `=?base64?…?=` if it is in that; None when it can't be read."""
    if not (value.startswith("=?base64?") and value.endswith("?=") and len(value) >= 11):
        return value
    body = value[9:-2]
    try:
        found = base64.b64decode(body, validate=True)
        if base64.b64encode(found).decode() != body:
            return None
        return found.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def check_parameters(found: McpHeaders, offered: Offered | None, params: CallParams) -> None:
    """Raises HeaderMismatch unless each parameter that its schema wants in a header (`x-mcp-header`) is
    there, and says the same."""
    if offered is None or b"x-mcp-header" not in bytes(offered.spec.input_schema):
        return
    try:
        arguments: Any = msgspec.json.decode(params.arguments)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # Refused where the arguments are read.
    for path, header in annotated(input_schema(offered.spec), ()):
        value: Any = arguments
        for step in path:
            value = cast(Json, value).get(step) if isinstance(value, dict) else None
        said = found.parameters.get(header.lower())
        text = _text(value)
        if text is None and said is None:
            continue
        if text is None or said is None or not _same(decoded(said), text):
            raise _differs(f"Mcp-Param-{header}", said or "", text or "nothing")


def annotated(schema: Json, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """(path, header) of each annotated parameter that is reached by `properties` alone."""
    found: list[tuple[tuple[str, ...], str]] = []
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return found
    for name, one in cast(Json, properties).items():
        if not isinstance(one, dict):
            continue
        inner = cast(Json, one)
        header = inner.get("x-mcp-header")
        if isinstance(header, str) and _TOKEN.match(header):
            found.append(((*path, name), header))
        found += annotated(inner, (*path, name))
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int) else None


def _same(said: str | None, text: str) -> bool:
    if said is None:
        return False
    if said == text:
        return True
    return bool(_DECIMAL.match(said)) and said.partition(".")[0] == text
