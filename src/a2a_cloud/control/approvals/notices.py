"""Approvals told to a webhook: a signed POST when one opens and when one ends, tried a few times in the
background (docs/approvals.md, Webhook). What can't be delivered is logged and given up: the inbox is what
counts, and nothing waits for this."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from a2a_cloud.model.approval import Approval, document
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import BadSetting
from a2a_cloud.model.stamp import stamp

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("a2a_cloud.approvals")

OPENED = "approval.opened"
DECIDED = "approval.decided"
SIGNATURE = "A2A-Signature"

#: Seconds before each further attempt, and for one attempt.
PAUSES = (1.0, 5.0, 30.0, 120.0)
ANSWER = 10.0
#: How many wait to be told; further ones are given up at once. How many are told at once.
MOST = 1_000
AT_ONCE = 8
_LEAST_SECRET = 16
#: What may pass: too slow, too early, too many, and everything of the server's own.
_PASSING = frozenset({408, 425, 429})


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The header's value: `t=SECONDS,v1=HEX`, HMAC-SHA-256 over `SECONDS.BODY`."""
    return f"t={at},v1={hmac.new(secret, b'%d.' % at + body, hashlib.sha256).hexdigest()}"


class Notices:
    """One webhook. Loop thread only; `close` ends it."""

    def __init__(
        self, url: str, secret: str, clock: Clock, ids: Ids, *, pauses: Sequence[float] = PAUSES
    ) -> None:
        """Raises BadSetting for an address that is none, or a secret that could be guessed."""
        if not url.startswith(("http://", "https://")) or any(sign.isspace() for sign in url):
            raise BadSetting(
                f"A2A_APPROVALS_WEBHOOK can't be {url[:120]!a}.", remedy="Write https://… or http://…"
            )
        if len(secret) < _LEAST_SECRET:
            raise BadSetting(
                "A2A_APPROVALS_WEBHOOK needs a secret, with which the receiver checks who sent it.",
                remedy=f"Write {_LEAST_SECRET} characters or more in A2A_APPROVALS_WEBHOOK_SECRET.",
            )
        self._url = url
        self._secret = secret.encode()
        self._clock = clock
        self._ids = ids
        self._pauses = tuple(pauses)
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def tell(self, event: str, approval: Approval) -> None:
        """Returns at once."""
        if len(self._tasks) >= MOST:
            log.warning("webhook: %s of %s was given up: %d others wait", event, approval.id, MOST)
            return
        body = msgspec.json.encode(
            {
                "id": self._ids.new("note"),
                "event": event,
                "at": stamp(self._clock.now()),
                "approval": document(approval),
            }
        )
        task = asyncio.get_running_loop().create_task(self._deliver(f"{event} of {approval.id}", body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Gives up what was not delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _deliver(self, what: str, body: bytes) -> None:
        why = ""
        for pause in (*self._pauses, None):
            async with self._room:
                why, again = await self._post(body)
            if not why:
                return
            if not again or pause is None:
                break
            await asyncio.sleep(pause)
        log.warning("webhook: %s was given up: %s", what, why)

    async def _post(self, body: bytes) -> tuple[str, bool]:
        """(why it failed, "" when it did not; whether another attempt may help)."""
        import aiohttp  # Large, and most platforms have no webhook.

        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"User-Agent": "a2a-cloud", "Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=ANSWER),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        headers: dict[str, Any] = {SIGNATURE: signature(self._secret, int(self._clock.now()), body)}
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"{type(error).__name__} {error}".strip(), True
        if 200 <= status < 300:
            return "", False
        return f"it answered {status}", status >= 500 or status in _PASSING
