"""What this user's command line has seen of logs: the last checkpoint of each, and the keys that it was told
to trust, in `$XDG_STATE_HOME/a2a/logs` (`~/.local/state` without it). A log that later shows something else
has been forked, and whoever remembers can prove it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from a2a_cloud.wire.note import NoteError, NoteKey, read_checkpoint, read_vkey


class LogMemory:
    """The memory of one log. `checkpoint` is the signed note, b"" for none; `keys` are those that were given
    with --key when it was seen. Raises ValueError when what is remembered is damaged, OSError when it
    can't be read."""

    def __init__(self, origin: str, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        self.path = Path(base) / "a2a" / "logs" / f"{sha256(origin.encode()).hexdigest()[:32]}.json"
        self.origin = origin
        self.checkpoint = b""
        self.keys: list[NoteKey] = []
        with contextlib.suppress(FileNotFoundError):
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        try:
            told = cast("dict[str, Any]", json.loads(data))
            self.checkpoint = told["checkpoint"].encode()
            self.keys = [read_vkey(each) for each in told["vkeys"]]
            if told["origin"] != self.origin or read_checkpoint(self.checkpoint)[0].origin != self.origin:
                raise ValueError("it is of another log")
        except (ValueError, KeyError, TypeError, AttributeError, NoteError) as error:
            raise ValueError(f"{self.path} is damaged: {error}") from None

    def keep(self, checkpoint: bytes, keys: Sequence[NoteKey]) -> None:
        """Remember. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {"origin": self.origin, "vkeys": [key.vkey for key in keys], "checkpoint": checkpoint.decode()}
        handle, aside = tempfile.mkstemp(dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, self.path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise

    def forget(self) -> None:
        """Remember nothing. Raises OSError."""
        self.path.unlink(missing_ok=True)
        self.checkpoint, self.keys = b"", []
