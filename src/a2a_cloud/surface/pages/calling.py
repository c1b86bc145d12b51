"""How to call a skill in five ways, as text to paste: the command line, curl, A2A over JSON-RPC, the
official A2A SDK, and curl with the run's events.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from a2a_cloud.model.release import FileParam, Release, SkillSpec
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.wire.schema_reading import decode, sample_arguments

_JSON = "-H 'Content-Type: application/json'"
_KEY = '-H "Authorization: Bearer $A2A_KEY"'
_GO_ON = " \\\n  "
_MESSAGE_ID = "made by the shell"


@dataclass(frozen=True)
class Way:
    """One way: what it is called, and the text to paste."""

    id: str
    title: str
    text: str
    note: str = ""


def ways(release: Release, base: str, spec: SkillSpec, *, public: bool) -> list[Way]:
    """The five ways to call `spec`, reached at `base`."""
    arguments = sample_arguments(decode(spec.input_schema))
    files = [param for param in spec.files if param.required]
    words = [_word(name, value) for name, value in arguments.items()]
    words += [f"{param.name}=@{_file(param)}" for param in files]
    url = f"{base}/invoke/{quote(spec.id, safe='')}"
    parts = [
        _data_part(spec.id, arguments),
        *({"raw": f"@{_file(param)}", **_file_facts(param)} for param in files),
    ]
    several = "A skill that needs several files takes them in one message; see the third way."
    return [
        Way("cli", "a2a", shlex.join(["a2a", "call", qualified(release), spec.id, *words])),
        Way("curl", "curl", _invoke(url, arguments, files, public), several if len(files) > 1 else ""),
        Way("rpc", "A2A JSON-RPC", _json_rpc(base, parts, public)),
        Way("sdk", "A2A SDK (Python)", _sdk(base, parts, public), "pip install a2a-sdk httpx"),
        Way(
            "sse",
            "Events (SSE)",
            _invoke(url, arguments, files, public, events=True),
            "Events: status, progress, text, artifact, result. A broken stream goes on at /sse/{task} with "
            "the last id as Last-Event-ID.",
        ),
    ]


def text_ways(release: Release, base: str, *, public: bool) -> list[Way]:
    """The five ways to say something in plain words."""
    parts: list[dict[str, Any]] = [{"text": "Hello"}]
    return [
        Way("cli", "a2a", shlex.join(["a2a", "call", qualified(release), "--message", "Hello"])),
        Way("curl", "curl", _send(f"{base}/message:send", parts, public)),
        Way("rpc", "A2A JSON-RPC", _json_rpc(base, parts, public)),
        Way("sdk", "A2A SDK (Python)", _sdk(base, parts, public), "pip install a2a-sdk httpx"),
        Way("sse", "Events (SSE)", _send(f"{base}/message:stream", parts, public, events=True)),
    ]


def _word(name: str, value: Any) -> str:
    if isinstance(value, str) and not value.startswith(("@", "\\", "=@")):
        return f"{name}={value}"
    return f"{name}:={json.dumps(value, ensure_ascii=False)}"


def _file(param: FileParam) -> str:
    """A name for a file such as the parameter takes."""
    kinds = {"application/pdf": "pdf", "text/csv": "csv", "text/plain": "txt", "text/markdown": "md"}
    for kind in param.media_types:
        if kind in kinds:
            return f"{param.name}.{kinds[kind]}"
        if kind.startswith("image/"):
            return f"{param.name}.{'png' if kind == 'image/*' else kind[6:].split('+')[0]}"
    return f"{param.name}.txt" if "text/*" in param.media_types else f"{param.name}.bin"


def _file_facts(param: FileParam) -> dict[str, Any]:
    return {
        "filename": _file(param),
        "mediaType": _media_type(param),
        "metadata": {"param": param.name},
    }


def _media_type(param: FileParam) -> str:
    plain = [kind for kind in param.media_types if "*" not in kind]
    if plain:
        return plain[0]
    if "text/*" in param.media_types:
        return "text/plain"
    return "image/png" if "image/*" in param.media_types else "application/octet-stream"


def _data_part(skill: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"skill": skill, "arguments": arguments}}


def _lines(*pieces: str) -> str:
    return _GO_ON.join(piece for piece in pieces if piece)


def _invoke(
    url: str, arguments: dict[str, Any], files: list[FileParam], public: bool, *, events: bool = False
) -> str:
    command = "curl -sSN" if events else "curl -sS"
    accept = "-H 'Accept: text/event-stream'" if events else ""
    key = "" if public else _KEY
    if not files:
        body = shlex.quote(json.dumps(arguments, ensure_ascii=False))
        return _lines(f"{command} {shlex.quote(url)}", key, accept, _JSON, f"-d {body}")
    file = files[0]
    values = {name: v if isinstance(v, str) else json.dumps(v) for name, v in arguments.items()}
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in values.items())
    address = shlex.quote(f"{url}?{query}" if query else url)
    kind = shlex.quote(f"Content-Type: {_media_type(file)}")
    return _lines(f"{command} {address}", key, accept, f"-H {kind}", f"--data-binary @{_file(file)}")


def _send(url: str, parts: list[dict[str, Any]], public: bool, *, events: bool = False) -> str:
    command = "curl -sSN" if events else "curl -sS"
    body = _message(parts)
    version = "-H 'A2A-Version: 1.0'"
    return _lines(f"{command} {shlex.quote(url)}", "" if public else _KEY, version, _JSON, _body(body, parts))


def _message(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"message": {"messageId": _MESSAGE_ID, "role": "ROLE_USER", "parts": parts}}


def _json_rpc(base: str, parts: list[dict[str, Any]], public: bool) -> str:
    document = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": _message(parts)}
    key = "" if public else _KEY
    return _lines(
        f"curl -sS {shlex.quote(base)}", key, "-H 'A2A-Version: 1.0'", _JSON, _body(document, parts)
    )


def _body(document: dict[str, Any], parts: list[dict[str, Any]]) -> str:
    """curl's body, which the shell completes: a messageId of its own for each call (the same one again is the
    same run), and files as base64.
    """
    text = json.dumps(document, ensure_ascii=False, indent=2)
    for special in ("\\", "$", "`"):
        text = text.replace(special, "\\" + special)
    text = text.replace(f'"{_MESSAGE_ID}"', '"call-$(date +%s)-$$"', 1)
    for name in (part["raw"] for part in parts if "raw" in part):
        text = text.replace(f'"raw": "{name}"', f'"raw": "$(base64 < {name[1:]} | tr -d \'\\n\')"')
    return f"--data-binary @- <<END\n{text}\nEND"


def _sdk(base: str, parts: list[dict[str, Any]], public: bool) -> str:
    key = "" if public else ', "Authorization": f"Bearer {os.environ[\'A2A_KEY\']}"'
    files = any("raw" in part for part in parts)
    lines = [
        "import asyncio",
        *(["import base64"] if files else []),
        *([] if public else ["import os"]),
        *(["import pathlib"] if files else []),
        "import uuid",
        "",
        "import httpx",
        "from a2a.client import ClientConfig",
        "from a2a.client.client_factory import ClientFactory",
        "from a2a.types import a2a_pb2 as pb",
        "from google.protobuf import json_format",
        "",
        "PARTS = [",
        *(f"    {_python_part(part)}," for part in parts),
        "]",
        "",
        "",
        "async def main():",
        f'    async with httpx.AsyncClient(headers={{"A2A-Version": "1.0"{key}}}, timeout=300) as http:',
        f"        client = await ClientFactory(ClientConfig(httpx_client=http)).create_from_url({base!r})",
        '        message = pb.Message(message_id=str(uuid.uuid4()), role="ROLE_USER")',
        "        message.parts.extend(json_format.ParseDict(part, pb.Part()) for part in PARTS)",
        "        async for event in client.send_message(pb.SendMessageRequest(message=message)):",
        "            print(event)",
        "",
        "",
        "asyncio.run(main())",
    ]
    return "\n".join(lines)


def _python_part(part: dict[str, Any]) -> str:
    if "raw" not in part:
        return repr(part)
    rest = {name: value for name, value in part.items() if name != "raw"}
    read = f"base64.b64encode(pathlib.Path({part['raw'][1:]!r}).read_bytes()).decode()"
    return f"{{'raw': {read}, **{rest!r}}}"
