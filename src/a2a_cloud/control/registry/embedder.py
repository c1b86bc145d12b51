"""The process that has the model of the search by meaning: `python -m …embedder FOLDER`. It reads lines of
JSON, answers each with one, and ends with its input; FOLDER keeps the vectors of texts that it read before.

    {"id": 1, "learn": {KEY: TEXT, …}}          reads texts
    {"id": 2, "keep": [KEY, …]}                 forgets all others, and writes the rest down
    {"id": 3, "text": TEXT, "keys": [KEY, …]}   → {"id": 3, "scores": [...]}: how alike, from -1 to 1
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from a2a_cloud.control.registry.embedding import WEIGHTS, WIDTH, Floats, Model, NoModel, folder


class Embedder:
    """The texts that were read, by key."""

    def __init__(self, model: Model, kept: Path) -> None:
        self._model = model
        self._file = kept
        self._vectors: dict[str, Floats] = {}
        try:
            with np.load(kept, allow_pickle=False) as found:
                vectors = found["vectors"].astype(np.float32)
                if vectors.shape == (len(found["keys"]), WIDTH) and np.isfinite(vectors).all():
                    self._vectors = dict(zip(found["keys"].tolist(), vectors, strict=True))
        except (OSError, ValueError, LookupError):
            pass  # There is none, or it is damaged: the texts are read again.
        self._written = set(self._vectors)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What to answer to one line."""
        if "learn" in asked:
            for key, text in asked["learn"].items():
                if key not in self._vectors:
                    self._vectors[key] = self._model.vector(text)
            return {}
        if "keep" in asked:
            self._vectors = {key: self._vectors[key] for key in asked["keep"] if key in self._vectors}
            self._write()
            return {}
        known = [self._vectors[key] for key in asked["keys"]]
        scores = np.stack(known) @ self._model.vector(asked["text"]) if known else np.zeros(0)
        return {"scores": [round(float(one), 4) for one in scores]}

    def _write(self) -> None:
        if self._written == set(self._vectors):
            return
        partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            with partial.open("wb") as out:
                vectors = list(self._vectors.values())
                halves = np.stack(vectors).astype(np.float16) if vectors else np.zeros((0, WIDTH), np.float16)
                np.savez(out, keys=np.array(list(self._vectors), dtype=np.str_), vectors=halves)
            partial.replace(self._file)
            self._written = set(self._vectors)
        except OSError:
            partial.unlink(missing_ok=True)  # It saves time at the next start, and nothing else.


def main(place: str) -> int:
    """Serve until the input ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    os.nice(10)
    try:
        embedder = Embedder(Model(folder()), Path(place) / f"{WEIGHTS[:16]}.npz")
    except NoModel as error:
        print(json.dumps({"id": 0, "error": str(error)}), flush=True)
        return 1
    print(json.dumps({"id": 0}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"id": asked["id"], **embedder.answer(asked)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
