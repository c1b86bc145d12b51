"""MCP since 2026-07-28: each request says for itself who speaks (basic/index, "Per-request protocol fields";
basic/versioning; server/discover; the extension io.modelcontextprotocol/tasks).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import (
    CapabilityRequired,
    InvalidParams,
    NotAcceptable,
    ProtocolVersionNotSupported,
)
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.events import LEVELS
from a2a_cloud.surface.mcp.headers import McpHeaders, check, check_parameters
from a2a_cloud.surface.mcp.methods import BOTH, LIST_MILLISECONDS, Methods, no_method
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.mcp import (
    HANDSHAKE,
    MODERN,
    SUPPORTED,
    TASKS,
    Asked,
    ListenParams,
    Meta,
    Params,
    TaskParams,
    client_of,
    decode_params,
)
from a2a_cloud.wire.mcp_schema import Json

_METHODS: dict[str, type[Params]] = {
    **BOTH,
    "server/discover": Params,
    "tasks/update": TaskParams,
    "subscriptions/listen": ListenParams,
}


class Stateless:
    """Answers those who say everything with each request."""

    def __init__(self, methods: Methods) -> None:
        self.methods = methods

    async def ask(self, asking: Asking, message: Asked, meta: Meta, found: McpHeaders) -> None:
        """Answers a request. Raises Problem."""
        said = _text(meta.version)
        if said is None or meta.capabilities is UNSET:
            name = "protocolVersion" if said is None else "clientCapabilities"
            raise InvalidParams(
                f"params._meta has to have io.modelcontextprotocol/{name}.",
                remedy=f"Send it with every request, or begin a session with initialize ({HANDSHAKE[0]}).",
                info={"field": "_meta"},
            )
        check(found, message, said)
        if said != MODERN:
            raise ProtocolVersionNotSupported(
                f"MCP {readable(said)} is not served.", info={"requested": said[:100]}
            )
        kind = _METHODS.get(message.method)
        if kind is None:
            raise no_method(message.method, _METHODS)
        asking.client = client_of(meta.capabilities)
        asking.meta = meta
        asking.level = _level(meta.log_level)
        params: Any = decode_params(message.params, kind)
        methods = self.methods
        if message.method == "tools/call":
            check_parameters(found, asking.toolbox.tool(params.name), params)
        if message.method == "server/discover":
            return await asking.answer(asking.cached(self._discovery(asking), LIST_MILLISECONDS, public=True))
        if message.method.startswith("tasks/") and not asking.client.tasks:
            raise CapabilityRequired(
                "The client does not declare the tasks extension.",
                info={"capability": f"extensions.{TASKS}"},
            )
        if message.method == "tasks/update":
            if params.input_responses is UNSET:
                raise InvalidParams("tasks/update needs inputResponses.", info={"field": "inputResponses"})
            await methods.tasks.update(asking, params.task_id, params.input_responses)
            return await asking.answer({})
        if message.method == "subscriptions/listen":
            if not asking.streams:
                raise NotAcceptable("This answer is a stream.", remedy="Accept text/event-stream.")
            return await methods.listen(asking, params)
        return await methods.serve(asking, message.method, params)

    def _discovery(self, asking: Asking) -> Json:
        body: Json = {
            "supportedVersions": list(SUPPORTED),
            "capabilities": {
                "tools": {"listChanged": True},
                "prompts": {"listChanged": True},
                "resources": {"subscribe": True},
                "completions": {},
                "logging": {},
                "extensions": {TASKS: {}},
            },
        }
        if asking.toolbox.instructions:
            body["instructions"] = asking.toolbox.instructions
        return body


def _text(raw: Any) -> str | None:
    if raw is UNSET:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        return None


def _level(value: Any) -> str:
    if value is UNSET or value is None:
        return ""
    if value not in LEVELS:
        raise InvalidParams(
            "_meta has a log level that there isn't.", remedy=f"Use one of {', '.join(LEVELS)}."
        )
    return str(value)
