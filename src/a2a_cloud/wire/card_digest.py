"""The hash of an agent's card that stands in receipts (docs/receipts.md, `card_sha256`).

A card as served also says where the agent is reached, which keys the platform takes, what its limits and
prices are at the time: all that changes without the release. What the release alone says is hashed, so that
whoever has the card can compare it with any receipt of the release, from any address.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from a2a_cloud.wire.jcs import jcs

#: The members of a card that its release alone decides, and those of a skill that it does not.
MEMBERS = ("defaultInputModes", "defaultOutputModes", "description", "name", "skills", "version")
_NOT_OF_SKILL = frozenset({"security", "securityRequirements"})


def card_sha256(card: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the canonical form (RFC 8785) of what the release says in its public card. Raises
    ValueError for what is no card."""
    said: dict[str, Any] = {name: card[name] for name in MEMBERS if name in card}
    skills = said.get("skills", [])
    if not isinstance(skills, list) or not all(isinstance(one, dict) for one in cast("list[Any]", skills)):
        raise ValueError("the card's skills are no list of objects")
    said["skills"] = [
        {name: value for name, value in one.items() if name not in _NOT_OF_SKILL}
        for one in cast("list[dict[str, Any]]", skills)
    ]
    return sha256(jcs(said)).hexdigest()
