"""What signs for agents: a key pair for each, made from one key in a file and the agent's number.

`keys/services.key` in the data folder is 32 bytes in hex, mode 0600. An agent that is made again under an
old name has another number, and so another key. Agents' code never sees one.
"""

from __future__ import annotations

import hmac
import os
import re
from pathlib import Path

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.wire.jws import Signer

KEY_FILE = "services.key"
_BYTES = 32
_TEXT = re.compile(rb"[0-9a-f]{64}\n").fullmatch


class ServiceKeys:
    """Signers by agent."""

    __slots__ = ("_kept", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._kept: dict[int, Signer] = {}

    @classmethod
    def open(cls, folder: Path, entropy: Entropy) -> ServiceKeys:
        """With the key in `folder` (`$A2A_DATA/keys`, which is there), made first when there is none. Raises
        Unavailable when it is damaged, is no plain file, or may be read by others."""
        path = folder / KEY_FILE
        try:
            if not os.path.lexists(path):
                private_file.create(path, entropy.bytes(_BYTES).hex().encode() + b"\n", entropy)
            text = private_file.read(
                path,
                "the key that signs for agents, so what it signs proves nothing",
                "move it away, and a new one is made at the next start.",
                128,
            )
        except OSError as error:
            raise Unavailable(
                f"The key that signs for agents, {path}, can't be used: {error.strerror or error}.",
                remedy="Make it a plain file that belongs to the user who runs the platform.",
            ) from None
        if not _TEXT(text):
            raise Unavailable(
                f"The key that signs for agents, {path}, is damaged.",
                remedy="Restore it from a backup. Or move it away, and a new one is made at the next start; "
                "earlier receipts are then read without their agents' countersignature.",
            )
        return cls(bytes.fromhex(text.decode()))

    def signer(self, agent_no: int) -> Signer:
        """What signs for the agent with that number."""
        found = self._kept.get(agent_no)
        if found is None:
            seed = hmac.digest(self._key, b"a2a-cloud service-key-v1\0%d" % agent_no, "sha256")
            found = self._kept[agent_no] = Signer(seed)
        return found
