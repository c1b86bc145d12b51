"""Signed links: for 15 minutes, whoever has one may read one thing without a key (a browser's
EventSource sends none).

The signature (HMAC-SHA-256) binds the agent, what is read, and when the link ends; it doesn't bind the
host, so that a link made on one address of the agent works on its others.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import quote

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Unauthenticated


class Links:
    """Makes and checks links with one key."""

    __slots__ = ("_clock", "_key", "_seconds")

    def __init__(self, key: bytes, clock: Clock, seconds: float = 900.0) -> None:
        if len(key) < 32:
            raise ValueError("the key for links has to be 32 bytes or longer")
        self._key = key
        self._clock = clock
        self._seconds = seconds

    def query(self, agent: str, path: str) -> str:
        """`exp=…&sig=…` for `path` (without its address, percent-encoded) of the agent `org.name`."""
        exp = str(int(self._clock.now() + self._seconds))
        return f"exp={exp}&sig={self._signature(agent, path, exp)}"

    def check(self, agent: str, path: str, exp: str, sig: str) -> None:
        """Raises Unauthenticated unless `sig` was made for this and has not ended."""
        good = self._signature(agent, path, exp)
        if not hmac.compare_digest(good.encode(), sig.encode("utf-8", "replace")):
            raise Unauthenticated(
                "The link's signature is wrong.", remedy="Ask for a new link, or send a key."
            )
        if not exp.isascii() or not exp.isdigit() or int(exp) < self._clock.now():
            raise Unauthenticated("The link has ended.", remedy="Ask for a new link, or send a key.")

    def _signature(self, agent: str, path: str, exp: str) -> str:
        text = f"a2a-cloud link v1\n{agent}\n{path}\n{exp}".encode("utf-8", "surrogatepass")
        return urlsafe_b64encode(hmac.digest(self._key, text, sha256)).rstrip(b"=").decode()


class AgentLinks:
    """Links to what one agent's runs keep, at one address of the agent. Fits `wire.views.PartLinks`."""

    __slots__ = ("_agent", "_links", "base")

    def __init__(self, links: Links, base: str, agent: str) -> None:
        self._links = links
        self.base = base
        self._agent = agent

    def _signed(self, path: str) -> str:
        joint = "&" if "?" in path else "?"
        return f"{self.base}{path}{joint}{self._links.query(self._agent, path)}"

    def part(self, run_id: str, seq: int, index: int) -> str:
        """A link to part `index` of what event `seq` of the run carries (0: the run's message)."""
        return self._signed(f"/runs/{quote(run_id, safe='')}/parts/{seq}.{index}")

    def artifact(self, run_id: str, artifact_id: str, index: int) -> str:
        """A link to part `index` of an artifact of the run."""
        path = f"/runs/{quote(run_id, safe='')}/artifacts/{quote(artifact_id, safe='')}"
        return self._signed(f"{path}?part={index}" if index else path)

    def sse(self, task_id: str) -> str:
        """A link to the task's event stream."""
        return self._signed(f"/sse/{quote(task_id, safe='')}")
