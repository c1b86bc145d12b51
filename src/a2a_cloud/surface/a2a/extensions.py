"""Extensions negotiated for one call (A2A 1.0, sections 3.3.4 and 4.6; 0.3, "Extension Activation").

A caller names those that it wants in the service parameter `A2A-Extensions`, or in its message. Active are
those among them that the agent's card declares; others are passed over. What the card requires has to be
named. Dialects other than A2A's have no extensions: there the agent sees none.
"""

from __future__ import annotations

from msgspec import UNSET

from a2a_cloud.model.card import HITL
from a2a_cloud.model.problem import ExtensionSupportRequired
from a2a_cloud.model.release import Release
from a2a_cloud.model.task import Message

#: Longer lists are cut: a card declares far fewer.
_MOST = 100


def activated(release: Release, header: bytes, message: Message, speaks: str) -> list[str]:
    """URIs of the extensions that are active for a call, in the card's order. `header` is the service
    parameter as it came. Raises ExtensionSupportRequired."""
    declared = release.manifest.extensions
    named: set[str] = set()
    if header:
        named.update(part.strip() for part in header.decode("latin-1").split(",", _MOST)[:_MOST])
    if message.extensions is not UNSET:
        named.update(message.extensions[:_MOST])
    missing = [one.uri for one in declared if one.required and one.uri not in named]
    if missing and speaks.startswith("a2a-"):
        raise ExtensionSupportRequired(
            f"This agent requires the extension {missing[0]}.",
            remedy=f"Send A2A-Extensions: {', '.join(missing)}, and do what it asks; the card says more.",
            info={"extensions": ", ".join(missing)},
        )
    return [uri for uri in (HITL, *(one.uri for one in declared)) if uri in named]
