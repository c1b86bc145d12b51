"""Messages as a skill sees them: who said what, in parts (A2A 1.0, section 4.1)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class MessagePart(Struct, rename="camel", omit_defaults=True):
    """A part: text, data (any JSON), a url, or a file that is bound to a parameter."""

    text: str | None = None
    data: Any = None
    url: str | None = None
    raw: str | None = None
    filename: str = ""
    media_type: str = ""
    metadata: dict[str, Any] | None = None


class Message(Struct, rename="camel", omit_defaults=True):
    """One turn of talk; `role` is ROLE_USER or ROLE_AGENT."""

    message_id: str
    role: str
    parts: list[MessagePart]
    context_id: str = ""
    task_id: str = ""
    metadata: dict[str, Any] | None = None
    extensions: list[str] = []

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


class Caller(Struct, frozen=True):
    """Who called: a principal of an organisation; `agent` when an agent called on their behalf. `actors` are
    all who act for them, nearest first: service identities of agents (`spiffe://…`)."""

    name: str
    org: str
    agent: str = ""
    actors: tuple[str, ...] = ()

    @property
    def anonymous(self) -> bool:
        """Nobody proved who they are."""
        return not self.org


class MadeArtifact(Struct, rename="camel", omit_defaults=True):
    """Something that an earlier task made. A file is named here, and not reached."""

    artifact_id: str
    parts: list[MessagePart]
    name: str = ""
    description: str = ""

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


class _Status(Struct):
    state: str


class EarlierTask(Struct, rename="camel", omit_defaults=True):
    """A task that had ended, to which the message refers: what was said in it, and what it made."""

    id: str
    context_id: str
    status: _Status
    history: list[Message] = []
    artifacts: list[MadeArtifact] = []

    @property
    def state(self) -> str:
        """How it ended: completed, failed, canceled or rejected."""
        return self.status.state.removeprefix("TASK_STATE_").lower()


decode_message = msgspec.json.Decoder(Message).decode
decode_history = msgspec.json.Decoder(list[Message]).decode
decode_tasks = msgspec.json.Decoder(list[EarlierTask]).decode
