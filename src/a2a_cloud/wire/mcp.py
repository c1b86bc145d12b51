"""MCP's messages: JSON-RPC 2.0 as the revisions 2025-11-25 and 2026-07-28 narrow it (their `basic` pages
and schema.ts). One object per body; ids are strings or integers and stay the bytes that came; params are
decoded in one typed pass for the method that was found.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from a2a_cloud.model.problem import InvalidParams, InvalidRequest, Malformed, Problem

MODERN = "2026-07-28"
#: Revisions with a handshake, the preferred one first.
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED = (MODERN, *HANDSHAKE)
TASKS = "io.modelcontextprotocol/tasks"
RELATED_TASK = "io.modelcontextprotocol/related-task"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

_MAX_ID = 256
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})(?:\.0+)?\Z")

encode = msgspec.json.Encoder().encode


# --- what a client can ---------------------------------------------------------------------------------


class Client(NamedTuple):
    """What a client declared that it can: forms and addresses for its user, a model, its folders, tasks."""

    form: bool = False
    url: bool = False
    sampling: bool = False
    roots: bool = False
    tasks: bool = False

    def can(self, method: str) -> bool:
        """Whether a request of that method may be sent to it."""
        return {"elicitation/create": self.form, "sampling/createMessage": self.sampling}.get(
            method, self.roots and method == "roots/list"
        )

    def has(self, capability: str) -> bool:
        """Whether it declared the capability with that name."""
        return {
            "elicitation": self.form or self.url,
            "sampling": self.sampling,
            "roots": self.roots,
            f"extensions.{TASKS}": self.tasks,
        }.get(capability, False)

    @property
    def bits(self) -> int:
        """The same as a number."""
        return sum(1 << place for place, has in enumerate(self) if has)

    @classmethod
    def of_bits(cls, bits: int) -> Client:
        """Of such a number."""
        return cls(*(bool(bits >> place & 1) for place in range(5)))


class _Capabilities(Struct):
    elicitation: dict[str, Any] | UnsetType | None = UNSET
    sampling: dict[str, Any] | UnsetType | None = UNSET
    roots: dict[str, Any] | UnsetType | None = UNSET
    extensions: dict[str, Any] | UnsetType | None = UNSET


def client_of(capabilities: Raw) -> Client:
    """What `capabilities` (ClientCapabilities) declare. Raises InvalidParams."""
    found = decode_params(bytes(capabilities), _Capabilities)
    asks = found.elicitation
    return Client(
        # An empty object means forms, as it did before there were addresses.
        form=isinstance(asks, dict) and ("form" in asks or "url" not in asks),
        url=isinstance(asks, dict) and "url" in asks,
        sampling=isinstance(found.sampling, dict),
        roots=isinstance(found.roots, dict),
        tasks=isinstance(found.extensions, dict) and TASKS in found.extensions,
    )


# --- params --------------------------------------------------------------------------------------------


class Meta(Struct, frozen=True):
    """`_meta` of a request, as far as it is read here."""

    progress_token: Raw | UnsetType = field(default=UNSET, name="progressToken")
    version: Raw | UnsetType = field(default=UNSET, name="io.modelcontextprotocol/protocolVersion")
    capabilities: Raw | UnsetType = field(default=UNSET, name="io.modelcontextprotocol/clientCapabilities")
    log_level: Any = field(default=UNSET, name="io.modelcontextprotocol/logLevel")
    traceparent: Any = UNSET
    grant: Raw | UnsetType = field(default=UNSET, name="a2a-cloud/grant")
    priority: Raw | UnsetType = field(default=UNSET, name="a2a-cloud/priority")
    budget: Raw | UnsetType = field(default=UNSET, name="a2a-cloud/budget")
    key: str | UnsetType = field(default=UNSET, name="a2a-cloud/key")


NO_META = Meta()


class Params(Struct, rename="camel", frozen=True):
    """Params of which nothing but `_meta` is read."""

    meta: Meta = field(default=NO_META, name="_meta")


class PageParams(Params, frozen=True):
    """A list's page."""

    cursor: str = ""


class _Retry(Params, frozen=True):
    input_responses: dict[str, Any] | UnsetType = UNSET
    request_state: str | UnsetType = UNSET


class CallParams(_Retry, kw_only=True, frozen=True):
    """tools/call. `arguments` stay bytes: they are decoded where they are checked."""

    name: str
    arguments: Raw = Raw(b"{}")
    task: dict[str, Any] | UnsetType | None = UNSET


class PromptParams(_Retry, kw_only=True, frozen=True):
    """prompts/get."""

    name: str
    arguments: dict[str, str] | UnsetType | None = UNSET


class UriParams(_Retry, kw_only=True, frozen=True):
    """resources/read, subscribe, unsubscribe."""

    uri: str


