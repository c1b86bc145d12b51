"""The official 0.3 SDK reads cards: `old_card.py URL PATH…`, one JSON object a line.

`canonical` is what its verifier of signatures checks them against (which needs PyJWT, so the test does it).
"""

import asyncio
import json
import sys

import httpx
from a2a.client import A2ACardResolver
from a2a.utils.helpers import canonicalize_agent_card


async def main(base: str, paths: list[str]) -> None:
    async with httpx.AsyncClient() as http:
        for path in paths:
            card = await A2ACardResolver(http, base).get_agent_card(path)
            print(
                json.dumps(
                    {
                        "url": card.url,
                        "transport": card.preferred_transport,
                        "version": card.protocol_version,
                        "schemes": {name: one.root.type for name, one in card.security_schemes.items()},
                        "security": card.security,
                        "extended": card.supports_authenticated_extended_card,
                        "states": card.capabilities.state_transition_history,
                        "extensions": [one.uri for one in card.capabilities.extensions],
                        "signatures": [[one.protected, one.signature] for one in card.signatures],
                        "canonical": canonicalize_agent_card(card),
                    }
                )
            )


asyncio.run(main(sys.argv[1], sys.argv[2:]))
