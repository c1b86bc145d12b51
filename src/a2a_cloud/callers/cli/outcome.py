"""What a call came to, gathered from its events, and its artifacts written to a folder."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2a_cloud.client.calls import CallEvent, text_of
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj, objs

_UNFIT = re.compile(r"[^\w.+@=, ()\[\]-]")


@dataclass
class Gathered:
    """One artifact: its parts as they came; pieces of an appended one are joined."""

    id: str
    name: str
    parts: list[dict[str, Any]]
    saved: list[str] = field(default_factory=list[str])
    left: str = ""

    def append(self, parts: list[dict[str, Any]]) -> None:
        """Take a further piece: text goes on with text, bytes with bytes, the rest stands apart."""
        for part in parts:
            last = self.parts[-1] if self.parts else {}
            if isinstance(part.get("text"), str) and isinstance(last.get("text"), str):
                last["text"] += part["text"]
            elif isinstance(part.get("raw"), str) and "pieces" in last:
                last["pieces"].append(part["raw"])
            else:
                self.parts.append(_own(part))

    def line(self) -> str:
        """The artifact in a line: its name, kind, size or link, and where it was saved."""
        kinds = [_describe(part) for part in self.parts]
        where = f" → {', '.join(self.saved)}" if self.saved else ""
        return f"{self.name or self.id} ({', '.join(kinds) or 'empty'}){where}{self.left}"


@dataclass
class Outcome:
    """State, result, text, reply, artifacts, question and error of a call, in short words."""

    state: str = ""
    run_id: str = ""
    task_id: str = ""
    context_id: str = ""
    receipt_id: str = ""
    result: Any = None
    has_result: bool = False
    text: str = ""
    reply: dict[str, Any] | None = None
    said: str = ""
    artifacts: dict[str, Gathered] = field(default_factory=dict[str, Gathered])
    question: dict[str, Any] | None = None
    approval: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    def take(self, event: CallEvent) -> None:
        """Note what an event says."""
        data = event.data
        match event.kind:
            case "status":
                self.state = event.state
                self.question = obj(data.get("question")) or None
                self.approval = obj(data.get("approval")) or None
                self.error = obj(data.get("error")) or None
                self.said = text_of(data.get("message"))
            case "text":
                self.text += str(data.get("delta", ""))
            case "result":
                self.result, self.has_result = data.get("value"), True
            case "reply":
                self.reply = data.get("message")
            case "artifact":
                self._artifact(data)
            case "attempt":  # a further attempt starts from scratch
                self.text, self.artifacts, self.result, self.has_result = "", {}, None, False
            case _:
                pass

    def _artifact(self, data: dict[str, Any]) -> None:
        made = obj(data.get("artifact"))
        ident = str(made.get("artifactId", ""))
        parts = objs(made.get("parts"))
        known = self.artifacts.get(ident)
        if known is None or not data.get("append"):
            known = self.artifacts[ident] = Gathered(ident, str(made.get("name") or ""), [])
        known.append(parts)

    def document(self) -> dict[str, Any]:
        """The outcome for programs."""
        fields: dict[str, Any] = {
            "state": self.state,
            "run_id": self.run_id,
            "task_id": self.task_id,
            "context_id": self.context_id,
            "receipt_id": self.receipt_id,
            "result": self.result,
        }
        if self.text:
            fields["text"] = self.text
        if self.reply is not None:
            fields["reply"] = self.reply
        if self.said:
            fields["message"] = self.said
        fields["artifacts"] = [
            {
                "id": each.id,
                "name": each.name,
                "parts": [_public(part) for part in each.parts],
                **({"saved": each.saved} if each.saved else {}),
            }
            for each in self.artifacts.values()
        ]
        if self.question is not None:
            fields["question"] = self.question
        if self.approval is not None:
            fields["approval"] = self.approval
        if self.error is not None:
            fields["error"] = self.error
        return fields

    async def save(self, folder: Path, platform: Platform) -> None:
        """Write every artifact into `folder`, under names that nobody outside can point elsewhere.

        Nothing that is there is overwritten. Links to other origins are not fetched.
        Raises OSError, Unreachable and ServerProblem.
        """
        folder.mkdir(parents=True, exist_ok=True)  # nothing else runs here
        for each in self.artifacts.values():
            each.saved, each.left = [], ""
            for part in each.parts:
                wanted = file_name(str(part.get("filename") or each.name or each.id), part)
                if isinstance(part.get("url"), str):
                    path = free_path(folder, wanted)
                    if await platform.download(part["url"], path):
                        each.saved.append(str(path))
                    else:
                        each.left = f" (not fetched, it is on another origin: {part['url']})"
                    continue
                path = free_path(folder, wanted)
                with path.open("xb") as file:
                    file.write(_content(part))
                each.saved.append(str(path))


def file_name(name: str, part: dict[str, Any]) -> str:
    """A plain file name for an artifact called `name`: no folders, no leading dot, a fitting suffix."""
    plain = _UNFIT.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(" .")[:120] or "artifact"
    if "." not in plain:
        media = str(part.get("mediaType") or ("application/json" if "data" in part else ""))
        if not media:
            media = "text/plain" if "text" in part else "application/octet-stream"
        plain += {"text/markdown": ".md"}.get(media) or mimetypes.guess_extension(media.split(";")[0]) or ""
    return plain


def free_path(folder: Path, name: str) -> Path:
    """`folder/name`, or `name-2`, `name-3`… when that is taken."""
    path, number = folder / name, 1
    while path.exists() or path.is_symlink():
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path


def _own(part: dict[str, Any]) -> dict[str, Any]:
    own = dict(part)
    if isinstance(own.get("raw"), str):
        own["pieces"] = [own.pop("raw")]
    return own


def _bytes(part: dict[str, Any]) -> bytes:
    return b"".join(_decoded(piece) for piece in part["pieces"])


def _decoded(piece: str) -> bytes:
    try:
        return base64.b64decode(piece)
    except (binascii.Error, ValueError):
        return b""


def _content(part: dict[str, Any]) -> bytes:
    if isinstance(part.get("text"), str):
        return part["text"].encode("utf-8", "replace")
    if "pieces" in part:
        return _bytes(part)
    return json.dumps(part.get("data"), ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"


def _public(part: dict[str, Any]) -> dict[str, Any]:
    if "pieces" not in part:
        return part
    rest = {name: value for name, value in part.items() if name != "pieces"}
    return {**rest, "raw": base64.b64encode(_bytes(part)).decode()}


def _describe(part: dict[str, Any]) -> str:
    media = str(part.get("mediaType") or "")
    if isinstance(part.get("url"), str):
        return f"{media or 'file'}, {part['url']}"
    if "data" in part:
        return media or "application/json"
    kind = media or ("text/plain" if "text" in part else "application/octet-stream")
    return f"{kind}, {len(_content(part)):,} bytes"
