"""The official mcp client, signing in from nothing: what happens, JSON by line. It says where a browser has
to go, and reads from its input where the browser was sent in the end.

Runs in the environment `mcp`, imports nothing of ours. `mcp_sign_in.py URL MODE REDIRECT [DOCUMENT]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl


def say(name: str, value: Any) -> None:
    """One line."""
    print(json.dumps({"name": name, "value": value}), flush=True)


class Kept:
    """What the client keeps between sessions."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        say(
            "tokens",
            {"type": tokens.token_type, "scope": tokens.scope, "refresh": bool(tokens.refresh_token)},
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info
        say("client", client_info.client_id)


async def there(url: str) -> None:
    say("browser", url)


async def back() -> AuthorizationCodeResult:
    line = await asyncio.to_thread(sys.stdin.readline)
    found = {name: values[0] for name, values in parse_qs(urlsplit(line.strip()).query).items()}
    return AuthorizationCodeResult(code=found["code"], state=found.get("state"), iss=found.get("iss"))


async def main(url: str, mode: str, redirect: str, document: str) -> None:
    """Signs in, and looks around."""
    kept = Kept()
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="The official client",
            redirect_uris=[AnyUrl(redirect)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=kept,
        redirect_handler=there,
        callback_handler=back,
        client_metadata_url=document or None,
    )
    async with httpx2.AsyncClient(auth=auth, timeout=60) as http:
        began = time.monotonic()
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            tools = await client.list_tools()
            say("tools", sorted(tool.name for tool in tools.tools))
            say("call", (await client.call_tool("shout", {"text": "signed in"})).structured_content)
            say("seconds", time.monotonic() - began)
            if kept.tokens is not None and kept.tokens.refresh_token:
                # As if the token had ended: the client gets another by itself.
                auth.context.token_expiry_time = 1.0
                say("again", (await client.call_tool("shout", {"text": "refreshed"})).structured_content)


asyncio.run(main(*sys.argv[1:4], sys.argv[4] if len(sys.argv) > 4 else ""))
