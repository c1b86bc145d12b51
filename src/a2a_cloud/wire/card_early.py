"""The card as readers before 0.3 expect it at `/.well-known/agent.json`.

That time had `authentication.schemes` where 0.3 has `securitySchemes`, and drafts of it said at the top
what the card's capabilities say now. All else is as in 0.3, so these members are put beside it.
"""

from __future__ import annotations

from typing import Any


def with_early_members(card: dict[str, Any]) -> dict[str, Any]:
    """The members of `card`, a document in both later forms, and those of the time before."""
    capabilities = card["capabilities"]
    modes = dict.fromkeys([*card["defaultInputModes"], *card["defaultOutputModes"]])
    return {
        **card,
        "authentication": {"schemes": ["Bearer", "apiKey"] if card.get("security") else []},
        "defaultModalities": list(modes),
        "supportsStreaming": capabilities["streaming"],
        "supportsPushNotifications": capabilities["pushNotifications"],
    }