class InitializeParams(Params, kw_only=True, frozen=True):
    """initialize."""

    protocol_version: str
    capabilities: Raw = Raw(b"{}")
    client_info: Any = None


class LevelParams(Params, kw_only=True, frozen=True):
    """logging/setLevel."""

    level: str


class Ref(Struct, kw_only=True):
    """What completion is asked about: a prompt by name, or a resource template by its text."""

    type: str
    name: str = ""
    uri: str = ""


class Argument(Struct):
    """An argument that is being typed."""

    name: str
    value: str


class CompleteParams(Params, kw_only=True, frozen=True):
    """completion/complete."""

    ref: Ref
    argument: Argument


class CancelledParams(Params, kw_only=True, frozen=True):
    """notifications/cancelled."""

    request_id: Raw | UnsetType = UNSET


class TaskParams(Params, kw_only=True, frozen=True):
    """tasks/get, result, cancel, update."""

    task_id: str
    input_responses: dict[str, Any] | UnsetType = UNSET


class Filter(Struct, rename="camel", omit_defaults=True):
    """What a listener wants to hear of."""

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: list[str] | None = None
    task_ids: list[str] | None = None


class ListenParams(Params, kw_only=True, frozen=True):
    """subscriptions/listen."""

    notifications: Filter


P = TypeVar("P")
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def decode_params(raw: bytes, kind: type[P]) -> P:
    """`raw` as params of that kind. Raises InvalidParams, which names the place."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParams(f"The params do not fit: {error}.", remedy="See the method's schema.") from None


# --- messages ------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A request, which wants an answer under its id."""

    id: bytes
    method: str
    params: bytes


class Told(NamedTuple):
    """A notification."""

    method: str
    params: bytes


class Answered(NamedTuple):
    """The answer to a request of ours; `result` is b"" where it is an error."""

    id: str
    result: bytes


class Undecodable(NamedTuple):
    """No message: why, and the id to answer to (b"" when it can't be told)."""

    id: bytes
    problem: Problem


class _Envelope(Struct):
    jsonrpc: Any = None
    method: Any = UNSET
    id: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_envelopes = msgspec.json.Decoder(_Envelope)
_texts = msgspec.json.Decoder(str)


def decode(body: bytes) -> Asked | Told | Answered | Undecodable:
    """The message in `body`, whose text was checked before, or why there is none."""
    try:
        found = _envelopes.decode(body)
    except msgspec.ValidationError:
        what = (
            InvalidRequest("Batches are not served.", remedy="Send one message per HTTP request.")
            if body.lstrip()[:1] == b"["
            else InvalidRequest("A message is a JSON object.")
        )
        return Undecodable(b"", what)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Undecodable(b"", Malformed(f"The body is not valid JSON: {error}."))
    raw = found.id
    request_id = b""
    if raw is not UNSET:
        request_id = bytes(raw)
        if not is_id(request_id):
            return Undecodable(
                b"", InvalidRequest("The id has to be a string or an integer, at most 256 bytes long.")
            )
    if found.jsonrpc != "2.0":
        return Undecodable(request_id, InvalidRequest('jsonrpc has to be exactly "2.0".'))
    method = found.method
    if method is UNSET:
        return _answer(found, request_id)
    if not isinstance(method, str) or not method or len(method) > 256:
        return Undecodable(request_id, InvalidRequest("A method is a text of 1 to 256 characters."))
    params = b"{}" if found.params is UNSET else bytes(found.params)
    if params[:1] != b"{":
        if params != b"null":
            return Undecodable(request_id, InvalidParams("params have to be an object."))
        params = b"{}"
    return Told(method, params) if raw is UNSET else Asked(request_id, method, params)


def is_id(raw: bytes) -> bool:
    """Whether JSON is a string or an integer, and short enough."""
    return len(raw) <= _MAX_ID and (raw[:1] == b'"' or _INTEGER.match(raw) is not None)


def _answer(found: _Envelope, request_id: bytes) -> Answered | Undecodable:
    if not request_id or (found.result is UNSET) is (found.error is UNSET):
        problem = InvalidRequest("A message has a method, or an id and one of result and error.")
        return Undecodable(request_id, problem)
    name = _texts.decode(request_id) if request_id[:1] == b'"' else request_id.decode()
    return Answered(name, b"" if found.result is UNSET else bytes(found.result))


def result(request_id: bytes, body: Any) -> bytes:
    """The answer that carries `body`: JSON already, or something to encode."""
    text = body if isinstance(body, bytes) else encode(body)
    return b'{"jsonrpc":"2.0","id":' + request_id + b',"result":' + text + b"}"


def notification(method: str, params: Any) -> bytes:
    """A notification."""
    return b'{"jsonrpc":"2.0","method":' + encode(method) + b',"params":' + encode(params) + b"}"


def request(request_id: str, method: str, params: Any) -> bytes:
    """A request of ours."""
    return encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
